"""The version file that a build writes, with staging attached."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from energywh.core.interrupt import interruptible
from energywh.models.contents.staging import Staging

if TYPE_CHECKING:
    import duckdb


class VersionFile:
    """A version file open for writing; a context manager that closes it.

    Args:
        connect: opens the file.
        attach: attaches staging to a connection.
        opened: the file as it is open already, because opening takes time.
    """

    connection: duckdb.DuckDBPyConnection
    staging: Staging

    def __init__(
        self,
        connect: Callable[[], duckdb.DuckDBPyConnection],
        attach: Callable[[duckdb.DuckDBPyConnection], Staging],
        opened: duckdb.DuckDBPyConnection | None = None,
    ) -> None:
        self._connect = connect
        self._opened = opened
        self._attach = attach
        self._stack = ExitStack()

    def __enter__(self) -> VersionFile:
        self.reopen()
        try:
            self.attach_staging()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, traceback)

    def reopen(self) -> None:
        """Close the file and open it again without staging, to continue from the committed state."""
        self._stack.close()
        self.connection = self._opened or self._connect()
        self._opened = None
        self._stack.callback(self.connection.close)
        self._stack.enter_context(interruptible(self.connection))

    def attach_staging(self) -> None:
        """Attach staging to the file just opened.

        Raises:
            LockedError: a sync held staging for too long.
            StorageError: staging cannot be opened.
        """
        self.staging = self._attach(self.connection)
