"""Attention over a ring of devices: each holds some hours of a sequence, and keys and values go round.

A device keeps the queries of its own hours. In as many steps as there are devices it attends to the keys and values
that it holds at the moment, then passes them on to its neighbor and takes those of the other. No device ever holds
the whole sequence, and no matrix of scores is larger than block x block, in the forward or the backward pass.

The two things that are easy to get wrong:

*Partial results cannot be added up.* Each step normalizes over the keys that it saw. What makes steps comparable is the
logarithm of the sum of the exponentials of their scores (log-sum-exp): two results are weighted by their shares of the
common sum, which `merge` computes without ever exponentiating a score itself.

*The keys are not in order.* After a few passes a device holds another one's hours, and with striped or zigzag shards
not even its own are consecutive. So the causal mask compares positions in the sequence, never places in an array.

Liu, Zaharia and Abbeel, Ring Attention with Blockwise Transformers for Near-Infinite Context (arXiv 2310.01889); the
backward pass is that of Dao et al., FlashAttention (arXiv 2205.14135), with the gradients of keys and values going
round beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mlx.core as mx
import numpy as np

# Log-sum-exp of no key at all: finite, so that the difference of two of them is 0 and not NaN.
NOTHING = -1e30

Attention = Callable[[mx.array, mx.array, mx.array], mx.array]


class Circle:
    """The devices of a group, each of which can pass an array to the next. A group of one passes to itself."""

    def __init__(self, group: Any = None) -> None:
        self.group = group if group is not None else mx.distributed.init()
        self.rank: int = self.group.rank()
        self.world: int = self.group.size()
        # A send waits until its bytes are taken. Were sends and receives in one queue, all devices could be sending
        # and none receiving; in two they go on side by side, and beside the computation.
        self._sends = mx.new_stream(mx.cpu)
        self._receives = mx.new_stream(mx.cpu)
        self._last: list[mx.array] = []

    def pass_on(self, x: mx.array) -> mx.array:
        """Send ``x`` to the next device, and return what the one before sends, of the same shape.

        MLX is lazy: nothing moves before the result is evaluated, and a receive, which has no input, could be
        scheduled at any time. Messages carry no names, so all devices must exchange them in one order: that of the
        calls. Hence each send waits for the pass before, and each result for its own send.
        """
        if self.world == 1:
            return x
        x = mx.depends([x], self._last)[0]
        sent = mx.distributed.send(x, (self.rank + 1) % self.world, group=self.group, stream=self._sends)
        received = mx.distributed.recv_like(x, (self.rank - 1) % self.world, group=self.group, stream=self._receives)
        self._last = mx.depends([received], [sent])
        return self._last[0]

    def sum(self, x: mx.array) -> mx.array:
        """Return the sum of the ``x`` of every device; waits until all that went before is done, as does `gather`."""
        mx.eval(x)
        total = mx.distributed.all_sum(x, group=self.group, stream=mx.cpu)
        mx.eval(total)
        return total

    def gather(self, x: mx.array) -> mx.array:
        """Return (world, ...): the ``x`` of every device."""
        mx.eval(x)
        gathered = mx.distributed.all_gather(x[None], group=self.group, stream=mx.cpu)
        mx.eval(gathered)
        return gathered


@dataclass(frozen=True)
class Block:
    """Consecutive places of a shard, with the first and last hour among them."""

    places: slice
    first: int
    last: int


def blocks(positions: np.ndarray, size: int) -> list[Block]:
    """Cut a shard into blocks of at most ``size`` places, and also where its positions jump (zigzag, padding)."""
    steps = np.diff(positions)
    jumps = np.flatnonzero(steps != np.median(steps)) + 1 if len(steps) else np.array([], int)
    edges = [0, *jumps.tolist(), len(positions)]
    cut = [slice(start, min(start + size, high)) for low, high in pairwise(edges) for start in range(low, high, size)]
    return [Block(places, int(positions[places].min()), int(positions[places].max())) for places in cut]


def attend(q: mx.array, k: mx.array, v: mx.array, allowed: mx.array | None) -> tuple[mx.array, mx.array]:
    """Attend to the keys of one block.

    Args:
        q: (B, H, n, D), already scaled; k, v: (B, H, m, D).
        allowed: booleans that broadcast to (B, H, n, m); None for all.

    Returns:
        The weighted mean of the values (B, H, n, D), and the log-sum-exp of the scores (B, H, n, 1).
    """
    scores = scores_of(q, k, allowed)
    top = mx.maximum(scores.max(axis=-1, keepdims=True), NOTHING)
    weights = mx.exp(scores - top)  # at most 1
    total = weights.sum(axis=-1, keepdims=True)  # at least 1, or 0 for a query that sees no key here
    return weights @ v / mx.maximum(total, 1), mx.maximum(top + mx.log(total), NOTHING)


def scores_of(q: mx.array, k: mx.array, allowed: mx.array | None) -> mx.array:
    """Return (B, H, n, m) scores, minus infinity where a query may not see a key."""
    scores = q @ k.swapaxes(-1, -2)
    return scores if allowed is None else mx.where(allowed, scores, -mx.inf)


def merge(one: tuple[mx.array, mx.array], other: tuple[mx.array, mx.array]) -> tuple[mx.array, mx.array]:
    """Join the results of `attend` over two sets of keys into that over both."""
    lse = mx.logaddexp(one[1], other[1])
    return mx.exp(one[1] - lse) * one[0] + mx.exp(other[1] - lse) * other[0], lse


def ring_attention(
    circle: Circle, positions: np.ndarray, visible: np.ndarray | None = None, block: int = 512
) -> Attention:
    """Return causal attention over a sequence of which every device holds a shard.

    Args:
        positions: (world, n) place in the sequence of each hour of each device; past the end in padding.
        visible: (world, B, n) booleans, False for keys that nobody may look at (padding, missing hours); None for all.
        block: most rows and columns of a matrix of scores.

    Returns:
        A function of this device's queries, keys and values, (B, H, n, D) each, to (B, H, n, D); 0 for a query
        that may see no key. Its gradients are exact.
    """
    rank, world = circle.rank, circle.world
    cut = [blocks(positions[device], block) for device in range(world)]
    queries = cut[rank]

    def pairs(device: int) -> list[tuple[int, int, mx.array | None]]:
        """List the numbers of query and key blocks that have work to do, and who may see whom within."""
        found: list[tuple[int, int, mx.array | None]] = []
        for column, keys in enumerate(cut[device]):
            shown = None if visible is None else visible[device][:, None, None, keys.places]
            if shown is not None and shown.all():
                shown = None
            for row, rows in enumerate(queries):
                if keys.first > rows.last or (shown is not None and not shown.any()):
                    continue  # every key comes after every query: half of all work is saved here
                allowed = shown
                if keys.last > rows.first:
                    causal = positions[device][keys.places] <= positions[rank][rows.places][:, None]
                    allowed = causal if shown is None else causal & shown
                found.append((row, column, None if allowed is None else mx.array(allowed)))
        return found

    @mx.custom_function
    def attention(q: mx.array, k: mx.array, v: mx.array) -> tuple[mx.array, mx.array]:
        scaled = q * q.shape[-1] ** -0.5
        results = [
            (mx.zeros_like(part), mx.full((*part.shape[:-1], 1), NOTHING, part.dtype))
            for part in (scaled[:, :, rows.places] for rows in queries)
        ]
        traveling = mx.stack([k, v])
        for step in range(world):
            device = (rank - step) % world  # whose keys and values we hold
            k, v = traveling
            if step < world - 1:
                traveling = circle.pass_on(traveling)
            for row, column, allowed in pairs(device):
                there = cut[device][column].places
                found = attend(scaled[:, :, queries[row].places], k[:, :, there], v[:, :, there], allowed)
                results[row] = merge(results[row], found)
        out, lse = zip(*results, strict=True)
        return mx.concatenate(out, axis=2), mx.concatenate(lse, axis=2)

    @attention.vjp
    def backward(
        primals: tuple[mx.array, ...], cotangents: tuple[mx.array, ...], outputs: tuple[mx.array, ...]
    ) -> tuple[mx.array, ...]:
        q, k, v = primals
        (out, lse), d_out = outputs, cotangents[0]
        scale = q.shape[-1] ** -0.5
        scaled = q * scale
        # The derivative of a softmax subtracts, for each query, the mean of its weights' derivatives.
        mean = (d_out * out).sum(axis=-1, keepdims=True)
        d_q = [mx.zeros_like(q[:, :, rows.places]) for rows in queries]
        d_k, d_v = mx.zeros_like(k), mx.zeros_like(v)
        for step in range(world):
            device = (rank - step) % world
            parts = [[x[:, :, keys.places] for keys in cut[device]] for x in (d_k, d_v)]
            for row, column, allowed in pairs(device):
                here, there = queries[row].places, cut[device][column].places
                weights = mx.exp(scores_of(scaled[:, :, here], k[:, :, there], allowed) - lse[:, :, here])
                d_weights = d_out[:, :, here] @ v[:, :, there].swapaxes(-1, -2)
                d_scores = weights * (d_weights - mean[:, :, here])
                d_q[row] = d_q[row] + d_scores @ k[:, :, there] * scale
                parts[0][column] = parts[0][column] + d_scores.swapaxes(-1, -2) @ scaled[:, :, here]
                parts[1][column] = parts[1][column] + weights.swapaxes(-1, -2) @ d_out[:, :, here]
            d_k, d_v = (mx.concatenate(part, axis=2) for part in parts)
            # The gradients go round with the keys and values they belong to; one pass more and they are home.
            if step < world - 1:
                k, v, d_k, d_v = circle.pass_on(mx.stack([k, v, d_k, d_v]))
            else:
                d_k, d_v = circle.pass_on(mx.stack([d_k, d_v]))
        return mx.concatenate(d_q, axis=2), d_k, d_v

    return lambda q, k, v: attention(q, k, v)[0]
