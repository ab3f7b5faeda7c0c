"""Keys are printed wherever rows are: a row whose key could act on a terminal, or is no name at all, is not kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from energywh.sources.base import Dataset, Page, PayloadWarning

if TYPE_CHECKING:
    import pyarrow as pa

MAX_KEY_CHARS = 200


def drop_unprintable_keys(dataset: Dataset, page: Page) -> Page:
    """Return the page without rows that have a control character in a key, or a key that is overlong; and a warning."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = None
    example = ""
    for key in dataset.keys:
        odd = sorted(label for label in _labels(page.rows[key]) if not _is_name(label))
        if odd:
            example = example or odd[0]
            is_odd = pc.is_in(page.rows[key].cast(pa.string()), pa.array(odd, pa.string())).to_numpy()
            kept = ~is_odd if kept is None else kept & ~is_odd
    if kept is None or kept.all():
        return page
    warning = PayloadWarning("unreadable_rows", example, int(np.count_nonzero(~kept)))
    rows = page.rows.filter(pa.array(kept))
    return replace(page, rows=rows, received=page.rows_received, warnings=(*page.warnings, warning))


def _labels(column: pa.ChunkedArray) -> set[str]:
    import pyarrow as pa

    found: set[str] = set()
    for chunk in column.chunks:
        labels = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk.unique()
        found.update(label for label in labels.to_pylist() if label is not None)
    return found


def _is_name(label: str) -> bool:
    return label.isprintable() and len(label) <= MAX_KEY_CHARS
