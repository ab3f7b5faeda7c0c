"""The seeds compared with the codes, names and dates recorded from EIA."""

import json
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from energywh.core.paths import sql_dir
from tests.sql.model_files import MODELS, build, load_seeds, warehouse
from tests.sql.recorded_tables import wide_series
from tests.support.holidays_seed import holiday_csv

ONE_DAY = timedelta(days=1)


def seeded() -> duckdb.DuckDBPyConnection:
    con = warehouse()
    load_seeds(con)
    build(con, "normalized.region", "normalized.fuel")
    return con


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return seeded()


@pytest.fixture(scope="module")
def facets(recorded: Path) -> dict[str, dict[str, dict[str, str]]]:
    """{route: {facet: {code: name}}} as the API listed them in July 2024."""
    path = recorded / "eia" / "gridemissions_facet-options_2024-07.json"
    body = json.loads(path.read_text(encoding="utf-8"))
    return {r: {f: {o["id"]: o["name"] for o in options} for f, options in fs.items()} for r, fs in body.items()}


def codes(con: duckdb.DuckDBPyConnection, kinds: str) -> dict[str, str]:
    return dict(con.execute(f"select region, name from normalized.region where kind in ({kinds})").fetchall())


def test_every_recorded_respondent_is_a_region_under_the_name_eia_gives_it(
    con: duckdb.DuckDBPyConnection, facets: dict[str, dict[str, dict[str, str]]]
) -> None:
    known = codes(con, "'authority', 'aggregate'")
    recorded = facets["region-data"]["respondent"]
    assert len(recorded) == 82
    assert {c: known.get(c) for c in recorded} == recorded
    assert known.keys() - recorded.keys() == {"BHBA", "SIKE", "SWPW"}  # newer than the recording


def test_the_foreign_regions_are_the_neighbors_that_are_not_respondents(
    con: duckdb.DuckDBPyConnection, facets: dict[str, dict[str, dict[str, str]]]
) -> None:
    neighbors = facets["interchange-data"]["toba"]
    respondents = facets["region-data"]["respondent"]
    assert codes(con, "'foreign'") == {c: n for c, n in neighbors.items() if c not in respondents}


def test_there_are_fourteen_aggregates_and_every_known_group_is_one(con: duckdb.DuckDBPyConnection) -> None:
    aggregates = codes(con, "'aggregate'")
    assert len(aggregates) == 14
    found = con.execute(
        "select region, region_group from normalized.region where kind = 'authority' and region_group is not null"
    ).fetchall()
    assert {group for _, group in found} == aggregates.keys() - {"US48"}


def test_every_recorded_fuel_code_has_a_family(
    con: duckdb.DuckDBPyConnection, facets: dict[str, dict[str, dict[str, str]]]
) -> None:
    known = {row[0] for row in con.execute("select fuel from normalized.fuel").fetchall()}
    assert facets["fuel-type-data"]["fueltype"].keys() <= known


def test_no_recorded_value_lies_outside_the_dates_of_its_region(con: duckdb.DuckDBPyConnection, recorded: Path) -> None:
    dates = {r[0]: r[1:] for r in con.execute("select region, first_date, last_date from normalized.region").fetchall()}
    eia = recorded / "eia"
    spans: list[tuple[str, date, date]] = con.execute(f"""
        select respondent, cast(min(p) as date), cast(max(p) as date)
        from (
            select respondent, period_end_utc - interval 1 hour as p
            from '{eia}/truggles_demand-and-forecast_*.parquet' where d is not null or df is not null
            union all
            select fromba, period_end_utc - interval 1 hour
            from '{eia}/caisotrends_*.parquet' where value is not null
        )
        group by respondent
    """).fetchall()
    spans += [(s.region, s.first.date(), s.last.date()) for s in wide_series(eia)]
    assert len({s[0] for s in spans}) > 80
    outside = []
    for region, first, last in spans:
        known_first, known_last = dates[region]
        # The last local hours of a day begin on the next UTC date.
        if (known_first and first < known_first) or (known_last and last > known_last + ONE_DAY):
            outside.append((region, first, last, known_first, known_last))
    assert not outside


