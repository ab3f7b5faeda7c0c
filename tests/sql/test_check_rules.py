"""Each rule of `energywh check` finds the rows it is for, and no valid rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from energywh.models.build.audits import failing_rows
from energywh.models.catalog.check import Finding, Rule, check
from energywh.models.project.model import Audit
from tests.sql.model_files import MODELS, build, graph, load_seeds, warehouse

FUELS = "normalized.generation_reported"
NOW = datetime(2024, 3, 10, 12)
DOCUMENT = Path(__file__).parents[2] / "docs" / "data-quality.md"
# The rules that have a name of their own; the others are promises of the kinds that tests/models know.
RULES: dict[tuple[str, str], Audit] = {
    (name, audit.name): audit for name, model in MODELS.items() for audit in model.audits if audit.name.isidentifier()
}


@dataclass(frozen=True)
class Case:
    """Rows that break a rule, rows that do not, and the expected findings."""

    model: str
    rule: str
    breaking: str
    holding: str
    regions: tuple[str, ...] = ("CISO",)
    first: str | None = None
    last: str | None = None
    rows: int = 1


def hours(table: str, region: str, first: str, last: str, **values: str) -> str:
    """Return the INSERT of every hour from ``first`` to ``last``, with SQL expressions as ``values``."""
    columns = "".join(f", {value} as {name}" for name, value in values.items())
    return (
        f"insert into {table} by name select '{region}' as region, hour_utc{columns} from "
        f"(select unnest(generate_series(timestamp '{first}', timestamp '{last}', interval 1 hour)) as hour_utc);"
    )


def row(table: str, **values: str | float | bool) -> str:
    """Return the INSERT of one row."""
    cells = ", ".join(f"{v!r}" if not isinstance(v, bool) else str(v) for v in values.values())
    return f"insert into {table} ({', '.join(values)}) values ({cells});"


def fresh(region: str, newest: str, behind: int = 0, **others: str | float | bool) -> str:
    """Return the INSERT of the hours that the demand of a region covers."""
    facts: dict[str, str | float | bool] = {
        "dataset": "eia.region_data",
        "measure": "D",
        "region": region,
        "newest_row_utc": newest,
        "newest_value_utc": newest,
        "behind_others_hours": behind,
        "publication_lag_hours": 2,
        "is_stand_in": False,
    }
    return row("quality.freshness", **{**facts, **others})


def month(region: str, of: str, **values: float) -> str:
    return row("quality.summary", region=region, month_utc=of, **{"demand_hours": 700, "balance_hours": 700, **values})


def conflict(hour: str, api: float, file: float) -> str:
    facts = {"region": "CISO", "measure": "demand", "code": "D", "hour_utc": hour}
    newest = row("normalized.demand_reported", region="CISO", hour_utc="2024-03-10 11:00", demand_mwh=1)
    return newest + row("normalized.source_conflict", eia_mwh=api, eia_files_mwh=file, **facts)


def gap(of: int, *, is_open: bool = True, measure: str = "demand") -> str:
    return row(
        "quality.gaps",
        region="CISO",
        measure=measure,
        first_hour_utc="2024-03-01 00:00",
        last_hour_utc="2024-03-09 00:00",
        gap_hours=of,
        is_open=is_open,
    )


def anomaly(last: str, *, reported: bool = True) -> str:
    newest = row("normalized.demand", region="CISO", hour_utc="2024-03-10 11:00", demand_mwh=1)
    facts: dict[str, str | float] = {"region": "CISO", "measure": "demand", "flag": "global_extreme"}
    if reported:
        facts["reported_max_mwh"] = 9e9
    return newest + row("quality.anomalies", first_hour_utc="2024-03-01", last_hour_utc=last, **facts)


def price(node: str, hour: str) -> str:
    return row("normalized.caiso_price", node=node, hour_utc=hour, market="DAM", lmp_usd_per_mwh=30)


YEAR = "".join(month("CISO", f"2023-{m:02}-01", balance_residual_share=0.01) for m in range(1, 13))
CASES = [
    Case(
        "normalized.carbon",
        "carbon_residual",
        row("normalized.carbon", region="CISO", hour_utc="2024-03-01 00:00", residual_co2_kg_per_mwh=5.1),
        row("normalized.carbon", region="CISO", hour_utc="2024-03-01 00:00", residual_co2_kg_per_mwh=4.9),
        first="2024-03-01 00:00",
        last="2024-03-01 00:00",
    ),
    Case(
        "quality.freshness",
        "stale",
        fresh("CISO", "2024-03-07 06:00") + fresh("AEC", "2024-03-10 06:00", last_date="2021-09-01"),
        fresh("CISO", "2024-03-07 10:00") + fresh("BPAT", "2020-01-01"),
        regions=(),
        first="2024-03-07 07:00",
    ),
    Case(
        "quality.freshness",
        "late",
        fresh("CISO", "2024-03-09 08:00", 26) + fresh("BPAT", "2024-03-10 10:00"),
        fresh("CISO", "2024-03-09 09:00", 25)
        + fresh("BPAT", "2024-03-10 10:00")
        + fresh("AEC", "2021-09-01", 20000, last_date="2021-09-01")
        + fresh("MISO", "2023-09-01", 400, dataset="eia_files.balance", is_stand_in=True)
        + fresh("PJM", "2023-09-01", 5000),  # silent, not late
        first="2024-03-09 09:00",
    ),
    Case(
        "quality.freshness",
        "silent",
        fresh("CISO", "2024-02-09 10:00", 720) + fresh("CISO", "2024-01-01", 1600, measure="NG"),
        fresh("CISO", "2024-01-09 10:00", 1464)
        + fresh("CISO", "2024-03-10 10:00", measure="NG")
        + fresh("AEC", "2021-09-01", 20000, last_date="2021-09-01"),
        first="2024-02-09 11:00",
    ),
    Case(
        "quality.freshness",
        "after_its_end",
        fresh("AEC", "2021-09-04 01:00", last_date="2021-09-01"),
        fresh("AEC", "2021-09-02 05:00", last_date="2021-09-01") + fresh("CISO", "2024-03-10 10:00"),
        regions=("AEC",),
        last="2021-09-04 01:00",
    ),
    Case(
        "quality.gaps",
        "open_gap",
        gap(48),
        gap(47)
        + gap(99, is_open=False, measure="hydro")
        + gap(99, measure="demand_forecast")
        + gap(720, measure="coal"),
        first="2024-03-01 00:00",
        last="2024-03-09 00:00",
    ),
    Case(
        "quality.anomalies",
        "recent_anomaly",
        anomaly("2024-03-03 12:00"),
        anomaly("2024-03-03 11:00") + anomaly("2024-03-10 10:00", reported=False),
        first="2024-03-01 00:00",
        last="2024-03-03 12:00",
    ),
    Case(
        "quality.summary",
        "flagged_share",
        month("CISO", "2024-02-01", flagged_share=0.06) + month("BPAT", "2024-03-01", flagged_share=0.05),
        month("CISO", "2024-01-01", flagged_share=0.9) + month("CISO", "2024-03-01", flagged_share=0.05),
        first="2024-02-01 00:00",
        last="2024-02-01 00:00",
    ),
    Case(
        "quality.summary",
        "residual_jump",
        YEAR + month("CISO", "2024-01-01", balance_residual_share=0.04),
        YEAR
        + month("CISO", "2024-01-01", balance_residual_share=0.02, fuel_residual_share=0.5)  # of fuels there is no year
        + month("BPAT", "2024-01-01", balance_residual_share=0.5),
        first="2024-01-01 00:00",
        last="2024-01-01 00:00",
    ),
    Case(
        FUELS,
        "unknown_fuel",
        hours(FUELS, "CISO", "2024-03-01", "2024-03-01 05:00", fuel="'FUS'", generation_mwh="1"),
        hours(FUELS, "CISO", "2024-03-01", "2024-03-01 05:00", fuel="'SNB'", generation_mwh="1"),
        first="2024-03-01 00:00",
        last="2024-03-01 05:00",
    ),
    *(
        Case(
            model,
            "unknown_region",
            hours(model, "ZZZZ", "2024-03-01", "2024-03-01 05:00", **others),
            hours(model, "CISO", "2024-03-01", "2024-03-01 05:00", **others),
            regions=("ZZZZ",),
            first="2024-03-01 00:00",
            last="2024-03-01 05:00",
        )
        for model, others in {
            FUELS: {"fuel": "'SUN'"},
            "normalized.demand_reported": {},
            "normalized.interchange": {"neighbor": "'BPAT'"},
        }.items()
    ),
    Case(
        "normalized.demand",
        "impossible_demand",
        row(
            "normalized.demand",
            region="CISO",
            hour_utc="2024-03-01 05:00",
            demand_mwh=900_000,
            demand_clean_mwh=900_000,
        ),
        row(
            "normalized.demand", region="CISO", hour_utc="2024-03-01 06:00", demand_mwh=900_000, demand_clean_mwh=20_000
        )
        + row("normalized.demand", region="US48", hour_utc="2024-03-01 06:00", demand_clean_mwh=500_000),
        first="2024-03-01 05:00",
        last="2024-03-01 05:00",
    ),
    Case(
        "normalized.source_conflict",
        "source_conflict",
        conflict("2024-01-20", 1000, 1020),
        conflict("2024-02-20", 1000, 2000)  # may still be revised
        + conflict("2024-01-20", 1000, 1009)
        + conflict("2024-01-21", 5, 8)
        + conflict("2022-01-20", 1000, 2000),
        first="2024-01-20 00:00",
        last="2024-01-20 00:00",
    ),
    Case(
        "normalized.caiso_price",
        "hub_missing",
        price("TH_NP15", "2024-03-09 00:00") + price("TH_NP15", "2024-03-10 00:00") + price("TH_SP15", "2024-03-09"),
        price("TH_NP15", "2024-03-10")
        + price("TH_SP15", "2024-03-10")
        + price("TH_SP15", "2024-02-10")
        + price("X", "2024-03-10"),
        first="2024-03-10 00:00",
        last="2024-03-10 00:00",
    ),
    Case(
        "normalized.grid",
        "spine",
        hours("normalized.grid", "CISO", "2024-03-01", "2024-03-02")
        + row("normalized.grid", region="CISO", hour_utc="2024-03-02 02:00"),
        hours("normalized.grid", "CISO", "2024-03-01", "2024-03-02")
        + hours("normalized.grid", "BPAT", "2024-03-01", "2024-03-03"),
        first="2024-03-01 00:00",
        last="2024-03-02 02:00",
    ),
]


@pytest.fixture(scope="module")
def empty() -> duckdb.DuckDBPyConnection:
    """A warehouse in which every model is an empty table, without keys of its own."""
    con = warehouse()
    load_seeds(con)
    build(con, *graph().order)
    return con


@pytest.fixture
def con(empty: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    empty.execute("begin")
    yield empty
    empty.execute("rollback")


def found(con: duckdb.DuckDBPyConnection, case: Case) -> Finding:
    audit = RULES[case.model, case.rule]
    rule = Rule(case.model, audit.name, audit.severity, audit.description, failing_rows(MODELS[case.model], audit))
    (finding,) = check(con, [rule], now=NOW)
    assert not finding.trouble
    return finding


def names(case: Case) -> str:
    return f"{case.model}-{case.rule}"


@pytest.mark.parametrize("case", CASES, ids=names)
def test_a_rule_finds_what_it_is_for(con: duckdb.DuckDBPyConnection, case: Case) -> None:
    con.execute(case.breaking)
    finding = found(con, case)
    assert (finding.rows, finding.regions) == (case.rows, case.regions)
    assert finding.first_hour_utc == (case.first and datetime.fromisoformat(case.first))
    assert finding.last_hour_utc == (case.last and datetime.fromisoformat(case.last))


@pytest.mark.parametrize("case", CASES, ids=names)
def test_a_rule_finds_nothing_in_what_is_as_it_should_be(con: duckdb.DuckDBPyConnection, case: Case) -> None:
    con.execute(case.holding)
    assert found(con, case).holds


def test_every_rule_has_a_case() -> None:
    lacking = RULES.keys() - {(case.model, case.rule) for case in CASES}
    assert not lacking, f"add a Case to {Path(__file__).name} for {sorted(lacking)}"


def test_the_rules_say_in_words_what_is_wrong_and_the_document_lists_them_all() -> None:
    listed = dict(re.findall(r"^\| `([a-z_]+)` \| (error|warn) \|", DOCUMENT.read_text("utf-8"), re.MULTILINE))
    declared = {audit.name: audit.severity for audit in RULES.values()}
    assert listed == declared, (
        f"the table of rules in docs/{DOCUMENT.name} differs: {listed.items() ^ declared.items()}"
    )
    assert all(audit.description for audit in RULES.values())


def test_a_warehouse_without_rows_breaks_no_rule(con: duckdb.DuckDBPyConnection) -> None:
    rules = [
        Rule(name, audit.name, audit.severity, audit.description, failing_rows(model, audit))
        for name, model in MODELS.items()
        for audit in model.audits
    ]
    assert len(rules) == len(graph().audits)
    assert [finding for finding in check(con, rules, now=NOW) if not finding.holds] == []


def test_every_series_that_is_stale_is_named(con: duckdb.DuckDBPyConnection) -> None:
    stale = [("eia.region_data", measure) for measure in ("D", "DF", "NG", "TI")]
    stale += [("caiso.load", market) for market in ("2DA", "7DA", "ACTUAL", "DAM")] + [("open_meteo.hourly", "all")]
    for dataset, measure in stale:
        con.execute(fresh("CISO", "2023-04-01 00:00", dataset=dataset, measure=measure))
    con.execute(fresh("CISO", "2024-03-10 10:00", dataset="caiso.price_dam", measure="all"))
    finding = found(con, next(case for case in CASES if case.rule == "stale"))
    assert finding.series == tuple(sorted(f"{dataset} {measure}" for dataset, measure in stale))
    assert len(finding.sample) == len(stale)
