"""The selection of a sync: datasets, slices and hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from energywh.config.options import url_variable
from energywh.core.time import hour_number, hour_time, parse_duration_hours, parse_hour
from energywh.errors import SettingsError, UnknownNameError, UsageError, did_you_mean
from energywh.regions import is_known, regions, respondent_code, unknown_respondent_note
from energywh.sources import sources
from energywh.sources.base import Dataset, Source

if TYPE_CHECKING:
    from energywh.config.settings import Settings

Way = Literal["best", "api", "files"]


@dataclass(frozen=True)
class Selection:
    """What to sync. `since` and `until` are hour numbers, inclusive; None means no bound."""

    datasets: tuple[Dataset, ...]
    regions: tuple[str, ...] = ()  # empty: the default slices of each source
    since: int | None = None
    until: int | None = None
    refresh_hours: int | None = None
    aggregates: bool = False
    sources: dict[str, Source] = field(default_factory=dict)
    named: bool = False  # sources or datasets were named: these and no others
    way: Way = "best"
    begins: dict[str, int] = field(default_factory=dict)  # by source, the first hour to take of it
    notes: tuple[str, ...] = ()  # what is left out or cut short, and why


def parse_selection(
    names: Sequence[str] = (),
    *,
    since: str | None = None,
    until: str | None = None,
    regions: Sequence[str] = (),
    refresh: str | None = None,
    aggregates: bool = False,
    way: Way = "best",
) -> Selection:
    """Return the selection that command-line words stand for.

    Args:
        names: sources (`eia`) or datasets (`eia.region_data`); none means all.
        since, until: UTC days or hours, both inclusive, counted by the start of the hour.
        regions: region codes, each item one or several separated by commas.
        refresh: fetch the last DURATION again, such as `10d`, settled or not.
        way: how to take what a source gives both by its API and as files: what suits best, or only the one.

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
    if names and way != "best":
        raise UsageError(f"--{way} chooses among all sources; name sources or datasets, or give --{way}, not both")
    codes = [code.strip() for item in regions for code in item.split(",") if code.strip()]
    if regions and not codes:
        raise UsageError("--region names no region")
    first = parse_hour(since, what="--since") if since is not None else None
    last = parse_hour(until, end_of_day=True, what="--until") if until is not None else None
    if first and last and first > last:
        raise UsageError(f"--since {since} is after --until {until}")
    begins = {name: dataset.first_hour for name, dataset in chosen.items()}
    if last and not first and all(last < parse_hour(begin) for begin in begins.values()):
        name, begin = next(iter(begins.items()))
        raise UsageError(f"--until {until} is before the default --since {begin} of {name}; give --since")
    found = dict.fromkeys(respondent_code(code) for code in codes)
    return Selection(
        datasets=tuple(chosen.values()),
        regions=tuple(found),
        since=_hour(first),
        until=_hour(last),
        refresh_hours=parse_duration_hours(refresh, "--refresh") if refresh is not None else None,
        aggregates=aggregates,
        sources=used,
        named=bool(names),
        way=way,
        notes=tuple(unknown_respondent_note(code) for code in found if not is_known(code)),
    )


def _hour(moment: datetime | None) -> int | None:
    return None if moment is None else hour_number(moment)


def resolve(selection: Selection, settings: Settings, present_hour: int) -> Selection:
    """Return the selection without what cannot or need not be fetched here, and with notes that say why.

    A source that was named is kept, ready or not. Of the others, one that lacks a setting is left out; and one whose
    history comes more cheaply as files (`Source.history_source`) takes only its newest weeks. Where regions are named
    it takes all of them, since each file holds every region.

    Raises:
        SettingsError: no source is left.
    """
    if selection.named:
        return selection
    chosen = _chosen(settings)
    kept, notes, refusals = dict(selection.sources), [], []
    stand_ins = [name for name in kept if _wanted(name, chosen, selection.way) and _is_here(name, settings)]
    for name, source in selection.sources.items():
        if not _wanted(name, chosen, selection.way):
            del kept[name]
            continue
        if stand_ins and settings.items[f"{name}.url"].origin == "default":
            notes.append(
                f"{name} is left out: {stand_ins[0]} is on this machine, a stand-in for the real one, and its data and "
                f"real ones are not mixed; set {url_variable(name)} too, or name {name}"
            )
            del kept[name]
            continue
        try:
            check_source(source, settings)
        except UsageError as error:
            if selection.way == "api" and source.history_source is not None:
                raise  # it was asked for by --api
            refusals.append(error)
            history = source.history_source
            instead = history is not None and history in kept and _wanted(history, chosen, selection.way)
            notes.append(f"{name} is left out: {error}{f'. Its history is taken from {history}' if instead else ''}")
            del kept[name]
    if not kept:
        raise refusals[0] if refusals else SettingsError("no source is left to sync")
    begins: dict[str, int] = {}
    for name, source in list(kept.items()):
        history = source.history_source
        if history not in kept or selection.way == "api":
            continue
        newest = present_hour - source.newest_hours
        if selection.regions:
            del kept[history]
            notes.append(
                f"{history} is left out: {name} has the regions named alone, and each file holds all (--files)"
            )
        elif selection.since is not None and selection.since >= newest:
            del kept[history]
            notes.append(f"{history} is left out: {name} has hours as new as those in fewer bytes")
        else:
            begins[name] = newest
            notes.append(
                f"{name} is asked from {hour_time(newest):%Y-%m-%d} on: {history} has the history before in fewer "
                f"requests (--api: all from {name})"
            )
    datasets = tuple(dataset for dataset in selection.datasets if dataset.source in kept)
    files = sorted({dataset.source for dataset in datasets if dataset.is_file})
    if files and (selection.regions or selection.since is not None or selection.until is not None):
        notes.append(f"{', '.join(files)}: whole files are taken, with all regions and hours of their half-year")
    return replace(selection, datasets=datasets, sources=kept, begins=begins, notes=(*selection.notes, *notes))


