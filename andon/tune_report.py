"""The report of `andon tune` as one HTML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from andon.report import Page, Series
from andon.tune_words import retrieval_line, verdict_lines

if TYPE_CHECKING:
    from edge.tuning.command import Tuning
    from edge.tuning.report import Report, Side

FIGURES = (
    ("faults", "faults"),
    ("faults found", "found"),
    ("recall", "recall"),
    ("alerts of nothing", "quiet"),
    ("alerts of nothing that rang", "quiet_rang"),
    ("precision of labelled alerts", "precision"),
    ("events that name a failure mode", "named"),
    ("named right", "right"),
    ("named wrong", "wrong"),
    ("no answer", "abstained"),
    ("median delay, s", "delay_s_median"),
)


def page(done: Tuning) -> Page:
    """Retrieval alone, the learning curve, thresholds, before and after, and the verdict."""
    from edge.tuning.report import unproved

    report = done.report
    built = Page("What labels teach", lead=f"Retrieval alone: {retrieval_line(report.retrieval)}.")
    built.note(
        f"Bundle {report.bundle_sha256[:12]}, labels {report.labels_sha256[:12]}, recordings "
        + ", ".join(one[:12] for one in report.recordings)
    )
    if report.because:
        built.text(f"Labels were used because: {report.because}")
    if said := (*report.notes, *unproved(report)):
        built.bullets(said)
    built.heading("Labelled events")
    assets = sorted({asset for of_asset in report.counts.values() for asset in of_asset})
    rows = [
        (label, *(of_asset.get(asset, 0) for asset in assets), report.windows.get(label))
        for label, of_asset in report.counts.items()
    ]
    built.table(("label", *assets, "windows learned from"), rows)
    _curve(built, report)
    _moved(built, report)
    if report.after is not None and report.before is not None:
        _sides(built, report, done)
    return built


def _curve(built: Page, report: Report) -> None:
    for assets in dict.fromkeys(row.assets for row in report.curve):
        rows = [row for row in report.curve if row.assets == assets]
        series = [
            Series(name="right", values=[row.accuracy for row in rows]),
            Series(name="right of those answered", values=[row.answered for row in rows]),
            Series(name="abstained", values=[row.abstained for row in rows]),
        ]
        built.heading(f"Learning curve: {', '.join(assets)}")
        sizes = [float(row.size) for row in rows]
        built.lines(
            sizes, series, title="What more labels bring", x_name="labelled windows a class",
            y_name="share",
        )  # fmt: skip
    if report.sizes_skipped and report.heads:
        built.note(
            f"Too few labelled windows for {', '.join(map(str, report.sizes_skipped))} a class."
        )


def _moved(built: Page, report: Report) -> None:
    if not report.moved:
        return
    built.heading("Thresholds")
    built.table(
        ("asset", "moved by", "why"),
        [(one.asset, one.shift, one.because) for one in report.moved],
    )
    steps = [step for one in report.moved for step in one.steps]
    built.table(
        ("asset", "moved by", "alerts of nothing", "found", "lost", "other alerts a day",
         "within budget"),
        [
            (
                one.asset,
                one.shift,
                one.quiet,
                one.found,
                one.lost,
                one.other_per_day,
                one.within_budget,
            )
            for one in steps
        ],
        caption="What was tried, on events that were learned from",
    )  # fmt: skip


def _sides(built: Page, report: Report, done: Tuning) -> None:
    built.heading("Before and after")
    columns = ("", "before", "after", "before, all", "after, all")
    sides = (report.before, report.after, report.before_all, report.after_all)
    rows: list[tuple[object, ...]] = [
        (name, *(_figure(one, field) for one in sides)) for name, field in FIGURES
    ]
    if report.alerts_per_day is not None:
        rows.append(("alerts of the process a day", None, None, *report.alerts_per_day))
    built.table(
        columns, rows, caption="On events that were held back, and on all that are labelled"
    )
    if report.lost:
        built.heading("Found before, and missed now")
        built.bullets(report.lost_lines)
    built.text(*verdict_lines(done))


def _figure(one: Side | None, field: str) -> object:
    return None if one is None else getattr(one, field)
