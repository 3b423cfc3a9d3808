"""What a backtest is fed with: read anew each time, so that months of it are never held at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from edge.alerts.explain import clock_text
from edge.recordings.recording import journal_messages, table_messages
from edge.records import (
    JournalHole,
    RetrievalDone,
    ShellFault,
    SnapshotSwapped,
    Started,
    TickDue,
)
from edge.replays.backtest import with_ticks
from edge.storage.journal import read_journal
from edge.storage.mending import losses_told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.recordings.recording import Table
    from edge.records import Stimulus


_CUT: Final = re.compile(r" \.\.\. \((\d+) segments\)$")  # an alert that is too long to name all


class Hole(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal lacks, between two times of the wall clock; None: not known.

    stimuli: messages, ticks and others that the engine had all the same. lost_bytes: of a segment.
    """

    from_ns: int | None
    to_ns: int | None
    because: str
    stimuli: int | None = None
    lost_bytes: int | None = None

    def __str__(self) -> str:
        begin, end = (
            "a time not known" if t is None else clock_text(t) for t in (self.from_ns, self.to_ns)
        )
        size = f"{self.stimuli} stimuli " if self.stimuli is not None else ""
        size = f"{self.lost_bytes} B " if self.lost_bytes else size
        return f"{size}between {begin} and {end} of the wall clock ({self.because})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Stimuli of a recording. opened: gives them in order, from the first, each time.

    begin_ns, end_ns: of the clock that they were taken by. started: what a live run began with,
    None: it is none. snapshots: hashes that it was taken with. answered: whether it holds what the
    documents answered. holes: what it lacks.
    """

    opened: Callable[[], Iterator[tuple[int, Stimulus]]]
    begin_ns: int
    end_ns: int
    started: Started | None = None
    snapshots: frozenset[str] = frozenset()
    answered: bool = False
    holes: tuple[Hole, ...] = ()


def journal_feed(path: Path) -> Feed:
    """A live run's journal as it was; a recording of messages with ticks of our own."""
    started: Started | None = None
    snapshots: set[str] = set()
    holes: list[Hole] = []
    answered = ticks = False
    begin_ns = end_ns = 0
    for entry in read_journal(path):
        begin_ns, end_ns = begin_ns or entry.now_ns, max(end_ns, entry.now_ns)
        match entry.stimulus:
            case Started() as one:
                started = started or one
                snapshots.add(one.snapshot_sha256)
            case SnapshotSwapped() as swapped:
                snapshots.add(swapped.snapshot_sha256)
            case RetrievalDone():
                answered = True
            case TickDue():
                ticks = True
            case JournalHole() | ShellFault() as told:
                holes += _holes(told, entry.now_ns)

    def opened() -> Iterator[tuple[int, Stimulus]]:
        if not ticks:
            return with_ticks(journal_messages(path))
        return ((entry.now_ns, entry.stimulus) for entry in read_journal(path))

    return Feed(
        opened=opened,
        begin_ns=begin_ns,
        end_ns=end_ns,
        started=started,
        snapshots=frozenset(snapshots),
        answered=answered,
        holes=tuple(dict.fromkeys(holes)),
    )


def _holes(told: JournalHole | ShellFault, now_ns: int) -> list[Hole]:
    """What a lapse, a damaged segment or a bound of the journal has cost."""
    if isinstance(told, JournalHole):
        return [
            Hole(from_ns=told.from_ns, to_ns=told.to_ns, stimuli=told.stimuli, because=told.because)
        ]
    if not told.active or told.name not in ("journal_damaged", "journal_gap"):
        return []
    found = [
        Hole(
            from_ns=loss.after_ns,
            to_ns=loss.before_ns,
            lost_bytes=loss.lost_bytes or None,
            because=f"{loss.segment}: {loss.why}",
        )
        for loss in losses_told(told.detail)
    ]
    if told.name == "journal_damaged" and (cut := _CUT.search(told.detail)):
        more = int(cut[1]) - len(found)
        found.append(Hole(from_ns=None, to_ns=now_ns, because=f"{more} more damaged segments"))
    return found or [Hole(from_ns=None, to_ns=now_ns, because=told.detail)]


def table_feed(table: Table) -> Feed:
    """A table's rows as a replay sends them."""
    begin_ns, end_ns = (int(t) for t in (table.t_ns.min(), table.t_ns.max()))
    return Feed(opened=lambda: with_ticks(table_messages(table)), begin_ns=begin_ns, end_ns=end_ns)
