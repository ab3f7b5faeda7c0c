"""`energywh export`: models as Parquet files."""

from __future__ import annotations

from pathlib import Path

import click

from energywh.cli import Session
from energywh.cli.output import Progress
from energywh.core.wording import count
from energywh.errors import UsageError


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--all", "everything", is_flag=True, help="All models except the seeds.")
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="FOLDER", help="Folder to write to [the home's parquet/]."
)
@click.pass_obj
def export(session: Session, models: tuple[str, ...], everything: bool, to: Path | None) -> None:
    """Write models as Parquet (zstd), one file per month: FOLDER/MODEL/export_year=YYYY/YYYY-MM.parquet.

    Give MODEL with or without its schema. Only months that changed since the last export are written, and each
    file is replaced in one step. Readers that know hive partitioning (DuckDB, Polars, PyArrow) add the year of
    the folder as the column export_year, so a model with a column of that name is refused.
    """
    if everything and models:
        raise UsageError("name the models or give --all, not both")
    if not everything and not models:
        raise UsageError("name the models to export, or give --all")
    from energywh.core.interrupt import interruptible
    from energywh.datasets.parquet_export import export_models
    from energywh.warehouse import Warehouse

    progress = Progress()
    written = rows = size = 0
    seconds = 0.0
    with Warehouse(session.home) as warehouse, interruptible(warehouse.connection):
        for result in export_models(
            warehouse.connection,
            session.home,
            None if everything else list(models),
            to,
            wait_seconds=session.settings.get("lock.wait_seconds"),
            on_wait=lambda text: click.echo(text, err=True),
            on_file=lambda model, done, due: progress(f"exporting {model}", done, due),
        ):
            progress.end()
            removed = f", {result.removed} removed" if result.removed else ""
            click.echo(
                f"{result.model}: {result.written} written, {result.skipped} unchanged{removed}; "
                f"{count(result.total_rows, 'row')}, {result.total_bytes / 1e6:,.1f} MB in {result.folder}"
            )
            written += result.written
            rows += result.rows
            size += result.bytes
            seconds += result.seconds
    click.echo(f"exported {count(written, 'file')}, {count(rows, 'row')}, {size / 1e6:,.1f} MB in {seconds:.1f} s")
