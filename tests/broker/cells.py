"""A small weld cell on disk, fitted and read, that several tests replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from edge.assembly.assembly import Assembly, assemble
from edge.bundles.training import fit_bundle
from edge.configuration.config import load
from edge.records import MessageReceived, TickDue
from kb.snapshots.build import build
from models.bundles.store import save as save_bundle
from models.samples import TrainingSamples
from simulator.cells import weld
from simulator.publish import SECOND_NS, with_clock
from tests.broker.gateways import GatewayProcess, Subscriber

if TYPE_CHECKING:
    from pathlib import Path

    from edge.recordings.recording import TimedMessage
    from simulator.scenario import Scenario
    from tests.broker.conftest import Mosquitto

SEED: Final = 3
HOURS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A weld cell on disk, with what a replay of it sends."""

    scenario: Scenario
    config: Path
    messages: list[TimedMessage]
    opening: int  # number of the message after which the first event rings or is suppressed

    @property
    def end_ns(self) -> int:
        """When all of its samples are closed."""
        return self.scenario.truth.end_ns

    def assembly(self) -> Assembly:
        """A fresh engine with everything it needs."""
        return assemble(load(self.config, environment={}))

    def gateway(self, broker: Mosquitto, state: Path, **settings: str) -> GatewayProcess:
        """A gateway for it."""
        return GatewayProcess(self.config, port=broker.port, state=state, **settings)


def make_cell(folder: Path, *, start_ns: int | None = None) -> Cell:
    """Two robots for two hours: a calibration by command, one by a plant signal, a fault in it.

    start_ns: when its shift began, plant time; None: as the simulator has it.
    """
    scenario = weld.simulate(seed=SEED, robots=2, hours=HOURS, start_ns=start_ns)
    for name, text in scenario.texts.items():
        path = folder / "kb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    normal = weld.training(seed=SEED, robots=2, hours=10.0, end_ns=start_ns)
    samples = [
        TrainingSamples(
            asset=asset,
            channels=normal.channels,
            values=normal.values[asset],
            period_ns=normal.period_ns,
            running=normal.running(asset),
        )
        for asset in normal.assets
    ]
    save_bundle(fit_bundle([(one, "rows") for one in samples]), folder / "bundle")
    build(folder / "kb", folder / "snapshot", now_ns=scenario.begin_ns)
    config = folder / "gateway.toml"
    config.write_text(scenario.gateway, encoding="utf-8")
    messages = list(with_clock(scenario.messages(), topic="plant/_clock", cadence_ns=5 * SECOND_NS))
    opening = _opening(assemble(load(config, environment={})), messages)
    return Cell(scenario=scenario, config=config, messages=messages, opening=opening)


def _opening(assembly: Assembly, messages: list[TimedMessage]) -> int:
    """The number of messages that it takes until something is decided, found without a broker."""
    for i, message in enumerate(messages):
        stimulus = MessageReceived(
            topic=message.topic, payload=message.payload, received_ns=message.t_ns
        )
        effects = assembly.engine.handle(stimulus, now_ns=message.t_ns)
        effects += assembly.engine.handle(TickDue(), now_ns=message.t_ns)
        if any(getattr(effect, "key", None) for effect in effects):
            return i + 1
    pytest.fail("nothing happens in this cell; take another seed")


def listener(broker: Mosquitto, file: Path) -> Subscriber:
    """Hear everything that Andon says."""
    return Subscriber(broker.port, file, "andon/#")
