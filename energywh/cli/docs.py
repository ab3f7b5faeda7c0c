"""`energywh docs`: write the catalog as a small static site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from energywh.core.wording import count

if TYPE_CHECKING:
    from energywh.cli import Session


@click.command()
@click.option("--to", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Default: docs in the home.")
@click.pass_obj
def docs(session: Session, folder: Path | None) -> None:
    """Write the catalog as a small static site: a page per table and per source, the last build, and the lineage.

    Plain HTML, to open from disk or to serve. Works before the first build too, without row counts.
    """
    from energywh.models.catalog.site.pages import write_site

    folder = folder or session.home.docs
    pages = write_site(session.home, folder, session.settings.get("build.models"))
    click.echo(f"wrote {count(pages, 'page')}; open {folder / 'index.html'}")
