"""`andon explain`: an alert once more, from the journal and the artifacts that were kept.

Every sentence, every clause, and whether each citation still stands where it says.
"""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from edge.errors import RecordingError
from edge.records import Publish
from edge.replays.backtest import STEP_NS
from edge.replays.rerun import Rerun
from edge.wire.topics import Topics
from kb.errors import KnowledgeError
from kb.retrieval.cite import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.engine import Engine
    from edge.records import Effect
    from edge.replays.rerun import Kept
    from kb.snapshots.snapshot import Snapshot

NEAREST_MAX: Final = 5
MILLISECOND_NS: Final = 1_000_000
LINE_CHARS_MAX: Final = 600  # of a sentence in a terminal
_ID_TIME: Final = re.compile(r"-(\d{8}T\d{6})\.(\d{3})Z$")
HEADINGS: Final = (
    ("happened", "What happened"),
    ("resembles", "What it resembles"),
    ("considered", "What was considered"),
    ("check_first", "What to check first"),
    ("passage", "What the documents say"),
    ("none", "Documents"),
)
OUTCOMES: Final = {True: "holds", False: "does not hold", None: "could not be judged"}


@dataclass(slots=True)
class Revisions:
    """The revisions of one alert as a replay published them, and every alert's id."""

    alert_id: str
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)  # id -> begin, ms

    def hear(self, payload: bytes) -> None:
        """Take an event payload."""
        event = msgspec.json.decode(payload)
        self.ids.setdefault(event["id"], event["begin_ms"])
        if event["id"] == self.alert_id:
            self.events[event["revision"]] = event


def explain_command(
    alert_id: str, kept: Kept, *, revision: int, as_json: bool, console: Console
) -> None:
    """Explain an alert. revision 0 is the newest.

    Raises RecordingError for an alert or revision that the journal does not bring about.
    """
    rerun = Rerun(kept)
    try:
        heard = _replayed(rerun, alert_id, revision, begin_ns=begin_of(alert_id))
        if not heard.ids and begin_of(alert_id):  # what is there lies before the time that it tells
            rerun.close()
            rerun = Rerun(kept)
            heard = _replayed(rerun, alert_id, revision, begin_ns=0)
        event = _chosen(heard, revision, rerun.notes)
        report = _report(rerun, heard, event)
    finally:
        rerun.close()
    if as_json:
        console.file.write(msgspec.json.format(msgspec.json.encode(report), indent=1).decode())
        console.file.write("\n")
        return
    for line in lines_of(report):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _replayed(rerun: Rerun, alert_id: str, revision: int, *, begin_ns: int) -> Revisions:
    settings = rerun.kept.settings
    events = Topics(settings.prefix, settings.site).event("")
    heard = Revisions(alert_id)

    def look(_engine: Engine, effects: tuple[Effect, ...]) -> bool:
        for effect in effects:
            if isinstance(effect, Publish) and effect.topic.startswith(events):
                heard.hear(effect.payload)
        return revision in heard.events

    with watched(rerun, "replaying the journal") as progress:
        rerun.run(look, begin_ns=begin_ns, step_ns=STEP_NS, progress=progress)
    return heard


@contextmanager
def watched(rerun: Rerun, what: str) -> Iterator[Callable[[int], object]]:
    """A progress bar beside the output, in a terminal only; gives what hears of bytes read."""
    beside = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=beside, disable=not beside.is_terminal) as bar:
        task = bar.add_task(what, total=rerun.total)
        yield lambda done: bar.update(task, completed=done)


def begin_of(alert_id: str) -> int:
    """The plant time that an alert's id tells, ns; 0 where it tells none."""
    found = _ID_TIME.search(alert_id)
    if found is None:
        return 0
    try:
        moment = datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return int(moment.timestamp()) * 1_000_000_000 + int(found[2]) * MILLISECOND_NS


