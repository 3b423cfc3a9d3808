"""`andon backtest`: put a recording through the engine, say what rang and what it was worth.

Write a report.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table as Grid

from edge.alerts.load import LoadReport
from edge.assembly.assembly import Assembly, assemble_from
from edge.assessment.assess import Episode, Figures, assess
from edge.assessment.truth import Truth
from edge.audit.signatures import unsigned_because
from edge.bundles.training import refuse_journal_options, refuse_table_options, settings_beside
from edge.bundles.work_times import read_jobs
from edge.configuration.config import need_bundle
from edge.errors import UNREADABLE, RecordingError
from edge.knowledge.retrieve import look_up
from edge.recordings.mapping import load_mapping
from edge.recordings.recording import is_journal, parse_rows, read_table
from edge.records import Job, JobTold, RetrievalDone
from edge.replays.backtest import Backtest
from edge.replays.feed import Hole, journal_feed, table_feed
from edge.replays.row_table import RowTable
from edge.settings import AssetSettings, GatewaySettings, Source
from edge.storage.restore import missing_snapshot, started
from edge.trust import Signs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rich.console import Console

    from edge.recordings.recording import Table
    from edge.records import Effect, Retrieve, Stimulus
    from edge.replays.feed import Feed

SHOWN_MAX = 40  # alert ids in the terminal, and faults that were not found; the report has all


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest writes: figures at the top level, then every alert and suppression."""

    recording: str
    bundle_sha256: str
    snapshot_sha256: str
    seconds: float
    counts: dict[str, int]
    alerts: tuple[Episode, ...]
    suppressions: tuple[Episode, ...]
    load: LoadReport = LoadReport()  # by operator position, in ten minutes
    groups: tuple[dict[str, Any], ...] = ()  # group alerts as they were said last
    holes: tuple[Hole, ...] = ()  # of the journal: the result says nothing of what lay in them


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """What to run. Empty and None are: not given."""

    recording: Path
    bundle: Path
    kb: Path | None = None
    jobs: Path | None = None
    truth: Path | None = None
    rows: str = ""
    report: Path | None = None
    row_flags: Path | None = None
    mapping: Path | None = None
    asset: str = ""
    config: Path | None = None


def backtest_command(request: BacktestRequest, *, console: Console) -> None:
    """Run a backtest from options. Raises AndonError, ModelError or KnowledgeError."""
    recording = request.recording
    truth = _read_truth(request.truth)
    _check_report(request.report)
    need_bundle(request.bundle)
    if is_journal(recording):
        refuse_table_options(
            recording, rows=request.rows, asset=request.asset, mapping=request.mapping
        )
        settings = settings_beside(recording, request.config)
        feed = journal_feed(recording)
    else:
        refuse_journal_options(recording, config=request.config)
        table = read_table(
            recording,
            mapping=load_mapping(request.mapping) if request.mapping else None,
            rows=parse_rows(request.rows) if request.rows else None,
            asset=request.asset,
        )
        truth = truth or table.truth
        settings = table_settings(table)
        feed = table_feed(table)
    assembly = assemble_from(settings, bundle_path=request.bundle, snapshot_path=request.kb)
    _tell_differences(assembly, feed, console)
    assembly.what_if = assembly.snapshot_sha256 not in feed.snapshots
    begin_s = time.monotonic()
    jobs = _jobs(request, settings)
    if request.row_flags is None:
        backtest = _run(assembly, feed, jobs=jobs, console=console)
    else:
        with RowTable(request.row_flags) as rows:
            assembly.engine.tell_rows()
            backtest = _run(assembly, feed, jobs=jobs, console=console, watch=rows.take)
        told = f"{request.row_flags}: {rows.rows} rows, {rows.flagged} of them flagged"
        console.print(told, highlight=False, markup=False, soft_wrap=True)
    for sha256 in sorted(assembly.missing):
        console.print(missing_snapshot(sha256), highlight=False, markup=False)
    episodes = backtest.episodes()
    report = Report(
        recording=str(recording),
        bundle_sha256=assembly.bundle.sha256,
        snapshot_sha256=assembly.snapshot_sha256,
        seconds=round(time.monotonic() - begin_s, 3),
        counts=assembly.engine.counts(),
        alerts=tuple(e for e in episodes if e.rang),
        suppressions=tuple(e for e in episodes if e.suppressed),
        load=backtest.load(),
        groups=tuple({(one["id"], one["count"]): one for one in backtest.groups()}.values()),
        holes=feed.holes,
    )
    figures = assess(episodes, truth) if truth is not None else None
    _show(report, figures, console)
    if request.report is not None:
        request.report.write_bytes(msgspec.json.format(report_bytes(report, figures), indent=1))


