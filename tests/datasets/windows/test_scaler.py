"""Normalization is measured in the hours of train only, and can be inverted."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from energywh.core.time import hour_time
from energywh.datasets.windows.scaler import Scaler
from energywh.datasets.windows.windows import Windows
from energywh.errors import StorageError, UnknownNameError, UsageError, WindowError
from tests.datasets.cutting import cut_windows
from tests.datasets.reference import EPOCH_HOUR, Rows, table_of
from tests.support.examples import examples

QUICK = settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
Data = dict[tuple[str, int], tuple[float | None, float | None]]


def parts_of(connection: Any, cut: int, **changes: Any) -> tuple[Windows, Windows]:
    """Return train and test of main.series, features x and y, cut ``cut`` hours after the epoch."""
    arguments: dict[str, Any] = {"target": "y", "features": ["x", "y"], "length": 6, "stride": 1, "horizon": 2}
    arguments |= {"splits": [hour_time(EPOCH_HOUR + cut)], "purge": 0, "backend": "numpy"} | changes
    made = cut_windows(connection, "main.series", **arguments)
    assert isinstance(made, tuple)
    return made[0], made[1]


def drawn(seed: int, hours: int, regions: tuple[str, ...] = ("BPAT", "CISO"), missing: float = 0.1) -> Data:
    """Return regions of different level, x skewed and y not, a share of values missing."""
    random = np.random.default_rng(seed)
    rows: Data = {}
    for number, region in enumerate(regions):
        x = random.lognormal(3 + number, 1.5, hours)
        y = random.normal(2000 * (number + 1), 300, hours)
        gone = random.random((hours, 2)) < missing
        for i in range(hours):
            rows[region, EPOCH_HOUR + i] = (None if gone[i, 0] else float(x[i]), None if gone[i, 1] else float(y[i]))
    return rows


def values_in(rows: Data, windows: Windows, region: str | None, column: int) -> np.ndarray[Any, Any]:
    """Return the values of a column in the hours of the windows, by a slow loop."""
    held = {
        (str(start["region"]), int(start["hour_utc"].astype(np.int64)) + step)
        for start in windows.starts
        for step in range(windows.shape.span)
        if region in (None, start["region"])
    }
    found = [rows[key][column] for key in sorted(held) if key in rows]
    return np.array([value for value in found if value is not None], np.float32).astype(np.float64)


STATISTICS = {
    "zscore": lambda values: (values.mean(), values.std()),
    "minmax": lambda values: (values.min(), values.max() - values.min()),
    "robust": lambda values: (np.median(values), np.subtract(*np.percentile(values, [75, 25]))),
}


@QUICK
@given(
    seed=st.integers(0, 10_000),
    hours=st.integers(40, 90),
    length=st.integers(1, 8),
    stride=st.integers(1, 15),
    horizon=st.integers(0, 4),
    gaps=st.sampled_from(["mask", "drop"]),
    missing=st.sampled_from([0.0, 0.1]),
    kind=st.sampled_from(sorted(STATISTICS)),
    by=st.sampled_from(["region", "global"]),
)
def test_statistics_are_those_of_the_hours_in_train_windows(
    seed: int, hours: int, length: int, stride: int, horizon: int, gaps: Any, missing: float, kind: Any, by: Any
) -> None:
    rows = drawn(seed, hours, missing=missing)
    with table_of(rows, shuffled=True) as connection:
        try:
            train, _ = parts_of(connection, 28, length=length, stride=stride, horizon=horizon, gaps=gaps)
        except WindowError:
            return  # no window is whole
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the same value in the few hours there are
            if any(not len(values_in(rows, train, None, column)) for column in (0, 1)):
                with pytest.raises(WindowError, match="no value at all in the train split"):
                    train.scaler(kind, by)
                return
            scaler = train.scaler(kind, by)
    for region in scaler.regions or (None,):
        for column, name in enumerate(("x", "y")):
            values = values_in(rows, train, region, column)
            if len(np.unique(values)) < 3:
                continue
            center, scale, _ = scaler.table([name], region)
            wanted = STATISTICS[kind](values)
            spread = values.max() - values.min()
            assert center[0] == pytest.approx(wanted[0], rel=1e-8, abs=1e-8 * spread)
            if wanted[1] > 0:
                assert scale[0] == pytest.approx(wanted[1], rel=1e-7, abs=1e-8 * spread)
    if by == "region":
        assert scaler.regions == tuple(dict.fromkeys(train.starts["region"].tolist()))


@QUICK
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["zscore", "robust", "minmax", "none"]),
    by=st.sampled_from(["region", "global"]),
    log=st.sampled_from([(), "x", "auto"]),
    array=st.sampled_from(["numpy", "mlx"]),
)
def test_normalized_windows_are_the_raw_ones_scaled_and_come_back(
    seed: int, kind: Any, by: Any, log: Any, array: Any
) -> None:
    with table_of(drawn(seed, 80)) as connection:
        raw = parts_of(connection, 50, backend=array)
        made = parts_of(connection, 50, backend=array, normalize={"kind": kind, "by": by, "log": log})
        scaler = raw[0].scaler(kind, by, log)
    assert made[0].normalization == made[1].normalization == scaler
    assert raw[0].normalization is None
    for before, after in zip(raw, made, strict=True):
        assert (before.rows == after.rows).all()
        for old, new in zip(before.batches(7), after.batches(7), strict=True):
            inputs, mask, targets = np.asarray(new.inputs), np.asarray(new.mask), np.asarray(new.targets)
            np.testing.assert_array_equal(mask, np.asarray(old.mask))
            wanted = scaler.transform(np.asarray(old.inputs), columns=after.columns, regions=new.regions, mask=mask)
            np.testing.assert_allclose(inputs, wanted, rtol=1e-5, atol=1e-6)
            assert (inputs[~mask] == 0).all()
            back = scaler.inverse(new.targets, columns="y", regions=new.regions)
            assert type(back) is type(new.targets)
            there = np.asarray(new.target_mask)
            assert back.shape == targets.shape
            np.testing.assert_allclose(np.asarray(back)[there], np.asarray(old.targets)[there], rtol=2e-5)
            whole = np.asarray(scaler.inverse(new.inputs, columns=["x", "y"], regions=new.regions))
            np.testing.assert_allclose(whole[mask], np.asarray(old.inputs)[mask], rtol=2e-4, atol=1e-3)


def test_the_same_data_make_the_same_bytes_in_any_order_and_with_any_threads() -> None:
    rows = drawn(3, 60_000, missing=0.01)
    texts = set()
    for threads, shuffled in ((1, False), (4, True), (3, True)):
        with table_of(rows, shuffled) as connection:
            connection.execute(f"SET threads = {threads}")
            train, _ = parts_of(connection, 50_000)
            for kind in ("zscore", "robust"):
                texts.add(json.dumps(train.scaler(kind, log="auto").to_dict()))  # type: ignore[arg-type]
    assert len(texts) == 2


def test_a_scaler_is_plain_data() -> None:
    with table_of(drawn(1, 80)) as connection:
        train, test = parts_of(connection, 50)
        scaler = train.scaler(log=["x"])
        again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
        assert again == scaler
        raw = test.window(0).inputs
        _, test = parts_of(connection, 50, normalize=again)
    region = test.window(0).region
    wanted = again.transform(raw, columns=test.columns, regions=region, mask=test.window(0).mask)
    np.testing.assert_allclose(test.window(0).inputs, wanted, rtol=1e-5, atol=1e-6)
    assert (scaler.first_hour, scaler.last_hour) == ("2023-01-01T00", "2023-01-03T01")
    whole = scaler.to_dict()
    for change in (
        {"scale": [[0.0, 1.0]] * 2},
        {"scale": [["a", 1.0]] * 2},
        {"center": []},
        {"center": [[float("nan"), 1.0]] * 2},
        {"center": [[None, 1.0]] * 2},
    ):
        with pytest.raises(UsageError, match=r"not those of Scaler\.to_dict"):
            Scaler.from_dict(whole | change)
    for spoilt in ({"kind": "zscore"}, whole | {"more": 1}):
        with pytest.raises(UsageError, match=r"not those of Scaler\.to_dict"):
            Scaler.from_dict(spoilt)


def test_what_happens_after_train_moves_nothing_of_it() -> None:
    rows = drawn(5, 200)
    found = []
    for later in (0.0, 1e6):
        changed: Rows = {
            key: (x, y) if key[1] < EPOCH_HOUR + 145 or y is None else (x, y + later) for key, (x, y) in rows.items()
        }
        with table_of(changed) as connection:
            # The cut is 5 hours later than the change, and these are purged.
            train, test = parts_of(connection, 150, purge=5, normalize={"kind": "robust", "log": "auto"})
            assert train.normalization is not None
            inputs = [window.inputs.tolist() for window in map(train.window, range(len(train)))]
            targets = [window.targets.tolist() for window in map(train.window, range(len(train)))]
            found.append((train.starts.tolist(), inputs, targets, train.normalization, test.window(0).inputs.tolist()))
    assert found[0][:4] == found[1][:4]
    assert found[0][4] != found[1][4]


WIDE = """
SELECT region, hour_utc, y, x AS skewed, sin(hour(hour_utc)) AS hour_sin, hour(hour_utc) % 2 = 0 AS even,
    hour(hour_utc) // 23 AS is_late, 7.0 AS level, CASE region WHEN 'CISO' THEN greatest(y, 0) ELSE 0 END AS solar_mwh,
    CASE region WHEN 'CISO' THEN y END AS only_ciso
