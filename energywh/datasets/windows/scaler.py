"""Scalers: statistics of the train split only, stored as plain data, with an inverse for predictions.

For a column c and a region r (with by="global": for all regions together) a value x becomes

    z = (f(x) - center[r, c]) / scale[r, c]        f(x) = x, or sign(x) * ln(1 + |x|) for the columns of `Scaler.log`

| kind | center | scale | a missing value (0, and False in the mask) stands for |
|---|---|---|---|
| zscore | mean | standard deviation (divided by n) | the mean |
| robust | median | 75th minus 25th percentile; if these are equal, the standard deviation | the median |
| minmax | minimum | maximum minus minimum | the minimum |
| none | 0 | 1 | 0 |

- Not scaled: boolean columns, and columns whose names mark sines and cosines (`hour_sin`), flags (`is_holiday`,
  `..._flag`) or masks (`..._mask`). Their values are already 0 and 1, or -1 to 1. Shares and percentages are scaled.
- A column with a single value in all hours of train is shifted to 0 and not divided, and a warning names it. A column
  with a single value in one region only is divided by the standard deviation over all regions, so that, for example,
  solar power that begins in the test split of a region is not left in MWh.
- A column without a value in train of a region uses the statistics over all regions, with a warning. A column without
  a value in train of any region is an error.

Only the hours of the inputs and targets of train windows count: no hour after the end of train, in the purge before
the split, or left out of every window by a gap or the stride.

Statistics do not depend on the order of rows or on threads: moments sum integer multiples of 2^-31 of a column's range
in a region (a mean is within 2^-32 of the range, about 2e-10), regions are summed exactly, and results are rounded to
9 significant digits. The same data give the same JSON, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from energywh.datasets.windows.backends import Arrays, import_mlx
from energywh.datasets.windows.matrix import BLOCK_ROWS, Axis, Frame, Matrix
from energywh.datasets.windows.normalization import KINDS, By, Kind, Normalization
from energywh.errors import UnknownNameError, UsageError, WindowError, did_you_mean


@dataclass(frozen=True)
class Scaler:
    """Centers and scales of columns, per region or for all regions. Made by `Windows.scaler`.

    Attributes:
        kind: "zscore", "robust", "minmax" or "none".
        by: "region" or "global".
        columns: all features and targets of the windows, also those not scaled (center 0, scale 1).
        regions: regions of the rows of ``center`` and ``scale``; empty with by="global", where there is one row.
        center, scale: (regions, columns), in the column's unit; for the columns of ``log``, of the logarithm.
        log: columns scaled as sign(x) * ln(1 + |x|).
        left_alone: columns that are not scaled; the module says which.
        constant: columns that do not vary in train; they are shifted to 0 and not divided.
        first_hour, last_hour: first and last measured hour, UTC, as text.
    """

    kind: Kind
    by: By
    columns: tuple[str, ...]
    regions: tuple[str, ...]
    center: tuple[tuple[float, ...], ...]
    scale: tuple[tuple[float, ...], ...]
    log: tuple[str, ...] = ()
    left_alone: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    first_hour: str = ""
    last_hour: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the scaler as plain data for JSON: text, numbers and lists."""
        return _listed(asdict(self))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scaler:
        """Return the scaler from the data of `to_dict`.

        Raises:
            UsageError: the data are not those of a scaler.
        """
        try:
            made = cls(**{name: _tupled(value) for name, value in data.items()})
            rows = len(made.regions) if made.by == "region" else 1
            shapes = {np.shape(made.center), np.shape(made.scale)}
            fits = made.kind in KINDS and made.by in ("region", "global") and shapes == {(rows, len(made.columns))}
            fits = fits and all(math.isfinite(x) for row in made.center for x in row)
            fits = fits and all(math.isfinite(x) and x > 0 for row in made.scale for x in row)
        except (TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"the data are not those of Scaler.to_dict: {error}") from None
        if not fits:
            raise UsageError(
                "the data are not those of Scaler.to_dict: center and scale must have one row per region (one row with "
                "by='global') and one finite number per column, and scales must be greater than 0"
            )
        return made

    def transform(
        self,
        values: Any,
        *,
        columns: str | Sequence[str],
        regions: str | Sequence[str] | NDArray[np.str_] | None = None,
        mask: Any = None,
    ) -> Any:
        """Return scaled ``values``.

        Args:
            values: mx.array, or anything that NumPy converts. Last axis: the columns, unless ``columns`` is one
                name; first axis: the regions, unless ``regions`` is one code.
            columns: one name, or one for each index of the last axis.
            regions: one code, or one for each index of the first axis; not needed with by="global".
            mask: booleans of the shape of ``values``; where False, the result is 0.

        Returns:
            float64 NumPy array, or float32 mx.array for an mx.array.

        Raises:
            UnknownNameError: a column or region that the scaler does not have.
            UsageError: the shape does not match columns and regions.
        """
        center, scale, log, xp = self._for(values, columns, regions)
        values = _wide(values, xp)
        if log.any():
            values = xp.where(_as(log, xp), xp.sign(values) * xp.log1p(xp.abs(values)), values)
        scaled = (values - _as(center, xp)) / _as(scale, xp)
        return scaled if mask is None else xp.where(mask, scaled, xp.zeros_like(scaled))

    def inverse(
        self,
        values: Any,
        *,
        columns: str | Sequence[str],
        regions: str | Sequence[str] | NDArray[np.str_] | None = None,
    ) -> Any:
        """Return scaled ``values``, such as predictions (B, horizon), in the units of the source.

        Arguments are those of `transform`. With mx.array it is differentiable, so a loss may be computed in MWh.
        """
        center, scale, log, xp = self._for(values, columns, regions)
        values = _wide(values, xp) * _as(scale, xp) + _as(center, xp)
        if not log.any():
            return values
        logged = xp.where(_as(log, xp), values, xp.zeros_like(values))  # expm1 of other columns could overflow
        return xp.where(_as(log, xp), xp.sign(logged) * xp.expm1(xp.abs(logged)), values)

    def table(self, columns: Sequence[str], region: str | None) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        """Return centers, scales and whether the logarithm is used, each of shape (columns,).

        Raises:
            UnknownNameError: a column or region that the scaler does not have.
        """
        places = np.array([self._place(name) for name in columns], np.intp)
        row = self._row(region)
        log = np.array([name in self.log for name in columns], np.bool_)
        return np.array(self.center[row])[places], np.array(self.scale[row])[places], log

    def _place(self, column: str) -> int:
        if column not in self.columns:
            near = did_you_mean(column, self.columns) or f"; it has {', '.join(self.columns)}"
            raise UnknownNameError(f"the scaler has no column '{column}'{near}")
        return self.columns.index(column)

    def _row(self, region: str | None) -> int:
        if self.by == "global" or self.kind == "none":  # all rows are equal
            return 0
        if region not in self.regions:
            raise UnknownNameError(
                f"no window of the train split is of {region or 'an unnamed region'}, so there are no statistics to "
                f"scale it; use one of {', '.join(self.regions)}, leave the region out, or use by='global'"
            )
        return self.regions.index(region)

    def _for(
        self, values: Any, columns: str | Sequence[str], regions: str | Sequence[str] | NDArray[np.str_] | None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], Any]:
        """Return center, scale and log, in shapes that broadcast to ``values``, and the array module to use."""
        xp = import_mlx() if type(values).__module__.startswith("mlx") else np
        shape = tuple(values.shape) if hasattr(values, "shape") else np.shape(values)
        names = (columns,) if isinstance(columns, str) else tuple(columns)
        last = () if isinstance(columns, str) else (len(names),)
        first: tuple[int, ...]
        codes: list[str | None]
        if regions is None or isinstance(regions, str):
            codes, first = [regions], ()
        else:
            codes = [str(region) for region in regions]
            first = (len(codes),)
        middle = len(shape) - len(first) - len(last)
        if middle < 0 or shape[: len(first)] != first or (last and shape[-1:] != last):
            regions_first = f"the first axis must be the {len(codes)} regions, " if first else ""
            columns_last = f"the last the {len(names)} columns" if last else "of one column"
            raise UsageError(f"values of shape {shape} do not fit: {regions_first}{columns_last}")
        tables = {code: self.table(names, code) for code in dict.fromkeys(codes)}
        to = (*first, *(1,) * middle, *last)
        center, scale, log = (np.stack([tables[code][part] for code in codes]).reshape(to) for part in range(3))
        return center, scale, log, xp


