"""Train a ring-attention forecaster of electricity demand, and say how good it is.

energywh demo
python examples/ring_attention/train.py
mlx.launch -n 2 examples/ring_attention/train.py
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from data import INPUTS, KNOWN, LAST_WEEK, Scale, load
from mlx import nn, optimizers
from mlx.utils import tree_flatten, tree_unflatten
from model import Forecaster, rotations
from ring import Circle, ring_attention

import energywh
from energywh.datasets.windows.ring import LAYOUTS
from energywh.datasets.windows.shard import Shard
from energywh.datasets.windows.windows import Windows

NAMES = ("model", "same hour last week", "day-ahead forecast")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", help="folder of the warehouse; by default $ENERGYWH_HOME or ./warehouse")
    parser.add_argument("--regions", help="codes, as CISO,ERCO; by default all that have demand and a forecast of it")
    parser.add_argument("--test-since", type=datetime.fromisoformat, help="by default the last quarter is the test")
    parser.add_argument("--length", type=int, default=2160, help="hours of a sequence (default %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="sequences of a step (default %(default)s)")
    parser.add_argument("--steps", type=int, default=80, help="default %(default)s")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate (default %(default)s)")
    parser.add_argument("--width", type=int, default=32, help="default %(default)s")
    parser.add_argument("--heads", type=int, default=1, help="default %(default)s")
    parser.add_argument("--layers", type=int, default=2, help="default %(default)s")
    parser.add_argument("--block", type=int, default=512, help="rows of a matrix of scores (default %(default)s)")
    parser.add_argument("--layout", choices=LAYOUTS, default="zigzag", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("forecast.png"), help="default %(default)s")
    return parser.parse_args()


@dataclass(frozen=True)
class Judged:
    """Forecasts of W windows of the test, of H hours each, MWh."""

    regions: np.ndarray  # (W,)
    hours: np.ndarray  # (W, H) start of the hour forecast, UTC
    truth: np.ndarray  # (W, H)
    forecasts: np.ndarray  # (W, H, 3), in the order of NAMES
    compared: np.ndarray  # (W, H) hours that have the truth and all forecasts

    def errors(self, region: str | None = None) -> np.ndarray:
        """Return (3, 3): of each forecast MAE and RMSE in MWh, and MAPE in percent."""
        counted = self.compared if region is None else self.compared & (self.regions == region)[:, None]
        truth = self.truth[counted][:, None]
        error = self.forecasts[counted] - truth
        return np.stack(
            [
                np.abs(error).mean(axis=0),
                np.sqrt((error.astype(np.float64) ** 2).mean(axis=0)),
                100 * np.abs(error / truth).mean(axis=0),
            ],
            axis=-1,
        )


class Trainer:
    """A model, and what this device needs to train it together with the others of the circle."""

    def __init__(self, options: argparse.Namespace, circle: Circle, scale: Scale) -> None:
        mx.random.seed(options.seed)  # the same on every device: all begin with the same weights
        self.options = options
        self.circle = circle
        self.scale = scale
        self.model = Forecaster(INPUTS, options.width, options.heads, options.layers, LAST_WEEK)
        warm, most = max(options.steps // 10, 1), options.rate
        rates = [optimizers.linear_schedule(most / warm, most, warm), optimizers.cosine_decay(most, options.steps)]
        self.optimizer = optimizers.AdamW(optimizers.join_schedules(rates, [warm]), weight_decay=0.01)

    def shard(self, windows: Windows) -> Shard:
        return windows.shard(self.circle.rank, self.circle.world, self.options.layout)

    def forecast(self, shard: Shard, batch: Any) -> Callable[[Forecaster], mx.array]:
        """Return the function that makes of the model its forecast (B, n) of this device's hours."""
        ring, circle = shard.ring, self.circle
        positions = np.stack([ring.positions(rank) for rank in range(ring.world)])
        # An hour about which nothing is known is not looked at, and neither is padding.
        visible = np.asarray(circle.gather(batch.mask[..., : len(KNOWN)].any(axis=-1)))
        attention = ring_attention(circle, positions, visible, self.options.block)
        rotation = rotations(batch.positions, self.options.width // self.options.heads)
        inputs = self.scale.inputs(batch)
        return lambda model: model(inputs, attention, rotation)

    def step(self, shard: Shard, batch: Any) -> float:
        """Learn from one batch; return the mean absolute error, in standard deviations, over all devices."""
        forecast = self.forecast(shard, batch)
        target = self.scale.target(batch)
        counted = (batch.target_mask[..., 0] & mx.array(batch.own)).astype(mx.float32)
        number = mx.maximum(self.circle.sum(counted.sum()), 1)

        def loss(model: Forecaster) -> mx.array:
            return (mx.abs(forecast(model) - target) * counted).sum() / number

        # By the ring, a device has the gradient of its weights through its own hours for the losses of all devices
        # that looked at them: summed over the devices it is the gradient of the whole loss.
        part, gradients = nn.value_and_grad(self.model, loss)(self.model)
        total, gradients = self.sum_over_devices(part, gradients)
        self.optimizer.update(self.model, gradients)
        mx.eval(self.model.parameters(), self.optimizer.state)
        return float(total.item())

    def sum_over_devices(self, loss: mx.array, gradients: Any) -> tuple[mx.array, Any]:
        """Sum the loss and all gradients, as one message."""
        names, arrays = zip(*tree_flatten(gradients), strict=True)
        message = mx.concatenate([loss[None], *(array.reshape(-1) for array in arrays)])
        ends = np.cumsum([1, *(array.size for array in arrays)])[:-1].tolist()
        total, *sums = mx.split(self.circle.sum(message), ends)
        summed = [one.reshape(array.shape) for one, array in zip(sums, arrays, strict=True)]
        return total[0], tree_unflatten(list(zip(names, summed, strict=True)))

    def judge(self, windows: Windows) -> Judged:
        """Forecast the second half of every window."""
        shard, half = self.shard(windows), windows.length // 2
        parts = []
        for batch, whole in zip(shard.batches(self.options.batch), windows.batches(self.options.batch), strict=True):
            local = self.forecast(shard, batch)(self.model)
            forecast = self.scale.to_mwh(shard.unshard(list(self.circle.gather(local))), batch)
            truth, day_ahead, last_week = np.moveaxis(np.asarray(whole.targets), -1, 0)
            there = np.asarray(whole.target_mask).all(axis=-1) & (truth > 0)
            hours = whole.hours[:, None] + np.arange(1, windows.length + 1)
            forecasts = np.stack([forecast, last_week, day_ahead], axis=-1)
            parts.append((whole.regions, *(x[:, half:] for x in (hours, truth, forecasts, there))))
        return Judged(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def epochs(shard: Shard, size: int, seed: int) -> Iterator[Any]:
    """Yield batches without end, each epoch in another order."""
    for epoch in count():
        yield from shard.batches(size, shuffle=True, seed=seed, epoch=epoch, drop_last=len(shard) > size)


def train(trainer: Trainer, windows: Windows, say: Callable[[str], None]) -> list[float]:
    """Train for the steps asked for; return the loss of each."""
    options = trainer.options
    shard = trainer.shard(windows)
    batches = epochs(shard, options.batch, options.seed)
    losses, waited, tokens = [], 0.0, 0
    start = time.perf_counter()
    for step in range(1, options.steps + 1):
        asked = time.perf_counter()
        batch = next(batches)
        mx.eval(batch.inputs, batch.mask, batch.targets, batch.target_mask)
        waited += time.perf_counter() - asked
        losses.append(trainer.step(shard, batch))
        tokens += len(batch) * windows.length
        if step == 1 or step % max(options.steps // 10, 1) == 0:
            seconds = time.perf_counter() - start
            recent = float(np.mean(losses[-10:]))
            say(f"  step {step:4}  error {recent:.4f} deviations  {tokens / seconds:,.0f} tokens/s")
    seconds = time.perf_counter() - start
    # Linux counts in kilobytes, macOS in bytes.
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    say(
        f"trained {seconds:.1f} s: {tokens / seconds:,.0f} tokens/s, {100 * waited / seconds:.2f} % of it waiting for "
        f"data; peak memory {mx.get_peak_memory() / 1e6:,.0f} MB in arrays, {resident / 1e6:,.0f} MB in all, a device"
    )
    return losses


def report(judged: Judged, say: Callable[[str], None]) -> None:
    """Print the errors, region by region and together."""
    say(f"test: {int(judged.compared.sum()):,} hours that have all three forecasts; MAPE, and MAE and RMSE in MWh")
    say(f"  {'':6}" + "".join(f"{name:>32}" for name in NAMES))
    for region in [*dict.fromkeys(judged.regions.tolist()), None]:
        cells = "".join(f"{f'{mape:.2f} % {mae:8,.0f} {rmse:8,.0f}':>32}" for mae, rmse, mape in judged.errors(region))
        say(f"  {region or 'all':6}{cells}")


def draw(judged: Judged, file: Path, days: int = 10) -> None:
    """Draw the last days of the test of up to three regions."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import dates

    regions = list(dict.fromkeys(judged.regions.tolist()))[:3]
    figure, axes = plt.subplots(
        len(regions), 1, figsize=(11, 2.7 * len(regions) + 0.8), sharex=True, squeeze=False, layout="constrained"
    )
    for region, axis in zip(regions, axes[:, 0], strict=True):
        window = np.flatnonzero(judged.regions == region)[-1]
        hours = judged.hours[window, -24 * days :]
        shown = judged.compared[window, -24 * days :]
        lines = [judged.truth[window, -24 * days :], *judged.forecasts[window, -24 * days :].T]
        styles = [
            ("demand", "black", 1.8, "-"),
            ("model, a day ahead", "tab:red", 1.4, "-"),
            (NAMES[1], "tab:gray", 0.9, ":"),
            (NAMES[2], "tab:blue", 0.9, "--"),
        ]
        for line, (label, color, width, style) in zip(lines, styles, strict=True):
            axis.plot(hours, np.where(shown, line / 1000, np.nan), style, color=color, lw=width, label=label)
        errors = judged.errors(region)[:, 2]
        others = ", ".join(f"{name} {error:.1f} %" for name, error in zip(NAMES[1:], errors[1:], strict=True))
        axis.set_title(f"{region}: over the whole test {errors[0]:.1f} % off ({others})", loc="left", fontsize=10)
        axis.set_ylabel("GWh")
        axis.grid(alpha=0.25)
        axis.margins(x=0)
    axes[-1, 0].xaxis.set_major_locator(dates.DayLocator())
    axes[-1, 0].xaxis.set_major_formatter(dates.ConciseDateFormatter(dates.DayLocator()))
    axes[-1, 0].set_xlabel("hour, UTC")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    options = arguments()
    if importlib.util.find_spec("matplotlib") is None:
        sys.exit("the picture needs matplotlib: pip install -e '.[examples]'")
    circle = Circle()

    def say(text: str) -> None:
        if circle.rank == 0:
            print(text, flush=True)

    regions = options.regions.split(",") if options.regions else None
    try:
        with energywh.open(options.home) as warehouse:
            train_windows, test_windows, scale, since = load(warehouse, regions, options.length, options.test_since)
    except energywh.EnergywhError as error:
        sys.exit(str(error))
    say(
        f"{len(train_windows):,} sequences of {options.length:,} hours to train on, of {', '.join(scale.regions)}; "
        f"test from {since:%Y-%m-%d}; {circle.world} device{'s' * (circle.world > 1)}, {options.layout}"
    )
    trainer = Trainer(options, circle, scale)
    train(trainer, train_windows, say)
    judged = trainer.judge(test_windows)
    report(judged, say)
    if circle.rank == 0:
        draw(judged, options.picture)
    say(f"drawn: {options.picture.resolve()}")


if __name__ == "__main__":
    main()
