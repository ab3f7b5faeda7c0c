"""The simulated grid: demand, forecast, fuels and interchange of any hour, without gaps or a clock.

Every number depends only on (seed, series, hour), so the cost of a slice is proportional to its length, and it equals
the same slice of a longer query. Arrays have shape (series, hours); values are MWh, rounded as the authority reports.

As in the real data, the identities of form EIA-930 hold in most hours and are slightly off in some: fuels sum to net
generation, pairs sum to total interchange, D = NG - TI, pairs are antisymmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from energywh.simulate.atlas import FUELS, Atlas
from energywh.simulate.authorities import WEEK, AuthorityGroup, column
from energywh.simulate.fuel_rules import RULES
from energywh.simulate.hours import Calendar, parse_period
from energywh.simulate.noise import Floats, as_uniform, draw, keys_of, uniform, wander

Mask = NDArray[np.bool_]
TYPES = ("D", "DF", "NG", "TI")

# EIA split its fuel codes in the second half of 2024; before, the output of a new code is part of an old one.
SUBREGIONS_FROM = parse_period("2018-07-01T09")  # the first authorities reported by subregion then
NEW_FUELS_FROM = parse_period("2024-07-01T01")
OLD_HOME = {"BAT": "OTH", "GEO": "OTH", "PS": "WAT", "SNB": "SUN"}
# Fuels curtailed when output exceeds demand and exports; the others must run.
_CURTAILABLE = ("COL", "NG", "OIL", "SNB", "SUN", "WAT", "WND")
_F = {fuel: at for at, fuel in enumerate(FUELS)}


@dataclass(frozen=True)
class Generation:
    """Output of some authorities.

    Attributes:
        fuels: MWh in the order of FUELS, (authorities, fuels, hours).
        reported: True where a row exists, same shape.
        total: sum over fuels, (authorities, hours).
    """

    fuels: Floats
    reported: Mask
    total: Floats


class Grid:
    """The simulated grid of one seed.

    Args:
        seed: equal seeds give equal numbers in every process.
        atlas: regions and neighbors; by default those of the warehouse's seeds.
    """

    def __init__(self, seed: int = 0, atlas: Atlas | None = None) -> None:
        self.seed = seed
        self.atlas = atlas or Atlas.load()

    def active(self, codes: Sequence[str], calendar: Calendar) -> Mask:
        """Return a mask of the hours in which each region reports, shape (regions, hours)."""
        regions = [self.atlas.regions[code] for code in codes]
        first = np.array([[-(2**40) if region.first is None else region.first] for region in regions])
        last = np.array([[2**40 if region.last is None else region.last] for region in regions])
        mask: Mask = (calendar.periods >= first) & (calendar.periods <= last)
        return mask

    def region_data(
        self, codes: Sequence[str], calendar: Calendar, types: Sequence[str] = TYPES
    ) -> dict[str, tuple[Floats, Mask]]:
        """Return values and presence by type, each (authorities, hours); ``codes`` must be authorities.

        A generation-only authority has no D and no DF.
        """
        group = AuthorityGroup(self.seed, self.atlas, codes, calendar)
        active = self.active(codes, calendar)
        consumes = active & ~group.generation_only[:, None]
        found: dict[str, tuple[Floats, Mask]] = {}
        demand = self._demand(group) if {"D", "DF", "NG"} & set(types) else np.zeros(active.shape)
        if "DF" in types:
            found["DF"] = self._forecast(group, demand), consumes
        if "NG" in types or "TI" in types:
            interchange = self._total_interchange(group)
        if "D" in types:
            found["D"] = _smudged(demand, group.uniform("D off"), 0.08, group), consumes
        if "NG" in types:
            total = self._generation(group, demand, interchange).total
            found["NG"] = _smudged(total, group.uniform("NG off"), 0.04, group), active
        if "TI" in types:
            found["TI"] = _smudged(interchange, group.uniform("TI off"), 0.06, group), active
        return found

    def generation(self, codes: Sequence[str], calendar: Calendar) -> Generation:
        """Return the output of each fuel of some authorities."""
        group = AuthorityGroup(self.seed, self.atlas, codes, calendar)
        made = self._generation(group, self._demand(group), self._total_interchange(group))
        return Generation(made.fuels, made.reported & self.active(codes, calendar)[:, None, :], made.total)

    def interchange(self, pairs: Sequence[tuple[str, str]], calendar: Calendar) -> tuple[Floats, Mask]:
        """Return the export from the first to the second of each pair, as the first reports it, and presence.

        Both are (pairs, hours). No code may be an aggregate. The reports of both sides of a pair sometimes differ.
        """
        ordered = sorted({(min(pair), max(pair)) for pair in pairs})
        at = {pair: i for i, pair in enumerate(ordered)}
        flows = self._flows(ordered, calendar)
        values = flows[[at[min(pair), max(pair)] for pair in pairs]]
        backward = [i for i, (one, other) in enumerate(pairs) if one > other]
        if backward:
            keys = keys_of(self.seed, "pair off", [pairs[i] for i in backward])
            words = draw(keys, calendar.periods)
            off = as_uniform(words)
            error = np.where(off < 0.12, np.rint((off / 0.12 - 0.5) * 24.0), 0.0)
            values[backward] = error - values[backward]
        one, other = zip(*pairs, strict=True) if pairs else ((), ())
        return values, self.active(one, calendar) & self.active(other, calendar)

    def subregion_demand(self, pairs: Sequence[tuple[str, str]], calendar: Calendar) -> tuple[Floats, Mask]:
        """Return the demand of (authority, subregion) pairs, and presence: (pairs, hours).

        The subregions of an authority sum to its demand minus a few per cent of losses.
        """
        codes = sorted({code for code, _ in pairs})
        if not codes:
            return np.empty((0, len(calendar))), np.empty((0, len(calendar)), dtype=bool)
        group = AuthorityGroup(self.seed, self.atlas, codes, calendar)
        demand, active = self._demand(group), self.active(codes, calendar)
        at = [codes.index(code) for code, _ in pairs]
        origin = np.zeros(1, dtype=np.int64)
        weight = 0.3 + uniform(keys_of(self.seed, "subregion size", pairs), origin)
        siblings = {code: [(code, one) for one in self.atlas.subregions(code)] for code in codes}
        whole = {
            code: float((0.3 + uniform(keys_of(self.seed, "subregion size", family), origin)).sum())
            for code, family in siblings.items()
        }
        share = 0.97 * weight / column([whole[code] for code, _ in pairs])
        swing = 1.0 + 0.02 * wander(keys_of(self.seed, "subregion swing", pairs), calendar.periods, 15)
        values: Floats = np.rint(demand[at] * share * swing)
        return values, active[at] & (calendar.periods >= SUBREGIONS_FROM)

    # Demand

    def _demand(self, group: AuthorityGroup) -> Floats:
        calendar, profiles = group.calendar, group.profiles
        summer = calendar.summer
        rise = column([profile.summer for profile in profiles]) * summer**3
        rise += column([profile.winter for profile in profiles]) * (1.0 - summer) ** 3
        everyone = range(len(profiles))
        weather = 0.055 * group.wander("front", everyone, 90) + 0.035 * group.wander("spell", everyone, 310)
        weather += 0.012 * group.wander("cloud", everyone, 7)
        weather += 0.012 * (group.uniform("switch") - 0.5)
        growth = 1.0 + 0.006 * (calendar.years_since_2015 - 5.0)
        demand = group.size * growth * group.day * WEEK[group.weekday] * (0.93 + rise + weather)
        return group.rounded(demand)

    def _forecast(self, group: AuthorityGroup, demand: Floats) -> Floats:
        everyone = range(len(group.codes))
        error = 0.018 * group.wander("forecast day", everyone, 24) + 0.01 * group.wander("forecast hour", everyone, 4)
        return group.rounded(demand * (1.0 + error))

    # Interchange

    def _flows(self, pairs: Sequence[tuple[str, str]], calendar: Calendar) -> Floats:
        """Return the flow from the first to the second of pairs in order of code, (pairs, hours)."""
        regions, near = self.atlas.regions, self.atlas.neighbors
        scale = np.empty((len(pairs), 1))
        lean = np.empty((len(pairs), 1))
        for i, pair in enumerate(pairs):
            one, other = (self.atlas.profile(code) for code in pair)
            lines = max(2, *(len(near(code)) for code in pair))
            scale[i] = 0.28 * min(one.size, other.size) / lines**0.5
            lean[i] = one.export - other.export
        lean += uniform(keys_of(self.seed, "lean", pairs), np.zeros(1, dtype=np.int64)) - 0.5
        swing = 0.35 * wander(keys_of(self.seed, "flow day", pairs), calendar.periods, 11)
        swing += 0.3 * wander(keys_of(self.seed, "flow week", pairs), calendar.periods, 130)
        flows: Floats = np.rint(scale * (np.clip(lean, -0.8, 0.8) + swing))
        for i, pair in enumerate(pairs):
            makers = [code for code in pair if regions[code].generation_only]
            if makers:
                flows[i] = self._delivery(makers, pair, calendar)
        return flows

    def _delivery(self, makers: list[str], pair: tuple[str, str], calendar: Calendar) -> Floats:
        """Return the flow of a generation-only authority, which exports its output to its neighbors in equal parts."""
        if len(makers) > 1:
            return np.zeros(len(calendar))
        maker = makers[0]
        takers = [code for code in self.atlas.neighbors(maker) if not self.atlas.regions[code].generation_only]
        other = pair[1] if pair[0] == maker else pair[0]
        made = self._self_made(AuthorityGroup(self.seed, self.atlas, [maker], calendar)).total[0]
        part = np.rint(made / len(takers))
        if other == takers[0]:
            part = made - (len(takers) - 1) * part
        flow: Floats = part * (1.0 if pair[0] == maker else -1.0)
        return flow

    def _total_interchange(self, group: AuthorityGroup) -> Floats:
        calendar = group.calendar
        pairs = [(code, other) for code in group.codes for other in self.atlas.neighbors(code)]
        total = np.zeros((len(group.codes), len(calendar)))
        if not pairs:
            return total
        values, present = self.interchange(pairs, calendar)
        values *= present
        at = {code: i for i, code in enumerate(group.codes)}
        for i, (code, _) in enumerate(pairs):
            total[at[code]] += values[i]
        return total

    # Generation

    def _generation(self, group: AuthorityGroup, demand: Floats, interchange: Floats) -> Generation:
        """Return generation in which each authority's balancing fuel covers the rest of demand and exports."""
        made = self._self_made(group)
        fuels = made.fuels
        balanced = np.flatnonzero(~group.generation_only)
        if not len(balanced):
            return made
        output = fuels[balanced]
        target = np.maximum(demand + interchange, 0.0)[balanced]
        flexible = [_F[fuel] for fuel in _CURTAILABLE]
        can_fall = output[:, flexible].sum(axis=1)
        must_run = output.sum(axis=1) - can_fall
        room = np.clip((target - must_run) / np.maximum(can_fall, 1e-9), 0.0, 1.0)
        steps = group.steps[balanced][:, None, :]
        for fuel in flexible:
            output[:, fuel] *= room
        output = np.rint(output * steps) / steps
        rest = np.maximum(target - output.sum(axis=1), 0.0)
        filler = [_F[group.profiles[i].balance or "NG"] for i in balanced]
        output[np.arange(len(balanced)), filler] += rest
        fuels[balanced] = np.rint(output * steps) / steps
        total = fuels.sum(axis=1)
        return Generation(*self._old_codes(group, fuels), group.rounded(total))

    def _self_made(self, group: AuthorityGroup) -> Generation:
        """Return the output by the profiles, before balancing."""
        fuels = np.zeros((len(group.codes), len(FUELS), len(group.calendar)))
        for fuel, rule in RULES.items():
            at = np.flatnonzero([profile.shares.get(fuel, 0.0) > 0 for profile in group.profiles])
            if len(at):
                share = column([group.profiles[i].shares[fuel] for i in at])
                fuels[at, _F[fuel]] = group.size[at] * share * rule(group, at)
        only = np.flatnonzero(group.generation_only)
        fuels[only] = np.rint(fuels[only])
        total = group.rounded(fuels.sum(axis=1))
        if len(only) == len(group.codes):
            return Generation(*self._old_codes(group, fuels), total)
        return Generation(fuels, np.zeros(fuels.shape, dtype=bool), total)

    def _old_codes(self, group: AuthorityGroup, fuels: Floats) -> tuple[Floats, Mask]:
        """Add new fuel codes to their old ones before the split; return fuels, and which codes have rows."""
        old = group.calendar.periods < NEW_FUELS_FROM
        has = np.zeros(fuels.shape[:2], dtype=bool)
        for i, profile in enumerate(group.profiles):
            has[i, [_F[fuel] for fuel in (*profile.shares, profile.balance) if fuel]] = True
        reported = np.repeat(has[:, :, None], len(old), axis=2)
        for fuel, home in OLD_HOME.items():
            new, into = _F[fuel], _F[home]
            if not has[:, new].any():
                continue
            reported[:, into] |= has[:, new, None] & old
            reported[:, new] &= ~old
            fuels[:, into] += fuels[:, new] * old
            fuels[:, new] *= ~old
        night = self._night_draw(group, reported)
        if night is not None:
            fuels[:, _F["SUN"]] -= night
        return fuels, reported

    def _night_draw(self, group: AuthorityGroup, reported: Mask) -> Floats | None:
        """Return the self-use of big solar fleets: 1 to 3 MWh in some hours of the night."""
        big = np.flatnonzero([profile.size * profile.shares.get("SUN", 0.0) > 200 for profile in group.profiles])
        if not len(big):
            return None
        drawn = np.zeros((len(group.codes), len(group.calendar)))
        dark = group.calendar.sun_height(group.latitude[big], group.longitude[big]) <= 0.0
        keys = keys_of(group.seed, "night draw", [(group.codes[i],) for i in big])
        drawn[big] = np.maximum(0.0, np.floor(uniform(keys, group.calendar.periods) * 20.0) - 16.0) * dark
        return drawn * reported[:, _F["SUN"]]


def _smudged(values: Floats, uniform_draw: Floats, share: float, group: AuthorityGroup) -> Floats:
    """Return values with errors in a share of them: up to 1 % of the authority's size, and at least 1 MWh."""
    off = uniform_draw < share
    if not off.any():
        return values
    lean = uniform_draw / share - 0.5
    error = np.rint(lean * np.maximum(0.02 * group.size, 2.0)) + np.where(lean < 0, -1.0, 1.0)
    return group.rounded(np.where(off, values + error, values))
