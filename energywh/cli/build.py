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
@click.pass_obj
def build(session: Session, models: tuple[str, ...], full: bool) -> None:
    """Build the models from staging, audit them, and publish the warehouse in one step.

    Without MODEL all models are built; with some (normalized.demand), these and what they read. Only months in
    which something changed are computed. Readers keep what they have open and are never locked out.
    """
    from energywh.models.build import BuildOptions
    from energywh.models.build import build as build_warehouse

    options = BuildOptions.of(session.settings)
    listener = progress_listener()
    report = build_warehouse(session.home, models, full=full, options=options, listener=listener)
    print_report(report)


def print_report(report: BuildReport) -> None:
    """Print what a build did, in numbers."""
    if not report.published:
        click.echo(f"nothing new; {report.version} stays published ({report.seconds:.2f} s)")
        return
    for warning in report.warnings:
        what = warning.description or f"audit {warning.audit} fails"
        rows = "1 row" if warning.failures == 1 else f"{warning.failures or 0:,} rows"
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
