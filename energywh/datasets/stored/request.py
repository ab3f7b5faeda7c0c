"""What a dataset is asked for, as it is stored: the same request in the same words, to be asked again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypedDict, get_args

import msgspec

from energywh.core.time import hour_time
from energywh.datasets.stored.manifest import Request
from energywh.datasets.windows import scaler as scaling
from energywh.datasets.windows.backends import DType
from energywh.datasets.windows.plan import (
    Gaps,
    Moment,
    Normalize,
    Overlap,
    Purge,
    Static,
    as_hour,
    as_moments,
    named_regions,
)
from energywh.datasets.windows.sampler import whole_number
from energywh.datasets.windows.source import as_names
from energywh.errors import UsageError, did_you_mean

FORMATS = ("npz", "hdf5")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class DatasetOptions(TypedDict, total=False):
    """What may be left out of a call of `energywh.Warehouse.dataset`; `as_request` has the defaults."""

    regions: Sequence[str] | str | None
    horizon: int
    features: Sequence[str] | str | None
    future: Sequence[str] | str | None
    static: Static
    splits: Moment | Sequence[Moment] | None
    overlap: Overlap
    purge: Purge | None
    gaps: Gaps
    dtype: DType
    since: Moment | None
    until: Moment | None
    normalize: Normalize | None
    holdout: Sequence[str] | str | None
    formats: Sequence[str] | str


def check_name(name: str) -> str:
    """Return the name of a dataset.

    Raises:
        UsageError: it cannot be the name of a folder.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"the name of a dataset is of letters, digits, '-', '_' and '.', with a letter or digit first, not {name!r}"
        )
    return name


def as_request(
    source: str,
    *,
    target: str | Sequence[str],
    length: int,
    stride: int,
    horizon: int = 0,
    regions: Sequence[str] | str | None = None,
    features: Sequence[str] | str | None = None,
    future: Sequence[str] | str | None = None,
    static: Static = "index",
    splits: Moment | Sequence[Moment] | None = None,
    overlap: Overlap = "none",
    purge: Purge | None = None,
    gaps: Gaps = "mask",
    since: Moment | None = None,
    until: Moment | None = None,
    normalize: Normalize | None = None,
    holdout: Sequence[str] | str | None = None,
    dtype: DType = "float32",
    formats: Sequence[str] | str = (),
) -> Request:
    """Return the request of these arguments; those that need the warehouse are checked when it is asked.

    Raises:
        UsageError: a wrong argument.
    """
    _check_choice("static", static, get_args(Static))
    _check_choice("dtype", dtype, get_args(DType))
    forms = as_names(formats, "formats")
    for form in forms:
        _check_choice("formats", form, FORMATS)
    return Request(
        source=source.strip() if isinstance(source, str) else source,
        target=target if isinstance(target, str) else list(as_names(target, "the target")),
        length=whole_number(length, "length", 1),
        stride=whole_number(stride, "stride", 1),
        horizon=whole_number(horizon, "horizon", 0),
        splits=[_hour(as_hour(moment, "a split")) for moment in as_moments(splits)],
        regions=_listed(named_regions(regions)),
        features=None if features is None else list(as_names(features, "the feature")),
        future=None if future is None else list(as_names(future, "future")),
        static=static,
        gaps=gaps,
        overlap=overlap,
        purge=purge if purge is None or isinstance(purge, str) else whole_number(purge, "purge", 0),
        holdout=_listed(named_regions(holdout, "holdout")),
        since=None if since is None else _hour(as_hour(since, "since")),
        until=None if until is None else _hour(as_hour(until, "until", end_of_day=True)),
        normalize=_plain(normalize),
        dtype=dtype,
        formats=[form for form in FORMATS if form in forms],
    )


def plan_arguments(request: Request) -> dict[str, Any]:
    """Return those arguments of the request that `energywh.datasets.windows.plan.make_plan` takes."""
    left_out = ("static", "normalize", "dtype", "formats")
    return {name: value for name, value in msgspec.structs.asdict(request).items() if name not in left_out}


def normalization_of(request: Request) -> scaling.Choice | scaling.Scaler | None:
    """Return how the request wants values scaled.

    Raises:
        UsageError: it is neither a choice nor a scaler.
    """
    stored = request.normalize
    if stored is not None and "center" in stored:
        return scaling.Scaler.from_dict(stored)
    return scaling.choice(stored)


def differences(asked: Request, before: Request) -> list[str]:
    """Return in words what is asked otherwise than before."""
    fields = ((name, getattr(asked, name), getattr(before, name)) for name in asked.__struct_fields__)
    return [f"{name} {_shown(now)} (was {_shown(then)})" for name, now, then in fields if now != then]


def _check_choice(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        shown = f"{', '.join(known[:-1])} or {known[-1]}"
        raise UsageError(f"{name} must be {shown}, not {value!r}{did_you_mean(str(value), known)}")


def _plain(normalize: Normalize | None) -> dict[str, Any] | None:
    """Return how to normalize as plain data."""
    chosen = scaling.choice(normalize)
    if chosen is None or isinstance(chosen, scaling.Scaler):
        return None if chosen is None else chosen.to_dict()
    log = chosen.log if chosen.log == "auto" else list(as_names(chosen.log, "log"))
    return {"kind": chosen.kind, "by": chosen.by, "log": log}


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _hour(number: int) -> str:
    return f"{hour_time(number):%Y-%m-%dT%H}"


def _shown(value: object) -> str:
    if value is None:
        return "not said"
    if isinstance(value, dict):
        return "a scaler" if "center" in value else str(value["kind"])
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