def _jobs(request: BacktestRequest, settings: GatewaySettings) -> list[Job]:
    """The jobs of a file; signed where a key of the configuration says so."""
    if request.jobs is None:
        return []
    keys = settings.trust.may_sign(Signs.JOBS)
    lacks = unsigned_because(request.jobs, keys, now_ns=time.time_ns())
    return read_jobs(request.jobs, signed=not lacks)


def report_bytes(report: Report, figures: Figures | None) -> bytes:
    """The report as one JSON object, figures at the top level where the truth is known."""
    body: dict[str, Any] = msgspec.to_builtins(report)
    if figures is not None:
        body |= msgspec.to_builtins(figures)
    return msgspec.json.encode(body)


def table_settings(table: Table) -> GatewaySettings:
    """Settings for a table: its asset as its mapping describes it, witnesses included."""
    asset = AssetSettings(id=table.asset)
    if table.mapping is not None:
        asset = table.mapping.asset_settings(table.asset)
    return GatewaySettings(site="backtest", clock="plant", source=(Source(),), asset=(asset,))


def _run(
    assembly: Assembly,
    feed: Feed,
    *,
    jobs: list[Job],
    console: Console,
    watch: Callable[[Effect, int], None] | None = None,
) -> Backtest:
    def lookup(effect: Retrieve, now_ns: int) -> RetrievalDone:
        return look_up(assembly.snapshot, effect, now_ns=now_ns)

    backtest = Backtest(assembly.engine, lookup=None if feed.answered else lookup, watch=watch)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("backtest", total=max(feed.end_ns - feed.begin_ns, 1))
        entries = _followed(feed.opened(), feed.begin_ns, progress, task)
        backtest.run(_with_jobs(entries, jobs))
    return backtest


def _followed(
    entries: Iterable[tuple[int, Stimulus]], begin_ns: int, progress: Progress, task: TaskID
) -> Iterator[tuple[int, Stimulus]]:
    for i, entry in enumerate(entries):
        if i % 256 == 0:
            progress.update(task, completed=entry[0] - begin_ns)
        yield entry


def _with_jobs(
    entries: Iterable[tuple[int, Stimulus]], jobs: list[Job]
) -> Iterator[tuple[int, Stimulus]]:
    """Each job is told when it was recorded, so that the run knows no more than was known then."""
    waiting = sorted(jobs, key=lambda job: job.recorded_at_ns)
    for now_ns, stimulus in entries:
        while waiting and waiting[0].recorded_at_ns <= now_ns:
            yield now_ns, JobTold(job=waiting.pop(0))
        yield now_ns, stimulus


def _tell_differences(assembly: Assembly, feed: Feed, console: Console) -> None:
    """Say where a live run's journal was taken with something else than it is judged with now."""
    ran = feed.started
    if ran is None:
        return
    ours = started(assembly)
    names = {
        "version": "version of Andon",
        "bundle_sha256": "bundle",
        "snapshot_sha256": "snapshot",
        "settings_sha256": "configuration (--config)",
    }
    other = [text for name, text in names.items() if getattr(ran, name) != getattr(ours, name)]
    if other:
        told = f"The journal was taken with another {', another '.join(other)}: alerts may differ."
        console.print(told, highlight=False, markup=False)


def _check_report(path: Path | None) -> None:
    """A run is long: a place that cannot be written is said before it."""
    if path is not None and not path.parent.is_dir():
        raise RecordingError(f"{path.parent} is no directory: --report needs one to write into")


def _read_truth(path: Path | None) -> Truth | None:
    if path is None:
        return None
    try:
        truth = msgspec.json.decode(path.read_bytes(), type=Truth)
    except (OSError, *UNREADABLE) as error:
        raise RecordingError(f"{path}: no truth file: {error}") from error
    stretches = [
        (truth.begin_ns, truth.end_ns),
        *((fault.begin_ns, fault.end_ns) for fault in truth.faults),
        *((job.begin_ns, job.end_ns) for job in truth.jobs),
        *((cause.begin_ns, cause.end_ns) for cause in truth.causes),
    ]
    for begin_ns, end_ns in stretches:
        if not 0 <= begin_ns <= end_ns < 1 << 63:
            raise RecordingError(
                f"{path}: no truth file: a stretch does not go from one time to a later one;"
                " expected begin_ns and end_ns in ns since 1970"
            )
    return truth


