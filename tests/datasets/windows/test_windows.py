"""Windows contain exactly the hours that they claim."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import energywh
from energywh.core.paths import Home
from energywh.core.time import hour_time
from energywh.datasets.windows.source import bind, lookahead, lookback
from energywh.datasets.windows.windows import Windows
from energywh.errors import UnknownNameError, UsageError, WindowError
from tests.datasets.cutting import cut_windows
from tests.datasets.published import META, publish_demo
from tests.datasets.reference import EPOCH_HOUR, Rows, Sample, expected, table_of
from tests.support.examples import examples

QUICK = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])

value = st.one_of(st.none(), st.integers(-1000, 1000).map(float))


@st.composite
def histories(draw: st.DrawFn, most_hours: int = 40) -> Rows:
    """Draw regions of different lengths and beginnings, with absent hours and missing values."""
    rows: Rows = {}
    for region in draw(st.lists(st.sampled_from(["BPAT", "CISO", "ERCO"]), min_size=1, unique=True)):
        begin = EPOCH_HOUR + draw(st.integers(0, 10))
        kept = draw(st.lists(st.booleans(), min_size=1, max_size=most_hours))
        kept[0] = kept[-1] = True
        holes = draw(st.sampled_from([st.just(1.0), value]))
        for step, there in enumerate(kept):
            if there:
                rows[region, begin + step] = (draw(holes), draw(holes))
        rows[region, begin] = (1.0, 2.0)
    return rows


def arrays_of(sample: Sample) -> tuple[Any, Any, Any, Any]:
    """Return inputs, mask, targets and target mask of a reference window."""
    inputs = np.array(sample.inputs, dtype=object)
    targets = np.array(sample.targets, dtype=object)
    filled = [np.where(part == None, 0, part).astype(np.float32) for part in (inputs, targets)]  # noqa: E711
    return filled[0], inputs != None, filled[1], targets != None  # noqa: E711


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[energywh.Warehouse]:
    home = Home(tmp_path_factory.mktemp("windows"))
    publish_demo(home, hours=24 * 30)
    with energywh.open(home.path) as warehouse:
        yield warehouse


@QUICK
@given(
    rows=histories(),
    length=st.integers(1, 12),
    stride=st.integers(1, 9),
    horizon=st.integers(0, 6),
    drop=st.booleans(),
    shuffled=st.booleans(),
    kind=st.sampled_from(["numpy", "mlx"]),
)
def test_windows_are_exactly_those_of_the_slow_way(
    rows: Rows, length: int, stride: int, horizon: int, drop: bool, shuffled: bool, kind: Any
) -> None:
    regions = sorted({region for region, _ in rows}, reverse=True)
    samples = expected(rows, regions, length=length, stride=stride, horizon=horizon, drop=drop)
    with table_of(rows, shuffled) as connection:

        def cut() -> Windows:
            made = cut_windows(
                connection,
                "main.series",
                regions=regions,
                target="y",
                features=["x", "y"],
                length=length,
                stride=stride,
                horizon=horizon,
                gaps="drop" if drop else "mask",
                backend=kind,
            )
            assert isinstance(made, Windows)
            return made

        if not samples:
            with pytest.raises(WindowError):
                cut()
            return
        windows = cut()
    assert windows.regions == tuple(regions)
    assert windows.columns == ("x", "y")
    assert len(windows) == len(samples)
    for index, sample in enumerate(samples):
        assert windows.starts[index]["region"] == sample.region
        assert windows.starts[index]["hour_utc"] == np.datetime64(sample.hour, "h")
        window = windows.window(index)
        got = (window.inputs, window.mask, window.targets, window.target_mask)
        for found, wanted in zip(got, arrays_of(sample), strict=True):
            np.testing.assert_array_equal(np.asarray(found), wanted)
        if drop:
            assert np.asarray(window.mask).all()
            assert np.asarray(window.target_mask).all()
    seen = []
    for batch in windows.batches(3, shuffle=True, seed=7):
        for place, index in enumerate(batch.indices.tolist()):
            seen.append(index)
            wanted_arrays = arrays_of(samples[index])
            got = (batch.inputs, batch.mask, batch.targets, batch.target_mask)
            for found, wanted in zip(got, wanted_arrays, strict=True):
                np.testing.assert_array_equal(np.asarray(found)[place], wanted)
            assert batch.regions[place] == samples[index].region
            assert batch.hours[place] == np.datetime64(samples[index].hour, "h")
    assert sorted(seen) == list(range(len(samples)))


@pytest.mark.filterwarnings("ignore:.* gives up its last")
@QUICK
@given(
    hours=st.integers(20, 120),
    cuts=st.lists(st.integers(1, 119), min_size=1, max_size=3, unique=True).map(sorted),
    length=st.integers(1, 12),
    horizon=st.integers(0, 6),
    purge=st.integers(0, 5),
    stride=st.integers(1, 5),
)
def test_splits_share_no_hour_and_keep_the_order_of_time(
    hours: int, cuts: list[int], length: int, horizon: int, purge: int, stride: int
) -> None:
    rows: Rows = {(region, EPOCH_HOUR + i): (1.0, 2.0) for region in ("BPAT", "CISO") for i in range(hours)}
    with table_of(rows) as connection:
        try:
            parts = cut_windows(
                connection,
                "main.series",
                target="y",
                length=length,
                stride=stride,
                horizon=horizon,
                splits=[hour_time(EPOCH_HOUR + cut) for cut in cuts],
                purge=purge,
                backend="numpy",
            )
        except WindowError as error:
            assert "split" in str(error)  # noqa: PT017 - either outcome is right, the text is not free
            return
    assert isinstance(parts, tuple)
    assert len(parts) == len(cuts) + 1
    span = length + max(horizon, 1)
    end_before = -purge
    for number, part in enumerate(parts):
        offsets = (part.starts["hour_utc"] - np.datetime64(hour_time(EPOCH_HOUR), "h")).astype(int)
        assert len(offsets) > 0
        assert offsets.min() >= end_before + purge
        end_before = int(offsets.max()) + span
        if number:
            assert offsets.min() + span > cuts[number - 1]  # its last target lies behind its cut
        if number < len(cuts):
            assert end_before <= cuts[number]


def test_long_windows_borrow_inputs_from_before_their_cut_and_the_part_before_gives_them_up() -> None:
    rows: Rows = {("CISO", EPOCH_HOUR + i): (1.0, float(i)) for i in range(400)}
    says = (
        r"train gives up its last 100 hours \(1 window instead of 101\): valid would hold no window of 104 hours"
        r".*borrow_context=True, take"
    )
    with table_of(rows) as connection, pytest.warns(UserWarning, match=says):
        train, valid, test = cut_windows(  # type: ignore[misc]
            connection,
            "FROM main.series",
            target="y",
            length=100,
            stride=1,
            horizon=4,
            splits=[hour_time(EPOCH_HOUR + 204), hour_time(EPOCH_HOUR + 290)],
            purge=0,
            backend="numpy",
        )
    assert [part.name for part in (train, valid, test)] == ["train", "valid", "test"]
    first_target = [float(part.window(0).targets[0]) for part in (train, valid, test)]
    last_target = [float(part.window(len(part) - 1).targets[-1]) for part in (train, valid, test)]
    assert first_target == [100, 204, 390]  # valid, 86 hours long, reaches back; test, 110 hours, does not
    assert last_target == [103, 289, 399]


@pytest.mark.parametrize("source", ["features.hourly", "SELECT * FROM features.hourly"])
@pytest.mark.parametrize(("purge", "free"), [(None, 24), ("lookback", 124), (0, 0), (100, 100)])
def test_the_lookahead_of_the_model_is_left_free_before_a_split(
    warehouse: energywh.Warehouse, source: str, purge: Any, free: int
) -> None:
    train, test = warehouse.windows(
        source,
        target="demand_mwh",
        length=48,
        stride=1,
        splits=["2023-01-15"],
        regions="CISO",
        purge=purge,
        backend="numpy",
    )
    gap = test.starts["hour_utc"][0] - (train.starts["hour_utc"][-1] + np.timedelta64(48, "h"))
    assert gap == np.timedelta64(free + 1, "h")
    assert str(test.starts["hour_utc"][0]) == "2023-01-15T00"


@pytest.mark.parametrize(
    ("source", "mark", "free"),
    [
        ("features.hourly", "[target] ", 0),
        ("features.hourly", "[hindsight] ", 24),
        ("SELECT * FROM features.hourly", "[target] ", 24),  # what a query makes of a column, nobody declares
    ],
)
def test_nothing_is_left_free_where_no_column_used_knows_later_hours(
    tmp_path: Path, source: str, mark: str, free: int
) -> None:
    marked = [f"COMMENT ON COLUMN features.hourly.{name} IS '{kind}'" for name, kind in
              (("demand_mwh", mark), ("hour_sin", "[ahead] "))]  # fmt: skip
    publish_demo(Home(tmp_path), then=["DROP VIEW features.evening", *marked])
    with energywh.open(tmp_path) as warehouse:
        train, test = warehouse.windows(
            source, target="demand_mwh", features="hour_sin", length=48, stride=1, splits="2023-01-15", backend="numpy"
        )
        (fold,) = warehouse.folds(
            source, target="demand_mwh", features="hour_sin", length=48, stride=1, horizon=1, origins=["2023-01-15"],
            backend="numpy",
        )  # fmt: skip
    gap = test.starts["hour_utc"][0] - (train.starts["hour_utc"].max() + np.timedelta64(48, "h"))
    assert gap == np.timedelta64(free + 1, "h")
    assert fold.train.starts["hour_utc"].max() + np.timedelta64(49 + free, "h") == np.datetime64("2023-01-15", "h")


@pytest.mark.parametrize(
    ("source", "hours"),
    [
        ("features.evening", 29),  # 5 hours of its own beyond rows that read 24
        ("hourly", 24),
        ("SELECT * FROM features.hourly", 24),
        ("WITH h AS (FROM Features.Hourly) SELECT * FROM h;", 24),
        ("FROM query_table('features.hourly')", 24),
        ("SELECT region, hour_utc, e.demand_mwh FROM features.evening AS e JOIN normalized.region USING (region)", 29),
        ("SELECT 'CISO' AS region, TIMESTAMP '2023-01-01' + to_hours(i::INT) AS hour_utc, 1 AS demand_mwh "
         "FROM range(720) AS t (i)", 0),
    ],
)  # fmt: skip
def test_the_lookahead_of_a_source_is_that_of_all_it_reads(
    warehouse: energywh.Warehouse, source: str, hours: int
) -> None:
    bound = bind(warehouse.connection, source)
    assert lookahead(warehouse.connection, bound) == hours
    assert lookback(warehouse.connection, bound) == {0: 0, 24: 100, 29: 110}[hours]


def test_with_a_query_sqlglot_cannot_read_the_lookahead_is_the_greatest_of_all(
    warehouse: energywh.Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sqlglot.errors.ParseError("unheard-of SQL")

    source = bind(warehouse.connection, "FROM features.hourly")
    monkeypatch.setattr(sqlglot, "parse_one", fail)
    assert lookahead(warehouse.connection, source) == 29


def test_with_borrowed_context_inputs_reach_back_and_targets_do_not() -> None:
    rows: Rows = {("CISO", EPOCH_HOUR + i): (1.0, float(i)) for i in range(300)}
    arguments: dict[str, Any] = {
        "target": "y",
        "length": 50,
        "stride": 1,
        "splits": [hour_time(EPOCH_HOUR + 150)],
        "borrow_context": True,
        "purge": 0,
        "backend": "numpy",
    }
    with table_of(rows) as connection:
        train, test = cut_windows(connection, "main.series", horizon=3, **arguments)  # type: ignore[misc]
        with pytest.raises(UsageError, match="needs a horizon"):
            cut_windows(connection, "main.series", horizon=0, **arguments)
    assert float(train.window(len(train) - 1).targets[-1]) == 149
    assert float(test.window(0).targets[0]) == 150
    assert float(test.window(0).inputs[0, 1]) == 100


def test_only_a_part_that_gives_hours_up_is_warned_of(warehouse: energywh.Warehouse) -> None:
    arguments: dict[str, Any] = {
        "target": "demand_mwh",
        "stride": 1,
        "horizon": 24,
        "regions": "CISO",
        "backend": "numpy",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warehouse.windows("features.hourly", length=48, splits=["2023-01-11", "2023-01-21"], **arguments)
        warehouse.windows("features.hourly", length=240, splits=["2023-01-25"], borrow_context=True, **arguments)
    # 2023-01-01 to the cut, less the purge of 24 hours and the 264 of a window; then less the 240 given up.
    with pytest.warns(UserWarning, match=r"last 240 hours \(49 windows instead of 289\)") as caught:
        train, test = warehouse.windows("features.hourly", length=240, splits=["2023-01-25"], **arguments)
    assert [warning.filename for warning in caught] == [__file__]  # it points at the caller
    assert (len(train), len(test)) == (49, 6 * 24 - 23)


@pytest.mark.filterwarnings("ignore:.* gives up its last")
@QUICK
@given(
    cuts=st.lists(st.integers(1, 119), max_size=2, unique=True).map(sorted),
    held=st.sets(st.sampled_from(["BPAT", "CISO", "ERCO"]), min_size=1, max_size=2),
    length=st.integers(1, 12),
    horizon=st.integers(0, 6),
    stride=st.integers(1, 5),
    borrow=st.booleans(),
)
def test_regions_held_out_are_in_the_last_part_alone(
    cuts: list[int], held: set[str], length: int, horizon: int, stride: int, borrow: bool
) -> None:
    regions = ("BPAT", "CISO", "ERCO")
    rows: Rows = {(region, EPOCH_HOUR + i): (1.0, 2.0) for region in regions for i in range(120)}
    arguments: dict[str, Any] = {"target": "y", "length": length, "stride": stride, "horizon": horizon, "purge": 0}
    arguments |= {"splits": [hour_time(EPOCH_HOUR + cut) for cut in cuts], "backend": "numpy"}
    arguments["borrow_context"] = borrow and bool(horizon)
    with table_of(rows) as connection:
        try:
            plain = cut_windows(connection, "main.series", **arguments)
        except WindowError:
            return  # a part is too short
        parts = cut_windows(connection, "main.series", holdout_regions=sorted(held), **arguments)
    assert isinstance(parts, tuple)
    assert isinstance(plain, tuple)
    if not cuts:
        train, test = (set(part.starts["region"].tolist()) for part in parts)
        assert (train, test) == (set(regions) - held, held)
        assert sum(map(len, parts)) == len(plain[0])
        return
    assert parts[-1].starts.tolist() == plain[-1].starts.tolist()
    for part, before in zip(parts[:-1], plain[:-1], strict=True):
        assert part.starts.tolist() == [start for start in before.starts.tolist() if start[0] not in held]


def test_memory_does_not_grow_with_the_number_of_windows(warehouse: energywh.Warehouse) -> None:
    sizes = {}
    for stride in (1, 24):
        windows = warehouse.windows(
            "features.hourly", target="demand_mwh", length=168, stride=stride, backend="numpy"
        ).all
        sizes[stride] = windows.nbytes
        assert np.shares_memory(windows.window(3).inputs, windows.frame.features.values)
        assert not windows.window(3).inputs.flags.writeable
    base = 2 * 720 * 3 * 4
    assert sizes[1] == sizes[24] == base + base // 3


def test_defaults_are_all_authorities_and_all_numeric_columns(warehouse: energywh.Warehouse) -> None:
    windows = warehouse.windows("features.hourly", target="demand_mwh", length=24, stride=24).all
    assert windows.regions == ("BPAT", "CISO")  # US48 is an aggregate
    assert windows.columns == ("demand_mwh", "hour_sin", "is_midnight")
    batch = next(iter(windows.batches(2)))
    assert str(batch.inputs.dtype) == "mlx.core.float32"
    assert batch.inputs.shape == (2, 24, 3)
    assert batch.targets.shape == (2, 24)
    assert batch.mask.shape == (2, 24, 3)
    assert batch.target_mask.shape == (2, 24)
    assert bool(batch.mask.all())
    assert np.asarray(batch.targets)[0].tolist() == [6001 + i for i in range(24)]
    assert np.asarray(batch.inputs)[0, :, 2].tolist() == [1.0] + [0.0] * 23
    aggregate = warehouse.windows("features.hourly", regions="US48", target="demand_mwh", length=24, stride=24).all
    assert aggregate.regions == ("US48",)


def test_several_targets_add_an_axis_and_need_not_be_features(warehouse: energywh.Warehouse) -> None:
    windows = warehouse.windows(
        "SELECT *, demand_mwh * 2 AS twice FROM features.hourly;",
        regions=["CISO"],
        features="hour_sin",
        target=["demand_mwh", "twice"],
        length=24,
        stride=24,
        horizon=6,
        backend="numpy",
    ).all
    batch = next(iter(windows.batches(4)))
    assert batch.inputs.shape == (4, 24, 1)
    assert batch.targets.shape == batch.target_mask.shape == (4, 6, 2)
    assert batch.targets[1, 0].tolist() == [20048, 40096]


def test_since_and_until_are_inclusive_hours(warehouse: energywh.Warehouse) -> None:
    windows = warehouse.windows(
        "features.hourly",
        target="demand_mwh",
        length=1,
        stride=1,
        horizon=1,
        since="2023-01-03",
        until="2023-01-03",
        regions="CISO",
        backend="numpy",
    ).all
    assert len(windows) == 23
    assert str(windows.starts[0]["hour_utc"]) == "2023-01-03T00"
    assert windows.window(22).targets.tolist() == [20000 + 71]


def test_numbers_that_are_not_finite_are_missing() -> None:
    rows: Rows = {("CISO", EPOCH_HOUR + i): (1.0, 2.0) for i in range(6)}
    rows["CISO", EPOCH_HOUR + 1] = (float("nan"), 2.0)
    rows["CISO", EPOCH_HOUR + 2] = (float("inf"), float("-inf"))
    with table_of(rows) as connection:
        windows = cut_windows(connection, "main.series", target="y", length=5, stride=1, backend="numpy")
        assert isinstance(windows, Windows)
    window = windows.window(0)
    assert window.mask.tolist() == [[True, True], [False, True], [False, False], [True, True], [True, True]]
    assert window.inputs[1:3].tolist() == [[0, 2], [0, 0]]
    assert window.target_mask.tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_floats(dtype: Any) -> None:
    rows: Rows = {("CISO", EPOCH_HOUR + i): (0.5, float(i)) for i in range(6)}
    rows["CISO", EPOCH_HOUR + 3] = (None, 3.0)
    with table_of(rows) as connection:
        windows = cut_windows(connection, "main.series", target="y", length=5, stride=1, dtype=dtype)
        assert isinstance(windows, Windows)
        assert str(windows.window(0).inputs.dtype) == f"mlx.core.{dtype}"
        assert windows.window(0).inputs.tolist() == [[0.5, 0], [0.5, 1], [0.5, 2], [0, 3], [0.5, 4]]
        connection.execute("UPDATE series SET y = 100000 WHERE y = 2")
        if dtype == "float16":
            with pytest.raises(WindowError, match=r"column 'y' reaches 100,000, more than float16's 65,504"):
                cut_windows(connection, "main.series", target="y", length=5, stride=1, dtype=dtype)
            with pytest.raises(UsageError, match="NumPy has no bfloat16"):
                cut_windows(
                    connection, "main.series", target="y", length=5, stride=1, dtype="bfloat16", backend="numpy"
                )


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"target": "demand_mw"}, UnknownNameError, "no column 'demand_mw'.*did you mean demand_mwh"),
        ({"features": ["hour_sn"]}, UnknownNameError, "did you mean hour_sin"),
        ({"features": ["note"]}, UsageError, "'note'.*not numeric"),
        ({"features": ["hour_sin", "hour_sin"]}, UsageError, "named twice"),
        ({"features": []}, UsageError, "no feature was named"),
        ({"regions": ["CIS"]}, UnknownNameError, "'CIS'.*did you mean CISO"),
        ({"regions": ["CISO", "XXXX"]}, UnknownNameError, "no rows of region 'XXXX'"),
        ({"regions": []}, UsageError, "regions is empty"),
        ({"length": 8760}, WindowError, "8,761 hours.*BPAT 720, CISO 720"),
        ({"length": 0}, UsageError, "length must be"),
        ({"stride": 0}, UsageError, "stride must be"),
        ({"horizon": -1}, UsageError, "horizon must be"),
        ({"length": 2.5}, UsageError, "whole number"),
        ({"length": "24"}, UsageError, "length must be a whole number of hours, 1 or more, not '24'"),
        ({"purge": "1d"}, UsageError, "purge must be a whole number of hours"),
        ({"target": 3}, UsageError, "the target must be a name or a list of names, not 3"),
        ({"features": [1]}, UsageError, "the feature must be a name"),
        ({"regions": ["CISO", 5]}, UsageError, "regions must be a name or a list of names"),
        ({"splits": 2024}, UsageError, "splits must be a day or hour, or a list of them, not 2024"),
        ({"source": 3}, UsageError, "the source must be the name of a model or an SQL query"),
        ({"lenght": 3}, TypeError, "unexpected keyword argument 'lenght'"),
        ({"gaps": "fill"}, UsageError, "gaps must be"),
        ({"region_encoding": "embedding"}, UsageError, "region_encoding must be"),
        ({"backend": "torch"}, UsageError, "backend must be"),
        ({"dtype": "float8"}, UsageError, "dtype must be"),
        ({"splits": ["2023-01-20", "2023-01-10"]}, UsageError, "splits must be ascending"),
        ({"splits": ["2022-01-20"]}, WindowError, "no hour on one.*data go from 2023-01-01T00 to 2023-01-30T23"),
        ({"splits": ["2024-01-20"]}, WindowError, "the split 2024-01-20T00 leaves no hour"),
        ({"splits": ["soon"]}, UsageError, "a split must be a UTC day or hour"),
        ({"splits": [datetime(2023, 1, 15, 5, 30)]}, UsageError, "a split must be a whole hour"),
        ({"since": "2025-01-01"}, WindowError, "no rows of any authority"),
        ({"borrow_context": "all"}, UsageError, "borrow_context must be"),
        ({"purge": -1}, UsageError, "purge must be"),
        ({"holdout_regions": "CISO"}, UsageError, "give splits too"),
        (
            {"splits": (), "holdout_regions": ["CIS"]},
            UnknownNameError,
            "no region 'CIS' to hold out; did you mean CISO",
        ),
        ({"splits": (), "holdout_regions": ["CISO"], "regions": "BPAT"}, UnknownNameError, "they are of BPAT"),
        ({"splits": (), "holdout_regions": ["CISO", "BPAT"]}, UsageError, "holdout_regions names every region"),
        ({"splits": (), "holdout_regions": []}, UsageError, "holdout_regions is empty"),
        (
            {"splits": (), "holdout_regions": "CISO", "normalize": "zscore"},
            UsageError,
            "CISO cannot be scaled .*'by': 'global'",
        ),
        ({"purge": "lookahead"}, UsageError, "purge must be"),
        ({"purge": "lookback", "borrow_context": True, "horizon": 1}, UsageError, "choose one of them"),
        (
            {"source": "SELECT * FROM features.hourly UNION ALL FROM features.hourly"},
            WindowError,
            "more than one row of",
        ),
        (
            {"source": "SELECT * REPLACE (hour_utc + INTERVAL 1 MINUTE AS hour_utc) FROM features.hourly"},
            WindowError,
            "does not start an hour",
        ),
        (
            {"source": "SELECT region, hour_utc::DATE AS hour_utc, 1 AS x FROM features.hourly"},
            UsageError,
            "hour_utc of the query is DATE",
        ),
        (
            {"source": "SELECT region, hour_utc, (note || 'x')::INTEGER AS demand_mwh FROM features.hourly"},
            UsageError,
            "Conversion Error",
        ),
        (
            {"source": "SELECT *, NULL::DOUBLE AS empty FROM features.hourly", "target": "empty"},
            WindowError,
            "no value at all of empty of BPAT, empty of CISO",
        ),
        (
            {"source": "SELECT *, NULL::DOUBLE AS empty FROM features.hourly", "gaps": "drop"},
            WindowError,
            "feature 'empty' has no value at all in any region",
        ),
    ],
)
def test_bad_requests_say_what_is_wrong(
    warehouse: energywh.Warehouse, change: dict[str, Any], error: type[Exception], says: str
) -> None:
    arguments: dict[str, Any] = {
        "source": "features.hourly",
        "target": "demand_mwh",
        "length": 24,
        "stride": 24,
        "backend": "numpy",
    }
    arguments |= change
    with pytest.raises(error, match=says):
        warehouse.windows(arguments.pop("source"), **arguments)


def test_a_feature_without_values_is_pointed_out_and_masked(warehouse: energywh.Warehouse) -> None:
    query = "SELECT *, NULL::DOUBLE AS empty FROM features.hourly"
    with pytest.warns(UserWarning, match="feature 'empty' has no value at all in any region"):
        windows = warehouse.windows(query, target="demand_mwh", length=24, stride=24, backend="numpy").all
    assert not windows.window(0).mask[:, windows.columns.index("empty")].any()
    query = "SELECT *, CASE region WHEN 'CISO' THEN 1.0 END AS nuclear FROM features.hourly"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warehouse.windows(query, target="demand_mwh", length=24, stride=24, backend="numpy")
    with pytest.warns(UserWarning, match="'nuclear' has no value at all in BPAT: no window"):
        windows = warehouse.windows(query, target="demand_mwh", length=24, stride=24, gaps="drop", backend="numpy").all
    assert set(windows.starts["region"]) == {"CISO"}


def test_columns_made_in_hindsight_are_features_only_when_named(tmp_path: Path) -> None:
    """The column uses later hours, so as a feature it would reveal targets; as a target it is allowed."""
    home = Home(tmp_path)
    then = (
        "DROP VIEW features.evening",
        "ALTER TABLE features.hourly ADD COLUMN demand_clean_mwh DOUBLE",
        "UPDATE features.hourly SET demand_clean_mwh = demand_mwh",
        "COMMENT ON COLUMN features.hourly.demand_clean_mwh IS '[hindsight] Demand to use, MWh.'",
    )
    publish_demo(home, hours=24 * 20, then=then)
    arguments: dict[str, Any] = {"target": "demand_clean_mwh", "length": 24, "stride": 24, "backend": "numpy"}
    with energywh.open(home.path) as warehouse:
        for source in ("features.hourly", "SELECT * FROM features.hourly WHERE region = 'CISO'"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                windows = warehouse.windows(source, **arguments).all
            assert windows.columns == ("demand_mwh", "hour_sin", "is_midnight")
            assert warehouse.context(24, source=source, backend="numpy").columns == windows.columns
            with pytest.warns(UserWarning, match="demand_clean_mwh of .* is computed from later hours") as caught:
                windows = warehouse.windows(source, features=["demand_clean_mwh"], **arguments).all
            assert [warning.filename for warning in caught] == [__file__]
            assert windows.columns == ("demand_clean_mwh",)


def test_where_gaps_are_dropped_a_feature_that_misses_much_of_a_history_is_left_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    late = "UPDATE features.hourly SET hour_sin = NULL WHERE region = 'CISO' AND hour_utc < '2023-01-06'"
    publish_demo(home, hours=24 * 20, then=(late,))
    arguments: dict[str, Any] = {"target": "demand_mwh", "length": 24, "stride": 24, "backend": "numpy"}
    with energywh.open(home.path) as warehouse:
        windows = warehouse.windows("features.hourly", regions=["CISO", "BPAT"], gaps="drop", **arguments).all
        assert windows.columns == ("demand_mwh", "is_midnight")
        assert len(windows) == 2 * 19
        windows = warehouse.windows("features.hourly", regions=["CISO", "BPAT"], **arguments).all
        assert windows.columns == ("demand_mwh", "hour_sin", "is_midnight")


def test_more_rows_left_out_than_come_at_once_are_no_trouble() -> None:
    query = """
        SELECT 'BPAT' AS region, TIMESTAMP '2023-01-01' + to_hours(i::INTEGER) AS hour_utc, i AS y
        FROM range(99) AS t (i)
        UNION ALL
        SELECT concat('GEN', i // 80000), TIMESTAMP '2015-01-01' + to_hours((i % 80000)::INTEGER), NULL
        FROM range(320000) AS t (i)
    """
    with table_of({}) as connection:
        connection.execute(META)
        with pytest.warns(UserWarning, match="GEN0, GEN1, GEN2, GEN3 left out"):
            windows = cut_windows(connection, query, target="y", length=24, stride=24, backend="numpy")
    assert isinstance(windows, Windows)
    assert windows.regions == ("BPAT",)
    assert windows.window(1).inputs[:, 0].tolist() == list(range(24, 48))


def test_regions_without_the_target_are_left_out_unless_they_are_named(warehouse: energywh.Warehouse) -> None:
    query = "SELECT * REPLACE (CASE region WHEN 'CISO' THEN demand_mwh END AS demand_mwh) FROM features.hourly"
    arguments: dict[str, Any] = {"target": ["hour_sin", "demand_mwh"], "length": 24, "stride": 24, "backend": "numpy"}
    with pytest.warns(UserWarning, match="BPAT left out: no value at all of hour_sin or demand_mwh"):
        windows = warehouse.windows(query, **arguments).all
    assert windows.regions == ("CISO",)
    assert set(windows.starts["region"]) == {"CISO"}
    assert windows.window(1).inputs[:, 0].tolist() == [20024 + i for i in range(24)]
    assert windows.frame.axis.rows == 720
    with pytest.raises(WindowError, match="no value at all of demand_mwh of BPAT in the time"):
        warehouse.windows(query, regions=["CISO", "BPAT"], **arguments)


def test_windows_without_a_single_target_value_are_left_out(warehouse: energywh.Warehouse) -> None:
    gone = "hour_utc BETWEEN '2023-01-04' AND '2023-01-08T22:00' OR hour_utc >= '2023-01-29'"
    query = f"SELECT * REPLACE (CASE WHEN NOT ({gone}) THEN demand_mwh END AS demand_mwh) FROM features.hourly"
    arguments: dict[str, Any] = {"regions": "CISO", "target": "demand_mwh", "backend": "numpy"}
    windows = warehouse.windows(query, length=24, stride=24, horizon=24, **arguments).all
    days = [str(hour)[8:10] for hour in windows.starts["hour_utc"]]
    # A window from day d has its targets on day d + 1; of the 8th, the last hour is there.
    assert days == [f"{day:02}" for day in range(1, 28) if day not in (3, 4, 5, 6)]
    assert all(window.target_mask.any() for window in map(windows.window, range(len(windows))))
    with pytest.raises(WindowError, match="none holds a value of demand_mwh to learn from; take a smaller stride"):
        warehouse.windows(query, length=72, stride=700, horizon=24, **arguments)
    with pytest.raises(WindowError, match="the test split holds no window of 48 hours with a target"):
        warehouse.windows(query, length=24, stride=24, horizon=24, splits=["2023-01-29"], purge=0, **arguments)


def test_a_value_beyond_a_float_is_missing(warehouse: energywh.Warehouse) -> None:
    absurd = "CASE hour(hour_utc) WHEN 3 THEN -1e300 ELSE demand_mwh END"
    query = f"SELECT * REPLACE ({absurd} AS demand_mwh) FROM features.hourly"
    windows = warehouse.windows(query, target="demand_mwh", length=24, stride=24, backend="numpy").all
    assert windows.window(0).mask[:, 0].tolist() == [hour != 3 for hour in range(24)]
    assert windows.window(0).inputs[3, 0] == 0


def test_numpy_windows_need_no_mlx(warehouse: energywh.Warehouse, tmp_path: Path) -> None:
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").write_text("raise ImportError('no wheel for this machine')")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import energywh
with energywh.open({str(warehouse.home.path)!r}) as warehouse:
    windows = warehouse.windows("features.hourly", target="demand_mwh", length=24, stride=24, backend="numpy").all
    batch = next(iter(windows.batches(2, prefetch=1)))
    print(batch.inputs.shape)
    import numpy
    print((numpy.from_dlpack(batch.inputs) == batch.inputs).all(), batch.to_arrow().num_rows)
    print(warehouse.context(hours=4, backend="numpy").inputs.shape)
    try:
        warehouse.windows("features.hourly", target="demand_mwh", length=24, stride=24)
    except energywh.EnergywhError as error:
        print(error)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    lines = found.stdout.splitlines()
    assert lines[:3] == ["(2, 24, 3)", "True 2", "(2, 4, 3)"]
    assert "no wheel for this machine" in lines[3]
    assert "backend='numpy'" in lines[3]


def test_an_hour_that_misses_an_input_can_still_be_a_target() -> None:
    rows: Rows = {("CISO", EPOCH_HOUR): (1.0, 2.0), ("CISO", EPOCH_HOUR + 1): (None, 3.0)}
    with table_of(rows) as connection:
        windows = cut_windows(connection, "main.series", target="y", length=1, stride=1, gaps="drop", backend="numpy")
    assert isinstance(windows, Windows)
    assert windows.window(0).targets.tolist() == [3.0]
