"""Snapshots as a running gateway sees them: what comes at its path, and what is kept beside it.

A new one is noticed by its files, and opened and verified by a thread of its own; the loop takes it
over in one step, as a stimulus in the journal. What cannot be verified is refused, with the cause.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeAlias

from kb.errors import KnowledgeError
from kb.snapshots.history import kept_name
from kb.snapshots.snapshot import DATABASE, MANIFEST, VECTORS, Snapshot, read_manifest, verified

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.desk import Knowledge

TRIES: Final = 2  # between two names of a directory there may be none for an instant

Seen: TypeAlias = tuple[tuple[int, int, int], ...]


class Shelf:
    """Watches the path of a snapshot, for one loop. `refused` says what is wrong there, "" nothing.

    `read` takes from a snapshot what the engine has to know; it is called off the loop.
    """

    def __init__(
        self, path: Path | None, in_use: str, *, read: Callable[[Snapshot], Knowledge]
    ) -> None:
        self.refused = ""
        self._path, self._in_use, self._read = path, in_use, read
        self._seen = _seen(path)
        self._tries = 0
        self._opening: threading.Thread | None = None
        self._arrived: tuple[Snapshot, Knowledge] | None = None
        self._trouble = ""

    def look(self) -> tuple[Snapshot, Knowledge] | None:
        """A snapshot that is to be taken over now; None mostly. Costs three looks at files."""
        if self._path is None:
            return None
        if self._opening is not None:
            if self._opening.is_alive():
                return None
            self._opening = None
            return self._opened()
        seen = _seen(self._path)
        if seen == self._seen and not self._tries:
            return None
        self._tries = self._tries if seen == self._seen else TRIES
        self._seen = seen
        self._opening = threading.Thread(target=self._open, args=(self._path,), daemon=True)
        self._opening.start()
        return None

    def stop(self) -> None:
        """Close what arrived and was not taken over."""
        if self._opening is not None:
            self._opening.join(timeout=0.5)
        if self._arrived is not None:
            self._arrived[0].close()

    def _opened(self) -> tuple[Snapshot, Knowledge] | None:
        """What the thread found."""
        arrived, self._arrived = self._arrived, None
        if self._trouble:
            self._tries -= 1
            self.refused = "" if self._tries else self._trouble
            return None
        self.refused, self._tries = "", 0
        if arrived is not None:
            self._in_use = arrived[0].sha256
        return arrived

    def _open(self, path: Path) -> None:
        self._trouble = ""
        try:
            if verified(path).sha256 == self._in_use:
                return  # mended, or only touched
            snapshot = opened(path)
            self._arrived = (snapshot, self._read(snapshot))
        except (KnowledgeError, OSError) as error:
            self._trouble = f"{error}; the one before is used on"
        except Exception as error:  # noqa: BLE001 - a thread that dies would be a silent refusal
            self._trouble = f"{type(error).__name__}: {error}; the one before is used on"


def opened(path: Path) -> Snapshot:
    """The verified snapshot at a path, where another may take its place meanwhile.

    Raises KnowledgeError.
    """
    snapshot = Snapshot.open(path)
    try:
        now = read_manifest(path)
    except KnowledgeError:
        snapshot.close()
        raise
    if now != snapshot.manifest:
        snapshot.close()
        raise KnowledgeError(f"{path}: another snapshot took its place while it was opened")
    return snapshot


def find(path: Path, sha256: str) -> Snapshot | None:
    """The snapshot of a hash, at its path or kept beside it; None where there is none."""
    for place in (path, kept_name(path, sha256)):
        try:
            if read_manifest(place).sha256 == sha256:
                return opened(place)
        except KnowledgeError:
            continue
    return None


def _seen(path: Path | None) -> Seen:
    """What the files of a snapshot are now, as far as the file system tells."""
    found: list[tuple[int, int, int]] = []
    if path is None:
        return ()
    for name in (MANIFEST, DATABASE, VECTORS):
        try:
            stat = (path / name).stat()
        except OSError:
            found.append((0, 0, 0))
            continue
        found.append((stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(found)
