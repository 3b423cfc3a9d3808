"""The loop with everything real but the broker: whichever step fails, no alert is lost or changed.

The broker here keeps what it must: what was not acknowledged comes again on the next connection.
"""

from __future__ import annotations

import gc
import itertools
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from edge.configuration.config import GatewayConfig
from edge.configuration.sections import JournalConfig, ModelConfig, MqttConfig
from edge.engine import Engine
from edge.errors import JournalError
from edge.gateway import app, durable
from edge.gateway.app import FAULT_EXIT, Gateway
from edge.gateway.inbox import Incoming
from edge.gateway.link import LinkCounts
from edge.records import Effect, MessageReceived, Publish, Stimulus
from edge.settings import EngineSettings
from edge.storage import checkpoint
from edge.storage.journal import read_journal
from edge.wire.readings import encode_rows
from edge.work.jobs import SECOND_NS
from models.bundles.assemble import make_bundle
from models.bundles.store import save
from tests.models.plants import fitted, plant
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

BEGIN_NS: Final = 1_772_427_600 * SECOND_NS
ROWS, STEP_ROW = 330, 300  # rows, and from where on the plant is somewhere else
SYSTEM: Final = "andon/s/alert/_gateway/system"
KEYED: Final = ("andon/s/alert/r1/process", "andon/s/event/r1")
ALL: Final = ("append", "sync", "put", "delivered", "ack", "publish", "save")
Row = tuple[str, str, int, bytes]  # topic, id, revision, payload


class Killed(BaseException):
    """The end of a process: nothing of it runs on."""


def messages() -> list[bytes]:
    """A plant that was well, in one payload, and the samples around its step, a few a payload."""
    values = plant(ROWS, seed=5)
    values[STEP_ROW:] += 20.0 * values.std(axis=0)
    tags = [f"c{i}" for i in range(values.shape[1])]
    cuts = [0, STEP_ROW - 5, STEP_ROW + 1, STEP_ROW + 5, ROWS]
    payloads: list[bytes] = []
    for first, last in itertools.pairwise(cuts):
        t_ns = [BEGIN_NS + row * SECOND_NS for row in range(first, last)]
        payloads += encode_rows(tags, t_ns, values[first:last].tolist(), shape="columnar")
    return payloads


