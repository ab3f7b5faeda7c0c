"""energywh: an embedded analytics warehouse for hourly electric-grid data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from energywh.core.version import VERSION as __version__
from energywh.errors import (
    AuditError,
    CorruptError,
    EnergywhError,
    KeyRefusedError,
    LimitSpentError,
    LockedError,
    LossError,
    ModelError,
    NoTrainValueError,
    NotReadyError,
    PassingError,
    PayloadError,
    RefusedError,
    SettingsError,
    SourceError,
    StorageError,
    UnavailableError,
    UnknownNameError,
    UsageError,
    WindowError,
)

__all__ = [
    "AuditError",
    "CorruptError",
    "EnergywhError",
    "KeyRefusedError",
    "LimitSpentError",
    "LockedError",
    "LossError",
    "ModelError",
    "NoTrainValueError",
    "NotReadyError",
    "PassingError",
    "PayloadError",
    "RefusedError",
    "Scaler",
    "SettingsError",
    "SourceError",
    "StorageError",
    "UnavailableError",
    "UnknownNameError",
    "UsageError",
    "Warehouse",
    "WindowError",
    "WindowSpec",
    "__version__",
    "load_dataset",
    "open",
    "verify_export",
]

if TYPE_CHECKING:
    from energywh.datasets.export_verify import verify_export
    from energywh.datasets.stored.reader import load_dataset
    from energywh.datasets.windows.scaler import Scaler
    from energywh.datasets.windows.spec import WindowSpec
    from energywh.opening import open
    from energywh.warehouse import Warehouse

_LAZY = {
    "open": "energywh.opening",
    "Warehouse": "energywh.warehouse",
    "load_dataset": "energywh.datasets.stored.reader",
    "verify_export": "energywh.datasets.export_verify",
    "Scaler": "energywh.datasets.windows.scaler",
    "WindowSpec": "energywh.datasets.windows.spec",
}


def __getattr__(name: str) -> Any:
    """Load the public face on first use, so that starting the command line imports nothing heavy."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'energywh' has no attribute {name!r}")