def _chosen(heard: Revisions, revision: int, notes: Sequence[str]) -> dict[str, Any]:
    if not heard.events:
        near = nearest_ids(heard.alert_id, heard.ids)
        tried = f"; the nearest there are {', '.join(near)}" if near else "; it has none at all"
        said = "".join(f". {note}" for note in notes)  # it may have been heard where one lacks
        raise RecordingError(f"no alert {heard.alert_id} in this journal{tried}{said}")
    if revision and revision not in heard.events:
        known = ", ".join(map(str, sorted(heard.events)))
        raise RecordingError(f"{heard.alert_id} has no revision {revision}; it has {known}")
    return heard.events[revision or max(heard.events)]


def nearest_ids(alert_id: str, ids: dict[str, int]) -> list[str]:
    """Ids that somebody may have meant: of that time on that asset, alike in writing, or newest."""
    begin_ms = begin_of(alert_id) // MILLISECOND_NS
    if begin_ms:
        stem = _ID_TIME.sub("", alert_id)
        order = sorted(
            ids,
            key=lambda one: (_ID_TIME.sub("", one) != stem, abs(ids[one] - begin_ms), one),
        )
        return order[:NEAREST_MAX]
    begun = [one for one in ids if one.startswith(alert_id)]
    alike = begun or difflib.get_close_matches(alert_id, ids, NEAREST_MAX, cutoff=0.3)
    asset = f"{alert_id.partition('-')[0]}-"
    newest = sorted(ids, key=lambda one: (not one.startswith(asset), -ids[one], one))
    return (alike or newest)[:NEAREST_MAX]


def _report(rerun: Rerun, heard: Revisions, event: dict[str, Any]) -> dict[str, Any]:
    """The event with what was checked about it."""
    snapshot = rerun.text_of(event["lineage"].get("snapshot_sha256", ""))
    cited = [
        one["citation"]
        for one in (*event["explanation"], *event["resembles"])
        if one["citation"] is not None
    ]
    unresolved = [one for one in cited if not resolves(one, snapshot)]
    return {
        **event,
        "revisions": sorted(heard.events),
        "citations_total": len(cited),
        "citations_resolved": len(cited) - len(unresolved),
        "citations_unresolved": [
            f"{one['doc_id']}@{one['revision']}[{one['start']}:{one['end']}]" for one in unresolved
        ],
        "notes": rerun.notes,
    }


def resolves(citation: dict[str, Any], snapshot: Snapshot | None) -> bool:
    """Whether the cited span of the cited revision is, character by character, the quote."""
    if snapshot is None:
        return False
    try:
        text = snapshot.text(citation["doc_id"], citation["revision"])
    except KnowledgeError:
        return False
    quote: str = citation["quote"]
    return text[citation["start"] : citation["end"]] == quote


def lines_of(report: dict[str, Any]) -> Iterator[str]:
    """The report for a terminal; nothing of a document reaches it unescaped."""
    score = "" if report["score"] is None else f", score {report['score']:.4g}"
    yield (
        f"{report['id']}, revision {report['revision']}:"
        f" {report['decision']}, {report['state']}{score} (threshold {report['threshold']:.4g})"
    )
    for role, heading in HEADINGS:
        sentences = [one for one in report["explanation"] if one["role"] == role]
        if not sentences:
            continue
        yield f"\n{heading}"
        for sentence in sentences:
            yield f"  - {plain(sentence['text'], LINE_CHARS_MAX)}{_where(sentence['citation'])}"
    if report["clauses"]:
        yield "\nClauses"
        for clause in report["clauses"]:
            detail = plain(clause["detail"], LINE_CHARS_MAX)
            yield f"  - {clause['name']}: {OUTCOMES[clause['outcome']]} ({detail})"
    resolved, total = report["citations_resolved"], report["citations_total"]
    named = report["lineage"].get("snapshot_sha256", "")[:12] or "none"
    yield f"\n{resolved} of {total} citations stand word for word in snapshot {named}."
    for place in report["citations_unresolved"]:
        yield f"  not found: {plain(place)}"
    for note in report["notes"]:
        yield f"Note: {note}."


def _where(citation: dict[str, Any] | None) -> str:
    if citation is None:
        return ""
    revision = f"@{citation['revision']}" if citation["revision"] else ""
    span = f"{citation['start']}:{citation['end']}"
    return f"  [{plain(citation['doc_id'])}{plain(revision)} {span}]"
