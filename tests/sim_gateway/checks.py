"""What must hold, judged from outside.

Bytes on the disk, messages at the broker, and the journal taken once more from its first record.
Nothing here asks the gateway what it thinks of itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.brokers.delivery import IN_FLIGHT_MAX
from edge.caps import RING_SAMPLES
from edge.gateway.lapse import Part
from edge.storage import standby
from edge.storage.patience import WAIT_S_MAX
from tests.sim_gateway.again import BrokenError, keys_of
from tests.sim_gateway.broker import FENCE
from tests.sim_gateway.caps import Caps
from tests.sim_gateway.journals import Journals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.gateway.app import Gateway
    from edge.records import Publish
    from tests.sim_gateway.again import Key
    from tests.sim_gateway.broker import Broker
    from tests.sim_gateway.client import Message
    from tests.sim_gateway.disk import ForgetfulDisk
    from tests.sim_gateway.fate import Fate

SYSTEM: Final = "andon/s/alert/_gateway/system"
STATUS: Final = "andon/s/status"
RINGS_S_MAX: Final = 4.0  # of a lapse, until what was suppressed is judged again and heard
JUDGED_S_MAX: Final = 4.0  # of another snapshot, until what it does not allow rings: a tick
ANEW: Final = ("", "", 0)  # in the order of what was heard: another process, or an empty broker


@dataclass
class Steps:
    """Sees what a broker, a plant and a disk see."""

    fate: Fate
    broker: Broker
    disk: ForgetfulDisk
    state: Path
    strict: bool
    sync_s: float
    said: dict[Key, bytes] = field(default_factory=dict)  # of everything the broker heard
    order: list[Key] = field(default_factory=list)  # in which it heard them
    put: dict[Key, None] = field(default_factory=dict)  # into the outbox, since it was durable
    accepted: dict[int, Message] = field(default_factory=dict)  # acknowledged
    narrow: bool = False  # its caps, so that they are reached
    unsure: str = ""  # why the journal cannot decide again all that was decided
    lapses: bool = False  # there were some
    gaps: bool = False  # a process told that the journal lacks what its checkpoint does not cover
    failed: bool = False  # calls of the disk, in the process that has ended
    sessions: int = 0  # that the gateway had to take for new ones
    sent: Counter[bytes] = field(default_factory=Counter)  # of QoS 1, by payload
    fenced_lives: int = 0  # processes that ended because another box has taken over
    shed: int = 0  # messages that were acknowledged as such, in this process
    lost: int = 0  # acknowledged messages that a power cut took
    # that the gateway had scored, or that waited to be, when all was calm
    rows: dict[str, set[int]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)  # how often things happened
    unscoped: dict[str, float] = field(default_factory=dict)  # suppressed, and since when
    journals: Journals = field(default_factory=Journals)
    safe_journals: Journals = field(default_factory=Journals)

    def __post_init__(self) -> None:
        """What it needs besides."""
        self.caps = Caps(self.fate, self.disk, self.state)

    def count(self, what: str, by: int = 1) -> None:
        """For the summary of a run: what the seeds reach."""
        self.seen[what] = self.seen.get(what, 0) + by

    # --- step by step ---

    def promised(self, message: Message, gateway: Gateway | None) -> None:
        """The gateway acknowledges: it is in the journal's file, and safe where that was asked.

        Or it was shed, and is counted as that; or nothing is durable, and the gateway says so.
        """
        if self.fenced_lives:
            raise BrokenError(f"message {message.number} is taken from the box that replaced it")
        folder = self.state / "journal"
        if self.strict:
            there = self.safe_journals.holds(message.payload, self.disk.safe_files(folder))
        else:
            there = self.journals.holds(message.payload, self._journal())
        lapsed = gateway is not None and Part.JOURNAL in gateway._durable.lapse.parts
        if there and not lapsed:  # else a part of a group may be there, and is cut off again
            self.accepted[message.number] = message
        elif gateway is not None and gateway._link.counts.shed > self.shed:
            self.shed += 1
            self.count("shed")
        elif gateway is not None and self._undurable(gateway):
            self.unsure = "what was taken in a lapse stands in no journal"
            self.count("taken in a lapse")
        else:
            raise BrokenError(f"message {message.number} was acknowledged and not journaled")

    @staticmethod
    def _undurable(gateway: Gateway) -> bool:
        """Whether a message may be acknowledged that the engine has, and the journal has not.

        While nothing is durable, and behind that where it comes once more.
        """
        lapse = gateway._durable.lapse
        return bool(lapse.parts or (lapse.stimuli_total and gateway._telemetry.redelivered))

    def sends(self, topic: str) -> None:
        """The gateway publishes."""
        if self.fenced_lives and topic != FENCE:
            raise BrokenError(f"{topic} is said by a box that knew that it was replaced")

    def heard(self, topic: str, payload: bytes, dup: bool) -> None:  # noqa: FBT001
        """A publication arrived at the broker."""
        own = topic.endswith("/health")
        told = payload.replace(str(self.state.parent).encode(), b"")  # of each run another one
        self.fate.note(f"heard {topic}{' again' if dup else ''}", b"" if own else told)
        if "/alert/" not in topic and "/event/" not in topic and "/suppressed/" not in topic:
            return
        body = msgspec.json.decode(payload)
        if "revision" not in body:
            return
        key = (topic, str(body["id"]), int(body["revision"]))
        if self.said.setdefault(key, payload) != payload:
            raise BrokenError(f"two contents under {key}: {self.said[key]!r} and {payload!r}")
        self.order.append(key)
        self.count(f"heard {topic.split('/')[2]}")
        if body.get("suppressed"):
            self._suppressed(body)

    def _suppressed(self, body: dict[str, Any]) -> None:
        self.count("suppressed")
        clauses = body.get("clauses")
        if clauses is not None and not all(one["outcome"] is True for one in clauses):
            raise BrokenError(f"{body['id']} is suppressed although {clauses}")
        if clauses == []:
            raise BrokenError(f"{body['id']} is suppressed without a clause")
        safe = self.disk.safe(self.state / "audit")
        if not any(
            b'"what":"suppressed"' in line and str(body["id"]).encode() in line
            for line in safe.splitlines()
        ):
            raise BrokenError(f"{body['id']} was published as suppressed and its audit is not safe")

    def kept(self, gateway: Gateway) -> None:
        """The outbox is given something: what it follows from is safe, unless that is said not to.

        Else a power cut leaves an alert on its topic, and nobody can say of which samples.
        """
        self.count("kept in the outbox")
        unsafe = self.disk.unsafe(self.state / "journal", ".journal")
        if unsafe and not gateway._durable.lapse.parts:
            raise BrokenError(f"an alert is older in the outbox than on the disk: {unsafe}")

    def decides(self, gateway: Gateway) -> None:
        """A process begins: what it gives its outbox from here on is remembered."""
        self.put.clear()
        outbox = gateway._durable.outbox
        real = outbox.put

        def put(messages: Sequence[Publish]) -> list[str]:
            keys = [(one.topic, *one.key) for one in messages if one.key is not None]
            self.put |= dict.fromkeys(keys)
            return real(messages)

        outbox.__dict__["put"] = put

    def _stands(self, gateway: Gateway) -> None:
        """When a process is durable, all that it has decided stands in the outbox, heard or not."""
        if not self.put or gateway._durable.lapse.parts or gateway._durable.outbox.trouble:
            return
        stands = keys_of(self.state)
        lost = [key for key in self.put if key not in stands]
        if len(self.put) > standby.MEMORY_ROWS_MAX:  # memory may have been full: last words stay
            last = {key[0]: key for key in self.put if "/alert/" in key[0]}
            lost = [key for key in lost if key in last.values()]
        if lost:
            raise BrokenError(f"it is durable, and {lost[:4]} stand in no outbox")
        self.put.clear()

    def saved(self, path: Path, gateway: Gateway) -> None:
        """A checkpoint gets its name: what it covers of the journal is safe."""
        segment, _, offset = path.stem.partition("-")
        name, end = f"{int(segment):08d}.journal", int(offset)
        safe = len(self.disk.safe_files(self.state / "journal").get(name, b""))
        self.count("checkpoints")
        inbox = self.state.parent / "docs" / "inbox"
        refused = any(inbox in (one, one.parent) for one in self.disk.refused)
        # of a text in what the journal has dropped, and told so, no process knows any more
        told = self.gaps or gateway._found.get("journal_gap")
        if (unsafe := self.disk.unsafe(inbox, ".log")) and not refused and not told:
            raise BrokenError(f"the journal may forget a text that is not safe: {unsafe}")
        if safe < end and not gateway._durable.lapse.parts:
            raise BrokenError(f"a checkpoint covers {end} B of {name}, and {safe} B are safe")

    def look(self, gateway: Gateway) -> None:
        """Between two turns of the loop: every bound is kept."""
        bound = gateway._config.mqtt.queue_messages_max
        (link,) = gateway._link.links
        depth = link._inbox._plant.depth  # commands wait apart
        if depth > bound:
            raise BrokenError(f"{depth} messages in a queue of {bound}")
        self._adds_up(gateway)
        flying = gateway._voice._delivery._in_flight
        if len(flying) > IN_FLIGHT_MAX:
            raise BrokenError(f"{len(flying)} publications in flight")
        topics = [row.topic for row in flying.values()]
        if len(topics) != len(set(topics)):
            raise BrokenError(f"a topic has two publications in flight: {sorted(topics)}")
        self._rings(gateway)
        self.count("looks at segments", self.caps.look(gateway) > 0)
        self._allowed(gateway)
        self._stands(gateway)
        state = gateway._assembly.engine._state
        for name, asset in state.ring.assets.items():
            if len(asset.t_ns) > RING_SAMPLES:
                raise BrokenError(f"{name} remembers {len(asset.t_ns)} samples")

    def _rings(self, gateway: Gateway) -> None:
        """Nothing stays quiet for long while nothing is durable."""
        lasts_s = gateway._durable.lapse.lasts_s
        said = not (gateway._durable.outbox.pending_count() or gateway._voice._delivery.in_flight)
        if lasts_s < RINGS_S_MAX or not said or not gateway._link.connected:
            return
        self.count("looks at a lapse")
        for record in gateway._assembly.engine.alerts():
            topic = gateway._topics.alert(record.asset, record.track)
            if b'"suppressed":1' in self.broker.retained.get(topic, b""):
                raise BrokenError(f"{topic} is suppressed, {lasts_s:.0f} s in a lapse")

    def _allowed(self, gateway: Gateway) -> None:
        """Nothing stays quiet for long that the snapshot in use does not allow."""
        assembly: Any = gateway._assembly
        known = assembly.shop.known[assembly.snapshot_sha256]
        scopes, now_s = {row.scope_id for row in known.scope_rows}, self.fate.time.now_s
        quiet = [
            record.alert_id
            for asset in assembly.engine._state.assets.values()
            for run in asset.runs
            for record in asset.alerts.values()
            if record.suppressed and run.job.job_id == record.job_id
            if run.job.scope_id not in scopes
        ]
        self.count("suppressed by a scope that is gone", len(set(quiet) - set(self.unscoped)))
        self.unscoped = {one: self.unscoped.get(one, now_s) for one in quiet}
        for alert_id, since_s in self.unscoped.items():
            if now_s - since_s > JUDGED_S_MAX:
                raise BrokenError(f"{alert_id} is suppressed by a scope that is gone")

    def _adds_up(self, gateway: Gateway) -> None:
        """What came was taken, waits, or was shed."""
        counts, taken = gateway._link.counts, gateway._telemetry.messages
        (link,) = gateway._link.links
        known = taken + len(link._inbox) + counts.shed + counts.misplaced
        if counts.received != known:
            raise BrokenError(f"{counts} and {taken} taken, {gateway._link.queue_depth} wait")

    def ended(self, gateway: Gateway) -> None:
        """A process has ended; what it said of lapses has a cause."""
        lapse = gateway._durable.lapse
        self.unscoped.clear()
        if lapse.lapses_total and not self.disk.failures:
            raise BrokenError(f"it was not durable for nothing: {lapse.why}")
        self.lapses |= bool(lapse.lapses_total)
        self.gaps |= bool(gateway._found.get("journal_gap"))
        self.count("lapses", lapse.lapses_total)
        if lapse.stimuli_total:
            self.unsure = "stimuli stand in no journal"
        self.failed = bool(self.disk.failures)
        self.disk.refused.clear()
        self.sessions += gateway._link.forgotten
        self.disk.failures = self.shed = 0

    @property
    def knows_its_place(self) -> bool:
        """Whether its disk says that another box has taken over."""
        box = self.state / "box.json"
        return box.exists() and bool(msgspec.json.decode(box.read_bytes())["fenced_by"])

    def fenced(self) -> None:
        """A process has ended because of that: the next one is to know it from the beginning."""
        self.fenced_lives += 1
        self.count("fenced")
        safe = self.disk.safe_files(self.state).get("box.json", b"{}")
        if not self.failed and not msgspec.json.decode(safe).get("fenced_by"):
            raise BrokenError("it heard that it was replaced, and a power cut takes that")

    def rests(self, gateway: Gateway) -> None:
        """All is calm: each alert topic holds what the engine says."""
        state = gateway._assembly.engine.state
        self.rows = {
            asset: {*ring.t_ns[:].tolist(), *state.align.assets[asset].t_ns.tolist()} - {0}
            for asset, ring in state.ring.assets.items()
        }
        for record in gateway._assembly.engine.alerts():
            topic = gateway._topics.alert(record.asset, record.track)
            payload = self.broker.retained.get(topic)
            body: dict[str, Any] = {"id": "", "revision": 0}
            body = msgspec.json.decode(payload) if payload else body
            stands = str(body["id"]), int(body["revision"])
            said = record.alert_id, record.said if record.alert_id else 0
            # what a process has said that died, and that stands nowhere, nobody can end
            if not self.broker.keeps and self.lapses and not record.alert_id:
                continue
            if stands != said:
                raise BrokenError(f"{topic} holds {stands}, and the engine says {said}")

    def rots(self, path: Path, at: int, bit: int) -> None:
        """A bit of a file is another one: of a journal, what stood in that record is lost."""
        self.count(f"{path.parent.name} damaged")
        if path.suffix == ".journal":
            self.unsure = "a record of the journal was damaged"
            before = self._journal()
            kept = {n for n, m in self.accepted.items() if self.journals.holds(m.payload, before)}
            self.disk.damage(path, at, bit)
            after = self._journal()
            for number in kept:
                if not self.journals.holds(self.accepted[number].payload, after):
                    del self.accepted[number]
            return
        self.disk.damage(path, at, bit)

    def _journal(self) -> dict[str, bytes]:
        """Segments by name, those as well that were dropped."""
        folder = self.state / "journal"
        found = {path.name: path.read_bytes() for path in folder.glob("*.journal")}
        return self.disk.retired | found

    # --- at a power cut ---

    def power_cut(self) -> None:
        """Cut, and compare what was lost with what may be."""
        folder = self.state / "journal"
        before = {path.name: path.read_bytes() for path in folder.glob("*.journal")}
        self.disk.power_cut()
        after = {path.name: path.read_bytes() for path in folder.glob("*.journal")}
        ends = [when_s for _, _, when_s in self.disk.written]
        last_s = ends[-1] if ends else float("-inf")
        # a disk that is slow is waited for, and only then said to be
        slow_s = WAIT_S_MAX if last_s < self.disk.busy_until_s else 0.0
        kept_s = 0.0 if self.strict else self.sync_s + slow_s
        for name, end, when_s in self.disk.written:
            old, new = before.get(name, b""), after.get(name, b"")
            if end <= len(old) and old[:end] != new[:end]:
                self.count("writes lost")
                # the last group itself may go: of what was acknowledged in strict, see below
                if when_s < last_s - kept_s:
                    raise BrokenError(
                        f"a power cut took what was written at {when_s:.3f}, and the last group"
                        f" was written at {last_s:.3f} with sync_s {self.sync_s}"
                    )
        self.disk.written = [
            (name, end, when_s)
            for name, end, when_s in self.disk.written
            if before.get(name, b"")[:end] == after.get(name, b"")[:end]
        ]
        held = self._journal()
        for number, message in list(self.accepted.items()):
            if not self.journals.holds(message.payload, held):
                if self.strict:
                    raise BrokenError(f"message {number} was acknowledged, strict, and is lost")
                del self.accepted[number]
                self.lost += 1
