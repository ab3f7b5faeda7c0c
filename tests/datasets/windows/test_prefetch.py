"""A thread prepares the next batches and leaves nothing behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from queue import Queue
from types import SimpleNamespace
from typing import Any

import mlx.core
import numpy as np
import pytest

from energywh.datasets.windows import prefetch
from energywh.datasets.windows.prefetch import Prefetch
from energywh.datasets.windows.windows import Windows
from energywh.errors import UsageError
from tests.datasets.cutting import cut_windows
from tests.datasets.reference import EPOCH_HOUR, Rows, table_of


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "energywh batches"]


def numbers(count: int, taken: list[int]) -> Iterator[int]:
    for number in range(count):
        taken.append(number)
        yield number


def test_all_come_in_their_order_and_the_thread_ends() -> None:
    assert list(Prefetch(range(100), 3)) == list(range(100))
    assert list(Prefetch((), 3)) == []
    assert threads() == []


def test_no_more_are_made_ahead_than_was_asked_for() -> None:
    taken: list[int] = []
    with Prefetch(numbers(100, taken), 4) as batches:
        assert next(batches) == 0
        deadline = time.monotonic() + 60
        while len(taken) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)  # in which there could be more
        assert len(taken) == 6  # one used, four ready, one in hand
    assert threads() == []
    assert list(batches) == []


def test_leaving_the_loop_early_ends_the_thread() -> None:
    for number in Prefetch(numbers(1000, []), 2):
        if number == 3:
            break
    gc.collect()
    assert threads() == []


def test_an_error_arrives_where_the_batch_would_have_come() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    batches = Prefetch(failing(), 2)
    assert next(batches) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert threads() == []
    assert list(batches) == []


def test_python_exits_while_batches_are_being_made() -> None:
    script = (
        "from energywh.datasets.windows.prefetch import Prefetch\n"
        "import itertools\n"
        "batches = Prefetch(itertools.count(), 2)\n"
        "print(next(batches))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert (found.stdout, found.stderr) == ("0\n", "")


def test_the_wait_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    class SlowQueue(Queue[Any]):
        """A queue of which each batch is waited for a quarter of a second, on the clock of the test."""

        def get(self, *arguments: Any, **options: Any) -> Any:
            nonlocal now
            now += 0.25
            return super().get(*arguments, **options)

    monkeypatch.setattr(prefetch, "Queue", SlowQueue)
    monkeypatch.setattr(prefetch, "time", SimpleNamespace(perf_counter=lambda: now))
    batches = Prefetch(range(4), 1)
    assert batches.waiting == 0
    for number in range(3):
        assert next(batches) == number
        assert batches.waited == 0.25 * number, "the first is not counted"
        now += 0.75
    assert batches.waiting == 0.5 / 2.75
    batches.close()


NAMES = (
    "inputs",
    "targets",
    "mask",
    "target_mask",
    "future_covariates",
    "future_covariates_mask",
    "region_encoding",
)


@pytest.mark.parametrize("kind", ["numpy", "mlx"])
def test_prefetched_batches_are_the_same(kind: Any) -> None:
    rows: Rows = {("CISO", EPOCH_HOUR + i): (None if i % 7 == 0 else 1.0 * i, float(i)) for i in range(200)}
    with table_of(rows) as connection:
        windows = cut_windows(
            connection, "main.series", target="y", length=20, stride=1, future_covariates="x", backend=kind
        )
    assert isinstance(windows, Windows)
    arguments: dict[str, Any] = {"shuffle": True, "seed": 2, "rank": 1, "world": 2, "start": 3}
    ahead = windows.batches(8, prefetch=2, **arguments)
    assert len(ahead) == len(list(ahead)) > 5
    for found, wanted in zip(ahead, windows.batches(8, **arguments), strict=True):
        for name in NAMES:
            np.testing.assert_array_equal(np.asarray(getattr(found, name)), np.asarray(getattr(wanted, name)))
    shards = windows.shard(1, 2).batches(8, prefetch=1)
    assert [len(batch) for batch in shards] == [len(batch) for batch in windows.batches(8)]
    assert threads() == []


def test_a_depth_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="depth must be a whole number of batches made ahead, 1 or more, not 0"):
        Prefetch([], 0)


@pytest.mark.parametrize("memmap", [False, True])
@pytest.mark.parametrize("asked", [{"future_covariates": "x"}, {"future_covariates": "x", "dtype": "bfloat16"}, {}])
def test_what_one_thread_made_another_uses(memmap: bool, asked: dict[str, Any]) -> None:
    """MLX computes what is lazy on a stream of the thread that asked for it, which no other thread has."""
    rows: Rows = {("CISO", EPOCH_HOUR + i): (None if i % 7 == 0 else 1.0 * i, float(i)) for i in range(60)}
    with table_of(rows) as connection:
        windows = cut_windows(connection, "main.series", target="y", length=6, stride=1, memmap=memmap, **asked)
    names = [name for name in NAMES if asked or not name.startswith("future")]

    def numbers_of(sample: Any) -> list[float]:
        return [float(getattr(sample, name).astype(mlx.core.float32).sum()) for name in names]

    def make() -> list[Any]:
        samples: list[Any] = [*islice(windows.batches(4), 1), *islice(windows.shard(1, 2).batches(4), 1), windows[3]]
        for sample in samples[:2]:
            assert sample.mask is not None  # kept from now on
        return samples

    with ThreadPoolExecutor(1) as other:
        made_here, made_there = make(), other.submit(make).result()
        used_there = other.submit(lambda: [numbers_of(sample) for sample in made_here]).result()
    assert used_there == [numbers_of(sample) for sample in made_there] == [numbers_of(sample) for sample in make()]
