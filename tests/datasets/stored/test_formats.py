"""The files of a stored dataset contain the windows, in names and formats that other libraries read."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
import warnings
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energywh.datasets.stored.formats import containers, safetensors
from energywh.datasets.stored.formats.content import SplitContent
from energywh.datasets.stored.formats.matrix import SUFFIXES, metadata, write_matrix
from energywh.datasets.stored.formats.parquet import months_of, write_month
from energywh.datasets.stored.formats.safetensors import Tensor, bfloat16, widened
from energywh.datasets.stored.split_writer import entry_of
from energywh.datasets.windows.matrix import Axis
from energywh.datasets.windows.windows import Windows
from energywh.errors import CorruptError, StorageError, UsageError, WindowError
from tests.datasets.cutting import cut_windows
from tests.datasets.reference import EPOCH_HOUR, Rows, table_of
from tests.datasets.storing import content_of
from tests.datasets.windows.test_windows import QUICK

mx = pytest.importorskip("mlx.core")

HOURS = 24 * 40  # January and nine days of February 2023


@pytest.fixture(scope="module")
def content() -> SplitContent:
    """BPAT from the 11th hour on, CISO from the first; some values and some hours missing."""
    rows: Rows = {}
    for region, begin in (("BPAT", 10), ("CISO", 0)):
        for i in range(begin, HOURS):
            if i % 50 != 7:
                rows[region, EPOCH_HOUR + i] = (None if i % 9 == 4 else i / 3, 20_000.0 + i)
    with table_of(rows) as connection:
        windows = cut_windows(
            connection,
            "main.series",
            target="y",
            features="y",
            future_covariates="x",
            length=24,
            stride=24,
            backend="numpy",
        )
        assert isinstance(windows, Windows)
        return content_of(windows, windows.scaler())


ANY = st.integers(0, 2**32 - 1).map(lambda bits: struct.unpack("<f", struct.pack("<I", bits))[0])


@QUICK
@given(st.lists(ANY.filter(np.isfinite), min_size=1, max_size=200))
def test_bfloat16_has_the_bits_of_mlx(values: list[float]) -> None:
    floats = np.array(values, np.float32)
    theirs = mx.array(floats).astype(mx.bfloat16)
    assert bfloat16(floats).tolist() == np.asarray(theirs.view(mx.uint16)).tolist()
    assert widened(bfloat16(floats)).tolist() == np.asarray(theirs.astype(mx.float32)).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_other_libraries_read_the_safetensors_matrix(content: SplitContent, dtype: Any, tmp_path: Path) -> None:
    file = tmp_path / "train.safetensors"
    digest = write_matrix(replace(content, dtype=dtype), file, "safetensors")
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
    library = pytest.importorskip("safetensors")
    ours = mx.load(str(file))
    with library.safe_open(file, "np") as opened:
        told = opened.metadata()
        assert {*opened.keys()} == {*ours}
        for name, array in ours.items():
            if array.dtype != mx.bfloat16:  # which NumPy has not
                plain = opened.get_tensor(name)
                assert plain.dtype == np.asarray(array).dtype
                np.testing.assert_array_equal(plain, np.asarray(array))
    assert {name: json.loads(told[name]) for name in ("features", "targets", "future_covariates", "regions")} == {
        "features": ["y"],
        "targets": ["y"],
        "future_covariates": ["x"],
        "regions": ["BPAT", "CISO"],
    }
    assert json.loads(told["scaler"]) == content.scaler.to_dict()  # type: ignore[union-attr]
    assert {*ours} == {
        "hour", "starts", "region", "features", "targets", "future_covariates", "features_mask", "targets_mask",
        "future_covariates_mask",
    }  # fmt: skip
    assert ours["features"].dtype == getattr(mx, dtype)
    with file.open("rb") as stream:
        own = safetensors.read(stream, file)
    for name, mapped in own.tensors.items():
        assert mapped.flags.aligned, name
        assert not mapped.flags.writeable


def test_rows_have_region_hour_and_masks(content: SplitContent, tmp_path: Path) -> None:
    write_matrix(content, tmp_path / "train.safetensors", "safetensors")
    held = {name: np.asarray(array) for name, array in mx.load(str(tmp_path / "train.safetensors")).items()}
    hours = np.arange(EPOCH_HOUR, EPOCH_HOUR + HOURS)
    assert held["hour"].tolist() == [*hours[10:], *hours]
    assert held["region"].tolist() == [0] * (HOURS - 10) + [1] * HOURS
    assert held["starts"].tolist() == content.starts[0].tolist() + content.starts[1].tolist()
    step = held["hour"] - EPOCH_HOUR
    assert held["targets_mask"][:, 0].tolist() == (step % 50 != 7).tolist()
    assert held["future_covariates_mask"][:, 0].tolist() == ((step % 50 != 7) & (step % 9 != 4)).tolist()
    for name in ("features", "targets", "future_covariates"):
        assert not held[name][~held[f"{name}_mask"]].any()
    back = content.scaler.inverse(held["future_covariates"][HOURS - 10 :], columns=["x"], regions="CISO")  # type: ignore[union-attr]
    there = held["future_covariates_mask"][HOURS - 10 :, 0]
    np.testing.assert_allclose(back[there, 0], np.arange(HOURS)[there] / 3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_npz_and_hdf5_hold_the_same_arrays(content: SplitContent, dtype: Any, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    content = replace(content, dtype=dtype)
    digests = {form: write_matrix(content, tmp_path / f"train{end}", form) for form, end in SUFFIXES.items()}
    for form, end in SUFFIXES.items():
        assert digests[form] == hashlib.sha256((tmp_path / f"train{end}").read_bytes()).hexdigest()
    wanted = mx.load(str(tmp_path / "train.safetensors"))
    with np.load(tmp_path / "train.npz") as npz, h5py.File(tmp_path / "train.h5") as hdf5:
        assert json.loads(str(npz["metadata"])) == dict(hdf5.attrs) == metadata(content)
        assert {*npz} - {"metadata"} == {*hdf5} == {*wanted}
        for name, array in wanted.items():
            plain = np.asarray(array.astype(mx.float32) if array.dtype == mx.bfloat16 else array)
            for found in (npz[name], hdf5[name][:]):
                assert found.dtype == plain.dtype
                np.testing.assert_array_equal(found, plain)


def test_the_same_content_makes_the_same_bytes_at_any_time(
    content: SplitContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("h5py")
    once = {form: write_matrix(content, tmp_path / form, form) for form in SUFFIXES}
    month = write_month(content, date(2023, 1, 1), tmp_path / "month")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    again = {form: write_matrix(content, tmp_path / "again" / form, form) for form in SUFFIXES}
    assert again == once
    assert write_month(content, date(2023, 1, 1), tmp_path / "again" / "month") == month


def test_months_hold_the_rows_in_the_units_of_the_source(content: SplitContent, tmp_path: Path) -> None:
    assert months_of(content.frame.axis) == [date(2023, 1, 1), date(2023, 2, 1)]
    tables = []
    for month in months_of(content.frame.axis):
        file = tmp_path / "train" / f"{month:%Y-%m}.parquet"
        assert write_month(content, month, file) == hashlib.sha256(file.read_bytes()).hexdigest()
        tables.append(pq.read_table(file))
        assert {hour.month for hour in tables[-1]["hour_utc"].to_pylist()} == {month.month}
    assert write_month(content, date(2022, 12, 1), tmp_path / "none") is None
    assert not (tmp_path / "none").exists()
    assert [str(field.type) for field in tables[0].schema] == ["string", "timestamp[us]", "float", "float"]
    assert tables[0].schema.field("y").metadata == {b"unit": b"MWh"}
    rows = [row for table in tables for row in table.to_pylist()]
    assert len(rows) == 2 * HOURS - 10
    for row in rows:
        step = int((np.datetime64(row["hour_utc"], "h") - np.datetime64("2023-01-01T00", "h")).astype(int))
        assert row["y"] == (None if step % 50 == 7 else 20_000.0 + step)
        assert row["x"] == (None if step % 50 == 7 or step % 9 == 4 else float(np.float32(step / 3)))


def test_the_entry_of_a_split_counts_rows_windows_and_missing_values(content: SplitContent) -> None:
    told = entry_of(content)
    assert (told.first_hour_utc, told.last_hour_utc) == ("2023-01-01T00", "2023-02-09T23")
    assert [(at.region, at.first_hour_utc, at.hours, at.first_row) for at in told.regions] == [
        ("BPAT", "2023-01-01T10", HOURS - 10, 0),
        ("CISO", "2023-01-01T00", HOURS, HOURS - 10),
    ]
    assert [at.windows for at in told.regions] == [len(rows) for rows in content.starts]
    assert (told.rows, told.values) == (2 * HOURS - 10, 2 * HOURS - 10)
    assert told.missing == sum(i % 50 == 7 for i in (*range(10, HOURS), *range(HOURS)))


def test_months_are_those_of_every_region() -> None:
    axis = Axis(("A", "B", "C"), np.array([0, 24 * 31 * 13, 5]), np.array([0, 24 * 31 + 1, 24 * 31 + 2, 24 * 31 + 2]))
    assert months_of(axis) == [date(1970, 1, 1), date(1970, 2, 1), date(1971, 2, 1)]


def test_a_value_beyond_float16_is_named_and_not_made_infinite(content: SplitContent, tmp_path: Path) -> None:
    frame = replace(content.frame, targets=replace(content.frame.targets, values=content.frame.targets.values * 10))
    with pytest.raises(WindowError, match=r"column 'y' reaches 209,590, more than float16's 65,504"):
        write_matrix(replace(content, scaler=None, frame=frame, dtype="float16"), tmp_path / "file", "safetensors")


def test_a_full_disk_and_a_file_in_place_of_a_folder_are_named(content: SplitContent, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for form in SUFFIXES:
        with pytest.raises(StorageError, match=r"cannot write .*/file/train: .*; make its folder writable"):
            write_matrix(content, tmp_path / "file" / "train", form)
    full = Path("/dev/full")
    if full.exists():
        for write in (
            lambda: write_matrix(content, full, "safetensors"),
            lambda: write_matrix(content, full, "npz"),
            lambda: write_month(content, date(2023, 1, 1), full),
        ):
            with pytest.raises(StorageError, match=r"cannot write /dev/full: no room on the disk .*free some"):
                write()


def test_without_h5py_the_error_says_how_to_install_it(
    content: SplitContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r'HDF5 files need h5py.*pip install "energywh\[hdf5\]"'):
        write_matrix(content, tmp_path / "train.h5", "hdf5")


def test_text_longer_than_an_hdf5_header_comes_back(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    tensor = Tensor("x", "F32", (0, 3), lambda: [])
    containers.write_hdf5(tmp_path / "file", [tensor], {"scaler": "1" * 1_000_000})
    with h5py.File(tmp_path / "file") as file:
        assert file["x"].shape == (0, 3)
        assert len(file.attrs["scaler"]) == 1_000_000


def whole() -> bytes:
    stream = io.BytesIO()
    tensors = [Tensor("a", "I64", (2,), lambda: [np.array([1, 2])]), Tensor("b", "F32", (0, 4), lambda: [])]
    safetensors.write(stream, tensors, {"format": "x"})
    return stream.getvalue()


def changed(**change: Any) -> bytes:
    """Return a file whose header describes tensor ``a`` wrongly."""
    entry = {"a": {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]} | change}
    return told(json.dumps(entry))


def told(header: str, data: bytes = bytes(16)) -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + data


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it has 0 bytes"),
        (b"1234567", "it has 7 bytes"),
        (
            struct.pack("<Q", 2**62) + b"{}",
            "header is said to have 4,611,686,018,427,387,904 bytes, and the file has 10",
        ),
        (whole()[:-1], "its header describes"),
        (whole() + b"1", "its header describes"),
        (told("[]"), "not a JSON object"),
        (told("{"), "Expecting property name"),
        (struct.pack("<Q", 3) + b"{\xff}", "can't decode byte 0xff"),
        (told("[" * 100_000), "recursion"),
        (told('{"a": 1, "a": 2}'), "given twice"),
        (told('{"a": 1}'), "must be a mapping"),
        (told('{"__metadata__": {"a": 1}}', b""), "not all strings"),
        (told('{"__metadata__": []}', b""), "not all strings"),
        (changed(dtype="F8_E4M3"), "of F8_E4M3, which is not supported"),
        (changed(shape=[3]), r"shape \[3\] cannot be the bytes 0 to 16"),
        (changed(shape=[-2]), r"the shape \[-2\]"),
        (changed(shape=[2.0]), r"the shape \[2.0\]"),
        (changed(shape=[1], data_offsets=[8, 16]), "begins at byte 8, the one before ends at 0"),
        (changed(data_offsets=[0]), "not enough values"),
        (changed(more=1), "unexpected keyword"),
    ],
)
def test_a_damaged_safetensors_file_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "train.safetensors"
    file.write_bytes(content)
    with file.open("rb") as stream, pytest.raises(CorruptError, match=f"not a whole safetensors file: .*{says}"):
        safetensors.read(stream, file)


def test_overlapping_tensors_are_refused(tmp_path: Path) -> None:
    entry = {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]}
    (tmp_path / "file").write_bytes(told(json.dumps({"a": entry, "b": entry})))
    with (tmp_path / "file").open("rb") as stream, pytest.raises(CorruptError, match="'b' begins at byte 0"):
        safetensors.read(stream, tmp_path / "file")


def test_an_empty_tensor_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(whole())
    with (tmp_path / "file").open("rb") as stream:
        contents = safetensors.read(stream, tmp_path / "file")
    assert contents.metadata == {"format": "x"}
    assert contents.tensors["a"].tolist() == [1, 2]
    assert contents.tensors["b"].shape == (0, 4)


def test_the_size_of_blocks_does_not_change_the_bytes(
    content: SplitContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {form: write_matrix(content, tmp_path / form, form) for form in ("safetensors", "npz")}
    for module in ("stored.formats.matrix", "windows.scaler"):
        monkeypatch.setattr(f"energywh.datasets.{module}.BLOCK_ROWS", 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {form: write_matrix(content, tmp_path / form, form) for form in ("safetensors", "npz")} == wanted  # type: ignore[arg-type]
