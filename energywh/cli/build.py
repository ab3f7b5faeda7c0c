"""`energywh build`: staging to a published warehouse."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from energywh.cli import Session
    from energywh.models.build import BuildReport, Listener
    from energywh.models.materialize import ModelResult


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL…]")
@click.option("--full", is_flag=True, help="Compute everything anew, not only what changed.")
@click.option(
    "--models", "folders", multiple=True, metavar="DIR", help="Folder of your own models; repeat [build.models]."
)
@click.pass_obj
def build(session: Session, models: tuple[str, ...], full: bool, folders: tuple[str, ...]) -> int:
    """Build the models from staging, audit them, and publish the warehouse in one step.

    Without MODEL all models are built; with some (normalized.demand), these and what they read. Only months in
    which something changed are computed. Readers keep what they have open and are never locked out.

    Models of your own that fail are left out, with what reads them, and the exit status is 1; the rest is published.
    Those whose folder is not given any more are dropped: keep it in the setting build.models.
    """
    from energywh.models.build import BuildOptions
    from energywh.models.build import build as build_warehouse
    from energywh.openlineage import Target

    settings = session.load({"build.models": folders or None})
    report = build_warehouse(
        settings.home,
        models,
        full=full,
        options=BuildOptions.of(settings),
        listener=progress_listener(),
        events=Target.of(settings),
    )
    print_report(report)
    return 1 if report.left_out else 0


def print_report(report: BuildReport) -> None:
    """Print what a build did, in numbers."""
    if report.published:
        _print_numbers(report)
    else:
        click.echo(f"nothing new; {report.version} stays published ({report.seconds:.2f} s)")
    if report.left_out:
        click.echo(f"energywh: {left_out_line(report)}", err=True)


def left_out_line(report: BuildReport) -> str:
    """Return one line on what was left out; why, the listener was told."""
    return (
        f"of your own models, {', '.join(report.left_out)} failed and {'is' if len(report.left_out) == 1 else 'are'} "
        "left out, with what an earlier version held of them; all else is as it should be"
    )


def _print_numbers(report: BuildReport) -> None:
    for warning in report.warnings:
        what = warning.description or f"audit {warning.audit} fails"
        rows = "1 row" if warning.failures == 1 else f"{warning.failures:,} rows"
        click.echo(f"warning: {warning.model}: {what} ({rows}), such as")
        click.echo(warning.sample)
    built = [result for result in report.models if result.built]
    changed = len({month for result in built for month in result.changed_months if month is not None})
    kept = len(report.models) - len(built)
    numbers = [f"{len(built)} model{'' if len(built) == 1 else 's'} built", f"{kept} up to date"]
    if report.base != "fresh":
        numbers.append(f"{changed:,} month{'' if changed == 1 else 's'} changed")
    numbers += [f"{report.path.stat().st_size / 1e6:,.0f} MB", f"{report.seconds:.1f} s"]
    click.echo(f"published {report.version}: {', '.join(numbers)}")


def model_line(result: ModelResult) -> str:
    """Return one line on what was done to a model."""
    if not result.built:
        done = "up to date"
    elif result.months is None:
        done = f"built whole in {result.seconds:.1f} s"
    else:
        done = f"{result.months} month{'' if result.months == 1 else 's'} built in {result.seconds:.1f} s"
    return f"{result.name:<32} {result.rows:>13,} {'row ' if result.rows == 1 else 'rows'}  {done}"


def progress_listener() -> Listener:
    """Return a listener that prints a line a model, and on a terminal also what is under way."""
    from energywh.models.build import Listener

    class Lines(Listener):
        """Plain lines, for a log."""

        def say(self, message: str) -> None:
            click.echo(message, err=True)

        def built(self, result: ModelResult) -> None:
            click.echo(model_line(result))

    if not sys.stderr.isatty():
        return Lines()

    class Live(Lines):
        """Lines, with one below them that says what is being built; it is wiped when done."""

        def started(self, model: str, position: int, total: int) -> None:
            click.echo(f"\r\x1b[K[{position}/{total}] building {model} …", err=True, nl=False)

        def say(self, message: str) -> None:
            click.echo("\r\x1b[K", err=True, nl=False)
            super().say(message)

        def built(self, result: ModelResult) -> None:
            click.echo("\r\x1b[K", err=True, nl=False)
            super().built(result)

    return Live()
