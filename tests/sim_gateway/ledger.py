"""What becomes of each value of the plant: a ledger beside an engine, balanced with every tick.

    given  =  scored  +  waiting  +  counted by reason

by asset, row and tag, to the value. Payloads are read here as the plant wrote them, not with the
product's reader. Between two ticks values may wait to be aligned; a tick hands all of them on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.records import MessageReceived, RowsScored, TickDue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge.engine import Engine
    from edge.records import Effect, Stimulus

NOT_TAKEN: Final = ("late", "duplicate", "future", "non_finite")  # what is counted instead
PLANT: Final = "plant/"
MILLISECOND_NS: Final = 1_000_000


class _Columns(msgspec.Struct):
    """What the plant sends. ts: ms; v: a list a time, null: no value."""

    ts: list[int]
    tags: list[str]
    v: list[list[float | None]]


_DECODER: Final = msgspec.json.Decoder(_Columns)


def given(message: MessageReceived) -> list[tuple[int, list[str]]]:
    """(time in ns, tags with a value) of each row; none of what is no message of the plant."""
    if not message.topic.startswith(PLANT):
        return []
    try:
        body = _DECODER.decode(message.payload)
    except msgspec.DecodeError:
        return []
    return [
        (ms * MILLISECOND_NS, [tag for tag, v in zip(body.tags, row, strict=True) if v is not None])
        for ms, row in zip(body.ts, body.v, strict=True)
    ]


@dataclass(slots=True)
class _Book:
    """Of one asset. waits: tags by row; came: since the last tick, in its order."""

    closed_ns: int
    waits: dict[int, set[str]]
    came: list[tuple[int, list[str]]] = field(default_factory=list)
    scored: list[int] = field(default_factory=list)  # rows, since the last tick


class Ledger:
    """Sees what an engine is given and what it gives; `broken` is told what does not add up."""

    def __init__(self, engine: Engine, broken: Callable[[str], None]) -> None:
        """engine: from nothing or from a checkpoint; from there on all is booked."""
        engine.tell_rows()
        self._engine, self._broken = engine, broken
        self._handle_group = engine.handle_group
        self.given = self.scored = self.counted = 0  # values
        self.rows: defaultdict[str, set[int]] = defaultdict(set)  # that were scored
        self._books: dict[str, _Book] = {}
        aligner = engine._aligner
        for asset, state in engine.state.align.assets.items():
            number = aligner.number_of(asset)
            assert number is not None
            tags = {column: tag for tag, column in aligner.layout_of(number).columns.items()}
            there = ~np.isnan(state.values)
            waits = {
                int(t_ns): {tags[int(i)] for i in np.flatnonzero(row)}
                for t_ns, row in zip(state.t_ns, there, strict=True)
            }
            self._books[asset] = _Book(state.closed_ns, waits)
        self._counts = self._count()

    @property
    def waiting(self) -> int:
        """Values of rows that are not closed."""
        return sum(len(tags) for book in self._books.values() for tags in book.waits.values())

    def handle(self, stimulus: Stimulus, *, now_ns: int) -> tuple[Effect, ...]:
        """As the engine's, and what it does is booked."""
        effects = self._handle_group([stimulus], now_ns=now_ns)
        if isinstance(stimulus, MessageReceived):
            self._came(stimulus)
        elif isinstance(stimulus, TickDue):
            for effect in effects:
                if isinstance(effect, RowsScored):
                    self._books[effect.asset].scored += effect.t_ns.tolist()
            self._balance()
        return effects

    def handle_group(self, stimuli: Iterable[Stimulus], *, now_ns: int) -> tuple[Effect, ...]:
        """The same of a group, of which messages that lie together are given together."""
        effects: list[Effect] = []
        for kind, some in groupby(stimuli, type):
            if kind is MessageReceived:
                messages = list(some)
                effects += self._handle_group(messages, now_ns=now_ns)
                for message in messages:
                    self._came(message)
            else:
                for stimulus in some:
                    effects += self.handle(stimulus, now_ns=now_ns)
        return tuple(effects)

    def _came(self, stimulus: Stimulus) -> None:
        assert isinstance(stimulus, MessageReceived)
        book = self._books.get(stimulus.topic.removeprefix(PLANT))
        if book is not None:
            book.came += given(stimulus)

    def _balance(self) -> None:
        """All that came by now waits, was scored, or is counted."""
        counts, before = self._count(), self._counts
        self._counts = counts
        lost = beyond = 0
        for asset, book in self._books.items():
            if book.came or book.scored:
                not_taken, ahead = self._booked(asset, book)
                lost, beyond = lost + not_taken, beyond + ahead
        counted = sum(counts.values()) - sum(before.values())
        self.counted += counted
        told = {name: counts[name] - before[name] for name in NOT_TAKEN}
        if lost != counted:
            self._broken(f"{lost} values were given and not taken, and counted are {told}")
        elif beyond > told["future"]:
            self._broken(f"{beyond} values of rows that were open were not taken: {told}")

    def _booked(self, asset: str, book: _Book) -> tuple[int, int]:
        """Book one asset; returns how many values were not taken, and of how many the row was open.

        What comes behind its row is late, and what its row has already came twice.
        """
        state = self._engine.state.align.assets[asset]
        waiting = set(state.t_ns.tolist())
        there = waiting.union(book.scored)
        lost = beyond = 0
        for t_ns, tags in book.came:
            self.given += len(tags)
            if t_ns <= book.closed_ns or t_ns not in there:
                lost += len(tags)
                beyond += len(tags) if t_ns > book.closed_ns else 0
                continue
            row = book.waits.setdefault(t_ns, set())
            lost += len(row.intersection(tags))
            row.update(tags)
        for t_ns in book.scored:
            if t_ns in self.rows[asset] or t_ns not in book.waits:
                self._broken(f"{asset} has scored {t_ns}, which did not wait")
            self.rows[asset].add(t_ns)
            self.scored += len(book.waits.pop(t_ns, ()))
        if gone := book.waits.keys() ^ waiting:
            self._broken(f"{asset} has neither scored nor kept {sorted(gone)[:4]}")
        values = state.values.size - int(np.isnan(state.values).sum())
        if values != (known := sum(map(len, book.waits.values()))):
            self._broken(f"{asset} was given {known} values that are to wait, and {values} do")
        book.came, book.scored, book.closed_ns = [], [], state.closed_ns
        return lost, beyond

    def _count(self) -> dict[str, int]:
        counts = self._engine._state.align.counts
        return {name: counts.get(name, 0) for name in NOT_TAKEN}
