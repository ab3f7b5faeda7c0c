"""A key is removed from answers in every form in which they repeat it."""

from __future__ import annotations

import html
import json
import time
from urllib.parse import quote

import pytest

from energywh.core.printable import OUTSIDE_CHARS, printable
from energywh.errors import PayloadError
from energywh.sources.base import PayloadWarning, Request
from energywh.sources.eia import SOURCE as EIA
from energywh.sources.redact import redact_secret
from tests.support.desk import KEY


def every(form: str) -> str:
    return "".join(form.format(ord(letter)) for letter in KEY)


@pytest.mark.parametrize(
    "echo",
    [
        KEY.encode(),
        every("\\u{:04x}").encode(),
        every("\\u{:04X}").encode(),
        json.dumps(every("\\u{:04x}")).encode(),
        f"{KEY[:5]}\\u{ord(KEY[5]):04x}{KEY[6:]}".encode(),
        every("%{:02x}").encode(),
        every("%{:02X}").encode(),
        quote(every("%{:02X}")).encode(),
        every("&#{};").encode(),
        every("&#x{:x};").encode(),
        KEY.encode("utf-16"),
        KEY.encode("utf-16-be"),
        KEY.encode("utf-32"),
    ],
)
def test_no_form_of_the_key_stays(echo: bytes) -> None:
    clean = EIA.redact(b'{"a": "' + echo + b'"}', [KEY])
    assert b"REDACTED" in clean.replace(b"\0", b"")
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le"):
        assert KEY.encode(encoding) not in clean
    text = clean.decode("utf-8", "replace").replace("%25", "%")
    assert KEY not in html.unescape(text)
    assert every("\\u{:04x}") not in text.lower()
    assert every("%{:02x}") not in text.lower()


def test_text_that_is_not_a_key_stays_verbatim() -> None:
    body = b'{"a": "\\u004b %20 &#75; \\\\", "api_keys": 1, "b": "' + KEY[:-1].encode() + b'"}'
    assert redact_secret(body, KEY) == body
    assert EIA.redact(body, [KEY]) == body


@pytest.mark.parametrize(
    "body",
    [
        b'"api_key":"' + b"\\" * 2_000_000,
        b'"api_key":"' + b'\\"' * 1_000_000,
        b'"api_key"' + b" " * 2_000_000,
        b'"api_key":' * 200_000,
        b"api_key=" * 250_000,
        b"\\" * 2_000_000,
        b"\\u005a" * 300_000,
        b"&#0" * 600_000,
        (b"\\u%04x" % ord(KEY[0])) * 300_000,
    ],
)
def test_two_megabytes_of_any_text_are_scanned_at_once(body: bytes) -> None:
    """A search that backtracks takes minutes or hours for these; seconds are for a busy machine."""
    began = time.process_time()
    EIA.redact(body, [KEY])
    assert time.process_time() - began < 20


def test_an_echo_without_an_end_is_redacted_to_the_end() -> None:
    assert EIA.redact(b'x "api_key": "abc', []) == b'x "api_key": "REDACTED'


def test_a_key_in_an_address_is_not_printed() -> None:
    assert KEY not in str(Request(f"https://api.eia.gov/{KEY}/v2", (), (("api_key", "short"),)))
    assert "secret-word" not in str(Request("https://api.eia.gov/secret-word/v2", (), (("api_key", "secret-word"),)))


def test_text_from_outside_is_one_short_line_wherever_it_is_kept() -> None:
    evil = "\x1b[2J\x1b]0;title\x07a\u202eb\r\n\x00c\x9b31m" + "d" * 5_000_000
    for text in (printable(evil), str(PayloadError(evil)), PayloadWarning("unknown_column", evil).subject):
        assert text.isprintable()
        assert text.startswith("[2J ]0;title a b c 31md")
        assert len(text) <= 2000
        assert text.endswith("...")
    assert len(printable(evil)) == OUTSIDE_CHARS
    assert printable("as it is, °C") == "as it is, °C"
