"""Keep what was found in model files, so that a command that reads unchanged files parses none of them.

Each tree of models has a few files in the user's cache folder: one for what its models declare, one for what their
SELECTs read, one for where their columns come from. A file holds a finding for each text, under the checksum of the
text and of all else that the finding depends on. A file that cannot be used is ignored, and replaced by the next one.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from energywh.core.files import write_file
from energywh.core.version import VERSION
from energywh.errors import StorageError

MAX_FILES = 500  # of all trees together; the files not used for the longest time go first
MAX_BYTES = 64 * 2**20
MAX_IN_MEMORY = 4096
MAX_FINDINGS = 300  # in one file, those of the tree as it is now not counted; each costs the reader time
_CHECKSUM_BYTES = 32
_ROOMS = ("project", "tracing", "catalog")  # of the code that parses
_ENDING = ".msgpack"

T = TypeVar("T")

_in_memory: OrderedDict[str, Any] = OrderedDict()  # the findings of this process, of all trees, by checksum


def cache_folder() -> Path:
    """Return the folder of the findings: within the user's cache folder, or one that cannot be made if there is none.

    Set XDG_CACHE_HOME to use another.
    """
    # platformdirs knows the same folders, and takes longer to import than the findings to read.
    try:
        user = Path("~/Library/Caches" if sys.platform == "darwin" else "~/.cache").expanduser()
    except RuntimeError:  # a user without a home folder
        user = Path(os.devnull)
    return Path(os.environ.get("XDG_CACHE_HOME") or user) / "energywh" / "models"


class ParseCache:
    """The findings about one tree of models: those of earlier commands, and what this one adds.

    A context manager; if the block does not fail, what was added is kept for later commands.

    Args:
        what: what the findings are about, such as `select`.
        tree: identifies the tree, such as its folders.
    """

    def __init__(self, what: str, *tree: str) -> None:
        name = hashlib.sha256(repr((_code(), what, tree)).encode()).hexdigest()[:32]
        self._file = cache_folder() / f"{name}{_ENDING}"
        self._stored: dict[str, msgspec.Raw] | None = None
        self._used: dict[str, Any] = {}
        self._added = False

    def __enter__(self) -> ParseCache:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.save()

    def get(self, kind: type[T], key: object, make: Callable[[], T]) -> T:
        """Return the finding of type ``kind`` for ``key``, made by ``make`` unless it is known.

        Args:
            key: all that the finding depends on besides the code; its `repr` must be the same in every process.
        """
        checksum = hashlib.sha256(f"{kind.__name__} {key!r}".encode()).hexdigest()[:32]
        found: T | None = _in_memory.get(checksum)
        if found is None:
            found = self._read(kind, checksum)
        if found is None:
            found, self._added = make(), True
        _in_memory[checksum] = found
        _in_memory.move_to_end(checksum)
        if len(_in_memory) > MAX_IN_MEMORY:
            _in_memory.popitem(last=False)
        self._used[checksum] = found
        return found

    def _read(self, kind: type[T], checksum: str) -> T | None:
        if self._stored is None:
            self._stored = _read_file(self._file)
        raw = self._stored.get(checksum)
        if raw is not None:
            with suppress(msgspec.MsgspecError):
                return msgspec.msgpack.decode(raw, type=kind, dec_hook=_decode_path)
        return None

    def save(self) -> None:
        """Keep the findings used so far, if there are new ones; not where the folder or the disk does not allow it."""
        if not self._added:
            return
        self._added = False
        unused = [(checksum, raw) for checksum, raw in (self._stored or {}).items() if checksum not in self._used]
        kept = self._used | dict(unused[: max(0, MAX_FINDINGS - len(self._used))])
        with suppress(OSError, StorageError, UnicodeEncodeError):  # the last for a path that is not UTF-8
            content = msgspec.msgpack.encode(kept, enc_hook=_encode_path)
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(self._file, hashlib.sha256(content).digest() + content)
            _sweep(self._file.parent)


def _read_file(file: Path) -> dict[str, msgspec.Raw]:
    """Return the findings in a file by checksum; none if it is absent, damaged, or another user's."""
    try:
        with file.open("rb") as opened:
            # What is found here runs as SQL, so nobody else may have written it.
            if hasattr(os, "geteuid") and os.fstat(opened.fileno()).st_uid != os.geteuid():
                return {}
            content = opened.read(MAX_BYTES)
        if hashlib.sha256(content[_CHECKSUM_BYTES:]).digest() != content[:_CHECKSUM_BYTES]:
            return {}
        found = msgspec.msgpack.decode(content[_CHECKSUM_BYTES:], type=dict[str, msgspec.Raw])
    except (OSError, msgspec.MsgspecError):
        return {}
    with suppress(OSError):
        os.utime(file)  # used now
    return found


def _sweep(folder: Path) -> None:
    """Remove the files not used for the longest time, and with them what killed processes left."""
    found = sorted(
        ((stat.st_mtime, stat.st_size, file) for file in folder.iterdir() if (stat := file.stat())), reverse=True
    )
    size = 0
    for number, (_, length, file) in enumerate(found, start=1):
        size += length
        if number > MAX_FILES or size > MAX_BYTES:
            file.unlink(missing_ok=True)


@cache
def _code() -> str:
    """Return a checksum of the code that parses: sqlglot's version, and the files of energywh."""
    parts = hashlib.sha256(f"{VERSION} {_sqlglot_version()}".encode())
    models = Path(__file__).parents[1]
    for file in sorted(file for room in _ROOMS for file in (models / room).glob("*.py")):
        parts.update(file.read_bytes())
    return parts.hexdigest()


def _sqlglot_version() -> str:
    """Return the version of sqlglot, if possible without loading it or the metadata of packages."""
    spec = find_spec("sqlglot")
    file = Path(spec.origin if spec and spec.origin else "").with_name("_version.py")
    if file.is_file():
        return file.read_text("utf-8")
    import sqlglot

    return str(sqlglot.__version__)  # type: ignore[attr-defined]


def _encode_path(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value)} is not kept")


def _decode_path(kind: type, value: Any) -> Path:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"{kind} is not kept")
