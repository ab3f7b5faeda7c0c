"""Models and a seed that are made from what the sources declare, so that a new source needs no model changed.

Steps over the staging tables of all datasets: `sources.arrived_row`, `sources.held_month` and `sources.revised_value`.
The seed `seeds.publication_lag`. A project has those of them that its models name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from energywh.core.sql_text import identifier, text
from energywh.models.project.model import Model
from energywh.models.project.seed import Seed
from energywh.sources import all_datasets, publication_lag_rows
from energywh.sources.base import Dataset

SCHEMA = "sources"
PUBLICATION_LAG = "seeds.publication_lag"
_DECLARATIONS = Path(__file__).parents[2] / "sources"

_DATASET = "Dataset of staging, such as eia.region_data."
_REGION = "Whose rows they are: a respondent of EIA, a region of the weather, or CAISO's area, hub, node or zone."
_MEASURE = "What is measured: EIA's type, fuel, neighbor or subregion; CAISO's market, component or schedule."


@dataclass(frozen=True)
class _Step:
    """A step over all datasets.

    Attributes:
        selects: gives the SELECTs of one dataset, all with the same columns.
    """

    description: str
    grain: tuple[str, ...]
    columns: Mapping[str, str]
    selects: Callable[[Dataset], Iterator[str]]
    time_column: str | None = field(default=None)


def generated_models(texts: Iterable[str]) -> dict[str, Model]:
    """Return by name the steps that one of ``texts``, the SQL of models, names."""
    sql = "\n".join(texts).lower()
    steps = {f"{SCHEMA}.{end}": step for end, step in _STEPS.items()}
    return {name: _model(name, step) for name, step in steps.items() if name in sql}


def generated_seeds(texts: Iterable[str]) -> dict[str, Seed]:
    """Return by name the seeds that one of ``texts``, the SQL of models, names."""
    if not any(PUBLICATION_LAG in sql.lower() for sql in texts):
        return {}
    rows = publication_lag_rows()
    columns = {"dataset": "VARCHAR", "key": "VARCHAR", "measure": "VARCHAR", "lag_hours": "BIGINT", "source": "VARCHAR"}
    digest = hashlib.sha256(repr((columns, rows)).encode()).hexdigest()[:16]
    return {PUBLICATION_LAG: Seed(PUBLICATION_LAG, _DECLARATIONS, digest, declared=(columns, rows))}


def _model(name: str, step: _Step) -> Model:
    sql = "\nunion all\n".join(select for dataset in all_datasets().values() for select in step.selects(dataset))
    digest = hashlib.sha256(repr((sql, step.description, step.columns)).encode()).hexdigest()[:16]
    return Model(
        name=name,
        path=_DECLARATIONS,
        sql=sql,
        description=step.description,
        materialized="inline",
        grain=step.grain,
        time_column=step.time_column,
        may_be_empty=True,
        columns=dict(step.columns),
        sql_hash=digest,
        file_hash=digest,
    )


def _hour(dataset: Dataset, *, whole: bool = False) -> str:
    """Return the SQL of the start of a row's hour, or of its interval where that is shorter and ``whole`` is False."""
    stamp = identifier(dataset.time_column)
    start = f"{stamp} - interval {dataset.stamp_offset_hours} hour" if dataset.stamp_offset_hours else stamp
    return f"date_trunc('hour', {start})" if whole and dataset.interval_minutes != 60 else start


def _arrived_row(dataset: Dataset) -> Iterator[str]:
    table = f"staging.{dataset.name}"
    total = f" where {identifier(dataset.region_column)} = {text(dataset.region_total)}" if dataset.region_total else ""
    yield f"""select
    {text(dataset.name)} as dataset,
    {identifier(dataset.measure_key) if dataset.measure_key else "'all'"} as measure,
    {text(dataset.region) if dataset.region else identifier(dataset.region_column)} as region,
    concat_ws(' ', {", ".join(map(identifier, dataset.keys))}) as row_key,
    {identifier(dataset.time_column)} as stamp_utc,
    {_hour(dataset, whole=True)} as hour_utc,
    coalesce({", ".join(map(identifier, dataset.arrived))}) is not null as has_value,
    known_from_utc,
    known_until_utc is null as is_current
from (from {table} union all by name from {table}_revision){total}"""


