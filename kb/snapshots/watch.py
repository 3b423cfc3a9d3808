"""Watching a source folder: what changes in it is published, once it has been left alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from kb.snapshots.update import Update, Updater

AGAIN_S: Final = 60.0  # after an update that failed, though nothing changed since

Seen: TypeAlias = dict[str, tuple[int, int, int]]  # path -> size, time of change, inode


class Watcher:
    """Looks at a folder now and then; a file counts as written when it is the same twice."""

    def __init__(self, updater: Updater) -> None:
        self._updater = updater
        self._done: Seen | None = None  # as the folder was at the last update
        self._before: Seen | None = None  # as it was at the last look
        self._failed_s: float | None = None

    def look(self, *, now_s: float, now_ns: int) -> Update | None:
        """Publish what changed since the last update and stands still since the last look.

        now_s: of any steady clock; now_ns: when new orders count as known. The first look only
        looks. Raises KnowledgeError when an update failed; it is tried again when the folder
        changes, and after a while.
        """
        seen = look_at(self._updater.source)
        still, self._before = seen == self._before, seen
        again = self._failed_s is not None and now_s - self._failed_s >= AGAIN_S
        if not still or (seen == self._done and not again):
            return None
        self._done, self._failed_s = seen, None
        try:
            update = self._updater.update(now_ns=now_ns)
        except KnowledgeError:
            self._failed_s = now_s
            raise
        if update is not None:
            self._updater.remember()
        return update

    @property
    def settled(self) -> bool:
        """Whether everything that was there at the last look has been dealt with."""
        return self._done is not None and self._done == self._before


def look_at(source: Path) -> Seen:
    """Every file of a folder that is not hidden, as it is now. Raises KnowledgeError."""
    seen: Seen = {}
    if not source.is_dir():
        raise KnowledgeError(f"{source} is no directory of documents any more")
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.startswith("."):
                continue
            path = Path(folder, name)
            try:
                stat = path.lstat()
            except OSError:
                continue  # gone meanwhile
            seen[str(path)] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return seen
