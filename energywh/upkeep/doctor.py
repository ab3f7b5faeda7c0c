"""Examine a home: each check on its own, so that one broken part hides no other. Nothing needs a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from importlib import import_module

from energywh.config.settings import Settings
from energywh.core.paths import Home
from energywh.core.time import utc_now
from energywh.errors import EnergywhError
from energywh.upkeep.diagnosis import Diagnosis, Examined, reason

Check = Callable[[Examined], Iterator[Diagnosis]]
# In the order of the report, with the module and the function that looks; imported one by one, for the same reason.
CHECKS = {
    "home": "home_checks.check_home",
    "settings": "home_checks.check_settings",
    "locks": "leftovers.check_locks",
    "leftovers": "leftovers.check_leftovers",
    "staging": "staging_checks.check_staging",
    "ledger": "staging_checks.check_ledger",
    "payloads": "payload_checks.check_payloads",
    "versions": "version_checks.check_versions",
    "exports": "output_checks.check_exports",
    "datasets": "output_checks.check_datasets",
    "room": "home_checks.check_room",
    "clock": "home_checks.check_clock",
}

# What a check has to say that found nothing.
_NOTHING = {
    "settings": "they can be loaded, and hold no key that others can read",
    "leftovers": "none",
    "staging": "nothing is synced yet",
    "ledger": "nothing is synced yet",
    "payloads": "none are kept",
    "versions": "nothing is built yet",
    "exports": "nothing is exported",
    "datasets": "none are stored",
    "clock": "it is not behind what was written",
}


def examine(
    home: Home, load: Callable[[], Settings], *, full: bool = False, fix: bool = False, now: datetime | None = None
) -> list[Diagnosis]:
    """Return what is found, at least one diagnosis a check.

    Args:
        load: loads the settings.
        full: read every byte, and not a sample.
        fix: mend what can be mended without losing anything.
    """
    try:
        settings = load()
    except Exception:  # the check of settings says why
        settings = None
    examined = Examined(home, settings, full, now or utc_now())
    found = []
    for name, place in CHECKS.items():
        found += _run(name, place, examined)
        if name == "home" and found[-1].severity == "problem" and not home.path.is_dir():
            break
    return [_mended(each) for each in found] if fix else found


def _run(name: str, place: str, examined: Examined) -> list[Diagnosis]:
    module, _, function = place.rpartition(".")
    found: list[Diagnosis] = []
    try:
        check: Check = getattr(import_module(f"energywh.upkeep.{module}"), function)
        found.extend(check(examined))
    except Exception as error:  # whatever a broken home makes of a check, the others go on
        kind = "" if isinstance(error, EnergywhError | OSError) else f"{type(error).__name__}: "
        where = str(getattr(error, "filename", None) or "")
        found.append(
            Diagnosis(
                name,
                "problem",
                f"this check stopped: {kind}{reason(error)}",
                where,
                "what else it would find is not known",
                "mend that, and run 'energywh doctor' again",
            )
        )
    return found or [Diagnosis(name, "ok", _NOTHING[name])]


def _mended(found: Diagnosis) -> Diagnosis:
    if found.mend is None or found.severity == "ok":
        return found
    try:
        return found.after_mending(found.mend())
    except Exception as error:
        return Diagnosis(
            found.check,
            found.severity,
            f"{found.what}; it could not be mended: {reason(error)}",
            found.where,
            found.why,
            found.todo,
        )


def is_well(found: list[Diagnosis]) -> bool:
    """Return whether no problem is left."""
    return not any(each.severity == "problem" and not each.mended for each in found)
