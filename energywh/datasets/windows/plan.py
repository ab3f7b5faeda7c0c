"""The plan of windows: a spec, looked up in the warehouse before any row is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from energywh.core.warnings import warn
from energywh.datasets.windows.load import Wanted
from energywh.datasets.windows.matrix import Ahead, Frame
from energywh.datasets.windows.source import Bound, bind, default_features, lookahead, lookback
from energywh.datasets.windows.spec import Purge, WindowSpec
from energywh.datasets.windows.splits import Shape
from energywh.errors import NoTrainValueError, UsageError

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Plan:
    """Which rows and columns windows are cut from, and how they are split.

    Attributes:
        wanted: rows and columns; ``wanted.future_covariates`` is empty where all columns known ahead are features as
            well.
        ahead: columns known ahead.
        free: hours left free before every cut.
    """

    spec: WindowSpec
    source: Bound
    shape: Shape
    wanted: Wanted
    ahead: tuple[str, ...]
    free: int

    @property
    def ahead_named(self) -> bool:
        """Whether the columns known ahead were named, so that gaps="drop" must not miss one."""
        return self.spec.future_covariates is not None

    def ahead_of(self, frame: Frame) -> Ahead:
        """Return the columns known ahead, where ``frame`` has them."""
        if self.wanted.future_covariates:
            return Ahead(frame.future_covariates, None)
        return Ahead(frame.features, [self.wanted.features.index(name) for name in self.ahead])

    def without(self, error: NoTrainValueError) -> Plan:
        """Return the plan without the features that have no value in train to scale by, with a warning.

        Raises:
            NoTrainValueError: one of them was named, is a target, or nothing is left.
        """
        left = tuple(name for name in self.wanted.features if name not in error.columns)
        if (
            self.spec.features is not None
            or self.ahead_named
            or not left
            or set(error.columns) & set(self.wanted.targets)
        ):
            raise error
        warn(
            f"{', '.join(error.columns)} left out of the features: no value in the train split to scale by, though "
            "later or elsewhere"
        )
        ahead = tuple(name for name in self.ahead if name in left)
        return replace(self, wanted=replace(self.wanted, features=left), ahead=ahead)


def make_plan(connection: duckdb.DuckDBPyConnection, spec: WindowSpec) -> Plan:
    """Look up the models and columns of a spec.

    Raises:
        UnknownNameError: no such model or column.
        UsageError: wrong SQL or arguments.
    """
    bound = bind(connection, spec.source)
    inputs = (
        # A column that only CAISO publishes is empty for other regions.
        default_features(connection, bound, spec.regions, each=spec.gaps == "drop")
        if spec.features is None
        else bound.features(spec.features)
    )
    targets = bound.pick(spec.target, "target")
    known = bound.ahead(spec.future_covariates, inputs, targets)
    if not inputs:
        raise UsageError(f"{bound.name} has no numeric column to use as feature")
    wanted = Wanted(
        regions=spec.regions,
        features=inputs,
        targets=targets,
        future_covariates=() if set(known) <= set(inputs) else known,
        first_hour=spec.first_hour,
        last_hour=spec.last_hour,
    )
    if spec.holdout_regions is not None and spec.splits is None:
        raise UsageError("holdout_regions splits the windows: give splits too; splits=() splits them by region alone")
    needs_purge = bool(spec.splits) or spec.purge is not None
    free = left_free(connection, bound, wanted.columns, spec.purge) if needs_purge else 0
    shape = Shape(spec.length, spec.stride, spec.horizon)
    return Plan(spec=spec, source=bound, shape=shape, wanted=wanted, ahead=known, free=free)


def left_free(connection: duckdb.DuckDBPyConnection, source: Bound, columns: Sequence[str], purge: Purge | None) -> int:
    """Return how many hours are left free before a split; `energywh.datasets.windows.splits` has the table."""
    if purge is not None and purge != "lookback":
        return purge
    ahead = lookahead(connection, source) if source.may_know_later(columns) else 0
    return ahead if purge is None else ahead + lookback(connection, source)
