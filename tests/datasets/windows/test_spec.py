"""The methods, the command line and the manifest have the fields of `WindowSpec`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import msgspec
import pytest

import energywh
from energywh import Scaler, Warehouse, WindowSpec
from energywh.cli.dataset import make
from energywh.core.paths import Home
from energywh.datasets.stored.spec import DatasetSpec
from energywh.errors import UnknownNameError, UsageError
from tests.datasets.published import publish_demo

FIELDS = msgspec.structs.fields(WindowSpec)
LEFT_OUT = {Warehouse.folds: {"splits", "borrow_context"}}  # folds are split by their origins
OPTIONAL = {Warehouse.dataset: {"source"}}
MINIMAL: dict[str, Any] = {"source": "features.hourly", "target": "demand_mwh", "length": 24, "stride": 24}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[energywh.Warehouse]:
    home = Home(tmp_path_factory.mktemp("spec"))
    publish_demo(home, hours=24 * 30)
    with energywh.open(home.path) as warehouse:
        yield warehouse


@pytest.mark.parametrize("method", [Warehouse.windows, Warehouse.dataset, Warehouse.folds])
def test_methods_spell_out_every_field_with_its_default(method: Callable[..., Any]) -> None:
    parameters = inspect.signature(method).parameters
    assert not [name for name, each in parameters.items() if each.kind == each.VAR_KEYWORD]
    defaults = {
        field.name: inspect.Parameter.empty
        if field.name == "source" and method not in OPTIONAL
        else None
        if field.required
        else field.default
        for field in FIELDS
        if field.name not in LEFT_OUT.get(method, set())
    }
    found = {name: parameters[name].default for name in parameters if name in defaults}
    assert found == defaults
    assert list(found) == list(defaults)


def test_the_command_line_has_an_option_for_every_field_with_its_default() -> None:
    given = make.make_context("make", ["day-ahead"]).params
    options = {each.name: each for each in make.params}
    for field in FIELDS:
        assert f"--{field.name.replace('_', '-')}" in options[field.name].opts
        default = None if field.required else field.default
        if field.name == "source":
            default = "features.hourly"
        # An option that can be given several times is an empty tuple where it is not given.
        assert (None if given[field.name] == () else given[field.name]) == default


def test_a_spec_keeps_what_it_is_given_as_plain_data_and_comes_back_from_json() -> None:
    spec = WindowSpec(
        **MINIMAL,
        horizon=24,
        regions=["ciso", "BPAT", "CISO"],  # type: ignore[arg-type]
        features="demand_mwh",  # type: ignore[arg-type]
        splits=[date(2023, 1, 1), datetime(2023, 6, 1, 5), "2024-01-01"],  # type: ignore[arg-type]
        until="2024-12-31",
        normalize="robust",  # type: ignore[arg-type]
    )
    assert (spec.regions, spec.features) == (("CISO", "BPAT"), ("demand_mwh",))
    assert spec.splits == ("2023-01-01T00", "2023-06-01T05", "2024-01-01T00")
    assert spec.until == "2024-12-31T23"
    assert spec.normalize == {"kind": "robust", "by": "region", "log": []}
    assert msgspec.json.decode(msgspec.json.encode(spec), type=WindowSpec) == spec
    assert msgspec.structs.replace(spec, horizon=0).until == spec.until


def test_a_scaler_in_a_spec_is_the_scaler_that_comes_out_of_it() -> None:
    from energywh.datasets.windows.scaler import as_normalization

    scaler = Scaler("zscore", "global", ("x",), (), ((1 / 3,),), ((2.5e-7,),), log=("x",))
    spec = WindowSpec(**MINIMAL, normalize=scaler)  # type: ignore[arg-type]
    assert as_normalization(msgspec.json.decode(msgspec.json.encode(spec), type=WindowSpec).normalize) == scaler


def test_a_dataset_takes_the_same_spec_with_formats_beside_it() -> None:
    from energywh.datasets.stored.spec import dataset_spec_of

    spec = WindowSpec(**MINIMAL, gaps="split")
    given = {field.name: None if field.required else field.default for field in msgspec.structs.fields(DatasetSpec)}
    made = dataset_spec_of(given | {"source": spec, "formats": ["hdf5"]})
    assert made == DatasetSpec(**MINIMAL, gaps="split", formats=("hdf5",))
    assert dataset_spec_of(given) is None


def test_a_spec_and_arguments_beside_it_are_refused(warehouse: energywh.Warehouse) -> None:
    spec = WindowSpec(**MINIMAL)
    with pytest.raises(UsageError, match=r"a WindowSpec or its fields as arguments, not both \(stride, gaps\)"):
        warehouse.windows(spec, stride=1, gaps="drop")
    with pytest.raises(TypeError, match=r"windows\(\) is missing target, stride"):
        warehouse.windows("features.hourly", length=24)


def test_windows_and_folds_of_a_spec_are_those_of_its_arguments(warehouse: energywh.Warehouse) -> None:
    arguments: dict[str, Any] = MINIMAL | {"horizon": 6, "regions": ("CISO",)}
    spec = WindowSpec(**arguments)
    one, other = warehouse.windows(spec, backend="numpy").all, warehouse.windows(**arguments, backend="numpy").all
    assert one.starts.tolist() == other.starts.tolist()
    assert next(iter(one.batches(4))).inputs.tolist() == next(iter(other.batches(4))).inputs.tolist()
    folds = [
        warehouse.folds(*given, origins=["2023-01-20"], backend="numpy", **more)  # type: ignore[arg-type]
        for given, more in (((spec,), {}), ((), arguments))
    ]
    assert [fold.test.starts.tolist() for fold in folds[0]] == [fold.test.starts.tolist() for fold in folds[1]]
    with pytest.raises(UsageError, match="leave out splits"):
        warehouse.folds(msgspec.structs.replace(spec, splits=("2023-01-20",)), origins=["2023-01-20"])


def test_splits_are_named_and_unpack(warehouse: energywh.Warehouse) -> None:
    splits = warehouse.windows(**MINIMAL, splits=["2023-01-15"], purge=0, backend="numpy")
    train, test = splits
    assert splits.names == ("train", "test")
    assert splits.train is splits["train"] is splits[0] is train
    assert splits.test is test
    with pytest.raises(AttributeError, match="there is no split 'valid'; there are train, test"):
        _ = splits.valid
    with pytest.raises(UnknownNameError, match="there is no split 'tset'; did you mean test"):
        _ = splits["tset"]
    (windows,) = warehouse.windows(**MINIMAL, backend="numpy")
    assert windows.name == "all"
