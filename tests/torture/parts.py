"""All parts, in the order in which they run."""

from __future__ import annotations

from tests.torture import damage, flushed, full_disk, kill_operations, kill_random, mutations, readers, storms
from tests.torture.trial import Part

PARTS: tuple[Part, ...] = (
    kill_operations.PART,
    kill_random.PART,
    full_disk.PART,
    flushed.PART,
    damage.PART,
    storms.PART,
    mutations.PART,
    readers.PART,
)
BY_NAME = {part.name: part for part in PARTS}