def _is_here(name: str, settings: Settings) -> bool:
    """Return whether the address of a source is one of this machine: a simulator, or a test."""
    return urlsplit(str(settings.get(f"{name}.url"))).hostname in ("localhost", "127.0.0.1", "::1")


def _chosen(settings: Settings) -> set[str]:
    """Return the sources that a plain sync may take, as set."""
    known = sources()
    named = [name.strip() for name in str(settings.get("sync.sources")).split(",") if name.strip()]
    for name in named:
        if name not in known:
            origin = settings.items["sync.sources"].origin
            raise SettingsError(
                f"setting 'sync.sources' (from {origin}) names '{name}', which is no source{did_you_mean(name, known)}"
            )
    return set(named or known)


def _wanted(name: str, chosen: set[str], way: Way) -> bool:
    """Return whether a source takes part. Of two sources with the same data, ``way`` may choose one.

    Args:
        chosen: sources that the setting allows; a source and its history source replace each other.
    """
    known = sources()
    history = known[name].history_source
    same = {other for other, source in known.items() if source.history_source == name}
    if way == "files" and (history or same):
        return bool(same) and bool(chosen & {name, *same})
    if way == "api" and (history or same):
        return history is not None and bool(chosen & {name, history})
    return name in chosen


def check_source(source: Source, settings: Settings) -> None:
    """Refuse a source that lacks a setting, or that would bring real data to simulated ones.

    Raises:
        UsageError: what to do about it.
    """
    check_mixing(source, settings)
    source.check_ready(settings)


def check_mixing(source: Source, settings: Settings) -> None:
    """Refuse a source that would bring real data to simulated ones.

    Raises:
        UsageError: what to do about it.
    """
    home = settings.home
    if home.simulated_mark.exists() and settings.items[f"{source.name}.url"].origin == "default":
        raise UsageError(home.mixing(real=f"{source.name} would bring real ones"))


def region_slices(dataset: Dataset, settings: Settings, region: str, present_hour: int) -> Sequence[str]:
    """Return the slices of a dataset that hold a region."""
    return sources()[dataset.source].slices_of(dataset, settings, region, present_hour=present_hour)


def slices_of(selection: Selection, dataset: Dataset, settings: Settings, present_hour: int) -> Sequence[str]:
    """Return the selected slices of one dataset."""
    source = selection.sources[dataset.source]
    if not selection.regions:
        return source.default_slices(dataset, settings, aggregates=selection.aggregates, present_hour=present_hour)
    named = (source.slices_of(dataset, settings, region, present_hour=present_hour) for region in selection.regions)
    return tuple(dict.fromkeys(slice_ for slices in named for slice_ in slices))


def range_of(selection: Selection, dataset: Dataset, slice_: str, present_hour: int) -> tuple[int, int]:
    """Return the first and last hour to fetch of one slice; empty (last < first) if there are none.

    Hours that a source cannot have yet, or has no longer, are never asked for, nor those in which the slice is known
    not to report; `why_cut` says so. Where it is only roughly known how long a source keeps its hours, older ones are
    asked for if the source and `--since` are given by hand.

    Args:
        present_hour: number of the hour that is running now; the last complete one is before it.
    """
    source = selection.sources[dataset.source]
    first = hour_number(parse_hour(dataset.first_hour)) if selection.since is None else selection.since
    if dataset.source in selection.begins and source.has_other_history(dataset, slice_):
        first = max(first, selection.begins[dataset.source])
    if (oldest := _oldest(selection, dataset, present_hour)) is not None:
        first = max(first, oldest)
    last = present_hour - 1 + source.lead_hours(dataset, slice_)
    if selection.until is not None:
        last = min(last, selection.until)
    begins, ends = source.span(dataset, slice_)
    first = first if begins is None else max(first, begins)
    last = last if ends is None else min(last, ends)
    if dataset.whole_cells and first <= last:
        first, last = source.cell(dataset, slice_, first)[0], source.cell(dataset, slice_, last)[1]
    return first, last


def _oldest(selection: Selection, dataset: Dataset, present_hour: int) -> int | None:
    """Return the first hour that the source still keeps; None where it may have all that is asked for."""
    by_hand = dataset.retention_is_approximate and selection.named and selection.since is not None
    return None if dataset.retention_hours is None or by_hand else present_hour - dataset.retention_hours


def why_cut(selection: Selection, dataset: Dataset, slice_: str, present_hour: int) -> str | None:
    """Return why `range_of` asks for less than a person named, where that is worth saying."""
    oldest = _oldest(selection, dataset, present_hour)
    if oldest is not None and selection.since is not None and selection.since < oldest:
        return f"{dataset.name} is asked from {hour_time(oldest).date()} on: {dataset.source} keeps no older hours"
    region = regions().get(slice_)
    if not selection.regions or region is None:
        return None
    begins, ends = selection.sources[dataset.source].span(dataset, slice_)
    since = hour_number(parse_hour(dataset.first_hour)) if selection.since is None else selection.since
    if ends is not None and since > ends:
        day = region.last_date or hour_time(ends).date()
        return f"{slice_} stopped reporting on {day}"
    if begins is not None and selection.until is not None and selection.until < begins:
        day = region.first_date or hour_time(begins).date()
        return f"{slice_} began to report on {day}"
    return None
