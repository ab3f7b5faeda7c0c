"""`WindowSpec`: what windows are asked for.

The arguments of the Python methods, the options of the command line and the request in a stored dataset's manifest are
this struct.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta

from energywh.core.arguments import as_names, one_of, whole_number
from energywh.core.time import hour_number, hour_time, parse_hour
from energywh.datasets.windows.normalization import plain_normalization
from energywh.errors import UsageError
from energywh.regions import regions as eia_regions

Gaps = Literal["mask", "split", "drop"]
RegionEncoding = Literal["index", "one-hot"]
DType = Literal["float32", "float16", "bfloat16"]
DEFAULT_SOURCE, DEFAULT_TARGET = "features.hourly", "demand_mwh"  # of a stored dataset
Moment = str | date | datetime
Names = Sequence[str] | str
Purge = int | Literal["lookback"]
Spec = TypeVar("Spec", bound="WindowSpec")


def about(description: str, metavar: str = "NAME") -> Meta:
    """Return what the command line says of a field: a short description, and what stands for its value."""
    return Meta(description=description, extra={"metavar": metavar})


class WindowSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What windows are asked for.

    Times are kept as text such as 2023-01-01T00, names as tuples, a scaler as plain data. Times may be given as
    text (a UTC day or hour), date or datetime; names as a list or, of one, as text.

    Attributes:
        source: a model, such as "features.hourly", or an SQL query with columns ``region`` and ``hour_utc``.
        target: column to forecast; a list adds a last axis to the targets.
        length: hours of input in a window.
        stride: hours from the start of one window to the next.
        horizon: hours of target after the input; 0 for the input's own hours moved on by one (next step).
        regions: codes, in the order wanted; by default every authority of the source, aggregates left out, and with a
            warning those without a value of the target (some generate only).
        features: columns of the input; by default all numeric ones that any of the regions named has a value of (with
            gaps="drop", each of them in nine of ten hours), the target's own past among them, but none made in
            hindsight, such as demand_clean_mwh: these know later hours.
        future_covariates: columns to give of the hours of the targets too, known before these begin; by default the
            features whose description is marked [ahead], known at any time before, as the calendar is. Those marked
            [day ahead] may be named too: they are published the day before, CAISO's forecasts and prices from 7:00 to
            13:00 Pacific, a demand forecast at the latest at 7:00 Eastern of the day itself. Nobody knows them at the
            origin for targets later than that: check that your origins and horizon allow for it.
        region_encoding: how a batch names its region: "index", its number, or "one-hot".
        splits: points in time that split the windows, ("2023-01-01", "2024-01-01") for (train, valid, test); one alone
            for (train, test). No hour, as input or target, is in windows of two splits; a split shorter than a window
            takes the hours of input that it needs from the end of the split before, and a warning says how much that
            one loses: windows of a year want borrow_context=True.
        borrow_context: let the inputs of later splits reach back into earlier ones, as they will when a forecast is
            made; targets never do, so nothing of a later split is known to an earlier one. Needs a horizon.
        purge: hours left free before every split, so that nothing of an earlier split, such as a repaired target, is
            computed from an hour of a later one; by default 0 where the model marks every column used as one that
            knows no later hour, else the look-ahead that the model, or of a query the models that it reads, declare
            (add what the query itself looks ahead). Features look back only, which gives nothing away; "lookback" adds
            how far, so that no lag of a test hour reads an hour of train either.
        gaps: "mask" keeps missing hours and values as 0, False in the mask, and leaves out only windows without a
            single target value; "split" cuts windows only from stretches of hours with a target; "drop" leaves out
            every window that misses a value of a feature or target it uses.
        since, until: first and last hour to use, both inclusive; a bare day as ``until`` means its last hour.
        normalize: "zscore", "robust", "minmax" or "none", a dict of the arguments of `Windows.scaler`, such as
            ``{"kind": "robust", "by": "global", "log": "auto"}``, or a `Scaler` made before. Measured by SQL in the
            hours of the train windows alone; ``train.normalization`` is the scaler: its ``inverse`` takes predictions
            back, its ``to_dict`` keeps it. Missing values stay 0, which then is the mean (robust: the median, minmax:
            the least).
        holdout_regions: regions with windows in the last split alone, in the time of that split. With splits=() they
            are (train, test) by region alone, over the whole time. Train has no statistics of them: normalize with
            by="global".
        dtype: type of the values; "bfloat16" with MLX only.

    Raises:
        UsageError: a wrong argument. What needs the warehouse, such as whether a column exists, is checked when it is
            asked.
    """

    source: Annotated[str, about("A model, or an SQL query.")]
    target: Annotated[str | tuple[str, ...], about("What to forecast.")]
    length: Annotated[int, about("Hours of input in a window.")]
    stride: Annotated[int, about("Hours from the start of one window to the next.")]
    horizon: Annotated[int, about("Hours of target after the input; 0: the input's own, moved on by one.")] = 0
    regions: Annotated[tuple[str, ...] | None, about("Only these.", "CODE")] = None
    features: Annotated[tuple[str, ...] | None, about("Columns of the input [all].")] = None
    future_covariates: Annotated[tuple[str, ...] | None, about("Columns known ahead [those marked so].")] = None
    region_encoding: Annotated[RegionEncoding, about("How a window names its region.")] = "index"
    splits: Annotated[tuple[str, ...] | None, about("First hours of valid and test, or of test.", "TIME")] = None
    borrow_context: Annotated[bool, about("Let inputs of later splits reach back into earlier ones.")] = False
    purge: Annotated[Purge | None, about("Hours left free before a split, or lookback [the look-ahead].", "HOURS")] = (
        None
    )
    gaps: Annotated[Gaps, about("What to do with hours that miss something.")] = "mask"
    since: Annotated[str | None, about("First hour to use.", "TIME")] = None
    until: Annotated[str | None, about("Last hour to use; a day means all of it.", "TIME")] = None
    normalize: Annotated[dict[str, Any] | None, about("Scale by statistics of train [values as they are].")] = None
    holdout_regions: Annotated[tuple[str, ...] | None, about("Regions for the last split alone.", "CODE")] = None
    dtype: Annotated[DType, about("What values are held as.")] = "float32"

    def __post_init__(self) -> None:
        for name, value in self._checked().items():
            msgspec.structs.force_setattr(self, name, value)

    def _checked(self) -> dict[str, Any]:
        """Return the fields as they are kept.

        Raises:
            UsageError: a wrong argument.
        """
        for name, words in (("region_encoding", RegionEncoding), ("gaps", Gaps), ("dtype", DType)):
            one_of(getattr(self, name), name, get_args(words))
        if not isinstance(self.borrow_context, bool):
            raise UsageError(f"borrow_context must be True or False, not {self.borrow_context!r}")
        if self.purge == "lookback" and self.borrow_context:
            raise UsageError(
                "purge='lookback' keeps apart the hours that borrow_context=True shares; choose one of them"
            )
        purge, splits = self.purge, self.splits
        return {
            "source": self.source.strip() if isinstance(self.source, str) else self.source,
            "target": self.target if isinstance(self.target, str) else as_names(self.target, "the target"),
            "length": whole_number(self.length, "length", 1),
            "stride": whole_number(self.stride, "stride", 1),
            "horizon": whole_number(self.horizon, "horizon", 0),
            "regions": named_regions(self.regions),
            "features": None if self.features is None else as_names(self.features, "the feature"),
            "future_covariates": (
                None if self.future_covariates is None else as_names(self.future_covariates, "future_covariates")
            ),
            "splits": None if splits is None else tuple(as_text(split, "a split") for split in _moments(splits)),
            "purge": purge if purge is None or purge == "lookback" else whole_number(purge, "purge", 0),
            "since": None if self.since is None else as_text(self.since, "since"),
            "until": None if self.until is None else as_text(self.until, "until", end_of_day=True),
            "normalize": plain_normalization(self.normalize),
            "holdout_regions": named_regions(self.holdout_regions, "holdout_regions"),
        }

    @property
    def cuts(self) -> tuple[int, ...]:
        """First hour of every split but the first, since 1970."""
        return tuple(as_hour(split, "a split") for split in self.splits or ())

    @property
    def first_hour(self) -> int | None:
        """First hour to use, since 1970."""
        return None if self.since is None else as_hour(self.since, "since")

    @property
    def last_hour(self) -> int | None:
        """Last hour to use, since 1970."""
        return None if self.until is None else as_hour(self.until, "until")


