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
from edge.settings import EngineSettings
from kb.snapshot import Snapshot
from models.detector import Detector
from models.store import load
from models.var import masked_parameters

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.config import GatewayConfig
    from edge.scoring import Parameters
    from edge.settings import GatewaySettings
    from edge.state import EngineState
    from models.bundle import Bundle


class Assembly:
    """An engine with everything it was made of."""

    def __init__(
        self, settings: GatewaySettings, *, bundle: Bundle, snapshot: Snapshot | None
    ) -> None:
        self.settings = settings
        self.bundle = bundle
        self.snapshot = snapshot
        self.version = metadata.version("andon")
        self._detector = Detector(bundle.graph)
        self.engine = self._engine(None)

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
        self.engine = self._engine(state)

    def _engine(self, state: EngineState | None) -> Engine:
        return Engine(
            self.settings,
            bundle=self.bundle,
            detector=self._detector,
            derive=self._derive,
            knowledge=knowledge_of(self.snapshot),
            version=self.version,
            state=state,
        )

    def _derive(self, row: int, keep: NDArray[np.bool_]) -> Parameters:
        return masked_parameters(self.bundle, row, keep)


def knowledge_of(snapshot: Snapshot | None) -> Knowledge | None:
    """The typed rows of a snapshot; opening it has verified its hashes."""
    if snapshot is None:
        return None
    return Knowledge(
        sha256=snapshot.sha256,
        proposals=snapshot.proposals(),
        scope_rows=snapshot.scope_rows(),
        verified=True,
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
    return Assembly(settings, bundle=bundle, snapshot=snapshot)
