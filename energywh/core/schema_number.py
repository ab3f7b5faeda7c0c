"""Schema numbers: what is kept on disk says by a number how it is laid out.

A file that can hold a number of its own has it inside: staging, versions, datasets, counts of requests. A folder of
many small files has it in `schema.json`:

    payloads/schema.json        {"schema":1}

A number that is not there is 1. A newer number than this energywh knows is an error before anything is read or
written; an older one is brought forward by whoever owns the file or folder.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from energywh.core.files import write_file
from energywh.core.storage_errors import storage_error, storage_errors
from energywh.errors import CorruptError, StorageError

FILE = "schema.json"


class _Number(msgspec.Struct):
    schema: int


def check_known(place: Path, number: int, known: int) -> None:
    """Check that this energywh knows the schema ``number`` of the file or folder ``place``.

    Raises:
        StorageError: a newer energywh wrote it.
    """
    if number > known:
        raise StorageError(
            f"{place} was written by a newer energywh (schema {number}; this one knows {known}): upgrade energywh"
        )


def folder_number(folder: Path, known: int) -> int:
    """Return the schema number of a folder; 1 where none is written.

    Raises:
        StorageError: a newer energywh wrote it, or the number cannot be read.
        CorruptError: the file that holds the number is damaged.
    """
    file = folder / FILE
    try:
        number = msgspec.json.decode(file.read_bytes(), type=_Number).schema
    except (FileNotFoundError, NotADirectoryError):
        return 1
    except OSError as error:
        raise storage_error(error, "read", file) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorruptError(f'{file} is damaged ({error}); write {{"schema":{known}}} into it') from None
    check_known(folder, number, known)
    return number


def write_folder_number(folder: Path, number: int) -> None:
    """Write the schema number of a folder, whole or not at all."""
    file = folder / FILE
    with storage_errors("write", file):
        write_file(file, msgspec.json.encode(_Number(number)) + b"\n")
