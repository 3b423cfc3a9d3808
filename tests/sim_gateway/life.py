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

from edge.boxes.identity import FENCED_EXIT, Fenced
from edge.configuration.config import GatewayConfig
from edge.configuration.sections import JournalConfig, KbConfig, MqttConfig
from edge.errors import AndonError
from edge.gateway.app import Gateway
from tests.sim_gateway import caps
from tests.sim_gateway.again import BrokenError, waiting
from tests.sim_gateway.broker import Broker, SimulatedMqtt
from tests.sim_gateway.chaos import Chaos
from tests.sim_gateway.checks import ANEW, STATUS
from tests.sim_gateway.disk import ForgetfulDisk
from tests.sim_gateway.fate import Fate, Killed
from tests.sim_gateway.plant import CALM_S, Schedule, asset_settings, engine_settings
from tests.sim_gateway.rivals import Rivals
from tests.sim_gateway.settled import Witness
from tests.sim_gateway.world import Shop, SimulatedWorld, sizes_put_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.gateway.voice import Voice
    from tests.sim_gateway.client import Connection, Message

STOP_S_MAX: Final = 5.0  # what a stop may take, however slow the disk
SETTLE_S_MAX: Final = 120.0  # until all that was decided is heard
LIVES_MAX: Final = 60
FENCED_LIVES: Final = 2  # of a box that has heard that it was replaced, and may say nothing
TOLD_S_MAX: Final = 10.0  # of a lapse, until the engine knows of it
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
        self.rivals = Rivals(fate, self.broker, folder / "state")
        self.mqtt = SimulatedMqtt(self.broker, fate)
        self.world = SimulatedWorld(fate, disk=self.disk, transport=self.mqtt, shop=self.shop)
        self.world.looked = self._look
        self.world.broken = lambda why: self._breaks(BrokenError(why))
        self.witness = Witness(
            fate, self.broker, self.disk, folder / "state",
            strict=self.config.journal.strict, sync_s=self.config.journal.sync_s,
        )  # fmt: skip
        self.broker.heard = self._heard
        self.broker.promised = self._promised
        self.broker.sends = lambda topic: self._judged(lambda: self.witness.sends(topic))
        self.disk.outboxed, self.disk.saved = self._outboxed, self._saved
        self.broker.forgot = self._forgot
        # what the process before has sent may arrive until then
        self.broker.began = lambda: self.witness.order.append(ANEW)
        self.gateway: Gateway | None = None
        self.broken: BrokenError | None = None
        self.done, self.stopped_s = False, float("inf")
        for sent in self.schedule.sent:
            fate.time.at(sent.at_s, self._sends(sent.message))
        self.battery = True  # of the clock
        self.withdraws = False
        self.chaos = Chaos(self)
        self.chaos.draw(seed)

    def _drawn_config(self, folder: Path) -> GatewayConfig:
        draw = self.fate.draw
        return GatewayConfig(
            site="s",
            clock=draw.choice(("plant", "wall", "wall")),
            mqtt=MqttConfig(client_id="andon", queue_messages_max=draw.choice((2, 1_000, 1_000))),
            kb=KbConfig(
                snapshot="kb", source="docs", timezone=draw.choice(("", "", "Europe/Berlin"))
            ),
            journal=JournalConfig(
                dir="state",
                sync_s=draw.choice((0.0, 1.0, 5.0)),
                strict=draw.random() < 0.25,
                compress=draw.random() < 0.5,
                bytes_max=draw.choice((1 << 30, 20_000, 8_000)),
                checkpoint_s=draw.choice((3.0, 10.0, 40.0)),
            ),
            engine=engine_settings(draw),
            asset=asset_settings(self.schedule.assets),
            base=str(folder),
        )

    def _forgot(self) -> None:
        self.witness.order.append(ANEW)
        self.rivals.forgotten()

    def stop(self) -> None:
        """Ask the gateway to end."""
        if self.gateway is not None:
            self.gateway.stop()
            self.stopped_s = min(self.stopped_s, self.fate.time.now_s)

    # --- what is seen ---

    def _sends(self, message: Message) -> Callable[[], None]:
        def now() -> None:
            if (
                "/cmd/" in message.topic and b'"?' in message.payload
            ):  # an alert that nobody knows before
                asset = message.payload.split(b'"?')[1].split(b'"')[0].decode()
                ids = [k[1] for k in self.witness.said if k[1].startswith(f"{asset}-")]
                told = ids[-1] if ids else f"{asset}-none"
                message.payload = message.payload.replace(b"?" + asset.encode(), told.encode())
            self.witness.sent[message.payload] += message.qos
            self.broker.takes(message)

        return now

    def _judged(self, judge: Callable[[], object]) -> None:
        try:
            judge()
        except BrokenError as broken:
            self._breaks(broken)

    def _heard(self, topic: str, payload: bytes, dup: bool) -> None:  # noqa: FBT001
        self._judged(lambda: self.witness.heard(topic, payload, dup))
        self.rivals.heard(topic, payload)
        if self.withdraws and "/alert/" in topic and b'"suppressed":1' in payload:
            self.withdraws = False
            if self.fate.time.now_s < self.calm_s:
                self.fate.time.at(self.fate.time.now_s + 0.2, self.chaos.withdraw)

    def _outboxed(self) -> None:
        gateway = self.gateway
        if gateway is not None:  # else it is the start, and the process before has synced
            self._judged(lambda: self.witness.kept(gateway))

    def _saved(self, path: Path) -> None:
        gateway = self.gateway
        if gateway is not None:
            self._judged(lambda: self.witness.saved(path, gateway))

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
        calm = now_s > self.schedule.seconds + 3.0 and not self.rivals.took_over
        if calm and self._quiet(gateway):
            if not self.done and b'"online":true' not in self.broker.retained.get(STATUS, b""):
                self._breaks(BrokenError("it runs, and the broker says that it does not"))
            if not self.done:
                self._judged(lambda: self.witness.rests(gateway))
            self.done = True
            self.stop()
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
            "last words": _owed(gateway._voice),
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
        self._draw_end(calm=calm)
        self.witness.count("lives")
        code = -1
        known = self.witness.knows_its_place
        try:
            self.gateway = Gateway(self.config, self.world)
            self.witness.decides(self.gateway)
            self.stopped_s = float("inf")
            code = self.gateway.run()
            fate.note(f"ended with {code}")
            if known:
                raise BrokenError("it was fenced, its disk took that, and it began again")
            if (took_s := fate.time.now_s - self.stopped_s) > STOP_S_MAX:
                raise BrokenError(f"it was asked to stop, and took {took_s:.1f} s")
        except Killed:
            self.witness.count("kills")
        except Fenced as error:
            fate.note(f"fenced: {error}")
            code = FENCED_EXIT
        except AndonError as error:
            fate.note(f"not started: {error}".replace(str(self.config.base), ""))
            self.witness.count("refused to start")
            if calm:
                raise BrokenError(f"it does not start: {error}") from error
        finally:
            if self.gateway is not None:
                self.witness.ended(self.gateway)
            self.gateway = None
        if code == FENCED_EXIT:
            self._fenced()
        self._dies()
        if code > 0:
            self.witness.count("faults")
        fate.over()
        fate.time.pass_until(fate.time.now_s + draw.choice((0.2, 1.0, 1.0, 5.0)))

    def _draw_end(self, *, calm: bool) -> None:
        """Where the process ends that begins now."""
        fate, draw = self.fate, self.fate.draw
        if calm or not fate.chance(self.rough + 0.2):
            fate.live(0)
        elif fate.chance(0.5):  # anywhere
            fate.live(int(10 ** (1 + 3.0 * draw.random())))
        else:  # in the middle of something
            count = draw.choice((1, 1, 2, 3, 8, 30))
            fate.live(draw.randrange(1, 9), ambush=draw.choice(AMBUSHES), count=count)

    def _fenced(self) -> None:
        """A supervisor does not start it again; people may."""
        if not self.rivals.took_over:
            raise BrokenError("it says that it was replaced, and no box did")
        self.witness.fenced()
        self.done = self.witness.fenced_lives > FENCED_LIVES

    def _dies(self) -> None:
        """What is left when a process has ended."""
        fate = self.fate
        if self.mqtt.client is not None:
            self.mqtt.client.vanish()
        self.disk.killed()
        ended = fate.dead or self.witness.fenced_lives > 0
        if fate.time.now_s < self.calm_s and ended and self.broken is None and fate.chance(0.4):
            self.witness.count("power cuts")
            self.witness.power_cut()
            if not self.battery:
                fate.time.forget()
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


def _owed(voice: Voice) -> int:
    """What is to be said again to a broker that came back."""
    owes = voice._reconnected.is_set() or voice._owes_last_words or voice._delivery._says_again
    return int(owes) + sum(map(len, voice._delivery._held.values()))


def live(seed: int) -> Outcome:
    """One seed, from its beginning to its end."""
    folder = Path(tempfile.mkdtemp(prefix="andon-sim-", dir=_memory()))
    log = logging.getLogger("andon")
    level = log.level
    log.setLevel(logging.CRITICAL)
    life = Life(seed, folder)
    problem = ""
    try:
        with sizes_put_back(), caps.drawn(seed) as life.witness.narrow:
            life.run()
    except BrokenError as broken:
        problem = str(broken)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure of this seed
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    finally:
        log.setLevel(level)
        life.disk.killed()
        shutil.rmtree(folder, ignore_errors=True)
    seen: dict[str, Any] = {**life.witness.seen, "steps": life.fate.steps}
    problem = problem.replace(str(folder), "")
    return Outcome(seed, problem, life.fate.digest, seen, life.fate.trace)


def _memory() -> str | None:
    """A directory in memory, where there is one: syncs are counted here, not waited for."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


ENOSPC: Final = errno.ENOSPC
