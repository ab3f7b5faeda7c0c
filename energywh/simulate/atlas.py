"""Members of the simulated grid: regions and neighbors from the seeds, sizes and fuels from profiles.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from energywh.core.paths import sql_dir
from energywh.errors import StorageError
from energywh.simulate.hours import parse_period

FUELS = ("BAT", "COL", "GEO", "NG", "NUC", "OIL", "OTH", "PS", "SNB", "SUN", "WAT", "WND")
WHOLE_COUNTRY = "US48"


@dataclass(frozen=True)
class GridRegion:
    """One row of seeds/region.csv. ``first`` and ``last`` are periods; None where reporting is unbounded."""

    code: str
    name: str
    kind: str
    time_zone: str
    civil_time_zone: str
    group: str
    first: int | None
    last: int | None
    generation_only: bool


@dataclass(frozen=True)
class Profile:
    """One row of profiles.csv: the parameters of one authority.

    Attributes:
        size: mean demand (of a generation-only authority: mean generation), MWh an hour.
        summer, winter: rise of demand above the mean in those seasons, as a share.
        export: from -1 (imports up to the capacity of its lines) to 1 (exports).
        balance: the fuel that balances demand; empty for generation-only authorities.
        shares: mean output of each fuel as a share of size; for storage (BAT, PS): its power.
        decimals: digits after the point that this authority reports.
    """

    size: float
    latitude: float
    longitude: float
    summer: float
    winter: float
    export: float
    balance: str
    decimals: int
    shares: Mapping[str, float]


_PLAIN = Profile(
    size=400.0,
    latitude=40.0,
    longitude=-95.0,
    summer=0.2,
    winter=0.1,
    export=0.0,
    balance="NG",
    decimals=0,
    shares={"COL": 0.2, "WAT": 0.05, "WND": 0.1, "SUN": 0.05},
)
_PLAIN_GENERATOR = Profile(**{**_PLAIN.__dict__, "balance": "", "shares": {"NG": 0.8, "WND": 0.2}})


@lru_cache(maxsize=1)
def _profiles() -> dict[str, Profile]:
    profiles: dict[str, Profile] = {}
    with (Path(__file__).parent / "profiles.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            profiles[row["region"]] = Profile(
                size=float(row["size"]),
                latitude=float(row["latitude"]),
                longitude=float(row["longitude"]),
                summer=float(row["summer"]),
                winter=float(row["winter"]),
                export=float(row["export"]),
                balance=row["balance"],
                decimals=int(row["decimals"] or 0),
                shares={fuel: float(row[fuel]) for fuel in FUELS if row[fuel]},
            )
    return profiles


class Atlas:
    """Regions by code, and their neighbors."""

    def __init__(
        self,
        regions: Iterable[GridRegion],
        pairs: Iterable[tuple[str, str]],
        subregions: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.regions = {region.code: region for region in sorted(regions, key=lambda region: region.code)}
        near: dict[str, set[str]] = {code: set() for code in self.regions}
        for one, other in pairs:
            if one in near and other in near and one != other:
                near[one].add(other)
                near[other].add(one)
        self._near = {code: tuple(sorted(codes)) for code, codes in near.items()}
        self._lines: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._subregions: dict[str, list[str]] = {}
        for code, subregion in subregions:
            self._subregions.setdefault(code, []).append(subregion)
        self._join_aggregates()

    def _join_aggregates(self) -> None:
        """Add the borders of aggregates: the lines of their members to other groups."""
        for code in [code for code, region in self.regions.items() if region.kind == "aggregate"]:
            inside = set(self.members(code))
            for member in sorted(inside):
                for other in self._near[member]:
                    beyond = self.regions[other].group
                    if other not in inside and beyond in self.regions:
                        self._lines.setdefault((code, beyond), []).append((member, other))
        for code in {pair[0] for pair in self._lines}:
            self._near[code] = tuple(sorted(beyond for one, beyond in self._lines if one == code))

    @classmethod
    def load(cls, folder: Path | None = None) -> Atlas:
        """Read region.csv, interchange_pair.csv and subregion.csv, by default from the seeds of the package.

        Raises:
            StorageError: a file is missing or lacks a column.
        """
        folder = folder or sql_dir() / "seeds"
        try:
            with (folder / "region.csv").open(newline="", encoding="utf-8") as file:
                regions = [_region(row) for row in csv.DictReader(file)]
            with (folder / "interchange_pair.csv").open(newline="", encoding="utf-8") as file:
                pairs = [(row["region"], row["neighbor"]) for row in csv.DictReader(file)]
            with (folder / "subregion.csv").open(newline="", encoding="utf-8") as file:
                subregions = [(row["region"], row["subregion"]) for row in csv.DictReader(file)]
        except OSError as error:
            raise StorageError(f"cannot read the seed {error.filename}: {error.strerror}") from None
        except KeyError as error:
            raise StorageError(f"a seed in {folder} lacks the column {error}") from None
        return cls(regions, pairs, subregions)

    @cached_property
    def authorities(self) -> tuple[str, ...]:
        return tuple(code for code, region in self.regions.items() if region.kind == "authority")

    @cached_property
    def respondents(self) -> tuple[str, ...]:
        """Authorities and aggregates, which report region data, in order of code."""
        return tuple(code for code, region in self.regions.items() if region.kind != "foreign")

    def members(self, code: str) -> tuple[str, ...]:
        """Return the authorities that make up a region: an authority itself; none for a foreign system."""
        kind = self.regions[code].kind
        if kind == "aggregate":
            return tuple(one for one in self.authorities if code == WHOLE_COUNTRY or self.regions[one].group == code)
        return (code,) if kind == "authority" else ()

    def neighbors(self, code: str) -> tuple[str, ...]:
        """Return the neighbors of a region: of an authority by the seeds, of an aggregate by its members."""
        return self._near.get(code, ())

    def subregions(self, code: str) -> tuple[str, ...]:
        """Return the subregions for which an authority also reports demand; most have none."""
        return tuple(self._subregions.get(code, ()))

    def crossings(self, code: str, other: str) -> list[tuple[str, str]]:
        """Return the pairs of authorities whose interchange adds up to that of two neighbors."""
        return self._lines.get((code, other), [(code, other)])

    def profile(self, code: str) -> Profile:
        known = _profiles().get(code)
        if known is not None:
            return known
        return _PLAIN_GENERATOR if self.regions[code].generation_only else _PLAIN


def _region(row: Mapping[str, str]) -> GridRegion:
    return GridRegion(
        code=row["region"],
        name=row["name"],
        kind=row["kind"],
        time_zone=row["time_zone"] or "UTC",
        civil_time_zone=row["civil_time_zone"] or row["time_zone"] or "UTC",
        group=row["region_group"],
        first=parse_period(row["first_date"]) + 1 if row["first_date"] else None,
        last=parse_period(row["last_date"]) + 24 if row["last_date"] else None,
        generation_only=row["generation_only"].strip().lower() in {"true", "t", "1", "yes"},
    )
