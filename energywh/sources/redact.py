"""Take secrets out of answers, in whatever form an answer echoes them."""

from __future__ import annotations

import re
from functools import lru_cache

REDACTED = b"REDACTED"
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_ESCAPE_MARKS = (b"\\u", b"\\x", b"%", b"&#")  # without any of them no letter is escaped: the search takes 0.1 s a MB


def redact_secret(body: bytes, secret: str) -> bytes:
    """Return ``body`` without ``secret``, be it plain, in UTF-16 or UTF-32, or escaped as JSON, XML and URLs do."""
    body = body.replace(secret.encode(), REDACTED)
    if b"\0" in body:
        for encoding in _WIDE:
            body = body.replace(secret.encode(encoding), "REDACTED".encode(encoding))
    if any(mark in body for mark in _ESCAPE_MARKS):
        body = _escaped(secret).sub(REDACTED, body)
    return body


@lru_cache(maxsize=16)
def _escaped(secret: str) -> re.Pattern[bytes]:
    # The forms of a letter begin differently and are bounded in length: nothing backtracks.
    return re.compile("".join(map(_forms, secret)).encode())


def _forms(letter: str) -> str:
    code = ord(letter)
    hexadecimal = "".join(f"[{digit}{digit.upper()}]" for digit in f"{code:02x}")
    return (
        rf"(?:{re.escape(letter)}|\\{{1,4}}(?:u00|x){hexadecimal}|%(?:25)?{hexadecimal}"
        rf"|&#0{{0,4}}{code};|&#[xX]0{{0,4}}{hexadecimal};)"
    )
