"""Reading ahead tells what stock paho tells, in its order, however the bytes are cut.

The oracle is paho itself, on the same bytes: messages, all other callbacks, and what is sent back.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.brokers import mqtt, read_ahead
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Client
from edge.brokers.packets import read_messages
from edge.brokers.read_ahead import (
    LONG_STEPS_S,
    LONGEST_STEPS_S,
    RECV_BYTES,
    STEPS_S,
    TOUCHED,
    TURN_BYTES_MAX,
)
from tests.edge.wires import SENT_BEFORE, V3, V5, Wire, ours, packet, stock, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.brokers.inbox import Incoming

PROPERTIES: Final = st.sampled_from(
    [b"\0", b"\0", b"\x03\x23\x00\x07", b"\x02\x01\x01", b"\x08\x26\x00\x01a\x00\x02bc"]
)
NAMES: Final = st.sampled_from(
    [b"plant/a", b"plant/b", b"\xff\xfe", "größe/°".encode(), b"a" * 300]
)
PAYLOADS: Final = st.one_of(
    st.binary(max_size=40),
    st.integers(90, 20_000).map(lambda n: b"x" * n),  # lengths of one, two and three bytes
)


@st.composite
def publications(draw: Any, version: Any) -> bytes:  # noqa: ANN401
    """A message of any QoS, marked as brokers mark them."""
    qos = draw(st.sampled_from([0, 0, 0, 1, 1, 1, 2]))
    head = 0x30 | qos << 1 | draw(st.sampled_from([0, 0, 0, 1, 8, 9]))
    mid = draw(st.integers(1, 65_535)).to_bytes(2, "big") if qos else b""
    properties = draw(PROPERTIES) if version is V5 else b""
    return packet(head, text(draw(NAMES)) + mid + properties + draw(PAYLOADS))


def others(version: Any) -> st.SearchStrategy[bytes]:  # noqa: ANN401
    """What else a broker says."""
    mids = st.integers(1, SENT_BEFORE + 1).map(lambda n: n.to_bytes(2, "big"))
    more = b"\0" if version is V5 else b""
    return st.one_of(
        st.just(packet(0xD0, b"")),
        st.just(packet(0x20, b"\1\0" + more)),
        mids.map(lambda mid: packet(0x40, mid)),
        mids.map(lambda mid: packet(0x62, mid)),
        mids.map(lambda mid: packet(0x90, mid + more + b"\1\x80")),
        mids.map(lambda mid: packet(0xB0, mid + (more + b"\0" if more else b""))),
    )


WRONG: Final = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.binary(max_size=6).map(lambda body: packet(0x32, body)),
    st.binary(max_size=6).map(lambda body: packet(0x30, body)),
    st.sampled_from(
        [
            b"\x30\xff\xff\xff\xff\x01abc",  # a length of more than four bytes
            packet(0x30, b"\0\0payload"),  # no topic
            packet(0x36, text(b"t") + b"\0\1x"),  # QoS 3
            packet(0x30, b"\0\x09abc"),  # a topic longer than the packet
            packet(0x32, text(b"abc") + b"\0"),  # half an id
            packet(0x30, text(b"t") + b"\x80"),  # MQTT 5: half of a length
        ]
    ),
)


@st.composite
def streams(draw: Any) -> tuple[Any, list[bytes]]:  # noqa: ANN401
    """A version, and what a broker of it sends, in pieces."""
    version = draw(st.sampled_from([V3, V3, V5]))
    said = st.one_of(publications(version), publications(version), others(version))
    data = b"".join(draw(st.lists(said, max_size=12)))
    if draw(st.integers(0, 2)) == 0:
        data += draw(WRONG) + draw(publications(version))
    if draw(st.integers(0, 3)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    bounds = [0, *cuts, len(data)]
    return version, [data[a:b] for a, b in itertools.pairwise(bounds)]


@settings(max_examples=200, deadline=None)
@given(stream=streams(), closes=st.booleans(), manual=st.booleans())
def test_it_tells_what_paho_tells(
    *, stream: tuple[Any, list[bytes]], closes: bool, manual: bool
) -> None:
    """Messages, confirmations, answers and ends in one order; and the same bytes go back."""
    version, pieces = stream
    how: Any = {"version": version, "closes": closes, "manual": manual}
    assert ours(pieces, **how) == stock(pieces, **how)


def sent_to(client: Client, *pieces: bytes) -> Wire:
    """Connect a client to a wire on which these come."""
    wire = Wire(deque(pieces))
    client._sock = wire
    return wire


def reading() -> tuple[Client, list[Incoming]]:
    """A client, and what it is told."""
    client, found = Client(Endpoint(client_id="c"), manual_ack=True), list[Any]()
    client.on_batch = found.extend
    return client, found


def message(payload: bytes) -> bytes:
    """One of QoS 0."""
    return packet(0x30, text(b"plant/a") + payload)


def test_what_is_left_of_a_connection_goes_with_it() -> None:
    """Half a packet at its end; the next one begins with a packet of its own."""
    client, found = reading()
    client._host = "here"
    sent_to(client, message(b"whole") + message(b"torn")[:-2])
    client.loop_read()
    again = Wire(deque([message(b"after")]))
    with mock.patch.object(client, "_create_socket", return_value=again):
        client.reconnect()
    client.loop_read()
    assert [m.payload for m in found] == [b"whole", b"after"]


def test_a_large_message_is_looked_at_once() -> None:
    """Of 8 MiB in pieces of 1 kB: to look again at each piece would copy 32 GB."""
    client, found = reading()
    large = message(bytes(range(256)) * (8 << 12))
    sent_to(client, *[large[at : at + 1_024] for at in range(0, len(large), 1_024)])
    with mock.patch.object(read_ahead, "read_messages", side_effect=read_messages) as looked:
        while not found:
            client.loop_read()
    assert looked.call_count <= 2
    assert found[0].payload == bytes(range(256)) * (8 << 12)


def test_a_flood_leaves_turns_for_what_is_sent() -> None:
    """However much is there, one turn ends."""
    client, found = reading()
    wire = sent_to(client, message(b"x" * 100) * 100_000)
    client.loop_read()
    assert 0 < sum(len(m.payload) for m in found) <= TURN_BYTES_MAX + RECV_BYTES
    assert wire.recvs <= TURN_BYTES_MAX // RECV_BYTES + 1
    while any(wire.pieces):
        client.loop_read()
    assert len(found) == 100_000


def test_many_messages_need_few_calls_of_the_socket() -> None:
    """Stock paho makes three for each."""
    client, found = reading()
    ends = socket.socketpair()
    ends[1].setblocking(False)  # noqa: FBT003 - a socket's
    client._sock = ends[1]
    ends[0].sendall(message(b"x" * 20) * 1_000)
    client.loop_read()
    assert (len(found), client.recv_total) == (1_000, 1)
    for end in ends:
        end.close()


def test_the_newest_bytes_count_for_the_keepalive() -> None:
    """Else paho would give up a connection that values flood."""
    client, _ = reading()
    client._last_bytes_received = 0.0
    sent_to(client, message(b"1"))
    client.loop_read()
    assert client._last_bytes_received > 0.0


class Napping:
    """A client with the pair of sockets that wakes it; waits end at once, and are noted."""

    def __init__(self) -> None:
        self.client, self.found = reading()
        self.client._sockpairR, self.client._sockpairW = socket.socketpair()
        self.client._thread = mock.Mock()  # what is sent is left to it
        self.pauses: list[int] = []
        self.waits: list[float] = []
        self.client.on_pause = lambda: self.pauses.append(len(self.found))
        self.ready: Callable[[], bool] = lambda: False
        self.now_s = 0.0

    def select(self, reads: list[Any], *rest: Any) -> tuple[list[Any], Any, Any]:  # noqa: ANN401
        """Something is to be sent, or time passes."""
        if self.ready():
            return reads, [], []
        self.waits.append(rest[-1])
        self.now_s += rest[-1]
        return [], [], []

    def time(self) -> float:
        """Seconds."""
        return self.now_s

    def read(self) -> None:
        """One turn of the network thread."""
        with (
            mock.patch("edge.brokers.read_ahead.select.select", self.select),
            mock.patch("edge.brokers.read_ahead.time.monotonic", side_effect=self.time),
        ):
            self.client.loop_read()

    def close(self) -> None:
        """Both ends."""
        for end in (self.client._sockpairR, self.client._sockpairW):
            assert end is not None
            end.close()


@pytest.fixture
def napping() -> Any:  # noqa: ANN401 - a generator
    """One of them."""
    made = Napping()
    yield made
    made.close()


@pytest.mark.parametrize(("head", "longer"), [(0x30, LONGEST_STEPS_S), (0x32, LONG_STEPS_S)])
def test_what_comes_close_together_is_told_as_one(
    napping: Napping, head: int, longer: tuple[float, ...]
) -> None:
    """It waits while more comes, in steps; where each brought more, the next are longer.

    A broker that waits for acknowledgements sends no more behind some: only a second look shows it.
    """
    some = [packet(head, text(b"plant/a") + b"\0\1")]
    sent_to(napping.client, *some * 2)
    napping.read()
    assert (len(napping.found), napping.pauses, napping.waits) == (2, [2], [*STEPS_S[:2]])
    sent_to(napping.client, *some * 20)
    napping.waits.clear()
    napping.read()
    assert napping.pauses == [2, 2 + 1 + len(STEPS_S)]
    assert napping.waits == [*STEPS_S]
    napping.waits.clear()
    napping.read()
    assert napping.waits == [*longer]


def test_what_is_to_be_sent_does_not_wait(napping: Napping) -> None:
    """An acknowledgement leaves in the middle of a wait, and the wait goes on."""
    wire = sent_to(napping.client, message(b"1"), b"")
    told = iter([True, False])
    napping.ready = lambda: next(told, False)
    napping.client.ack_all([1, 258])
    assert not wire.sent
    napping.read()
    assert bytes(wire.sent) == b"\x40\x02\x00\x01\x40\x02\x01\x02"
    assert napping.waits == [STEPS_S[0]]


# --- another paho ---


def test_with_another_paho_it_reads_as_paho_does() -> None:
    """One that was not tested, has lost a name, or keeps other things of a packet."""
    for change in (
        mock.patch.object(mqtt, "paho_version", "2.3.0"),
        mock.patch.object(read_ahead, "TOUCHED", (*TOUCHED, "_gone")),
        mock.patch.object(read_ahead, "_WHOLE", {"command": 0}),
    ):
        with change:
            client, found = reading()
        assert "paho" in client.reads_plainly
        heard: list[bytes] = []
        client.on_message = lambda _c, _d, m, heard=heard: heard.append(m.payload)
        wire = sent_to(client, message(b"1") + packet(0x32, text(b"t") + b"\0\7" + b"2"))
        client.loop_read()
        client.loop_read()
        assert (heard, found) == ([b"1", b"2"], [])
        client.ack_all([7, 8])
        assert bytes(wire.sent) == b"\x40\x02\x00\x07\x40\x02\x00\x08"


def test_every_private_name_of_paho_is_listed() -> None:
    """What is touched and not listed would not be missed in another version."""
    tree = ast.parse(inspect.getsource(read_ahead))
    (made,) = [one for one in tree.body if isinstance(one, ast.ClassDef)]
    own = {one.name for one in made.body if isinstance(one, ast.FunctionDef)}
    begin = next(one for one in made.body if getattr(one, "name", "") == "reads_ahead_from")
    own |= {
        one.attr
        for one in ast.walk(begin)
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store)
    }
    used = {
        one.attr
        for one in ast.walk(made)
        if isinstance(one, ast.Attribute)
        and isinstance(one.value, ast.Name)
        and one.value.id == "self"
        and one.attr.startswith("_")
    }
    assert used - own == set(TOUCHED)
