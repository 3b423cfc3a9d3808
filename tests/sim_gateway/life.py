"""One seed: a plant, its chaos, and gateways that live one after another until all is calm."""

from __future__ import annotations

import errno
import logging
import shutil
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.configuration.config import GatewayConfig
from edge.configuration.sections import JournalConfig, KbConfig, MqttConfig
from edge.errors import AndonError
from edge.gateway.app import Gateway
from tests.sim_gateway.broker import Broker, SimulatedMqtt
from tests.sim_gateway.checks import ANEW, STATUS, BrokenError, Witness, waiting
from tests.sim_gateway.disk import TROUBLES, ForgetfulDisk
from tests.sim_gateway.fate import Fate, Killed
from tests.sim_gateway.plant import CALM_S, Schedule, asset_settings, engine_settings
from tests.sim_gateway.world import Shop, SimulatedWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim_gateway.client import Connection, Message

STOP_S_MAX: Final = 5.0  # what a stop may take, however slow the disk
SETTLE_S_MAX: Final = 120.0  # until all that was decided is heard
LIVES_MAX: Final = 60
TOLD_S_MAX: Final = 10.0  # of a lapse, until the engine knows of it
PARTS: Final = ("", "journal/", "outbox", "audit/", "checkpoints", "dead_letters")  # of the disk
AMBUSHES: Final = ("COMMIT", "BEGIN", "ack", "publish andon/s/alert", "replace", "unlink", "sync ")


@dataclass
class Outcome:
    """What became of a seed. problem: "" every promise was kept."""

    seed: int
    problem: str
    digest: str
    seen: dict[str, int] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)


