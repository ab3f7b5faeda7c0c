"""Windows: slices of consecutive hours of one region, as training samples over one array.

Shapes: B windows, L = length, F features, T targets, h = horizon.

    inputs             (B, L, F)
    mask               like inputs        True where the source has the value; elsewhere inputs are 0
    targets            (B, L[, T])        with horizon=0: targets[:, i] is the hour after inputs[:, i]
                       (B, h[, T])        with horizon=h: the h hours after the last input
    target_mask        like targets
    future_covariates  (B, L or h, K)     K columns known before, of the hours of the targets
    future_covariates_mask                like future_covariates
    region_encoding    (B,) or (B, R)     which of R regions: its number, or 0 and 1 (one-hot)

How gaps are handled, which are hours without a row or without a value of any target:

| gaps    | such an hour                       | another value that is missing | strides count from           |
|---------|------------------------------------|-------------------------------|------------------------------|
| "mask"  | 0, masked; a window needs 1 target | 0, masked                     | first hour in the split      |
| "split" | in no window: it ends a stretch    | 0, masked                     | first hour of each stretch   |
| "drop"  | among no window's targets          | in no window that would use it| first start that is possible |

T is there when `target` was given as a list. By default the features are all numeric columns of the source, and so
contain the past of the target: inputs[:, i] includes the target up to hour i, never the hours to forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from energywh.core.wording import abbreviate, count
from energywh.datasets.windows import scaler as scaling
from energywh.datasets.windows.backends import Backend, Memmap, arrays, folder_of
from energywh.datasets.windows.batch import Batch, Window
from energywh.datasets.windows.find_splits import find_splits
from energywh.datasets.windows.load import load
from energywh.datasets.windows.matrix import Frame
from energywh.datasets.windows.moments import hours_of
from energywh.datasets.windows.normalization import By, Kind, Normalization
from energywh.datasets.windows.plan import make_plan
from energywh.datasets.windows.ring import Layout, Ring
from energywh.datasets.windows.sampler import Batched
from energywh.datasets.windows.scaler_fit import fit_scaler
from energywh.datasets.windows.shard import Shard
from energywh.datasets.windows.source import Bound
from energywh.datasets.windows.spec import WindowSpec
from energywh.datasets.windows.splits import Shape, Splits
from energywh.datasets.windows.survey import survey_of
from energywh.datasets.windows.view import WindowView
from energywh.errors import NoTrainValueError, UsageError

if TYPE_CHECKING:
    import duckdb


FIRST = ("all", "train", "split 1")  # names of splits that statistics may be measured in


@dataclass(frozen=True)
class SourceConnection:
    """Where the values of windows come from, to be asked again."""

    connection: duckdb.DuckDBPyConnection
    source: Bound


class Windows(Batched[Batch]):
    """Training windows over one resident array. Made by `energywh.Warehouse.windows`.

    Attributes:
        regions: regions, in the order in which they are stacked.
        columns: features, in the order of the last axis of inputs.
        targets: target columns.
        future_covariates: columns known ahead, in the order of the last axis of future_covariates.
        name: "train", "valid", "test"; "all" without splits.
        rows: (len,) row of the array at which each window starts.
        view: the arrays, with the record of what is missing, and how a batch is to look.
        normalization: the scaler that the array was normalized with, None where values are those of the source.
        origin: what was asked for the values; None of windows of a stored dataset.
    """

    def __init__(
        self,
        view: WindowView,
        starts: Sequence[NDArray[np.int64]],
        *,
        name: str,
        origin: SourceConnection | None = None,
        normalization: scaling.Scaler | None = None,
    ) -> None:
        self.view = view
        self.name = name
        self.normalization = normalization
        self.origin = origin
        self._starts = tuple(starts)
        self.rows = np.concatenate([*starts, np.empty(0, np.int64)]).astype(np.int64)
        # A whole window is the share of the one rank of a ring of one.
        self._share = Ring(view.shape.length, 1).share(0)

    @property
    def frame(self) -> Frame:
        """The arrays of all splits."""
        return self.view.frame

    @property
    def shape(self) -> Shape:
        """Hours of a window."""
        return self.view.shape

    @property
    def regions(self) -> tuple[str, ...]:
        return self.frame.axis.regions

    @property
    def columns(self) -> tuple[str, ...]:
        return self.frame.features.columns

    @property
    def targets(self) -> tuple[str, ...]:
        return self.frame.targets.columns

    @property
    def future_covariates(self) -> tuple[str, ...]:
        return self.view.ahead.columns

    @property
    def length(self) -> int:
        return self.shape.length

    @property
    def stride(self) -> int:
        return self.shape.stride

    @property
    def horizon(self) -> int:
        return self.shape.horizon

    @property
    def nbytes(self) -> int:
        """Bytes of values and masks in memory, shared by all splits of one call; a window adds 8 bytes."""
        return self.frame.nbytes

    @property
    def disk_nbytes(self) -> int:
        """Bytes of values in a file, with memmap=True; 0 without."""
        return self.frame.disk_nbytes

    @cached_property
    def starts(self) -> NDArray[np.void]:
        """Region and first hour of each window: (len,) with fields ``region`` and ``hour_utc`` (UTC)."""
        region, hour = self.view.places_of(self.rows)
        table = np.empty(len(self), np.dtype([("region", region.dtype), ("hour_utc", hour.dtype)]))
        table["region"], table["hour_utc"] = region, hour
        return table

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return (
            f"<Windows {self.name}: {len(self):,} of {count(self.length, 'hour')} x "
            f"{count(len(self.columns), 'feature')}, horizon {self.horizon}, stride {self.stride}, "
            f"{count(len(self.regions), 'region')} ({abbreviate(self.regions)}), {self.nbytes / 1e6:,.1f} MB>"
        )

    def __getitem__(self, index: int) -> Window:
        return self.window(index)

    def window(self, index: int) -> Window:
        """Return window number ``index``, as views.

        Raises:
            IndexError: no window has this index.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        return Window(self.view, int(self.rows[index]), self._share)

    def scaler(self, kind: Kind = "zscore", by: By = "region", log: Sequence[str] | str = ()) -> scaling.Scaler:
        """Measure the hours of these windows, those of the train split, by SQL; see `energywh.datasets.windows.scaler`.

        Pass it as ``normalize`` to `energywh.Warehouse.windows`, keep it with `Scaler.to_dict`, and take predictions
        back to MWh with `Scaler.inverse`.

        Args:
            kind: "zscore", "robust", "minmax" or "none".
            by: "region", or "global" for all regions alike.
            log: columns to take the logarithm of first; "auto" for those never negative and skewed.

        Raises:
            UsageError: these are the windows of a later split, or of a stored dataset; or a wrong argument, or a
                negative column to take the log of.
            WindowError: a column without any value in the train split.
            StorageError: the warehouse was closed.
        """
        if self.origin is None:
            raise UsageError(
                "statistics are measured in the warehouse, and these are the windows of a stored dataset: the scaler "
                "that they were scaled with is their normalization; for another, make a dataset with --normalize"
            )
        if self.name not in FIRST:
            raise UsageError(
                f"statistics come from the train split alone, or they would give the {self.name} split away: fit the "
                "scaler on train"
            )
        hours = hours_of(self.frame.axis, self.shape, self._starts)
        chosen = Normalization(kind, by, log)
        return fit_scaler(self.origin.connection, self.origin.source, self.frame, hours, chosen)

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """Return the windows ``indices`` as one batch."""
        return Batch(self.view, indices, self.rows[indices], self._share)

    def shard(self, rank: int, world: int, layout: Layout = "contiguous", overlap: int = 0) -> Shard:
        """Return the share of ``rank`` of each window, for a ring of ``world`` devices that work on it together.

        `energywh.datasets.windows.shard` lists shapes and padding, `energywh.datasets.windows.ring` draws the layouts.

        Args:
            layout: "contiguous"; "striped" or "zigzag", which even out the work under a causal mask.
            overlap: hours before its own that a contiguous shard repeats, as a convolution needs.

        Raises:
            UsageError: no such rank or layout, or an overlap that cannot be.
        """
        return Shard(self.view, self.rows, Ring(self.length, world, layout, overlap), rank)


