"""The loop with everything real but the broker: whichever step fails, no alert is lost or changed.

The broker here keeps what it must: what was not acknowledged comes again on the next connection.
"""

from __future__ import annotations

import gc
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest

from edge.brokers.inbox import Incoming
from edge.configuration.config import GatewayConfig
from edge.configuration.sections import JournalConfig, ModelConfig, MqttConfig
from edge.errors import JournalError
from edge.gateway import app, pace, saving
from edge.gateway.app import FAULT_EXIT, Gateway
from edge.gateway.overload import Overload
from edge.gateway.world import World as RealWorld
from edge.records import MessageReceived, Publish, Shed
from edge.samples.arrivals import Arrivals
from edge.settings import EngineSettings
from edge.storage import checkpoint
from edge.storage.journal import read_journal
from edge.storage.patience import NoPatience
from models.bundles.assemble import make_bundle
from models.bundles.store import save
from tests.edge.app_broker import Broker, decided, messages
from tests.models.plants import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SYSTEM: Final = "andon/s/alert/_gateway/system"
KEYED: Final = ("andon/s/alert/r1/process", "andon/s/event/r1")
ALL: Final = ("add", "syncing", "put", "delivered", "ack", "publish", "write")


class Killed(BaseException):
    """The end of a process: nothing of it runs on."""


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


class AtOnce(RealWorld):
    """A disk that is never slow: every run takes the same steps."""

    def patience(self) -> NoPatience:
        """Nothing is done beside the loop."""
        return NoPatience()


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
        self.machine: RealWorld = AtOnce()

    def live(self, steps: Steps | None = None, *names: str) -> int:
        """One process, from its start to its end; returns its exit code."""
        with self._patch.context() as patch:
            for name in ("JUDGE_S", "FAULT_CONNECT_S_MAX"):
                patch.setattr(app, name, 0.0)
            for name in ("GROUP_WAIT_S", "IDLE_S"):
                patch.setattr(pace, name, 0.0)
            patch.setattr(app, "links_of", self.broker.link)
            # how much a turn takes is measured; here every life shall take the same steps
            patch.setattr(Overload, "within", lambda self, _seconds: self.turn_max)
            patch.setattr(Overload, "turned", lambda *_: None)
            for name in ("collect", "freeze"):  # slow beside all that a test run holds
                patch.setattr(gc, name, int)
            gateway = self.broker.gateway = Gateway(self._config, self.machine)
            self._promise(gateway)
            if steps is not None:
                patch.setattr(saving, "write", checkpoint.write)  # put back afterwards
                self._watch(gateway, steps, names)
            try:
                return gateway.run()
            finally:
                # what the system does for a process that is killed
                if (journal := gateway._durable.journal) is not None:
                    journal._file.close()
                if (audit := gateway._durable.audit) is not None:
                    audit.close()
                with closing(gateway._durable.outbox):
                    gateway._retriever.stop()

    @staticmethod
    def _promise(gateway: Gateway) -> None:
        """What an alert follows from is on the disk before the alert is."""
        real = gateway._durable.outbox.put

        def put(messages: Sequence[Publish]) -> list[str]:
            journal = gateway._durable.journal
            lapsed = bool(gateway._durable.lapse.why)
            assert lapsed or (journal is not None and not journal._dirty)
            return real(messages)

        gateway._durable.outbox.__dict__["put"] = put

    def _watch(self, gateway: Gateway, steps: Steps, names: Sequence[str]) -> None:
        holders: dict[str, object] = {
            "add": gateway._durable.journal,
            "syncing": gateway._durable.journal,
            "put": gateway._durable.outbox,
            "delivered": gateway._durable.outbox,
            "ack": self.broker,
            "publish": self.broker,
            "write": saving,
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


@pytest.mark.not_counted
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


def test_a_checkpoint_that_fails_ends_nothing(
    undisturbed: Undisturbed, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal alone restores everything, whichever of them it is."""
    for n in range(1, undisturbed.steps.count("write") + 1):
        world = World(tmp_path / str(n), bundle, monkeypatch)
        assert world.live(Steps(n, error=JournalError), "write") == 0
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
    real = Arrivals._received_ns

    def stumble(arrivals: Arrivals, message: MessageReceived, *, now_ns: int) -> int:
        if message.payload == world.broker.payloads[2]:
            raise ZeroDivisionError("a bug")
        return real(arrivals, message, now_ns=now_ns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Arrivals, "_received_ns", stumble)
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


@pytest.mark.parametrize("when", ["drain", "stop"])
def test_what_is_given_up_in_a_stop_is_known_to_the_next_process(
    when: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it takes what has come, or says goodbye: after the last look of the loop."""
    real = getattr(world.broker, when)

    def floods(*args: Any) -> Any:  # noqa: ANN401
        gateway = world.broker.gateway
        assert gateway is not None
        inbox = gateway._overload._inbox
        if gateway._stopping and not len(inbox):
            inbox.limit_to(1)
            for mid in range(4):
                inbox.put([Incoming("plant/r1", b"{}", 1, False, False, 100 + mid, 1)])  # noqa: FBT003
        return real(*args)

    monkeypatch.setattr(world.broker, when, floods)
    assert world.live() == 0
    stimuli = [entry.stimulus for entry in read_journal(world.broker.state / "journal")]
    assert [one.messages for one in stimuli if isinstance(one, Shed)] == [{"r1": 3}]
    monkeypatch.undo()
    assert world.live() == 0
    gateway = world.broker.gateway
    assert gateway is not None
    assert gateway._assembly.engine.counts()["shed"] == 3
    assert gateway._assembly.engine.state.assets["r1"].shed_ns > 0, "nothing of it is suppressed"
