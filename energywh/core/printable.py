"""Text from outside (answers, names in files, headers), made fit to be printed, logged and kept."""

from __future__ import annotations

import re

OUTSIDE_CHARS = 300  # of one text that a source wrote
MESSAGE_CHARS = 2000  # of a whole message that quotes such texts and an address


def printable(text: object, max_chars: int = OUTSIDE_CHARS) -> str:
    """Return one line of at most ``max_chars``, without control characters, escape sequences and marks of direction."""
    opening = str(text)[: 4 * max_chars]  # the work stays small, however long the text is
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in opening).split())
    return line if len(line) <= max_chars and len(opening) == len(str(text)) else f"{line[: max_chars - 3]}..."


_KEY = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20,}")


def mask_keys(text: str) -> str:
    """Return a text that a person wrote, such as the name of a setting, without words that look like an API key."""
    return _KEY.sub("REDACTED", text)