def spec_of(kind: type[Spec], method: str, given: Mapping[str, Any]) -> Spec:
    """Return the spec that the arguments of a public method describe, or the one given as ``source``.

    Args:
        kind: the struct wanted.
        method: name of the method, for messages.
        given: its arguments by name; what is no field of the struct is left out.

    Raises:
        TypeError: an argument is missing that has no default.
        UsageError: a wrong argument, or a spec with arguments beside it.
    """
    fields = [field for field in msgspec.structs.fields(kind) if field.name in given]
    source = given["source"]
    if isinstance(source, WindowSpec):
        own = WindowSpec.__struct_fields__
        changed = [field.name for field in fields if given[field.name] != default_of(field)]
        both = [name for name in changed if name in own and name != "source"]
        if both:
            raise UsageError(
                f"{method}() takes a WindowSpec or its fields as arguments, not both ({', '.join(both)}): change the "
                "spec with msgspec.structs.replace(spec, ...)"
            )
        further = {field.name: given[field.name] for field in fields if field.name not in own}
        return kind(**{name: getattr(source, name) for name in own}, **further)
    if missing := [field.name for field in fields if field.required and given[field.name] is None]:
        raise TypeError(f"{method}() is missing {', '.join(missing)}")
    return kind(**{field.name: given[field.name] for field in fields})


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """Return the default that public methods give a field: None where the struct has none."""
    return None if field.required else field.default


