"""The request limit that all processes share."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from energywh.errors import LimitSpentError, SourceError, StorageError
from energywh.sources.limits import RateLimits
from energywh.sync.rate_limit import SCHEMA, RequestLimit, Stopped, duration_seconds, state_folder


def limit(folder: Path, per_second: float = 0, per_hour: int = 0, identity: str = "url\nkey") -> RequestLimit:
    return RequestLimit(folder, "eia", identity, RateLimits(per_second, per_hour))


def admitted(limits: list[RequestLimit], requests: int, threads: int = 4) -> list[float]:
    """Return the times at which a number of requests were admitted, by threads that share the limits."""
    moments: list[float] = []
    lock = threading.Lock()

    def work(each: RequestLimit) -> None:
        while True:
            with lock:
                if len(moments) + 1 > requests:
                    return
                moments.append(0.0)
                place = len(moments) - 1
            each.wait(threading.Event())
            moments[place] = time.monotonic()

    workers = [threading.Thread(target=work, args=(limits[n % len(limits)],)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(moments)


def test_threads_and_openings_of_one_key_share_the_pace(tmp_path: Path) -> None:
    one, two = limit(tmp_path, 20), limit(tmp_path, 20)
    began = time.monotonic()
    moments = admitted([one, two], 25)
    # Measured from before the first request: an admitted thread may report late.
    assert moments[20] - began >= 1.2
    assert moments[-1] - began < 20
    one.close()
    two.close()


def test_another_key_has_a_pace_of_its_own(tmp_path: Path) -> None:
    stop = threading.Event()
    began = time.monotonic()
    for name in ("a", "b", "c"):
        with_key = limit(tmp_path, 0.01, identity=name)
        with_key.wait(stop)
        with_key.close()
    assert time.monotonic() - began < 50
    assert not any("key" in path.name for path in tmp_path.iterdir())


def test_the_limit_of_an_hour_outlives_the_process(tmp_path: Path) -> None:
    first = limit(tmp_path, per_hour=3)
    for _ in range(3):
        first.wait(threading.Event())
    first.close()
    second, stop = limit(tmp_path, per_hour=3), threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Stopped):
        second.wait(stop)
    second.close()


def test_a_costly_request_counts_as_so_many_and_one_dearer_than_the_limit_takes_all_of_it(tmp_path: Path) -> None:
    made = RequestLimit(tmp_path, "open_meteo", "host", RateLimits(requests_per_hour=10))
    made.wait(threading.Event(), cost=7)
    made.wait(threading.Event(), cost=3)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Stopped):
        made.wait(stop)
    made.close()
    other = RequestLimit(tmp_path, "open_meteo", "another host", RateLimits(requests_per_hour=10))
    other.wait(threading.Event(), cost=50)
    other.close()


@pytest.mark.parametrize("more_ms", [0, 1, 250])
def test_a_whole_day_to_wait_is_the_limit_of_the_day_and_no_fault_of_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more_ms: int
) -> None:
    spent = RequestLimit(tmp_path, "open_meteo", "url", RateLimits(requests_per_day=4))
    monkeypatch.setattr(spent, "_ask", lambda bucket, weight: 86_400_000 + more_ms)
    with pytest.raises(LimitSpentError, match="for the next 24 h"):
        spent.wait(threading.Event())


@pytest.mark.parametrize(("per_hour", "per_day", "most"), [(3, 5, 3), (3, 10_000, 3), (9, 4, 4), (0, 4, 4), (4, 96, 4)])
def test_limits_of_an_hour_and_a_day_hold_together_whichever_is_the_stricter(
    tmp_path: Path, per_hour: int, per_day: int, most: int
) -> None:
    both = RequestLimit(tmp_path, "open_meteo", "url", RateLimits(0, per_hour, per_day))
    stop = threading.Event()
    for _ in range(most):
        both.wait(stop)
    if per_day == most:  # the limit of a day is not waited for, and that of an hour is
        with pytest.raises(LimitSpentError):
            both.wait(stop)
    else:
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(Stopped):
            both.wait(stop)
    both.close()


@pytest.mark.parametrize("make", [limit, lambda folder: limit(folder, 0.001)])
def test_waiting_ends_when_the_run_stops(tmp_path: Path, make: Callable[[Path], RequestLimit]) -> None:
    stop = threading.Event()
    stop.set()
    made = make(tmp_path)
    with pytest.raises(Stopped):
        made.wait(stop)
    made.close()


def test_without_a_limit_nothing_is_counted(tmp_path: Path) -> None:
    free = limit(tmp_path / "state")
    free.wait(threading.Event())
    free.close()
    assert not (tmp_path / "state").exists()


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot keep the request limit of eia in .*ENERGYWH_STATE_FOLDER"):
        limit(tmp_path / "file" / "state", 5)


def test_the_time_at_the_limit_counts_the_hours_that_have_to_pass() -> None:
    assert duration_seconds(50, RateLimits(5, 9000)) == pytest.approx(12)  # one every 240 ms: see MARGIN_MS
    assert duration_seconds(9000, RateLimits(5, 9000)) == pytest.approx(2160)
    assert duration_seconds(9005, RateLimits(5, 9000)) == pytest.approx(3601.2)
    assert duration_seconds(10, RateLimits(0.2)) == pytest.approx(52)  # one every 5 s, and the margin
    assert duration_seconds(10_100, RateLimits(0, 5000, 10_000)) == pytest.approx(86_400)
    assert duration_seconds(20_000, RateLimits()) == 0


def test_the_state_folder_is_the_users_own_unless_set(tmp_path: Path) -> None:
    assert state_folder(str(tmp_path)) == tmp_path
    assert state_folder("").name == "energywh"


def test_a_long_pause_is_reported_once_with_its_length(tmp_path: Path) -> None:
    messages: list[str] = []
    heard, stop = threading.Event(), threading.Event()

    def tell(message: str) -> None:
        messages.append(message)
        heard.set()

    spent = RequestLimit(tmp_path, "eia", "key", RateLimits(requests_per_hour=2), tell)
    spent.wait(stop)
    spent.wait(stop)
    waiting = [threading.Thread(target=_until_stopped, args=(spent, stop)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert heard.wait(60)
    time.sleep(0.2)  # in which another thread might tell it again
    stop.set()
    for thread in waiting:
        thread.join()
    assert len(messages) == 1
    assert "eia: the hourly request limit is used up; continuing in 60 minutes" in messages[0]
    spent.close()


def _until_stopped(limit: RequestLimit, stop: threading.Event) -> None:
    with pytest.raises(Stopped):
        limit.wait(stop)


HOURLY = RateLimits(requests_per_second=50, requests_per_hour=3)


def count_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sqlite"))


def stamp_all(folder: Path, ahead_ms: int) -> None:
    """Move the counted requests into the future, as if the clock had been set back since."""
    for file in count_files(folder):
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("update rate_bucket set item_timestamp = item_timestamp + ?", [ahead_ms])


def spend(folder: Path, messages: list[str] | None = None, requests: int = 3) -> None:
    made = RequestLimit(folder, "eia", "key", HOURLY, (messages if messages is not None else []).append)
    for _ in range(requests):
        made.wait(threading.Event())
    made.close()


@pytest.mark.parametrize("hours", [1, 9000])
def test_stamps_of_a_clock_that_was_ahead_are_dropped_with_a_warning(tmp_path: Path, hours: int) -> None:
    spend(tmp_path)
    stamp_all(tmp_path, hours * 3_600_000)
    messages: list[str] = []
    spend(tmp_path, messages)  # would wait for hours
    assert any("held 3 requests of the future" in line for line in messages)
    again: list[str] = []
    RequestLimit(tmp_path, "eia", "key", HOURLY, again.append).close()
    assert again == []


def test_a_clock_set_back_while_a_sync_runs_does_not_stop_it(tmp_path: Path) -> None:
    messages: list[str] = []
    made = RequestLimit(tmp_path, "eia", "key", HOURLY, messages.append)
    for _ in range(3):
        made.wait(threading.Event())
    stamp_all(tmp_path, 9000 * 3_600_000)
    made.wait(threading.Event())
    made.close()
    assert "of the future" in messages[0]


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: b"",
        lambda content: b"no database",
        lambda content: content[: len(content) // 2],
        lambda content: content[:4096] + b"\xff" * (len(content) - 4096),
        lambda content: b"\0" * len(content),
    ],
)
def test_a_damaged_count_begins_anew_with_a_warning(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    spend(tmp_path)
    for file in count_files(tmp_path):
        file.write_bytes(harm(file.read_bytes()))
    messages: list[str] = []
    spend(tmp_path, messages)
    assert harm(b"x" * 9000) == b"" or any("was damaged and restarts at 0" in line for line in messages)
    spend(tmp_path, requests=0)


def test_a_count_of_another_shape_begins_anew(tmp_path: Path) -> None:
    spend(tmp_path)
    for file in count_files(tmp_path):
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("drop table rate_bucket")
            connection.execute("create table rate_bucket (other int)")
    messages: list[str] = []
    spend(tmp_path, messages)
    assert any("was damaged" in line for line in messages)


def test_a_count_of_a_newer_energywh_is_refused_and_one_without_a_number_goes_on(tmp_path: Path) -> None:
    limit(tmp_path, per_hour=5).close()
    (file,) = tmp_path.glob("*-budget.sqlite")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        assert connection.execute("pragma user_version").fetchone() == (SCHEMA,)
        connection.execute("pragma user_version = 0")
        limit(tmp_path, per_hour=5).close()
        assert connection.execute("pragma user_version").fetchone() == (SCHEMA,)
        connection.execute(f"pragma user_version = {SCHEMA + 1}")
    with pytest.raises(StorageError, match=r"-budget.sqlite was written by a newer energywh .*: upgrade energywh"):
        limit(tmp_path, per_hour=5)
    assert file.exists()


def test_a_pause_beyond_a_day_is_an_error_and_not_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = RequestLimit(tmp_path, "eia", "key", HOURLY)
    monkeypatch.setattr(made, "_ask", lambda bucket, weight: 25 * 3_600_000)
    with pytest.raises(SourceError, match="allows none for 25 h, which no limit of it says: check the clock") as caught:
        made.wait(threading.Event())
    assert not isinstance(caught.value, LimitSpentError)
    made.close()
