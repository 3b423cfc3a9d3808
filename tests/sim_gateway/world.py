"""A gateway's world, simulated: its artifacts, retrieval and upkeep, none with a thread."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from edge import taking
from edge.assembly.assembly import Assembly
from edge.gateway import saving
from edge.gateway.world import World
from edge.records import BundleSwapped, Note, RetrievalDone, SnapshotSwapped
from edge.samples import gather
from edge.storage.notebook import Notebook
from edge.wire.timing import RetrievalPayload
from kb.records import Hit
from tests.edge.rig import QUOTE
from tests.sim_gateway.ledger import Ledger
from tests.sim_gateway.patience import SlowPatience
from tests.sim_gateway.plant import NO_SCOPES, fitted, known

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from edge.configuration.config import GatewayConfig
    from edge.desk import Knowledge
    from edge.engine import Engine
    from edge.gateway.faults import Faults
    from edge.records import Retrieve
    from edge.settings import GatewaySettings
    from edge.storage.disk import Disk
    from edge.takeover import Fitted
    from tests.sim_gateway.broker import SimulatedMqtt
    from tests.sim_gateway.disk import ForgetfulDisk
    from tests.sim_gateway.fate import Fate


NOWHERE: Final = Path("nowhere")  # nothing is signed
SIZES: Final = (
    (taking, "FEW", (1, 1, 4)),
    (gather, "TOGETHER_MIN", (0, 0, 16)),
    (saving, "ASSETS_A_TURN", (1, 1, 64)),
)


@contextmanager
def sizes_put_back() -> Iterator[None]:
    """Behind this the numbers that a world draws are again what they were, for other tests."""
    with ExitStack() as stack:
        for module, name, _ in SIZES:
            stack.enter_context(mock.patch.object(module, name, vars(module)[name]))
        yield


class Shop:
    """What others put beside the gateway: detectors and snapshots, and which of them count now."""

    def __init__(self, assets: int) -> None:
        self.assets = assets
        self.bundle = self.snapshot = 0
        self.fitted: dict[str, Fitted] = {}
        self.known: dict[str, Knowledge] = {}
        for version in range(2):
            one = fitted(assets, version)
            self.fitted[one.bundle.sha256] = one
        for version in range(NO_SCOPES + 1):
            self.known[f"kb{version}"] = known(version)

    def detector(self) -> Fitted:
        """The one that counts."""
        return list(self.fitted.values())[self.bundle]

    def shown(self) -> Any:  # noqa: ANN401 - what an assembly reads of a snapshot
        """The snapshot that counts."""
        return SimpleNamespace(sha256=f"kb{self.snapshot}", path=None)


class SimulatedAssembly(Assembly):
    """A real one, of artifacts that are loaded already; `broken`: told what does not add up."""

    def __init__(
        self,
        settings: GatewaySettings,
        shop: Shop,
        *,
        broken: Callable[[str], None] | None = None,
    ) -> None:
        self.shop, self.broken = shop, broken
        store: Any = SimpleNamespace(find=lambda _sha256: None)
        detector = shop.detector()
        super().__init__(
            settings, bundle=detector.bundle, snapshot=shop.shown(), store=store, fitted=detector
        )

    def opened(self, sha256: str) -> Fitted | None:
        """What is in the shop."""
        return self.shop.fitted.get(sha256)

    def engine_of(self, *args: Any, **more: Any) -> Engine:  # noqa: ANN401
        """One whose values are booked, where somebody is to be told."""
        engine: Any = super().engine_of(*args, **more)
        if self.broken is not None:
            ledger = Ledger(engine, self.broken)
            engine.handle, engine.handle_group = ledger.handle, ledger.handle_group
        made: Engine = engine
        return made

    def _read(self, sha256: str) -> Knowledge | None:
        return self.shop.known[sha256]


class SimulatedRetriever:
    """Answers soon, late, with nothing, with an error, or never."""

    def __init__(self, fate: Fate, answer: Callable[[RetrievalDone], None]) -> None:
        self._fate, self._answer = fate, answer
        self._stopped = False

    def ask(self, effect: Retrieve, *, now_ns: int) -> None:
        """A question; `now_ns` only decides what was known."""
        assert now_ns > 0
        fate = self._fate
        fate.end("ask")
        way = fate.draw.randrange(6)
        took_s = fate.draw.random() * effect.deadline_ms / 1000
        hits: tuple[Hit, ...] | None = ()
        reason = ""
        if way == 0:
            return  # and never answers
        if way == 1:
            took_s, hits, reason = effect.deadline_ms / 1000, None, "the deadline had passed"
        elif way == 2:
            hits, reason = None, "OSError: broken"
        elif way < 5:
            found = Hit(
                citation=QUOTE, title="t", section="s", kind="manual", score=1.0, similarity=0.5
            )
            hits = (found,)
        done = RetrievalDone(alert_id=effect.alert_id, hits=hits, reason=reason)
        fate.time.at(
            fate.time.now_s + took_s, lambda: None if self._stopped else self._answer(done)
        )

    def told(self) -> RetrievalPayload:
        """Nothing of its times: they are drawn."""
        return RetrievalPayload()

    def swap(self, searcher: object, unused: Callable[[], None]) -> None:
        """Another snapshot."""
        assert searcher is not None
        unused()

    def stop(self) -> None:
        """No answer any more."""
        self._stopped = True


class SimulatedUpkeep:
    """Takes over what the shop shows, in the steps in which the real one does."""

    def __init__(self, assembly: SimulatedAssembly, source: Path, *, zone: str, disk: Disk) -> None:
        self._assembly, self._shop = assembly, assembly.shop
        self.notebook = Notebook(source, None, zone=zone, disk=disk)
        self.commissioning = SimpleNamespace(look=list)
        self.refused, self.successor = "", None

    def look(self, now_s: float) -> list[SnapshotSwapped | BundleSwapped]:
        """What has come."""
        self.notebook.turn(now_s)
        assembly, shop = self._assembly, self._shop
        detector = shop.detector()
        if detector.bundle.sha256 != assembly.bundle.sha256:
            assembly.adopt(detector, NOWHERE)
            return [BundleSwapped(bundle_sha256=detector.bundle.sha256, because="promoted")]
        if (snapshot := shop.shown()).sha256 != assembly.snapshot_sha256:
            assembly.swap(snapshot, shop.known[snapshot.sha256])
            return [SnapshotSwapped(snapshot_sha256=snapshot.sha256)]
        return []

    def hand_over(self) -> None:
        """Nobody changes the configuration here."""

    def taken(self, swapped: SnapshotSwapped | BundleSwapped) -> Note:
        """The engine has learnt it."""
        return Note(name="taken", level="info", fields={"what": type(swapped).__name__})

    def judge(self, faults: Faults) -> list[Any]:
        """Whether texts are noted."""
        return [*faults.judge("texts_not_searched", self.notebook.trouble)]

    def stop(self) -> None:
        """Nothing goes on."""


class SimulatedWorld(World):
    """One machine of one seed."""

    def __init__(
        self, fate: Fate, *, disk: ForgetfulDisk, transport: SimulatedMqtt, shop: Shop
    ) -> None:
        super().__init__(clock=fate.time, disk=disk, transport=transport)
        self._fate, self._shop, self._slow_disk = fate, shop, disk
        self.looked: Callable[[], object] = bool  # called between two turns of the loop
        self.broken: Callable[[str], None] = print  # told what an engine loses

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Time passes until something comes."""
        self.looked()
        self._fate.wait(seconds, enough=wake.is_set)
        return wake.is_set()

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self._fate.wait(seconds)

    def assembled(self, config: GatewayConfig) -> Assembly:
        """What the shop shows.

        From how many on assets and messages are taken together is another number in each process,
        and how many are copied in a turn (`SIZES`): a plant of a few takes both ways, and no bit
        depends on it. Whoever runs this puts them back.
        """
        for module, name, choices in SIZES:
            vars(module)[name] = self._fate.draw.choice(choices)
        return SimulatedAssembly(config.settings, self._shop, broken=self.broken)

    def retriever(self, assembly: Assembly, answer: Callable[[RetrievalDone], None]) -> Any:  # noqa: ANN401
        """One without a thread."""
        assert assembly is not None
        return SimulatedRetriever(self._fate, answer)

    def upkeep(self, config: Any, assembly: Any, retriever: Any, telemetry: Any) -> Any:  # noqa: ANN401
        """One that looks into the shop."""
        assert config is not None
        assert retriever is not None
        assert telemetry is not None
        source = config.path(config.kb.source)
        return SimulatedUpkeep(assembly, source, zone=config.kb.timezone, disk=self.disk)

    def patience(self) -> SlowPatience:
        """The disk answers at once, fails, or takes its time."""
        return SlowPatience(self._fate, self._slow_disk)

    def token(self, size_bytes: int) -> str:
        """Likewise."""
        return self._fate.draw.randbytes(size_bytes).hex()

    def leap(self) -> int:
        """Drawn, like everything."""
        return 1 + self._fate.draw.randrange(1 << 20)

    def starts(self) -> None:
        """Likewise."""

    def settled(self) -> None:
        """There are many of us in one process: the heap is nobody's own."""
