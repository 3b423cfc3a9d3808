"""Saving: checkpoints are written beside the loop, by a thread of their own.

A whole one of a large plant takes a card many seconds. What an alert needs of the disk must not
wait behind it, and a disk that is slow with it is not one that fails.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from edge.errors import JournalError
from edge.storage.checkpoint import write
from edge.storage.patience import SlowDiskError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.storage.checkpoint import Packed, Packer
    from edge.storage.disk import Disk
    from edge.storage.patience import Patience

LATE_S: Final = 60.0  # before a checkpoint that is still being written is told as a fault


class Saving:
    """For one loop, one checkpoint at a time. `trouble` says why the last failed, "" it did not."""

    def __init__(self, packer: Packer, *, patience: Patience, disk: Disk) -> None:
        """patience: of its own; packer: of what is written here."""
        self._packer, self._patience, self._disk = packer, patience, disk
        self._waits: tuple[Packed, Callable[[], None]] | None = None
        self._row = 0
        self.trouble = ""

    @property
    def idle(self) -> bool:
        """Whether one may be prepared."""
        return self._waits is None and self._patience.idle

    def prepare(self, made: Packed, *, texts: Callable[[], None], outbox_row: int) -> None:
        """Have one ready until the journal is synced up to it; texts: what must be safe as well.

        outbox_row: the newest as it was made.
        """
        self._waits, self._row = (made, texts), outbox_row

    def begin(self, *, synced: bool) -> None:
        """The journal is synced, or could not be: write what waits for that, if anything does."""
        if self._waits is None:
            return
        made, texts = self._waits
        self._waits = None
        if not synced:
            self._packer.forget()  # the next one brings everything
            return

        def save() -> str:
            try:
                texts()
                write(made, disk=self._disk)
            except JournalError as error:  # the journal alone restores everything, only slower
                return str(error)
            return ""

        self._patience.start(save)

    def finished(self) -> int | None:
        """The row of the outbox that a checkpoint covers since the last call; None: none does."""
        done = self._patience.finished()
        if done is None:
            if self._patience.beside_s > LATE_S:
                self.trouble = f"the disk has not taken a checkpoint for {LATE_S:.0f} s or more"
            return None
        if done.error is not None:
            raise done.error
        self.trouble = str(done.result)
        if not self.trouble:
            return self._row
        self._packer.forget()
        return None

    def at_once(self, made: Packed, *, texts: Callable[[], None]) -> None:
        """Write one that holds everything, and return when it is done or takes too long.

        Raises JournalError; not for one that takes too long, which may come yet.
        """
        self._waits = None  # older than this one

        def save() -> None:
            with suppress(JournalError):  # a folder of documents that fails is told as what it is
                texts()
            write(made, disk=self._disk)

        try:
            self._patience.run(save)
        except SlowDiskError:
            self._packer.forget()

    def hurry(self, until_s: float) -> None:
        """Wait for nothing beyond a time."""
        self._patience.hurry(until_s)

    def settle(self, seconds_max: float) -> None:
        """Return when one that was begun is done, or takes too long."""
        self._patience.settle(seconds_max)

    def stop(self) -> None:
        """One that goes on is left: it gets its name as a whole or not at all."""
        self._patience.stop()
