"""Files that are whole or not there: written beside their place under another name, then moved into it in one step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".writing"


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a hidden path beside ``file`` to write to; it takes the place of ``file`` unless the block fails.

    A process that is killed within the block leaves the hidden file, whose name ends in `TEMPORARY_SUFFIX`.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
