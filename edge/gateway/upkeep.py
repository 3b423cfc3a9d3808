"""What a running gateway has from others: knowledge and detector, as they are to be taken over."""

from __future__ import annotations

import gc
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

from edge.bundles.store import store_of
from edge.bundles.watch import BundleWatch
from edge.commissioning.watch import CommissionWatch
from edge.knowledge.kept_snapshots import Shelf
from edge.knowledge.scope_book import FILE, older_words, write_book
from edge.records import BundleSwapped, Note, SnapshotSwapped
from edge.storage.disk import DISK
from edge.storage.heap import give_back
from edge.storage.notebook import Notebook
from edge.storage.patience import Patience

if TYPE_CHECKING:
    from edge.assembly.assembly import Assembly
    from edge.configuration.config import GatewayConfig
    from edge.gateway.faults import Faults
    from edge.gateway.telemetry import Telemetry
    from edge.knowledge.retrieve import Retriever
    from edge.records import CommissionTold, ShellFault
    from edge.storage.disk import Disk
    from kb.snapshots.snapshot import Snapshot

AGAIN_S: Final = 10.0  # until what the disk did not take is written again
KEEP_S_MAX: Final = 0.2  # at a stop, for what is being written


class Upkeep:
    """Watches snapshot and bundles, and keeps the texts of operators, for one loop."""

    def __init__(
        self,
        config: GatewayConfig,
        assembly: Assembly,
        retriever: Retriever,
        telemetry: Telemetry,
        *,
        disk: Disk = DISK,
        patience: Patience | None = None,
    ) -> None:
        path = config.path(config.kb.snapshot) if config.kb.snapshot else None
        source = config.path(config.kb.source) if config.kb.source else None
        self.notebook = Notebook(source, path, zone=config.kb.timezone, disk=disk)
        read = partial(assembly.known_of, anew=True)
        self._shelf = Shelf(path, assembly.snapshot_sha256, read=read)
        self._state = config.path(config.journal.dir)
        self._disk, self._patience = disk, patience or Patience()
        self.refused = ""  # why a changed configuration did not take over
        self.successor: GatewayConfig | None = None  # that takes over when the loop has ended
        self._scopes_owed = False  # what is remembered of scope tables is to be written,
        self._scopes_due_s = 0.0  # at the soonest then,
        self._scopes_unkept = ""  # and why it could not be
        self._assembly, self._retriever = assembly, retriever
        self._before: Snapshot | None = None
        self._bundles = BundleWatch(config, assembly, telemetry, store_of(config))
        self.commissioning = CommissionWatch(config, assembly, store_of(config))
        self._learn_scopes()
        self._keep_scopes(0.0)

    def look(self, now_s: float) -> list[SnapshotSwapped | BundleSwapped]:
        """What has come, as what the engine is to be told of it; mostly none."""
        self.notebook.turn(now_s)
        due_ns = self._assembly.scopes_due_ns
        if due_ns is not None and self._assembly.now_ns >= due_ns:
            self._learn_scopes()
        self._keep_scopes(now_s)
        if bundles := self._bundles.look():
            return [*bundles]
        come = self._shelf.look()
        if come is None:
            return []
        snapshot, knowledge = come
        self._before = self._assembly.swap(snapshot, knowledge)
        self._learn_scopes()
        self._keep_scopes(now_s)
        return [SnapshotSwapped(snapshot_sha256=snapshot.sha256)]

    def _learn_scopes(self) -> None:
        """From now on scope tables older than those in use count no more, also after a restart."""
        before = self._assembly.scopes
        if self._assembly.learn_scopes() != before:
            self._scopes_owed, self._scopes_due_s = True, 0.0

    def _keep_scopes(self, now_s: float) -> None:
        """Write what is owed beside the loop, and again while the disk does not take it."""
        path = self._state / FILE
        if (done := self._patience.finished()) is not None:
            error, self._scopes_unkept = done.error, ""
            if isinstance(error, OSError):
                why = error.strerror or str(error)
                self._scopes_unkept = f"{path}: {why}; make room, or let the gateway write there"
                self._scopes_owed, self._scopes_due_s = True, now_s + AGAIN_S
            elif error is not None:
                raise error
        if busy := self._patience.busy:
            self._scopes_unkept = f"{path}: {busy}; a disk that is well takes it by itself"
        elif self._scopes_owed and self._patience.idle and now_s >= self._scopes_due_s:
            book, self._scopes_owed = self._assembly.scopes, False
            self._patience.start(partial(write_book, self._state, book, disk=self._disk))

    def taken(self, swapped: SnapshotSwapped | BundleSwapped) -> Note:
        """The engine has learnt it; returns what the log is to say.

        Questions go to a snapshot from now on, and the one before is closed: that one still answers
        the question that is being asked.
        """
        if isinstance(swapped, BundleSwapped):
            self._bundles.taken()
            fields: dict[str, str | int | float] = {"sha256": swapped.bundle_sha256}
            return Note(name="bundle_taken", level="info", fields=fields)
        before, self._before = self._before, None
        self._retriever.swap(self._assembly.snapshot, _Closing(before))
        gc.freeze()  # as at the start: full collections need not look at it
        fields = {"sha256": swapped.snapshot_sha256}
        return Note(name="snapshot_swapped", level="info", fields=fields)

    def judge(self, faults: Faults) -> list[ShellFault | CommissionTold]:
        """What has begun or ended to be wrong with it, and how its commissioning goes on."""
        scopes = self._assembly.scopes
        older = scopes.judged.get(scopes.in_use, {})
        return [
            *faults.judge("snapshot_refused", self._shelf.refused),
            *faults.judge("configuration_refused", self.refused, anew=True),
            *faults.judge("scope_rows_older", older_words(older), anew=True),
            *faults.judge("scope_tables_unkept", self._scopes_unkept),
            *faults.judge("texts_not_searched", self.notebook.trouble),
            *self._bundles.judge(faults),
            *self.commissioning.judge(faults),
            *self.commissioning.look(),
        ]

    def hand_over(self) -> None:
        """Leave the engine's state to the successor, where there is one."""
        if self.successor is not None:
            self._assembly.hand_over(self.successor.settings)

    def stop(self) -> None:
        """Let go of everything."""
        self._shelf.stop()
        self._bundles.stop()
        self.commissioning.stop()
        self.notebook.stop()
        self._patience.settle(KEEP_S_MAX)
        self._keep_scopes(inf)  # what came while that was written, or a last try
        self._patience.settle(KEEP_S_MAX)
        self._patience.stop()


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
