"""The engine's door: whatever comes over MQTT, nothing is raised and its state stays sound."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from edge.caps import PAYLOAD_BYTES_MAX
from edge.engine import Engine
from edge.records import MessageReceived, Publish, TickDue
from edge.settings import Source
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.wire.topics import CLOCK_TOPIC
from tests.edge import rig
from tests.fuzz import shapes
from tests.fuzz.mutate import behind_line, json_of, mixed, mutate_bytes, mutate_json
from tests.fuzz.shapes import START, S
from tests.fuzz.target import BYTES, Target

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Effect
    from edge.settings import GatewaySettings
    from tests.fuzz.target import Read

SPAN: Final = 2_000
STATE_BYTES_MAX: Final = 8 << 20  # of two assets: rings, what waits, alerts
EFFECTS_MAX: Final = 20_000  # of one stimulus
TICK_EVERY: Final = 4
CHECK_EVERY: Final = 250
WARM_S: Final = 700
HEADS: Final = tuple(
    f"{topic} {retain} {late}".encode()
    for topic in (
        "plant/r1", "plant/r11", "plant/nobody", "plant/_clock", "plant", "", "plant/r1/x",
        "more/any",
        "andon/s/cmd/ann/job", "andon/s/cmd/ann/text", "andon/s/cmd/a/b/c", "andon/s/status",
        "andon/s/alert/r1/process", "$SYS/x", "plant/\u202e",
    )
    for retain, late in ((0, 0), (1, 0), (0, -(10**6)), (0, 10**9))
)  # fmt: skip


def _settings(clock: str) -> GatewaySettings:
    return rig.settings(clock=clock, source=(Source(), Source(topic="more/#")))


@cache
def _warm(clock: str) -> bytes:
    """The packed state of an engine with an open event and an open job."""
    plant = rig.Rig(conf=_settings(clock))
    plant.run(WARM_S)
    plant.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")
    plant.run(40, {"c2": 12.0}, other={"c1": 12.0})
    return pack(plant.engine.state)


def packed_state(clock: str) -> EngineState:
    """The state of an engine at work, for what stores it."""
    state: EngineState = unpack(_warm(clock), EngineState)
    return state


def _engine(clock: str) -> Engine:
    return Engine(
        _settings(clock),
        bundle=rig.bundle(),
        detectors=rig.detectors(),
        derive=rig.derived,
        knowledge=rig.knowledge(proposals=[rig.order()]),
        state=unpack(_warm(clock), EngineState),
    )


class _Plant:
    """An engine that takes one message after another, and now and then a tick."""

    def __init__(self, clock: str) -> None:
        self._engine = _engine(clock)
        self._taken = 0

    def read(self, data: bytes) -> bool:
        """First line: topic, retained or not, and how many ms late it comes."""
        head, _, payload = data.partition(b"\n")
        topic, *words = head.decode("utf-8", "replace").rsplit(" ", 2)
        retain, late_ms = False, 0
        with contextlib.suppress(ValueError, IndexError):
            retain, late_ms = words[0] == "1", max(-(10**9), min(int(words[1]), 10**9))
        now_ns = START + WARM_S * S + 40 * S + self._taken * S // 4
        message = MessageReceived(
            topic=topic, payload=payload, received_ns=now_ns - late_ms * 10**6, retain=retain
        )
        counted = self._taken % 16 == 0 and topic != CLOCK_TOPIC
        before = sum(self._engine.counts().values()) if counted else -1
        self._check(self._engine.handle(message, now_ns=now_ns))
        assert before < 0 or sum(self._engine.counts().values()) > before, "not even counted"
        self._taken += 1
        if self._taken % TICK_EVERY == 0:
            self._check(self._engine.handle(TickDue(), now_ns=now_ns))
        if self._taken % CHECK_EVERY == 0:
            self._check_state()
        return True

    def _check(self, effects: tuple[Effect, ...]) -> None:
        assert len(effects) <= EFFECTS_MAX
        for effect in effects:
            if isinstance(effect, Publish):
                assert effect.topic.startswith("andon/s/")
                assert "+" not in effect.topic
                assert "#" not in effect.topic
                assert len(effect.payload) <= PAYLOAD_BYTES_MAX
                assert not effect.payload or isinstance(msgspec.json.decode(effect.payload), dict)

    def _check_state(self) -> None:
        """What it remembers is bounded, and a checkpoint can hold it."""
        packed = pack(self._engine.state)
        assert len(packed) <= STATE_BYTES_MAX
        assert pack(unpack(packed, EngineState)) == packed
        assert all(count >= 0 for count in self._engine.counts().values())


def _seeds() -> list[bytes]:
    payloads = [*shapes.own_readings(), *shapes.foreign_readings()]
    made = [f"plant/r{1 if k % 3 else 11} 0 0\n".encode() + p for k, p in enumerate(payloads)]
    for name, bodies in shapes.command_bodies().items():
        made += [f"andon/s/cmd/ann/{name} 0 0\n".encode() + json_of(body) for body in bodies]
    return [*made, b'plant/_clock 0 0\n{"ts":1760000000000}']


def _target(clock: str) -> Target:
    def begin(_scratch: Path) -> Read:
        return _Plant(clock).read

    return Target(
        name=f"engine-{clock}",
        count=BYTES,
        begin=begin,
        refusals=(),
        seeds=_seeds,
        mutate=behind_line(mixed(mutate_json, mutate_json, mutate_bytes), heads=HEADS),
        span=SPAN,
    )


TARGETS: Final = (_target("wall"), _target("plant"))
