"""Stateless noise: every number is a hash of (key, position), so any slice can be computed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Hours = NDArray[np.int64]
Words = NDArray[np.uint64]

# Constants of splitmix64 (Steele, Lea, Flood 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = (np.uint64(n) for n in (30, 27, 31, 11))


@lru_cache(maxsize=65_536)
def key_of(seed: int, *names: str) -> int:
    """Return the 64-bit key of a named stream of noise; it is the same in every process."""
    text = "\x1f".join((str(seed), *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def keys_of(seed: int, purpose: str, names: Iterable[tuple[str, ...]]) -> Words:
    """Return keys of shape (series, 1), ready to broadcast against positions."""
    keys = [key_of(seed, purpose, *name) for name in names]
    return np.array(keys, dtype=np.uint64).reshape(-1, 1)


def mix(words: Words) -> Words:
    """Return scrambled 64-bit words (the finalizer of splitmix64) in a new array."""
    mixed = words ^ (words >> _S30)
    mixed *= _MIX_1
    mixed ^= mixed >> _S27
    mixed *= _MIX_2
    mixed ^= mixed >> _S31
    return mixed


def draw(keys: Words, positions: Hours) -> Words:
    """Return one random word for each key (series, 1) and position (n,): shape (series, n)."""
    return mix(keys + positions.astype(np.uint64) * _GOLDEN)


def uniform(keys: Words, positions: Hours) -> Floats:
    """Return numbers in [0, 1), shape (series, n)."""
    return as_uniform(draw(keys, positions))


def as_uniform(words: Words) -> Floats:
    """Return the words' upper 53 bits as numbers in [0, 1)."""
    numbers: Floats = (words >> _S11).astype(np.float64)
    numbers *= 2.0**-53
    return numbers


def wander(keys: Words, hours: Hours, knot_hours: int) -> Floats:
    """Return smooth noise around 0 with a spread of about 1, shape (series, n).

    Values at knots every ``knot_hours`` are hashes; between knots they are interpolated smoothly.
    """
    knot = hours // knot_hours
    first = int(knot.min()) if knot.size else 0
    last = int(knot.max()) if knot.size else 0
    positions = np.arange(first, last + 2, dtype=np.int64)
    heights = (uniform(keys, positions) - 0.5) * 4.0
    steps = np.diff(heights, axis=1)
    way = (hours - knot * knot_hours) / knot_hours
    way = way * way * (3.0 - 2.0 * way)
    at = knot - first
    noise = np.take(steps, at, axis=1)
    noise *= way
    noise += np.take(heights, at, axis=1)
    return noise
