"""The report of `andon eval suppression`: what was measured, as tables and plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from andon.report import Page, Series

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAD: Final = (
    "Simulated shifts with known faults and known work, each run without knowledge and with it."
    " Rung is what an operator hears, ALERT or ANNOTATED. A fault is missed when an event of it"
    " opened and nothing rang in time."
)


def page(result: Mapping[str, Any]) -> Page:
    """The whole report of one evaluation's result."""
    messy = ", messy records" if result["messy"] else ""
    title = f"Suppression: {', '.join(result['cells'])}, seeds {result['seeds']}{messy}"
    report = Page(title, lead=LEAD)
    _alarms(report, result)
    _endings(report, result)
    _baselines(report, result)
    _attacks(report, result)
    for name, key in (("By asset", "by_asset"), ("By shift", "by_shift")):
        groups = result[key]
        report.heading(name)
        rows = [[group, counts["without"], counts["with"]] for group, counts in groups.items()]
        report.table([name.lower(), "false alarms without", "with"], rows)
    return report


def _alarms(report: Page, result: Mapping[str, Any]) -> None:
    names = ["of witnessed jobs", "of all causes"]
    without = [result["false_alarms_without"], result["false_alarms_total_without"]]
    with_ = [result["false_alarms_with"], result["false_alarms_total_with"]]
    report.heading("False alarms")
    report.bars(
        names,
        [
            Series(name="without knowledge", values=without),
            Series(name="with knowledge", values=with_),
        ],
        title="False alarms that an operator hears",
    )
    counts = (
        "jobs_total", "jobs_witnessed", "faults_total", "faults_found", "faults_missed",
        "faults_undetected", "suppressions", "suppressions_wrong", "suppression_precision",
        "faults_missed_share_max_95",
    )  # fmt: skip
    cells = result["by_cell"]
    rows = [
        [name.replace("_", " "), *(cells[cell].get(name) for cell in cells), result[name]]
        for name in counts
    ]
    report.table(["", *cells, "all"], rows)
    if result["missed"]:
        report.bullets([f"missed: {line}" for line in result["missed"]])
    explained = result["explanation"]
    if explained.get("alerts"):
        report.text(
            f"Of {explained['alerts']} alerts about faults, the explanation named the right failure"
            f" mode first in {explained['mode_first']}, among three in {explained['mode_top_3']}."
        )


def _endings(report: Page, result: Mapping[str, Any]) -> None:
    report.heading("How the alarms of work ended")
    operator = result["operator"]
    report.text(
        f"The simulated operator confirms a proposal {operator['delay_s']:g} s after work and"
        f" proposal are there, and {operator['wrong_rate']:.0%} of those that nobody works on:"
        f" {result['taps']} confirmed, {result['taps_wrong']} of them wrongly."
    )
    levels = result["job_alarms"]
    kinds = list(next(iter(levels.values()), {}))
    rows = [[level.replace("_", " "), *counts.values()] for level, counts in levels.items()]
    report.table(["told", *kinds], rows)
    report.bars(
        [level.replace("_", " ") for level in levels],
        [Series(name=kind, values=[counts[kind] for counts in levels.values()]) for kind in kinds],
        title="Alarms of work, by what Andon is told",
    )


def _baselines(report: Page, result: Mapping[str, Any]) -> None:
    report.heading("Simpler rules, and the ceiling")
    rules = result["baselines"]
    rows = [[name, *rule.values()] for name, rule in rules.items()]
    ours = [
        result["false_alarms_with"],
        result["false_alarms_total_with"],
        result["faults_missed"],
    ]
    report.table(
        ["rule", "false alarms of witnessed jobs", "of all causes", "faults missed"],
        [*rows, ["Andon", *ours]],
    )
    report.note(
        "window: quiet when any text speaks of work within an hour; similarity: quiet when a record"
        " of work is like the event's words; oracle: quiet exactly when it should be."
    )


def _attacks(report: Page, result: Mapping[str, Any]) -> None:
    if not result["adversarial_total"]:
        return
    report.heading("Attacks")
    report.text(
        f"{result['adversarial_total']} variants of an honest job with one thing wrong:"
        f" {result['adversarial_wrong']} wrongly suppressed or rung too late,"
        f" {result['adversarial_unheard']} opened no event. Of {result['honest_total']} honest"
        f" twins {result['honest_suppressed']} were suppressed."
    )
    if result["ablation"]:
        left_out = [[clause, *counts.values()] for clause, counts in result["ablation"].items()]
        report.table(["without the clause", "attacks", "get through"], left_out)
    rows = [[family, *counts.values()] for family, counts in result["adversarial"].items()]
    report.table(["family", "total", "heard", "suppressed at some time", "wrong"], rows)
