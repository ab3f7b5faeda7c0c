"""The facts about a dataset that a run records, the same for every tracker."""

from __future__ import annotations

from typing import Any

from energywh.datasets.stored.manifest import Manifest, SplitEntry


def facts(manifest: Manifest) -> dict[str, Any]:
    """Return what all splits share: the digest, the shape of windows, and the version of the warehouse.

    Plain data, with few keys (Weights & Biases shows 100 at most). No text of a query, which may name files of the
    machine.
    """
    request, provenance = manifest.request, manifest.provenance
    return {
        "digest": manifest.digest,
        "length_hours": request.length,
        "stride_hours": request.stride,
        "horizon_hours": request.horizon,
        "gaps": request.gaps,
        "normalize": manifest.scaler["kind"] if manifest.scaler else "none",
        "dtype": request.dtype,
        "models": sorted(provenance.models),
        "warehouse_version": provenance.version,
        "as_of": provenance.as_of,
        "knowledge": provenance.knowledge,
        "energywh": provenance.energywh,
    }


def amounts(split: SplitEntry) -> dict[str, Any]:
    """Return the numbers of rows, windows and values of a split, and its first and last hour."""
    return {
        "rows": split.rows,
        "windows": split.windows,
        "feature_values": split.values,
        "feature_values_missing": split.missing,
        "first_hour_utc": split.first_hour_utc,
        "last_hour_utc": split.last_hour_utc,
    }