def cut_windows(
    connection: duckdb.DuckDBPyConnection,
    spec: WindowSpec,
    *,
    backend: Backend = "mlx",
    memmap: Memmap = False,
    cache: Path | None = None,
) -> Splits[Windows]:
    """Cut the windows; `energywh.Warehouse.windows` documents the arguments and errors.

    Args:
        cache: folder for memmap=True; by default that for temporary files.
    """
    folder = folder_of(memmap, cache)
    library = arrays(backend, spec.dtype, folder)
    normalization = scaling.as_normalization(spec.normalize)
    scaling.check_held_out(normalization, spec.holdout_regions or ())
    # Narrowed after scaling: near 20,000 MWh, neighbouring values of bfloat16 are 128 apart.
    narrow = normalization is not None and spec.dtype != "float32"
    wide = arrays(backend, "float32", folder) if narrow else library
    plan = make_plan(connection, spec)
    while True:
        frame = load(connection, plan.source, plan.wanted, wide, streamed=folder is not None)
        survey = survey_of(frame, plan)
        splits = find_splits(survey, plan)
        try:
            if isinstance(normalization, Normalization):
                hours = hours_of(survey.axis, plan.shape, splits[0].starts)
                normalization = fit_scaler(connection, plan.source, survey, hours, normalization)
            break
        except NoTrainValueError as error:
            plan = plan.without(error)
            del frame  # before it is loaded again: two of them might be more than memory holds
    if normalization is not None:
        frame = scaling.scaled(frame, normalization, library if narrow else None)
    view = WindowView(
        frame,
        plan.shape,
        library,
        plan.ahead_of(frame),
        one_target=isinstance(spec.target, str),
        one_hot=spec.region_encoding == "one-hot",
    )
    origin = SourceConnection(connection, plan.source)
    return Splits(
        Windows(view, split.starts, name=split.name, origin=origin, normalization=normalization) for split in splits
    )
