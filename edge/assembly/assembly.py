"""Assembly: bundle, detector, snapshot and settings put together into an engine.

The same for a gateway and a backtest.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from typing import TYPE_CHECKING, Final

import msgspec

from edge.assembly.identity import fingerprint, settings_sha256
from edge.audit.signatures import signed_by, verify
from edge.bundles.store import loaded, store_of
from edge.desk import Knowledge
from edge.engine import Engine
from edge.errors import ConfigError
from edge.handover import handed_over
from edge.knowledge.kept_snapshots import find
from edge.knowledge.known import knowledge_of, scope_tables
from edge.knowledge.scope_book import ScopeBook, due_ns, read_book
from edge.samples.layouts import asset_layouts, check_assets
from edge.storage.formats import STATE_FORMAT
from edge.takeover import Fitted
from edge.trust import Signs
from kb.snapshots.snapshot import Snapshot
from models.bundles.rows import without
from models.bundles.store import load
from models.detector import detectors_of
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.bundles.store import BundleStore
    from edge.configuration.config import GatewayConfig
    from edge.samples.scoring import Parameters
    from edge.settings import GatewaySettings
    from edge.state import EngineState
    from models.bundles.bundle import Bundle


OPEN_BUNDLES: Final = 2  # besides the one that is to score and the one that does


@functools.cache
def _version() -> str:
    """Of Andon; what is installed is searched for it."""
    return metadata.version("andon")


class Assembly:
    """An engine with everything it was made of."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        bundle: Bundle,
        snapshot: Snapshot | None,
        bundle_path: Path | None = None,
        store: BundleStore | None = None,
        fitted: Fitted | None = None,
        scopes: ScopeBook | None = None,
    ) -> None:
        """`bundle` is to score, `store` holds those that a journal may name besides.

        fitted: the bundle, where it is ready to score already. scopes: which signed scope tables
        were in use before. Raises ConfigError where settings and bundle do not fit.
        """
        self.settings = settings
        self.bundle = bundle
        self.bundle_path = bundle_path  # where its signature may stand
        self.store = store
        self.snapshot = snapshot
        self.what_if = False  # judge all with the snapshot, whatever a journal names
        self.missing: set[str] = set()  # snapshots that a journal names and nobody kept
        self.missing_bundles: set[str] = set()  # likewise
        self.fell_back = ""  # why the bundle that was promoted last does not count; "" it does
        self.scopes = scopes or ScopeBook()
        self.scopes_due_ns: int | None = None  # when a row comes into force: to be learnt again
        self._known: dict[str, Knowledge | None] = {}
        self.version = _version()
        self._fitted = {bundle.sha256: fitted or ready(bundle)}
        self._scores: tuple[str, Path | None] = (bundle.sha256, bundle_path)
        check_assets(settings, bundle)
        # Made when somebody asks for it: a restart goes on from a checkpoint, and a thousand assets
        # put together twice would take a tenth of a second more.
        self._engine: Engine | None = None
        self.knowledge(self.snapshot_sha256)

    @property
    def engine(self) -> Engine:
        """The engine; one that has seen nothing until something is restored."""
        if self._engine is None:
            self._engine = self.engine_of(None, self.knowledge(self.snapshot_sha256))
        return self._engine

    @property
    def snapshot_sha256(self) -> str:
        """Hash of the snapshot, "" without one."""
        return self.snapshot.sha256 if self.snapshot is not None else ""

    @property
    def settings_sha256(self) -> str:
        """Hash of the settings that the core reads."""
        return settings_sha256(self.settings)

    def same_settings(self, sha256: str) -> bool:
        """Whether a journal's hash is of these settings, also where an older version made it."""
        return sha256 in (self.settings_sha256, settings_sha256(self.settings, first=True))

    @property
    def fingerprint(self) -> str:
        """What a checkpoint of the engine as it is now must be read back with."""
        return self.fingerprint_of(self.engine.state)

    def fingerprint_of(self, state: EngineState, state_format: int = STATE_FORMAT) -> str:
        """The same of a state that was read back; "" where its bundle is not here any more."""
        sha256 = state.bundle_sha256 or self.bundle.sha256
        if not self.knows_bundle(sha256):
            return ""
        return fingerprint(self.settings, sha256, state_format=state_format)

    def restore(self, state: EngineState, *, version: str = "") -> None:
        """Go on from a checkpoint; what stands behind it was taken by a version, "": by ours."""
        self._engine = self.engine_of(state, self.knowledge(state.orders_of), version=version)

    def hand_over(self, settings: GatewaySettings) -> None:
        """The state is to be read with other settings from here on, which fit the bundle.

        The engine behind it is one of them; it is not given anything any more.
        """
        state = handed_over(self.engine.state, self.settings, settings)
        self.settings, self._known = settings, {}
        self.restore(state)

    def knows_bundle(self, sha256: str) -> bool:
        """Whether what was taken with a bundle can be taken again: it is here, whole, and fits."""
        return self.opened(sha256) is not None

    def adopt(self, fitted: Fitted, path: Path) -> None:
        """Have another bundle for the engine to take over, verified and fitting the settings."""
        self.bundle, self.bundle_path = fitted.bundle, path
        self._fitted = {one: it for one, it in self._fitted.items() if one == self._scores[0]}
        self._fitted[fitted.bundle.sha256] = fitted
        self.missing_bundles.discard(fitted.bundle.sha256)

    def bundle_of(self, sha256: str) -> Fitted | None:
        """The bundle of a hash, from here on the one that scores; None where it is not kept.

        Nor is one that is damaged, or does not fit the settings.
        """
        fitted = self.opened(sha256)
        if fitted is None:
            return None
        path = self.bundle_path if sha256 == self.bundle.sha256 else None
        if path is None and self.store is not None:
            path = self.store.find(sha256)
        self._scores = (sha256, path)
        self._known = {}  # what lacks a signature is judged anew
        return fitted

    def opened(self, sha256: str) -> Fitted | None:
        """A bundle ready to score; the newest few stay open."""
        if sha256 in self._fitted or sha256 in self.missing_bundles or self.store is None:
            return self._fitted.get(sha256)
        path = self.store.find(sha256)
        try:
            found = loaded(path, sha256) if path is not None else None
            if found is not None:
                asset_layouts(self.settings, found)
        except (ModelError, ConfigError):
            found = None
        if found is None:
            self.missing_bundles.add(sha256)
            return None
        held = {self.bundle.sha256, self._scores[0], *list(self._fitted)[-OPEN_BUNDLES:]}
        self._fitted = {one: it for one, it in self._fitted.items() if one in held}
        self._fitted[sha256] = ready(found)
        return self._fitted[sha256]

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
            return self.known_of(self.snapshot, anew=sha256 != self.scopes.in_use)
        kept = find(self.snapshot.path, sha256) if self.snapshot is not None else None
        if kept is None:
            self.missing.add(sha256)
            return Knowledge(sha256=sha256, verified=False)
        with kept:
            return self.known_of(kept)

    def learn_scopes(self) -> ScopeBook:
        """The snapshot is in use from now on: older scope tables than its own count no more."""
        self.scopes_due_ns = None
        if self.snapshot is not None and self.settings.trust.require_signed:
            tables, now_ns = scope_tables(self.snapshot, self.settings.trust), self.now_ns
            self.scopes = self.scopes.learnt(self.snapshot.sha256, tables, now_ns=now_ns)
            self.scopes_due_ns = due_ns(tables, now_ns=now_ns)
        return self.scopes

    @property
    def now_ns(self) -> int:
        """Plant time, ns; 0 before an engine knows any."""
        return self._engine.now_ns if self._engine is not None else 0

    def known_of(self, snapshot: Snapshot, *, anew: bool = False) -> Knowledge:
        """What the engine is to know of an opened snapshot; safe from another thread.

        Also what of bundle and snapshot lacks a valid signature. anew: its scope tables are judged
        by what was in use until now, as when it is to be taken over.
        """
        trust = self.settings.trust
        known = knowledge_of(snapshot, trust, scopes=self.scopes, anew=anew)
        assert known is not None
        if known.unsigned or not trust.require_signed:
            return known
        sha256, path = self._scores
        if path is None:
            lacks = "the bundle was not read from a place that could hold its signature"
            return msgspec.structs.replace(known, unsigned=lacks)
        signed = signed_by(
            path,
            trust.may_sign(Signs.BUNDLE),
            same=lambda stored: hashlib.sha256(stored).hexdigest() == sha256,
        )
        signers = (*known.signers, signed.keys)
        return msgspec.structs.replace(known, unsigned=signed.because, signers=signers)

    def engine_of(
        self,
        state: EngineState | None,
        knowledge: Knowledge | None,
        *,
        knowledge_of: Callable[[str], Knowledge | None] | None = None,
        version: str = "",
    ) -> Engine:
        """An engine, from nothing or from a state with the bundle that it names."""
        fitted = self.bundle_of(state.bundle_sha256) if state and state.bundle_sha256 else None
        if fitted is None:
            fitted = self.bundle_of(self.bundle.sha256)
        assert fitted is not None, "its own bundle is always there"
        if state is not None:  # a checkpoint from before bundles could change names none
            state.bundle_sha256 = fitted.bundle.sha256
        return Engine(
            self.settings,
            bundle=fitted.bundle,
            detectors=fitted.detectors,
            derive=fitted.derive,
            knowledge=knowledge,
            knowledge_of=knowledge_of or self.knowledge,
            bundle_of=self.bundle_of if self.store is not None else None,
            verify=verify,
            version=version or self.version,
            state=state,
        )


