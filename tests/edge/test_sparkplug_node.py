"""The node that we are: whoever reads its messages by the standard has the truth, and no gap.

The host is our own passive decoder, which counts and names as hosts do; bytes are read a second
time by protobuf itself.
"""

from __future__ import annotations

import math
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.wire.sparkplug import REBIRTH, SESSIONS, read_payload
from edge.wire.sparkplug_node import Kind, Message, Node, Told, node_filters, node_topics
from edge.wire.sparkplug_writing import (
    BOOLEAN_TYPE,
    DOUBLE_TYPE,
    INT32_TYPE,
    INT64_TYPE,
    STRING_TYPE,
)
from tests.edge.sparkplug_host import Host
from tests.edge.tahu import payload_type

KINDS: Final = (
    Kind("Anomaly/Score", DOUBLE_TYPE),
    Kind("Anomaly/Active", BOOLEAN_TYPE),
    Kind("Anomaly/Severity", INT32_TYPE),
    Kind("Anomaly/Reason", STRING_TYPE),
)
NAMES: Final = [kind.name for kind in KINDS]
ASSETS: Final = ("a", "b", "c d", "ü")
NOW_MS: Final = 1_760_000_000_000
VALUES: Final = {
    "Anomaly/Score": st.none() | st.floats(allow_infinity=False),
    "Anomaly/Active": st.none() | st.booleans(),
    "Anomaly/Severity": st.none() | st.integers(-(2**31), 2**31 - 1),
    "Anomaly/Reason": st.none() | st.text(max_size=8),
}
SOME: Final = st.fixed_dictionaries({}, optional=VALUES)
STEPS: Final[st.SearchStrategy[list[Any]]] = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(ASSETS), SOME),
        st.tuples(st.just("follow"), st.sets(st.sampled_from(ASSETS)), st.just({})),
        st.tuples(st.sampled_from(["begins", "ends", "rebirth"]), st.just(""), st.just({})),
        st.tuples(st.just("send"), st.integers(0, 7), st.just({})),
    ),
    max_size=60,
)


def truth_of(told: dict[str, Any]) -> dict[str, Any]:
    """Values as they come out of a decoder: NaN is null."""
    return {
        name: None
        if (value := told.get(name)) is None or value != value  # noqa: PLR0124 - NaN
        else value
        for name in NAMES
    }


class Walk:
    """A node, its host, and what is true, step by step."""

    def __init__(self, session: int) -> None:
        self.node, self.host = Node("G", "N", KINDS), Host("G/N", ASSETS, NAMES)
        self.truth: dict[str, dict[str, Any]] = {}
        self._session, self._alive, self._number = session, False, 0

    def put(self, asset: str, values: dict[str, Any]) -> None:
        """Values of an asset, which may not be there."""
        self.node.put(asset, values, t_ms=NOW_MS + self._number)
        if asset in self.truth:
            self.truth[asset].update(values)

    def follow(self, assets: set[str], _: object) -> None:
        """These are there."""
        self.node.follow(sorted(assets))
        self.truth = {asset: self.truth.get(asset, {}) for asset in assets}

    def begins(self, *_: object) -> None:
        """A connection, where there is none."""
        if not self._alive:
            self._session, self._alive = (self._session + 1) % SESSIONS, True
            self.node.begins(self._session)

    def ends(self, *_: object) -> None:
        """The broker says the death of a node that was born."""
        if self._alive:
            self.node.ends()
            self._alive = False
            if self.host.session is not None:
                self.host.hear(self.node.death(self._session), self._number)

    def rebirth(self, *_: object) -> None:
        """Somebody asks for it."""
        self.node.rebirth()

    def send(self, count: float, _: object = None) -> None:
        """Send so many messages, as far as there are."""
        while count > 0 and (message := self.node.due(now_ms=NOW_MS + self._number)) is not None:
            self._number, count = self._number + 1, count - 1
            self.host.hear(message, self._number)


@given(steps=STEPS, first=st.integers(0, SESSIONS - 1))
@settings(max_examples=300, deadline=None)
def test_a_host_always_comes_to_the_truth_without_a_gap(steps: list[Any], first: int) -> None:
    """Whatever happens in which order, and however little of it is sent meanwhile."""
    walk = Walk(first)
    for what, *told in steps:
        getattr(walk, what)(*told)
    walk.begins()
    walk.send(math.inf)
    expected = {asset: truth_of(told) for asset, told in walk.truth.items()}
    assert walk.host.picture == expected
    assert walk.host.counts.get("sparkplug_gaps", 0) == 0
    assert walk.host.counts.get("waiting_for_birth", 0) == 0
    assert walk.node.waiting == 0
    walk.ends()
    assert walk.node.due(now_ms=NOW_MS) is None


def test_a_lost_message_is_a_gap_that_a_rebirth_mends() -> None:
    """The host of these tests would see one, and the births end it."""
    node, host = Node("G", "N", KINDS), Host("G/N", ASSETS, NAMES)
    node.follow(["a", "b"])
    node.begins(5)
    messages = sent(node)
    for number, message in enumerate(messages[:-1]):
        host.hear(message, number)
    node.put("a", {"Anomaly/Score": 3.0}, t_ms=NOW_MS)
    (news,) = sent(node)
    host.hear(news, 10)
    assert host.counts["sparkplug_gaps"] == 1
    node.rebirth()
    for number, message in enumerate(sent(node)):
        host.hear(message, 20 + number)
    assert host.counts["sparkplug_gaps"] == 1
    assert host.picture["a"]["Anomaly/Score"] == 3.0
    assert set(host.picture) == {"a", "b"}


