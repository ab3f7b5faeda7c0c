"""Warnings for callers from Python, which point at their line."""

from __future__ import annotations

import sys
import warnings


def warn(text: str) -> None:
    """Issue a UserWarning that points at the nearest caller outside of energywh."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "energywh":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
