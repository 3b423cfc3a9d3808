"""What a gateway keeps on its disk: journal, outbox, audit trail and checkpoints, in their order.

A stimulus is written before its effects leave. What an alert follows from is synced before the
alert is in the outbox, and what keeps an alert quiet is in the trail before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.audit.trail import must_stay, trail_of
from edge.errors import JournalError
from edge.storage.checkpoint import Checkpoint, save
from edge.storage.journal import JournalWriter
from edge.storage.outbox import Outbox
from edge.storage.restore import otherwise, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from edge.configuration.config import GatewayConfig
    from edge.gateway.assembly import Assembly
    from edge.gateway.world import World
    from edge.records import AlertStands, Effect, Stimulus
    from edge.storage.restore import Restored
    from edge.wire.topics import Topics


class Durable:
    """For one loop. `checkpoint_trouble` says why the last checkpoint failed, "" it did not."""

    def __init__(
        self, config: GatewayConfig, world: World, *, conflict: Callable[[str], None]
    ) -> None:
        """Open everything. conflict: told each key that was decided with two contents.

        Raises JournalError or ConfigError.
        """
        self._state = config.path(config.journal.dir)
        self._disk = world.disk
        self._conflict = conflict
        self.checkpoint_trouble = ""
        self.journal = JournalWriter(
            self._state / "journal",
            bytes_max=config.journal.bytes_max,
            days_max=config.journal.days_max,
            sync_s=config.journal.sync_s,
            strict=config.journal.strict,
            disk=world.disk,
            clock=world.clock,
        )
        self.outbox = Outbox(self._state / "outbox.sqlite", disk=world.disk)
        self.audit = trail_of(config, disk=world.disk, clock=world.clock)
        self._taken = self.journal.position  # behind the last stimulus that the engine is given

    def take(self, stimuli: Sequence[Stimulus], *, now_ns: int) -> None:
        """Write a group that the engine is given next. Raises JournalError."""
        self._taken = self.journal.append([(now_ns, stimulus) for stimulus in stimuli])

    def keep(self, effects: Sequence[Effect]) -> None:
        """Have on the disk what must be there before anything leaves. Raises JournalError."""
        durable, audited = must_stay(effects)
        if durable or audited:
            self.journal.sync()  # what an alert follows from must not be younger than the alert
            self.audit.write(audited)
            for key in self.outbox.put(durable):
                self._conflict(key)

    def checkpoint(self, assembly: Assembly) -> None:
        """Keep the engine as it is now. Raises JournalError when the journal cannot be synced."""
        self.journal.sync()
        checkpoint = Checkpoint(
            position=self._taken, fingerprint=assembly.fingerprint, state=assembly.engine.state
        )
        try:
            save(self._state / "checkpoints", checkpoint, disk=self._disk)
        except JournalError as error:  # the journal alone still restores everything, only slower
            self.checkpoint_trouble = str(error)
            return
        self.checkpoint_trouble = ""
        self.outbox.covered()

    def restore(self, assembly: Assembly) -> Restored:
        """Go on where the journal ends. Raises JournalError."""
        return restore(
            assembly,
            journal=self._state / "journal",
            checkpoints=self._state / "checkpoints",
            keep=self.keep,
            audit=self.audit.write,
        )

    def otherwise(self, assembly: Assembly, topics: Topics) -> tuple[AlertStands, ...]:
        """Where an alert's topic does not hold what the engine says. Raises JournalError."""
        return otherwise(assembly.engine, self.outbox, topics)

    def close(self, stack: ExitStack) -> None:
        """Have everything closed when `stack` is unwound, whatever of it fails."""
        stack.callback(self.audit.close)
        stack.callback(self.outbox.close)
        stack.callback(self.journal.close)
