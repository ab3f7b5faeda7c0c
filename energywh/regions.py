"""The regions of form EIA-930: authorities, aggregates and foreign neighbors, from `sql/seeds/`."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import date
from functools import cache

from energywh.core.paths import sql_dir
from energywh.errors import UnknownNameError, did_you_mean


@dataclass(frozen=True)
class Region:
    """A row of `sql/seeds/region.csv`. Dates are UTC, None where unknown or still reporting."""

    code: str
    name: str
    kind: str  # authority, aggregate or foreign
    time_zone: str  # in which it reports
    civil_time_zone: str  # of the people there
    region_group: str
    first_date: date | None
    last_date: date | None
    successor: str | None  # which reports what this one did, once it has stopped
    generation_only: bool


@cache
def regions() -> dict[str, Region]:
    """Return every region by its EIA code."""
    with (sql_dir() / "seeds" / "region.csv").open(newline="", encoding="utf-8") as file:
        return {
            row["region"]: Region(
                code=row["region"],
                name=row["name"],
                kind=row["kind"],
                time_zone=row["time_zone"],
                civil_time_zone=row["civil_time_zone"] or row["time_zone"],
                region_group=row["region_group"],
                first_date=date.fromisoformat(row["first_date"]) if row["first_date"] else None,
                last_date=date.fromisoformat(row["last_date"]) if row["last_date"] else None,
                successor=row["successor"] or None,
                generation_only=row["generation_only"] == "true",
            )
            for row in csv.DictReader(file)
        }


@cache
def neighbors() -> dict[str, tuple[str, ...]]:
    """Return the neighbours with which each region exchanges power, from the seed."""
    found: dict[str, list[str]] = {}
    with (sql_dir() / "seeds" / "interchange_pair.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["region"], []).append(row["neighbor"])
    return {region: tuple(names) for region, names in found.items()}


@cache
def subregions() -> dict[str, tuple[str, ...]]:
    """Return the subregions of each authority that reports by subregion, from the seed; codes are text."""
    found: dict[str, list[str]] = {}
    with (sql_dir() / "seeds" / "subregion.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["region"], []).append(row["subregion"])
    return {region: tuple(names) for region, names in found.items()}


# What authorities are called elsewhere. EIA has never used these codes.
MISNOMERS = {
    "BPA": "BPAT",
    "CAISO": "CISO",
    "DUKE": "DUK",
    "ERCOT": "ERCO",
    "ISONE": "ISNE",
    "NYISO": "NYIS",
    "SPP": "SWPP",
}
_CODE = re.compile(r"[A-Z0-9]{2,6}")


def is_known(code: str) -> bool:
    """Return whether the seed has a region of this code."""
    return code in regions()


def respondent_code(code: str) -> str:
    """Return the code of a region to ask EIA for. One that the seed has not may have begun to report since.

    Raises:
        UnknownNameError: it is no code, another name of a region, or a neighbour abroad that reports nothing itself.
    """
    plain = code.strip().upper()
    if plain in regions() or plain in MISNOMERS or not _CODE.fullmatch(plain):
        return find_respondent(code).code
    return plain


def unknown_respondent_note(code: str) -> str:
    """Return the note about a requested region that is not in the seed."""
    respondents = [region.code for region in regions().values() if region.kind != "foreign"]
    near = did_you_mean(code, respondents)
    return f"{code} is not a known region; it is requested from EIA nevertheless{near}"


def find_respondent(code: str) -> Region:
    """Return the region that reports to EIA under ``code``, in any case of letters.

    Raises:
        UnknownNameError: EIA knows no such respondent. It would answer with no rows and no error.
    """
    region = regions().get(code.strip().upper())
    if region is None:
        respondents = [r.code for r in regions().values() if r.kind != "foreign"]
        meant = MISNOMERS.get(code.strip().upper())
        near = f"; did you mean {meant}?" if meant else did_you_mean(code, respondents)
        raise UnknownNameError(f"{code} is not a respondent{near}")
    if region.kind == "foreign":
        raise UnknownNameError(
            f"{region.code} ({region.name}) is a neighbour abroad and reports nothing itself; "
            "its exchanges are in the interchange of its neighbours"
        )
    return region
