"""What a gateway keeps on its disk: journal, outbox, audit trail and checkpoints, in their order.

A stimulus is written before its effects leave. What an alert follows from is synced before the
alert is in the outbox, and what keeps an alert quiet is in the trail before that.

Where the disk does not take it, the gateway goes on without and says so (`lapse`): the engine is
told before anything else, stimuli are counted, alerts and lines of the trail wait in memory, and
as soon as the disk works again they are moved there, the journal goes on in a new segment that
begins with the hole, and a checkpoint carries the state over it.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from edge.audit.trail import must_stay
from edge.errors import JournalError
from edge.gateway.checkpoint_due import CheckpointDue
from edge.gateway.lapse import Lapse, Part
from edge.gateway.redelivery import Redelivery
from edge.gateway.saving import Saving, as_it_is
from edge.gateway.stores import CHECKPOINTS, Stores
from edge.gateway.withheld import QUIETS, withheld
from edge.records import ShellFault
from edge.storage.checkpoint import Packer
from edge.storage.formats import refuse_newer
from edge.storage.journal import Position
from edge.storage.patience import SlowDiskError
from edge.storage.restore import restore, started
from edge.storage.standby import StandbyOutbox
from edge.work.durable import NOT_DURABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from edge.assembly.assembly import Assembly
    from edge.brokers.inbox import Incoming
    from edge.configuration.config import GatewayConfig
    from edge.gateway.faults import Faults
    from edge.gateway.pace import Pace
    from edge.gateway.telemetry import Telemetry
    from edge.gateway.world import World
    from edge.records import Audited, Effect, MessageReceived, Stimulus
    from edge.storage.checkpoint import Packed
    from edge.storage.journal_writer import JournalWriter
    from edge.storage.restore import Restored

T = TypeVar("T")
UNAUDITED_MAX: Final = 10_000  # lines of the trail that wait in memory; 5 MB
CHECKPOINT_S_MAX: Final = 2.0  # at a stop, for one that is being written
STOP_S_MAX: Final = 2.0  # at a stop, for the disk, until all is kept
CLOSE_S_MAX: Final = 1.0  # and for closing it


class Durable:
    """For one loop."""

    def __init__(
        self,
        config: GatewayConfig,
        world: World,
        *,
        faults: Faults,
        conflict: Callable[[str], None],
        generation: int = 1,
    ) -> None:
        """Open everything, as far as the disk lets it.

        conflict: told each key that was decided with two contents; generation: of the box. Raises
        JournalError or ConfigError for what is no trouble of the disk: damage, or another process
        that writes here.
        """
        self._config, self._state = config, config.path(config.journal.dir)
        self._world, self._conflict, self._generation = world, conflict, generation
        self.patience = world.patience()
        self.lapse = Lapse(faults, clock=world.clock, leap=world.leap)
        self.due = CheckpointDue(config.journal, clock=world.clock)
        self._unaudited: list[Audited] = []
        self._restoring = False
        # Decided before the engine knew of a lapse, from what a power cut may take, and kept
        # nowhere: the next process may give the same numbers to something else.
        self.held_back = False
        self._hole_at: Position | None = None  # where one was tried to be written
        journal, checkpoints = self._state / "journal", self._state / CHECKPOINTS
        self._stores = Stores(config, world, self._state)
        refuse_newer(journal=journal, checkpoints=checkpoints)
        self._packer = Packer(checkpoints)
        self._saving = Saving(self._packer, patience=world.patience(), disk=world.disk)
        self._redelivery = Redelivery()
        self.journal = self._opened(Part.JOURNAL, self._stores.journal)
        self.outbox = StandbyOutbox(self._stores.outbox, patience=self.patience)
        self._look_at_outbox()
        self.audit = self._opened(Part.AUDIT, self._stores.audit)
        # behind the last stimulus that the engine is given
        self._taken = self.journal.position if self.journal is not None else Position()
        self._redelivery.remember(journal)

    @property
    def trail_broken(self) -> str:
        """What of the audit trail was changed or damaged when this process opened it; "" nothing.

        Only who finds it tells it: the next process begins behind the record that says so.
        """
        return self.audit.broken if self.audit is not None else ""

    # --- the loop ---

    def take(self, stimuli: Sequence[Stimulus], *, now_ns: int) -> Sequence[Stimulus]:
        """Write a group; returns what the engine is given next, with the news of a lapse first."""
        self._poll()
        news = self.lapse.told()
        group = [*news, *stimuli]
        if self.journal is not None and Part.JOURNAL not in self.lapse.parts:
            try:
                self._write(self.journal, group, now_ns=now_ns)
            except JournalError as error:
                self._lapsed(Part.JOURNAL, error)
        if Part.JOURNAL in self.lapse.parts:
            self.lapse.skipped(len(group))
        return [*news, *self.lapse.told(), *stimuli]

    def _write(self, journal: JournalWriter, group: Sequence[Stimulus], *, now_ns: int) -> None:
        if why := self.patience.busy:
            raise SlowDiskError(why)
        if journal.is_full:
            self.patience.run(journal.roll)
        self._taken = journal.add([(now_ns, one) for one in group])
        if self._config.journal.strict:
            self.patience.run(journal.syncing())
        elif journal.sync_due and self.patience.idle:
            self.patience.start(journal.syncing())

    def keep(self, effects: Sequence[Effect]) -> None:
        """Have on the disk what must be there before anything leaves, or in memory while it fails.

        In restoring without an outbox, what was decided before is not put: nobody could compare it
        with what was published. The broker tells that (`stood`).
        """
        durable, audited = must_stay(effects)
        if not durable and not audited:
            return
        unaudited = self._settle(audited)
        if self._restoring and not self.outbox.has_file:
            return
        for key in self.outbox.put(durable):
            self._conflict(key)
        if unaudited:  # it stands, but is not said: the engine rings it as the next revision
            self.outbox.withhold(withheld(durable, unaudited))
        if self.lapse.untold(Part.JOURNAL) and self.outbox.hold_back(durable):
            self.held_back = True
        self._look_at_outbox()

    def _settle(self, audited: Sequence[Audited]) -> set[tuple[str, int]]:
        """What an alert follows from must not be younger than the alert; then the trail.

        Returns the keys of what would be quiet without standing in the trail.
        """
        if self.journal is not None and Part.JOURNAL not in self.lapse.parts:
            try:
                self.patience.run(self.journal.syncing())
            except JournalError as error:
                self._lapsed(Part.JOURNAL, error)
        if not audited:
            return set()
        trail = self.audit
        if trail is not None and Part.AUDIT not in self.lapse.parts:
            try:
                self.patience.run(lambda: trail.write(audited))
            except JournalError as error:
                self._lapsed(Part.AUDIT, error)
            else:
                return set()
        self._unaudited += audited
        self.lapse.unaudited_lost_total += max(0, len(self._unaudited) - UNAUDITED_MAX)
        del self._unaudited[:-UNAUDITED_MAX]
        return {
            (str(one.facts["alert_id"]), int(one.facts["revision"]))
            for one in audited
            if one.what in QUIETS and "revision" in one.facts
        }

    def fresh(self, messages: Sequence[Incoming], counts: Telemetry) -> list[MessageReceived]:
        """As stimuli, what of a group was not journaled yet; what was is counted."""
        return self._redelivery.fresh(messages, counts)

    def new_session(self) -> None:
        """The broker has forgotten what it sent: nothing of it comes again."""
        self._redelivery.forget()

    def checkpoint(
        self, assembly: Assembly, pace: Pace, texts: Callable[[], None], *, last: bool = False
    ) -> None:
        """Begin to keep the engine as it is now: `go_on`, which a small plant needs once.

        texts: what must be safe before. last: return only when it is done, or takes too long.
        """
        if last:
            self._settled()
        idle = self.patience.idle and self._saving.idle  # in a lapse memory alone has more
        if self.journal is None or self.lapse.parts or not idle:
            return
        self._saving.prepare(assembly, self._taken, texts=texts, outbox_row=self.outbox.newest_row)
        self.due.begun()
        self.go_on(pace)
        if last:
            self._settled()

    def go_on(self, pace: Pace | None) -> bool:
        """Copy more of what the engine was; behind the last it is written. False: nothing is."""
        if not (copies := self._saving.copies) or not self._saving.go_on(pace):
            return copies
        if self.journal is None or self.lapse.parts:
            self._saving.drop()
        elif self.patience.idle:  # else the next turn asks again
            self._saving.is_whole()
            self.patience.start(self.journal.syncing())
            self._poll()
        return True

    @property
    def checkpoint_trouble(self) -> str:
        """Why the last checkpoint failed, "" it did not."""
        return self._saving.trouble

    def _settled(self) -> None:
        """Wait for what is done beside the loop."""
        self.patience.settle(CHECKPOINT_S_MAX)
        self._poll()
        self.go_on(None)
        self.patience.settle(CHECKPOINT_S_MAX)
        self._poll()
        self._saving.settle(CHECKPOINT_S_MAX)
        self._poll()

    def look(
        self,
        assembly: Assembly,
        *,
        moved: Callable[..., None],
        texts: Callable[[], None],
        at_once: bool = False,
    ) -> list[Stimulus]:
        """See whether a disk that failed works again.

        Returns what the engine is to be given, and what stands in the journal already. moved: told
        that rows of the outbox have other numbers; texts: as of `checkpoint`.
        """
        self._poll()
        self._look_at_outbox()
        if not self.lapse.parts or not (at_once or self.lapse.probe_due()) or self.patience.busy:
            return []
        with suppress(JournalError):
            self._recover_trail()
        with suppress(JournalError):
            self._recover_outbox(moved)
        with suppress(JournalError):
            return self._recover_journal(assembly, texts)
        return []

    # --- a lapse ends, each part by itself ---

    def _recover_trail(self) -> None:
        if Part.AUDIT not in self.lapse.parts:
            return
        trail = self.audit or self.patience.opened(Part.AUDIT, self._stores.audit)
        self.audit = trail
        waiting = tuple(self._unaudited)
        self.patience.run(lambda: trail.write(waiting))
        self._unaudited.clear()
        self.lapse.mended(Part.AUDIT)

    def _recover_outbox(self, moved: Callable[..., None]) -> None:
        if Part.OUTBOX not in self.lapse.parts:
            return
        numbers, anew = self.outbox.recover()
        moved(numbers, anew=anew)
        self.lapse.mended(Part.OUTBOX)

    def _recover_journal(self, assembly: Assembly, texts: Callable[[], None]) -> list[Stimulus]:
        """Go on in a new segment that begins with the hole.

        The checkpoint before it carries over what was lived through; it says that nothing was
        durable, until the journal behind it says otherwise: at once, where nothing else has lapsed.
        """
        if Part.JOURNAL not in self.lapse.parts:
            return []
        journal = self.journal or self.patience.opened(Part.JOURNAL, self._stores.journal)
        self.journal = journal
        if self._hole_at is not None:  # it was written and not safe: one hole is told once
            journal.rewind(self._hole_at)
        self.patience.run(journal.resume)
        self._packer.forget()  # nobody knows what of them was written meanwhile
        self._saving.at_once(self._packed(assembly, journal.position), texts=texts)
        over = ShellFault(name=NOT_DURABLE, detail="it is over", active=False, leap=self.lapse.leap)
        began = started(assembly, generation=self._generation)
        is_over = len(self.lapse.parts) == 1
        told: list[Stimulus] = [self.lapse.hole(), began, *([over] if is_over else [])]
        now_ns, self._hole_at = self._world.clock.wall_ns(), journal.position
        journal.add([(now_ns, told[0])])
        self.patience.run(journal.syncing())
        # Only now: who reads that it is over speaks in the revisions of the checkpoint.
        self._taken = journal.add([(now_ns, one) for one in told[1:]])
        self._hole_at = None
        self.lapse.mended(Part.JOURNAL, told=is_over)
        return told

    # --- start and end ---

    def restore(self, assembly: Assembly, *, go_on: Callable[[], bool]) -> Restored:
        """Go on where the journal ends; RestoreBrokenOffError by `go_on`, else JournalError."""
        self._restoring = True
        with self.due:  # what it takes now, the next one would take again
            restored = restore(
                assembly,
                journal=self._state / "journal",
                checkpoints=self._state / CHECKPOINTS,
                keep=self.keep,
                mend=self.journal.mend if self.journal is not None else None,
                disk=self._world.disk,
                go_on=go_on,
                histories=self._packer.histories,
            )
        self._restoring = False
        return restored

    def begins(self, assembly: Assembly) -> list[Stimulus]:
        """What the engine has to be told of the process before, if that ended in a lapse.

        What it said behind the checkpoint stands nowhere: revisions leap once more.
        """
        if not assembly.engine.state.not_durable or self.lapse.parts:
            return []
        why = "the process before ended while it was not durable"
        leap = self._world.leap()
        return [
            ShellFault(name=NOT_DURABLE, detail=why, leap=leap),
            ShellFault(name=NOT_DURABLE, detail="it is over", active=False, leap=leap),
        ]

    def close(self, stack: ExitStack) -> None:
        """Have everything closed when `stack` is unwound, whatever of it fails."""
        stack.callback(self.patience.stop)
        stack.callback(self._saving.stop)
        if self.audit is not None:
            stack.callback(self._close, self.audit.close)
        stack.callback(self._close, self.outbox.close)
        if self.journal is not None:
            stack.callback(self._close, self.journal.close)

    def _close(self, close: Callable[[], None]) -> None:
        """Close one of them; where the disk does not answer in time, the process ends without."""
        # of a lapse it was said that something does not work
        with suppress(JournalError if self.lapse.parts else SlowDiskError):
            self.patience.run(close)

    def hurry(self, *, closes: bool = False) -> None:
        """A stop: wait for the disk no longer than so, in all; safe from a signal handler."""
        until_s = self._world.clock.monotonic_s() + (CLOSE_S_MAX if closes else STOP_S_MAX)
        self.patience.hurry(until_s)
        self._saving.hurry(until_s)

    # --- within ---

    def _packed(self, assembly: Assembly, at: Position) -> Packed:
        return self._packer.packed(as_it_is(assembly, at, assembly.engine.state))

    def _poll(self) -> None:
        """What became of what was done beside the loop."""
        done = self.patience.finished()
        if done is not None:
            self._saving.begin(synced=done.error is None)
            if isinstance(done.error, JournalError):
                self._lapsed(Part.JOURNAL, done.error)
            elif done.error is not None:
                raise done.error
        if (row := self._saving.finished()) is not None:
            self.outbox.covered(row)
            self._look_at_outbox()

    def _look_at_outbox(self) -> None:
        if self.outbox.trouble and Part.OUTBOX not in self.lapse.parts:
            self.lapse.begin(Part.OUTBOX, self.outbox.trouble)

    def _lapsed(self, part: Part, error: JournalError) -> None:
        if isinstance(error.__cause__, BlockingIOError | FileExistsError):
            raise error  # another process writes here
        self.lapse.begin(part, str(error))

    def _opened(self, part: Part, opened: Callable[[], T]) -> T | None:
        """What was opened; None where the disk fails. Raises JournalError for damage."""
        try:
            return opened()
        except JournalError as error:
            if not isinstance(error.__cause__, OSError | sqlite3.Error):
                raise
            self._lapsed(part, error)
            return None
