"""The limit of memory that MLX keeps between batches."""

from __future__ import annotations

import threading
from typing import Any

# Memory fresh from the system is three to five times slower to fill, as its pages have to be made. MLX keeps freed
# memory for the next array of that size: with Metal nearly all of it, on CPU 32 MB, less than a batch of long windows.
MLX_LIMIT = 32 << 20  # bytes that MLX 0.32 keeps on CPU
BATCHES = 2  # a batch with its masks, and as much again for what a training step frees
NO_LIMIT = 1 << 62


class CacheLimit:
    """How much memory MLX keeps; one for the process, as the limit of MLX is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limit = MLX_LIMIT

    def make_room(self, mx: Any, size: int) -> None:
        """Let MLX keep batches of ``size`` bytes, unless other code has set its limit."""
        wanted = BATCHES * size
        if wanted <= self._limit:
            return
        with self._lock:
            found = mx.set_cache_limit(NO_LIMIT)  # it can only be asked for by setting it
            ours = found == self._limit
            mx.set_cache_limit(max(wanted, found) if ours else found)
            self._limit = max(wanted, found) if ours else NO_LIMIT


cache_limit = CacheLimit()
