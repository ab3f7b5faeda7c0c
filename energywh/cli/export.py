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
@click.option("--full", is_flag=True, help="Write every file, also those that did not change.")
@click.option("--verify", is_flag=True, help="Write nothing; compare every byte with what was written.")
@click.pass_obj
def export(
    session: Session, models: tuple[str, ...], everything: bool, to: Path | None, full: bool, verify: bool
) -> int:
    """Write models as Parquet (zstd), one file per month: FOLDER/MODEL/export_year=YYYY/YYYY-MM.parquet.

    Give MODEL with or without its schema. Only months that changed since the last export are written, and each
    file is replaced in one step. Readers that know hive partitioning (DuckDB, Polars, PyArrow) add the year of
    the folder as the column export_year, so a model with a column of that name is refused.

    A file that another program changed is written again. What a disk changes by itself is found by --verify, which
    reads all files of MODEL [all that were exported], names what is damaged, missing or was not exported, and exits
    with 1 where anything is wrong; --full mends it.
    """
    if verify:
        if full:
            raise UsageError("give --verify or --full, not both")
        return _verify(to or session.home.parquet, models)
    if everything and models:
        raise UsageError("name the models or give --all, not both")
    if not everything and not models:
        raise UsageError("name the models to export, or give --all")
    from energywh.core.interrupt import interruptible
    from energywh.datasets.parquet_export import export_models
    from energywh.models.versions.records import require_unchanged
    from energywh.warehouse import Warehouse

    progress = Progress()
    written = rows = size = 0
    seconds = 0.0
    with Warehouse(session.home) as warehouse, interruptible(warehouse.connection):
        require_unchanged(warehouse.path)
        for result in export_models(
            warehouse.catalog_connection,
            session.home,
            None if everything else list(models),
            to,
            full=full,
            wait_seconds=session.settings.get("lock.wait_seconds"),
            on_wait=lambda text: click.echo(text, err=True),
            on_file=lambda model, done, due: progress(f"exporting {model}", done, due),
        ):
            progress.end()
            for name in result.damaged:
                click.echo(f"{result.model}: {name} was missing or changed; it was written again")
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
    return 0


def _verify(folder: Path, models: tuple[str, ...]) -> int:
    """Print the problems of exported files; return 1 where there are any, else 0."""
    from energywh.datasets.export_verify import verify_export

    progress = Progress()
    checked = 0

    def on_file(name: str, done: int, of: int) -> None:
        nonlocal checked
        checked += 1
        progress(f"verifying {name.partition('/')[0]}", done, of)

    found = verify_export(folder, models, on_file=on_file)
    progress.end()
    wrong = [(model, each) for model, problems in found.items() for each in problems if each.kind != "foreign"]
    for model, problems in found.items():
        for problem in problems:
            click.echo(f"{model}: {problem.file}: {problem.text}")
    verdict = count(len(wrong), "problem") if wrong else "every byte is as it was written"
    click.echo(f"{count(len(found), 'model')}, {count(checked, 'file')} in {folder}: {verdict}")
    if broken := dict.fromkeys(model for model, problem in wrong if problem.kind != "stray"):
        click.echo(f"'energywh export --full {' '.join(broken)}' writes all their files again", err=True)
    return 1 if wrong else 0
