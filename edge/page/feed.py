"""Server-sent events: what changed on the board, at most some times a second, resumed by id.

A stream holds no queue. Whoever is slow, or was away, gets what changed since the id that it heard
last, each row once; an id of another process, or one too old, gets everything.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from edge.page.board import Board, Changes

UPDATES_PER_S: Final = 5
BEAT_S: Final = 15.0  # a comment when nothing changes, so that a dead connection is noticed
RETRY_MS: Final = 1_000  # after which a browser comes back
STREAMS_MAX: Final = 200


class Pulse:
    """Wakes everybody who waits for the next change."""

    def __init__(self) -> None:
        self._next: asyncio.Event = asyncio.Event()

    def beat(self) -> None:
        """Something changed."""
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    async def wait(self, seconds: float) -> None:
        """Return at the next change, or after some time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._next.wait(), seconds)


class Feed:
    """Streams of one board. epoch: names this process; ids of another mean nothing here."""

    def __init__(self, board: Board, pulse: Pulse, *, epoch: str) -> None:
        self._board, self._pulse, self._epoch = board, pulse, epoch
        self.streams = 0
        self.stopping = False

    @property
    def full(self) -> bool:
        """Whether there is room for no further stream."""
        return self.streams >= STREAMS_MAX

    async def stream(self, last_id: str) -> AsyncIterator[bytes]:
        """Events for one browser, until it goes or we do."""
        self.streams += 1
        version = self._version(last_id)
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            while not self.stopping:
                changes = self._board.since(version)
                version = changes.version
                if changes.some:
                    yield self._event(changes)
                    await asyncio.sleep(1 / UPDATES_PER_S)
                if self._board.version == version and not self.stopping:
                    await self._pulse.wait(BEAT_S)
                    if self._board.version == version:
                        yield b": still here\n\n"
        finally:
            self.streams -= 1

    def _version(self, last_id: str) -> int | None:
        epoch, _, version = last_id.partition("-")
        return int(version) if epoch == self._epoch and version.isdecimal() else None

    def _event(self, changes: Changes) -> bytes:
        kind = b"all" if changes.whole else b"some"
        head = f"id: {self._epoch}-{changes.version}\n".encode()
        return head + b"event: " + kind + b"\ndata: " + changes.encoded() + b"\n\n"
