"""Warnings for people who call energywh from Python, at the line of theirs that brought them about."""

from __future__ import annotations

import sys
import warnings


def warn(text: str) -> None:
    """Warn, pointing at the nearest caller outside of energywh, however deep within it the warning arises."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "energywh":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