def _wide(values: Any, xp: Any) -> Any:
    return np.asarray(values, np.float64) if xp is np else values.astype(xp.float32)


def _as(table: NDArray[Any], xp: Any) -> Any:
    return table if xp is np else xp.array(table if table.dtype == np.bool_ else table.astype(np.float32))


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list | tuple) else value


Normalize = Kind | Mapping[str, Any] | Scaler  # the argument of public methods


def as_normalization(plain: Mapping[str, Any] | None) -> Normalization | Scaler | None:
    """Return the object of the data that `energywh.datasets.windows.normalization.plain_normalization` made.

    Raises:
        UsageError: the data are not those of `Scaler.to_dict`.
    """
    if plain is None:
        return None
    return Scaler.from_dict(plain) if "center" in plain else Normalization(**plain)


def check_held_out(normalization: Normalization | Scaler | None, regions: Sequence[str]) -> None:
    """Reject per-region scaling of regions without hours in train, before the query runs.

    Args:
        regions: held-out regions.

    Raises:
        UsageError: the scaling has no statistics of some of them.
    """
    if normalization is None or normalization.by == "global" or normalization.kind == "none":
        return
    known = normalization.regions if isinstance(normalization, Scaler) else ()
    if unknown := [region for region in regions if region not in known]:
        why = "the given scaler does not have them" if known else "train has no hours of held-out regions"
        raise UsageError(
            f"{', '.join(unknown)} cannot be scaled by region: {why}; scale all regions together with "
            f"normalize={{'kind': {normalization.kind!r}, 'by': 'global'}}"
        )


