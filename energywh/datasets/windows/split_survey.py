"""The splits of a dataset before their values are loaded: which hours of which regions each holds, and its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from energywh.datasets.windows.matrix import Axis
from energywh.datasets.windows.survey import Survey
from energywh.datasets.windows.window_starts import Parted


@dataclass(frozen=True)
class Section:
    """A split: the hours that its windows may use, of the regions that may have windows in it.

    Attributes:
        axis: its rows; regions without an hour in it are left out.
        starts: by region of the axis, the rows of the axis at which windows start.
    """

    name: str
    axis: Axis
    starts: list[NDArray[np.int64]]

    @property
    def ends(self) -> NDArray[np.int64]:
        """By region of the axis, the hour after its last, since 1970."""
        return self.axis.first_hour + np.diff(self.axis.offset)

    @property
    def regions(self) -> tuple[str, ...]:
        return self.axis.regions


def sections(survey: Survey, parts: Sequence[Parted]) -> list[Section]:
    """Return the splits: of each part the hours that the survey has in it."""
    return [_section(survey.axis, parted) for parted in parts]


def _section(axis: Axis, parted: Parted) -> Section:
    part = parted.part
    ends = axis.first_hour + np.diff(axis.offset)
    first, end = np.maximum(axis.first_hour, part.first), np.minimum(ends, part.end)
    kept = [region for region in range(len(axis.regions)) if region not in part.without and first[region] < end[region]]
    offset = np.concatenate(([0], np.cumsum(end[kept] - first[kept])))
    clipped = Axis(tuple(axis.regions[region] for region in kept), first[kept], offset)
    # A window's hour is the same in both axes.
    moved = offset[:-1] - first[kept] + axis.first_hour[kept] - axis.offset[kept]
    starts = [parted.starts[region] + by for region, by in zip(kept, moved.tolist(), strict=True)]
    return Section(part.name, clipped, starts)
