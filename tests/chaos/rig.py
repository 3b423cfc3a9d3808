"""Broker, gateway, plant and witness of a campaign, and everything that may go wrong with them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from edge.bundles.store import store_of
from edge.configuration.config import load
from edge.records import MessageReceived
from edge.storage.journal import Position, read_journal, segments
from kb.snapshots.history import kept, roll_back
from tests.broker.conftest import Mosquitto
from tests.broker.gateways import GatewayProcess, Heard, Subscriber
from tests.chaos.proxy import DOWN, UP, Proxy
from tests.chaos.sender import Sender
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.configuration.config import GatewayConfig
    from tests.chaos.plan import Fault
    from tests.chaos.plant import Plant
    from tests.chaos.sender import Messages

POINTS_FOLDER: Final = Path(__file__).resolve().parent / "points"
ROOT: Final = Path(__file__).resolve().parent.parent.parent
KEPT: Final = ("alert", "event", "group", "suppressed")  # kinds of topics that the outbox holds
AUTOSAVE: Final = "autosave_interval 2"
SETTLE_S: Final = 0.3  # for what a broker said last to be noted

Key = tuple[str, str, int]  # topic, id, revision


class Victim(GatewayProcess):
    """A gateway that may be told where to die."""

    def begin(self, point: str = "") -> int:
        """Start it; at `point` it ends itself. Returns how often it had restored before."""
        before = self.said("restored") if self.log.is_file() else 0
        paths = os.pathsep.join([str(POINTS_FOLDER), str(ROOT)])
        self._environment |= {"ANDON_CHAOS_POINT": point, "PYTHONPATH": paths}
        self.start()
        return before

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self.running:
            assert self._process is not None
            self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """How it ended; None: it runs, or never did."""
        return None if self._process is None else self._process.poll()


@dataclass(slots=True)
class Journaled:
    """Which of the plant's messages stand in the journal, read on from the last look."""

    directory: Path
    numbers: dict[tuple[str, bytes], int]
    after: Position | None = None
    found: set[int] = field(default_factory=set)
    first_missing: int = 0

    def look(self) -> int:
        """The number of the first message that is not in the journal."""
        if segments(self.directory):
            for entry in read_journal(self.directory, after=self.after):
                self.after = entry.position
                if isinstance(entry.stimulus, MessageReceived):
                    key = (entry.stimulus.topic, entry.stimulus.payload)
                    if key in self.numbers:
                        self.found.add(self.numbers[key])
        while self.first_missing in self.found:
            self.found.discard(self.first_missing)
            self.first_missing += 1
        return self.first_missing


