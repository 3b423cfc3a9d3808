"""Bugs planted in the product, one at a time, and how many seeds it takes until one is noticed.

    python -m tests.sim_gateway.mutations           all of them
    python -m tests.sim_gateway.mutations acked ..  some, by name

Each is a mistake that somebody could make in a change of one line or two.
"""

from __future__ import annotations

import itertools
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import msgspec

from edge.audit.trail import AuditTrail
from edge.engine import Engine
from edge.gateway import delivery
from edge.gateway.app import Gateway
from edge.gateway.delivery import Delivery
from edge.gateway.durable import Durable
from edge.gateway.inbox import Inbox
from edge.gateway.lapse import Lapse
from edge.gateway.link import Link
from edge.records import Audited, Decision, Publish, Verdict
from edge.storage import mending, restore
from edge.storage.journal_writer import JournalWriter
from edge.storage.outbox import Outbox
from edge.storage.outbox_table import OutboxRow
from edge.storage.patience import Patience
from edge.verdicts.decide import decide
from edge.work import durable
from tests.sim_gateway.life import live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from edge.gateway.inbox import Incoming
    from edge.records import Effect, Stimulus
    from edge.storage.journal import Entry, Position

SEEDS_MAX: Final = 200
FIRST: Final = 100_000  # apart from the seeds that must pass


@contextmanager
def _instead(holder: object, name: str, put: Callable[[Any], Any]) -> Iterator[None]:
    """Another attribute, made from the real one."""
    with mock.patch.object(holder, name, put(getattr(holder, name))):
        yield


def _acked(_real: Any) -> Any:  # noqa: ANN401
    """Acknowledged before it is written."""

    def take(self: Gateway, stimuli: Sequence[Stimulus], messages: Any = ()) -> None:  # noqa: ANN401
        self._link.ack(messages)
        _real(self, stimuli)

    return take


def _unsynced(real: Any) -> Any:  # noqa: ANN401
    """An alert is in the outbox before what it follows from is safe."""

    def keep(self: Durable, effects: Sequence[Effect]) -> None:
        if self.journal is None:
            real(self, effects)
            return
        with mock.patch.object(self.journal, "syncing", return_value=tuple):
            real(self, effects)

    return keep


def _audited_late(real: Any) -> Any:  # noqa: ANN401
    """What keeps an alert quiet is audited behind the alert, or not at all."""

    def keep(self: Durable, effects: Sequence[Effect]) -> None:
        real(self, [one for one in effects if not isinstance(one, Audited)])

    return keep


def _audit_unsynced(real: Any) -> Any:  # noqa: ANN401
    """The trail is written and not synced."""

    def append(self: AuditTrail, entries: Any) -> Any:  # noqa: ANN401
        with mock.patch.object(self._disk, "sync"):
            return real(self, entries)

    return append


def _ahead(real: Any) -> Any:  # noqa: ANN401
    """A checkpoint is kept before what it covers of the journal is safe."""

    def checkpoint(self: Durable, *args: Any, **more: Any) -> None:  # noqa: ANN401
        if self.journal is None:
            return
        with mock.patch.object(self.journal, "syncing", return_value=tuple):
            real(self, *args, **more)

    return checkpoint


def _one_more(real: Any) -> Any:  # noqa: ANN401
    """A restart skips the first record behind the checkpoint."""

    def read(path: Path, *, after: Position | None = None) -> Iterator[Entry]:
        entries = real(path, after=after)
        if after is not None:
            next(entries, None)
        yield from entries

    return read


def _twice(real: Any) -> Any:  # noqa: ANN401
    """A restart takes the whole journal again, whatever the checkpoint covers."""

    def read(path: Path, *, after: Position | None = None) -> Iterator[Entry]:
        assert after is None or after.segment
        yield from real(path)

    return read


def _any_key(_real: Any) -> Any:  # noqa: ANN401
    """The outbox keeps what comes, and forgets what stood under the key."""

    def bytes_of(self: Outbox, message: Publish) -> None:
        assert message.key is not None
        self._db.execute(
            "DELETE FROM outbox WHERE topic = ? AND id = ? AND revision = ?",
            (message.topic, *message.key),
        )

    return bytes_of


def _not_again(_real: Any) -> Any:  # noqa: ANN401
    """A broker that lost its store is told nothing."""
    return lambda _self: None


def _older(real: Any) -> Any:  # noqa: ANN401
    """A broker that lost its store is told the first word of each topic, not the last."""

    def standing(self: Outbox) -> list[OutboxRow]:
        assert real is not None
        rows = self._read(
            "SELECT row, topic, payload, qos, retain FROM outbox WHERE row IN"
            " (SELECT min(row) FROM outbox WHERE retain = 1 GROUP BY topic) ORDER BY row"
        )
        return [OutboxRow.of(row) for row in rows]

    return standing


def _one_passed_over(real: Any) -> Any:  # noqa: ANN401
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


def _delivered_when_sent(_real: Any) -> Any:  # noqa: ANN401
    """What was sent counts as delivered before the broker has said so."""

    def send(self: Delivery, row: OutboxRow) -> bool:
        sent: bool = _real(self, row)
        if sent:
            self._outbox.delivered([row.row])
        return sent

    return send


def _not_strict(real: Any) -> Any:  # noqa: ANN401
    """`strict` and `sync_s` are read and forgotten."""

    def made(self: JournalWriter, *args: Any, **more: Any) -> None:  # noqa: ANN401
        real(self, *args, **(more | {"strict": False, "sync_s": 1e9}))

    return made


