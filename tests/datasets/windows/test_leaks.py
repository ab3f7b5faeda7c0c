"""No data of a later split reach an earlier one, in the table, the arrays or the statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from energywh.core.time import hour_time
from energywh.datasets.windows.windows import Windows
from energywh.errors import WindowError
from tests.datasets.cutting import cut_windows
from tests.datasets.reference import EPOCH_HOUR, Rows, table_of
from tests.support.examples import examples

QUICK = settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
REGIONS = ("BPAT", "CISO")

# A model of one feature that looks back and a target that looks ahead, as a repaired demand does, over one that does
# so too: what they declare adds up.
MODELS = """
CREATE SCHEMA energywh;
CREATE TABLE energywh.model (name VARCHAR, lookahead_hours BIGINT, lookback_hours BIGINT);
CREATE TABLE energywh.dependency (model VARCHAR, upstream VARCHAR);
INSERT INTO energywh.model VALUES ('main.upper', {ahead}, {back}), ('main.lower', 1, 2);
INSERT INTO energywh.dependency VALUES ('main.upper', 'main.lower'), ('main.lower', 'main.series');
CREATE VIEW lower AS
    SELECT region, hour_utc, x + lag(x, 2, 0.0) OVER hours AS x, y + lead(y, 1, 0.0) OVER hours AS y FROM series
    WINDOW hours AS (PARTITION BY region ORDER BY hour_utc);
CREATE VIEW upper AS
    SELECT region, hour_utc, x + lag(x, {back}, 0.0) OVER hours AS x, y + lead(y, {ahead}, 0.0) OVER hours AS y
    FROM lower WINDOW hours AS (PARTITION BY region ORDER BY hour_utc);
"""


def changed(rows: Rows, *, before: int | None = None, since: int | None = None) -> Rows:
    """Return rows with other values on one side of an hour."""
    return {
        (region, hour): (x, y)
        if (before is not None and hour >= before) or (since is not None and hour < since)
        else (x * 3 + 1, y * -2 + 5)  # type: ignore[operator]
        for (region, hour), (x, y) in rows.items()
    }


def cut(rows: Rows, ahead: int, back: int, **arguments: Any) -> tuple[Windows, Windows]:
    with table_of(rows) as connection:
        connection.execute(MODELS.format(ahead=ahead, back=back))
        made = cut_windows(connection, "main.upper", target="y", features=["x", "y"], backend="numpy", **arguments)
    assert isinstance(made, tuple)
    return made[0], made[1]


def seen(windows: Windows) -> list[Any]:
    """Return everything of the windows that a training loop reads."""
    found: list[Any] = [windows.starts.tolist(), windows.normalization]
    for window in map(windows.window, range(len(windows))):
        found.append([part.tolist() for part in (window.inputs, window.mask, window.targets, window.target_mask)])
    return found


def drawn(hours: int, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    return {
        (region, EPOCH_HOUR + i): (float(random.normal(10, 3)), float(random.normal(100, 9)))
        for region in REGIONS
        for i in range(hours)
    }


@pytest.mark.filterwarnings("ignore:.* gives up its last")
@QUICK
@given(
    seed=st.integers(0, 1000),
    at=st.integers(30, 60),
    length=st.integers(1, 12),
    stride=st.integers(1, 6),
    horizon=st.integers(0, 4),
    ahead=st.integers(0, 5),
    back=st.integers(0, 8),
    borrow=st.booleans(),
    kind=st.sampled_from([None, "zscore", "robust", "minmax"]),
)
def test_a_changed_future_moves_nothing_of_train(
    seed: int, at: int, length: int, stride: int, horizon: int, ahead: int, back: int, borrow: bool, kind: Any
) -> None:
    assume(horizon or not borrow)
    rows = drawn(80, seed)
    arguments: dict[str, Any] = {"length": length, "stride": stride, "horizon": horizon, "borrow_context": borrow}
    arguments |= {"splits": [hour_time(EPOCH_HOUR + at)], "normalize": kind}
    before, test = cut(rows, ahead, back, **arguments)
    after, changed_test = cut(changed(rows, since=EPOCH_HOUR + at), ahead, back, **arguments)
    assert seen(before) == seen(after)
    assert seen(test) != seen(changed_test)


@pytest.mark.filterwarnings("ignore:.* gives up its last")
@QUICK
@given(
    seed=st.integers(0, 1000),
    at=st.integers(30, 60),
    length=st.integers(1, 12),
    stride=st.integers(1, 6),
    horizon=st.integers(0, 4),
    ahead=st.integers(0, 5),
    back=st.integers(0, 8),
)
def test_a_changed_train_moves_nothing_of_test_where_looking_back_is_purged(
    seed: int, at: int, length: int, stride: int, horizon: int, ahead: int, back: int
) -> None:
    rows = drawn(80, seed)
    arguments: dict[str, Any] = {"length": length, "stride": stride, "horizon": horizon, "purge": "lookback"}
    arguments["splits"] = [hour_time(EPOCH_HOUR + at)]
    try:
        train, test = cut(rows, ahead, back, **arguments)
    except WindowError:
        assume(False)
    # All that train has read: to its last target, and as far ahead as that is computed from.
    read = int(train.starts["hour_utc"].max().astype(np.int64)) + train.shape.span + ahead + 1
    changed_train, changed_test = cut(changed(rows, before=read), ahead, back, **arguments)
    assert seen(test) == seen(changed_test)
    assert seen(train) != seen(changed_train)


def test_without_a_purge_both_sides_leak() -> None:
    """A leak makes the tests above fail."""
    rows = drawn(80, 1)
    arguments: dict[str, Any] = {"length": 6, "stride": 1, "horizon": 2, "splits": [hour_time(EPOCH_HOUR + 50)]}
    train, _ = cut(rows, 3, 8, purge=0, **arguments)
    later, _ = cut(changed(rows, since=EPOCH_HOUR + 50), 3, 8, purge=0, **arguments)
    assert seen(train) != seen(later)
    _, test = cut(rows, 3, 8, **arguments)
    _, later = cut(changed(rows, before=EPOCH_HOUR + 46), 3, 8, **arguments)
    assert seen(test) != seen(later)
