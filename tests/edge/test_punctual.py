"""A loop that always has messages to take ticks on time, and takes them all the same."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from edge.brokers.inbox import Incoming
from edge.configuration.config import GatewayConfig
from edge.configuration.sections import JournalConfig, ModelConfig
from edge.engine import Engine
from edge.gateway import app
from edge.gateway.app import Gateway
from edge.gateway.world import World
from edge.records import MessageReceived, TickDue
from edge.settings import EngineSettings
from edge.storage.patience import NoPatience
from models.bundles.assemble import make_bundle
from models.bundles.store import save
from tests.edge.app_broker import Broker
from tests.edge.test_pace import Hand
from tests.models.plants import fitted

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from edge.wire.timing import TicksPayload

TICK_MS: Final = 10
MESSAGE_S: Final = 0.0007
BEGIN_S, END_S = 2.0, 12.0


class Machine(World):
    """Time passes where the loop waits, and where its engine works."""

    def __init__(self, clock: Hand) -> None:
        super().__init__(clock=clock)
        self.hand = clock

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Nobody wakes it."""
        self.hand.now_s += seconds
        return wake.is_set()

    def sleep(self, seconds: float) -> None:
        """So long."""
        self.hand.now_s += seconds

    def patience(self) -> NoPatience:
        """A disk that takes no time."""
        return NoPatience()

    def starts(self) -> None:
        """The heap is the test's."""

    def settled(self) -> None:
        """Likewise."""


class Flood(Broker):
    """More comes than can be taken, until a time; then the gateway is stopped."""

    clock: Hand
    deepest = 100_000
    taken = 0
    told: TicksPayload | None = None

    def drain(self, limit: int) -> list[Incoming]:
        """As many as are asked for."""
        assert self.gateway is not None
        passed_s = self.clock.now_s - 1_000.0
        if passed_s >= BEGIN_S and self.told is None:
            self.told, self.taken = self.gateway._pace.told(), 0  # what was learnt of messages
        if passed_s >= END_S:
            self.gateway.stop()
        if self.gateway._stopping:
            self.queue_depth = 0
            return []
        self.queue_depth = self.deepest
        count = min(limit, self.deepest)
        self.taken += count
        return [
            Incoming("plant/r1", b'{"ts":1,"nobody":1}', 0, False, False, n, 1)  # noqa: FBT003
            for n in range(count)
        ]

    def ack(self, taken: Sequence[Incoming]) -> None:
        """QoS 0."""


def lived(
    folder: Path, patch: pytest.MonkeyPatch, *, tick_s: float, deepest: int
) -> tuple[TicksPayload, int]:
    """What ticks were like over ten seconds in which a tick takes so long, and messages taken."""
    clock = Hand()
    broker = Flood(state=folder / "state", payloads=[])
    broker.clock, broker.deepest = clock, deepest
    config = GatewayConfig(
        site="s",
        model=ModelConfig(bundle=str(save(make_bundle([fitted()]), folder / "bundle"))),
        journal=JournalConfig(dir="state", sync_s=1e9, checkpoint_s=1e9, replay_s=0.0),
        engine=EngineSettings(tick_ms=TICK_MS, score_publish_s=10**6, health_publish_s=10**6),
        base=str(folder),
    )
    real = Engine.handle_group

    def handle(self: Engine, stimuli: Any, *, now_ns: int) -> Any:  # noqa: ANN401
        given = list(stimuli)
        for stimulus in given:
            clock.now_s += MESSAGE_S * isinstance(stimulus, MessageReceived)
            clock.now_s += tick_s * isinstance(stimulus, TickDue)
        return real(self, given, now_ns=now_ns)

    with patch.context() as patched:
        patched.setattr(app, "links_of", broker.link)
        patched.setattr(Engine, "handle_group", handle)
        gateway = broker.gateway = Gateway(config, Machine(clock))
        with closing(gateway._durable.outbox):
            assert gateway.run() == 0
    return gateway._pace.told(), broker.taken


@pytest.mark.parametrize("deepest", [1, 7, 100_000])
def test_a_due_tick_waits_for_one_message_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deepest: int
) -> None:
    """However much waits, none is missed; and the time between ticks goes to messages."""
    told, taken = lived(tmp_path, monkeypatch, tick_s=0.002, deepest=deepest)
    assert told.missed == 0
    assert told.late_ms.count == pytest.approx(1_000, abs=2)
    assert told.late_ms.max is not None
    assert told.late_ms.max <= 2.0 + 1e3 * MESSAGE_S
    assert taken * MESSAGE_S >= 0.6 * 10.0


def test_behind_its_ticks_it_takes_messages_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks that take longer than their pace leave half of the time, and are told as missed."""
    told, taken = lived(tmp_path, monkeypatch, tick_s=0.015, deepest=100_000)
    assert told.missed > 100
    assert told.late_ms.count == pytest.approx(1_000, abs=5)
    assert 0.4 * 10.0 <= taken * MESSAGE_S <= 0.6 * 10.0