class Life:
    """The machine, broker and plant of one seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.fate = fate = Fate(seed)
        draw = fate.draw
        self.schedule = Schedule.drawn(
            draw, assets=draw.choice((1, 1, 2, 2, 3)), seconds=draw.randrange(40, 75)
        )
        self.calm_s = self.schedule.seconds - CALM_S
        self.rough = draw.random()  # how much of the chaos there is
        self.config = self._drawn_config(folder)
        self.shop = Shop(self.schedule.assets)
        self.shop.bundle, self.shop.snapshot = 0, draw.randrange(3)
        self.broker = Broker(fate)
        self.disk = ForgetfulDisk(fate)
        self.mqtt = SimulatedMqtt(self.broker, fate)
        self.world = SimulatedWorld(fate, disk=self.disk, transport=self.mqtt, shop=self.shop)
        self.world.looked = self._look
        self.witness = Witness(
            fate, self.broker, self.disk, folder / "state",
            strict=self.config.journal.strict, sync_s=self.config.journal.sync_s,
        )  # fmt: skip
        self.broker.heard = self._heard
        self.broker.promised = self._promised
        self.broker.forgot = lambda: self.witness.order.append(ANEW)
        self.gateway: Gateway | None = None
        self.broken: BrokenError | None = None
        self.done, self.stopped_s = False, float("inf")
        for sent in self.schedule.sent:
            fate.time.at(sent.at_s, self._sends(sent.message))
        self._draw_chaos()
        fate.time.at(self.calm_s, self._heal)

    def _drawn_config(self, folder: Path) -> GatewayConfig:
        draw = self.fate.draw
        return GatewayConfig(
            site="s",
            clock=draw.choice(("plant", "wall", "wall")),
            mqtt=MqttConfig(client_id="andon", queue_messages_max=draw.choice((4, 1_000, 1_000))),
            kb=KbConfig(snapshot="kb", source="docs"),
            journal=JournalConfig(
                dir="state",
                sync_s=draw.choice((0.0, 1.0, 5.0)),
                strict=draw.random() < 0.25,
                compress=draw.random() < 0.5,
                bytes_max=draw.choice((1 << 30, 300_000, 60_000)),
                checkpoint_s=draw.choice((3.0, 10.0, 40.0)),
            ),
            engine=engine_settings(draw),
            asset=asset_settings(self.schedule.assets),
            base=str(folder),
        )

    # --- chaos ---

    def _draw_chaos(self) -> None:
        draw, broker = self.fate.draw, self.broker
        broker.network.delay_s = draw.choice((0.0005, 0.005, 0.05))
        broker.network.jitter_s = draw.choice((0.0, 0.02, 0.5))
        kinds: list[Callable[[], None]] = [
            broker.cut,
            self._cut_twice,
            lambda: broker.silence(draw.choice((1.0, 5.0, 15.0))),
            lambda: broker.restart(with_store=True, down_s=draw.random() * 10),
            lambda: broker.restart(with_store=False, down_s=draw.random() * 10),
            lambda: self._spell(broker, "refuses", value=True),
            lambda: self._spell(broker, "refuses_filters", value=True),
            lambda: self._spell(broker.network, "up", value=False),
            self._disk_fails,
            self._disk_fails,
            lambda: self._spell(self.disk, "slow", value=True),
            lambda: self.fate.time.step(
                draw.choice((-3600.0, -2.0, 1.5, 60.0)), drift=draw.choice((0.0, 1e-4, -0.01))
            ),
            lambda: setattr(self.shop, "bundle", 1 - self.shop.bundle),
            lambda: setattr(self.shop, "snapshot", draw.randrange(3)),
            self._thread_ends,
            self._stop,
            self._stops_on_a_slow_disk,
        ]
        for _ in range(int(draw.randrange(9) * 2 * self.rough)):
            self.fate.time.at(draw.random() * self.calm_s, self._told(draw.choice(kinds)))

    def _told(self, happens: Callable[[], None]) -> Callable[[], None]:
        def now() -> None:
            if self.fate.time.now_s <= self.calm_s:
                happens()

        return now

    def _cut_twice(self) -> None:
        """A broker that comes without what it knew, and breaks the connection at once."""
        self.broker.restart(with_store=False, down_s=0.0)
        self.fate.time.at(
            self.fate.time.now_s + 1.0 + self.fate.draw.random() * 0.3, self.broker.cut
        )

    def _spell(self, holder: object, name: str, *, value: bool) -> None:
        """Something is otherwise for a while."""
        setattr(holder, name, value)
        over_s = self.fate.time.now_s + self.fate.draw.random() * 20
        self.fate.time.at(over_s, lambda: self._over(holder, name, value=value))

    def _over(self, holder: object, name: str, *, value: bool) -> None:
        setattr(holder, name, not value)
        if name == "refuses_filters":
            self.broker.cut()  # an operator mends the rights, and lets it in anew

    def _disk_fails(self) -> None:
        """All of it or one part, for a few calls or for a while."""
        draw = self.fate.draw
        self.disk.trouble, self.disk.troubled = draw.choice(TROUBLES), draw.choice(PARTS)
        self.disk.failures_max = draw.choice((0, 0, 1, 2, 5))
        over_s = self.fate.time.now_s + draw.choice((0.05, 2.0, 10.0, 25.0))
        self.fate.time.at(over_s, lambda: setattr(self.disk, "trouble", 0))

    def _thread_ends(self) -> None:
        if self.mqtt.client is not None and self.mqtt.client.started:
            self.mqtt.client.thread_ended = True

    def _stop(self) -> None:
        if self.gateway is not None:
            self.gateway.stop()
            self.stopped_s = min(self.stopped_s, self.fate.time.now_s)

    def _stops_on_a_slow_disk(self) -> None:
        self._spell(self.disk, "slow", value=True)
        self.fate.time.at(self.fate.time.now_s + self.fate.draw.random() * 6, self._stop)

    def _heal(self) -> None:
        """Nothing fails from here on."""
        broker = self.broker
        self.fate.spare()
        self.fate.time.steady()
        broker.network.delay_s, broker.network.jitter_s, broker.network.up = 0.001, 0.0, True
        broker.refuses, self.disk.trouble, self.disk.slow = False, 0, False
        if broker.refuses_filters:
            broker.refuses_filters = False
            broker.cut()

    # --- what is seen ---

    def _sends(self, message: Message) -> Callable[[], None]:
        def now() -> None:
            if b'"?' in message.payload:  # an alert that nobody knows before
                asset = message.payload.split(b'"?')[1].split(b'"')[0].decode()
                ids = [k[1] for k in self.witness.said if k[1].startswith(f"{asset}-")]
                told = ids[-1] if ids else f"{asset}-none"
                message.payload = message.payload.replace(b"?" + asset.encode(), told.encode())
            self.broker.takes(message)

        return now

    def _judged(self, judge: Callable[[], object]) -> None:
        try:
            judge()
        except BrokenError as broken:
            self._breaks(broken)

    def _heard(self, topic: str, payload: bytes, dup: bool) -> None:  # noqa: FBT001
        self._judged(lambda: self.witness.heard(topic, payload, dup))

    def _promised(self, connection: Connection, mid: int) -> None:
        session = self.broker.session
        if connection is self.broker.connection and session is not None and mid in session.unacked:
            self._judged(lambda: self.witness.promised(session.unacked[mid], self.gateway))

    def _breaks(self, broken: BrokenError) -> None:
        self.broken = self.broken or broken
        self.fate.dead = True  # there is no use in going on

    def _look(self) -> None:
        gateway = self.gateway
        if gateway is None:
            return
        self._judged(lambda: self.witness.look(gateway))
        lasts_s = gateway._durable.lapse.lasts_s
        if lasts_s > TOLD_S_MAX and not gateway._assembly.engine._state.not_durable:
            self._breaks(BrokenError(f"not durable for {lasts_s} s, and the engine is not told"))
        now_s = self.fate.time.now_s
        if now_s > self.schedule.seconds + 3.0 and self._quiet(gateway):
            if not self.done and b'"online":true' not in self.broker.retained.get(STATUS, b""):
                self._breaks(BrokenError("it runs, and the broker says that it does not"))
            if not self.done:
                self._judged(lambda: self.witness.rests(gateway))
            self.done = True
            self._stop()
        if now_s > self.schedule.seconds + SETTLE_S_MAX:
            self._breaks(BrokenError(f"it does not settle: {self._state(gateway)}"))

    def _state(self, gateway: Gateway) -> dict[str, int]:
        return {
            "connected": int(gateway._link.connected),
            "queue": gateway._link.queue_depth,
            "at the broker": self.broker.waiting,
            "in flight": gateway._voice._delivery.in_flight,
            "outbox": waiting(self.witness.state) + gateway._durable.outbox.in_memory,
            "lapses": len(gateway._durable.lapse.parts),
            "unconfirmed": len(self.mqtt.client.out) if self.mqtt.client else 0,
        }

    def _quiet(self, gateway: Gateway) -> bool:
        state = self._state(gateway)
        return bool(state.pop("connected")) and not any(state.values())

    # --- lives ---

    def run(self) -> None:
        """Until all is calm and heard. Raises BrokenError, or what the gateway did not catch."""
        for _ in range(LIVES_MAX):
            self._live()
            if self.broken is not None:
                raise self.broken
            if self.done:
                break
        else:
            raise BrokenError(f"after {LIVES_MAX} starts it does not go on")
        self.witness.settled(self.config.settings, Shop(self.schedule.assets))

    def _live(self) -> None:
        fate, draw = self.fate, self.fate.draw
        calm = fate.time.now_s >= self.calm_s
        if calm or not fate.chance(self.rough + 0.2):
            fate.live(0)
        elif fate.chance(0.5):  # anywhere
            fate.live(int(10 ** (1 + 3.0 * draw.random())))
        else:  # in the middle of something
            count = draw.choice((1, 1, 2, 3, 8, 30))
            fate.live(draw.randrange(1, 9), ambush=draw.choice(AMBUSHES), count=count)
        self.witness.count("lives")
        code = -1
        try:
            self.gateway = Gateway(self.config, self.world)
            self.stopped_s = float("inf")
            code = self.gateway.run()
            fate.note(f"ended with {code}")
            if (took_s := fate.time.now_s - self.stopped_s) > STOP_S_MAX:
                raise BrokenError(f"it was asked to stop, and took {took_s:.1f} s")
        except Killed:
            self.witness.count("kills")
        except AndonError as error:
            fate.note(f"not started: {error}".replace(str(self.config.base), ""))
            self.witness.count("refused to start")
            if calm:
                raise BrokenError(f"it does not start: {error}") from error
        finally:
            if self.gateway is not None:
                self.witness.ended(self.gateway)
            self.gateway = None
        self._dies()
        if code > 0:
            self.witness.count("faults")
        fate.dead = False
        fate.time.pass_until(fate.time.now_s + draw.choice((0.2, 1.0, 1.0, 5.0)))

    def _dies(self) -> None:
        """What is left when a process has ended."""
        fate = self.fate
        if self.mqtt.client is not None:
            self.mqtt.client.vanish()
        self.disk.killed()
        if fate.time.now_s < self.calm_s and fate.dead and self.broken is None and fate.chance(0.4):
            self.witness.count("power cuts")
            self.witness.power_cut()
            self._rot()

    def _rot(self) -> None:
        """A bit of a checkpoint or of the journal is another one while nobody looks."""
        state = Path(self.config.base) / "state"
        for folder, pattern in (("checkpoints", "*.checkpoint"), ("journal", "*.journal")):
            found = sorted((state / folder).glob(pattern))
            if not found or not self.fate.chance(0.15):
                continue
            path = self.fate.draw.choice(found)
            if size := path.stat().st_size:
                self.witness.rots(path, self.fate.draw.randrange(size), self.fate.draw.randrange(8))


def live(seed: int) -> Outcome:
    """One seed, from its beginning to its end."""
    folder = Path(tempfile.mkdtemp(prefix="andon-sim-", dir=_memory()))
    logging.getLogger("andon").setLevel(logging.CRITICAL)
    life = Life(seed, folder)
    problem = ""
    try:
        life.run()
    except BrokenError as broken:
        problem = str(broken)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure of this seed
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    finally:
        life.disk.killed()
        shutil.rmtree(folder, ignore_errors=True)
    seen: dict[str, Any] = {**life.witness.seen, "steps": life.fate.steps}
    problem = problem.replace(str(folder), "")
    return Outcome(seed, problem, life.fate.digest, seen, life.fate.trace)


def _memory() -> str | None:
    """A directory in memory, where there is one: syncs are counted here, not waited for."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


ENOSPC: Final = errno.ENOSPC
