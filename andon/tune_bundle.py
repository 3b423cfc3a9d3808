"""The command that learns from labels: `andon tune`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import ConfigFile, MappingFile, console

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from edge.tuning.command import Tuning
    from edge.tuning.report import Report, Retrieved, Side
    from edge.tuning.thresholds import Moved

NEEDS_REASON_CODE = 3  # retrieval alone was shown, and nobody said why that is not enough


Labels = Annotated[Path, typer.Option(help="File of labels, made by `andon label`.", exists=True)]
Recordings = Annotated[
    list[Path],
    typer.Option(help="Journal or table that the labels speak of; may stand again.", exists=True),
]
SnapshotDirectory = Annotated[
    Path | None, typer.Option(help="Snapshot, for what retrieval alone achieves.", exists=True)
]
Because = Annotated[
    str, typer.Option(help="Why retrieval alone is not enough; without it nothing is learned.")
]
Override = Annotated[
    str, typer.Option(help="Why an event that was found before may be missed; it is audited.")
]
Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="New bundle directory; else proposed/ beside BUNDLE."),
]
Trail = Annotated[
    Path | None, typer.Option(help="Trail to write; else tuning-audit beside the new bundle.")
]
At = Annotated[str, typer.Option(help="When it was made, ISO 8601; else when the recordings end.")]


def tune(
    bundle: Annotated[Path, typer.Argument(help="Bundle directory to tune.", exists=True)],
    labels: Labels,
    recording: Recordings,
    kb: SnapshotDirectory = None,
    because: Because = "",
    override: Override = "",
    out: Out = None,
    config: ConfigFile = None,
    mapping: MappingFile = None,
    audit: Trail = None,
    at: At = "",
    seed: Annotated[int, typer.Option(help="Of what is drawn by chance.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML file.")] = None,
) -> None:
    """Learn from labels: name failure modes, and ring less where an alert was nothing.

    First it prints what retrieval alone achieves on the labelled events. Without --because it ends
    there, exit code 3. Then: learning curve, a head that names failure modes or abstains,
    thresholds that keep every labelled fault found, and a report before and after on events that
    were held back. The result is a child bundle for `andon model shadow` and `promote`. Where it
    misses an event that was found before, nothing is written, exit code 1, unless --override says
    why; that is audited.

    Example: `andon tune bundles/line3 --labels labels.jsonl --recording shift7 --kb kb/current
    --because "the tables name the bearing, not which race" --html tuned.html`
    """
    from edge.tuning.command import TuneRequest, tune_bundle

    request = TuneRequest(
        bundle=bundle,
        labels=labels,
        recordings=tuple(recording),
        kb=kb,
        config=config,
        mapping=mapping,
        because=because,
        override=override,
        out=out,
        audit=audit,
        at_ns=_time(at) if at else None,
        seed=seed,
    )
    out_to = console()

    def say(line: str) -> None:
        if not as_json:
            out_to.print(line, highlight=False, markup=False, soft_wrap=True)

    with out_to.status("tuning") if not as_json else _quiet() as status:
        done = tune_bundle(
            request,
            tell=lambda line: status.update(line) if status is not None else None,
            heard=lambda report: say("\n".join(first_lines(report))),
        )
    _write(done, as_json=as_json, html=html, say=say)
    raise typer.Exit({"needs_reason": NEEDS_REASON_CODE, "made": 0}.get(done.stage, 1))


def _quiet() -> AbstractContextManager[None]:
    """No status line: stdout is for the JSON alone."""
    from contextlib import nullcontext

    return nullcontext()


def _time(said: str) -> int:
    from kb.times import iso_ns

    try:
        return iso_ns(said)
    except ValueError as error:
        raise typer.BadParameter(f"--at {said!r}: {error}") from error


def _write(done: Tuning, *, as_json: bool, html: Path | None, say: Callable[[str], None]) -> None:
    report = done.report
    if html is not None:
        from andon.tune_report import page

        page(done).write(html)
    if as_json:
        import msgspec

        told = {"stage": done.stage, **msgspec.to_builtins(report)}
        typer.echo(msgspec.json.format(msgspec.json.encode(told), indent=1).decode())
        return
    for line in last_lines(done):
        say(line)
    if html is not None:
        say(f"Report: {html}")


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
