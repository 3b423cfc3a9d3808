"""What a gateway keeps, as its configuration has it: journal, outbox and audit trail, opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.audit.trail import trail_of
from edge.storage.checkpoint import newest_position
from edge.storage.journal_writer import JournalWriter
from edge.storage.outbox import Outbox

if TYPE_CHECKING:
    from pathlib import Path

    from edge.audit.trail import AuditTrail
    from edge.configuration.config import GatewayConfig
    from edge.gateway.world import World

CHECKPOINTS: Final = "checkpoints"


class Stores:
    """Opens each of them, as often as it is asked to. Each raises JournalError."""

    def __init__(self, config: GatewayConfig, world: World, state: Path) -> None:
        """state: the directory of all but the trail."""
        self._config, self._disk, self._clock = config, world.disk, world.clock
        self._state = state

    def journal(self) -> JournalWriter:
        """Behind its last whole record."""
        journal = self._config.journal
        return JournalWriter(
            self._state / "journal",
            trusted=newest_position(self._state / CHECKPOINTS),
            mend=True,
            compress=journal.compress,
            bytes_max=journal.bytes_max,
            days_max=journal.days_max,
            sync_s=journal.sync_s,
            strict=journal.strict,
            syncs=False,
            disk=self._disk,
            clock=self._clock,
        )

    def outbox(self) -> Outbox:
        """With what waits in it."""
        return Outbox(
            self._state / "outbox.sqlite",
            bytes_max=self._config.outbox.bytes_max,
            days_max=self._config.outbox.days_max,
            disk=self._disk,
            clock=self._clock,
        )

    def audit(self) -> AuditTrail:
        """Where the configuration has it; raises ConfigError too."""
        return trail_of(self._config, disk=self._disk, clock=self._clock)
