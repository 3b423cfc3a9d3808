"""A snapshot brought up to its source folder, with what is known of it already.

The outcome is that of building it again: the same documents, passages, proposals, scope rows and
hits. Only what changed is read, embedded and written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kb.errors import KnowledgeError
from kb.snapshots.build import check_place, publish
from kb.snapshots.exchange import alone
from kb.snapshots.snapshot import DATABASE, Snapshot, read_manifest
from kb.snapshots.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kb.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Update:
    """A snapshot that took the place of another. `forgotten` kept ones had to go for it."""

    before: Manifest
    after: Manifest
    forgotten: tuple[Path, ...]


class Updater:
    """Keeps one snapshot up with its folder; what it has read it need not read again.

    For one thread. Between processes each update is alone.
    """

    def __init__(self, out: Path, *, source: Path | None = None) -> None:
        """For the snapshot at `out`, by default from the folder that it was built from.

        Raises KnowledgeError when there is no snapshot, or no folder.
        """
        self.out = out
        self.source = source_of(out, source)
        check_place(self.source, out)
        self._memory = out.with_name(f".{out.name}.read")
        self._workshop: Workshop | None = None
        self._opened: Snapshot | None = None

    def update(
        self,
        *,
        now_ns: int,
        change: Callable[[], Iterable[str]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Update | None:
        """Publish what the folder holds now; None when the snapshot says all of it already.

        `change` is carried out first, with nobody else publishing; it returns the paths within the
        folder of files that have to become documents. Raises KnowledgeError, and then the snapshot
        stands as it was.
        """
        try:
            with alone(self.out.parent):
                needed = tuple(change()) if change else ()
                return self._update(needed, now_ns, progress or _unseen)
        except OSError as error:
            raise KnowledgeError(
                f"{error.filename or self.out}: {error.strerror or error}"
            ) from error

    def _update(
        self, needed: tuple[str, ...], now_ns: int, progress: Callable[[int, int], None]
    ) -> Update | None:
        if self._workshop is None:
            self._workshop = Workshop.load(self._memory)
        old = self._current()
        prepared = self._workshop.prepare(self.source, first_seen=old.known_from(), now_ns=now_ns)
        for name in needed:
            if name not in prepared.paths:
                causes = [q.cause for q in prepared.quarantined if q.path == name]
                said = "; ".join(causes) or "it is hidden, or no file"
                raise KnowledgeError(f"{name} cannot be read: {said}. Nothing was changed")
        published = publish(
            prepared,
            self.source,
            self.out,
            now_ns=now_ns,
            old=old,
            base=self.out / DATABASE,
            progress=progress,
        )
        if published is None:
            return None
        self._opened = published.snapshot
        old.close()
        return Update(old.manifest, published.snapshot.manifest, published.forgotten)

    def remember(self) -> None:
        """Keep what was read for another process; not kept, the next one reads it again."""
        try:
            if self._workshop is not None:
                self._workshop.save(self._memory)
        except OSError:
            self._memory.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the snapshot that is held open."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _current(self) -> Snapshot:
        """What stands at `out`, opened: another process may have published since."""
        if self._opened is not None and self._opened.manifest != read_manifest(self.out):
            self.close()
        if self._opened is None:
            self._opened = Snapshot.open(self.out)
        return self._opened


def source_of(out: Path, source: Path | None = None) -> Path:
    """The folder that a snapshot is built from. Raises KnowledgeError when it is not there."""
    found = source or Path(read_manifest(out).source)
    if not found.is_dir():
        raise KnowledgeError(
            f"{found}, the folder of documents of {out}, is not there; name it with --source"
        )
    return found.resolve()


def _unseen(done: int, total: int) -> None:
    """Progress that nobody watches."""
    del done, total
