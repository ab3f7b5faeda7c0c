"""A stored dataset returns the windows that were stored; a changed file is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import energywh
from energywh.core import checksums as hashed
from energywh.core.paths import Home
from energywh.core.time import hour_time
from energywh.datasets.stored import reader as loaded
from energywh.datasets.stored.manifest import Manifest
from energywh.datasets.stored.verify import verify
from energywh.datasets.windows.windows import Windows
from energywh.errors import CorruptError, StorageError, UnknownNameError, UsageError, WindowError
from tests.datasets.cutting import cut_windows
from tests.datasets.published import publish_demo
from tests.datasets.reference import EPOCH_HOUR, Rows, table_of
from tests.datasets.storing import store
from tests.datasets.windows.test_windows import QUICK
from tests.support.examples import examples

NAMES = ("inputs", "targets", "mask", "target_mask", "future_covariates", "future_covariates_mask", "region_encoding")
HeldAs = tuple[Any, Any, Any]  # backend, memmap, dtype


def same(ours: Any, theirs: Any) -> None:
    for name in NAMES:
        if hasattr(theirs, name):
            one, other = getattr(ours, name), getattr(theirs, name)
            assert one.dtype == other.dtype, name
            assert one.shape == other.shape, name
            assert one.tolist() == other.tolist(), name


def drawn(seed: int) -> Rows:
    """Return regions that begin and end at different hours, with hours and values missing."""
    random = np.random.default_rng(seed)
    rows: Rows = {}
    for region in ("BPAT", "CISO", "ERCO")[: random.integers(1, 4)]:
        first, end = random.integers(0, 10), random.integers(50, 60)
        for i in range(first, end):
            if random.random() > 0.05 or i in (first, end - 1):
                x, y = (None if random.random() < 0.1 else float(value) for value in random.normal(9, 3, 2))
                rows[region, EPOCH_HOUR + i] = (x, y)
    return rows


@settings(QUICK, max_examples=examples(20))
@given(
    seed=st.integers(0, 10_000),
    length=st.integers(1, 4),
    stride=st.integers(1, 4),
    horizon=st.integers(0, 3),
    gaps=st.sampled_from(["mask", "split", "drop"]),
    splits=st.sampled_from([None, [hour_time(EPOCH_HOUR + 30)]]),
    columns=st.sampled_from([("y", "y", "x"), (["y"], ["x", "y"], ["x"]), (["y", "x"], ["x", "y"], None)]),
    one_hot=st.booleans(),
    normalize=st.sampled_from([None, "zscore", "minmax"]),
    by=st.sampled_from(["region", "global"]),
    held=st.sampled_from(
        [
            (backend, memmap, dtype)
            for backend in ("numpy", "mlx")
            for memmap in (False, True)
            for dtype in ("float32", "float16", "bfloat16")
            if (backend, dtype) != ("numpy", "bfloat16")
        ]
    ),
)
def test_loaded_windows_equal_those_that_were_stored(
    seed: int,
    length: int,
    stride: int,
    horizon: int,
    gaps: Any,
    splits: Any,
    columns: tuple[Any, Any, Any],
    one_hot: bool,
    normalize: Any,
    by: Any,
    held: HeldAs,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    target, features, future_covariates = columns
    arguments: dict[str, Any] = {
        "target": target,
        "features": features,
        "future_covariates": future_covariates,
        "purge": 0,
    }
    arguments |= {"length": length, "stride": stride, "horizon": horizon, "gaps": gaps, "splits": splits}
    arguments |= {"region_encoding": "one-hot" if one_hot else "index"}
    backend, memmap, dtype = held
    with table_of(drawn(seed)) as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            raw = several(cut_windows(connection, "main.series", backend="numpy", **arguments))
            scaler = None if normalize is None else raw[0].scaler(normalize, by)
            wanted = cut_windows(connection, "main.series", normalize=scaler, backend=backend, dtype=dtype, **arguments)
        except (WindowError, UnknownNameError):
            return  # seldom: no window is whole, or none in train of some region
    folder = tmp_path_factory.getbasetemp() / "stored"
    store(folder, raw, scaler, dtype)
    dataset = energywh.load_dataset(folder, backend=backend, memmap=memmap)
    assert dataset.names == tuple(windows.name for windows in several(wanted))
    for found, other in zip(dataset, several(wanted), strict=True):
        assert repr(found) == repr(other).replace(f"{other.nbytes / 1e6:,.1f}", f"{found.nbytes / 1e6:,.1f}")
        assert found.starts.tolist() == other.starts.tolist()
        assert (found.columns, found.targets, found.future_covariates) == (
            other.columns,
            other.targets,
            other.future_covariates,
        )
        assert found.normalization == other.normalization == dataset.scaler
        pairs = zip(found.batches(3, shuffle=True), other.batches(3, shuffle=True), strict=True)
        for ours, theirs in (*pairs, (found.window(0), other.window(0)), *zip(
            found.shard(1, 2).batches(4), other.shard(1, 2).batches(4), strict=True
        )):  # fmt: skip
            same(ours, theirs)


def several(windows: Windows | tuple[Windows, ...]) -> tuple[Windows, ...]:
    return (windows,) if isinstance(windows, Windows) else windows


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("loaded"))
    publish_demo(home, hours=24 * 20)
    return home


@pytest.fixture(scope="module")
def splits(home: Home) -> Iterator[tuple[Windows, ...]]:
    with energywh.open(home.path) as warehouse:
        yield warehouse.windows(
            "features.hourly",
            target="demand_mwh",
            length=24,
            stride=24,
            horizon=6,
            splits=["2023-01-08", "2023-01-15"],
            backend="numpy",
        )


@pytest.fixture
def folder(home: Home, splits: tuple[Windows, ...]) -> Path:
    """A dataset in the home."""
    folder = home.datasets / "day-ahead"
    store(folder, splits, splits[0].scaler(), parquet=True)
    return folder


def test_a_loaded_dataset_has_splits_columns_scaler_and_digest(folder: Path, splits: tuple[Windows, ...]) -> None:
    dataset = energywh.load_dataset(folder / "dataset.json", backend="numpy")
    train, valid, test = dataset
    assert dataset.path == folder
    assert len(dataset) == 3
    assert dataset["train"] is dataset.train is train
    assert [len(part) for part in (train, valid, test)] == [len(part) for part in splits]
    assert dataset.names == ("train", "valid", "test")
    assert [*dataset.columns] == ["demand_mwh", "hour_sin", "is_midnight"]
    assert dataset.columns["demand_mwh"].roles == ["feature", "target"]
    assert dataset.scaler == splits[0].scaler()
    assert dataset.digest == dataset.manifest.measured()
    assert repr(dataset) == (
        "<StoredDataset day-ahead: train 10, valid 10, test 10 windows of 24 hours x 3 features, horizon 6, "
        f"2 regions (BPAT, CISO), float32, digest {dataset.digest[:12]}>"
    )
    with pytest.raises(UnknownNameError, match="there is no split 'vaild'; did you mean valid"):
        dataset["vaild"]


def test_normalized_values_give_no_scaler(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"measured in the warehouse.* is their normalization"):
        energywh.load_dataset(folder, backend="numpy")["train"].scaler()


def test_the_newest_hours_are_scaled_as_the_training_set(home: Home, folder: Path) -> None:
    dataset = energywh.load_dataset(folder, backend="numpy")
    with energywh.open(home.path) as warehouse:
        context = warehouse.context(
            hours=24,
            scaler=dataset.scaler,
            features=dataset["train"].columns,
            regions=["BPAT", "CISO"],
            backend="numpy",
        )
    last = dataset["test"].frame
    for region, end in enumerate(last.axis.offset[1:]):
        np.testing.assert_allclose(context.inputs[region], last.features.values[end - 24 : end], rtol=1e-6, atol=1e-6)


def test_a_split_without_a_region_still_counts_it(home: Home, splits: tuple[Windows, ...], tmp_path: Path) -> None:
    with energywh.open(home.path) as warehouse:
        alone = warehouse.windows(
            "features.hourly", regions="CISO", target="demand_mwh", length=24, stride=24, horizon=6, backend="numpy"
        ).all
    store(tmp_path, [*splits, alone])
    found = energywh.load_dataset(tmp_path, backend="numpy")["all"]
    assert found.regions == ("BPAT", "CISO")
    assert found.starts.tolist() == alone.starts.tolist()
    ours, theirs = found.batch(np.arange(2)), alone.batch(np.arange(2))
    assert ours.region_encoding.tolist() == [1, 1]
    assert ours.inputs.tolist() == theirs.inputs.tolist()


def test_mapped_windows_hold_only_the_masks_in_memory(folder: Path) -> None:
    resident = energywh.load_dataset(folder, backend="numpy")["train"]
    windows = energywh.load_dataset(folder, backend="numpy", memmap=True)["train"]
    assert windows.disk_nbytes == resident.nbytes > 0
    assert windows.nbytes == resident.disk_nbytes == 0
    assert np.shares_memory(windows.window(3).inputs, windows.frame.features.values)
    for part in (windows, resident):
        assert not part.window(0).inputs.flags.writeable


def test_a_dataset_is_found_by_its_name_in_the_home(
    home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENERGYWH_HOME", str(home.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day-ahead").mkdir()  # is no dataset
    assert loaded.find_dataset("day-ahead") == folder
    with pytest.raises(UnknownNameError, match=r"named 'day-ahed'; did you mean day-ahead\?"):
        energywh.load_dataset("day-ahed")
    with pytest.raises(StorageError, match=r"other holds no stored dataset: dataset.json is missing; make one with"):
        energywh.load_dataset(tmp_path / "other")
    for wrong in ("", 5):
        with pytest.raises(UsageError, match="by the path of its folder, or by its name, not"):
            energywh.load_dataset(wrong)  # type: ignore[arg-type]


def test_bad_requests(folder: Path, splits: tuple[Windows, ...]) -> None:
    with pytest.raises(UsageError, match="memmap must be True or False, not 'rom'"):
        energywh.load_dataset(folder, memmap="rom")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="backend must be 'mlx' or 'numpy', not 'torch'"):
        energywh.load_dataset(folder, backend="torch")  # type: ignore[arg-type]
    store(folder.parent / "brief", splits, dtype="bfloat16")
    with pytest.raises(
        UsageError, match="dataset brief is of bfloat16, which NumPy does not have: load it with backend='mlx'"
    ):
        energywh.load_dataset(folder.parent / "brief", backend="numpy")


def overwrite(file: Path, at: int, content: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(at)
        stream.write(content)


DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "content": (lambda file: overwrite(file, file.stat().st_size - 1, b"\2"), "was changed: its bytes", "content"),
    "cut short": (lambda file: os.truncate(file, 3000), r"has 3,000 bytes, and was made with [\d,]+;", "size"),
    "longer": (lambda file: overwrite(file, file.stat().st_size, b"\0"), "bytes, and was made with", "size"),
    "missing": (Path.unlink, "is missing;", "missing"),
    "a folder": (lambda file: (file.unlink(), file.mkdir()), "cannot read .*Is a directory", "unreadable"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_changed_file_is_refused_by_name(kind: str, folder: Path) -> None:
    damage, says, problem = DAMAGE[kind]
    file = folder / "valid.safetensors"
    damage(file)
    with pytest.raises(StorageError, match=f"{file.name}.*{says}|cannot read .*{file.name}: Is a") as caught:
        energywh.load_dataset(folder, backend="numpy")
    if problem != "unreadable":
        assert isinstance(caught.value, CorruptError)
        assert "make it again with 'energywh dataset make day-ahead', or see with 'energywh dataset verify" in str(
            caught.value
        )
    assert [(found.file, found.kind) for found in verify(folder)] == [(file.name, problem)]
    if file.is_dir():
        file.rmdir()


def test_without_check_sizes_and_headers_are_still_compared(folder: Path) -> None:
    file = folder / "train.safetensors"
    overwrite(file, file.stat().st_size - 1, b"\0")
    last = energywh.load_dataset(folder, backend="numpy", check=False)["train"].frame.targets
    assert last.missing.rows.tolist() == [len(last.values) - 1]
    overwrite(file, 0, b"\xff" * 8)
    with pytest.raises(CorruptError, match=r"train.safetensors is not a whole safetensors file: .*header"):
        energywh.load_dataset(folder, backend="numpy", check=False)


def test_a_matrix_of_another_dataset_with_the_same_size_is_refused(folder: Path, splits: tuple[Windows, ...]) -> None:
    store(folder, splits, splits[0].scaler())
    manifest = Manifest.read(folder)
    for change, says in (
        ({"request": msgspec.structs.replace(manifest.request, length=23)}, "length is 24, not 23"),
        ({"request": msgspec.structs.replace(manifest.request, dtype="float16")}, "it holds .*F32.*, not .*F16"),
        ({"regions": ["BPAT", "CISO", "ERCO"]}, "regions is .*, not .*ERCO"),
        ({"columns": manifest.columns[1:]}, "its columns are"),
        ({"scaler": None}, "scaler is .*, not null"),
        ({"splits": [msgspec.structs.replace(split, rows=split.rows + 1) for split in manifest.splits]}, "it holds"),
        ({"splits": [msgspec.structs.replace(split, regions=[]) for split in manifest.splits]}, "do not add up"),
        ({"files": {}}, "dataset.json does not list train.safetensors"),
    ):
        msgspec.structs.replace(manifest, **change).with_digest().write(folder)  # type: ignore[arg-type]
        with pytest.raises(CorruptError, match=says):
            energywh.load_dataset(folder, backend="numpy")


@pytest.mark.parametrize("name", ["../notes.txt", "train/../../notes.txt", "/etc/hostname"])
def test_a_manifest_that_names_files_outside_of_its_folder_is_refused(folder: Path, name: str) -> None:
    manifest = Manifest.read(folder)
    files = manifest.files | {name: manifest.files["train.safetensors"]}
    msgspec.structs.replace(manifest, files=files).with_digest().write(folder)
    with pytest.raises(CorruptError, match=f"{name} is not a file of its folder"):
        energywh.load_dataset(folder, backend="numpy")
    assert [found.kind for found in verify(folder)] == ["manifest"]


@pytest.mark.parametrize(
    ("content", "says", "error"),
    [
        (b"", "damaged or not the manifest", CorruptError),
        (b"{}", "missing required field `format`", CorruptError),
        (b'{"format": 2, "name": "x"}', "missing required field `request`", CorruptError),
        (b"\xff\xfe", "damaged or not the manifest", CorruptError),
        (b"[" * 100_000, "damaged or not the manifest", CorruptError),
        (b'{"format": 1, "name": "x"}', "it lacks 'request'", CorruptError),
        (b'{"format": 3, "other": 1}', r"newer energywh \(schema 3; this one knows 2\): upgrade", StorageError),
    ],
)
def test_a_damaged_or_later_manifest_is_refused(content: bytes, says: str, error: type, folder: Path) -> None:
    (folder / "dataset.json").write_bytes(content)
    with pytest.raises(error, match=says):
        energywh.load_dataset(folder)
    if error is CorruptError:
        assert [found.kind for found in verify(folder)] == ["manifest"]
    else:
        with pytest.raises(error, match=says):
            verify(folder)


def test_a_manifest_changed_by_hand_is_noticed(folder: Path) -> None:
    file = folder / "dataset.json"
    file.write_text(file.read_text().replace('"stride": 24', '"stride": 12', 1))
    with pytest.raises(CorruptError, match=r"dataset.json was changed: its content has another digest than it states"):
        energywh.load_dataset(folder, backend="numpy")
    assert [(found.file, found.kind) for found in verify(folder)] == [("dataset.json", "manifest")]


def test_a_dataset_made_again_while_it_is_read_is_read_again(
    folder: Path, splits: tuple[Windows, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = hashed.sha256_of

    def made_anew(stream: Any) -> str:
        monkeypatch.setattr("energywh.datasets.stored.split_reader.sha256_of", once)
        store(folder, splits)
        return "of the file that was there before"

    monkeypatch.setattr("energywh.datasets.stored.split_reader.sha256_of", made_anew)
    assert energywh.load_dataset(folder, backend="numpy").scaler is None


def test_splits_of_two_datasets_are_not_mixed_without_check(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = loaded.read_split

    def made_anew(*arguments: Any) -> Windows:
        monkeypatch.setattr(loaded, "read_split", once)
        msgspec.structs.replace(Manifest.read(folder), name="anew").write(folder)
        return once(*arguments)

    monkeypatch.setattr(loaded, "read_split", made_anew)
    assert energywh.load_dataset(folder, backend="numpy", check=False).manifest.name == "anew"


def test_verify_checks_every_file_and_names_foreign_ones(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    assert verify(folder, lambda *progress: told.append(progress)) == []
    manifest = Manifest.read(folder)
    assert [name for name, _, _ in told] == [*manifest.files]
    assert told[-1][1] == told[-1][2] == sum(file.bytes for file in manifest.files.values())
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").touch()
    overwrite(folder / "train" / "2023-01.parquet", 100, b"\0\1\2")
    assert [(found.file, found.kind) for found in verify(folder)] == [
        ("train/2023-01.parquet", "content"),
        ("notes/mine.txt", "foreign"),
    ]


def test_neither_duckdb_nor_mlx_nor_arrow_is_needed(folder: Path) -> None:
    script = f"""
import sys
for name in ("duckdb", "pyarrow", "mlx", "sqlglot"):
    sys.modules[name] = None
import energywh
dataset = energywh.load_dataset({str(folder)!r}, backend="numpy", memmap=True)
print(next(iter(dataset["train"].batches(2, prefetch=1))).inputs.shape)
try:
    energywh.load_dataset({str(folder)!r})
except energywh.EnergywhError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    lines = found.stdout.splitlines()
    assert lines[0] == "(2, 24, 3)"
    assert "pass backend='numpy'" in lines[1]


def test_missing_values_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from energywh.datasets.stored import split_reader as matrix

    mask = np.random.default_rng(0).random((100, 9)) > 0.05
    wanted = matrix._missing(mask)
    monkeypatch.setattr(matrix, "BLOCK_ROWS", 7)
    found = matrix._missing(mask)
    assert found.rows.tolist() == wanted.rows.tolist() == np.flatnonzero(~mask.all(axis=1)).tolist()
    assert found.bits.tolist() == wanted.bits.tolist()
    assert found.present(0, 100).tolist() == mask.tolist()
