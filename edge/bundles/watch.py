"""The detector of a running gateway: what is promoted takes over, what misbehaves is rolled back.

A promotion is noticed by the file `current`; a thread of its own opens the bundle, verifies every
hash, runs its self-test, and looks for signature and approval where they are required. Then the
loop takes it over in one step, as a stimulus in the journal. What cannot be taken is refused, and
`current` put back. For a while after it, the bundle is on probation.
"""

from __future__ import annotations

import gc
import hashlib
import threading
import time
from typing import TYPE_CHECKING, Final

from edge.assembly.assembly import Assembly, assemble, ready
from edge.audit.signatures import unsigned_because
from edge.bundles.approvals import unapproved_because
from edge.bundles.probation import Probation
from edge.bundles.store import CURRENT, KEPT, PROMOTIONS, loaded, store_of
from edge.commissioning.watch import prepare
from edge.errors import ConfigError
from edge.records import BundleSwapped
from edge.samples.layouts import asset_layouts
from edge.trust import Signs
from edge.verdicts.second_look import SecondLook
from models.errors import ModelError
from models.fitting.budget import budget_of

if TYPE_CHECKING:
    from pathlib import Path

    from edge.bundles.store import BundleStore, Pointer
    from edge.configuration.config import GatewayConfig
    from edge.gateway.faults import Faults
    from edge.gateway.telemetry import Telemetry
    from edge.records import ShellFault
    from edge.takeover import Fitted
    from edge.verdicts.second_look import Comparison

GATEWAY: Final = "the gateway"  # as the history names it
SECOND_LOOK_S_MAX: Final = 1.0  # the loop waits for it; an imported model may be slow


