"""Bugs, each a mistake that somebody could make in a change of one line or two.

Each function is given what is there, and returns what is put in its place.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec

from edge.errors import JournalError
from edge.records import Audited, Decision, Publish, Verdict
from edge.storage.outbox_table import OutboxRow
from edge.verdicts.decide import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from edge.audit.trail import AuditTrail
    from edge.batches import Readings
    from edge.boxes.fencing import Fence
    from edge.brokers.delivery import Delivery
    from edge.brokers.inbox import Inbox, Incoming
    from edge.brokers.link import Link
    from edge.engine import Engine
    from edge.gateway.app import Gateway
    from edge.gateway.durable import Durable
    from edge.gateway.lapse import Lapse
    from edge.records import Effect, Stimulus
    from edge.samples.align import Aligner
    from edge.samples.layouts import AssetLayout
    from edge.storage.journal import Entry, Position
    from edge.storage.journal_writer import JournalWriter
    from edge.storage.outbox import Outbox
    from edge.storage.standby import StandbyOutbox


def acked(_real: Any) -> Any:  # noqa: ANN401
    """Acknowledged before it is written."""

    def take(self: Gateway, stimuli: Sequence[Stimulus], messages: Any = ()) -> None:  # noqa: ANN401
        self._link.ack(messages)
        _real(self, stimuli)

    return take


def unsynced(real: Any) -> Any:  # noqa: ANN401
    """An alert is in the outbox before what it follows from is safe."""

    def keep(self: Durable, effects: Sequence[Effect]) -> None:
        if self.journal is None:
            real(self, effects)
            return
        with mock.patch.object(self.journal, "syncing", return_value=tuple):
            real(self, effects)

    return keep


def audited_late(real: Any) -> Any:  # noqa: ANN401
    """What keeps an alert quiet is audited behind the alert, or not at all."""

    def keep(self: Durable, effects: Sequence[Effect]) -> None:
        real(self, [one for one in effects if not isinstance(one, Audited)])

    return keep


def audit_unsynced(real: Any) -> Any:  # noqa: ANN401
    """The trail is written and not synced."""

    def append(self: AuditTrail, entries: Any) -> Any:  # noqa: ANN401
        with mock.patch.object(self._disk, "sync"):
            return real(self, entries)

    return append


def ahead(real: Any) -> Any:  # noqa: ANN401
    """A checkpoint is kept before what it covers of the journal is safe."""

    def go_on(self: Durable, *args: Any, **more: Any) -> None:  # noqa: ANN401
        if self.journal is None:
            return
        with mock.patch.object(self.journal, "syncing", return_value=tuple):
            real(self, *args, **more)

    return go_on


def one_more(real: Any) -> Any:  # noqa: ANN401
    """A restart skips the first record behind the checkpoint."""

    def read(path: Path, *, after: Position | None = None) -> Iterator[Entry]:
        entries = real(path, after=after)
        if after is not None:
            next(entries, None)
        yield from entries

    return read


def twice(real: Any) -> Any:  # noqa: ANN401
    """A restart takes the whole journal again, whatever the checkpoint covers."""

    def read(path: Path, *, after: Position | None = None) -> Iterator[Entry]:
        assert after is None or after.segment
        yield from real(path)

    return read


def any_key(_real: Any) -> Any:  # noqa: ANN401
    """The outbox keeps what comes, and forgets what stood under the key."""

    def bytes_of(self: Outbox, message: Publish) -> None:
        assert message.key is not None
        self._db.execute(
            "DELETE FROM outbox WHERE topic = ? AND id = ? AND revision = ?",
            (message.topic, *message.key),
        )

    return bytes_of


def not_again(_real: Any) -> Any:  # noqa: ANN401
    """A broker that lost its store is told nothing."""
    return lambda _self: None


def older(real: Any) -> Any:  # noqa: ANN401
    """A broker that lost its store is told the first word of each topic, not the last."""

    def standing(self: Outbox) -> list[OutboxRow]:
        assert real is not None
        rows = self._read(
            "SELECT row, topic, payload, qos, retain FROM outbox WHERE row IN"
            " (SELECT min(row) FROM outbox WHERE retain = 1 GROUP BY topic) ORDER BY row"
        )
        return [OutboxRow.of(row) for row in rows]

    return standing


def one_passed_over(real: Any) -> Any:  # noqa: ANN401
    """One clause that could not be judged, or does not hold, is passed over."""

    def decided(*args: Any, **more: Any) -> Decision:  # noqa: ANN401
        decision: Decision = decide(*args, **more)
        missing = [clause for clause in decision.clauses if clause.outcome is not True]
        if decision.job_id and len(missing) == 1:
            return msgspec.structs.replace(decision, verdict=Verdict.SUPPRESSED)
        return decision

    def made(self: Engine, *args: Any, **more: Any) -> None:  # noqa: ANN401
        real(self, *args, **(more | {"rule": decided}))

    return made


def delivered_when_sent(_real: Any) -> Any:  # noqa: ANN401
    """What was sent counts as delivered before the broker has said so."""

    def send(self: Delivery, row: OutboxRow) -> bool:
        sent: bool = _real(self, row)
        if sent:
            self._outbox.delivered([row.row])
        return sent

    return send


def not_strict(real: Any) -> Any:  # noqa: ANN401
    """`strict` and `sync_s` are read and forgotten."""

    def made(self: JournalWriter, *args: Any, **more: Any) -> None:  # noqa: ANN401
        real(self, *args, **(more | {"strict": False, "sync_s": 1e9}))

    return made


def unknown_holds(real: Any) -> Any:  # noqa: ANN401
    """A clause that nobody could judge counts as one that holds."""

    def decided(*args: Any, **more: Any) -> Decision:  # noqa: ANN401
        decision: Decision = decide(*args, **more)
        if decision.job_id and not any(one.outcome is False for one in decision.clauses):
            return msgspec.structs.replace(decision, verdict=Verdict.SUPPRESSED)
        return decision

    def made(self: Engine, *args: Any, **more: Any) -> None:  # noqa: ANN401
        real(self, *args, **(more | {"rule": decided}))

    return made


def two_at_once(_real: Any) -> Any:  # noqa: ANN401
    """The next revision of a topic leaves before the one before is confirmed."""
    number = itertools.count()
    return lambda topic: f"{topic} {next(number)}"


def kept_unacknowledged(real: Any) -> Any:  # noqa: ANN401
    """What was shed is not acknowledged: the broker keeps its place for ever."""

    def message(self: Link, *args: Any) -> None:  # noqa: ANN401
        with mock.patch.object(self, "ack"):
            real(self, *args)

    return message


def shed_untold(real: Any) -> Any:  # noqa: ANN401
    """What is shed is not counted."""

    def put(self: Inbox, messages: list[Incoming]) -> list[Incoming]:
        real(self, messages)
        return []

    return put


def untold(real: Any) -> Any:  # noqa: ANN401
    """The engine is not told that nothing is durable."""
    return lambda self: real(self)[:0]


def no_leap(_real: Any) -> Any:  # noqa: ANN401
    """Revisions of a lapse count on where they were: another process says them again, otherwise."""
    return lambda *_args, **_more: None


def locked_out(_real: Any) -> Any:  # noqa: ANN401
    """What was opened too late is opened again, and finds itself."""
    return lambda self, _name, work: self.run(work)


def skips_damage(_real: Any) -> Any:  # noqa: ANN401
    """Of a damaged segment only what stands before the damage is kept."""
    return lambda _data, _offset: iter(())


def moody(real: Any) -> Any:  # noqa: ANN401
    """The engine asks something else than its stimuli: here how often it was called."""
    calls = [0]

    def handle(self: Engine, stimuli: Iterable[Stimulus], *, now_ns: int) -> tuple[Effect, ...]:
        calls[0] += 1
        told: tuple[Effect, ...] = real(self, stimuli, now_ns=now_ns + calls[0] % 2 * 1_000_000)
        return told

    return handle


def goes_on(_real: Any) -> Any:  # noqa: ANN401
    """A box that hears of one that replaced it goes on."""
    return lambda _self, _claim: None


def not_kept(_real: Any) -> Any:  # noqa: ANN401
    """What it heard of other boxes is gone with the process."""
    return lambda self, box: setattr(self, "box", box)


def speaks_at_once(real: Any) -> Any:  # noqa: ANN401
    """It speaks before it has heard whether it may."""

    def opened(self: Fence) -> None:
        real(self)
        self.open = self.heard = True

    return opened


def no_memory(_real: Any) -> Any:  # noqa: ANN401
    """What the process before has taken, and could not acknowledge, is taken again."""
    return lambda _self, _journal: None


def quiet_all_the_same(real: Any) -> Any:  # noqa: ANN401
    """What could not be audited is said, and keeps quiet."""

    def settle(self: Durable, audited: Any) -> set[Any]:  # noqa: ANN401
        real(self, audited)
        return set()

    return settle


def texts_unsynced(_real: Any) -> Any:  # noqa: ANN401
    """A checkpoint covers texts that are not safe."""
    return lambda _self: None


def no_doubt(real: Any) -> Any:  # noqa: ANN401
    """While nothing is durable, what was kept quiet stays so; behind a start it is judged."""
    return lambda asset, t_ns, **but: real(asset, t_ns, **but) if but else None


def not_judged(_real: Any) -> Any:  # noqa: ANN401
    """Behind a start and another snapshot, what is quiet waits for its next sample."""
    return lambda *_all, **_named: None


def withheld_said(real: Any) -> Any:  # noqa: ANN401
    """What was withheld waits like any other."""

    def withhold(self: StandbyOutbox, messages: Sequence[Publish]) -> None:
        real(self, messages[:0])

    return withhold


def sync_again(real: Any) -> Any:  # noqa: ANN401
    """A sync behind one that failed is believed."""

    def syncing(self: JournalWriter) -> Callable[[], None]:
        sync = real(self)

        def once_more() -> None:
            self._failed = ""
            sync()

        return once_more

    return syncing


def newest_lost(real: Any) -> Any:  # noqa: ANN401
    """Behind a block that came late, the newest row of the asset's next message is lost."""

    def push(self: Aligner, layout: AssetLayout, told: Readings, *rest: Any, **more: Any) -> None:  # noqa: ANN401
        behind = self.__dict__.setdefault("behind", set())
        if (told.t_ns <= self._state.assets[layout.asset].closed_ns).any():
            behind.add(layout.asset)
        elif layout.asset in behind:
            behind.remove(layout.asset)
            kept = told.t_ns[:-1], told.values[:-1]
            told = dataclasses.replace(told, t_ns=kept[0], values=kept[1])
        real(self, layout, told, *rest, **more)

    return push