def ready(bundle: Bundle) -> Fitted:
    """A bundle with its detectors loaded. Raises ModelError."""

    def derive(row: int, keep: NDArray[np.bool_]) -> Parameters:
        """Parameters of a row without some channels; keep: (width,) of those that it sees."""
        return without(bundle, row, keep)

    return Fitted(bundle=bundle, detectors=detectors_of(bundle), derive=derive)


def assemble(config: GatewayConfig) -> Assembly:
    """Open what a configuration names, and of its bundles the one that counts.

    Raises ModelError, KnowledgeError or ConfigError.
    """
    store = store_of(config)
    return assemble_from(
        config.settings,
        bundle_path=store.current()[1],
        snapshot_path=config.path(config.kb.snapshot) if config.kb.snapshot else None,
        store=store,
        scopes=read_book(config.path(config.journal.dir)),
    )


def assemble_from(
    settings: GatewaySettings,
    *,
    bundle_path: Path,
    snapshot_path: Path | None,
    store: BundleStore | None = None,
    scopes: ScopeBook | None = None,
) -> Assembly:
    """Open a bundle and a snapshot, or none, for some settings; scopes: as of `Assembly`."""
    bundle = load(bundle_path)
    snapshot = Snapshot.open(snapshot_path) if snapshot_path is not None else None
    return Assembly(
        settings,
        bundle=bundle,
        snapshot=snapshot,
        bundle_path=bundle_path,
        store=store,
        scopes=scopes,
    )