def test_authorities_marked_as_generation_only_never_reported_a_demand(
    con: duckdb.DuckDBPyConnection, recorded: Path
) -> None:
    demand = {s.region for s in wide_series(recorded / "eia") if s.code == "D"}
    every = {s.region for s in wide_series(recorded / "eia") if s.code in {"D", "NG", "TI"}}
    marked = {r[0] for r in con.execute("select region from normalized.region where generation_only").fetchall()}
    assert every - demand == marked - {"GLHB", "SIKE"}  # recorded as a neighbor only, and newer than the recording
    assert not demand & marked


def test_every_recorded_interchange_pair_is_a_pair_and_authorities_are_paired_both_ways(
    con: duckdb.DuckDBPyConnection, recorded: Path
) -> None:
    pairs = set(con.execute("select region, neighbor from seeds.interchange_pair").fetchall())
    seen = {(s.region, s.neighbor) for s in wide_series(recorded / "eia") if s.neighbor}
    assert len(seen) > 300
    assert seen <= pairs
    authorities = codes(con, "'authority'")
    assert {a for a, _ in pairs} <= authorities.keys()
    assert {b for _, b in pairs} <= codes(con, "'authority', 'foreign'").keys()
    assert not [(a, b) for a, b in pairs if b in authorities and (b, a) not in pairs]


def test_every_authority_that_reports_demand_has_weighted_places_and_no_other_region_has(
    con: duckdb.DuckDBPyConnection,
) -> None:
    reporting = con.execute(
        "select region from normalized.region where kind = 'authority' and not generation_only"
    ).fetchall()
    placed = con.execute("select distinct region from seeds.weather_place").fetchall()
    assert sorted(placed) == sorted(reporting)


def test_weather_places_lie_in_the_contiguous_states_and_weigh_something(con: duckdb.DuckDBPyConnection) -> None:
    wrong = con.execute("""
        select * from seeds.weather_place
        where coalesce(not (latitude between 24.5 and 49.4 and longitude between -124.8 and -66.9 and weight > 0), true)
            or counted not in ('metro', 'county', 'city', 'part') or name not similar to '.+, [A-Z]{2}'
            or place not similar to '[a-z_]+'
    """).fetchall()
    assert wrong == []


def test_weather_places_of_a_region_differ_in_name_and_coordinates(con: duckdb.DuckDBPyConnection) -> None:
    """An answer of Open-Meteo gives the coordinates of a grid cell, which may lie off by up to 0.4 degrees."""
    twins = con.execute("""
        select a.region, a.place, b.place from seeds.weather_place a join seeds.weather_place b using (region)
        where a.rowid < b.rowid and (a.place = b.place
            or (abs(a.latitude - b.latitude) < 0.5 and abs(a.longitude - b.longitude) < 0.5))
    """).fetchall()
    assert twins == []


def test_no_authority_has_more_weather_places_than_a_minute_of_calls_allows(con: duckdb.DuckDBPyConnection) -> None:
    """At one request each 1.2 s, each of at most 11 calls, Open-Meteo counts fewer than its 600 a minute."""
    (most,) = con.execute("select max(n) from (select count(*) n from seeds.weather_place group by region)").fetchall()
    assert most[0] <= 10


def test_the_subregions_are_those_eia_names_as_text_under_authorities(con: duckdb.DuckDBPyConnection) -> None:
    found = con.execute("""
        select count(*), count(distinct region), count(*) filter (where subregion = '0001'),
            count(*) filter (where region not in (select region from normalized.region where kind = 'authority'))
        from seeds.subregion
    """).fetchall()
    assert found == [(82, 8, 1, 0)]