def scaled(frame: Frame, scaler: Scaler, library: Arrays | None = None) -> Frame:
    """Return ``frame`` normalized.

    Args:
        library: array library of the scaled copy; None to scale in place, for a float32 ``frame`` with no other user.

    Raises:
        UnknownNameError: a column or region that the scaler does not have.
        WindowError: scaled values beyond a 16-bit float.
    """
    return replace(
        frame,
        features=_scaled(frame.axis, frame.features, scaler, library),
        targets=_scaled(frame.axis, frame.targets, scaler, library),
        future_covariates=_scaled(frame.axis, frame.future_covariates, scaler, library),
    )


def _scaled(axis: Axis, matrix: Matrix, scaler: Scaler, library: Arrays | None) -> Matrix:
    values = matrix.values if isinstance(matrix.values, np.ndarray) else np.asarray(matrix.values)
    if library is None:
        array, view, locked = matrix.values, values, not values.flags.writeable
        view.flags.writeable = True
    else:
        (array, view), locked = library.allocate(values.shape), False
    for rows, block in scaled_blocks(axis, matrix, scaler, view.dtype):
        view[rows] = block
    if library is not None:
        return replace(matrix, values=library.settle(array))
    view.flags.writeable = not locked
    return matrix


def scaled_blocks(
    axis: Axis, matrix: Matrix, scaler: Scaler, dtype: np.dtype[Any]
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield scaled rows of ``matrix`` block by block; the caller may overwrite the rows of a yielded block.

    Args:
        dtype: type in which the values will be stored.

    Raises:
        UnknownNameError: a column or region that the scaler does not have.
        WindowError: scaled values beyond ``dtype``.
    """
    values = matrix.values if isinstance(matrix.values, np.ndarray) else np.asarray(matrix.values)
    most = float(np.finfo(dtype).max)
    tables = [scaler.table(matrix.columns, region) for region in axis.regions]
    for region, rows in _blocks(axis):
        center, scale, log = tables[region]
        block = values[rows].astype(np.float64)
        block[:, log] = np.sign(block[:, log]) * np.log1p(np.abs(block[:, log]))
        block -= center
        block /= scale
        where = matrix.missing.between(rows.start, rows.stop)
        if where.stop > where.start:
            lines = matrix.missing.rows[where] - rows.start
            block[lines] = np.where(matrix.missing.unpack(where), 0, block[lines])
        if (far := np.abs(block).max(axis=0, initial=0)).max(initial=0) > most:
            name = matrix.columns[int(far.argmax())]
            raise WindowError(
                f"column '{name}' of {axis.regions[region]} reaches {far.max():,.0f} when scaled, more than "
                f"{dtype}'s {most:,.0f}; use dtype='bfloat16' or 'float32'"
            )
        yield rows, block


def _blocks(axis: Axis) -> Iterator[tuple[int, slice]]:
    """Yield (region, rows) in blocks that fit the CPU cache."""
    for region in range(len(axis.regions)):
        end = int(axis.offset[region + 1])
        for low in range(int(axis.offset[region]), end, BLOCK_ROWS):
            yield region, slice(low, min(low + BLOCK_ROWS, end))
