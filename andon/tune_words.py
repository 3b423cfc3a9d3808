"""What `andon tune` says: lines of what was read, learned and decided."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.tuning.command import Tuning
    from edge.tuning.report import Report, Retrieved, Side
    from edge.tuning.thresholds import Moved


def first_lines(report: Report) -> list[str]:
    """What was read, and what retrieval alone makes of it."""
    counted = ", ".join(
        f"{label} {sum(of_asset.values())}" for label, of_asset in report.counts.items()
    )
    return [
        f"Labelled events: {counted}",
        *report.notes,
        f"Retrieval alone: {retrieval_line(report.retrieval)}",
    ]


def retrieval_line(found: Retrieved) -> str:
    """One sentence on the ranking of failure modes that alerts have without learning."""
    if not found.events:
        return "no labelled event names a failure mode, so there is nothing to rank"
    if not found.snapshot_sha256:
        return f"not measured, without --kb ({found.events} events name a failure mode)"
    return (
        f"of {found.events} events that name a failure mode, {found.rang} rang;"
        f" the mode came first in {found.first} ({found.first_share:.0%}), among the first three in"
        f" {found.first_three} ({found.first_three_share:.0%})"
    )


def last_lines(done: Tuning) -> list[str]:
    """What was learned, what it changes, and what became of it."""
    from edge.tuning.command import NEEDS_REASON
    from edge.tuning.report import unproved

    report = done.report
    if done.stage == "needs_reason":
        return [NEEDS_REASON]
    lines = [*unproved(report), *curve_lines(report), *map(moved_line, report.moved)]
    if done.stage == "nothing":
        return [*lines, *report.notes, "Nothing was learned that would change the bundle."]
    assert report.before is not None
    assert report.after is not None
    assert report.before_all is not None
    assert report.after_all is not None
    assert report.alerts_per_day is not None
    held = report.before.faults + report.before.quiet
    every = report.before_all.faults + report.before_all.quiet
    lines += [
        f"On {held} events that were held back:"
        if held
        else f"On all {every} labelled events, none of them held back:",
        f"  before: {side_line(report.before if held else report.before_all)}",
        f"  after:  {side_line(report.after if held else report.after_all)}",
        (
            "Alerts of the process a day, labelled or not:"
            f" {report.alerts_per_day[0]:.3g} before, {report.alerts_per_day[1]:.3g} after"
        ),
    ]
    if report.lost:
        lines.append(f"{len(report.lost)} events that were found before are missed:")
        lines += [f"  {line}" for line in report.lost_lines]
    return [*lines, *verdict_lines(done)]


def curve_lines(report: Report) -> list[str]:
    """The learning curve, and which sizes there were too few labels for."""
    lines = [
        f"With {row.size} windows a class ({', '.join(row.assets)}): {row.accuracy:.0%} right,"
        f" {row.abstained:.0%} abstained, {row.answered:.0%} right of those answered"
        for row in report.curve
    ]
    if report.sizes_skipped and report.heads:
        sizes = ", ".join(map(str, report.sizes_skipped))
        lines.append(f"Too few labelled windows for a point of the curve at {sizes} a class")
    return lines


def moved_line(one: Moved) -> str:
    """What became of one asset's threshold, and why."""
    return f"{one.asset}: threshold {one.shift:+.2f}: {one.because}"


def side_line(one: Side) -> str:
    """One bundle on some labelled events."""
    delay = "none" if math.isnan(one.delay_s_median) else f"{one.delay_s_median:.0f} s"
    return (
        f"found {one.found} of {one.faults} faults (median delay {delay}), {one.quiet_rang} of"
        f" {one.quiet} alerts of nothing rang; named right {one.right} of {one.named}, wrong"
        f" {one.wrong}, no answer {one.abstained}"
    )


def verdict_lines(done: Tuning) -> list[str]:
    """What became of it, and what comes next."""
    report = done.report
    if done.stage == "refused":
        return [
            "Refused, and nothing was written: an event that was found before is missed.",
            'If you mean it, say why with --override "reason"; it is written to the audit trail.',
        ]
    child = report.child_sha256[:12]
    lines = [f"{report.out}: {child}, a child of {report.bundle_sha256[:12]}"]
    if report.lost:
        lines.append(f"It misses what was found before, because: {report.override} (audited)")
    lines.append(f"Next: andon model shadow {report.out}, then andon model promote {report.out}")
    return lines