def _unknown_holds(real: Any) -> Any:  # noqa: ANN401
    """A clause that nobody could judge counts as one that holds."""

    def decided(*args: Any, **more: Any) -> Decision:  # noqa: ANN401
        decision: Decision = decide(*args, **more)
        if decision.job_id and not any(one.outcome is False for one in decision.clauses):
            return msgspec.structs.replace(decision, verdict=Verdict.SUPPRESSED)
        return decision

    def made(self: Engine, *args: Any, **more: Any) -> None:  # noqa: ANN401
        real(self, *args, **(more | {"rule": decided}))

    return made


def _two_at_once(_real: Any) -> Any:  # noqa: ANN401
    """The next revision of a topic leaves before the one before is confirmed."""
    number = itertools.count()
    return lambda topic: f"{topic} {next(number)}"


def _kept_unacknowledged(real: Any) -> Any:  # noqa: ANN401
    """What was shed is not acknowledged: the broker keeps its place for ever."""

    def message(self: Link, *args: Any) -> None:  # noqa: ANN401
        with mock.patch.object(self, "ack"):
            real(self, *args)

    return message


def _shed_untold(real: Any) -> Any:  # noqa: ANN401
    """What is shed is not counted."""

    def put(self: Inbox, message: Incoming) -> list[Incoming]:
        real(self, message)
        return []

    return put


def _untold(real: Any) -> Any:  # noqa: ANN401
    """The engine is not told that nothing is durable."""
    return lambda self: real(self)[:0]


def _no_leap(_real: Any) -> Any:  # noqa: ANN401
    """Revisions of a lapse count on where they were: another process says them again, otherwise."""
    return lambda *_args, **_more: None


def _locked_out(_real: Any) -> Any:  # noqa: ANN401
    """What was opened too late is opened again, and finds itself."""
    return lambda self, _name, work: self.run(work)


def _skips_damage(_real: Any) -> Any:  # noqa: ANN401
    """Of a damaged segment only what stands before the damage is kept."""
    return lambda _data, _offset: iter(())


def _moody(real: Any) -> Any:  # noqa: ANN401
    """The engine asks something else than its stimuli: here how often it was called."""
    calls = [0]

    def handle(self: Engine, stimulus: Stimulus, *, now_ns: int) -> tuple[Effect, ...]:
        calls[0] += 1
        told: tuple[Effect, ...] = real(self, stimulus, now_ns=now_ns + calls[0] % 2 * 1_000_000)
        return told

    return handle


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug: where it is, and what it puts there."""

    name: str
    holder: object
    attribute: str
    put: Callable[[Any], Any]

    def planted(self) -> AbstractContextManager[None]:
        """While it is there."""
        return _instead(self.holder, self.attribute, self.put)

    def seeds(self, limit: int = SEEDS_MAX) -> tuple[int, str]:
        """(seeds until one fails, why); 0: none of them did."""
        with self.planted():
            for count in range(1, limit + 1):
                if problem := live(FIRST + count).problem:
                    return count, problem
        return 0, ""


MUTATIONS: Final = (
    Mutation("acked before it is journaled", Gateway, "_take", _acked),
    Mutation("outbox before the journal is synced", Durable, "keep", _unsynced),
    Mutation("audited behind the alert", Durable, "keep", _audited_late),
    Mutation("audit not synced", AuditTrail, "_append", _audit_unsynced),
    Mutation("a checkpoint ahead of the journal", Durable, "checkpoint", _ahead),
    Mutation("replay skips a record", restore, "read_journal", _one_more),
    Mutation("replay from the beginning", restore, "read_journal", _twice),
    Mutation("outbox without a check of keys", Outbox, "_bytes_of", _any_key),
    Mutation("nothing said again", Delivery, "say_again", _not_again),
    Mutation("an older word said again", Outbox, "standing", _older),
    Mutation("a clause is passed over", Engine, "__init__", _one_passed_over),
    Mutation("delivered when sent", Delivery, "_send", _delivered_when_sent),
    Mutation("never synced by time", JournalWriter, "__init__", _not_strict),
    Mutation("an unknown clause holds", Engine, "__init__", _unknown_holds),
    Mutation("two revisions in flight", delivery, "whose", _two_at_once),
    Mutation("shed and not acknowledged", Link, "_message", _kept_unacknowledged),
    Mutation("shed and not counted", Inbox, "put", _shed_untold),
    Mutation("a lapse that the engine is not told", Lapse, "told", _untold),
    Mutation("revisions do not leap", durable, "leap", _no_leap),
    Mutation("locked out by itself", Patience, "opened", _locked_out),
    Mutation("whole records behind damage are lost", mending, "salvaged", _skips_damage),
    Mutation("an engine that is not pure", Engine, "handle", _moody),
)
assert len({one.name for one in MUTATIONS}) == len(MUTATIONS)


def main(wanted: Sequence[str]) -> int:
    """Plant each; returns 1 when one stayed unnoticed."""
    missed = 0
    for one in MUTATIONS:
        if wanted and not any(word in one.name for word in wanted):
            continue
        begin_s = time.process_time()
        count, why = one.seeds()
        missed += not count
        took_s = time.process_time() - begin_s
        print(f"{one.name:36} {count or 'never':>5} seeds {took_s:6.1f} s  {why[:110]}", flush=True)
    print(f"{len(MUTATIONS)} planted, {missed} never noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
