"""What is checked of an answer before it is landed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from energywh.core.printable import printable
from energywh.errors import EnergywhError, PayloadError
from energywh.sources.base import Chunk, Dataset, Page, Source

if TYPE_CHECKING:
    import pyarrow as pa


def gap_of(source: Source, chunk: Chunk, rows: pa.Table, fetched_hour: int) -> str:
    """Return which hours an answer lacks, as `Source.gap` does; none of a chunk that cannot be published whole yet."""
    dataset = source.dataset(chunk.dataset)
    if chunk.last + max(dataset.publication_lag_hours(), 0) >= fetched_hour:
        return ""  # it is not settled either, and so is fetched again
    return source.gap(dataset, chunk, rows)


@contextlib.contextmanager
def reading(chunk: Chunk) -> Iterator[None]:
    """Make whatever an answer brings its reader to raise a fault of that answer, so that it costs one chunk."""
    try:
        yield
    except EnergywhError:
        raise
    except Exception as error:  # RecursionError and MemoryError of a bomb among them
        raise PayloadError(f"{chunk}: the answer cannot be read ({type(error).__name__}: {printable(error)})") from None


def check_pages(chunk: Chunk, dataset: Dataset, pages: list[Page]) -> None:
    """Refuse an answer without end as soon as it shows: the newest page, or what the source says of the whole.

    Raises:
        PayloadError: too many rows or pages, or rows that came before.
    """
    import pyarrow as pa

    limits = dataset.limits
    rows = max(sum(page.rows_received for page in pages), pages[-1].total or 0)
    if rows > limits.rows:
        raise PayloadError(f"{chunk}: an answer of {rows:,} rows, where at most {limits.rows:,} are accepted")
    if len(pages) > limits.pages:
        raise PayloadError(f"{chunk}: an answer of more than {limits.pages} pages")
    if len(pages) > 1:
        keys = [name for name in pages[0].rows.column_names if name not in dataset.values]
        if _has_repeats(pa.concat_tables([page.rows.select(keys) for page in pages])):
            raise PayloadError(f"{chunk}: rows repeat between pages")


def _has_repeats(keys: pa.Table) -> bool:
    """Return whether a row occurs twice. Each page has dictionaries of its own, which must be made one first."""
    plain = keys.unify_dictionaries()
    return bool(plain.group_by(plain.column_names).aggregate([]).num_rows != len(plain))
