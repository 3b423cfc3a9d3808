"""Recordings put through the real engine with a bundle, and what rang of the labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from edge.assembly.assembly import Assembly
from edge.assessment.assess import assess
from edge.assessment.labelled import Span, truth_of
from edge.bundles.training import settings_beside
from edge.errors import RecordingError
from edge.knowledge.retrieve import look_up
from edge.recordings.mapping import load_mapping
from edge.recordings.recording import (
    accepted_rows,
    is_journal,
    journal_messages,
    read_table,
    table_messages,
)
from edge.records import RetrievalDone
from edge.replays.backtest import Backtest, with_ticks
from edge.replays.backtest_command import table_settings
from edge.replays.feed import journal_feed
from edge.storage.journal_table import journal_sha256, readings_by_asset, samples_table
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge.assessment.assess import Episode, FaultOutcome
    from edge.assessment.labelled import Event
    from edge.recordings.recording import Table
    from edge.records import Retrieve, Stimulus
    from edge.settings import GatewaySettings
    from kb.records import Citation, FailureMode, Hit
    from kb.snapshots.snapshot import Snapshot
    from models.bundles.bundle import Bundle

DAY_NS: Final = 86_400 * 10**9
FOUND: Final = "found"

Key = tuple[str, int]  # of an event: alert id and count


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One recording, opened: its stimuli, and the samples of each asset of the bundle in it."""

    path: Path
    sha256: str
    settings: GatewaySettings
    entries: list[tuple[int, Stimulus]]
    tables: dict[str, Table]
    span: Span

    @property
    def days(self) -> float:
        """How long it is."""
        return max(self.span.end_ns - self.span.begin_ns, 1) / DAY_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What one bundle did with one recording.

    ranked: failure modes that retrieval found for each event that rang, best first.
    """

    episodes: list[Episode]
    ranked: dict[Key, tuple[str, ...]] = field(default_factory=dict)

    def outcomes(self, events: Iterable[Event], span: Span) -> dict[str, FaultOutcome]:
        """What became of each event that has to ring, by its id."""
        figures = assess(self.episodes, truth_of(events, span))
        return {outcome.fault_id: outcome for outcome in figures.faults}


def open_recording(
    path: Path, bundle: Bundle, *, config: Path | None = None, mapping: Path | None = None
) -> Recorded:
    """Open a journal or a table. Raises RecordingError where it has no asset of the bundle."""
    models = {model.asset: model for model in bundle.assets}
    if not is_journal(path):
        alone = bundle.assets[0].asset if len(models) == 1 else ""
        found = load_mapping(mapping) if mapping else None
        table = read_table(path, mapping=found, asset=alone)
        tables, sha256 = {table.asset: _forward(table)}, table.sha256
        settings = table_settings(table)
        entries = list(with_ticks(table_messages(table)))
    else:
        settings = settings_beside(path, config)
        sha256 = journal_sha256(path)
        root = Topics(settings.prefix, settings.site).root
        heard = readings_by_asset(
            journal_messages(path), sources=settings.source, root=root, assets=settings.asset
        )
        tables = {
            name: samples_table(
                path,
                settings.of_asset(name),
                heard.readings[name],
                channels=model.channels,
                sha256=sha256,
            )
            for name, model in models.items()
            if name in heard.readings
        }
        entries = list(journal_feed(path).opened())
    known = {name: table for name, table in tables.items() if name in models}
    if not known:
        named = ", ".join(tables) or "none"
        raise RecordingError(f"{path}: it has {named}, the bundle has {', '.join(models)}")
    span = Span(
        begin_ns=min(int(table.t_ns.min()) for table in known.values()),
        end_ns=max(int(table.t_ns.max()) for table in known.values()),
        assets=frozenset(known),
    )
    return Recorded(
        path=path, sha256=sha256, settings=settings, entries=entries, tables=known, span=span
    )


def _forward(table: Table) -> Table:
    """The rows that alignment keeps: those later than all before them."""
    rows = accepted_rows(table)
    return replace(
        table,
        t_ns=table.t_ns[rows],
        values=table.values[rows],
        running=None if table.running is None else table.running[rows],
        mode=None if table.mode is None else table.mode[rows],
    )


def replay(
    recorded: Recorded, bundle: Bundle, *, snapshot: Snapshot | None, retrieve: bool = False
) -> Replay:
    """Put a recording through the engine. retrieve: also answer what it asks the documents.

    Answers change no verdict, so only a run that is asked for its ranking needs them.
    """
    assembly = Assembly(recorded.settings, bundle=bundle, snapshot=snapshot)
    assembly.what_if = True
    hits: dict[str, tuple[Hit, ...]] = {}

    def lookup(effect: Retrieve, now_ns: int) -> RetrievalDone:
        done = look_up(snapshot, effect, now_ns=now_ns)
        hits[effect.alert_id] = done.hits or ()
        return done

    backtest = Backtest(assembly.engine, lookup=lookup if retrieve else None)
    entries = [one for one in recorded.entries if not isinstance(one[1], RetrievalDone)]
    backtest.run(entries)
    episodes = backtest.episodes()
    if not retrieve or snapshot is None:
        return Replay(episodes=episodes)
    known = snapshot.failure_modes()
    ranked: dict[Key, tuple[str, ...]] = {}
    for event in backtest.revisions:
        modes = [one["mode_id"] for one in event["resembles"] if one["kind"] == "failure_mode"]
        if modes and event["active"]:
            found = [*modes, *_searched(hits.get(event["id"], ()), known)]
            ranked[event["id"], event["count"]] = tuple(dict.fromkeys(found))
    return Replay(episodes=episodes, ranked=ranked)


def _searched(hits: Sequence[Hit], known: Sequence[FailureMode]) -> list[str]:
    """Failure modes whose rows a search has found, in its order."""
    return [mode.mode_id for hit in hits for mode in known if _overlap(hit.citation, mode.citation)]


def _overlap(one: Citation, other: Citation) -> bool:
    same = (one.doc_id, one.revision) == (other.doc_id, other.revision)
    return same and one.start < other.end and other.start < one.end
