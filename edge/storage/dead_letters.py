"""Dead letters: messages that could not be read, kept for whoever mends their sender.

JSON lines in two files, the newer of which becomes the older when it is full, so that disk is
bounded. Nothing depends on them: they are never synced, more than can be written is dropped and
counted, and a disk that fails is tried again a minute later. Writing is done beside the loop.
"""

from __future__ import annotations

import base64
from collections import deque
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE, JournalError
from edge.storage.disk import DISK, write_whole
from edge.storage.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.records import DeadLetter
    from edge.storage.disk import Disk

NEWER: Final = "newer.jsonl"
OLDER: Final = "older.jsonl"
FILE_BYTES_MAX: Final = 4 << 20
WAITING_MAX: Final = 256  # letters until the next write, a second later
FAILED_S: Final = 60.0  # before a disk that failed is tried again
STOP_S_MAX: Final = 1.0  # at a stop, for what waits
LINE_BYTES_MAX: Final = 1 << 16  # of a file that somebody else may have changed


class LetterLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: when it came, on which topic, why it could not be read, and how it begins."""

    time: str
    t_ns: int
    topic: str
    reason: str
    size_bytes: int
    payload: str  # base64 of its beginning

    @property
    def beginning(self) -> bytes:
        """The payload as far as it was kept."""
        return base64.b64decode(self.payload)


class DeadLetters:
    """Keeps letters in a directory. `put` never blocks, and no failing disk raises here."""

    def __init__(
        self, folder: Path, *, patience: Patience | None = None, disk: Disk = DISK
    ) -> None:
        """patience: of its own, which writes."""
        self._folder, self._disk = folder, disk
        self._patience = patience or Patience()
        self._waiting: deque[bytes] = deque()
        self._failed_s: float | None = None
        self.written = self.dropped = 0

    def put(self, letter: DeadLetter) -> None:
        """Take one, to be written soon."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        moment = datetime.fromtimestamp(letter.t_ns / 1e9, UTC)
        line = LetterLine(
            time=moment.isoformat(timespec="milliseconds"),
            t_ns=letter.t_ns,
            topic=letter.topic,
            reason=letter.reason,
            size_bytes=letter.size_bytes,
            payload=base64.b64encode(letter.payload).decode(),
        )
        self._waiting.append(msgspec.json.encode(line) + b"\n")

    def turn(self, now_s: float) -> None:
        """Write what waits, beside the loop; once a second is enough."""
        done = self._patience.finished()
        if done is not None and done.error is not None:  # what a disk refuses is counted instead
            raise done.error
        if not self._waiting or not self._patience.idle:
            return
        if self._failed_s is not None and now_s - self._failed_s < FAILED_S:
            return
        self._patience.start(lambda: self._write(now_s))

    def stop(self) -> None:
        """Write what waits, in a second at most."""
        self.turn(0.0 if self._failed_s is None else self._failed_s)
        self._patience.settle(STOP_S_MAX)
        self._patience.stop()

    def _write(self, now_s: float) -> None:
        lines = []
        while self._waiting:
            lines.append(self._waiting.popleft())
        try:
            self._disk.make_directory(self._folder)
            newer = self._folder / NEWER
            data = b"".join(lines)
            if newer.is_file() and newer.stat().st_size + len(data) > FILE_BYTES_MAX:
                self._disk.replace(newer, self._folder / OLDER)
            file = self._disk.open(newer, "ab")
            try:
                write_whole(self._disk, file, data)
            finally:
                file.close()
        except OSError:
            self.dropped += len(lines)
            self._failed_s = now_s
        else:
            self.written += len(lines)
            self._failed_s = None


def read_letters(
    folder: Path, *, topic: str = "*", reason: str = "", since_ns: int = 0
) -> Iterator[LetterLine]:
    """Letters in a directory, oldest first; topic: a pattern with * and ?; reason "": any.

    What is no letter is left out: a disk that was full cuts lines. Raises JournalError for a
    directory without any, or one that cannot be read.
    """
    there = [folder / name for name in (OLDER, NEWER) if (folder / name).is_file()]
    if not there:
        raise JournalError(
            f"{folder}: no dead letters; a gateway makes {NEWER} there with the first message that"
            " it cannot read"
        )
    decode = msgspec.json.Decoder(LetterLine).decode
    for path in there:
        try:
            with path.open("rb") as file:
                for line in iter(lambda: file.readline(LINE_BYTES_MAX), b""):
                    try:
                        found = decode(line)
                        base64.b64decode(found.payload, validate=True)
                    except UNREADABLE:
                        continue
                    if (
                        found.t_ns >= since_ns
                        and reason in ("", found.reason)
                        and fnmatchcase(found.topic, topic)
                    ):
                        yield found
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}") from error
