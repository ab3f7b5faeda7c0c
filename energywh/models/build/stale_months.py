"""Choose the months of a model to build: those that may have other rows than before.

A part of a model is built only if the model declares how far back and ahead it reads.
"""

from __future__ import annotations

from collections.abc import Set
from datetime import date

from energywh.models.build.promises import check_dataset
from energywh.models.contents.build_state import BuildState
from energywh.models.contents.digests import Digests
from energywh.models.contents.months import SPAN_MONTHS, Span, short_spans, widen
from energywh.models.contents.staging import Staging
from energywh.models.contents.state import ModelState
from energywh.models.project.graph import Graph
from energywh.models.project.model import Model

# Above this share of a model's months, building all of it costs less than month after month.
WHOLE_ABOVE = 0.5
# Values (rows times columns) computed at once when all of a model is built, at most; some 8 bytes each.
BATCH_VALUES = 150e6


def is_whole_cheaper(months: Set[date], before: Digests) -> bool:
    """Return whether building all of a model, last built with the months of ``before``, costs less than ``months``."""
    return len(months) > WHOLE_ABOVE * len(months | before.keys())


class StaleMonths:
    """Tells which months of a model to build, and in which batches when all of it is built."""

    def __init__(self, graph: Graph, state: BuildState, staging: Staging, *, full: bool) -> None:
        self._graph = graph
        self._state = state
        self._staging = staging
        self._full = full

    def of(self, model: Model, known: ModelState | None) -> set[date] | None:
        """Return the months of ``model`` to build, or None for all of it.

        Raises:
            ModelError: it reads a staging table that does not exist, or that has no column of the hour.
        """
        tables = self._graph.staging(model.name)
        for table in tables:
            check_dataset(self._staging, self._graph, model, table)
        if known is None or known.sql_hash != model.sql_hash or self._full:
            return None
        if tables and not self._staging.holds(known.landing):
            return None
        changed: set[date | None] = set(self._state.changed_inputs(model.name, self._graph.upstream(model.name)))
        if tables:
            changed |= self._staging.changed_months(tables, known.landing)
        if not changed:
            return set()
        if None in changed or not model.by_month:
            return None
        months = widen((month for month in changed if month is not None), model.lookback, model.lookahead)
        if not tables:  # the months of staging are not counted
            months &= self._months_read(model).keys() | self._state.digests(model.name).keys() | changed
        return months

    def batches(self, model: Model, column_count: int) -> list[Span]:
        """Return the spans in which to compute all of ``model``, so that each fits in memory.

        Windows and joins hold what they compute until they are done with it. A model that reads staging, whose
        months are not counted, is one batch.
        """
        if not model.by_month or self._graph.staging(model.name):
            return []
        found = self._months_read(model)
        if not found:
            return []
        months = sorted(widen(found, model.lookback, model.lookahead))
        at_once = min(SPAN_MONTHS, max(1, int(BATCH_VALUES / (max(found.values()) * column_count))))
        return list(short_spans(months, at_once))

    def _months_read(self, model: Model) -> dict[date, int]:
        """Return the months in which a model or seed that ``model`` reads has rows, and the rows of the longest."""
        found: dict[date, int] = {}
        for name in self._graph.upstream(model.name):
            for month, digest in self._state.digests(name).items():
                if month is not None:
                    found[month] = max(found.get(month, 0), digest.rows)
        return found
