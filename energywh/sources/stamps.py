"""The forms in which sources and mirrors write hours: one list, for CSV files and for single texts."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

# The first that fits counts. None fits a text that another means in a different way.
STAMP_FORMATS = (
    "%m/%d/%Y %I:%M:%S %p",  # EIA's half-year files
    "%Y-%m-%dT%H",  # EIA's API
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %H:%M:%S",  # mirrors and spreadsheets
    "%m/%d/%Y %H:%M",
    "%Y/%m/%dT%H:%M:%S",
    "%Y/%m/%dT%H:%M",
)
MAX_STAMP_CHARS = 64
# What a stamp may end with that changes nothing: a fraction of 0, and UTC.
_ENDING = r"(\.0+)?\s*(Z|UTC|GMT|[+-]00:?00)?$"
_ISO_DATE = r"^\s*(\d{4}[-/]\d{1,2}[-/]\d{1,2})\s+"
_MIDNIGHT = r"([T ])24:"  # the end of the day, which no format reads


def parse_stamp(text: str) -> datetime | None:
    """Return the moment that a stamp names, naive UTC, or None where no format fits."""
    if len(text) > MAX_STAMP_CHARS:
        return None
    plain = re.sub(_ISO_DATE, r"\1T", re.sub(_ENDING, "", text.strip(), flags=re.IGNORECASE))
    plain, midnights = re.subn(_MIDNIGHT, r"\g<1>00:", plain)
    for form in STAMP_FORMATS:
        try:
            return datetime.strptime(plain, form) + timedelta(days=midnights)
        except ValueError:
            continue
    return None


def stamp_sql(text: str) -> str:
    """Return the SQL of `parse_stamp` for the text column ``text``: a TIMESTAMP, NULL where no format fits."""
    plain = f"regexp_replace(regexp_replace(trim({text}), '{_ENDING}', '', 'i'), '{_ISO_DATE}', '\\1T')"
    forms = ", ".join(f"'{form}'" for form in STAMP_FORMATS)
    day = f"if(regexp_matches({text}, '{_MIDNIGHT}'), interval 1 day, interval 0 day)"
    slow = f"try_strptime(regexp_replace({plain}, '{_MIDNIGHT}', '\\100:'), [{forms}]) + {day}"
    # Nearly all rows have the first form: the regular expressions cost ten times as much.
    return f"coalesce(try_strptime({text}, '{STAMP_FORMATS[0]}'), {slow})"
