"""`energywh simulate`: serve simulated sources on this machine."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime, timedelta

import click

from energywh.cli.output import Count


@click.command()
@click.option("--port", default=8930, show_default=True, type=Count(0, 65535), help="Port; 0 for a free one.")
@click.option("--seed", default=0, show_default=True, help="Seed of the simulated world.")
@click.option("--now", metavar="YYYY-MM-DDTHH", help="Where the simulated clock starts, UTC [the present].")
@click.option("--time-scale", default=1.0, show_default=True, help="Simulated seconds per second; 0 stops the clock.")
@click.option("--api-key", default="simulated-key", show_default=True, help="The key that is accepted.")
@click.option("--latency-ms", default=0.0, show_default=True, type=click.FloatRange(0), help="Added to every answer.")
@click.option("--requests-per-second", type=click.FloatRange(1), help="Refuse more of one key [no limit].")
@click.option("--requests-per-hour", type=click.FloatRange(1), help="Refuse more of one key [no limit].")
@click.option("--fault-rate", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Share of faults.")
@click.option("--faults", metavar="KIND,…", help="429,500,503,hang,truncated,html,wrong-total [all].")
@click.option("--hang-seconds", default=30.0, show_default=True, type=click.FloatRange(0), help="Length of a hang.")
@click.option("--interchange-lag-hours", default=24, show_default=True, help="Hours until interchange is published.")
@click.option("--gap-rate", type=click.FloatRange(0, 0.2), help="Share of rows that are never published.")
@click.option("--null-rate", type=click.FloatRange(0, 0.2), help="Share of rows without a value.")
@click.option("--outlier-rate", type=click.FloatRange(0, 0.2), help="Share of absurd values.")
@click.option("--revision-rate", type=click.FloatRange(0, 0.2), help="Share of values that change within days.")
@click.option("--first-period", metavar="YYYY-MM-DDTHH", help="First hour of the history [2019-01-01T00].")
def simulate(
    *,
    port: int,
    seed: int,
    now: str | None,
    time_scale: float,
    api_key: str,
    latency_ms: float,
    requests_per_second: float | None,
    requests_per_hour: float | None,
    fault_rate: float,
    faults: str | None,
    hang_seconds: float,
    first_period: str | None,
    **reporting: float | None,
) -> None:
    """Serve simulated stand-ins of all sources on this machine until Ctrl-C.

    Every value is computed from the seed: nothing is downloaded or stored. The clock runs (--time-scale), and another
    process can advance it: POST /_simulator/advance?hours=24. GET /_simulator/stats counts what was served.
    """
    from energywh.errors import UsageError
    from energywh.simulate.faults import ALL_KINDS, Faults
    from energywh.simulate.hours import parse_period
    from energywh.simulate.reporting import Reporting
    from energywh.simulate.server import Simulator

    rates = {name: value for name, value in reporting.items() if value is not None}
    try:
        kinds = ALL_KINDS if faults is None else tuple(kind.strip() for kind in faults.split(",") if kind.strip())
        begin = {} if first_period is None else {"first_period": parse_period(first_period)}
        start: datetime | str = datetime.now(UTC) if now is None else now
        simulator = Simulator(
            seed,
            start,
            api_key=api_key,
            port=port,
            time_scale=time_scale,
            reporting=Reporting(**rates, **begin),  # type: ignore[arg-type]
            faults=Faults(rate=fault_rate, kinds=kinds, hang_seconds=hang_seconds),
            latency_seconds=latency_ms / 1000.0,
            requests_per_second=requests_per_second,
            requests_per_hour=requests_per_hour,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None

    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    with simulator:
        click.echo(f"simulated APIs, seed {seed}, at {simulator.clock.now():%Y-%m-%dT%H:%M} UTC: {simulator.url}")
        click.echo("In another shell:")
        click.echo(f"  export ENERGYWH_HOME=simulated EIA_API_KEY={api_key}")
        for variable, url in simulator.environment.items():
            click.echo(f"  export {variable}={url}")
        click.echo(f"  energywh sync --since {simulator.clock.now() - timedelta(days=30):%Y-%m-%d}")
        # Wakes now and then: a wait without end would keep signals from being handled on some systems.
        while not ended.wait(0.5):
            continue