class BundleWatch:
    """Watches the bundles of one gateway, for one loop."""

    def __init__(
        self, config: GatewayConfig, assembly: Assembly, telemetry: Telemetry, store: BundleStore
    ) -> None:
        """Keep what scores now, so that a journal that names it can be taken again."""
        self._config, self._assembly, self._telemetry = config, assembly, telemetry
        self._store = store
        self._refused, self._rolled_back = "", assembly.fell_back
        if assembly.bundle_path is not None and not store.keeps(assembly.bundle.sha256):
            store.keep(assembly.bundle_path, loaded=assembly.bundle.sha256)
        self._seen = _seen(store)
        self._opening: threading.Thread | None = None
        self._arrived: tuple[Fitted, Path, Pointer | None] | None = None
        self._trouble = ""
        self._probation: Probation | None = None
        self._pointer: Pointer | None = None if self._rolled_back else store.pointer()
        self._begins = self._pointer is not None  # with the first look: the engine is restored now

    def look(self) -> list[BundleSwapped]:
        """A bundle that is to take over now, as the engine is to be told; mostly none."""
        if self._opening is not None:
            if self._opening.is_alive():
                return []
            self._opening = None
            return self._opened()
        if self._begins:
            self._begin()
        if back := self._misbehaves():
            return back
        seen = _seen(self._store)
        if seen != self._seen:
            self._seen = seen
            self._opening = threading.Thread(target=self._open, daemon=True)
            self._opening.start()
        return []

    def taken(self) -> None:
        """The engine has taken it over; what was promoted is on probation from here on."""
        self._begin()
        gc.freeze()  # as at the start: full collections need not look at it

    def judge(self, faults: Faults) -> list[ShellFault]:
        """What has begun or ended to be wrong."""
        return [
            *faults.judge("bundle_refused", self._refused),
            *faults.judge("bundle_rolled_back", self._rolled_back),
            *faults.judge("ticks_late", self._telemetry.late(self._config.engine.tick_ms)),
        ]

    def stop(self) -> None:
        """Wait for what is being opened."""
        if self._opening is not None:
            self._opening.join(timeout=0.5)

    # --- a promotion ---

    def _open(self) -> None:
        self._trouble, self._arrived = "", None
        try:
            pointer = self._store.pointer()
            sha256, path = self._store.current()
            if sha256 == self._assembly.bundle.sha256:
                return  # only touched
            self._arrived = (_verified(self._config, self._store, sha256, path), path, pointer)
        except (ModelError, ConfigError) as error:
            self._trouble = str(error)
        except Exception as error:  # noqa: BLE001 - a thread that dies would be a silent refusal
            self._trouble = f"{type(error).__name__}: {error}"

    def _opened(self) -> list[BundleSwapped]:
        """What the thread found."""
        arrived, self._arrived = self._arrived, None
        if self._trouble:
            self._refused = f"{self._trouble}; the bundle before scores on"
            self._point_back(self._assembly.bundle.sha256, "rolled_back", self._trouble)
            return []
        if arrived is None:
            return []
        fitted, path, self._pointer = arrived
        self._refused = self._rolled_back = ""
        self._assembly.adopt(fitted, path)
        sha256 = fitted.bundle.sha256
        return [BundleSwapped(bundle_sha256=sha256, because=_because(self._store, sha256))]

    # --- probation ---

    def _begin(self) -> None:
        self._begins, self._probation = False, None
        pointer = self._pointer
        if pointer is None or not pointer.before_sha256 or pointer.watch_until_ns <= time.time_ns():
            return
        self._probation = Probation(
            self._assembly.engine,
            self._telemetry,
            alerts_per_day=budget_of(self._assembly.bundle),
            alert_times=self._config.model.watch_alert_times,
            tick_ms=self._config.engine.tick_ms,
        )

    def _misbehaves(self) -> list[BundleSwapped]:
        """What takes over where the bundle has not stood its probation; mostly none."""
        if self._probation is None or self._pointer is None:
            return []
        if time.time_ns() > self._pointer.watch_until_ns:
            self._probation = None
            return []
        engine = self._assembly.engine
        broken = self._probation.judge(engine, self._telemetry)
        why = broken or self._probation.loud(engine)
        if not why:
            return []
        try:
            fitted, path = _stored(self._store, self._pointer.before_sha256)
            asset_layouts(self._assembly.settings, fitted.bundle)
        except (ConfigError, ModelError) as error:
            self._left_with(why, str(error))
            return []
        if not broken:
            found = self._second_look(self._probation, fitted)
            if found.alike:
                self._probation.excuse(engine)
                self._note_kept(f"{why}; {found}: the plant rings, not the bundle")
                return []
            why = f"{why}; {found}"
        return self._roll_back(why, fitted, path)

    def _second_look(self, probation: Probation, before: Fitted) -> Comparison:
        """What the one before would have rung in the samples that are still there."""
        assembly, state = self._assembly, self._assembly.engine.state
        now = assembly.opened(state.bundle_sha256)
        assert now is not None, "it scores"
        look = SecondLook(assembly.settings, state, assembly.knowledge(state.orders_of))
        until_s = time.monotonic() + SECOND_LOOK_S_MAX
        return look.compare(
            now,
            before,
            probation.heard(),
            since_ns=probation.begin_ns,
            go_on=lambda: time.monotonic() < until_s,
        )

    def _left_with(self, why: str, error: str) -> None:
        """The bundle before is gone or damaged: that is said, and nothing changes."""
        assert self._pointer is not None
        left, before = self._assembly.bundle.sha256, self._pointer.before_sha256
        self._probation = self._pointer = None
        lacks = f"the one before, {before[:12]}, can neither be asked nor take over: {error}"
        self._rolled_back = f"bundle {left[:12]} misbehaves: {why}; {lacks}"
        self._note_kept(f"{why}; {lacks}")

    def _note_kept(self, why: str) -> None:
        """The history says that a bundle stayed; what cannot be written changes nothing."""
        try:
            self._store.note(KEPT, self._assembly.bundle.sha256, by=GATEWAY, because=why)
        except ConfigError as error:
            self._refused = f"bundle {self._assembly.bundle.sha256[:12]} stays: {why}; and {error}"

    def _roll_back(self, why: str, fitted: Fitted, path: Path) -> list[BundleSwapped]:
        """The bundle before takes over again."""
        left, before = self._assembly.bundle.sha256, fitted.bundle.sha256
        self._probation = self._pointer = None
        self._point_back(before, "rolled_back", why)
        self._assembly.adopt(fitted, path)
        self._rolled_back = f"bundle {left[:12]} misbehaved: {why}; {before[:12]} scores again"
        return [BundleSwapped(bundle_sha256=before, because=f"rolled back by {GATEWAY}: {why}")]

    def _point_back(self, sha256: str, what: str, why: str) -> None:
        """Let `current` say what scores; a disk that fails is said, and the next start decides."""
        try:
            path = self._store.find(sha256)
            if path is not None:
                self._store.keep(path)
            self._store.point(sha256, by=GATEWAY, because=why, what=what)
        except (ConfigError, ModelError) as error:
            self._refused = f"{self._refused or why}; and {error}"
        self._seen = _seen(self._store)


