"""What is to be made of a dataset, known before its values are loaded: its splits, statistics and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from energywh.core.checksums import digest_of
from energywh.core.query import ask
from energywh.core.time import hour_number
from energywh.datasets.stored.formats import SUFFIXES, Form, months
from energywh.datasets.stored.manifest import FORMAT, Manifest
from energywh.datasets.stored.provenance import Origin
from energywh.datasets.stored.request import DatasetSpec
from energywh.datasets.windows import scaler as scaling
from energywh.datasets.windows import scaler_fit as fitting
from energywh.datasets.windows.find_splits import find_splits
from energywh.datasets.windows.matrix import Axis
from energywh.datasets.windows.plan import Plan
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.source import Bound
from energywh.datasets.windows.splits import Split
from energywh.datasets.windows.survey import survey_by_sql
from energywh.errors import NoTrainValueError
from energywh.models.build.months import next_month, start_of
from energywh.models.build.state import unit_of

if TYPE_CHECKING:
    import duckdb

OnStep = Callable[[str, int, int], None]  # what is done, how much of it, of how much


@dataclass(frozen=True)
class Task:
    """All that is known before the values are.

    Attributes:
        about: by column its unit and description, as far as there are any.
        regions: of all splits.
    """

    request: DatasetSpec
    plan: Plan
    origin: Origin
    regions: tuple[str, ...]
    sections: list[Split]
    scaler: Scaler | None
    about: Mapping[str, Mapping[str, str]]

    @property
    def forms(self) -> tuple[Form, ...]:
        return ("safetensors", *self.request.formats)  # type: ignore[arg-type]

    @property
    def roles(self) -> dict[str, list[str]]:
        """What each column is used for: "feature", "target", "future_covariate"."""
        used = {
            "feature": self.plan.wanted.features,
            "target": self.plan.wanted.targets,
            "future_covariate": self.plan.ahead,
        }
        return {
            name: [role for role, names in used.items() if name in names]
            for name in dict.fromkeys((*self.plan.wanted.columns, *self.plan.ahead))
        }

    def files_of(self, section: Split) -> list[str]:
        """Return the names of the files of a split, below the dataset's folder."""
        return [
            *(matrix_file(section, form) for form in self.forms),
            *(month_file(section, month) for month in months(section.axis)),
        ]

    @cached_property
    def made_of(self) -> dict[str, str]:
        """By file of the dataset, a digest of what it is to be made of; empty where that is not known."""
        import pyarrow

        files: dict[str, str] = {}
        for section in self.sections:
            known = {month: self._rows(section, month) for month in months(section.axis)}
            for month, digest in known.items():
                files[month_file(section, month)] = _joined("Parquet", pyarrow.__version__, self.about, digest)
            matrix = (
                section.name,
                self.regions,
                [rows.tolist() for rows in section.starts],
                _stretches(section.axis),
                (
                    self.plan.wanted.features,
                    self.plan.wanted.targets,
                    self.plan.wanted.future_covariates,
                    self.plan.ahead,
                ),
                (self.request.length, self.request.stride, self.request.horizon, self.request.dtype),
                None if self.scaler is None else self.scaler.to_dict(),
            )
            for form in self.forms:
                files[matrix_file(section, form)] = _joined(form, *matrix, *known.values())
        return files

    def _rows(self, section: Split, month: date) -> str:
        """Return what the rows of a month of a split are known by; empty where nothing is known of them."""
        known = self.origin.rows_of(month)
        return "" if known is None else digest_of([known, self.plan.wanted.columns, _stretches(section.axis, month)])


def _joined(what: str, *parts: object) -> str:
    """Return the digest of ``parts``; empty where one of them is empty text, which stands for what is not known."""
    return "" if "" in parts else digest_of([FORMAT, what, *parts])


def _stretches(axis: Axis, month: date | None = None) -> list[tuple[str, int, int]]:
    """Return of each region its hours, or those of one month: (region, first, end), since 1970."""
    ends = axis.first_hour + np.diff(axis.offset)
    stretches = list(zip(axis.regions, axis.first_hour.tolist(), ends.tolist(), strict=True))
    if month is None:
        return stretches
    low, high = hour_number(start_of(month)), hour_number(start_of(next_month(month)))
    return [(region, max(first, low), min(end, high)) for region, first, end in stretches if first < high and end > low]


def matrix_file(section: Split, form: Form) -> str:
    """Return the name of the file of a matrix, below the dataset's folder."""
    return f"{section.name}{SUFFIXES[form]}"


def month_file(section: Split, month: date) -> str:
    """Return the name of the Parquet file of a month, below the dataset's folder."""
    return f"{section.name}/{month:%Y-%m}.parquet"


def plan_task(
    connection: duckdb.DuckDBPyConnection,
    request: DatasetSpec,
    plan: Plan,
    origin: Origin,
    before: Manifest | None,
    on_step: OnStep,
) -> Task:
    """Survey the source, part it, and measure it, where that was not done on the same rows ``before``.

    Raises:
        UnknownNameError, UsageError, WindowError: as `energywh.Warehouse.windows`.
    """
    asked = scaling.choice(request.normalize)
    scaling.check_held_out(asked, request.holdout_regions or ())
    on_step(f"looking through {plan.source.name}", 0, 1)
    survey = survey_by_sql(connection, plan)
    splits = find_splits(survey, plan)
    about = _about(connection, plan.source, plan.wanted.columns)
    task = Task(request, plan, origin, survey.axis.regions, [split.on_its_own() for split in splits], None, about)
    scaler = _scaler_of(before, task) if isinstance(asked, scaling.Choice) else asked
    if scaler is None and isinstance(asked, scaling.Choice):
        on_step("measuring statistics", 0, 1)
        hours = fitting.hours_of(survey.axis, plan.shape, splits[0].starts)
        try:
            scaler = fitting.fit(connection, plan.source, survey, hours, asked)
        except NoTrainValueError as error:
            return plan_task(connection, request, plan.without(error), origin, before, on_step)
    if scaler is not None:
        for region in dict.fromkeys(region for section in task.sections for region in section.regions):
            scaler.table(plan.wanted.columns, region)  # says what it cannot scale, before hours of work
    return replace(task, scaler=scaler)


def _scaler_of(before: Manifest | None, task: Task) -> Scaler | None:
    """Return the scaler of the dataset as it was, if its train part was made of the same; None if it was not.

    Nor where a column had no value in train: a value that it has elsewhere now would make it one that cannot be scaled.
    """
    if before is None or before.scaler is None or before.request.normalize != task.request.normalize:
        return None
    train = task.sections[0]
    rows = next((split.rows for split in before.splits if split.name == train.name), 0)
    if any(column.missing.get(train.name, rows) == rows for column in before.columns):
        return None
    scaler = Scaler.from_dict(before.scaler)
    name = matrix_file(train, "safetensors")
    made_of = replace(task, scaler=scaler).made_of[name]
    return scaler if made_of and before.files[name].made_of == made_of else None


def _about(connection: duckdb.DuckDBPyConnection, source: Bound, columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return the unit of each column, which its name says, and its description, which the model says."""
    described: dict[str, str] = {}
    if source.model is not None:
        rows = ask(
            connection,
            "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = current_database() "
            "AND schema_name || '.' || table_name = $1 AND comment IS NOT NULL",
            [source.model],
        ).fetchall()
        described = dict(rows)
    about = {name: {"unit": unit_of(name) or "", "description": described.get(name, "")} for name in columns}
    return {name: {key: said for key, said in told.items() if said} for name, told in about.items()}