def _show(report: Report, figures: Figures | None, console: Console) -> None:
    rows = _by_alert(report)
    rang = sum(any(e.rang for e in episodes) for episodes in rows)
    title = f"{rang} alerts, {len(rows) - rang} suppressed"
    more = len(rows) - SHOWN_MAX
    if more > 0:
        title += f"; the first {SHOWN_MAX} of them, {more} more in the report (--report FILE)"
    grid = Grid(title=title)
    for name in ("begin", "asset", "of", "decision", "times", "what"):
        grid.add_column(name, no_wrap=name == "begin")
    for episodes in rows[:SHOWN_MAX]:
        last = episodes[-1]
        decisions = dict.fromkeys(e.decision for e in episodes)
        cells = (last.asset, last.track, ", ".join(decisions), str(len(episodes)), last.message)
        grid.add_row(_utc(episodes[0].begin_ns), *map(escape, cells))
    console.print(grid)
    for line in _hole_sentences(report):
        console.print(line, highlight=False, markup=False)
    for line in _load_sentences(report):
        console.print(f"  {line}", highlight=False, markup=False)
    for line in _sentences(figures) if figures is not None else ():
        console.print(f"  {line}", highlight=False, markup=False)


def _hole_sentences(report: Report) -> list[str]:
    """What the result does not cover."""
    lines = [f"The journal lacks {hole}." for hole in report.holes[:SHOWN_MAX]]
    more = len(report.holes) - len(lines)
    if more:
        lines.append(f"{more} more holes are in the report (--report FILE).")
    if lines:
        lines.append("What happened then is not in this result, and alerts after it may differ.")
    return lines


def _by_alert(report: Report) -> list[list[Episode]]:
    """The episodes of each alert id in order of time: one that came again is one row."""
    unique = {(e.alert_id, e.count): e for e in (*report.alerts, *report.suppressions)}
    rows: dict[str, list[Episode]] = {}
    for episode in sorted(unique.values(), key=lambda e: (e.begin_ns, e.count)):
        rows.setdefault(episode.alert_id, []).append(episode)
    return list(rows.values())


def _load_sentences(report: Report) -> list[str]:
    """The alarm load and the floods for a reader; silent where little rang."""
    lines = [f"Group alert: {group['message']}" for group in report.groups[:SHOWN_MAX]]
    lines += [
        f"Alarm load{f' of {one.position}' if one.position else ''}: {one.rings} rings, at most "
        f"{one.peak_10_min} in ten minutes, {one.flood_share:.0%} of the time in flood"
        for one in report.load.load
        if one.flood_share > 0.0
    ]
    if report.load.chattering:
        lines.append(f"Chattering: {', '.join(report.load.chattering[:SHOWN_MAX])}")
    return lines


def _sentences(figures: Figures) -> list[str]:
    """The figures for a reader; definitions stand in edge/assessment/assess.py."""
    delay = figures.delay_median_s
    lines = [
        f"Faults: {figures.faults_total}",
        f"  found: {figures.faults_found}",
        f"  missed (an event opened, but nothing rang in time): {figures.faults_missed}",
        f"  not detected (no event opened): {figures.faults_undetected}",
        "Median delay of those found: " + ("none was found" if delay is None else f"{delay:.0f} s"),
        f"False alarms a day: {figures.false_alarms_per_day:.1f}",
    ]
    if figures.jobs_witnessed:
        lines.append(
            f"Alarms of the {figures.jobs_witnessed} witnessed jobs: "
            f"{figures.calibration_false_alarms_without_kb} without records, "
            f"{figures.calibration_false_alarms_with_kb} with them"
        )
    wrong = figures.wrong_suppressions
    lines.append(f"Suppressions, repeats counted: {figures.suppressions}, of them wrong: {wrong}")
    others = [fault for fault in figures.faults if fault.outcome != "found"]
    said = {"missed": "Missed", "undetected": "Not detected"}
    lines += [
        f"{said[fault.outcome]}: {fault.fault_id}, {fault.kind}, of {fault.asset}"
        for fault in others[:SHOWN_MAX]
    ]
    if len(others) > SHOWN_MAX:
        lines.append(f"{len(others) - SHOWN_MAX} more in the report (--report FILE)")
    return lines


def _utc(t_ns: int) -> str:
    return f"{datetime.fromtimestamp(t_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}"
