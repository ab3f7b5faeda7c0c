"""Build HTML; all text is escaped, unless it is `Markup`."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def escaped(content: object) -> Markup:
    """Return ``content`` as HTML: text escaped, markup unchanged, the items of a list joined, None as nothing."""
    if isinstance(content, Markup):
        return content
    if content is None:
        return Markup("")
    if isinstance(content, Iterable) and not isinstance(content, str):
        return Markup("".join(map(escaped, content)))
    return Markup(html.escape(str(content)))


def tag(name: str, /, *content: object, **attributes: object) -> Markup:
    """Return an element: `tag("a", "text", href="x")`.

    Args:
        attributes: `class_` means class, `view_box` viewBox, other underscores hyphens; None omits the attribute.
    """
    own = {"class_": "class", "view_box": "viewBox"}
    shown = "".join(
        f' {own.get(key) or key.replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in ("link", "meta", "input", "br"):
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{escaped(content)}</{name}>")


def table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> Markup:
    """Return a table; a column whose heading ends in `#` has numbers and is aligned right."""
    listed = list(headings)
    sides = ["number" if heading.endswith("#") else None for heading in listed]
    head = tag(
        "tr", [tag("th", heading.rstrip("# "), class_=side) for heading, side in zip(listed, sides, strict=True)]
    )
    body = [tag("tr", [tag("td", cell, class_=side) for cell, side in zip(row, sides, strict=True)]) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", body)), class_="wide")


def pairs(rows: Iterable[tuple[str, object]]) -> Markup:
    """Return a table of names and values."""
    body = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in rows]
    return tag("div", tag("table", tag("tbody", body), class_="pairs"), class_="wide")
