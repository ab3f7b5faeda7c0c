"""From a warehouse to training steps: a model of one layer that tells the demand of the next hour."""

import mlx.core as mx
from mlx import nn, optimizers

import energywh

inputs = ["demand_mwh", "demand_lag_24h_mwh", "demand_lag_168h_mwh", "hour_sin", "hour_cos"]
with energywh.open("warehouse") as wh:
    train = wh.windows("features.hourly", target="demand_mwh", features=inputs, length=2160, stride=24)
model, optimizer = nn.Linear(len(inputs), 1), optimizers.Adam(1e-2)


def loss(model, batch):
    error = mx.abs(model(batch.inputs / 1e4)[..., 0] - batch.targets / 1e4)
    return (error * batch.target_mask).sum() / batch.target_mask.sum()


for batch in train.batches(8, shuffle=True, seed=0):
    error, gradients = nn.value_and_grad(model, loss)(model, batch)
    optimizer.update(model, gradients)
    mx.eval(error, model.parameters(), optimizer.state)
    print(f"{1e4 * error.item():,.0f} MWh")
