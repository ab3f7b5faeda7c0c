"""The command `energywh dataset`."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from energywh.cli import cli
from energywh.core.paths import Home
from energywh.datasets.stored.reader import load_dataset
from energywh.errors import EnergywhError, StorageError, UsageError
from tests.datasets.published import publish_demo

ASKED = ("--length", "48", "--stride", "24", "--horizon", "24", "--splits", "2023-02-10,2023-03-01")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = Home(tmp_path / "warehouse")
    publish_demo(home)
    return home.path


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(
        cli, ["--home", str(home), "dataset", *words], catch_exceptions=False, standalone_mode=False
    )


def test_making_a_dataset_prints_its_numbers(home: Path) -> None:
    text = run(home, "make", "ahead", *ASKED, "--normalize", "robust", "--log", "demand_mwh", "--format", "npz").stdout
    lines = [line.split() for line in text.splitlines()]
    assert lines[1][:6] == ["train", "2023-01-01", "2023-02-08", "2", "1,872", "74"]
    assert [line[0] for line in lines[1:4]] == ["train", "valid", "test"]
    assert "10 files written, 0 kept" in text
    dataset = load_dataset(home / "datasets" / "ahead", backend="numpy")
    assert f"digest {dataset.digest}" in text
    assert f'train, valid, test = energywh.load_dataset("{home}/datasets/ahead")' in text
    assert dataset.scaler is not None
    assert (dataset.scaler.kind, dataset.scaler.by, dataset.scaler.log) == ("robust", "region", ("demand_mwh",))

    assert f"ahead is unchanged: 0.3 MB in {home}/datasets/ahead" in run(home, "make", "ahead").stdout
    publish_demo(Home(home), hours=24 * 100, number=2)
    text = run(home, "make", "ahead").stdout
    assert "3 files written, 8 kept" in text
    text = run(home, "make", "ahead", *ASKED, "--region", "ciso", "--horizon", "12").stdout
    assert "the request changed: horizon 12 (was 24), regions CISO (was not given), normalize not given" in text


def test_options_become_the_request_of_the_manifest(home: Path) -> None:
    words = (
        "one --source features.evening --target demand_mwh,hour_sin --length 4 --stride 2 --regions BPAT,ciso "
        "--features demand_mwh --features is_midnight --future-covariates none --since 2023-01-02 "
        "--until 2023-03-30 --gaps split --purge 5 --splits 2023-03-01 "
        "--normalize zscore --by global --dtype float16 --region-encoding one-hot"
    )
    assert run(home, "make", *words.split()).exit_code == 0
    request = json.loads((home / "datasets" / "one" / "dataset.json").read_text())["request"]
    assert request == {
        "source": "features.evening",
        "target": ["demand_mwh", "hour_sin"],
        "length": 4,
        "stride": 2,
        "horizon": 0,
        "splits": ["2023-03-01T00"],
        "regions": ["BPAT", "CISO"],
        "features": ["demand_mwh", "is_midnight"],
        "future_covariates": [],
        "region_encoding": "one-hot",
        "gaps": "split",
        "borrow_context": False,
        "purge": 5,
        "holdout_regions": None,
        "since": "2023-01-02T00",
        "until": "2023-03-30T23",
        "normalize": {"kind": "zscore", "by": "global", "log": []},
        "dtype": "float16",
        "formats": [],
    }
    assert run(home, "make", "apart", "--length", "24", "--stride", "24", "--holdout-regions", "CISO").exit_code == 0
    assert load_dataset(home / "datasets" / "apart", backend="numpy")["test"].starts["region"].tolist()[0] == "CISO"


def test_datasets_are_listed_and_verified(home: Path) -> None:
    assert "no dataset is made yet" in run(home).stdout
    assert run(home, "verify").return_value == 0
    run(home, "make", "ahead", *ASKED)
    run(home, "make", "behind", *ASKED)
    assert [line.split()[0] for line in run(home).stdout.splitlines()] == ["dataset", "ahead", "behind"]
    (listed, _) = json.loads(run(home, "list", "--json").stdout)
    assert (listed["name"], listed["windows"]) == ("ahead", {"train": 74, "valid": 32, "test": 58})
    assert run(home, "verify").stdout.splitlines() == [
        "ahead: every file is as it was made",
        "behind: every file is as it was made",
    ]
    (home / "datasets" / "behind" / "train.safetensors").write_bytes(b"")
    (home / "datasets" / "ahead" / "notes.txt").write_text("mine")
    found = run(home, "verify")
    assert found.return_value == 1
    assert "behind: train.safetensors: it has 0 bytes" in found.stdout
    assert "ahead: notes.txt: it was not made with the dataset" in found.stdout
    assert run(home, "verify", "ahead").return_value == 0
    (problem,) = json.loads(run(home, "verify", "behind", "--json").stdout)
    assert (problem["dataset"], problem["file"], problem["kind"]) == ("behind", "train.safetensors", "size")
    (home / "datasets" / "behind" / "dataset.json").write_text("{")
    assert "cannot be read: energywh dataset verify" in run(home, "list").stdout
    assert "error" in json.loads(run(home, "list", "--json").stdout)[1]


def test_a_dataset_without_its_manifest_fails_verification_and_is_listed(home: Path) -> None:
    run(home, "make", "ahead", *ASKED)
    folder = home / "datasets" / "ahead"
    (folder / "dataset.json").unlink()
    for words in (("verify",), ("verify", "ahead"), ("verify", "--json")):
        assert run(home, *words).return_value == 1
    (problem,) = json.loads(run(home, "verify", "--json").stdout)
    assert (problem["dataset"], problem["file"], problem["kind"]) == ("ahead", "dataset.json", "manifest")
    assert f"move {folder} away" in run(home, "verify", "ahead").stderr
    assert "ahead" in run(home, "list").stdout
    for options in ((), ASKED):
        with pytest.raises(StorageError, match=r"a dataset that lost its dataset.json: move it away.* all its options"):
            run(home, "make", "ahead", *options)
    folder.rename(home / "kept")
    folder.symlink_to(".ahead.0123abcd")  # what a copy leaves that does not follow links
    assert run(home, "verify").return_value == 1
    assert "cannot be read" in run(home, "list").stdout


def test_a_dataset_of_a_later_energywh_is_a_problem_and_the_others_are_verified(home: Path) -> None:
    run(home, "make", "ahead", *ASKED)
    (home / "datasets" / "aft").mkdir()
    (home / "datasets" / "aft" / "dataset.json").write_text('{"format": 99}')
    found = run(home, "verify")
    assert found.return_value == 1
    assert "aft: dataset.json: " in found.stdout
    assert "written by a newer energywh (schema 99; this one knows" in found.stdout
    assert "ahead: every file is as it was made" in found.stdout
    assert "makes it again" not in found.stderr, "this energywh cannot make it again"


@pytest.mark.parametrize("name", ["make", "list", "verify", "help"])
def test_a_dataset_may_have_the_name_of_a_command(home: Path, name: str) -> None:
    run(home, "make", name, *ASKED)
    assert f"{name} is unchanged" in run(home, "make", name).stdout
    assert run(home, "verify", name).return_value == 0
    assert [line.split()[0] for line in run(home, "list").stdout.splitlines()] == ["dataset", name]


def test_the_home_may_be_named_after_a_command_of_the_group(home: Path) -> None:
    done = CliRunner().invoke(cli, ["dataset", "list", "--home", str(home)], catch_exceptions=False)
    assert f"no dataset is made yet in {home}" in done.stdout


def test_a_name_where_a_command_belongs_is_answered_with_the_line_that_makes_it(home: Path) -> None:
    with pytest.raises(click.UsageError, match="'energywh dataset make day-ahead'"):
        run(home, "day-ahead", *ASKED)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("make", "ahead"), "there is no dataset 'ahead'"),
        (("make", "ahead", "--length", "24"), "give both --length and --stride"),
        (("make", "ahead", *ASKED, "--by", "global"), "give --normalize too"),
        (("make", "ahead", *ASKED, "--purge", "much"), "purge must be a whole number"),
        (("make", "../ahead", *ASKED), "of letters, digits"),
        (("verify", "ahed"), "no dataset in .* is named 'ahed'; there are none"),
        (("make", "ahead", *ASKED, "--version", "energy-1"), "no version"),
    ],
)
def test_wrong_usage_is_refused_with_its_reason(home: Path, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run(home, *words)


def test_a_misspelled_name_is_answered_with_the_nearest(home: Path) -> None:
    run(home, "make", "ahead", *ASKED)
    with pytest.raises(EnergywhError, match="is named 'ahed'; did you mean ahead"):
        run(home, "verify", "ahed")


def test_warnings_of_windows_are_printed_as_notes(home: Path) -> None:
    done = run(
        home,
        "make",
        "short",
        "--length",
        "300",
        "--stride",
        "24",
        "--horizon",
        "24",
        "--splits",
        "2023-02-10,2023-02-18",
    )
    assert "note: train gives up its last" in done.stderr
