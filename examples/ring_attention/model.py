"""A small transformer that forecasts, at every hour, the demand of a day later."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
from mlx import nn
from ring import Attention

SHORTEST, LONGEST = 6.0, 26_280.0  # periods of the rotations, hours: a quarter of a day to three years


def rotations(positions: np.ndarray, size: int) -> tuple[mx.array, mx.array]:
    """Return cosines and sines (n, size / 2) that mark each position by rotations of different periods."""
    periods = np.geomspace(SHORTEST, LONGEST, size // 2)
    angles = 2 * np.pi * positions[:, None] / periods
    return mx.array(np.cos(angles).astype(np.float32)), mx.array(np.sin(angles).astype(np.float32))


def rotate(x: mx.array, rotation: tuple[mx.array, mx.array]) -> mx.array:
    """Turn (B, H, n, D) by its positions: products of queries and keys then depend on how far apart they are."""
    cosine, sine = rotation
    one, other = mx.split(x, 2, axis=-1)
    return mx.concatenate([one * cosine - other * sine, one * sine + other * cosine], axis=-1)


class Layer(nn.Module):
    """Attention, then a small network at each hour; each adds to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.RMSNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.before_hidden = nn.RMSNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def __call__(self, x: mx.array, attention: Attention, rotation: tuple[mx.array, mx.array]) -> mx.array:
        batch, hours, width = x.shape
        projected = self.query_key_value(self.before_attention(x))
        q, k, v = projected.reshape(batch, hours, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
        seen = attention(rotate(q, rotation), rotate(k, rotation), v)
        x = x + self.out(seen.transpose(0, 2, 1, 3).reshape(batch, hours, width))
        return x + self.down(nn.gelu_approx(self.up(self.before_hidden(x))))


class Forecaster(nn.Module):
    """Forecasts a correction of a plain forecast, "as last week": untrained it says just that."""

    def __init__(self, inputs: int, width: int, heads: int, layers: int, last_week: int) -> None:
        super().__init__()
        self.last_week = last_week
        self.embed = nn.Linear(inputs, width)
        self.layers = [Layer(width, heads) for _ in range(layers)]
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, 1)
        self.head.weight = mx.zeros_like(self.head.weight)

    def __call__(self, inputs: mx.array, attention: Attention, rotation: tuple[mx.array, mx.array]) -> mx.array:
        """Return (B, n) from (B, n, inputs)."""
        x = self.embed(inputs)
        for layer in self.layers:
            x = layer(x, attention, rotation)
        return inputs[..., self.last_week] + self.head(self.norm(x))[..., 0]
