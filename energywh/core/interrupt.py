"""End a DuckDB query on Ctrl-C. DuckDB itself checks for signals between tasks only, many seconds apart."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_AGAIN_SECONDS = 0.05


@contextmanager
def interruptible(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let Ctrl-C end at once whatever ``connection`` runs in this block, as a KeyboardInterrupt.

    Outside of the main thread, which alone gets signals, it does nothing.
    """
    import duckdb

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Python's handler runs in the main thread, which waits for DuckDB. So the signal itself wakes a second thread
    # (`signal.set_wakeup_fd`), which interrupts the query.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    interrupted, done = threading.Event(), threading.Event()

    def watch() -> None:
        while signals := reader.recv(64):
            if signal.SIGINT in signals:
                interrupted.set()
                break
        while interrupted.is_set() and not done.is_set():  # repeated: the first may come just before a query starts
            with contextlib.suppress(duckdb.Error):  # closed within the block
                connection.interrupt()
            done.wait(_AGAIN_SECONDS)

    watcher = threading.Thread(target=watch, name="energywh-interrupt", daemon=True)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    except Exception as error:
        # DuckDB or Arrow report the interrupt as one of several errors; DuckDB may also see the signal first.
        if interrupted.is_set() or isinstance(error, duckdb.InterruptException) or "Query interrupted" in str(error):
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.set_wakeup_fd(before)
        done.set()
        writer.close()
        watcher.join()
        reader.close()
