"""Saving: checkpoints are written beside the loop, by a thread of their own.

A whole one of a large plant takes a card many seconds. What an alert needs of the disk must not
wait behind it, and a disk that is slow with it is not one that fails.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from edge.errors import JournalError
from edge.storage.apart import Copied
from edge.storage.checkpoint import Checkpoint, write
from edge.storage.patience import SlowDiskError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.assembly.assembly import Assembly
    from edge.copying import Copying
    from edge.gateway.pace import Pace
    from edge.state import EngineState
    from edge.storage.checkpoint import Packed, Packer
    from edge.storage.disk import Disk
    from edge.storage.journal import Position
    from edge.storage.patience import Patience

# Assets of which states are copied in a turn: three milliseconds, less where a tick is due before
# that is over. Of many more, a part of them.
ASSETS_A_TURN: Final = 100
TURNS_MAX: Final = 32
PIECES: Final = 4  # of a turn: so much of it is copied however late it is
LATE_S: Final = 60.0  # before a checkpoint that is still being written is told as a fault


def as_it_is(assembly: Assembly, at: Position, state: EngineState) -> Checkpoint:
    """A checkpoint of an engine's state at a place of the journal."""
    return Checkpoint(
        position=at,
        fingerprint=assembly.fingerprint_of(state),
        state=state,
        written_by=assembly.version,
    )


class Saving:
    """For one loop, one checkpoint at a time. `trouble` says why the last failed, "" it did not."""

    def __init__(self, packer: Packer, *, patience: Patience, disk: Disk) -> None:
        """patience: of its own; packer: of what is written here."""
        self._packer, self._patience, self._disk = packer, patience, disk
        self._waits: tuple[Packed, Callable[[], None]] | None = None
        self._copying: Copying | None = None
        self._row = 0
        self.trouble = ""

    @property
    def idle(self) -> bool:
        """Whether one may be prepared."""
        return self._waits is None and self._patience.idle

    def prepare(
        self, assembly: Assembly, at: Position, *, texts: Callable[[], None], outbox_row: int
    ) -> None:
        """Begin one of the engine as it is now: `go_on` copies its states.

        at: where the journal stands   texts: what must be safe as well   outbox_row: the newest
        """
        copied = Copied()
        self._copying, state = assembly.engine.copied(copied.keep)
        made = self._packer.begun(as_it_is(assembly, at, state), copied)
        self._waits, self._row = (made, texts), outbox_row
        self._a_turn = max(ASSETS_A_TURN, self._copying.left // TURNS_MAX)

    @property
    def copies(self) -> bool:
        """Whether one was prepared of which not all is copied, or known to be."""
        return self._copying is not None

    def go_on(self, pace: Pace | None) -> bool:
        """Copy some more; returns whether that is all. Then `is_whole` is due.

        pace: of ticks, which are not kept waiting for more than a piece; None: copy all of it.
        """
        assert self._copying is not None, "asked before"
        if pace is None:
            self._copying.finish()
            return True
        begun_s, piece = pace.left_s, -(-self._a_turn // PIECES)
        for copied in range(0, self._a_turn, piece):
            left_s = pace.left_s
            if copied and left_s * copied < (begun_s - left_s) * piece:
                break  # another one would take longer than there is time
            self._copying.more(min(piece, self._a_turn - copied))
        return not self._copying.left

    def is_whole(self) -> None:
        """All of it is copied, and the journal is about to be synced."""
        self._copying = None

    def drop(self) -> None:
        """Nobody wants the one that is being copied; the next one brings everything."""
        if self._copying is not None:
            self._copying.stop()
            self._copying = self._waits = None
            self._packer.forget()

    def begin(self, *, synced: bool) -> None:
        """The journal is synced, or could not be: write what waits for that, if anything does."""
        if self._waits is None or self._copying is not None:
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
        self.drop()
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
