"""`energywh sql`: query the warehouse; the result as table, CSV, JSON or Parquet."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import click

from energywh.cli import Session
from energywh.core.wording import count
from energywh.errors import UsageError


@click.command()
@click.argument("query", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    help="Format of the result [table, or by the name of --output].",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write to FILE.")
@click.option("--version", "version", metavar="VERSION", help="Query another version: name, number, latest~1, file.")
@click.option("--staging", is_flag=True, help="Attach the staging database too, as 'staging'.")
@click.option(
    "--max-rows", type=click.IntRange(min=0), default=40, show_default=True, help="Rows a table shows; 0 for all."
)
@click.pass_obj
def sql(
    session: Session,
    query: str | None,
    form: str | None,
    output: Path | None,
    version: str | None,
    staging: bool,
    max_rows: int,
) -> None:
    """Query the published warehouse in SQL. QUERY may also come from standard input ('-', or a pipe).

    csv has a header and leaves NULL empty; json is one array with one object per line. Both, and parquet, are always
    complete. The warehouse is opened read-only.
    """
    if query is None and sys.stdin.isatty():
        raise UsageError("no query: energywh sql \"select ...\", or '-' to read it from standard input")
    if query is None or query == "-":
        query = sys.stdin.read()
    if not query.strip():
        raise UsageError("the query is empty")
    from energywh.cli.query_output import form_for, write_file, write_stream
    from energywh.core.interrupt import interruptible
    from energywh.warehouse import Warehouse

    chosen = form_for(form, output)
    if chosen == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet cannot be shown on a terminal: give --output FILE, or pipe it")
    with Warehouse(session.home, version) as warehouse, interruptible(warehouse.connection):
        if staging:
            warehouse.attach_staging(
                session.settings.get("lock.wait_seconds"), on_wait=lambda text: click.echo(text, err=True)
            )
        try:
            relation = warehouse.sql(query)
        except UsageError as error:
            if staging or not re.search(r"\bstaging\s*\.", query, re.IGNORECASE):
                raise
            raise UsageError(f"{error}\nTo query tables of staging, add the option --staging") from None
        if output is not None:
            rows = write_file(relation, chosen, output, max_rows)
            click.echo(f"wrote {count(rows, 'row')} to {output}", err=True)
            return
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        write_stream(relation, chosen, sys.stdout.buffer, max_rows, width)
        sys.stdout.flush()