@dataclass
class Broker:
    """A broker of one plant and one gateway, with the gateway's end of the connection.

    It stops the gateway when all was heard and said, and checks each promise when it is given.
    """

    state: Path
    payloads: list[bytes]
    acknowledged: set[int] = field(default_factory=set)
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    gateway: Gateway | None = None
    counts: LinkCounts = field(default_factory=LinkCounts)
    connected: bool = False
    alive: bool = True
    resumed: bool = True
    refusal: str = ""
    callback_error: str = ""
    queue_depth: int = 0
    _sent: set[int] = field(default_factory=set)
    _mids: list[int] = field(default_factory=list)
    _greeted: bool = False
    _on_connected: Callable[[], None] | None = None

    def link(self, *_args: object, on_connected: Callable[[], None], **_more: object) -> Broker:
        """A connection of a new process: nothing of an earlier one is in flight."""
        self.connected, self._on_connected = False, on_connected
        self._sent, self._mids, self._greeted = set(), [], False
        return self

    def start(self) -> None:
        """Let the gateway in."""
        assert self._on_connected is not None
        self.connected = True
        self._on_connected()

    def stop(self) -> None:
        """The connection ends."""
        self.connected = False

    def drain(self, _limit: int) -> list[Incoming]:
        """The next message, but none before the first tick and while an answer is awaited.

        So every run decides and is answered at the same place.
        """
        assert self.gateway is not None
        if not self._greeted:
            self._greeted = True
            return []
        if self._asked():
            answers = self.gateway._answers
            wait_until(lambda: answers, what="an answer")
            return []
        left = [i for i in range(len(self.payloads)) if i not in self.acknowledged | self._sent]
        if left:
            self._sent.add(left[0])
            payload = self.payloads[left[0]]
            return [Incoming("plant/r1", payload, 1, False, False, left[0], 1)]  # noqa: FBT003 - as paho tells
        if not self.connected or not self.gateway._durable.outbox.pending_count():
            self.gateway.stop()
        return []

    def _asked(self) -> bool:
        assert self.gateway is not None
        assets = self.gateway._assembly.engine._state.assets.values()
        alerts = [record for asset in assets for record in asset.alerts.values()]
        return any(record.alert_id and not record.explained for record in alerts)

    def ack(self, taken: Sequence[Incoming]) -> None:
        """Forget messages; they have to be in the journal's file by now."""
        if taken:
            stimuli = [entry.stimulus for entry in read_journal(self.state / "journal")]
            written = {s.payload for s in stimuli if isinstance(s, MessageReceived)}
            assert {message.payload for message in taken} <= written
        self.acknowledged |= {message.mid for message in taken}

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Hear a message; an alert has to be in the outbox's file by now."""
        if not self.connected:
            return None
        if retain and "id" in msgspec.json.decode(payload):
            assert payload in {row[3] for row in decided(self.state)}
        assert qos in (0, 1)
        self.heard.append((topic, payload))
        self._mids.append(len(self.heard))
        return len(self.heard)

    def confirmed(self) -> list[int]:
        """Everything that was heard is confirmed at once."""
        told, self._mids = self._mids, []
        return told

    def last(self, topic: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """What a retained topic says now."""
        return msgspec.json.decode([body for name, body in self.heard if name == topic][-1])


def decided(state: Path) -> list[Row]:
    """What stands in the outbox's file, in order."""
    with closing(sqlite3.connect(state / "outbox.sqlite")) as database:
        return database.execute(
            "SELECT topic, id, revision, payload FROM outbox ORDER BY row"
        ).fetchall()


class Steps:
    """Counts the steps of a gateway and fails one of them, before or after it was done."""

    def __init__(self, at: int = 0, *, after: bool = False, error: type[BaseException]) -> None:
        self.names: list[str] = []
        self._at = at
        self._after = after
        self._error = error

    def watch(self, holder: object, name: str) -> None:
        """Let a method of an object, or a function of a module, be a step."""
        real = getattr(holder, name)

        def step(*args: Any, **more: Any) -> Any:  # noqa: ANN401
            self.names.append(name)
            number = len(self.names)
            if number == self._at and not self._after:
                raise self._error("as the test wants it")
            result = real(*args, **more)
            if number == self._at:
                raise self._error("as the test wants it")
            return result

        setattr(holder, name, step)


class World:
    """A plant, a broker and a directory, in which gateways live one after another."""

    def __init__(self, folder: Path, bundle: Path, patch: pytest.MonkeyPatch) -> None:
        folder.mkdir(exist_ok=True)
        self.broker = Broker(state=folder / "state", payloads=messages())
        self._config = GatewayConfig(
            site="s",
            clock="plant",
            mqtt=MqttConfig(client_id="andon"),
            model=ModelConfig(bundle=str(bundle)),
            journal=JournalConfig(dir="state", sync_s=1e9, checkpoint_s=0.0),
            engine=EngineSettings(tick_ms=0, score_publish_s=10**6, health_publish_s=10**6),
            base=str(folder),
        )
        self._patch = patch

    def live(self, steps: Steps | None = None, *names: str) -> int:
        """One process, from its start to its end; returns its exit code."""
        with self._patch.context() as patch:
            for name in ("GROUP_WAIT_S", "IDLE_S", "JUDGE_S", "FAULT_CONNECT_S_MAX"):
                patch.setattr(app, name, 0.0)
            patch.setattr(app, "Link", self.broker.link)
            for name in ("collect", "freeze"):  # slow beside all that a test run holds
                patch.setattr(gc, name, int)
            gateway = self.broker.gateway = Gateway(self._config)
            self._promise(gateway)
            if steps is not None:
                patch.setattr(durable, "save", checkpoint.save)  # so that it is put back afterwards
                self._watch(gateway, steps, names)
            try:
                return gateway.run()
            finally:
                # what the system does for a process that is killed
                gateway._durable.journal._file.close()
                with closing(gateway._durable.outbox), closing(gateway._durable.audit):
                    gateway._retriever.stop()

    @staticmethod
    def _promise(gateway: Gateway) -> None:
        """What an alert follows from is on the disk before the alert is."""
        real = gateway._durable.outbox.put

        def put(messages: Sequence[Publish]) -> list[str]:
            assert not gateway._durable.journal._dirty
            return real(messages)

        gateway._durable.outbox.__dict__["put"] = put

    def _watch(self, gateway: Gateway, steps: Steps, names: Sequence[str]) -> None:
        holders: dict[str, object] = {
            "append": gateway._durable.journal,
            "sync": gateway._durable.journal,
            "put": gateway._durable.outbox,
            "delivered": gateway._durable.outbox,
            "ack": self.broker,
            "publish": self.broker,
            "save": durable,
        }
        for name in names:
            steps.watch(holders[name], name)

    def unwatch(self) -> None:
        """The broker outlives the process that failed."""
        for name in ("ack", "publish"):
            self.broker.__dict__.pop(name, None)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector for r1."""
    return save(make_bundle([fitted()]), tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def world(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which nothing has happened."""
    return World(tmp_path, bundle, monkeypatch)


class Undisturbed:
    """What has to come out, from a life in which nothing failed."""

    def __init__(self, world: World) -> None:
        steps = Steps(error=Killed)
        assert world.live(steps, *ALL) == 0
        self.steps = steps.names
        self.decided = decided(world.broker.state)
        self.revisions = {topic: [r[3] for r in self.decided if r[0] == topic] for topic in KEYED}
        assert [len(said) for said in self.revisions.values()] == [2, 2], "decided and explained"

    def check(self, world: World) -> None:
        """The same alerts, byte for byte; each topic heard all of them and never stepped back."""
        assert decided(world.broker.state) == self.decided
        for topic, said in self.revisions.items():
            heard = [said.index(body) for name, body in world.broker.heard if name == topic]
            assert heard == sorted(heard)
            assert set(heard) == set(range(len(said)))
        assert world.broker.acknowledged == set(range(len(world.broker.payloads)))
        assert world.broker.last(SYSTEM)["active"] == 0
        assert world.broker.last("andon/s/status")["online"] is False, "it has said goodbye"


@pytest.fixture(scope="module")
def undisturbed(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """A life in which nothing failed."""
    with pytest.MonkeyPatch.context() as patch:
        yield Undisturbed(World(tmp_path_factory.mktemp("undisturbed"), bundle, patch))


def test_a_process_killed_after_any_step_loses_no_alert_and_changes_none(
    undisturbed: Undisturbed, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written, acknowledged, decided, sent, noted or saved: the next process makes it whole."""
    assert set(undisturbed.steps) == set(ALL)
    for n in range(1, len(undisturbed.steps) + 1):
        world = World(tmp_path / str(n), bundle, monkeypatch)
        steps = Steps(n, after=True, error=Killed)
        with pytest.raises(Killed):
            world.live(steps, *ALL)
        assert steps.names == undisturbed.steps[:n], "every run is the same up to its end"
        world.unwatch()
        assert world.live() == 0
        undisturbed.check(world)


@pytest.mark.parametrize("name", ["append", "put", "delivered"])
def test_a_disk_that_fails_at_any_write_ends_the_process_with_its_reason_on_the_topic(
    name: str,
    undisturbed: Undisturbed,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said as a fault, a supervisor restarts it, and the next process makes it whole."""
    for n in range(1, undisturbed.steps.count(name) + 1):
        world = World(tmp_path / str(n), bundle, monkeypatch)
        assert world.live(Steps(n, error=JournalError), name) == FAULT_EXIT
        told = world.broker.last(SYSTEM)
        assert (told["active"], told["name"]) == (1, "gateway_failed")
        assert told["message"] == "JournalError: as the test wants it"
        assert world.live() == 0
        undisturbed.check(world)


def test_a_checkpoint_that_fails_ends_nothing(
    undisturbed: Undisturbed, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal alone restores everything, whichever of them it is."""
    for n in range(1, undisturbed.steps.count("save") + 1):
        world = World(tmp_path / str(n), bundle, monkeypatch)
        assert world.live(Steps(n, error=JournalError), "save") == 0
        assert decided(world.broker.state) == undisturbed.decided
        assert world.live() == 0
        undisturbed.check(world)


def test_after_a_clean_end_nothing_is_taken_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Its last checkpoint covers everything; after a kill the journal is needed."""
    caplog.set_level("INFO", logger="andon")
    assert world.live() == 0
    with pytest.raises(Killed):
        world.live(Steps(1, error=Killed), "ack")
    assert world.live() == 0
    told = [r.__dict__["fields"] for r in caplog.records if r.getMessage() == "restored"]
    assert [(t["stimuli"], t["from_checkpoint"]) for t in told] == [(0, 0), (0, 1), (1, 1)]


def test_an_error_of_ours_names_the_stimulus_and_frees_everything(
    undisturbed: Undisturbed, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What the engine stumbled over is in the log; it is in the journal, and not skipped there."""
    real = Engine.handle

    def stumble(engine: Engine, stimulus: Stimulus, *, now_ns: int) -> tuple[Effect, ...]:
        if isinstance(stimulus, MessageReceived) and stimulus.payload == world.broker.payloads[2]:
            raise ZeroDivisionError("a bug")
        return real(engine, stimulus, now_ns=now_ns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "handle", stumble)
        assert world.live() == FAULT_EXIT
        (failed,) = [r for r in caplog.records if r.getMessage() == "engine_failed"]
        assert "MessageReceived(topic='plant/r1'" in failed.__dict__["fields"]["stimulus"]
        assert world.broker.last(SYSTEM)["message"] == "ZeroDivisionError: a bug"
        assert world.live() == FAULT_EXIT, "it stands in the journal"
    assert world.live() == 0
    undisturbed.check(world)


def test_without_a_broker_it_decides_and_keeps_and_a_later_process_says_it(
    undisturbed: Undisturbed, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that never comes costs no alert, and the end is as clean as any."""
    with monkeypatch.context() as patch:
        patch.setattr(world.broker, "start", world.broker.stop)
        patch.setattr(app, "DELIVER_S_MAX", 0.0)
        assert world.live() == 0
    assert world.broker.heard == []
    assert decided(world.broker.state) == undisturbed.decided
    assert world.live() == 0
    undisturbed.check(world)
