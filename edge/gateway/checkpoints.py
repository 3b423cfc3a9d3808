"""Checkpoints of a running gateway: packed between two ticks, written while the loop goes on.

A write and its syncs take as long as a slow disk wants. Until they are through, the checkpoint
before counts, and no other one is begun.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edge.errors import JournalError
from edge.storage.checkpoint import Checkpoint, Packer, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.gateway.assembly import Assembly
    from edge.storage.checkpoint import Packed
    from edge.storage.disk import Disk
    from edge.storage.journal import JournalWriter, Position
    from edge.storage.outbox import Outbox

    Save = Callable[[Path, Checkpoint, Packer, Callable[[Packed], None]], object]


class Checkpoints:
    """Takes checkpoints, one at a time. `trouble`: why the newest failed, "" it did not."""

    def __init__(
        self,
        directory: Path,
        *,
        journal: JournalWriter,
        outbox: Outbox,
        disk: Disk,
        background: bool,
    ) -> None:
        """background: whether writing may go on behind the loop."""
        self.trouble = ""
        self.skipped_total = 0  # that were due while one was still being written
        self._directory, self._packer = directory, Packer(directory)
        self._journal, self._disk = journal, disk
        self._outbox = outbox
        self._background = background
        self._thread: threading.Thread | None = None
        self._failed = ""
        self._covers = 0  # newest row of the outbox when it was packed

    def take(self, assembly: Assembly, position: Position, *, save: Save) -> None:
        """Begin one of the engine as it stands behind `position`.

        save: as `edge.storage.checkpoint.save`. Raises JournalError when the journal cannot be
        synced; a checkpoint that cannot be written is only a `trouble`.
        """
        self.look()
        if self._thread is not None:
            self.skipped_total += 1
            return
        checkpoint = Checkpoint(
            position=position,
            fingerprint=assembly.fingerprint,
            state=assembly.engine.state,
            written_by=assembly.version,
        )
        self._covers = self._outbox.newest_row()
        if not self._background:
            self._journal.sync()  # what it covers must not be younger than it
        self._failed = ""
        try:
            save(self._directory, checkpoint, self._packer, self._hand_over)
        except JournalError as error:  # the journal alone still restores everything, only slower
            self._failed = str(error)
        if self._thread is None:
            self._ended()

    def look(self) -> None:
        """Take note of one that has been written by now."""
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
            self._ended()

    def wait(self, seconds_max: float) -> None:
        """Return when nothing is being written any more, or too late."""
        if self._thread is not None:
            self._thread.join(seconds_max)
            self.look()

    def _hand_over(self, made: Packed) -> None:
        if not self._background:
            write(made, disk=self._disk)
            return
        sync = self._journal.sync_later()
        self._thread = threading.Thread(
            target=self._write, args=(made, sync), name="andon-checkpoint", daemon=True
        )
        self._thread.start()

    def _write(self, made: Packed, sync: Callable[[], None]) -> None:
        try:
            sync()  # what it covers must not be younger than it
            write(made, disk=self._disk)
        except JournalError as error:
            self._failed = str(error)

    def _ended(self) -> None:
        self.trouble = self._failed
        if self._failed:
            self._packer.histories.forget()  # the next one brings everything
        else:
            self._outbox.covered(self._covers)
