"""Assembly: bundle, detector, snapshot and settings put together into an engine.

The same for a gateway and a backtest.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from typing import TYPE_CHECKING

import msgspec

from edge.desk import Knowledge
from edge.engine import Engine
from edge.kept_snapshots import find
from edge.settings import EngineSettings
from edge.signatures import unsigned_because, verify
from kb.snapshot import Snapshot
from models.detector import detector_of
from models.rows import without
from models.store import load

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.config import GatewayConfig
    from edge.scoring import Parameters
    from edge.settings import GatewaySettings
    from edge.state import EngineState
    from edge.trust import TrustSettings
    from models.bundle import Bundle


class Assembly:
    """An engine with everything it was made of."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        bundle: Bundle,
        snapshot: Snapshot | None,
        bundle_path: Path | None = None,
    ) -> None:
        self.settings = settings
        self.bundle = bundle
        self.bundle_path = bundle_path  # where its signature may stand
        self.snapshot = snapshot
        self.what_if = False  # judge all with the snapshot, whatever a journal names
        self.missing: set[str] = set()  # snapshots that a journal names and nobody kept
        self._known: dict[str, Knowledge | None] = {}
        self.version = metadata.version("andon")
        self._detector = detector_of(bundle.graph)
        self.engine = self._engine(None, self.snapshot_sha256)

    @property
    def snapshot_sha256(self) -> str:
        """Hash of the snapshot, "" without one."""
        return self.snapshot.sha256 if self.snapshot is not None else ""

    @property
    def settings_sha256(self) -> str:
        """Hash of the settings that the core reads."""
        return hashlib.sha256(msgspec.json.encode(self.settings)).hexdigest()

    @property
    def fingerprint(self) -> str:
        """What a checkpoint must have been made with to be of use."""
        # how the core behaves may change over a restart; what its state is made of may not
        shape = msgspec.structs.replace(self.settings, engine=EngineSettings())
        shape_sha256 = hashlib.sha256(msgspec.json.encode(shape)).hexdigest()
        parts = (self.version, self.bundle.sha256, shape_sha256)
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    def restore(self, state: EngineState) -> None:
        """Go on from a checkpoint."""
        self.engine = self._engine(state, state.orders_of)

    def swap(self, snapshot: Snapshot, knowledge: Knowledge) -> Snapshot | None:
        """Have another snapshot for the engine to learn; returns the one before, to be closed."""
        before, self.snapshot = self.snapshot, snapshot
        self._known = {knowledge.sha256: knowledge}
        return before

    def knowledge(self, sha256: str) -> Knowledge | None:
        """What the engine is to know of the snapshot of a hash, None without one.

        Where it is not kept, nothing is known and nothing verified, so nothing is suppressed.
        """
        if self.what_if:
            sha256 = self.snapshot_sha256
        if not sha256:
            return None
        if sha256 not in self._known:
            self._known = {sha256: self._read(sha256)}
        return self._known[sha256]

    def _read(self, sha256: str) -> Knowledge | None:
        if self.snapshot is not None and self.snapshot.sha256 == sha256:
            return self.known_of(self.snapshot)
        kept = find(self.snapshot.path, sha256) if self.snapshot is not None else None
        if kept is None:
            self.missing.add(sha256)
            return Knowledge(sha256=sha256, verified=False)
        with kept:
            return self.known_of(kept)

    def known_of(self, snapshot: Snapshot) -> Knowledge:
        """What the engine is to know of an opened snapshot; safe from another thread.

        Also what of bundle and snapshot lacks a valid signature.
        """
        known, trust = knowledge_of(snapshot, self.settings.trust), self.settings.trust
        assert known is not None
        if known.unsigned or not trust.require_signed:
            return known
        if self.bundle_path is None:
            lacks = "the bundle was not read from a place that could hold its signature"
        else:
            sha256 = self.bundle.sha256
            lacks = unsigned_because(
                self.bundle_path,
                trust.public_keys,
                same=lambda stored: hashlib.sha256(stored).hexdigest() == sha256,
            )
        return msgspec.structs.replace(known, unsigned=lacks)

    def _engine(self, state: EngineState | None, snapshot_sha256: str) -> Engine:
        return Engine(
            self.settings,
            bundle=self.bundle,
            detector=self._detector,
            derive=self._derive,
            knowledge=self.knowledge(snapshot_sha256),
            knowledge_of=self.knowledge,
            verify=verify,
            version=self.version,
            state=state,
        )

    def _derive(self, row: int, keep: NDArray[np.bool_]) -> Parameters:
        return without(self.bundle, row, keep)


def knowledge_of(snapshot: Snapshot | None, trust: TrustSettings | None = None) -> Knowledge | None:
    """The typed rows of a snapshot; opening it has verified its hashes.

    trust: whose signatures count; without it none does.
    """
    if snapshot is None:
        return None
    keys = trust.public_keys if trust is not None else ()
    unsigned = unsigned_because(snapshot.path, keys, same=snapshot.manifest.encoded().__eq__)
    return Knowledge(
        sha256=snapshot.sha256,
        proposals=snapshot.proposals(),
        scope_rows=snapshot.scope_rows(),
        failure_modes=snapshot.failure_modes(),
        limits=snapshot.limits(),
        sensors=snapshot.sensors(),
        verified=True,
        unsigned=unsigned,
    )


def assemble(config: GatewayConfig) -> Assembly:
    """Open what a configuration names. Raises ModelError, KnowledgeError or ConfigError."""
    return assemble_from(
        config.settings,
        bundle_path=config.path(config.model.bundle),
        snapshot_path=config.path(config.kb.snapshot) if config.kb.snapshot else None,
    )


def assemble_from(
    settings: GatewaySettings, *, bundle_path: Path, snapshot_path: Path | None
) -> Assembly:
    """Open a bundle and a snapshot, or none, for some settings."""
    bundle = load(bundle_path)
    snapshot = Snapshot.open(snapshot_path) if snapshot_path is not None else None
    return Assembly(settings, bundle=bundle, snapshot=snapshot, bundle_path=bundle_path)