FROM main.series
"""


def test_flags_and_sines_are_left_alone_and_what_does_not_vary_is_named_not_divided() -> None:
    with table_of(drawn(2, 120)) as connection:
        arguments: dict[str, Any] = {
            "target": "y",
            "length": 6,
            "stride": 1,
            "backend": "numpy",
            "splits": ["2023-01-05"],
        }
        arguments["purge"] = 0
        raw, _ = cut_windows(connection, WIDE, **arguments)  # type: ignore[misc]
        with pytest.warns(UserWarning, match=r"level does not vary within any region of the train split") as caught:
            train, _ = cut_windows(connection, WIDE, normalize={"log": "auto"}, **arguments)  # type: ignore[misc]
        with pytest.warns(UserWarning, match="level does not vary in the train split") as over_all:
            assert raw.scaler(by="global").constant == ("level",)
    assert [warning.filename for warning in over_all] == [__file__]
    assert len(caught) == 1
    scaler = train.normalization
    assert scaler.left_alone == ("hour_sin", "even", "is_late")
    assert scaler.constant == ("level",)
    assert scaler.log == ("skewed",)
    for name in scaler.left_alone:
        place = train.columns.index(name)
        assert (train.frame.features.values[:, place] == raw.frame.features.values[:, place]).all()
    assert (train.frame.features.values[:, train.columns.index("level")] == 0).all()
    # Zero throughout in BPAT: moved by nothing, divided by the spread over both, so that a later value is no giant.
    center, scale, _ = scaler.table(["solar_mwh"], "BPAT")
    assert center[0] == 0
    assert 1000 < scale[0] < 4000
    assert np.isfinite(train.frame.features.values).all()


def test_a_region_without_a_column_in_train_is_scaled_as_all_regions_are() -> None:
    rows = drawn(4, 200, missing=0.0)
    for (region, hour), (_, y) in list(rows.items()):
        if region == "BPAT" and hour < EPOCH_HOUR + 160:
            rows[region, hour] = (None, y)
    with table_of(rows) as connection:
        with pytest.warns(UserWarning, match="scaled by the statistics of all regions: x of BPAT") as caught:
            train, _ = parts_of(connection, 150, normalize="zscore")
        assert len(caught) == 1
        assert train.normalization is not None
        bpat, ciso = (train.normalization.table(["x"], region) for region in ("BPAT", "CISO"))
        assert (bpat[0], bpat[1]) == (ciso[0], ciso[1])
        connection.execute("UPDATE series SET x = NULL WHERE hour_utc < '2023-01-07'")
        for by in ("region", "global"):
            with pytest.raises(WindowError, match="x cannot be scaled: no value at all in the train split"):
                parts_of(connection, 140, normalize={"by": by})
        connection.execute("UPDATE series SET x = NULL")
        with pytest.warns(UserWarning, match="'x' has no value at all in any region"):
            train, _ = parts_of(connection, 140, normalize="zscore")
        assert (train.frame.features.values[:, 0] == 0).all()


@pytest.mark.parametrize("kind", ["zscore", "minmax"])
def test_a_single_value_that_makes_the_scale_of_a_column_is_pointed_out(kind: Any) -> None:
    rows = drawn(8, 5000)
    rows["BPAT", EPOCH_HOUR + 40] = (2_147_480_000.0, 90.0)
    with table_of(rows) as connection:
        with pytest.warns(UserWarning, match=r"more than 50 standard deviations .* of BPAT x\. .*'robust'"):
            parts_of(connection, 4000, normalize=kind)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parts_of(connection, 4000, normalize="robust")


def test_a_region_with_no_window_in_train_can_be_scaled_only_as_all_are() -> None:
    rows = drawn(6, 200) | {("ERCO", hour): pair for (region, hour), pair in drawn(7, 200).items() if region == "CISO"}
    rows = {key: pair for key, pair in rows.items() if key[0] != "ERCO" or key[1] >= EPOCH_HOUR + 150}
    with table_of(rows) as connection:
        with pytest.raises(UnknownNameError, match=r"no window of the train split is of ERCO.*by='global'"):
            parts_of(connection, 140, normalize="zscore")
        train, test = parts_of(connection, 140, normalize={"by": "global"})
    assert "ERCO" in set(test.starts["region"])
    assert train.normalization is not None
    assert train.normalization.regions == ()
    assert train.normalization.inverse([0.0], columns=["y"]).tolist() == list(train.normalization.center[0][1:])


def test_a_region_held_out_is_scaled_as_all_are_or_refused_before_anything_is_read() -> None:
    with table_of(drawn(6, 200)) as connection:
        own = parts_of(connection, 140, regions="BPAT", normalize="zscore")[0].normalization
        for normalize, says in (
            ("robust", "train has no hours of held-out regions"),
            (own, "the given scaler does not have them"),
        ):
            with pytest.raises(UsageError, match=rf"CISO cannot be scaled .*{says}.*'by': 'global'"):
                parts_of(connection, 140, holdout_regions="ciso", normalize=normalize, features="not read yet")
        for normalize in ({"by": "global"}, "none"):
            train, test = parts_of(connection, 140, holdout_regions="CISO", normalize=normalize)
            assert set(train.starts["region"]) == {"BPAT"}
            assert set(test.starts["region"]) == {"BPAT", "CISO"}


def test_a_value_below_any_of_train_survives_the_logarithm() -> None:
    scaler = Scaler("zscore", "global", ("x",), (), ((2.0,),), ((3.0,),), log=("x",))
    values = np.array([-1e6, -1.0, -0.5, 0.0, 1e6])
    scaled = scaler.transform(values, columns="x")
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaler.inverse(scaled, columns="x"), values, rtol=1e-12, atol=1e-15)


def test_a_loss_can_be_taken_in_mwh() -> None:
    mx = pytest.importorskip("mlx.core")
    columns = ("x", "y")
    scaler = Scaler(
        "zscore", "region", columns, ("A", "B"), ((1.0, 2.0), (3.0, 4.0)), ((5.0, 6.0), (7.0, 8.0)), log=("x",)
    )

    def total(predicted: Any) -> Any:
        return scaler.inverse(predicted, columns=["y", "x"], regions=["B", "A"]).sum()

    predicted = mx.zeros((2, 3, 2))
    wanted = np.empty((2, 3, 2))
    wanted[0], wanted[1] = (8, 7 * np.exp(3)), (6, 5 * np.exp(1))
    np.testing.assert_allclose(np.asarray(mx.grad(total)(predicted)), wanted, rtol=1e-5)


@pytest.mark.parametrize(("array", "dtype"), [("mlx", "bfloat16"), ("mlx", "float16"), ("numpy", "float16")])
def test_narrow_floats_are_narrowed_once_scaled(array: Any, dtype: Any) -> None:
    rows: Data = {("CISO", EPOCH_HOUR + i): (1e5 + i, float(i)) for i in range(60)}
    with table_of(rows) as connection:
        train, _ = parts_of(connection, 40, backend=array, dtype=dtype, normalize="zscore")
    inputs = train.window(0).inputs
    assert str(inputs.dtype).endswith(dtype)
    steps = np.diff(np.array(inputs.tolist())[:, 0])  # of 1e5 and 1e5 + 1, these dtypes make one number or none
    np.testing.assert_allclose(steps, 1 / np.std(np.arange(40)), rtol=0.1)


def test_normalizing_takes_no_second_array() -> None:
    with table_of(drawn(8, 100)) as connection:
        raw, made = (parts_of(connection, 60, normalize=kind) for kind in (None, "zscore"))
    assert made[0].nbytes == raw[0].nbytes
    assert made[0].frame is made[1].frame
    assert not made[0].frame.features.values.flags.writeable


@pytest.mark.parametrize("array", ["numpy", "mlx"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_windows_over_a_file_are_scaled_as_those_in_memory(tmp_path: Path, array: Any, dtype: Any) -> None:
    with table_of(drawn(8, 100)) as connection:
        kept, laid = (
            parts_of(connection, 60, normalize="zscore", backend=array, dtype=dtype, memmap=memmap)[1]
            for memmap in (False, tmp_path)
        )
    assert laid.frame.disk_nbytes > 0
    for one, other in zip(kept.batches(7), laid.batches(7), strict=True):
        assert (np.asarray(one.inputs) == np.asarray(other.inputs)).all()
        assert one.inputs.dtype == other.inputs.dtype


@pytest.mark.parametrize("features", [["y"], ["x", "y"]])
def test_what_is_known_ahead_is_scaled_too(features: list[str]) -> None:
    with table_of(drawn(8, 100)) as connection:
        raw, made = (
            parts_of(connection, 60, normalize=kind, features=features, future_covariates="x")[1]
            for kind in (None, "zscore")
        )
    scaler = made.normalization
    assert scaler is not None
    for old, new in zip(raw.batches(7), made.batches(7), strict=True):
        wanted = scaler.transform(
            old.future_covariates, columns=["x"], regions=old.regions, mask=old.future_covariates_mask
        )
        np.testing.assert_allclose(new.future_covariates, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"kind": "zscores"}, UsageError, "zscore, robust, minmax, none, not 'zscores'; did you mean zscore"),
        ({"by": "hour"}, UsageError, "by must be 'region' or 'global'"),
        ({"log": ["z"]}, UnknownNameError, "no column 'z' to take the log of"),
        ({"log": ["hour_sin"]}, UsageError, "'hour_sin' is a flag, mask, sine or cosine"),
        ({"log": ["y"]}, UsageError, "column 'y' cannot be taken: it is as low as -5"),
        ({"log": 3}, UsageError, "log must be a name or a list of names"),
    ],
)
def test_bad_choices_say_what_is_wrong(change: dict[str, Any], error: type[Exception], says: str) -> None:
    rows = drawn(9, 100) | {("CISO", EPOCH_HOUR + 1): (1.0, -5.0)}
    source = "SELECT *, sin(hour(hour_utc)) AS hour_sin FROM main.series"
    arguments: dict[str, Any] = {"target": "y", "length": 6, "stride": 1, "backend": "numpy", "splits": ["2023-01-03"]}
    arguments["purge"] = 0
    with table_of(rows) as connection:
        train, test = cut_windows(connection, source, **arguments)  # type: ignore[misc]
        with pytest.raises(error, match=says):
            train.scaler(**change)
        with pytest.raises(error, match=says):
            cut_windows(connection, source, normalize=change, **arguments)
        for wrong in (3, {"sort": "zscore"}):
            with pytest.raises(UsageError, match="normalize must be"):
                cut_windows(connection, source, normalize=wrong, **arguments)  # type: ignore[arg-type]
        more = cut_windows(connection, source, **(arguments | {"splits": ["2023-01-02", "2023-01-03", "2023-01-04"]}))
        for later in (test, *more[1:]):  # type: ignore[index]
            with pytest.raises(UsageError, match=f"would give the {later.name} split away: fit the scaler on train"):
                later.scaler()
        scaler = train.scaler()
    for shape, columns, regions, what in (
        ((2, 3), ["x", "y"], "CISO", "the last the 2 columns"),
        ((3, 2), ["x", "y"], ["CISO", "BPAT"], "the first axis must be the 2 regions"),
        ((), "x", ["CISO"], "of one column"),
    ):
        with pytest.raises(UsageError, match=what):
            scaler.inverse(np.zeros(shape), columns=columns, regions=regions)
    with pytest.raises(UnknownNameError, match="the scaler has no column 'demand'"):
        scaler.inverse(np.zeros(3), columns="demand", regions="CISO")
    with pytest.raises(StorageError):
        train.scaler()
