"""The knowledge base of a running gateway: what comes to it, and what it hands over to the loop."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from edge.heap import give_back
from edge.kept_snapshots import Shelf
from edge.notebook import Notebook
from edge.records import SnapshotSwapped

if TYPE_CHECKING:
    from edge.assembly import Assembly
    from edge.config import GatewayConfig
    from edge.faults import Faults
    from edge.records import ShellFault
    from edge.retrieve import Retriever
    from kb.snapshot import Snapshot


class Upkeep:
    """Watches the snapshot and keeps the texts of operators, for one loop."""

    def __init__(self, config: GatewayConfig, assembly: Assembly, retriever: Retriever) -> None:
        path = config.path(config.kb.snapshot) if config.kb.snapshot else None
        source = config.path(config.kb.source) if config.kb.source else None
        self.notebook = Notebook(source, path, zone=config.kb.timezone)
        self._shelf = Shelf(path, assembly.snapshot_sha256, read=assembly.known_of)
        self._assembly, self._retriever = assembly, retriever
        self._before: Snapshot | None = None

    def look(self, now_s: float) -> list[SnapshotSwapped]:
        """A snapshot that has come, as what the engine is to be told of it; mostly none."""
        self.notebook.turn(now_s)
        come = self._shelf.look()
        if come is None:
            return []
        snapshot, knowledge = come
        self._before = self._assembly.swap(snapshot, knowledge)
        return [SnapshotSwapped(snapshot_sha256=snapshot.sha256)]

    def taken(self) -> None:
        """The engine has learnt it: questions go to it from now on, and the one before is closed.

        That one still answers the question that is being asked.
        """
        before, self._before = self._before, None
        self._retriever.swap(self._assembly.snapshot, _Closing(before))
        gc.freeze()  # as at the start: full collections need not look at it

    def judge(self, faults: Faults) -> list[ShellFault]:
        """What has begun or ended to be wrong with it."""
        return [
            *faults.judge("snapshot_refused", self._shelf.refused),
            *faults.judge("texts_not_searched", self.notebook.trouble),
        ]

    def stop(self) -> None:
        """Let go of everything."""
        self._shelf.stop()
        self.notebook.stop()


class _Closing:
    """Closes a snapshot that none uses any more, and gives its memory back."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    def __call__(self) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.close()
        del snapshot  # the last one to hold it, else there would be nothing to give back
        give_back()
