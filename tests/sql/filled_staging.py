"""Two months of invented rows for every dataset that a model reads: fractional values, holes and nulls.

Which keys a dataset has is taken from the fixtures of the models that read it; those that models know one by one, or
look up in a seed, are written out.
"""

from __future__ import annotations

import csv
from datetime import datetime, timedelta

import duckdb

from energywh.core.sql_text import text
from energywh.regions import regions
from energywh.sources import all_datasets
from energywh.sources.base import Dataset
from energywh.sources.open_meteo import HOURLY, places
from tests.sql.model_files import graph, inputs

FIRST, LAST = datetime(2024, 10, 20), datetime(2024, 12, 20)
REGIONS = ("CISO", "LGEE", "NYIS", "AVRN", "BPAT")  # BPAT is a neighbor of CISO and of AVRN
CODES = {
    "eia.region_data": ("D", "DF", "NG", "TI"),
    "eia.fuel_type_data": ("COL", "NG", "SUN", "WND", "WAT", "OTH", "BAT", "OES", "UES"),
    "eia.interchange_data": ("BPAT", "AZPS", "IESO", "PJM", "CISO", "NYIS"),
}
KEYS = {name: [(region, code) for region in REGIONS for code in codes] for name, codes in CODES.items()}
# A file holds the hours of its half, and a few about its ends .
FILES = ("2024_Jul_Dec", "2025_Jan_Jun")
FILED = [(file, region) for file in FILES for region in REGIONS]
KEYS["eia_files.balance"] = FILED
KEYS["eia_files.interchange"] = [(*filed, neighbor) for filed in FILED for neighbor in ("AZPS", "IESO")]
KEYS["eia_files.subregion"] = [(*filed, subregion) for filed in FILED for subregion in ("0001", "ZONA")]
HUBS = [(node, component) for node in ("TH_NP15_GEN-APND", "TH_SP15_GEN-APND") for component in ("LMP", "MCC")]
KEYS["caiso.price_rtm"] = HUBS
KEYS["caiso.price_dam"] = [*HUBS, ("TH_ZP26_GEN-APND", "LMP")]
POWER = [(hub, fuel) for hub in ("NP15", "SP15", "ZP26") for fuel in ("Solar", "Wind")]
KEYS["caiso.renewable"] = [(*power, market) for power in POWER for market in ("ACTUAL", "DAM")]
KEYS[HOURLY.name] = [(region, place.place) for region in REGIONS for place in places().get(region, ())]


def read_datasets() -> list[Dataset]:
    """The datasets that some model reads."""
    read = {table.removesuffix("_revision") for name in graph().order for table in graph().staging(name)}
    return [dataset for name, dataset in all_datasets().items() if f"staging.{name}" in read]


def key_rows(dataset: Dataset) -> list[tuple[str, ...]]:
    """The keys that a dataset is filled with: those written out, or of the fixtures with each of REGIONS."""
    if dataset.name in KEYS:
        return KEYS[dataset.name]
    found: dict[tuple[str, ...], None] = {}
    for name in graph().order:
        path = inputs(name).get(f"staging.{dataset.name}")
        if path is not None:
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    found[tuple(row.get(key, "") for key in dataset.keys)] = None
    place = _region_place(list(found))
    if place is None:
        return list(found)
    return list(dict.fromkeys((*key[:place], region, *key[place + 1 :]) for key in found for region in REGIONS))


def region_key(dataset: Dataset) -> str | None:
    """The first key of a dataset that holds regions, if any does."""
    place = _region_place(key_rows(dataset))
    return None if place is None else dataset.keys[place]


def _region_place(keys: list[tuple[str, ...]]) -> int | None:
    known = regions()
    return next((i for i in range(len(keys[0]) if keys else 0) if all(key[i] in known for key in keys)), None)


def stamps(dataset: Dataset, first: datetime, end: datetime) -> str:
    """The condition that a row of a staging table lies in the hours [first, end)."""
    offset = timedelta(hours=dataset.stamp_offset_hours)
    return (
        f"{dataset.time_column} >= timestamp '{first + offset}' and {dataset.time_column} < timestamp '{end + offset}'"
    )


def fill_staging(con: duckdb.DuckDBPyConnection) -> None:
    """Fill what models read; NYIS has no sun until the middle of November, AVRN no demand."""
    for dataset in read_datasets():
        if not (key_values := key_rows(dataset)):
            continue  # no fixture has any
        time, last = dataset.time_column, dataset.keys[-1]
        keys = ", ".join(f"({', '.join(map(text, key))})" for key in key_values)
        values = "".join(
            f", case when hash(h.{time}, k, {i}) % 37 <> 0 "
            f"then round(1000 + (hash(h.{time}, k, -{i}) % 100000) / 7.0, 4) end as {value}"
            for i, value in enumerate(dataset.values, 1)
        )
        who = region_key(dataset) or "null"
        file = "file" if "file" in dataset.keys else "null"
        con.execute(f"""
            insert into staging.{dataset.name} by name
            select h.{time}, k.*{values}, timestamp '2025-01-01' as known_from_utc
            from (select unnest(generate_series(
                    timestamp '{FIRST}', timestamp '{LAST}', interval {dataset.interval_minutes} minute)) as {time}) h,
                (values {keys}) as k ({", ".join(dataset.keys)})
            where hash(h.{time}, k, 'hole') % 29 <> 0
                and not ({who} is not distinct from 'NYIS' and {last} = 'SUN' and h.{time} < timestamp '2024-11-15')
                and not ({who} is not distinct from 'AVRN' and {last} in ('D', 'DF'))
                -- The next file begins with hours that this one has too.
                and not ({file} is not distinct from '2025_Jan_Jun'
                    and h.{time} not between timestamp '2024-12-01' and timestamp '2024-12-02')
        """)
        # One in some twenty was revised, all on one day: of the same keys and months as what is held.
        halves = ", ".join(f"{value} / 2 as {value}" for value in dataset.values)
        con.execute(f"""
            insert into staging.{dataset.name}_revision by name
            select * replace (known_from_utc - interval 30 day as known_from_utc, {halves}),
                known_from_utc as known_until_utc
            from staging.{dataset.name} where hash({time}, {", ".join(dataset.keys)}, 'revised') % 23 = 0
        """)