def test_each_correction_names_what_is_known_and_says_where_it_is_from(con: duckdb.DuckDBPyConnection) -> None:
    for table, measures in (
        ("clock_correction", "'demand', 'net_generation', 'total_interchange', 'generation', 'interchange'"),
        ("sign_correction", "'interchange'"),
    ):
        wrong = con.execute(f"""
            select * from seeds.{table}
            where measure not in ({measures}) or evidence not in ('recorded', 'second-hand')
                or source is null or note is null or coalesce(first_hour_utc > last_hour_utc, true)
                or (measure = 'interchange') <> (neighbor is not null)
                or (measure = 'interchange') <> exists (
                    from seeds.interchange_pair as p where p.region = {table}.region and p.neighbor = {table}.neighbor
                )
                or region not in (select region from normalized.region where kind = 'authority')
        """).fetchall()
        assert wrong == []
        twice = con.execute(f"""
            select * from seeds.{table} a join seeds.{table} b
            on b.measure = a.measure and b.region = a.region and b.neighbor is not distinct from a.neighbor
                and b.rowid > a.rowid and a.first_hour_utc <= b.last_hour_utc and b.first_hour_utc <= a.last_hour_utc
        """).fetchall()
        assert twice == [], "two spans of one series overlap"


def test_no_correction_reaches_further_than_the_models_that_apply_it_look() -> None:
    con = seeded()
    con.execute("update seeds.option set enabled = true where name = 'corrections'")
    build(con, "normalized.correction")
    found = con.execute("""
        select min(hours), max(hours)
        from (select date_diff('hour', hour_utc, corrected_hour_utc) as hours from normalized.correction)
    """).fetchall()
    assert found == [(-7, 4)]
    for name in ("demand_reported", "generation_reported", "interchange"):
        model = MODELS[f"normalized.{name}"]
        assert model.lookback >= timedelta(hours=4)
        assert model.lookahead >= timedelta(hours=7)


def test_a_region_that_stopped_names_one_that_took_over_and_that_was_its_neighbor(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = con.execute("""
        select region, successor, last_date from normalized.region where last_date is not null order by region
    """).fetchall()
    assert {region: heir for region, heir, _ in found} == {
        "AEC": "SOCO", "CFE": "CEN", "EEI": "GLHB", "GLHB": "MISO", "GRIF": "WALC", "GRMA": "AZPS", "HGMA": "SRP",
        "NSB": "FPL", "OVEC": "PJM", "WACM": "SWPW", "WAUW": "SWPW", "WWA": "NWMT",
    }  # fmt: skip
    assert {region: str(day) for region, _, day in found if day.year == 2026 and region.startswith("WA")} == {
        "WACM": "2026-03-31",
        "WAUW": "2026-03-31",
    }
    starts = con.execute(
        "select region, region_group, cast(first_date as varchar) from normalized.region "
        "where region in ('SWPW', 'BHBA', 'SIKE') order by region"
    ).fetchall()
    assert starts == [("BHBA", "NW", "2026-04-01"), ("SIKE", None, "2025-06-01"), ("SWPW", "NW", "2026-04-01")]
    authorities = codes(con, "'authority'")
    paired = set(con.execute("select region, neighbor from seeds.interchange_pair").fetchall())
    apart = {(region, heir) for region, heir, _ in found if region in authorities} - paired
    assert apart == {("WACM", "SWPW"), ("WAUW", "SWPW"), ("EEI", "GLHB")}  # begun when the other ended
    assert {region for region, _ in paired} >= {"SWPW", "BHBA"}


def test_the_holidays_are_those_of_the_package_they_were_made_from(con: duckdb.DuckDBPyConnection) -> None:
    pytest.importorskip("holidays")
    assert (sql_dir() / "seeds" / "holiday.csv").read_text(encoding="utf-8") == holiday_csv()
    ((first, last, days, names),) = con.execute(
        "select min(year(date)), max(year(date)), count(distinct date) = count(*), count(distinct holiday) "
        "from seeds.holiday"
    ).fetchall()
    assert (first, last, days, names) == (2015, 2060, True, 11)


def test_no_flag_is_a_word_that_readers_of_csv_take_for_missing(con: duckdb.DuckDBPyConnection) -> None:
    missing = {"", "null", "none", "na", "n/a", "nan", "<na>", "#n/a", "nil"}
    assert not {row[0].casefold() for row in con.execute("select flag from seeds.flag").fetchall()} & missing
