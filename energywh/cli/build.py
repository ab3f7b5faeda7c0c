"""`energywh build`: build the models from staging and publish the warehouse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from energywh.core.wording import count
from energywh.errors import UsageError

if TYPE_CHECKING:
    from energywh.cli import Session
    from energywh.models.build.events import BuildEvent
    from energywh.models.build.materialize import ModelResult
    from energywh.models.build.report import BuildReport


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL…]")
@click.option("--full", is_flag=True, help="Rebuild everything, not only what changed.")
@click.option(
    "--models",
    "folders",
    multiple=True,
    metavar="DIR",
    help="Folder of your own models; repeatable [build.models].",
)
@click.option("--as-of", metavar="TIME", help="Build from the values known at this UTC time, into the file of --to.")
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="The file that --as-of writes.")
@click.option(
    "--knowledge",
    type=click.Choice(["landed", "published-lag"]),
    help="What counts as known by --as-of: values fetched by then [landed], or published by then.",
)
@click.option("--force", is_flag=True, help="Let --to replace an existing warehouse file.")
@click.option("--allow-loss", is_flag=True, help="Publish also a version that loses many rows of the published one.")
@click.pass_obj
def build(
    session: Session,
    /,
    models: tuple[str, ...],
    full: bool,
    folders: tuple[str, ...],
    allow_loss: bool,
    as_of: str | None,
    **of_file: Any,
) -> int:
    """Build the models from staging, audit them, and publish the warehouse in one step.

    Without MODEL all models are built; with MODEL (normalized.demand), these models and those they read. Only months
    in which something changed are computed. Readers keep the version that they opened and are never locked out.

    If one of your own models fails, it and the models that read it are left out, the rest is published, and the exit
    status is 1. Models whose folder is no longer given are dropped: name the folder in the setting build.models.

    A version is not published if a table, or a region in it, would lose more than build.max_loss_percent of its rows,
    or all rows of a month: the staging file may have been moved away or be an old copy. --allow-loss publishes it.

    --as-of TIME (a day means its start) runs today's models on the values that were known at TIME, before later
    revisions, and writes a warehouse file to query with 'energywh sql --version FILE'. Nothing is published.
    --knowledge published-lag counts the first fetched value of each hour as known from the time at which the source
    usually publishes it.
    """
    if as_of is not None:
        if allow_loss:
            raise UsageError("--allow-loss does not go with --as-of, which publishes nothing")
        return _build_as_of(session, models, full, as_of, folders=folders, **of_file)
    for option, given in of_file.items():
        if given:
            raise UsageError(f"--{option} belongs to --as-of TIME --to FILE, which writes a file and publishes nothing")
    from energywh.integrations.openlineage import build_listeners
    from energywh.models.build.options import BuildOptions
    from energywh.models.build.runner import build as build_warehouse

    settings = session.load({"build.models": folders or None})
    progress = ProgressLines()
    report = build_warehouse(
        settings.home,
        models,
        full=full,
        options=BuildOptions.of(settings, allow_loss=allow_loss),
        listeners=[*build_listeners(settings, progress.say), progress],
    )
    print_report(report)
    return 1 if report.left_out else 0


def _build_as_of(
    session: Session,
    models: tuple[str, ...],
    full: bool,
    as_of: str,
    *,
    folders: tuple[str, ...],
    to: Path | None,
    knowledge: Literal["landed", "published-lag"] | None,
    force: bool,
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
    knowledge = knowledge or "landed"
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
    click.echo(
        f"wrote {report.path} as of {moment:%Y-%m-%d %H:%M:%S} UTC ({knowledge}): "
        f"{count(len(report.models), 'model')}, {report.path.stat().st_size / 1e6:,.0f} MB, {report.seconds:.1f} s"
    )
    click.echo(f'to query it: energywh sql --version {report.path} "select ..."')
    return _print_left_out(report)


def print_report(report: BuildReport) -> None:
    """Print what a build did, in numbers."""
    if report.published:
        _print_numbers(report)
    else:
        click.echo(f"nothing new; {report.version} stays published ({report.seconds:.2f} s)")
    _print_left_out(report)


def _print_left_out(report: BuildReport) -> int:
    """Print which of the user's own models failed, and return the exit status."""
    if report.left_out:
        click.echo(f"energywh: {left_out_line(report)}", err=True)
    return 1 if report.left_out else 0


def left_out_line(report: BuildReport) -> str:
    """Return one line on the models that were left out; their errors went to the listener."""
    return (
        f"{count(len(report.left_out), 'model')} of your own failed and {'is' if len(report.left_out) == 1 else 'are'} "
        f"not in this version: {', '.join(report.left_out)}; all other models are built"
    )


def _print_numbers(report: BuildReport) -> None:
    _print_warnings(report)
    built = [result for result in report.models if result.built]
    changed = len({month for result in built for month in result.changed_months if month is not None})
    kept = len(report.models) - len(built)
    numbers = [f"{count(len(built), 'model')} built", f"{kept} up to date"]
    if report.base != "fresh":
        numbers.append(f"{count(changed, 'month')} changed")
    numbers += [f"{report.path.stat().st_size / 1e6:,.0f} MB", f"{report.seconds:.1f} s"]
    click.echo(f"published {report.version}: {', '.join(numbers)}")


def _print_warnings(report: BuildReport) -> None:
    for warning in report.warnings:
        what = warning.description or f"audit {warning.audit} fails"
        click.echo(f"warning: {warning.model}: {what} ({count(warning.failures or 0, 'row')}), such as")
        click.echo(warning.sample)


def model_line(result: ModelResult) -> str:
    """Return one line on what was done to a model."""
    if not result.built:
        done = "up to date"
    elif result.months is None:
        done = f"built whole in {result.seconds:.1f} s"
    else:
        done = f"{count(result.months, 'month')} built in {result.seconds:.1f} s"
    if result.materialized == "inline":
        return f"{result.name:<32} {'step':>18}  {'checked' if result.built else 'up to date'}"
    return f"{result.name:<32} {result.rows:>13,} {'row ' if result.rows == 1 else 'rows'}  {done}"


class ProgressLines:
    """A listener that prints one line per model; on a terminal, a last line says which model is being built."""

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
