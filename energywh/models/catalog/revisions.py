"""How the sources revise, read from the published model `quality.revisions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from energywh.errors import StorageError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    import duckdb

MODEL = "quality.revisions"


@dataclass(frozen=True)
class Revisions:
    """How a dataset revised one region (or area, hub, node, zone), over some months.

    Attributes:
        rows: rows held, with or without a value.
        gone: rows that were held once and are gone for good.
        revised: rows of both whose value was revised at least once; a value that is gone was.
        revisions: how often; ``filled`` of them gave a value where there was none, ``withdrawn`` took one away with its
            row.
        typical_delay_hours: from the end of an hour until a revision was seen: the median of the medians of months and
            measures, each counted as often as it has revisions.
        max_delay_hours: the longest; of rows fetched within 14 days of their hour, like the typical one.
        mean_change_percent: absolute change as a share of the value before, mean of revisions.
        max_change: the greatest absolute change, in the unit of the dataset.
    """

    dataset: str
    region: str
    rows: int
    gone: int
    revised: int
    revisions: int
    filled: int
    withdrawn: int
    typical_delay_hours: float | None
    max_delay_hours: float | None
    mean_change_percent: float | None
    max_change: float | None
    newest_revision_utc: datetime | None


def read_revisions(
    connection: duckdb.DuckDBPyConnection,
    regions: Sequence[str] = (),
    datasets: Sequence[str] = (),
    since: datetime | None = None,
) -> list[Revisions]:
    """Return how each dataset revised each region, by name.

    Args:
        regions: only these, in any case of letters; empty for all.
        datasets: only these, or all of these sources; empty for all.
        since: only hours of the month that holds this moment, and later.

    Raises:
        UnknownNameError: a region or dataset of which the warehouse holds nothing.
        StorageError: the version does not have this model.
    """
    import duckdb

    try:
        known = connection.execute(f"SELECT DISTINCT dataset, region FROM {MODEL}").fetchall()
    except duckdb.CatalogException:
        raise StorageError(f"this version has no table {MODEL}: run 'energywh build'") from None
    in_datasets = {name.lower() for name in datasets}
    names = {part for dataset, _ in known for part in (dataset, dataset.split(".")[0])}
    _check(in_datasets, names, "dataset")
    folded = {region.casefold() for _, region in known}
    _check([region.casefold() for region in regions], folded, "region", {r.casefold(): r for _, r in known})
    try:
        rows = connection.execute(
            f"""
            WITH chosen AS (
                FROM {MODEL}
                WHERE (len($regions) = 0 OR lower(region) IN (SELECT unnest($regions)))
                    AND (len($datasets) = 0 OR dataset IN (SELECT unnest($datasets))
                        OR split_part(dataset, '.', 1) IN (SELECT unnest($datasets)))
                    AND ($since IS NULL OR month_utc >= date_trunc('month', $since::TIMESTAMP))
            ), weighed AS (
                SELECT dataset, region, median_delay_hours,
                    sum(revisions) OVER (PARTITION BY dataset, region) AS of_all,
                    sum(revisions) OVER (
                        PARTITION BY dataset, region ORDER BY median_delay_hours ROWS UNBOUNDED PRECEDING
                    ) AS upto
                FROM chosen WHERE median_delay_hours IS NOT NULL
            ), typical AS (
                SELECT dataset, region, min(median_delay_hours) FILTER (2 * upto >= of_all) AS typical_delay_hours
                FROM weighed GROUP BY ALL
            )
            SELECT dataset, region, sum(rows_held)::BIGINT, sum(rows_gone)::BIGINT, sum(rows_revised)::BIGINT,
                sum(revisions)::BIGINT, sum(filled)::BIGINT, sum(withdrawn)::BIGINT,
                any_value(typical_delay_hours), max(max_delay_hours),
                sum(mean_change_percent * (revisions - filled - withdrawn))
                    / nullif(sum(revisions - filled - withdrawn) FILTER (mean_change_percent IS NOT NULL), 0),
                max(max_change), max(newest_revision_utc)
            FROM chosen LEFT JOIN typical USING (dataset, region)
            GROUP BY ALL ORDER BY dataset, region
            """,
            {
                "regions": [region.casefold() for region in regions],
                "datasets": list(in_datasets),
                "since": since,
            },
        ).fetchall()
    except duckdb.BinderException:
        raise StorageError(
            f"{MODEL} of this version has other columns, as an older energywh built it: run 'energywh build'"
        ) from None
    return [Revisions(*row) for row in rows]


def _check(wanted: Sequence[str] | set[str], known: set[str], what: str, shown: dict[str, str] | None = None) -> None:
    """Refuse a name of which nothing is known."""
    for name in sorted(wanted):
        if name not in known:
            names = [(shown or {}).get(each, each) for each in known]
            raise UnknownNameError(f"the warehouse holds nothing of {what} '{name}'{did_you_mean(name, names)}")
