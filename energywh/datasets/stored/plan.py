"""The plan of a stored dataset: its splits, statistics and files, before any values are loaded."""

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
from energywh.datasets.stored.formats.matrix import SUFFIXES, MatrixFormat
from energywh.datasets.stored.formats.parquet import months_of
from energywh.datasets.stored.manifest import FORMAT, Manifest
from energywh.datasets.stored.provenance import SourceState
from energywh.datasets.stored.spec import DatasetSpec
from energywh.datasets.windows import scaler as scaling
from energywh.datasets.windows.find_splits import find_splits
from energywh.datasets.windows.matrix import Axis
from energywh.datasets.windows.moments import hours_of
from energywh.datasets.windows.normalization import Normalization
from energywh.datasets.windows.plan import Plan
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.scaler_fit import fit_scaler
from energywh.datasets.windows.source import Bound
from energywh.datasets.windows.splits import Split
from energywh.datasets.windows.survey import survey_by_sql
from energywh.errors import NoTrainValueError
from energywh.models.contents.months import next_month, start_of
from energywh.models.project.units import unit_of

if TYPE_CHECKING:
    import duckdb

OnStep = Callable[[str, int, int], None]  # name of the step, how much of it is done, of how much


@dataclass(frozen=True)
class DatasetPlan:
    """What is known before values are loaded.

    Attributes:
        regions: of all splits.
        about: by column, its unit and description where it has them.
    """

    request: DatasetSpec
    windows: Plan
    source: SourceState
    regions: tuple[str, ...]
    splits: list[Split]
    scaler: Scaler | None
    about: Mapping[str, Mapping[str, str]]

    @property
    def formats(self) -> tuple[MatrixFormat, ...]:
        """The formats of matrices."""
        return ("safetensors", *self.request.formats)  # type: ignore[arg-type]

    @property
    def roles(self) -> dict[str, list[str]]:
        """The roles of each column: "feature", "target", "future_covariate"."""
        wanted, ahead = self.windows.wanted, self.windows.ahead
        used = {"feature": wanted.features, "target": wanted.targets, "future_covariate": ahead}
        return {
            name: [role for role, names in used.items() if name in names]
            for name in dict.fromkeys((*wanted.columns, *ahead))
        }

    def files_of(self, split: Split) -> list[str]:
        """Return the names of the files of a split, below the dataset's folder."""
        return [
            *(matrix_file(split, form) for form in self.formats),
            *(month_file(split, month) for month in months_of(split.axis)),
        ]

    @cached_property
    def input_digests(self) -> dict[str, str]:
        """By file, a digest of all that it is made from; "" where that is not known."""
        import pyarrow

        wanted = self.windows.wanted
        files: dict[str, str] = {}
        for split in self.splits:
            rows = {month: self._rows_digest(split, month) for month in months_of(split.axis)}
            for month, digest in rows.items():
                files[month_file(split, month)] = _joined("Parquet", pyarrow.__version__, self.about, digest)
            matrix = (
                split.name,
                self.regions,
                [starts.tolist() for starts in split.starts],
                _hours(split.axis),
                (wanted.features, wanted.targets, wanted.future_covariates, self.windows.ahead),
                (self.request.length, self.request.stride, self.request.horizon, self.request.dtype),
                None if self.scaler is None else self.scaler.to_dict(),
            )
            for form in self.formats:
                files[matrix_file(split, form)] = _joined(form, *matrix, *rows.values())
        return files

    def _rows_digest(self, split: Split, month: date) -> str:
        """Return a digest that identifies the rows of a month of a split; "" where there is none."""
        rows = self.source.rows_of(month)
        return "" if rows is None else digest_of([rows, self.windows.wanted.columns, _hours(split.axis, month)])


def _joined(what: str, *parts: object) -> str:
    """Return the digest of ``parts``; "" where one of them is "", which stands for what is not known."""
    return "" if "" in parts else digest_of([FORMAT, what, *parts])


def _hours(axis: Axis, month: date | None = None) -> list[tuple[str, int, int]]:
    """Return the hours of each region, or those of one month: (region, first, end), since 1970."""
    ends = axis.first_hour + np.diff(axis.offset)
    hours = list(zip(axis.regions, axis.first_hour.tolist(), ends.tolist(), strict=True))
    if month is None:
        return hours
    low, high = hour_number(start_of(month)), hour_number(start_of(next_month(month)))
    return [(region, max(first, low), min(end, high)) for region, first, end in hours if first < high and end > low]


def matrix_file(split: Split, form: MatrixFormat) -> str:
    """Return the name of the file of a matrix, below the dataset's folder."""
    return f"{split.name}{SUFFIXES[form]}"


def month_file(split: Split, month: date) -> str:
    """Return the name of the Parquet file of a month, below the dataset's folder."""
    return f"{split.name}/{month:%Y-%m}.parquet"


def plan_dataset(
    connection: duckdb.DuckDBPyConnection,
    request: DatasetSpec,
    windows: Plan,
    source: SourceState,
    before: Manifest | None,
    on_step: OnStep,
) -> DatasetPlan:
    """Survey the source, split it, and measure statistics unless those of ``before`` are of the same rows.

    Raises:
        UnknownNameError, UsageError, WindowError: as `energywh.Warehouse.windows`.
    """
    normalize = scaling.as_normalization(request.normalize)
    scaling.check_held_out(normalize, request.holdout_regions or ())
    on_step(f"surveying {windows.source.name}", 0, 1)
    survey = survey_by_sql(connection, windows)
    splits = find_splits(survey, windows)
    about = _about(connection, windows.source, windows.wanted.columns)
    plan = DatasetPlan(
        request, windows, source, survey.axis.regions, [split.on_its_own() for split in splits], None, about
    )
    scaler = _scaler_of(before, plan) if isinstance(normalize, Normalization) else normalize
    if scaler is None and isinstance(normalize, Normalization):
        on_step("measuring statistics", 0, 1)
        hours = hours_of(survey.axis, windows.shape, splits[0].starts)
        try:
            scaler = fit_scaler(connection, windows.source, survey, hours, normalize)
        except NoTrainValueError as error:
            return plan_dataset(connection, request, windows.without(error), source, before, on_step)
    if scaler is not None:
        for region in dict.fromkeys(region for split in plan.splits for region in split.regions):
            scaler.table(windows.wanted.columns, region)  # raises what it cannot scale, before hours of work
    return replace(plan, scaler=scaler)


def _scaler_of(before: Manifest | None, plan: DatasetPlan) -> Scaler | None:
    """Return the scaler of the existing dataset if its train split was made from the same input, else None."""
    if before is None or before.scaler is None or before.request.normalize != plan.request.normalize:
        return None
    train = plan.splits[0]
    rows = next((split.rows for split in before.splits if split.name == train.name), 0)
    # A column without a value in train was left unscaled; if it has values elsewhere now, it cannot be scaled.
    if any(column.missing.get(train.name, rows) == rows for column in before.columns):
        return None
    scaler = Scaler.from_dict(before.scaler)
    name = matrix_file(train, "safetensors")
    digest = replace(plan, scaler=scaler).input_digests[name]
    return scaler if digest and before.files[name].input_digest == digest else None


def _about(connection: duckdb.DuckDBPyConnection, source: Bound, columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Return the unit of each column, taken from its name, and its description, taken from the model."""
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
    return {name: {key: text for key, text in entry.items() if text} for name, entry in about.items()}