def _each(values: Sequence[str]) -> str:
    """Return the SQL of a row for each of ``values``."""
    return values[0] if len(values) == 1 else f"unnest([{', '.join(values)}])"


def _measure(dataset: Dataset) -> str:
    """Return the SQL of what each value followed measures: the keys that tell, and what its column adds."""
    measures = []
    for _, added in dataset.followed:
        parts = [*map(identifier, dataset.detail_keys), *([text(added)] if added else [])]
        measures.append(parts[0] if len(parts) == 1 else f"concat_ws(' ', {', '.join(parts)})")
    return _each(measures)


def _held_month(dataset: Dataset) -> Iterator[str]:
    region = identifier(dataset.region_column)
    keys = "".join(f"{identifier(key)}, " for key in dataset.detail_keys)
    yield f"""select {text(dataset.name)} as dataset, region, {_measure(dataset)} as measure, month_utc, rows_held
from (
    select {region} as region, {keys}date_trunc('month', {_hour(dataset)}) as month_utc, count(*) as rows_held
    from staging.{dataset.name}
    group by all
)"""


def _revised_value(dataset: Dataset) -> Iterator[str]:
    table = f"staging.{dataset.name}"
    keys = ", ".join(map(identifier, (dataset.time_column, *dataset.keys)))
    part = ", ".join(map(identifier, dataset.part_keys))
    value = _each([identifier(column) for column, _ in dataset.followed])
    for until, rows in (
        ("known_until_utc", f"{table}_revision"),
        ("cast(null as timestamp)", f"{table} semi join {table}_revision using ({keys})"),
    ):
        yield f"""select
    {text(dataset.name)} as dataset,
    {identifier(dataset.region_column)} as region,
    {_measure(dataset)} as measure,
    {f"concat_ws(' ', {part})" if part else "cast(null as varchar)"} as part,
    {identifier(dataset.time_column)} as stamp_utc,
    {_hour(dataset)} as start_utc,
    {value} as value,
    known_from_utc,
    {until} as known_until_utc
from {rows}"""


_STEPS = {
    "arrived_row": _Step(
        "Every row of every dataset that staging holds or held: one for each time at which it became known.",
        ("dataset", "row_key", "stamp_utc", "hour_utc", "known_from_utc"),
        {
            "dataset": _DATASET,
            "measure": "The rows that are published together: EIA's type or CAISO's market; all where all rows are.",
            "region": "Respondent, EIA code; CISO for CAISO's own datasets.",
            "row_key": "The keys of the row, with a space between them.",
            "stamp_utc": "The time that the source gives the row, UTC.",
            "hour_utc": "Start of the hour, UTC.",
            "has_value": "True if one of the values that the dataset is fetched for is there.",
            "known_from_utc": "When the row became known here, UTC.",
            "is_current": "True if no later fetch changed the row.",
        },
        _arrived_row,
        "hour_utc",
    ),
    "held_month": _Step(
        "How many rows staging holds of every dataset, region, measure and month.",
        ("dataset", "region", "measure", "month_utc"),
        {
            "dataset": _DATASET,
            "region": _REGION,
            "measure": _MEASURE,
            "month_utc": "First hour of the month, UTC.",
            "rows_held": "Rows with or without a value; count.",
        },
        _held_month,
        "month_utc",
    ),
    "revised_value": _Step(
        "Every value that a revised row has or had, of every dataset; of rows that were never revised none.",
        ("dataset", "region", "measure", "part", "stamp_utc", "known_from_utc"),
        {
            "dataset": _DATASET,
            "region": _REGION,
            "measure": _MEASURE,
            "part": "What else tells rows apart, such as the file or the place; NULL if nothing does.",
            "stamp_utc": "The time that the source gives the row, UTC.",
            "start_utc": "Start of the hour, or of the shorter interval, UTC.",
            "value": "The value, in the unit of the dataset; NULL where it had none.",
            "known_from_utc": "When the value became known here, UTC.",
            "known_until_utc": "When it was revised or withdrawn, UTC; NULL for the value that holds.",
        },
        _revised_value,
    ),
}