def never_dropped(_real: Any) -> Any:  # noqa: ANN401
    """What is beyond a cap stays: a segment of the journal, or a row in memory."""
    return lambda _self: None


def not_given(real: Any) -> Any:  # noqa: ANN401
    """Of a full turn the engine is not given the last one; the journal has it."""

    def give(self: Gateway, stimuli: Sequence[Stimulus], *, now_ns: int) -> None:
        real(self, stimuli[: max(len(stimuli) - 1, 3)], now_ns=now_ns)

    return give


def nothing_given_up(_real: Any) -> Any:  # noqa: ANN401
    """An outbox that is full takes more."""
    return lambda _self, _rows, _size, **_more: []


def moved_all_the_same(real: Any) -> Any:  # noqa: ANN401
    """What waited in memory counts as moved into the outbox, although the disk did not take it."""

    def adopt(self: Outbox, rows: Sequence[tuple[OutboxRow, Any, int]]) -> dict[int, int]:
        try:
            numbers: dict[int, int] = real(self, rows)
        except JournalError:
            return {row.row: row.row for row, _, _ in rows}
        return numbers

    return adopt


def looked_at_once(real: Any) -> Any:  # noqa: ANN401
    """A disk that failed is looked at once, and never again where it still fails."""

    def probe_due(self: Lapse) -> bool:
        due: bool = real(self)
        if due:
            self._probe_due_s = float("inf")
        return due

    return probe_due
