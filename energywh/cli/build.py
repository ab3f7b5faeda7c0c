"""`energywh build`: staging to a published warehouse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from energywh.errors import UsageError

if TYPE_CHECKING:
    from energywh.cli import Session
    from energywh.models.build.events import BuildEvent
    from energywh.models.build.materialize import ModelResult
    from energywh.models.build.report import BuildReport


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL…]")
@click.option("--full", is_flag=True, help="Compute everything anew, not only what changed.")
@click.option(
    "--models", "folders", multiple=True, metavar="DIR", help="Folder of your own models; repeat [build.models]."
)
@click.option(
    "--as-of", metavar="TIME", help="Build what could have been built at this UTC time, into the file of --to."
)
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="The file that --as-of writes.")
@click.option(
    "--knowledge",
    type=click.Choice(["landed", "published-lag"]),
    help="What --as-of counts as known: what had been fetched [landed], or of history loaded later what was published.",
)
@click.option("--force", is_flag=True, help="Let --to replace a warehouse file that is there.")
@click.pass_obj
def build(
    session: Session,
    models: tuple[str, ...],
    full: bool,
    as_of: str | None,
    to: Path | None,
    knowledge: Literal["landed", "published-lag"] | None,
    force: bool,
    folders: tuple[str, ...],
) -> int:
    """Build the models from staging, audit them, and publish the warehouse in one step.

    Without MODEL all models are built; with some (normalized.demand), these and what they read. Only months in
    which something changed are computed. Readers keep what they have open and are never locked out.

    Models of your own that fail are left out, with what reads them, and the exit status is 1; the rest is published.
    Those whose folder is not given any more are dropped: keep it in the setting build.models.

    --as-of TIME (a day means its start) builds with today's models from the values that were known at TIME, before
    they were revised, and writes a warehouse file that 'energywh sql --version FILE' asks. Nothing is published.
    --knowledge published-lag counts the first value that was ever fetched of an hour as known since the source is
    wont to publish it (table seeds.publication_lag).
    """
    if as_of is not None:
        return _build_as_of(session, models, full, as_of, to, knowledge or "landed", force, folders)
    for given, option in ((to, "--to"), (knowledge, "--knowledge"), (force, "--force")):
        if given:
            raise UsageError(f"{option} belongs to --as-of TIME --to FILE, which writes a file and publishes nothing")
    from energywh.integrations.openlineage import build_listeners
    from energywh.models.build.options import BuildOptions
    from energywh.models.build.runner import build as build_warehouse

    settings = session.load({"build.models": folders or None})
    progress = ProgressLines()
    report = build_warehouse(
        settings.home,
        models,
        full=full,
        options=BuildOptions.of(settings),
        listeners=[*build_listeners(settings, progress.say), progress],
    )
    print_report(report)
    return 1 if report.left_out else 0


def _build_as_of(
    session: Session,
    models: tuple[str, ...],
    full: bool,
    as_of: str,
    to: Path | None,
    knowledge: Literal["landed", "published-lag"],
    force: bool,
    folders: tuple[str, ...],
) -> int:
    """Build as of a time into a file."""
    from energywh.core.time import parse_moment
    from energywh.models.build.as_of import build_as_of
    from energywh.models.build.options import BuildOptions

    moment = parse_moment(as_of, "--as-of")
    if to is None:
        raise UsageError("--as-of builds into a file and publishes nothing: name it with --to FILE")
    if full:
        raise UsageError("--full does not go with --as-of, which computes everything anyway")
    report = build_as_of(
        session.home,
        moment,
        to,
        models,
        knowledge=knowledge,
        force=force,
        options=BuildOptions.of(session.load({"build.models": folders or None})),
        listeners=[ProgressLines()],
    )
    _print_warnings(report)
    number = len(report.models)
    click.echo(
        f"wrote {report.path} as of {moment:%Y-%m-%d %H:%M:%S} UTC ({knowledge}): {number} "
        f"model{'' if number == 1 else 's'}, {report.path.stat().st_size / 1e6:,.0f} MB, {report.seconds:.1f} s"
    )
    click.echo(f'ask it: energywh sql --version {report.path} "select ..."')
    return _tell_left_out(report)


def print_report(report: BuildReport) -> None:
    """Print what a build did, in numbers."""
    if report.published:
        _print_numbers(report)
    else:
        click.echo(f"nothing new; {report.version} stays published ({report.seconds:.2f} s)")
    _tell_left_out(report)


def _tell_left_out(report: BuildReport) -> int:
    """Say what of the user's own models failed, and return the exit status."""
    if report.left_out:
        click.echo(f"energywh: {left_out_line(report)}", err=True)
    return 1 if report.left_out else 0


def left_out_line(report: BuildReport) -> str:
    """Return one line on what was left out; why, the listener was told."""
    return (
        f"of your own models, {', '.join(report.left_out)} failed and {'is' if len(report.left_out) == 1 else 'are'} "
        "left out, with what an earlier version held of them; all else is as it should be"
    )


def _print_numbers(report: BuildReport) -> None:
    _print_warnings(report)
    built = [result for result in report.models if result.built]
    changed = len({month for result in built for month in result.changed_months if month is not None})
    kept = len(report.models) - len(built)
    numbers = [f"{len(built)} model{'' if len(built) == 1 else 's'} built", f"{kept} up to date"]
    if report.base != "fresh":
        numbers.append(f"{changed:,} month{'' if changed == 1 else 's'} changed")
    numbers += [f"{report.path.stat().st_size / 1e6:,.0f} MB", f"{report.seconds:.1f} s"]
    click.echo(f"published {report.version}: {', '.join(numbers)}")


def _print_warnings(report: BuildReport) -> None:
    for warning in report.warnings:
        what = warning.description or f"audit {warning.audit} fails"
        rows = "1 row" if warning.failures == 1 else f"{warning.failures or 0:,} rows"
        click.echo(f"warning: {warning.model}: {what} ({rows}), such as")
        click.echo(warning.sample)


def model_line(result: ModelResult) -> str:
    """Return one line on what was done to a model."""
    if not result.built:
        done = "up to date"
    elif result.months is None:
        done = f"built whole in {result.seconds:.1f} s"
    else:
        done = f"{result.months} month{'' if result.months == 1 else 's'} built in {result.seconds:.1f} s"
    if result.materialized == "inline":
        return f"{result.name:<32} {'step':>18}  {'checked' if result.built else 'up to date'}"
    return f"{result.name:<32} {result.rows:>13,} {'row ' if result.rows == 1 else 'rows'}  {done}"


class ProgressLines:
    """A listener that prints a line a model; on a terminal, a last line says which model is being built."""

    def __init__(self) -> None:
        self._erase_line = "\r\x1b[K" if sys.stderr.isatty() else ""

    def __call__(self, event: BuildEvent) -> None:
        from energywh.models.build import events

        match event:
            case events.BuildMessage(text):
                self.say(text)
            case events.ModelLeftOut(name, reason):
                self.say(f"left out {name}: {reason}")
            case events.ModelStarted(name, position, total) if self._erase_line:
                click.echo(f"{self._erase_line}[{position}/{total}] building {name} …", err=True, nl=False)
            case events.ModelEnded(result):
                self._erase()
                click.echo(model_line(result))

    def say(self, text: str) -> None:
        """Print a message on standard error."""
        self._erase()
        click.echo(text, err=True)

    def _erase(self) -> None:
        if self._erase_line:
            click.echo(self._erase_line, err=True, nl=False)
