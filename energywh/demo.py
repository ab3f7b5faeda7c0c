"""The demonstration: from simulated sources to a training batch.

The data are simulated, and the home folder is marked as such, so that real and simulated data never mix.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from energywh.config.options import url_variable
from energywh.config.settings import Settings
from energywh.core.paths import Home
from energywh.core.wording import count
from energywh.errors import EnergywhError, UsageError
from energywh.sources import load_settings, source_options, sources

DATASETS = ("eia", "caiso.load", "caiso.renewable", "caiso.price_dam", "open_meteo")
NODES = "TH_NP15_GEN-APND,TH_SP15_GEN-APND,TH_ZP26_GEN-APND"
EXPORTED = ("normalized.demand", "normalized.generation", "normalized.weather", "normalized.grid", "features.hourly")
REGIONS = ("CISO", "ERCO", "MISO", "NYIS", "BPAT", "PJM")
SINCE, UNTIL = "2024-01-01", "2025-12-31"
KEY = "simulated-key"
_NOW = "2026-01-15T00"  # the simulated clock: past the settling time, so that a second demo has nothing to fetch

# Medians, because the simulated data hold absurd values now and then, as the real ones do.
QUESTIONS = (
    (
        "How much power does each authority use, and how much of it comes from sun and wind?",
        "select region, median(demand_mwh)::int as median_mwh, quantile_cont(demand_mwh, 0.999)::int as peak_mwh, "
        "round(100 * median((solar_mwh + wind_mwh) / fuel_sum_mwh), 1) as sun_wind_percent "
        "from normalized.grid group by region order by median_mwh desc",
    ),
    (
        "At which local hours does California's net load climb fastest?",
        "select hour_of_day, median(net_load_ramp_3h_mwh)::int as median_3h_ramp_mwh from features.hourly "
        "where region = 'CISO' group by hour_of_day order by median_3h_ramp_mwh desc limit 3",
    ),
    (
        "How good is the day-ahead forecast?",
        "select region, round(100 * median(abs(demand_forecast_mwh - demand_mwh) / demand_mwh), 2) "
        "as median_error_percent from normalized.demand where demand_mwh > 0 "
        "group by region order by median_error_percent",
    ),
    (
        "How much more does each authority use for each degree above 18 °C?",
        "select region, regr_slope(demand_mwh, cooling_degrees)::int as mwh_per_degree, "
        "max(temperature_c) as hottest_c from normalized.grid where cooling_degrees > 0 "
        "and demand_mwh between 0 and 250000 group by region order by mwh_per_degree desc limit 3",
    ),
    (
        "When is power cheapest in southern California, day-ahead?",
        "select hour_of_day, round(median(price_sp15_usd_per_mwh), 2) as median_usd_per_mwh "
        "from features.hourly where region = 'CISO' group by hour_of_day order by median_usd_per_mwh limit 3",
    ),
)


@dataclass(frozen=True)
class Step:
    """One step of the demonstration: what was done, with what result, and how long it took."""

    title: str
    lines: list[str]
    seconds: float


def mark(home: Home) -> None:
    """Mark a home folder as holding simulated data.

    Raises:
        UsageError: the folder holds data already that are not simulated.
    """
    if home.simulated_mark.exists():
        return
    if any(path.exists() for path in (home.staging, home.payloads, home.versions, home.energy)):
        raise UsageError(
            f"{home.path} holds a warehouse of real data; the demo does not mix simulated data into it. "
            "Give it another folder: energywh --home demo demo"
        )
    home.mark_simulated()


@contextmanager
def simulator() -> Iterator[dict[str, str]]:
    """Serve the simulated sources from a separate process, and yield the address of each."""
    command = [sys.executable, "-m", "energywh", "simulate", "--port", "0", "--now", _NOW, "--time-scale", "0"]
    process = subprocess.Popen(  # noqa: S603 - our own program
        [*command, "--api-key", KEY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        said = ""
        while "energywh sync" not in said:
            line = process.stdout.readline()
            if not line:
                _, errors = process.communicate(timeout=10)
                raise EnergywhError(f"the simulator did not start: {errors.strip() or said.strip()}")
            said += line
        addresses = dict(re.findall(r"export (ENERGYWH_\w+_URL)=(\S+)", said))
        yield {name: addresses[variable] for name in sources() if (variable := url_variable(name)) in addresses}
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()


def run_demo(home: Home, on_step: Callable[[Step], None]) -> None:
    """Run the demonstration into ``home``, and call ``on_step`` as each step ends.

    Raises:
        UsageError: the folder holds real data.
        EnergywhError: a step failed.
    """
    mark(home)
    with simulator() as addresses:
        settings = load_settings(home.path, _settings(addresses))
        _timed(on_step, "sync", lambda: _sync(settings))
    _timed(on_step, "build", lambda: _build(settings))
    _timed(on_step, "export", lambda: _export(home))
    _timed(on_step, "sql", lambda: _ask(home))
    _timed(on_step, "windows", lambda: _windows(home))


def _settings(addresses: dict[str, str]) -> dict[str, str | float | int]:
    """Return the settings of the demonstration: sources on this machine need no rate limit."""
    overrides: dict[str, str | float | int] = {"eia.api_key": KEY, "caiso.nodes": NODES}
    for option in source_options():
        source, name = option.name.split(".")
        if name == "url" and source in addresses:
            overrides[option.name] = addresses[source]
        elif name.startswith("requests_per_"):
            overrides[option.name] = 0
    return overrides


def _timed(on_step: Callable[[Step], None], title: str, work: Callable[[], list[str]]) -> None:
    started = time.monotonic()
    lines = work()
    on_step(Step(title, lines, time.monotonic() - started))


def _sync(settings: Settings) -> list[str]:
    from energywh.integrations.openlineage import sync_listeners
    from energywh.sync.runner import sync
    from energywh.sync.selection import parse_selection

    selection = parse_selection(DATASETS, since=SINCE, until=UNTIL, regions=REGIONS)
    result = sync(settings, selection, listeners=sync_listeners(settings))
    if not result.ok:
        raise EnergywhError(f"the demo's sync failed: {result.errors[0]}")
    if not result.requests:
        return ["nothing was due: an earlier demo fetched everything"]
    return [
        f"{tally.dataset}: {count(tally.due, 'chunk')}, {count(tally.counts.rows, 'row')}, {tally.counts.new:,} new"
        for tally in result.tallies
        if tally.due
    ]


def _build(settings: Settings) -> list[str]:
    from energywh.integrations.openlineage import build_listeners
    from energywh.models.build.options import BuildOptions
    from energywh.models.build.runner import build
    from energywh.models.catalog.catalog import read_catalog

    report = build(settings.home, options=BuildOptions.of(settings), listeners=build_listeners(settings))
    lines = [f"{'published' if report.published else 'nothing new; published before:'} {report.version}"]
    lines += [f"left out {name}: {why}" for name, why in report.left_out.items()]
    return lines + [
        f"{model.name:<28} {model.rows or 0:>10,} rows  {len(model.columns):>3} columns"
        for model in read_catalog(settings.home)
        if model.materialized != "inline"
    ]


def _export(home: Home) -> list[str]:
    from energywh.datasets.parquet_export import export_models
    from energywh.warehouse import Warehouse

    with Warehouse(home) as warehouse:
        done = list(export_models(warehouse.connection, home, list(EXPORTED)))
    files = sum(export.written + export.skipped for export in done)
    written = sum(export.written for export in done)
    size = sum(export.total_bytes for export in done) / 1e6
    return [
        f"{', '.join(EXPORTED)}: {count(files, 'Parquet file')}, {size:.1f} MB, {written} of them written now, "
        f"in {home.parquet}"
    ]


def _ask(home: Home) -> list[str]:
    from energywh.cli.query_output import write_stream
    from energywh.warehouse import Warehouse

    lines: list[str] = []
    with Warehouse(home) as warehouse:
        for question, query in QUESTIONS:
            answer = io.BytesIO()
            write_stream(warehouse.sql(query), "table", answer)
            lines += ["", question, *answer.getvalue().decode().splitlines()]
    return lines


def _windows(home: Home) -> list[str]:
    from energywh.warehouse import Warehouse

    try:
        import mlx.core  # noqa: F401 - only whether it can be imported

        kind, name = "mlx", "mx.array"
    except ImportError:
        kind, name = "numpy", "numpy.ndarray (MLX cannot be imported here)"
    with Warehouse(home) as warehouse:
        train, test = warehouse.windows(
            "features.hourly",
            regions=list(REGIONS),
            target="demand_mwh",
            length=2160,
            stride=24,
            horizon=24,
            splits=("2025-07-01",),
            backend=kind,  # type: ignore[arg-type]
        )
    batch = next(iter(train.batches(8, shuffle=True, seed=0)))
    return [
        f"train {len(train):,} and test {len(test):,} windows of {train.length:,} hours, "
        f"{count(len(train.columns), 'feature')}",
        f"one batch, as {name}: inputs {tuple(batch.inputs.shape)}, targets {tuple(batch.targets.shape)}, "
        f"mask {tuple(batch.mask.shape)}",
        f"{train.nbytes / 1e6:.1f} MB held for all of them; "
        f"copied out one by one they would be {len(train) * train.length * len(train.columns) * 4 / 1e9:.1f} GB",
    ]
