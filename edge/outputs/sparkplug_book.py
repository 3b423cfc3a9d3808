"""Which session of Sparkplug B comes next, over restarts.

    sparkplug.json      below [journal] dir: number of the newest session, written before it begins

A death names the session that it ends. Were a number used twice, the late death of an old
connection would end the new one wherever it is heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE
from edge.storage.disk import DISK, write_whole
from edge.wire.sparkplug import SESSIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.storage.disk import Disk

BOOK: Final = "sparkplug.json"
BOOK_BYTES_MAX: Final = 1_024


class _Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written."""

    session: int


class SessionBook:
    """For one process; used by one thread."""

    def __init__(
        self, path: Path, *, disk: Disk = DISK, failed: Callable[[str], None] = lambda _: None
    ) -> None:
        """path: of the file. failed: told why it could not be written."""
        self._path, self._disk, self._failed = path, disk, failed
        self._newest = _read(path)

    def draw(self) -> int:
        """The next number, on the disk already; where that fails it counts in memory.

        From 0 on where there is no file: of a node that nobody knows yet.
        """
        self._newest = (self._newest + 1) % SESSIONS
        try:
            self._keep(_Page(session=self._newest))
        except OSError as error:
            self._failed(f"{self._path}: {error.strerror}")
        return self._newest

    def _keep(self, page: _Page) -> None:
        fresh = self._path.with_name(f"{BOOK}.new")
        file = self._disk.open(fresh, "wb")
        try:
            write_whole(self._disk, file, msgspec.json.encode(page))
            self._disk.sync(file)
        finally:
            file.close()
        self._disk.replace(fresh, self._path)
        self._disk.sync_directory(self._path.parent)


def _read(path: Path) -> int:
    """The newest session; -1 where none is known."""
    try:
        if path.stat().st_size > BOOK_BYTES_MAX:
            return -1
        found = msgspec.json.decode(path.read_bytes(), type=_Page).session
    except (OSError, *UNREADABLE):
        return -1
    return found if 0 <= found < SESSIONS else -1
