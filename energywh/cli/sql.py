"""`energywh sql`: query the warehouse; the result as table, CSV, JSON or Parquet."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from energywh.cli import Session
from energywh.cli.output import Count
from energywh.core.wording import count
from energywh.errors import StorageError, UsageError


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
@click.option("--files", is_flag=True, help="Let the query read files of this machine, such as from 'mine.csv'.")
@click.option("--timezone", metavar="ZONE", help="Show TIMESTAMP WITH TIME ZONE in this zone [UTC].")
@click.option("--max-rows", type=Count(min=0), default=40, show_default=True, help="Rows a table shows; 0 for all.")
@click.pass_obj
def sql(
    session: Session,
    query: str | None,
    form: str | None,
    output: Path | None,
    version: str | None,
    staging: bool,
    files: bool,
    timezone: str | None,
    max_rows: int,
) -> None:
    """Query the published warehouse in SQL. QUERY may also come from standard input ('-', or a pipe).

    csv has a header and leaves NULL empty; json is one array with one object per line. Both, and parquet, are always
    complete.

    The query can only read, and no file unless --files is given: never the settings of the warehouse nor what is in
    the environment of a process. Times such as hour_utc stay UTC; hour_utc AT TIME ZONE 'UTC' is shown in the zone of
    --timezone, or of SET TimeZone = '...'; before the query.
    """
    if query is None and sys.stdin.isatty():
        raise UsageError("no query: energywh sql \"select ...\", or '-' to read it from standard input")
    if query is None or query == "-":
        query = sys.stdin.read()
    if not query.strip():
        raise UsageError("the query is empty")
    from energywh.cli.query_output import form_for, scratch_folders, write_file, write_stream
    from energywh.core.interrupt import interruptible
    from energywh.core.query import set_time_zone
    from energywh.warehouse import Warehouse

    chosen = form_for(form, output)
    if chosen == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet cannot be shown on a terminal: give --output FILE, or pipe it")
    with (
        scratch_folders(chosen, output) as scratch,
        Warehouse(session.home, version) as warehouse,
        interruptible(warehouse.connection),
    ):
        if staging:
            warehouse.attach_staging()
        warehouse.restrict(files=files, scratch=scratch)
        if timezone is not None:
            set_time_zone(warehouse.connection, timezone)
        with _hints(query, staging=staging, files=files):
            relation = warehouse.sql(query)
            if output is not None:
                rows = write_file(relation, chosen, output, max_rows, *scratch)
                click.echo(f"wrote {count(rows, 'row')} to {output}", err=True)
                return
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
            write_stream(relation, chosen, sys.stdout.buffer, max_rows, width, *scratch)
        sys.stdout.flush()


@contextmanager
def _hints(query: str, *, staging: bool, files: bool) -> Iterator[None]:
    """Name the option that a failed query needs."""
    try:
        yield
    except (UsageError, StorageError) as error:
        if not staging and re.search(r"\bstaging\s*\.", query, re.IGNORECASE):
            raise type(error)(f"{error}\nTo query tables of staging, add the option --staging") from None
        if not files and "disabled by configuration" in str(error):
            raise UsageError(f"{error}\nTo let a query read files of this machine, add the option --files") from None
        raise
