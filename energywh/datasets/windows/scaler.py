"""Scalers: statistics of the train split alone, kept as plain data, and inverted for predictions.

For a column c and a region r (or, with by="global", for all regions alike) a value x becomes

    z = (f(x) - center[r, c]) / scale[r, c]        f(x) = x, or sign(x) * ln(1 + |x|) for the columns of `Scaler.log`

| kind | center | scale | a missing value, 0 and False in the mask, stands at |
|---|---|---|---|
| zscore | mean | standard deviation (divided by n) | the mean |
| robust | median | 75th less 25th percentile; where these are equal, the standard deviation | the median |
| minmax | least | greatest less least | the least |
| none | 0 | 1 | 0 |

- Not scaled: boolean columns, and by their names sines and cosines (`hour_sin`), flags (`is_holiday`, `..._flag`) and
  masks (`..._mask`). They are 0 and 1, or -1 to 1, already. Shares and percentages are scaled as any other number.
- A column with one value in all hours of train is moved to 0 and not divided, and a warning names it. A column with one
  value in a region, but not in others, is divided by the standard deviation over all regions: solar power that begins
  in the test of a region must not stand there in MWh.
- A column without a value in train of a region has the mean and standard deviation (minmax: least and greatest) over
  all regions, with a warning. Without a value in train of any region, it cannot be scaled, which is an error.

Only the hours of the inputs and targets of train windows are measured: none after the end of train, none in the purge
before the split, none that a gap or the stride leaves out of every window.

Statistics do not depend on the order of rows, and so not on threads: moments add up whole 2^-31 parts of the range of a
column in a region (a mean is within 2^-32 of it, about 2e-10), regions are added exactly, and the results are rounded
to 9 significant digits. The same data make the same JSON, to the byte.
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
    """Centers and scales of columns, by region or for all regions. Made by `Windows.scaler`.

    Attributes:
        kind: "zscore", "robust", "minmax" or "none".
        by: "region" or "global".
        columns: all columns of the windows, features and targets, also those left alone (center 0, scale 1).
        regions: of the rows of ``center`` and ``scale``; with by="global" none, and there is one row.
        center, scale: (regions, columns), in the column's unit, or of its logarithm for the columns of ``log``.
        log: columns of which sign(x) * ln(1 + |x|) is scaled.
        left_alone: columns that are not scaled, see the module.
        constant: columns that do not vary in train; they are moved to 0 and not divided.
        first_hour, last_hour: of the hours measured, UTC, as text.
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
        """Return it as plain data: text, numbers and lists, for JSON."""
        return _listed(asdict(self))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scaler:
        """Return the scaler that `to_dict` wrote.

        Raises:
            UsageError: it is not what `to_dict` writes.
        """
        try:
            made = cls(**{name: _tupled(value) for name, value in data.items()})
            rows = len(made.regions) if made.by == "region" else 1
            shapes = {np.shape(made.center), np.shape(made.scale)}
            fits = made.kind in KINDS and made.by in ("region", "global") and shapes == {(rows, len(made.columns))}
            fits = fits and all(math.isfinite(x) for row in made.center for x in row)
            fits = fits and all(math.isfinite(x) and x > 0 for row in made.scale for x in row)
        except (TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"this is no scaler as Scaler.to_dict writes it: {error}") from None
        if not fits:
            raise UsageError(
                "this is no scaler as Scaler.to_dict writes it: center and scale must be a row of finite numbers a "
                "region (one with by='global'), one a column, and scales be greater than 0"
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
        """Return ``values`` of the source as windows hold them.

        Args:
            values: NumPy (or what becomes it) or mx.array. Last axis: the columns, unless ``columns`` is one name;
                first axis: the regions, unless ``regions`` is one code.
            columns: one name, or one for each place of the last axis.
            regions: one code, or one for each place of the first axis; not needed with by="global".
            mask: booleans like ``values``; where False, the result is 0.

        Returns:
            NumPy float64 for NumPy, mx.array float32 for mx.array.

        Raises:
            UnknownNameError: a column or region that was not scaled.
            UsageError: a shape that does not fit.
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
        """Return scaled ``values``, such as predictions (B, horizon), in the units of the source; as `transform`.

        With mx.array it can be differentiated, so that a loss may be taken in MWh.
        """
        center, scale, log, xp = self._for(values, columns, regions)
        values = _wide(values, xp) * _as(scale, xp) + _as(center, xp)
        if not log.any():
            return values
        logged = xp.where(_as(log, xp), values, xp.zeros_like(values))  # so that nothing else overflows
        return xp.where(_as(log, xp), xp.sign(logged) * xp.expm1(xp.abs(logged)), values)

    def table(self, columns: Sequence[str], region: str | None) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        """Return (columns,) centers, scales and whether the logarithm is taken.

        Raises:
            UnknownNameError: a column or region that was not scaled.
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
        if self.by == "global" or self.kind == "none":  # whose rows are all alike
            return 0
        if region not in self.regions:
            raise UnknownNameError(
                f"no window of the train split is of {region or 'a region unnamed'}, so nothing is known to scale it "
                f"by; name one of {', '.join(self.regions)}, leave it out, or scale all alike with by='global'"
            )
        return self.regions.index(region)

    def _for(
        self, values: Any, columns: str | Sequence[str], regions: str | Sequence[str] | NDArray[np.str_] | None
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], Any]:
        """Return center, scale and log, shaped so as to be applied to ``values``, and the module that computes them."""
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


Normalize = Kind | Mapping[str, Any] | Scaler  # as people give it


def as_normalization(plain: Mapping[str, Any] | None) -> Normalization | Scaler | None:
    """Return what `energywh.datasets.windows.normalization.plain_normalization` made plain.

    Raises:
        UsageError: it is no scaler as `Scaler.to_dict` writes it.
    """
    if plain is None:
        return None
    return Scaler.from_dict(plain) if "center" in plain else Normalization(**plain)


def check_held_out(normalization: Normalization | Scaler | None, regions: Sequence[str]) -> None:
    """Reject scaling by region for regions that train has no hour of, before anything is read.

    Args:
        regions: those held out.

    Raises:
        UsageError: there are such regions.
    """
    if normalization is None or normalization.by == "global" or normalization.kind == "none":
        return
    known = normalization.regions if isinstance(normalization, Scaler) else ()
    if unknown := [region for region in regions if region not in known]:
        why = "the scaler given has none of them" if known else "train has no hour of a region held out"
        raise UsageError(
            f"{', '.join(unknown)} cannot be scaled by statistics of its own: {why}; scale all regions alike, "
            f"normalize={{'kind': {normalization.kind!r}, 'by': 'global'}}"
        )


def scaled(frame: Frame, scaler: Scaler, library: Arrays | None = None) -> Frame:
    """Return ``frame`` normalized.

    Args:
        library: array library of the scaled copy; None to scale in the memory of ``frame``, which must be float32 and
            not used otherwise.

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
    """Yield the rows of ``matrix`` scaled, block by block; a block may be written before the next is taken.

    Args:
        dtype: type that the values are kept as.

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
    """Yield (region, rows) in blocks that stay in the cache."""
    for region in range(len(axis.regions)):
        end = int(axis.offset[region + 1])
        for low in range(int(axis.offset[region]), end, BLOCK_ROWS):
            yield region, slice(low, min(low + BLOCK_ROWS, end))
