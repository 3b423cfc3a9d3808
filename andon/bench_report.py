"""What `andon bench` shows: figures and files as tables, and a report with a plot a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from andon.report import Page, Series
from models.bench.results import CncResult, NabResult, SkabResult, TepResult

if TYPE_CHECKING:
    from models.bench.results import Outcome, Plot, Result

POINTS_MAX: Final = 300  # of a plot; each is the highest score of the rows that it stands for
CLIP: Final = 5.0  # thresholds; a score beyond is drawn there
Rows = list[list[object]]

LEADS: Final = {
    "skab": "Rows after the first 400 of each file, on which the detector was fitted.",
    "nab": "One threshold for all files; the first 15 % of each, at most 750 rows, are not scored.",
    "tep": "Fitted on normal operation; a fault begins at row 161 of its file.",
    "cnc": "Fitted on runs with unworn tools, each left out once; each worn run has the mean.",
}


def summary(result: Result) -> list[tuple[str, object]]:
    """Names and values of a benchmark's own figures."""
    if isinstance(result, SkabResult):
        return [
            ("F1", result.f1),
            ("false alarm rate, % of normal rows", result.far),
            ("missing alarm rate, % of anomalous rows", result.mar),
            ("events found", f"{result.events_found} of {result.events_total}"),
            ("of them by an alarm that was on before", result.events_standing),
            ("median delay, rows", result.delay_median_rows),
            ("false episodes per normal hour", result.false_episodes_per_hour),
            ("VUS-PR, mean of files", result.vus_pr),
        ]
    if isinstance(result, NabResult):
        return [
            ("standard", result.standard),
            ("reward low FP rate", result.low_fp),
            ("reward low FN rate", result.low_fn),
            ("threshold", result.threshold),
            ("threshold from", "NAB's rule on these files" if result.chosen else "the command"),
            ("windows found", f"{result.windows_found} of {result.windows_total}"),
            ("VUS-PR, mean of files", result.vus_pr),
        ]
    if isinstance(result, TepResult):
        return [
            ("detection without faults 3, 9, 15", result.detection),
            ("detection, all faults", result.detection_all),
            ("false alarm rate, normal rows held back", result.far),
            ("false alarm rate before the faults", result.far_before_faults),
            ("VUS-PR, mean without faults 3, 9, 15", result.vus_pr),
        ]
    return [("AUC, worn against unworn runs", result.auc)]


def file_table(result: Result) -> tuple[list[str], Rows]:
    """Columns and a row for each file, or run."""
    if isinstance(result, SkabResult):
        columns = ["file", "F1", "FAR %", "MAR %", "found", "delay", "false", "VUS-PR"]
        return columns, [
            [
                f.name,
                f.f1,
                round(f.far, 1),
                round(f.mar, 1),
                f"{f.events_found} of {f.events_total}",
                f.delay_median_rows,
                f.false_episodes,
                f.vus_pr,
            ]
            for f in result.files
        ]
    if isinstance(result, NabResult):
        return ["file", "points", "windows", "found", "false rows", "VUS-PR"], [
            [f.name, f.points, f.windows_total, f.windows_found, f.false_rows, f.vus_pr]
            for f in result.files
        ]
    if isinstance(result, TepResult):
        return ["file", "fault", "flagged", "threshold", "VUS-PR"], [
            [f.name, f.fault or "none", f.flagged, f.threshold, f.vus_pr] for f in result.files
        ]
    return ["run", "tool", "score", "flagged"], [
        [f.name, "worn" if f.worn else "unworn", f.score, f.flagged] for f in result.files
    ]


def errors_of(result: Result) -> list[str]:
    """Files that could not be judged, and why; they count as silence."""
    if isinstance(result, CncResult):
        return list(result.errors)
    return [f"{f.name}: not judged, so silent: {f.error}" for f in result.files if f.error]


def page(benchmark: str, folder: str, outcome: Outcome) -> Page:
    """The whole report of one benchmark run on a folder."""
    result = outcome.result
    report = Page(f"{benchmark.upper()}: {folder}", lead=LEADS[benchmark])
    report.heading("Figures")
    report.table(["figure", "value"], [list(row) for row in summary(result)])
    told = [*result.notes, *errors_of(result)]
    if told:
        report.bullets(told)
    report.heading("By file")
    columns, rows = file_table(result)
    report.table(columns, rows)
    report.heading("Plots")
    report.note(
        f"Each point is the highest score of the rows that it stands for. Scores above {CLIP:g}"
        " thresholds are drawn there. The bars on top: where the labels say anomalous, and where"
        " the alarm is on."
    )
    for plot in outcome.plots:
        _plot(report, plot)
    return report


def _plot(report: Page, plot: Plot) -> None:
    """Score, threshold, truth and alarms of one file over its rows."""
    judged, first = plot.judged, plot.first_row
    scores = judged.scores[first:]
    threshold = judged.threshold if math.isfinite(judged.threshold) else None
    step = max(1, math.ceil(len(scores) / POINTS_MAX))
    starts = np.arange(0, len(scores), step)
    blocks = [scores[a : a + step] for a in starts]
    shown = [float(b[~np.isnan(b)].max()) if (~np.isnan(b)).any() else None for b in blocks]
    if threshold is not None and threshold > 0:
        shown = [None if s is None else min(s, CLIP * threshold) for s in shown]
    top = max([s for s in shown if s is not None] + [threshold or 0.0, 1e-9])

    def bar(ranges: tuple[tuple[int, int], ...], at: float) -> list[float | None]:
        on = np.zeros(len(scores), np.bool_)
        for a, b in ranges:
            on[max(a - first, 0) : max(b - first, 0)] = True
        return [at * top if on[a : a + step].any() else None for a in starts]

    report.lines(
        [float(a) for a in starts],
        [
            Series(name="score", values=shown),
            Series(name="threshold", values=[threshold] * len(starts)),
            Series(name="anomalous", values=bar(plot.truth, 1.12)),
            Series(name="alarm on", values=bar(judged.alarms, 1.06)),
        ],
        title=plot.name,
        x_name="row",
        y_name="score",
        dots=False,
    )
