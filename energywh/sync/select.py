"""What a person asked to sync: datasets, slices and hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from energywh.durations import hour_number, parse_duration_hours, parse_hour
from energywh.errors import UnknownNameError, UsageError, did_you_mean
from energywh.sources import sources
from energywh.sources.base import Dataset, Source


@dataclass(frozen=True)
class Selection:
    """What to sync. `since` and `until` are hour numbers, inclusive; None means all there is."""

    datasets: tuple[Dataset, ...]
    slices: tuple[str, ...] = ()  # empty: the default ones of each source
    since: int | None = None
    until: int | None = None
    refresh_hours: int | None = None
    aggregates: bool = False
    sources: dict[str, Source] = field(default_factory=dict)


def parse_selection(
    names: Sequence[str] = (),
    *,
    since: str | None = None,
    until: str | None = None,
    regions: Sequence[str] = (),
    refresh: str | None = None,
    aggregates: bool = False,
) -> Selection:
    """Return the selection that command-line words stand for.

    Args:
        names: sources (`eia`) or datasets (`eia.region_data`); none means all.
        since, until: UTC days or hours, both inclusive, counted by the start of the hour.
        regions: region codes, each item one or several separated by commas.
        refresh: fetch the last DURATION again, such as `10d`, settled or not.

    Raises:
        UsageError: a name or time is wrong; the message says which and what is near.
    """
    known = sources()
    by_name = {dataset.name: dataset for source in known.values() for dataset in source.datasets}
    chosen: dict[str, Dataset] = {}
    for name in names or known:
        if name in known:
            chosen |= {dataset.name: dataset for dataset in known[name].datasets}
        elif name in by_name:
            chosen[name] = by_name[name]
        else:
            raise UnknownNameError(
                f"no source or dataset is named '{name}'{did_you_mean(name, [*known, *by_name])}\n"
                f"Known: {', '.join([*known, *by_name])}"
            )
    used = {name: known[name] for name in dict.fromkeys(dataset.source for dataset in chosen.values())}
    codes = [code.strip() for item in regions for code in item.split(",") if code.strip()]
    if regions and not codes:
        raise UsageError("--region names no region")
    slices = tuple(dict.fromkeys(_check_slice(code, used) for code in codes))
    first = parse_hour(since, what="--since") if since is not None else None
    last = parse_hour(until, end_of_day=True, what="--until") if until is not None else None
    if first and last and first > last:
        raise UsageError(f"--since {since} is after --until {until}")
    return Selection(
        datasets=tuple(chosen.values()),
        slices=slices,
        since=_hour(first),
        until=_hour(last),
        refresh_hours=parse_duration_hours(refresh, "--refresh") if refresh is not None else None,
        aggregates=aggregates,
        sources=used,
    )


def _check_slice(code: str, used: dict[str, Source]) -> str:
    """Return the slice as the first source that knows it spells it."""
    refusal: UnknownNameError | None = None
    for source in used.values():
        try:
            return source.check_slice(code)
        except UnknownNameError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _hour(moment: datetime | None) -> int | None:
    return None if moment is None else hour_number(moment)


def slices_of(selection: Selection, dataset: Dataset) -> Sequence[str]:
    """Return the slices of one dataset that the selection asks for."""
    source = selection.sources[dataset.source]
    if selection.slices:
        return selection.slices
    return source.default_slices(dataset, aggregates=selection.aggregates)


def range_of(selection: Selection, dataset: Dataset, slice_: str, present_hour: int) -> tuple[int, int]:
    """Return the first and last hour to know of one slice; empty (last < first) where it has none.

    Hours that a source cannot have yet are never asked for. A slice named by hand is asked for the whole range;
    a default one only for the time in which it is known to report.

    Args:
        present_hour: number of the hour that is running now; the last complete one is before it.
    """
    first = hour_number(parse_hour(dataset.first_hour)) if selection.since is None else selection.since
    last = present_hour - 1 + dataset.lead_hours
    if selection.until is not None:
        last = min(last, selection.until)
    if not selection.slices:
        begins, ends = selection.sources[dataset.source].span(dataset, slice_)
        first = first if begins is None else max(first, begins)
        last = last if ends is None else min(last, ends)
    return first, last
