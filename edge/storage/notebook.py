"""Texts that operators send: lines of a log in the folder of documents, one file a day.

A line that is there already is not written again, so redelivery and replay change nothing. The
snapshot is updated by a process of its own, and taken over like any other.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final

from edge.errors import JournalError
from edge.storage.append import append_whole
from edge.storage.disk import DISK, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge.records import TextTold
    from edge.storage.disk import Disk

INBOX: Final = "inbox"
ZONE: Final = "# zone:"  # at the head of a log: its times in words are of this zone
UNSIGNED: Final = " (unsigned)"  # behind a line that was told without the signature it should have
LINES_A_DAY_MAX: Final = 5_000
OWED_MAX: Final = 1_000  # texts that wait for a disk that takes them
UPDATE_S_MIN: Final = 5.0  # between two updates: each makes a snapshot
UPDATE_S_MAX: Final = 600.0
CAUSE_CHARS_MAX: Final = 300
ESCAPED: Final = "surrogateescape"  # bytes that are no UTF-8 survive being read and written


class Notebook:
    """For one loop. `trouble` says why texts do not get into the snapshot, "" nothing."""

    def __init__(
        self,
        source: Path | None,
        snapshot: Path | None,
        *,
        zone: str = "",
        disk: Disk = DISK,
    ) -> None:
        """zone: of the times in the texts, by name; "": they are not read."""
        self.trouble = ""
        self._disk = disk
        self._source, self._snapshot = source, snapshot
        self._zone = zone
        self._lines: dict[Path, set[str]] = {}  # of the newest files written to
        self._unsynced: set[Path] = set()
        self._lock = threading.Lock()  # of that: a thread syncs while the loop writes on
        self._owed: list[TextTold] = []  # which the disk did not take
        self._refused = ""  # and why
        # whoever wrote there last may have been killed before the update
        self._due = source is not None and (source / INBOX).is_dir()
        self._begun_s = -UPDATE_S_MIN
        self._updating: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    def write(self, texts: Iterable[TextTold]) -> None:
        """Note what is not noted yet; what the disk does not take waits, and `trouble` says why."""
        self._owed += texts
        while self._owed and self._note(self._owed[0]):
            del self._owed[0]
        if self._refused and not self._owed:
            self.trouble = self._refused = ""
        if len(self._owed) > OWED_MAX:
            del self._owed[OWED_MAX:]
            self.trouble = f"{self._refused}; {OWED_MAX} texts wait, later ones are lost"

    def _note(self, told: TextTold) -> bool:
        """False: the disk does not take it."""
        if self._source is None:  # it was configured when the text was taken
            self.trouble = "texts were taken, and [kb] source is not configured any more"
            return True
        at = datetime.fromtimestamp(told.t_ns / 1e9, UTC)
        path = self._source / INBOX / f"{at:%Y-%m-%d}.log"
        mark = UNSIGNED if told.unsigned else ""
        line = f"{at:%Y-%m-%d %H:%M:%S}Z {told.asset} {told.text}, {told.operator}{mark}"
        try:
            self._append(path, line)
        except OSError as error:
            self._lines = {}  # what is there is read again
            cause = f"{path}: {error.strerror}; make room, or let the gateway write there"
            self.trouble = self._refused = cause
            return False
        return True

    def _append(self, path: Path, line: str) -> None:
        lines = self._lines.get(path)
        if lines is None:
            self._disk.make_directory(path.parent)
            # whoever else writes there may write other letters: they are kept as they are
            stored = _text(path.read_bytes()) if path.exists() else ""
            stored = self._declared(path, stored)
            lines = set(stored.splitlines())
            if stored and not stored.endswith("\n"):  # torn by a power cut
                line = f"\n{line}"
            self._lines = {path: lines}
            # a process that was killed may have written them, and nobody else would sync them
            self._written(path)
        if line.lstrip() in lines:
            return
        if len(lines) >= LINES_A_DAY_MAX:
            self.trouble = f"{path} has {LINES_A_DAY_MAX} lines: more of this day are not noted"
            return
        append_whole(path, f"{line}\n".encode(), disk=self._disk, synced=False)
        lines.add(line.lstrip())
        self._written(path)
        self._due = True

    def _written(self, path: Path) -> None:
        with self._lock:
            self._unsynced.add(path)

    def _declared(self, path: Path, stored: str) -> str:
        """A log with the zone of its times at its head, where one was said and none stands there.

        One that was begun with another zone keeps it: what was noted is not read anew.
        """
        if not self._zone or stored.startswith(ZONE):
            return stored
        text = f"{ZONE} {self._zone}\n{stored}"
        work = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with self._disk.open(work, "wb") as file:
                write_whole(self._disk, file, text.encode("utf-8", ESCAPED))
                self._disk.sync(file)
            self._disk.replace(work, path)
        except OSError:
            with suppress(OSError):
                self._disk.unlink(work)
            raise
        return text

    def sync(self) -> None:
        """Make sure of the disk: from here on the journal may forget. Raises JournalError."""
        if self._owed:
            raise JournalError(self.trouble)
        with self._lock:
            paths, self._unsynced = self._unsynced, set()
        for path in paths:
            try:
                if not path.exists():  # nothing was written, or somebody took it away
                    continue
                with self._disk.open(path, "ab") as file:
                    self._disk.sync(file)
                self._disk.sync_directory(path.parent)  # which may have it for the first time
            except OSError as error:
                with self._lock:
                    self._unsynced |= paths
                raise JournalError(f"{path}: {error.strerror}; the texts may be lost") from error

    def turn(self, now_s: float) -> None:
        """Begin an update when one is due, and see how the last one ended."""
        if self._owed:
            self.write(())
        if self._updating is not None:
            late = now_s - self._begun_s > UPDATE_S_MAX
            if late:
                self._updating.kill()
            if self._updating.poll() is None:
                return
            self._ended(late=late)
        if self._due and self._snapshot is not None and now_s - self._begun_s >= UPDATE_S_MIN:
            self._due, self._begun_s = False, now_s
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
            self._updating = subprocess.Popen(  # noqa: S603 - our own command
                [
                    *(sys.executable, "-m", "andon", "kb", "watch", "--once"),
                    *("--snapshot", str(self._snapshot), "--source", str(self._source)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
            )

    def stop(self) -> None:
        """An update that goes on is left to end: it publishes whole or not at all."""
        if self._said is not None:
            self._said.close()

    def _ended(self, *, late: bool) -> None:
        assert self._updating is not None
        assert self._said is not None
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").strip()[-CAUSE_CHARS_MAX:]
        self._said.close()
        code = self._updating.returncode
        self._updating = self._said = None
        cause = "it took too long" if late else said or f"it ended with {code}"
        self.trouble = f"the update of the knowledge base failed: {cause}" if code else ""
        self._due = self._due or bool(code)


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", ESCAPED)
