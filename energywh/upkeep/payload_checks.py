"""Checks of the kept payloads: packs, journals and checksums."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from energywh.core.schema_number import FILE, folder_number
from energywh.core.wording import count
from energywh.errors import EnergywhError
from energywh.sync.journals import JOURNALS
from energywh.sync.packs import PACK, held, scan
from energywh.sync.payload_index import DAY, SCHEMA, PayloadIndex, days, payload_name
from energywh.sync.payloads import FileVersion
from energywh.sync.schema import open_staging
from energywh.upkeep.diagnosis import Diagnosis, Examined, reason, typed

QUICK_DAYS = 2  # the newest, which a replay needs most
QUICK_PAYLOADS = 40
_WHY = "replay cannot give its rows again; it takes them from staging where that is whole"
_ADVICE = "energywh sync --refresh 30d, which keeps new payloads"


def check_payloads(examined: Examined) -> Iterator[Diagnosis]:
    """Packs are whole, journals can be read, and payloads match their checksums (with ``full`` all of them)."""
    folder = examined.home.payloads
    if not folder.is_dir():
        return
    try:
        folder_number(folder, SCHEMA)
    except EnergywhError as error:
        yield Diagnosis("payloads", "problem", reason(error), examined.name(folder / FILE), "sync and replay fail")
        return
    landings = _landings(examined, folder)  # before the packs: what a running sync lands meanwhile is not missed
    index = PayloadIndex()
    if examined.full or not days(folder):  # without days: those of the first versions, in files of their own
        index.add_folder(folder)
    else:
        for day in days(folder)[-QUICK_DAYS:]:
            index.add_day(day)
    journals = index.journals()
    names = [name for name in index.members if not name.startswith(f"{JOURNALS}/")]
    looked = names if examined.full else names[:: max(1, len(names) // QUICK_PAYLOADS)]
    damages = [*index.damages, *(damage for damage in map(index.verify, sorted(looked)) if damage is not None)]
    for damage in damages:
        place = damage.where.removeprefix(f"{examined.home.path}{os.sep}")
        yield Diagnosis("payloads", "problem", damage.what, place, _WHY, _ADVICE)
    missing = [
        f"{entry.dataset} {entry.slice}"
        for journal in journals.values()
        for entry in journal.entries
        for payload in entry.payloads
        if payload_name(entry.dataset, payload) not in index.members
    ]
    if missing and examined.full:
        yield Diagnosis(
            "payloads",
            "note",
            f"{count(len(missing), 'payload')} of journals are not there, such as one of {missing[0]}",
            examined.name(folder),
            _WHY,
        )
    lost: dict[str, int] = {}
    for landed_on, name, chunks in landings:
        if f"{JOURNALS}/{name}" not in index.members:
            lost[landed_on] = lost.get(landed_on, 0) + chunks
    for landed_on, chunks in lost.items():
        what = f"the journals of {count(chunks, 'chunk')} that landed that day are not there: a pack was cut or removed"
        yield Diagnosis("payloads", "problem", what, examined.name(folder / landed_on), _WHY, _ADVICE)
    yield from _cut_ends(examined, folder)
    yield from _other_files(examined, folder)
    if not damages and not lost:
        part = "" if len(looked) == len(names) else f" of {len(names):,} in the newest days"
        yield Diagnosis(
            "payloads",
            "ok",
            f"{count(len(looked), 'payload')}{part} and {count(len(journals), 'journal')} are whole",
            examined.name(folder),
        )


def _landings(examined: Examined, folder: Path) -> list[tuple[str, str, int]]:
    """Return day, journal and number of chunks of the landings whose journal must be in the folder.

    Those of which every chunk landed again since are left out. Without a staging file that can be read: none.
    """
    kept = days(folder)[0 if examined.full else -QUICK_DAYS :]
    if not kept or (folder / JOURNALS).is_dir():  # the first versions had no days
        return []
    with suppress(EnergywhError), open_staging(examined.home.staging, read_only=True, wait_seconds=0) as connection:
        # The day of a journal is that of its writing, which may be the one after the landing began.
        landed = connection.execute(
            "select landed_at_utc, journal, count(*) from sync.landing join sync.chunk using (landed_at_utc) "
            "where journal is not null and strftime(landed_at_utc, ?) in (select unnest(?)) "
            "and strftime(landed_at_utc + interval 10 minutes, ?) in (select unnest(?)) group by all order by all",
            [DAY, [day.name for day in kept]] * 2,
        ).fetchall()
        return [(f"{at:{DAY}}", name, chunks) for at, name, chunks in landed]
    return []


def _cut_ends(examined: Examined, folder: Path) -> Iterator[Diagnosis]:
    """Find packs that end in what a kill cut off; they are read and not appended to."""
    for day in days(folder) if examined.full else days(folder)[-QUICK_DAYS:]:
        for pack in sorted(day.glob(f"*{PACK}")):
            with suppress(OSError):
                found = scan(pack)
                with held(pack) as free:
                    if free and not found.size:
                        what = "it is empty: a sync was killed as it began, or its content is lost"
                        yield Diagnosis("payloads", "note", what, examined.name(pack), _WHY)
                    if found.whole or not free:
                        continue

                def cut(pack: Path = pack) -> str:
                    with held(pack) as free:
                        found = scan(pack)
                        if not free or not found.torn:
                            return f"{examined.name(pack)} is in use"
                        os.truncate(pack, found.end)
                    return f"cut {found.size - found.end:,} bytes off {examined.name(pack)}"

                rest = f"its last {found.size - found.end:,} bytes are"
                if found.torn:
                    what, why = (
                        f"{rest} the beginning of a payload, as a sync leaves it that is killed",
                        "they only take room: the next sync fetched it again",
                    )
                    todo = "energywh doctor --fix cuts them off"
                    yield Diagnosis("payloads", "note", what, examined.name(pack), why, todo, cut)
                else:
                    yield Diagnosis("payloads", "problem", f"{rest} damaged", examined.name(pack), _WHY, _ADVICE)


def _other_files(examined: Examined, folder: Path) -> Iterator[Diagnosis]:
    """Find notes on half-year files that cannot be read, and days of the future."""
    import msgspec

    for file in sorted(folder.glob("*/*.seen.json")):
        try:
            msgspec.json.decode(file.read_bytes(), type=FileVersion)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:

            def forget(file: Path = file) -> str:
                file.unlink(missing_ok=True)
                return f"removed {examined.name(file)}: the next sync downloads that file again"

            yield Diagnosis(
                "payloads",
                "note",
                f"it cannot be read ({reason(error)})",
                examined.name(file),
                "the next sync downloads that file again",
                f"rm {typed(file)}",
                forget,
            )
    for day in days(folder):
        with suppress(ValueError):
            if datetime.strptime(day.name, "%Y-%m-%d") > examined.now:
                yield Diagnosis(
                    "payloads",
                    "note",
                    "a day of the future: the clock was ahead",
                    examined.name(day),
                    "it is kept longer than others",
                )
