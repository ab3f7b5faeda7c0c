"""Offline runs of Weights & Biases: the content of the run's folder, without an account or a network."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

from energywh.datasets.stored.reader import StoredDataset
from energywh.errors import StorageError, UsageError
from energywh.integrations import log_dataset
from tests.integrations.tracking.conftest import VERSION

FILE_HEADER_BYTES = 7
BLOCK_BYTES = 32_768
PIECE_HEADER = struct.Struct("<IHB")  # checksum, length, kind
WHOLE, LAST = 1, 4


@pytest.fixture(scope="module")
def wandb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Weights & Biases with all its folders in a temporary one; its service is ended."""
    home = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DIR", "CONFIG_DIR", "CACHE_DIR", "DATA_DIR", "ARTIFACT_DIR"):
            patch.setenv(f"WANDB_{name}", str(home))
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        patch.setenv("WANDB_DISABLE_GIT", "true")
        patch.setenv("WANDB_CONSOLE", "off")
        patch.setenv("WANDB_X_DISABLE_STATS", "true")
        import wandb

        yield wandb
        wandb.teardown()


def artifacts(run: Any) -> list[Any]:
    """Return the artifacts in the file of an offline run; the service may write it for a moment after the run's end."""
    (file,) = Path(run.dir).parent.glob("*.wandb")
    until = time.monotonic() + 30
    while True:
        found = records(file.read_bytes())
        if any(record.HasField("exit") for record in found):
            break
        assert time.monotonic() < until, f"no end of the run in {file}"
        time.sleep(0.01)
    return [record.artifact for record in found if record.HasField("artifact")]


def records(log: bytes) -> list[Any]:
    """Return the whole records of a log in the format of LevelDB: blocks, and in them pieces of records."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, pieces, found = FILE_HEADER_BYTES, b"", []
    while at + PIECE_HEADER.size <= len(log):
        if BLOCK_BYTES - at % BLOCK_BYTES < PIECE_HEADER.size:
            at += BLOCK_BYTES - at % BLOCK_BYTES
            continue
        _, length, kind = PIECE_HEADER.unpack_from(log, at)
        at += PIECE_HEADER.size
        if at + length > len(log):
            break
        pieces += log[at : at + length]
        at += length
        if kind in (WHOLE, LAST):
            found.append(Record.FromString(pieces))
            pieces = b""
    return found


def test_an_offline_run_keeps_an_artifact_that_refers_to_the_files(dataset: StoredDataset, wandb: Any) -> None:
    with wandb.init(project="grid") as run:
        log_dataset(dataset, run)
        log_dataset(dataset, run)

    artifact, again = artifacts(run)
    assert artifact.digest == again.digest, "the same files are the same version"
    assert (artifact.type, artifact.name) == ("dataset", "grid")
    entries = {entry.path: entry for entry in artifact.manifest.contents}
    assert set(entries) == {"dataset.json", *dataset.manifest.files}
    for path, entry in entries.items():
        assert Path(url2pathname(urlparse(entry.ref).path)) == dataset.path / path
        assert entry.size == (dataset.path / path).stat().st_size
        assert not entry.local_path
    metadata = json.loads(artifact.metadata)
    assert metadata["digest"] == dataset.digest
    assert metadata["targets"] == ["demand_mwh"]
    assert metadata["splits"]["train"]["windows"] == len(dataset["train"])
    assert metadata["warehouse_version"] == VERSION
    assert "someone" not in artifact.metadata, "the text of a query may name files of the machine"


def test_files_are_kept_for_an_offline_run_until_it_is_sent(dataset: StoredDataset, wandb: Any) -> None:
    with wandb.init(project="grid") as run:
        log_dataset(dataset, run, name="west", files=True)

    (artifact,) = artifacts(run)
    assert artifact.name == "west"
    for entry in artifact.manifest.contents:
        kept, file = Path(entry.local_path), dataset.path / entry.path
        assert kept != file, "a later dataset in the same folder would be sent in its place"
        assert kept.read_bytes() == file.read_bytes()


def test_an_online_run_uses_the_artifact(dataset: StoredDataset, wandb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    with wandb.init(project="grid") as run:
        monkeypatch.setattr(type(run), "offline", False)
        monkeypatch.setattr(type(run), "use_artifact", lambda self, artifact: used.append(artifact))
        log_dataset(dataset, run)

    assert [(artifact.name, artifact.type) for artifact in used] == [("grid", "dataset")]


def test_a_disabled_run_takes_it_and_keeps_nothing(dataset: StoredDataset, wandb: Any) -> None:
    with wandb.init(mode="disabled") as run:
        log_dataset(dataset, run)


def test_an_invalid_name_or_run_is_refused(dataset: StoredDataset, wandb: Any) -> None:
    with wandb.init(project="grid") as run, pytest.raises(UsageError, match=r"'a/b'.*give another name="):
        log_dataset(dataset, run, name="a/b")
    with pytest.raises(StorageError, match=rf"'grid' as input of run {run.id}.*finished"):
        log_dataset(dataset, run)
