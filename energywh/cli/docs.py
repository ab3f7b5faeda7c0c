"""`energywh docs`: the catalog as a small static site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from energywh.cli import Session


@click.command()
@click.option("--to", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Default: docs in the home.")
@click.pass_obj
def docs(session: Session, folder: Path | None) -> None:
    """Write the catalog as a small static site: a page a table, a page a source, the last build, and the lineage.

    Plain HTML to be opened from disk or put on any server. Works before the first build too, without counts.
    """
    from energywh.models.catalog.site.pages import write_site

    folder = folder or session.home.docs
    pages = write_site(session.home, folder, session.settings.get("build.models"))
    click.echo(f"wrote {pages} pages; begin at {folder / 'index.html'}")