def sent(node: Node) -> list[Message]:
    """Everything that is due."""
    found = []
    while (message := node.due(now_ms=NOW_MS)) is not None:
        found.append(message)
    return found


def test_the_count_goes_over_births_data_and_deaths_and_begins_anew_behind_255() -> None:
    """One for the node and all of its devices, from 0 at the birth of the node."""
    node = Node("G", "N", KINDS)
    node.follow(["a", "b"])
    node.begins(0)
    messages = sent(node)
    for i in range(400):
        node.put("ab"[i % 2], {"Anomaly/Score": float(i)}, t_ms=NOW_MS)
        messages += sent(node)
    node.follow(["a"])
    messages += sent(node)
    numbers = [read_payload(m.payload, topic=m.topic).seq for m in messages]
    assert numbers == [i % 256 for i in range(len(numbers))]
    assert messages[-1].topic == "spBv1.0/G/DDEATH/N/b"


def test_protobuf_reads_births_data_and_deaths_as_they_are_meant() -> None:
    """Datatypes, nulls, aliases and times, field by field."""
    node = Node("G", "N", KINDS)
    node.follow(["a"])
    told: dict[str, Told] = {
        "Anomaly/Active": True,
        "Anomaly/Severity": -7,
        "Anomaly/Reason": "zu heiß",
    }
    node.put("a", told, t_ms=NOW_MS - 9)
    node.begins(255)
    birth_of_node, birth = (payload_type().FromString(m.payload) for m in sent(node))
    session, rebirth = birth_of_node.metrics
    assert (session.name, session.datatype, session.long_value) == ("bdSeq", INT64_TYPE, 255)
    assert (rebirth.name, rebirth.datatype, rebirth.boolean_value) == (REBIRTH, BOOLEAN_TYPE, False)
    assert not session.HasField("alias")
    assert not rebirth.HasField("alias")
    assert birth_of_node.timestamp == birth.timestamp == NOW_MS
    score, active, severity, reason = birth.metrics
    assert [m.datatype for m in birth.metrics] == [kind.datatype for kind in KINDS]
    assert score.is_null
    assert score.WhichOneof("value") is None
    assert active.boolean_value
    assert severity.int_value == (-7) % 2**32
    assert reason.string_value == "zu heiß"
    assert [m.timestamp for m in birth.metrics] == [NOW_MS, *[NOW_MS - 9] * 3]
    node.put("a", {"Anomaly/Score": 1.5, "Anomaly/Reason": None}, t_ms=NOW_MS + 3)
    (news,) = (payload_type().FromString(m.payload) for m in sent(node))
    first, second = news.metrics
    assert (first.alias, first.double_value) == (score.alias, 1.5)
    assert (second.alias, second.is_null) == (reason.alias, True)
    assert not any(m.HasField("name") or m.HasField("datatype") for m in news.metrics)
    death = payload_type().FromString(node.death(255).payload)
    assert [(m.name, m.long_value) for m in death.metrics] == [("bdSeq", 255)]
    assert not death.HasField("seq")


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_comes_back_before_it_was_told_is_not_told(value: float | None) -> None:
    """By exception: a message holds what differs from the last one alone."""
    node = Node("G", "N", KINDS)
    node.follow(["a"])
    node.begins(1)
    sent(node)
    node.put("a", {"Anomaly/Score": 1.0}, t_ms=NOW_MS)
    node.put("a", {"Anomaly/Score": value}, t_ms=NOW_MS)
    assert sent(node) == []


def test_a_rebirth_holds_data_back_until_all_is_born() -> None:
    """As the specification wants: births first, all of them."""
    node = Node("G", "N", KINDS)
    node.follow(["a", "b"])
    node.begins(1)
    sent(node)
    node.put("a", {"Anomaly/Score": 1.0}, t_ms=NOW_MS)
    node.rebirth()
    kinds = [m.topic.split("/")[2] for m in sent(node)]
    assert kinds == ["NBIRTH", "DBIRTH", "DBIRTH"]


def test_who_goes_before_its_birth_in_a_session_dies_no_death() -> None:
    """Whatever earlier sessions knew of it; one that was born does, also amid a rebirth."""
    walk = Walk(7)
    walk.follow({"a", "b"}, {})
    walk.begins()
    walk.send(math.inf)
    walk.ends()
    walk.begins()
    walk.send(2)  # the node and the first device
    walk.follow(set(), {})
    walk.rebirth()
    kinds = [m.topic.split("/", 2)[2] for m in sent(walk.node)]
    assert kinds == ["NBIRTH/N", "DDEATH/N/a"]


def test_every_topic_is_listed() -> None:
    """For access lists; commands besides."""
    node = Node("G", "N", KINDS)
    node.follow(["a", "b"])
    node.begins(1)
    said = sent(node)
    node.put("a", {"Anomaly/Score": 1.0}, t_ms=NOW_MS)
    node.follow(["a"])
    said += [*sent(node), node.death(1)]
    assert {m.topic for m in said} < set(node_topics("G", "N", ["a", "b"]))
    assert node_filters("G", "N") == ["spBv1.0/G/NCMD/N", "spBv1.0/G/DCMD/N/+"]