def named_regions(regions: Names | None, what: str = "regions") -> tuple[str, ...] | None:
    """Return the regions asked for, each once; None for all authorities.

    The codes of form EIA-930 are taken in any case of letters; other regions, which a query may make, as they are.

    Raises:
        UsageError: something else than names, or none.
    """
    if regions is None:
        return None
    codes = {code.casefold(): code for code in eia_regions()}
    given = as_names(regions, what)
    named = tuple(dict.fromkeys(codes.get(region.strip().casefold(), region) for region in given))
    if not named:
        for_all = " for all authorities" if what == "regions" else ""
        raise UsageError(f"{what} is empty; name at least one, or leave it out{for_all}")
    return named


def as_hour(moment: Moment, what: str, *, end_of_day: bool = False) -> int:
    """Return the number of the UTC hour that ``moment`` names.

    Args:
        end_of_day: a bare day means its last hour.

    Raises:
        UsageError: not a day or an hour.
    """
    if isinstance(moment, datetime):
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        if moment != moment.replace(minute=0, second=0, microsecond=0):
            raise UsageError(f"{what} must be a whole hour, not {moment}")
        return hour_number(moment)
    if isinstance(moment, date):
        moment = moment.isoformat()
    return hour_number(parse_hour(str(moment), end_of_day=end_of_day, what=what))


def as_text(moment: Moment, what: str, *, end_of_day: bool = False) -> str:
    """Return the UTC hour that ``moment`` names, such as 2023-01-01T00; arguments and errors as `as_hour`."""
    return f"{hour_time(as_hour(moment, what, end_of_day=end_of_day)):%Y-%m-%dT%H}"


def _moments(splits: Any) -> Sequence[Moment]:
    points = (splits,) if isinstance(splits, str | date) else splits
    if not isinstance(points, Sequence):
        raise UsageError(f"splits must be a day or hour, or a list of them, not {splits!r}")
    return points
