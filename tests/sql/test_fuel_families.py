"""Fuel families over the years in which EIA split its codes: each authority at its own time, by API and by file."""

from datetime import datetime, timedelta

import duckdb
import pytest

from energywh.models.build.audits import run_audit
from tests.sql.model_files import MODELS, build, graph, load_seeds, warehouse

FIRST, HOURS = datetime(2024, 6, 20), 24 * 200
# When an authority began to use the new codes; None: it never did. The end of its first hour with them.
SWITCHES = {
    "CISO": datetime(2024, 7, 1, 1),
    "ERCO": datetime(2024, 11, 15, 8),
    "DUK": datetime(2024, 12, 31, 23),
    "TVA": None,
}
# What each fuel really generates in an hour, and the code it was filed under before the split.
OUTPUT = {
    "NG": ("h % 900", None),
    "WAT": ("200 + h % 50", None),
    "PS": ("h % 301 - 150", "WAT"),
    "SUN": ("h % 24 * 7", None),
    "SNB": ("h % 24 * 3", "SUN"),
    "WND": ("h % 31 * 5", None),
    "WNB": ("h % 31", "WND"),
    "OTH": ("20 + h % 9", None),
    "GEO": ("90 + h % 5", "OTH"),
    "BAT": ("h % 401 - 200", "OTH"),
    "OES": ("h % 3 - 1", "OTH"),
    "UES": ("1 - h % 3", "OTH"),
}
SUMS = {
    "gas_mwh": ("NG",),
    "hydro_mwh": ("WAT", "PS"),
    "solar_mwh": ("SUN", "SNB"),
    "wind_mwh": ("WND", "WNB"),
    "other_combined_mwh": ("OTH", "GEO", "BAT", "OES", "UES"),
    "fuel_sum_mwh": tuple(OUTPUT),
}


def codes_before(fuel: str) -> list[str]:
    """The fuels that were filed under a code before the split."""
    return [one for one, (_, home) in OUTPUT.items() if fuel in (one, home) and not (one == fuel and home)]


def filed(fuel: str, period: str, switch: str) -> str:
    """SQL of what is filed under a code: with what was split off later, before the switch."""
    old = " + ".join(f"({OUTPUT[one][0]})" for one in codes_before(fuel)) or "null"
    return f"case when {switch} is not null and {period} >= {switch} then {OUTPUT[fuel][0]} else {old} end"


@pytest.fixture(scope="module", params=["eia", "eia_files"])
def con(request: pytest.FixtureRequest) -> duckdb.DuckDBPyConnection:
    """A warehouse of the authorities above, all from one source."""
    con = warehouse()
    load_seeds(con)
    con.execute("create table memory.main.authority (region varchar, switch timestamp)")
    con.executemany("insert into memory.main.authority values (?, ?)", list(SWITCHES.items()))
    con.execute(
        f"create table memory.main.hour as select h, timestamp '{FIRST}' + to_hours(h::integer) as period "
        f"from range(1, {HOURS + 1}) t(h)"
    )
    known = "timestamp '2025-06-01' as known_from_utc"
    if request.param == "eia":
        for fuel in OUTPUT:
            con.execute(f"""
                insert into staging.eia.fuel_type_data by name
                select * from (
                    select period, region as respondent, '{fuel}' as fueltype,
                        {filed(fuel, "period", "switch")} as value, {known}
                    from memory.main.authority, memory.main.hour
                ) where value is not null
            """)
    else:
        columns = ", ".join(f"{filed(fuel, 'period', 'switch')} as {fuel.lower()}_mwh" for fuel in OUTPUT)
        con.execute(f"""
            insert into staging.eia_files.balance by name
            select period, if(period <= '2024-07-01 05:00', '2024_Jan_Jun', '2024_Jul_Dec') as file,
                region, {columns}, {known}
            from memory.main.authority, memory.main.hour
        """)
    build(con, *(name for name in graph().order if name in graph().ancestors(["normalized.grid"])), "normalized.grid")
    return con


@pytest.mark.parametrize("column", SUMS)
def test_a_family_is_the_same_sum_on_both_sides_of_each_authoritys_switch(
    con: duckdb.DuckDBPyConnection, column: str
) -> None:
    truth = " + ".join(f"({OUTPUT[fuel][0]})" for fuel in SUMS[column])
    found = con.execute(f"""
        select count(*), count(*) filter (where g.{column} is distinct from ({truth})::double)
        from normalized.grid as g join memory.main.hour as h on h.period = g.hour_utc + interval 1 hour
    """).fetchall()
    assert found == [(len(SWITCHES) * HOURS, 0)]


def test_what_was_filed_under_other_has_columns_of_its_own_from_the_switch_on(con: duckdb.DuckDBPyConnection) -> None:
    found = dict(
        con.execute("""
        select region, min(hour_utc) filter (where storage_mwh is not null) from normalized.grid group by region
    """).fetchall()
    )
    assert found == {region: switch and switch - timedelta(hours=1) for region, switch in SWITCHES.items()}
    assert con.execute(
        "select count(*) from normalized.grid where (storage_mwh is null) <> (geothermal_mwh is null)"
    ).fetchall() == [(0,)]


def test_a_code_that_nobody_knows_counts_as_unknown_and_is_warned_of(con: duckdb.DuckDBPyConnection) -> None:
    model = MODELS["normalized.generation_reported"]
    audit = next(audit for audit in model.audits if "fuel codes" in audit.description)
    hour = FIRST + timedelta(hours=40)
    of_hour = f"select unknown_mwh, fuel_sum_mwh from normalized.grid where region = 'CISO' and hour_utc = '{hour}'"
    models = ("normalized.generation_reported", "normalized.generation", "normalized.grid")
    ((_, before),) = con.execute(of_hour).fetchall()
    assert run_audit(con, model, audit).failures == 0
    period = hour + timedelta(hours=1)
    con.execute("insert into staging.eia.fuel_type_data values (?, 'CISO', 'H2', 42, '2025-06-01')", [period])
    build(con, *models)
    outcome = run_audit(con, model, audit)
    unknown = con.execute(of_hour).fetchall()
    con.execute("delete from staging.eia.fuel_type_data where fueltype = 'H2'")
    build(con, *models)
    assert (outcome.failures, outcome.severity, "H2" in outcome.sample) == (1, "warn", True)
    assert unknown == [(42, before + 42)]
