"""Every model against its fixture: tests/sql/<schema>.<model>/input.<table>.csv and expected.csv."""

import math
from typing import Any

import pytest

from tests.sql.model_files import FIXTURES, MODELS, ORDER, build, columns, load_csv, load_seeds, rows, warehouse

DIMENSIONS = ("normalized.region", "normalized.fuel")


def same(expected: object, actual: object) -> bool:
    """Equal, or both floats equal to nine digits: expected values were worked out by hand."""
    if isinstance(expected, float) and isinstance(actual, float):
        return math.isclose(expected, actual, rel_tol=1e-9, abs_tol=1e-9)
    return expected == actual


def test_the_build_order_names_every_model() -> None:
    assert sorted(ORDER) == sorted(MODELS)


@pytest.mark.parametrize("name", ORDER)
def test_a_model_has_a_fixture_pair(name: str) -> None:
    folder = FIXTURES / name
    assert list(folder.glob("input.*.csv")), f"no input in tests/sql/{name}"
    assert (folder / "expected.csv").exists(), f"no expected.csv in tests/sql/{name}"


def test_every_fixture_belongs_to_a_model() -> None:
    assert {p.parent.name for p in FIXTURES.glob("*/expected.csv")} == set(MODELS)


@pytest.mark.parametrize("name", ORDER)
def test_a_model_turns_its_input_into_what_is_expected(name: str) -> None:
    """expected.csv may leave columns out, never rows."""
    model = MODELS[name]
    con = warehouse()
    for path in sorted((FIXTURES / name).glob("input.*.csv")):
        load_csv(con, path.name.removeprefix("input.").removesuffix(".csv"), path)
    actual = rows(con, model.sql, model.grain)
    load_csv(con, "memory.main.expected", FIXTURES / name / "expected.csv")
    names = columns(con, "from expected")
    types: dict[str, Any] = {d[0]: d[1] for d in con.execute(f"describe {model.sql}").fetchall()}
    casts = ", ".join(f"cast({n} as {types[n]}) as {n}" for n in names)
    expected = rows(con, f"select {casts} from expected", model.grain)

    assert expected.keys() == actual.keys()
    wrong = [
        f"{key} {n}: expected {row[n]!r}, got {actual[key][n]!r}"
        for key, row in expected.items()
        for n in names
        if not same(row[n], actual[key][n])
    ]
    assert not wrong, "\n".join(wrong)
    assert columns(con, model.sql) == list(model.meta["columns"]), "promised columns are not those returned"


@pytest.mark.parametrize("name", ORDER)
def test_a_model_states_a_unit_or_a_meaning_for_every_column(name: str) -> None:
    meta = MODELS[name].meta
    assert meta["description"].strip()
    for column, text in meta["columns"].items():
        assert text.endswith("."), column
        if column.endswith("_mwh"):
            assert "MWh" in text, column


@pytest.mark.parametrize("name", ORDER)
def test_the_audits_of_a_model_hold_on_its_fixture_or_are_warnings(name: str) -> None:
    """Free SQL audits run; those that are errors find nothing."""
    model = MODELS[name]
    con = warehouse()
    for path in sorted((FIXTURES / name).glob("input.*.csv")):
        load_csv(con, path.name.removeprefix("input.").removesuffix(".csv"), path)
    if name not in DIMENSIONS:
        load_seeds(con)
        build(con, *(d for d in DIMENSIONS if not (FIXTURES / name / f"input.{d}.csv").exists()))
    build(con, name)
    for audit in model.meta["audits"]:
        if "sql" in audit:
            found = con.execute(audit["sql"]).fetchall()
            assert audit.get("severity", "error") == "warn" or not found, (audit["sql"], found)
