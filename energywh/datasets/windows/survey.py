"""Which hours a source has, and which values they miss, without the values themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from energywh.core.query import ask
from energywh.core.sql_text import identifier
from energywh.core.storage_errors import query_errors
from energywh.core.warnings import warn
from energywh.datasets.windows.backends import arrays
from energywh.datasets.windows.load import Wanted, as_float, load, selection
from energywh.datasets.windows.matrix import Ahead, Axis, Frame
from energywh.datasets.windows.plan import Plan
from energywh.datasets.windows.source import HOUR, REGION, Bound
from energywh.datasets.windows.spec import Gaps
from energywh.datasets.windows.window_starts import targets_before, usable
from energywh.errors import WindowError

if TYPE_CHECKING:
    import duckdb

# Names of columns that `survey_by_sql` computes: 1 where no feature, or no column known ahead, is missing.
_INPUTS, _AHEAD = "every feature", "every column known ahead"


@dataclass(frozen=True)
class Survey:
    """Hours, and which values they miss.

    Attributes:
        without_target: regions left out, see `energywh.datasets.windows.load.Wanted`.
        held: by column, the number of hours with a value in each region: (regions,).
        targets_before: what `energywh.datasets.windows.window_starts.targets_before` returned.
        whole: what `whole_hours` returned.
    """

    axis: Axis
    without_target: tuple[str, ...]
    held: Mapping[str, NDArray[np.int64]]
    targets_before: NDArray[np.int64]
    whole: NDArray[np.bool_] | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Features, targets and columns known ahead, each once."""
        return tuple(self.held)

    def with_values(self) -> set[tuple[str, str]]:
        """Return each (region, column) that has a value."""
        return {
            (self.axis.regions[region], column)
            for column, counts in self.held.items()
            for region in np.flatnonzero(counts).tolist()
        }


def survey_of(frame: Frame, plan: Plan) -> Survey:
    """Survey what was loaded.

    Raises:
        WindowError: see `_check`.
    """
    hours = np.diff(frame.axis.offset)
    held = {
        column: hours - missing
        for matrix in (frame.features, frame.targets, frame.future_covariates)
        for column, missing in zip(matrix.columns, matrix.missing.counts(frame.axis).T, strict=True)
    }
    held = {column: held[column] for column in plan.wanted.columns}
    return _surveyed(frame, plan, held, plan.ahead_of(frame) if plan.ahead_named else None)


def survey_by_sql(connection: duckdb.DuckDBPyConnection, plan: Plan) -> Survey:
    """Survey the source by SQL, without loading its features.

    Raises:
        UnknownNameError, UsageError, WindowError: as `energywh.datasets.windows.load.load` and `_check`.
    """
    wanted, whole_ahead = plan.wanted, plan.ahead_named and bool(plan.ahead)
    made = [identifier(name) for name in (REGION, HOUR, *wanted.targets)]
    made.append(f"{_whole(wanted.features)} AS {identifier(_INPUTS)}")
    made.append(f"{_whole(plan.ahead) if whole_ahead else 'NULL'} AS {identifier(_AHEAD)}")
    light = replace(plan.source, sql=f"(SELECT {', '.join(made)} FROM {plan.source.sql} AS source)")
    dropping = plan.spec.gaps == "drop"
    frame = load(
        connection,
        light,
        replace(
            wanted,
            features=(_INPUTS,) if dropping else (),
            future_covariates=(_AHEAD,) if dropping and whole_ahead else (),
        ),
        arrays("numpy", "float32"),
    )
    held = _held(connection, plan.source, replace(wanted, regions=frame.axis.regions))
    return _surveyed(frame, plan, held, Ahead(frame.future_covariates, None))


def _whole(columns: Sequence[str]) -> str:
    """Return SQL that is 1 where no column is missing, as windows define it, else NULL."""
    each = " AND ".join(f"isfinite({as_float(name)})" for name in columns)
    return f"CASE WHEN {each} THEN 1 END"


def _held(connection: duckdb.DuckDBPyConnection, source: Bound, wanted: Wanted) -> dict[str, NDArray[np.int64]]:
    """Count the values of each column in each region; ``wanted`` names its regions."""
    counts = ", ".join(f"count({_whole([name])})" for name in wanted.columns)
    region, where = f"CAST({identifier(REGION)} AS VARCHAR)", selection(connection, wanted)
    sql = f"SELECT {region}, {counts} FROM {source.sql} AS source WHERE {where} GROUP BY {region}"
    with query_errors():
        by_region = {name: numbers for name, *numbers in ask(connection, sql).fetchall()}
    table = np.array([by_region[name] for name in wanted.regions or ()], np.int64)
    return dict(zip(wanted.columns, table.T, strict=True))


def _surveyed(frame: Frame, plan: Plan, held: Mapping[str, NDArray[np.int64]], ahead: Ahead | None) -> Survey:
    """Return the survey, checked by `_check`."""
    before = targets_before(frame)
    survey = Survey(frame.axis, frame.without_target, held, before, whole_hours(frame, plan.spec.gaps, before, ahead))
    _check(survey, plan)
    return survey


def whole_hours(frame: Frame, gaps: Gaps, before: NDArray[np.int64], ahead: Ahead | None) -> NDArray[np.bool_] | None:
    """Return per row whether windows may use it as an input, and as a target (2, rows); None where all may be used.

    Args:
        before: what `energywh.datasets.windows.window_starts.targets_before` returned.
        ahead: columns known ahead that must not be missing either where gaps are dropped.
    """
    if gaps == "drop":
        whole = usable(frame)
        if ahead is not None:
            whole[1, ahead.missing_rows()] = False
        return whole
    if gaps == "split":
        there = np.diff(before) > 0
        return np.stack([there, there])
    return None


def _check(survey: Survey, plan: Plan) -> None:
    """Reject targets without a single value, and warn of such features and of regions left out.

    Raises:
        WindowError: a target that a region named, or every region, never reports; with gaps='drop' also a feature
            that none reports.
    """
    names, targets, drop = survey.axis.regions, plan.wanted.targets, plan.spec.gaps == "drop"
    if survey.without_target:
        warn(
            f"{', '.join(survey.without_target)} left out: no value at all of {' or '.join(targets)} "
            f"in the time asked for; name the regions wanted to be without this warning"
        )
    without = {name: np.flatnonzero(counts == 0).tolist() for name, counts in survey.held.items()}
    empty_targets = sorted((region, targets.index(name), name) for name in targets for region in without[name])
    if empty_targets:
        shown = ", ".join(f"{name} of {names[region]}" for region, _, name in empty_targets)
        raise WindowError(
            f"{plan.source.name} has no value at all of {shown} in the time asked for; "
            "leave such regions out, or choose another target"
        )
    for name in plan.wanted.features:
        if not (regions := [names[region] for region in without[name]]):
            continue
        everywhere = len(regions) == len(names)
        text = f"feature '{name}' has no value at all in {'any region' if everywhere else ', '.join(regions)}"
        if drop and everywhere:
            raise WindowError(f"{text}, and gaps='drop' drops every window that misses one; leave it out")
        if drop or everywhere:
            warn(f"{text}: {'no window of such a region is kept' if drop else 'it is 0 and masked throughout'}")
