import mlx.core as mx
from mlx import nn, optimizers

import energywh

with energywh.open("warehouse") as wh:
    columns = ["demand_mwh", "hour_sin", "hour_cos"]
    shape = {"length": 168, "stride": 6, "horizon": 24}
    train, test = wh.windows(
        "features.hourly", features=columns, target="demand_mwh", **shape, splits="2025-07-01", normalize="zscore"
    )
model, optimizer = nn.Linear(168 * len(columns), 24), optimizers.Adam(1e-3)


def error(batch):
    return (mx.abs(model(batch.inputs.flatten(1)) - batch.targets) * batch.target_mask).sum() / batch.target_mask.sum()


for batch in train.batches(32, shuffle=True, seed=0, prefetch=2):
    _, gradients = nn.value_and_grad(model, error)(batch)
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state)

batch = next(iter(test.batches(len(test))))
to_mwh = test.normalization.inverse  # the scaler of train comes with the windows
truth, forecast, last_week = (
    to_mwh(values, columns="demand_mwh", regions=batch.regions) * batch.target_mask
    for values in (batch.targets, model(batch.inputs.flatten(1)), batch.inputs[:, :24, 0])
)
for name, values in (("this model", forecast), ("same hour last week", last_week)):
    print(f"{name}: off by {(mx.abs(values - truth).sum() / truth.sum()).item():.1%}")
