"""One rank of a ring: compares its part of ring attention with full attention, and prints the largest differences."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np

from energywh.datasets.windows.ring import LAYOUTS, Ring

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "ring_attention"))
from ring import Circle, ring_attention  # type: ignore[import-not-found]

BATCH, HEADS, HOURS, WIDTH = 2, 3, 203, 8  # 203 hours divide by no number of ranks


def full_attention(q: mx.array, k: mx.array, v: mx.array, visible: mx.array) -> mx.array:
    """Return full attention over all hours."""
    allowed = mx.array(np.tri(HOURS, dtype=np.bool_)) & visible[:, None, None]
    scores = mx.where(allowed, q @ k.swapaxes(-1, -2) * WIDTH**-0.5, -1e30)
    return mx.where(allowed, mx.softmax(scores, axis=-1), 0) @ v


def main(sharpness: float) -> None:
    """Print a JSON object: by layout the greatest difference of outputs and of each gradient."""
    circle = Circle()
    random = np.random.default_rng(7)
    q, k, v, weight = (random.normal(size=(BATCH, HEADS, HOURS, WIDTH)).astype(np.float32) for _ in range(4))
    q *= sharpness
    visible = random.random((BATCH, HOURS)) > 0.2
    visible[0, :3] = False  # the first queries of one sequence see nothing at all
    inputs = [mx.array(x) for x in (q, k, v)]
    wanted = full_attention(*inputs, mx.array(visible))
    wanted_gradients = mx.grad(
        lambda q, k, v: (full_attention(q, k, v, mx.array(visible)) * mx.array(weight)).sum(), argnums=(0, 1, 2)
    )(*inputs)

    worst = {}
    for layout in LAYOUTS:
        ring = Ring(HOURS, circle.world, layout)
        positions = np.stack([ring.positions(rank) for rank in range(circle.world)])
        mine, own = positions[circle.rank], ring.own(circle.rank)
        # Padding holds large numbers: if any of them were used, it would show.
        q_part, k_part, v_part = (shard(x, mine, 1e3) for x in (q, k, v))
        shown = np.stack([shard_visible(visible, positions[rank]) for rank in range(circle.world)])
        attention = ring_attention(circle, positions, shown, block=32)
        part_weight = shard(weight, mine, 0)

        def loss(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
            return (attention(q, k, v) * part_weight).sum()  # noqa: B023 - called within this turn of the loop

        # Both at once: messages of two attentions that know nothing of each other must not be mixed up.
        found = [attention(q_part, k_part, v_part), *mx.grad(loss, argnums=(0, 1, 2))(q_part, k_part, v_part)]
        mx.eval(found)
        worst[layout] = [
            float(np.abs(np.asarray(part)[:, :, own] - np.asarray(whole)[:, :, mine[own]]).max())
            for part, whole in zip(found, [wanted, *wanted_gradients], strict=True)
        ]
    print(json.dumps(worst))


def shard(x: np.ndarray, positions: np.ndarray, fill: float) -> mx.array:
    """Return the hours ``positions`` of (B, H, L, D), ``fill`` in padding."""
    padded = np.concatenate([x, np.full_like(x[:, :, :1], fill)], axis=2)
    return mx.array(padded[:, :, positions])


def shard_visible(visible: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return which of the hours ``positions`` of (B, L) may be looked at; padding may not."""
    return np.concatenate([visible, np.zeros_like(visible[:, :1])], axis=1)[:, positions]


if __name__ == "__main__":
    main(float(sys.argv[1]))
