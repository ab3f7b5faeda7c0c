"""Windows and folds of a connection, by the keyword arguments of `energywh.Warehouse.windows`."""

from __future__ import annotations

from typing import Any

import duckdb

from energywh.datasets.windows import windows
from energywh.datasets.windows.folds import FoldOrigins, Folds
from energywh.datasets.windows.spec import WindowSpec

HOLDING = ("backend", "memmap", "cache")


def cut_windows(connection: duckdb.DuckDBPyConnection, source: str, **asked: Any) -> Any:
    """Return the splits; where none were asked for, the windows themselves."""
    holding = {name: asked.pop(name) for name in HOLDING if name in asked}
    splits = windows.cut_windows(connection, WindowSpec(source=source, **asked), **holding)
    return splits.all if asked.get("splits") is None else splits


def cut_folds(connection: duckdb.DuckDBPyConnection, source: str, **asked: Any) -> Folds:
    holding = {name: asked.pop(name) for name in HOLDING if name in asked}
    origins = FoldOrigins(*(asked.pop(name, None) for name in ("origins", "first", "every", "history")))
    return Folds(connection, WindowSpec(source=source, **asked), origins, **holding)