def assembled(config: GatewayConfig) -> Assembly:
    """What a configuration names, put together; a promoted bundle that fails gives way.

    The bundle before it then counts again, and `fell_back` says why. Raises ModelError,
    KnowledgeError or ConfigError where there is none, and where something else is wrong.
    """
    prepare(config)
    try:
        return assemble(config)
    except (ModelError, ConfigError) as error:
        store = store_of(config)
        pointer = store.pointer()
        before = store.find(pointer.before_sha256) if pointer is not None else None
        if pointer is None or before is None or _opens(store, pointer.bundle_sha256):
            raise
        store.keep(before)
        why = f"it could not be opened: {error}"
        store.point(pointer.before_sha256, by=GATEWAY, because=why, what="rolled_back")
        assembly = assemble(config)
        assembly.fell_back = (
            f"bundle {pointer.bundle_sha256[:12]}: {why}; {pointer.before_sha256[:12]} scores again"
        )
        return assembly


def _verified(config: GatewayConfig, store: BundleStore, sha256: str, path: Path) -> Fitted:
    """A bundle that may take over. Raises ModelError or ConfigError saying why not."""
    bundle = loaded(path, sha256)
    asset_layouts(config.settings, bundle)
    trust = config.trust
    if trust.require_signed:
        lacks = unsigned_because(
            path,
            trust.may_sign(Signs.BUNDLE),
            now_ns=time.time_ns(),
            same=lambda raw: hashlib.sha256(raw).hexdigest() == sha256,
        )
        if lacks:
            raise ConfigError(lacks)
    if lacks := unapproved_because(config, store.history(), sha256):
        raise ConfigError(lacks)
    return ready(bundle)


def _stored(store: BundleStore, sha256: str) -> tuple[Fitted, Path]:
    """A bundle that counted before, and where it is. Raises ModelError."""
    path = store.find(sha256)
    if path is None:
        raise ModelError("nobody kept it")
    return ready(loaded(path, sha256)), path


def _opens(store: BundleStore, sha256: str) -> bool:
    """Whether a bundle is whole and passes its self-test."""
    try:
        _stored(store, sha256)
    except ModelError:
        return False
    return True


def _because(store: BundleStore, sha256: str) -> str:
    """What the history says of the newest change of what counts."""
    acts = [act for act in store.history() if act.what in PROMOTIONS]
    if not acts or acts[-1].bundle_sha256 != sha256:
        return ""
    said = acts[-1]
    return f"{said.what.replace('_', ' ')} by {said.by}" + (
        f": {said.because}" if said.because else ""
    )


def _seen(store: BundleStore) -> tuple[int, int, int]:
    """What the file `current` is now, as far as the file system tells."""
    try:
        stat = (store.directory / CURRENT).stat()
    except OSError:
        return 0, 0, 0
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
