"""The kinds of faults: what a server, a proxy or a network makes of a good answer. Each is a function of this module.

A kind gets the good answer and a source of chance, and yields the bytes that go over the wire, or a number of seconds
to wait; the connection is closed after them. A kind is chosen so that no client could take its answer for a good one
and lose rows.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from energywh.sync.simulation_guard import SIMULATOR_HEADER


@dataclass(frozen=True)
class GoodAnswer:
    """What the simulator answered, and where it was asked."""

    target: str
    body: bytes
    content_type: str
    other: bytes  # the body of an earlier answer to another request; empty if there is none


Wire = Iterator[bytes | float]
Kind = Callable[[GoodAnswer, random.Random], Wire]
RESET = -1.0  # instead of a number of seconds: the connection is reset
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body>Try again later.</body></html>\n"


def _head(status: int, headers: dict[str, str]) -> bytes:
    headers = {"Connection": "close", SIMULATOR_HEADER: "yes", **headers}
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _whole(status: int, body: bytes = b"", **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _head(status, {"Content-Length": str(len(body)), **named}) + body


def _status(status: int, body: bytes = b"", **headers: str) -> Kind:
    def answer(good: GoodAnswer, draw: random.Random) -> Wire:
        yield _whole(status, body, **headers)

    return answer


def redirect(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(draw.choice((301, 302, 303, 307, 308)), Location=good.target)


def part_of_it(good: GoodAnswer, draw: random.Random) -> Wire:
    half = good.body[: len(good.body) // 2]
    yield _whole(206, half, Content_Range=f"bytes 0-{len(half) - 1}/{len(good.body)}")


def closed_at_once(good: GoodAnswer, draw: random.Random) -> Wire:
    yield b""


def reset(good: GoodAnswer, draw: random.Random) -> Wire:
    yield RESET


def reset_within(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, good.body)[: len(good.body) // 2]
    yield RESET


def closed_within_head(good: GoodAnswer, draw: random.Random) -> Wire:
    yield b"HTTP/1.1 200 OK\r\nContent-Le"


def hang(good: GoodAnswer, draw: random.Random) -> Wire:
    yield 4.0


def hang_within(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, good.body)[: len(good.body) // 2]
    yield 4.0


def drip(good: GoodAnswer, draw: random.Random) -> Wire:
    whole = _whole(200, good.body)
    for place in range(0, len(whole), 3):
        yield whole[place : place + 3]
        yield 0.05


def drip_of_head(good: GoodAnswer, draw: random.Random) -> Wire:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(1000):
        yield f"X-{number}: {number}\r\n".encode()
        yield 0.05


def truncated(good: GoodAnswer, draw: random.Random) -> Wire:
    whole = _whole(200, good.body)
    yield whole[: len(whole) - len(good.body) * draw.randrange(1, 10) // 10 - 1]


def chunked_without_end(good: GoodAnswer, draw: random.Random) -> Wire:
    half = good.body[: len(good.body) // 2]
    yield _head(200, {"Transfer-Encoding": "chunked"}) + f"{len(half):x}\r\n".encode() + half + b"\r\n"


def chunked_badly(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _head(200, {"Transfer-Encoding": "chunked"}) + b"xyz\r\n" + good.body + b"\r\n0\r\n\r\n"


def length_too_long(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _head(200, {"Content-Length": str(len(good.body) + 100)}) + good.body


def length_too_short(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _head(200, {"Content-Length": str(len(good.body) // 2 if _is_checked(good) else 10)}) + good.body


def length_of_terabytes(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _head(200, {"Content-Length": str(10**13)}) + good.body


def length_that_is_no_number(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _head(200, {"Content-Length": draw.choice(("²", "-5", "9" * 500, "ten"))}) + good.body[:100]


def huge_header(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, good.body, X_Trace="x" * 200_000)


def many_headers(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, good.body, **{f"X_{number}": "x" for number in range(2000)})


def not_http(good: GoodAnswer, draw: random.Random) -> Wire:
    yield b"SSH-2.0-OpenSSH_9.6\r\n"


def bad_gzip(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, b"\x1f\x8bnot gzip at all", Content_Encoding="gzip")


def gzip_cut(good: GoodAnswer, draw: random.Random) -> Wire:
    packed = gzip.compress(good.body)
    yield _whole(200, packed[: len(packed) * 2 // 3], Content_Encoding="gzip")


def gzip_that_is_none(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, good.body, Content_Encoding="gzip")


def gzip_bomb(good: GoodAnswer, draw: random.Random) -> Wire:
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * 2**20
    packed = b"".join(packer.compress(block) for _ in range(1024)) + packer.flush()
    yield _whole(200, packed, Content_Encoding="gzip")


def packed_twice(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, gzip.compress(gzip.compress(good.body)), Content_Encoding="gzip")


def unknown_encoding(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, zlib.compress(good.body)[2:], Content_Encoding="zstd")


def cut_body(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, good.body[: len(good.body) // 2 - 1] if _is_checked(good) else b"")


def noise(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, draw.randbytes(5000))


def flipped(good: GoodAnswer, draw: random.Random) -> Wire:
    body = bytearray(good.body)
    if good.body.startswith(b"PK"):  # whose checksum shows it
        body[len(body) // 2] ^= 0xFF
    else:
        body[:1] = b"\xff"
    yield _whole(200, bytes(body) if _is_checked(good) else b"\xff")


def deep(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, b'{"response":' * 20_000)


def blanks(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, b" " * 3_000_000)


def utf_16(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, good.body.decode("latin-1").encode("utf-16"))


def trailing(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, good.body + b"}<!-- cached -->" if good.body.startswith((b"{", b"[")) else PAGE)


def of_another_request(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, good.other or PAGE)


def endless_pages(good: GoodAnswer, draw: random.Random) -> Wire:
    """A total that no page reaches, whatever offset is asked for."""
    yield _whole(200, _with_total(good, b"999999999") or PAGE)


def wrong_total(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, _with_total(good, b"3") or PAGE)


def negative_total(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, _with_total(good, b"-1") or PAGE)


def future_stamps(good: GoodAnswer, draw: random.Random) -> Wire:
    body = re.sub(rb"20[12]\d-(\d\d-\d\d)", rb"2099-\1", good.body)
    yield _whole(200, body if body != good.body else PAGE)


def past_stamps(good: GoodAnswer, draw: random.Random) -> Wire:
    body = re.sub(rb"20[12]\d-(\d\d-\d\d)", rb"1999-\1", good.body)
    yield _whole(200, body if body != good.body else PAGE)


def clock_of_the_future(good: GoodAnswer, draw: random.Random) -> Wire:
    """A good answer, of a server whose clock is wrong."""
    wrong = "Thu, 01 Jan 2099 00:00:00 GMT"
    yield _whole(200, good.body, Date=wrong, Last_Modified=wrong, Expires=wrong, Content_Type=good.content_type)


def wrong_content_type(good: GoodAnswer, draw: random.Random) -> Wire:
    """A good answer under a wrong name."""
    yield _whole(200, good.body, Content_Type="text/html")


def error_within(good: GoodAnswer, draw: random.Random) -> Wire:
    yield _whole(200, json.dumps({"error": "Internal error\x1b[2J", "code": 500}).encode())


def slow_down(good: GoodAnswer, draw: random.Random) -> Wire:
    waits = ("0", "1", "", "soon", "9" * 400, "-3", "Thu, 01 Jan 1970 00:00:00 GMT")
    after = draw.choice(waits)
    yield _whole(429, PAGE, **({"Retry_After": after} if after else {}))


def _is_checked(good: GoodAnswer) -> bool:
    """Return whether the format shows that something is missing: JSON and zip do, CSV does not."""
    return good.body.startswith((b"{", b"[", b"PK"))


def _with_total(good: GoodAnswer, total: bytes) -> bytes:
    body, found = re.subn(rb'"total":\s*"?\d+"?', b'"total":"' + total + b'"', good.body, count=1)
    return body if found else b""


KINDS: dict[str, Kind] = {
    "202": _status(202),
    "204": _status(204),
    "304": _status(304),
    "400": _status(400, PAGE),
    "403": _status(403, PAGE),
    "404": _status(404, PAGE),
    "408": _status(408),
    "500": _status(500, PAGE),
    "501": _status(501, PAGE),
    "502": _status(502, PAGE),
    "503": _status(503, PAGE, Retry_After="1"),
    "504": _status(504),
    "520": _status(520, b"error code: 520"),
    "empty": _status(200),
    "page": _status(200, PAGE, Content_Type="text/html"),
    "null": _status(200, b"null", Content_Type="application/json"),
    **{
        kind.__name__.replace("_", "-"): kind
        for kind in (
            redirect, part_of_it, closed_at_once, reset, reset_within, closed_within_head, hang, hang_within, drip,
            drip_of_head, truncated, chunked_without_end, chunked_badly, length_too_long, length_too_short,
            length_of_terabytes, length_that_is_no_number, huge_header, many_headers, not_http, bad_gzip, gzip_cut,
            gzip_that_is_none, gzip_bomb, packed_twice, unknown_encoding, cut_body, noise, flipped, deep, blanks,
            utf_16, trailing, of_another_request, endless_pages, wrong_total, negative_total, future_stamps,
            past_stamps, clock_of_the_future, wrong_content_type, error_within, slow_down,
        )
    },
}  # fmt: skip
