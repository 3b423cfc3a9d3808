"""Which of several boxes speaks, without a broker: every order in which they can come."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.boxes.fence_key import KEY_BYTES, FenceKey
from edge.boxes.fencing import ANSWERS, CLAIM_AGAIN_S, GRACE_S, QUIET_S, Fence
from edge.boxes.identity import (
    AHEAD_MAX,
    GENERATION_MAX,
    Box,
    Fenced,
    Rank,
    box_of,
    new_box,
    read_box,
    write_box,
)
from edge.boxes.reclaim import reclaim
from edge.storage.disk import DISK, Clock, Disk
from edge.wire.fence import FENCE_SCHEMA, FencePayload
from edge.wire.outgoing import encode
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOPICS: Final = Topics("andon", "s")
KEY: Final = FenceKey(secret=bytes(KEY_BYTES))  # of one site: by the backup
ALERT: Final = TOPICS.alert("r1", "process")


@dataclass
class Broker(Clock):
    """One client id, what is retained, and the clock; whoever connects sends the other away."""

    now_s: float = 100.0
    retained: dict[str, bytes] = field(default_factory=dict)
    said: list[tuple[str, str, bytes]] = field(default_factory=list)  # box, topic, payload
    there: Client | None = None

    def monotonic_s(self) -> float:
        """Seconds."""
        return self.now_s

    def wall_ns(self) -> int:
        """The same: of two words one is the later."""
        return 10**18 + int(self.now_s * 1e9)


@dataclass
class Client:
    """A gateway's end of the connection, with its fence."""

    broker: Broker
    state: Path
    key: FenceKey = KEY
    disk: Disk = DISK
    fence: Fence = field(init=False)

    def __post_init__(self) -> None:
        """A process begins."""
        box = box_of(self.state)
        self.fence = Fence(TOPICS, box, self.state, self.key, disk=self.disk, clock=self.broker)

    def connect(self) -> None:
        """As the broker takes us: whoever was there is gone."""
        if self.broker.there is not None:
            self.broker.there.fence.closed()
        self.broker.there = self
        self.fence.opened()
        self.listen([TOPICS.fence])
        self.listen([TOPICS.fence])

    def listen(self, filters: Sequence[str]) -> None:
        """What is retained comes, then the answer."""
        for topic, payload in self.broker.retained.items():
            if topic in filters:
                self.fence.take(topic, payload)
        self.fence.answered()

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Say it, while we are there."""
        assert qos == 1
        if self.broker.there is not self:
            return None
        self.broker.said.append((self.fence.box.box, topic, payload))
        if retain:
            self.broker.retained[topic] = payload
        if topic == TOPICS.fence:
            self.fence.take(topic, payload)
        return 1

    def turn(self) -> None:
        """One look of the loop."""
        self.fence.turn(self)

    def settle(self) -> None:
        """The loop goes on for as long as nothing has to be waited for."""
        for _ in range(4):
            self.broker.now_s += QUIET_S + 0.01
            self.turn()


def client(broker: Broker, tmp_path: Path, box: Box) -> Client:
    """A process of a box."""
    state = tmp_path / box.box
    if read_box(state) is None:
        write_box(state, box)
    return Client(broker, state)


def claim_of(box: Box, *, key: FenceKey | None = KEY, topic: str = TOPICS.fence) -> bytes:
    """What such a box would say; key None: without a proof, as somebody who has no key."""
    claim = FencePayload(
        schema=FENCE_SCHEMA,
        box=box.box,
        generation=box.generation,
        since_ms=box.since_ms,
        run="r",
        run_ms=0,
        ts_ms=0,
    )
    return encode(key.sealed(topic, claim) if key is not None else claim)


def test_nothing_is_said_before_what_is_retained_was_heard(tmp_path: Path) -> None:
    """Neither with one answer, nor before it is quiet; then the claim comes first."""
    broker = Broker()
    one = client(broker, tmp_path, new_box())
    broker.there = one
    one.fence.opened()
    for _ in range(ANSWERS):
        broker.now_s += 10.0
        one.turn()
        assert not broker.said
        one.fence.answered()
    one.turn()
    assert not broker.said, "some brokers answer before they send what is retained"
    broker.now_s += QUIET_S + 0.01
    one.turn()
    assert one.fence.open
    assert [topic for _, topic, _ in broker.said] == [TOPICS.fence]


@pytest.mark.parametrize("newer_first", [False, True])
def test_of_two_boxes_the_newer_stays(tmp_path: Path, *, newer_first: bool) -> None:
    """Whichever was there first, and the other says nothing but a lesser claim."""
    broker = Broker()
    old = client(broker, tmp_path, new_box())
    new = client(broker, tmp_path, new_box(generation=2))
    for one in (new, old) if newer_first else (old, new):
        one.connect()
        with suppress(Fenced):
            one.settle()
    if newer_first:
        assert not [said for said in broker.said if said[0] == old.fence.box.box]
    else:
        old.connect()  # sent away, it tries again
        with pytest.raises(Fenced, match="replaced by box"):
            old.settle()
    assert not old.fence.open
    with pytest.raises(Fenced):  # from here on it need not ask
        client(broker, tmp_path, old.fence.box)
    new.connect()
    new.settle()
    assert new.fence.open


def test_a_box_whose_claim_the_broker_forgot_waits_for_the_one_that_replaced_it(
    tmp_path: Path,
) -> None:
    """The other one tries again within a second or two; we have said nothing by then."""
    broker = Broker()
    old, new = (client(broker, tmp_path, new_box(generation=g)) for g in (1, 2))
    old.connect()
    old.settle()
    new.connect()
    new.settle()
    broker.retained.clear()
    broker.said.clear()
    old = Client(broker, old.state)
    old.connect()
    broker.now_s += GRACE_S - 0.1
    old.turn()
    assert not old.fence.open
    assert {topic for _, topic, _ in broker.said} == {TOPICS.fence}, "a claim, and nothing else"
    new.connect()
    new.settle()
    assert new.fence.open, "it was forgotten too, but need not wait: it hears a lesser claim"
    old.connect()
    with pytest.raises(Fenced):
        old.settle()


@pytest.mark.parametrize("newer_first", [False, True])
def test_two_that_wait_and_send_each_other_away_do_not_do_so_for_ever(
    tmp_path: Path, *, newer_first: bool
) -> None:
    """Neither is left in peace for as long as it would wait: a second each, in turn."""
    broker = Broker()
    old, new = (client(broker, tmp_path, new_box(generation=g)) for g in (1, 2))
    for one in (old, new):
        one.connect()
        with suppress(Fenced):
            one.settle()
    broker.retained.clear()
    old, new = Client(broker, old.state), Client(broker, new.state)
    for turn in range(4):
        one = new if newer_first == (turn % 2 == 0) else old
        one.connect()
        broker.now_s += 0.5
        try:
            one.turn()
        except Fenced:
            assert one is old
            break
        assert one is new or not old.fence.open
        broker.now_s += 0.5
    else:
        pytest.fail("they go on")


def test_a_claim_that_was_heard_before_we_were_sent_away_counts(tmp_path: Path) -> None:
    """A busy box may not look before it is connected again, and again."""
    broker = Broker()
    old = client(broker, tmp_path, new_box())
    old.connect()
    old.fence.take(TOPICS.fence, claim_of(new_box(generation=2)))
    old.connect()
    with pytest.raises(Fenced):
        old.turn()


def test_copies_of_one_disk_do_not_fight_for_ever(tmp_path: Path) -> None:
    """Two processes with one id: the later gives way, once both have spoken."""
    broker = Broker()
    box = new_box()
    first = client(broker, tmp_path, box)
    second = Client(broker, first.state)
    second.fence._run_ms = first.fence._run_ms + 5
    ended: list[Client] = []
    for turn, one in enumerate(itertools.islice(itertools.cycle([first, second]), 8)):
        if one in ended:
            continue
        one.connect()
        if turn == 3:  # both have spoken, and the first has answered
            with pytest.raises(Fenced, match="copied"):
                one.settle()
            ended.append(one)
        else:
            one.settle()
    assert ended == [second]
    assert read_box(first.state) is not None
    client(broker, tmp_path, box)  # a copy is not fenced for good: it may be the one that is left


def test_a_restart_of_one_box_is_no_copy(tmp_path: Path) -> None:
    """What the process before has said is our own word."""
    broker = Broker()
    one = client(broker, tmp_path, new_box())
    one.connect()
    one.settle()
    again = Client(broker, one.state)
    again.connect()
    again.settle()
    assert again.fence.open


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"\xff", b"x" * 10_000, b'{"schema":"andon/fence/1"}']
)
def test_what_is_no_claim_fences_nobody_and_is_overwritten(tmp_path: Path, payload: bytes) -> None:
    """Cleared or overwritten, our word is said again, at most once a second."""
    broker = Broker()
    one = client(broker, tmp_path, new_box())
    one.connect()
    one.settle()
    broker.said.clear()
    for _ in range(50):
        broker.now_s += CLAIM_AGAIN_S / 25
        broker.retained[TOPICS.fence] = payload
        one.fence.take(TOPICS.fence, payload)
        one.turn()
    assert 1 <= len(broker.said) <= 3
    assert one.fence.open
    assert one.fence.refused_total == (50 if payload else 0)


def test_a_generation_that_no_box_has_fences_nobody(tmp_path: Path) -> None:
    """Beyond the cap it is a mistake or an attack."""
    broker = Broker()
    one = client(broker, tmp_path, new_box())
    one.connect()
    one.settle()
    forged = new_box(generation=GENERATION_MAX + 1)
    one.fence.take(TOPICS.fence, claim_of(forged))
    one.turn()
    assert one.fence.open
    assert one.fence.refused_total == 1


def test_no_claim_leaves_the_true_box_without_a_generation(tmp_path: Path) -> None:
    """Somebody with a backup: the highest fences it, and a person lets it speak above that."""
    broker = Broker()
    one = client(broker, tmp_path, new_box())
    one.connect()
    one.settle()
    for generation in (GENERATION_MAX, one.fence.box.generation + AHEAD_MAX + 1):
        one.fence.take(TOPICS.fence, claim_of(new_box(generation=generation)))
        one.turn()
        assert one.fence.open
    one.fence.take(TOPICS.fence, claim_of(new_box(generation=1 + AHEAD_MAX)))
    with pytest.raises(Fenced):
        one.turn()
    assert reclaim(one.fence._state, because="forged").generation == AHEAD_MAX + 2


def meet(alive: dict[str, Client], one: Client, waits_s: Sequence[float]) -> None:
    """One of them connects and turns; who is fenced by that is not there any more."""
    one.connect()
    try:
        for wait_s in waits_s:
            one.broker.now_s += wait_s
            one.turn()
    except Fenced:
        del alive[one.fence.box.box]


@pytest.mark.parametrize("seed", range(40))
def test_however_boxes_come_and_go_one_stays_and_it_is_the_newest(
    tmp_path: Path, seed: int
) -> None:
    """Restored twice, cloned clocks, forgotten brokers: the fight ends, and ends the same way."""
    chance = random.Random(seed)
    broker = Broker()
    boxes = [
        msgspec.structs.replace(
            new_box(generation=chance.choice([1, 2, 2, 3])), since_ms=chance.choice([1, 2])
        )
        for _ in range(3)
    ]
    best = max(boxes, key=lambda box: box.rank)
    alive = {box.box: client(broker, tmp_path, box) for box in boxes}
    for step in range(30):
        if step < 10 and chance.random() < 0.2:
            broker.retained.clear()
        one = alive[chance.choice(sorted(alive))]
        meet(alive, one, [chance.choice([0.01, QUIET_S + 0.01, GRACE_S + 0.1]) for _ in range(4)])
    for _ in range(6):
        for name in sorted(alive):
            meet(alive, alive[name], [GRACE_S + 0.1] * 4)
    assert set(alive) == {best.box}


def test_who_finds_that_it_was_replaced_makes_that_safe(tmp_path: Path) -> None:
    """Whoever wrote it may have been killed before the name of the file was."""

    class Watched(Disk):
        """Notes which directories were synced."""

        def __init__(self) -> None:
            self.synced: list[Path] = []

        def sync_directory(self, path: Path) -> None:
            """Note it."""
            self.synced.append(path)

    disk, box = Watched(), new_box()
    by = Rank(generation=box.generation + 1, since_ms=0, box="newer")
    key = FenceKey(secret=bytes(KEY_BYTES))
    with pytest.raises(Fenced):
        Fence(TOPICS, msgspec.structs.replace(box, fenced_by=by), tmp_path, key, disk=disk)
    assert disk.synced == [tmp_path]
