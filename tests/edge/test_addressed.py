"""To whom messages are addressed: in runs, in their order, with a bound on what is remembered."""

from __future__ import annotations

import random

import pytest

from edge.brokers import packets
from edge.brokers.addressed import Addressed
from edge.brokers.inbox import Incoming
from edge.brokers.link_counts import LinkCounts


def message(topic: str, mid: int = 0) -> Incoming:
    """One of a plant."""
    return Incoming(topic, b"{}", 1, False, False, mid, 0, 1, "")  # noqa: FBT003 - as it is read


def addressed() -> Addressed:
    """Of a link that nobody guards."""
    return Addressed(LinkCounts(), guard=None, own="andon/", belongs=None)


@pytest.mark.parametrize("seed", range(20))
def test_runs_keep_the_order_and_leave_what_is_not_known_alone(seed: int) -> None:
    """Whatever is known at first, and what becomes known on the way."""
    chance = random.Random(seed)
    one = addressed()
    topics = [f"plant/r{i}" for i in range(6)]
    known = set(chance.sample(topics, 3))
    for topic in known:
        one.was_usual(topic)
    came = [message(chance.choice(topics), mid) for mid in range(chance.randrange(30))]
    told: list[Incoming] = []
    for some, usual in one.runs(came):
        assert usual == (some[0].topic in known)
        assert usual <= known.issuperset(m.topic for m in some)
        assert usual or len(some) == 1
        for m in some:  # its first message was for the engine: so are those behind it
            one.was_usual(m.topic)
            known.add(m.topic)
        told += some
    assert told == came


def test_while_we_ask_back_every_message_is_looked_at() -> None:
    """What is retained of our own topics comes between those of the plant."""
    one = addressed()
    one.was_usual("plant/r1")
    one.asking = True
    assert [usual for _, usual in one.runs([message("plant/r1")] * 2)] == [False, False]


def test_names_of_topics_have_a_bound_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes up topics fills no memory, and the plant's are known again at once."""
    monkeypatch.setattr(packets, "TOPICS_BYTES_MAX", 1000)
    topics = packets.Topics()
    for i in range(500):
        name = b"%0100d" % i
        assert topics.text(name) == name.decode()
        assert sum(map(len, topics.known)) <= 1000
        assert name in topics.known
    monkeypatch.setattr(packets, "TOPICS_KNOWN_MAX", 4)
    for i in range(50):
        topics.text(b"%d" % i)
        assert len(topics.known) <= 4
