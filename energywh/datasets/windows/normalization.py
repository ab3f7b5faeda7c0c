"""The request for a normalization, before its statistics are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from energywh.core.arguments import as_names
from energywh.errors import UsageError, did_you_mean

Kind = Literal["zscore", "robust", "minmax", "none"]
By = Literal["region", "global"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Normalization:
    """How to normalize: the kind of scaler, by region or for all alike, and the columns to take the logarithm of."""

    kind: Kind = "zscore"
    by: By = "region"
    log: Sequence[str] | str = ()  # columns, or "auto"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(
                f"a scaler is of kind {', '.join(KINDS)}, not {self.kind!r}{did_you_mean(str(self.kind), KINDS)}"
            )
        if self.by not in ("region", "global"):
            raise UsageError(f"by must be 'region' or 'global', not {self.by!r}")


class PlainScaler(Protocol):
    """A scaler, which knows itself as plain data."""

    def to_dict(self) -> dict[str, Any]: ...


def plain_normalization(normalize: Kind | Mapping[str, Any] | PlainScaler | None) -> dict[str, Any] | None:
    """Return the argument ``normalize`` as plain data: kind, by and log, or a scaler.

    Raises:
        UsageError: it is neither the name of a kind, nor a dict of kind, by and log, nor a scaler.
    """
    if normalize is None:
        return None
    if isinstance(normalize, Mapping) and "center" in normalize:
        return dict(normalize)
    if isinstance(normalize, str):
        wanted = Normalization(normalize)
    elif isinstance(normalize, Mapping) and set(normalize) <= {"kind", "by", "log"}:
        wanted = Normalization(**normalize)
    elif hasattr(normalize, "to_dict") and "center" in (plain := normalize.to_dict()):
        return plain
    else:
        raise UsageError(
            f"normalize must be {', '.join(map(repr, KINDS))}, a dict of kind, by and log, or a Scaler, not "
            f"{normalize!r}"
        )
    log = wanted.log if wanted.log == "auto" else list(as_names(wanted.log, "log"))
    return {"kind": wanted.kind, "by": wanted.by, "log": log}
