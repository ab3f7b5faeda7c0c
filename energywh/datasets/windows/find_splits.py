"""Find the windows of each split of a plan, or say why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from energywh.core.warnings import warn
from energywh.core.wording import count
from energywh.datasets.windows.plan import Plan
from energywh.datasets.windows.source import Bound
from energywh.datasets.windows.splits import Shape, Split, Splits, split_time, whole_time
from energywh.datasets.windows.survey import Survey
from energywh.datasets.windows.window_starts import longest_runs, starts
from energywh.errors import UnknownNameError, UsageError, WindowError, did_you_mean


def find_splits(survey: Survey, plan: Plan) -> Splits[Split]:
    """Return the splits in order, each with a window at least; warn of splits that end early.

    Raises:
        UnknownNameError: a region to hold out that does not exist.
        UsageError: all regions held out, or cuts that do not ascend.
        WindowError: histories too short for a window, in all or in a split, or a cut outside of the data.
    """
    if not _filled(survey, plan.shape, whole_time(survey.axis)).windows:
        raise WindowError(_no_window(survey, plan))
    without = held_out(survey.axis.regions, plan.spec.holdout_regions or (), plan.source)
    empty = split_time(survey.axis, plan.shape, plan.spec.cuts, plan.spec.borrow_context, plan.free, without)
    found = Splits(_filled(survey, plan.shape, split) for split in empty)
    for split in found:
        if not split.windows:
            unbroken = survey.whole is not None
            raise WindowError(
                f"the {split.name} split holds no window of "
                f"{count(plan.shape.span, 'unbroken hour' if unbroken else 'hour')} with a target in any region; move "
                "the cuts, take a "
                f"shorter length{', or gaps=' + repr('mask') if unbroken else ''}"
            )
    _report_given_up(survey, plan.shape, [split for split in found if split.given_up])
    return found


def _filled(survey: Survey, shape: Shape, split: Split) -> Split:
    """Return the split with its windows."""
    return replace(split, starts=starts(split, shape, survey.whole, survey.targets_before))


def _no_window(survey: Survey, plan: Plan) -> str:
    """Return why there is no window, with numbers."""
    shape, source = plan.shape, plan.source.name
    runs = longest_runs(survey.axis, survey.whole)
    if max(runs) >= shape.span:
        return (
            f"of the windows of {count(shape.span, 'hour')} that {source} has, a stride of {shape.stride:,} apart, "
            f"none holds a value of {' or '.join(plan.wanted.targets)} to learn from; take a smaller stride"
        )
    shown = ", ".join(f"{name} {run:,}" for name, run in zip(survey.axis.regions, runs, strict=True))
    unbroken = "unbroken " if survey.whole is not None else ""
    less = {"drop": ", fewer features, or gaps='mask'", "split": ", or gaps='mask'"}
    return (
        f"no region of {source} has {count(shape.span, f'{unbroken}hour')}, as length {shape.length:,} and its targets "
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


def _report_given_up(survey: Survey, shape: Shape, shortened: Sequence[Split]) -> None:
    """Warn of splits that end early, with how many windows they have and would have had."""
    if not shortened:
        return
    lost = []
    for split in shortened:
        would_have = _filled(survey, shape, split.unshortened).windows
        lost.append(
            f"{split.name} gives up its last {count(split.given_up, 'hour')} "
            f"({count(split.windows, 'window')} instead of {would_have:,})"
        )
    short = " and ".join(split.lends_to for split in shortened)
    reach = "let inputs reach back into earlier splits with borrow_context=True" + (
        "" if shape.horizon else " (and a horizon)"
    )
    warn(
        f"{', '.join(lost)}: {short} would hold no window of {count(shape.span, 'hour')} otherwise, and no hour is in "
        f"windows of two splits. No window has a target in the hours given up. To keep them, {reach}, take a shorter "
        "length, or move the cuts"
    )