class Rig:
    """Everything of one campaign. A context manager that leaves no process behind."""

    def __init__(
        self,
        plant: Plant,
        folder: Path,
        *,
        messages: Messages | None = None,
        hears: bool = True,
        settings: dict[str, str] | None = None,
    ) -> None:
        """messages: to be sent, if not the plant's own; hears: keep a record of what is said.

        settings: of the gateway, over those of a campaign.
        """
        to_send = messages if messages is not None else plant.messages
        store = folder / "mosquitto"
        store.mkdir()
        self.plant, self.folder, self._store = plant, folder, store
        self.broker = Mosquitto(store)
        self.proxy = Proxy(self.broker.port)
        self.broker.overheard.reached_by(self.proxy.port)
        self.settings = {
            "ANDON__JOURNAL__DIR": str(folder / "state"),
            "ANDON__JOURNAL__CHECKPOINT_S": "1",
            "ANDON__MQTT__KEEPALIVE_S": "3",
            "ANDON__MODEL__WATCH_S": "0",
        } | (settings or {})
        self._hears = hears
        self.gateway = Victim(
            plant.config,
            port=self.proxy.port if hears else self.broker.port,
            state=folder / "state",
            **self.settings,
        )
        self.sender = Sender(self.broker.port, to_send, name="plant")
        self.witness = Subscriber(self.broker.port, folder / "heard", "andon/#")
        numbers = {(m.topic, m.payload): i for i, m in enumerate(plant.messages)}
        self.journaled = Journaled(folder / "state" / "journal", numbers)
        self.broker_down = self.broker_hangs = False
        self.broker_losses = self.sent_again = 0
        self.confirmed_most = 0  # messages: a broker forgets, and the count goes back
        self.lost_by_broker: set[Key] = set()
        self._birth_after_ms: int | None = None

    def __enter__(self) -> Self:
        self.broker.start(more=AUTOSAVE)
        self.proxy.__enter__()
        if self._hears:
            self.witness.__enter__()
        self.sender.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        """Leave no process behind. Raises AssertionError where the gateway said what it lists not.

        Behind another error that is a note of it.
        """
        self._end(kind, error, trace)
        try:
            self.broker.overheard.check()
        except AssertionError as beyond:
            if error is None:
                raise
            error.add_note(str(beyond))

    def _end(self, *error: object) -> None:
        self.gateway.send(signal.SIGCONT)
        if self.gateway.running:
            self.gateway.kill()
        self._wake_broker()
        self.sender.__exit__(*error)
        if self._hears:
            self.witness.__exit__(*error)
        self.proxy.__exit__(*error)
        self.broker.overheard.stop()
        self.broker.stop()

    @property
    def waits_for_birth(self) -> bool:
        """Whether the plant waits until the gateway listens to a broker that forgot it."""
        return self._birth_after_ms is not None

    @property
    def config(self) -> GatewayConfig:
        """The gateway's configuration as it runs."""
        return load(self.plant.config, environment=self.settings)

    # --- faults: each returns what ends it, None where it could not begin ---

    def begin(self, fault: Fault) -> Callable[[], None] | None:
        """Let a fault begin."""
        if fault.name.startswith("broker"):
            if self.broker_down or self.broker_hangs:
                return None
            return self._of_broker(fault.name)
        if fault.name == "gateway hangs":
            self.gateway.send(signal.SIGSTOP)
            return lambda: self.gateway.send(signal.SIGCONT)
        if fault.name == "connection cut":
            self.proxy.cut()
            return lambda: None
        if fault.name == "everything late":
            self.proxy.delay(0.3)
            return lambda: self.proxy.delay(0.0)
        sides = {"nothing comes": (DOWN,), "nothing leaves": (UP,), "nothing passes": (UP, DOWN)}
        self.proxy.stall(*sides[fault.name])
        return self.proxy.stall

    def _of_broker(self, name: str) -> Callable[[], None]:
        if name == "broker hangs":
            self.broker.signal(signal.SIGSTOP)
            self.broker_hangs = True
            return self._wake_broker
        self.broker_down = True
        if name == "broker killed":
            self.broker.kill()
            self._broker_forgot()
            return self._broker_again
        self.broker.stop()
        if name == "broker restarted":
            return self._broker_back
        self.broker.forget()
        self._broker_forgot()
        return self._broker_again

    def _wake_broker(self) -> None:
        if self.broker_hangs:
            self.broker.signal(signal.SIGCONT)
            self.broker_hangs = False

    def _broker_back(self) -> None:
        self.broker.start(more=AUTOSAVE)
        self.broker_down = False

    def _broker_forgot(self) -> None:
        """What the broker had confirmed and nobody has heard is gone, and not by our fault."""
        self.broker_losses += 1
        self.sender.hold()
        self.proxy.refusing = True
        self.proxy.cut()  # confirmations on their way end here
        self.gateway.send(signal.SIGCONT)
        time.sleep(SETTLE_S)
        heard = {key for key, _ in keyed(self.witness.all())}
        delivered = {(t, i, r) for t, i, r, _ in self.gateway.outbox(delivered=True)}
        self.lost_by_broker |= delivered - heard

    def _broker_again(self) -> None:
        """The broker is back; the witness listens before the gateway may speak."""
        self._broker_back()
        self.witness.listen_again()
        self._birth_after_ms = time.time_ns() // 1_000_000
        self.proxy.refusing = False

    def look(self) -> None:
        """Let the plant go on, and repeat what the broker forgot, once the gateway listens."""
        if (error := self.sender.error or self.proxy.error) is not None:
            raise RuntimeError("the rig itself failed") from error
        self.confirmed_most = max(self.confirmed_most, self.sender.confirmed)
        if self._birth_after_ms is None:
            return
        births = [m.body for m in self.witness.of("status")]
        if any(b["online"] and b["ts_ms"] >= self._birth_after_ms for b in births[-20:]):
            self._birth_after_ms = None
            at = self.journaled.look()
            self.sent_again += max(self.sender.confirmed - at, 0)
            self.sender.go_on(at)

    # --- takeovers ---

    def swap(self, what: str) -> None:
        """Let the twin take over, of the snapshot or the bundle."""
        if what == "snapshot":
            others = kept(self.plant.snapshot)
            roll_back(self.plant.snapshot, others[0][0])
            return
        store = store_of(self.config)
        now, _ = store.current()
        for path in self.plant.bundles:
            place = store.keep(path)
            sha256, _ = store.resolve(str(place))
            if sha256 != now:
                store.point(sha256, by="chaos", because="its twin's turn")
                return

    def last_words(self) -> dict[str, bytes]:
        """What a dashboard that connects now finds on the topics of alerts."""
        file = self.folder / "retained"
        with Subscriber(self.broker.port, file, "andon/#") as fresh:
            wait_until(lambda: fresh.of("status"), what="what is retained")
            time.sleep(SETTLE_S)
            heard = fresh.all()
        return {m.topic: m.payload for m in heard if m.kind == "alert"}


def keyed(heard: list[Heard]) -> list[tuple[Key, bytes]]:
    """What of a record stands in an outbox too, with its key."""
    messages = [m for m in heard if m.kind in KEPT and "_gateway" not in m.topic]
    found = []
    for message in messages:
        body = message.body
        found.append(((message.topic, body["id"], body["revision"]), message.payload))
    return found


def missing_programs() -> list[str]:
    """What has to be installed and is not."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return [name for name in ("mosquitto", "mosquitto_sub") if not shutil.which(name, path=path)]
