"""Every model against its fixture: tests/sql/<schema>.<model>/input.<table>.csv and expected.csv."""

import math

import pytest

from energywh.models.build.audits import run_audit
from tests.sql.model_files import (
    FIXTURES,
    MODELS,
    NAMES,
    built_fixture,
    columns,
    fixture_sql,
    graph,
    inputs,
    load_csv,
    rows,
)
from tests.sql.returned import returned


def same(expected: object, actual: object) -> bool:
    """Equal, or both floats equal to nine digits: expected values were worked out by hand."""
    if isinstance(expected, float) and isinstance(actual, float):
        return math.isclose(expected, actual, rel_tol=1e-9, abs_tol=1e-9)
    return expected == actual


@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_a_fixture_pair(name: str) -> None:
    assert inputs(name), f"no input in tests/sql/{name}"
    assert (FIXTURES / name / "expected.csv").exists(), f"no expected.csv in tests/sql/{name}"
    unread = inputs(name).keys() - {*graph().upstream(name), *graph().staging(name)}
    assert not unread, f"tests/sql/{name} has input of {', '.join(unread)}, which the model does not read"


def test_every_fixture_belongs_to_a_model() -> None:
    assert {p.parent.name for p in FIXTURES.glob("*/expected.csv")} == set(MODELS)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_turns_its_input_into_what_is_expected(name: str) -> None:
    """expected.csv may leave columns out, never rows."""
    model = graph().models[name]
    con = built_fixture(name)
    actual = rows(con, fixture_sql(name), model.grain)
    types = {row[0]: row[1] for row in con.execute(f"describe {fixture_sql(name)}").fetchall()}
    load_csv(con, "memory.main.expected", FIXTURES / name / "expected.csv", types)
    names = (FIXTURES / name / "expected.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    expected = rows(con, "from expected", model.grain)

    assert expected.keys() == actual.keys()
    wrong = [
        f"{key} {n}: expected {row[n]!r}, got {actual[key][n]!r}"
        for key, row in expected.items()
        for n in names
        if not same(row[n], actual[key][n])
    ]
    assert not wrong, "\n".join(wrong)
    assert columns(con, fixture_sql(name)) == list(model.columns), "promised columns are not those returned"


def test_what_a_model_returns_is_printed_in_the_form_of_a_fixture() -> None:
    assert returned("quality.summary", ["flagged_share", "balance_residual_mwh"]) == [
        ["region", "month_utc", "flagged_share", "balance_residual_mwh"],
        ["BPAT", "2024-02-01 00:00", "", ""],
        ["CISO", "2024-01-01 00:00", "0.5", ""],
        ["CISO", "2024-02-01 00:00", "0.6667", "20.0"],
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_states_a_unit_or_a_meaning_for_every_column(name: str) -> None:
    for column, text in graph().models[name].columns.items():
        assert text.endswith("."), column
        if column.endswith("_mwh"):
            assert "MWh" in text, column


@pytest.mark.parametrize("name", NAMES)
def test_the_audits_of_a_model_hold_on_its_fixture_or_are_warnings(name: str) -> None:
    """Each audit runs; one that is an error and finds rows raises."""
    con = built_fixture(name)
    for audit in MODELS[name].audits:
        run_audit(con, MODELS[name], audit)


@pytest.mark.parametrize("name", NAMES)
def test_only_rows_of_a_single_hour_have_hour_utc(name: str) -> None:
    """A column hour_utc invites joins by hour, so it must be part of the grain."""
    model = graph().models[name]
    assert ("hour_utc" in model.columns) == ("hour_utc" in model.grain)
    if model.time_column is not None:
        assert model.time_column in model.grain
        step = "month" if model.time_column == "month_utc" else "hour"
        con = built_fixture(name)
        of_step = f"{model.time_column} <> date_trunc('{step}', {model.time_column})"
        assert con.execute(f"select count(*) from {name} where {of_step}").fetchall() == [(0,)]
