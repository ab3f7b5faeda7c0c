"""The parts of a plan, and where their windows start; what is said where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from energywh.core.warnings import warn
from energywh.datasets.windows import splits as cutting
from energywh.datasets.windows.plan import Plan
from energywh.datasets.windows.source import Bound
from energywh.datasets.windows.splits import Part, Shape
from energywh.datasets.windows.survey import Survey
from energywh.errors import UnknownNameError, UsageError, WindowError, did_you_mean


@dataclass(frozen=True)
class Parted:
    """A part of time, and by region of the survey the rows at which its windows start."""

    part: Part
    starts: list[NDArray[np.int64]]

    @property
    def windows(self) -> int:
        return sum(map(len, self.starts))


def find_parts(survey: Survey, plan: Plan) -> list[Parted]:
    """Return the parts in order, each with a window at least; warn of parts that end early.

    Raises:
        UnknownNameError: a region to hold out that there is not.
        UsageError: all regions held out, or cuts that do not ascend.
        WindowError: histories too short for a window, in all or in a part, or a cut outside of the data.
    """
    if not any(map(len, _starts(survey, plan.shape, cutting.whole_time(survey.axis)))):
        raise WindowError(_no_window(survey, plan))
    without = held_out(survey.axis.regions, plan.spec.holdout_regions or (), plan.source)
    parts = cutting.parts(survey.axis, plan.shape, plan.spec.cuts, plan.spec.borrow_context, plan.free, without)
    found = [Parted(part, _starts(survey, plan.shape, part)) for part in parts]
    for parted in found:
        if not parted.windows:
            unbroken = survey.whole is not None
            raise WindowError(
                f"the {parted.part.name} part holds no window of {plan.shape.span:,} "
                f"{'unbroken ' if unbroken else ''}hours with a target in any region; move the cuts, take a "
                f"shorter length{', or gaps=' + repr('mask') if unbroken else ''}"
            )
    _report_given_up(survey, plan.shape, [parted for parted in found if parted.part.given_up])
    return found


def _starts(survey: Survey, shape: Shape, part: Part) -> list[NDArray[np.int64]]:
    return cutting.starts(survey.axis, shape, part, survey.whole, survey.told)


def _no_window(survey: Survey, plan: Plan) -> str:
    """Say with numbers why there is no window at all."""
    shape, source = plan.shape, plan.source.name
    runs = cutting.longest_runs(survey.axis, survey.whole)
    if max(runs) >= shape.span:
        return (
            f"of the windows of {shape.span:,} hours that {source} has, a stride of {shape.stride:,} apart, "
            f"none holds a value of {' or '.join(plan.wanted.targets)} to learn from; take a smaller stride"
        )
    shown = ", ".join(f"{name} {run:,}" for name, run in zip(survey.axis.regions, runs, strict=True))
    unbroken = "unbroken " if survey.whole is not None else ""
    less = {"drop": ", fewer features, or gaps='mask'", "split": ", or gaps='mask'"}
    return (
        f"no region of {source} has {shape.span:,} {unbroken}hours, as length {shape.length:,} and its targets "
        f"need; the longest {unbroken}run by region, in hours: {shown}; take a shorter length"
        f"{less.get(plan.spec.gaps, '')}"
    )


def held_out(regions: Sequence[str], holdout_regions: Sequence[str], source: Bound) -> frozenset[int]:
    """Return the numbers of the regions to hold out.

    Raises:
        UnknownNameError: one that is not among the windows' regions.
        UsageError: all of them.
    """
    for region in holdout_regions:
        if region not in regions:
            near = did_you_mean(region, regions) or f"; they are of {', '.join(regions)}"
            raise UnknownNameError(f"the windows of {source.name} have no region '{region}' to hold out{near}")
    if holdout_regions and set(holdout_regions) == set(regions):
        raise UsageError(f"holdout_regions names every region ({', '.join(regions)}): none is left to train on")
    return frozenset(map(regions.index, holdout_regions))


def _report_given_up(survey: Survey, shape: Shape, shortened: Sequence[Parted]) -> None:
    """Warn of parts that end early, with how many windows they have and would have had."""
    if not shortened:
        return
    lost = []
    for parted in shortened:
        would_have = sum(map(len, _starts(survey, shape, parted.part.unshortened)))
        lost.append(
            f"{parted.part.name} gives up its last {parted.part.given_up:,} hours "
            f"({parted.windows:,} windows instead of {would_have:,})"
        )
    short = " and ".join(parted.part.lends_to for parted in shortened)
    reach = "let inputs reach back into earlier parts with borrow_context=True" + (
        "" if shape.horizon else " (and a horizon)"
    )
    warn(
        f"{', '.join(lost)}: {short} would hold no window of {shape.span:,} hours otherwise, and no hour is in windows "
        f"of two parts. No window has a target in the hours given up. To keep them, {reach}, take a shorter length, "
        "or move the cuts"
    )
