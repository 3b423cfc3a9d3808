"""What a backtest is fed with: read anew each time, so that months of it are never held at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.recordings.recording import journal_messages, table_messages
from edge.records import RetrievalDone, SnapshotSwapped, Started, TickDue
from edge.replays.backtest import with_ticks
from edge.storage.journal import read_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.recordings.recording import Table
    from edge.records import Stimulus


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Stimuli of a recording. opened: gives them in order, from the first, each time.

    begin_ns, end_ns: of the clock that they were taken by. started: what a live run began with,
    None: it is none. snapshots: hashes that it was taken with. answered: whether it holds what the
    documents answered.
    """

    opened: Callable[[], Iterator[tuple[int, Stimulus]]]
    begin_ns: int
    end_ns: int
    started: Started | None = None
    snapshots: frozenset[str] = frozenset()
    answered: bool = False


def journal_feed(path: Path) -> Feed:
    """A live run's journal as it was; a recording of messages with ticks of our own."""
    started: Started | None = None
    snapshots: set[str] = set()
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
    )


def table_feed(table: Table) -> Feed:
    """A table's rows as a replay sends them."""
    begin_ns, end_ns = (int(t) for t in (table.t_ns.min(), table.t_ns.max()))
    return Feed(opened=lambda: with_ticks(table_messages(table)), begin_ns=begin_ns, end_ns=end_ns)
