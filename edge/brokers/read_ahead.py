"""Reading ahead: what a socket has at once, in one call, and its messages in one callback.

paho 2.2.0 asks the socket three times for each packet and selects before each. Here a turn takes
what is there, finds the packets in it and hands over all messages between two others together. Each
other packet goes to paho's own handler, in its place. While more comes, more is waited for, a few
milliseconds in all, and then whoever takes the messages is told once.

Private names of paho are touched for that (`TOUCHED`), so it is done only with a version that it
was tested with; with any other, paho reads as it does.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from edge.brokers.packets import Packet, Topics, packet_at, read_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.brokers.inbox import Incoming

TESTED: Final = ("2.2.0",)
RECV_BYTES: Final = 64 << 10
# In one turn: then it is the turn of what we send, and of others who wait for the interpreter.
TURN_BYTES_MAX: Final = 256 << 10
# So long more is waited for, again and again while more comes: a look costs as much as thirty
# messages. Short at first: a broker as it is installed sends 20 and then waits for their
# acknowledgement. Where each wait brought more, the next ones are longer, and there is only one
# where messages need no acknowledgement.
STEPS_S: Final = (0.001, 0.001, 0.002, 0.004)
LONG_STEPS_S: Final = (0.004, 0.004)
LONGEST_STEPS_S: Final = (0.008,)
PUBACK: Final = 0x40
PUBACK_OF_0: Final = 0x4002_0000  # a whole one of four bytes; the last two are the id
VERSION_5: Final = 5
_WHOLE: Final[dict[str, Any]] = {
    "command": 0,
    "have_remaining": 0,
    "remaining_count": [],
    "remaining_mult": 1,
    "remaining_length": 0,
    "packet": bytearray(),
    "to_process": 0,
    "pos": 0,
}
TOUCHED: Final = (
    "_in_callback_mutex",
    "_in_packet",
    "_last_bytes_received",
    "_loop_rc_handle",
    "_manual_ack",
    "_msgtime_mutex",
    "_packet_handle",
    "_packet_queue",
    "_protocol",
    "_sock",
    "_sock_recv",
    "_sockpairR",
)


def unlike_tested(client: Any, version: str) -> str:  # noqa: ANN401 - of any version of paho
    """Why a client cannot be read ahead for; "" it can."""
    if version not in TESTED:
        return f"paho {version} is none of the tested ({', '.join(TESTED)})"
    if gone := [name for name in TOUCHED if not hasattr(client, name)]:
        return f"paho {version} has no {', '.join(gone)}"
    if set(client._in_packet) != set(_WHOLE):  # noqa: SLF001 - what this is about
        return f"paho {version} keeps other things of a packet"
    return ""


class ReadAhead:
    """A part of a client that is paho's otherwise; `on_batch` is told the messages, in order.

    `on_pause` is told when no more is waited for. Without `on_batch`, or where `reads_plainly` says
    why not, paho reads, and tells `on_message`. QoS 2 is always paho's, and MQTT 5 with properties.
    """

    errors: ClassVar[Any]  # paho's codes,
    malformed: ClassVar[type[Exception]]  # and what its handlers raise for what is none

    on_batch: Callable[[list[Incoming]], None] | None = None
    on_pause: Callable[[], None] | None = None
    came_over: tuple[int, str] = (0, "")  # connection and link, noted on each message
    reads_plainly: str = ""

    _in_callback_mutex: Any
    _in_packet: Any
    _last_bytes_received: Any
    _loop_rc_handle: Any
    _manual_ack: Any
    _msgtime_mutex: Any
    _packet_handle: Any
    _packet_queue: Any
    _protocol: Any
    _sock: Any
    _sock_recv: Any
    _sockpairR: Any  # noqa: N815 - paho's

    def reads_ahead_from(self, version: str) -> None:
        """Begin, with this version of paho, if that is as tested."""
        self.reads_plainly = unlike_tested(self, version)
        self._topics = Topics()
        self._rest = bytearray()  # the beginning of a packet,
        self._whole_bytes = 0  # and how long that is in all; 0: not known
        self._steady = False  # whether more came for as long as it was waited for,
        self._newest_qos = 0  # and how

    def reconnect(self) -> Any:  # noqa: ANN401 - paho's
        """As paho; what is left of a connection goes with it."""
        self._rest, self._whole_bytes = bytearray(), 0
        return super().reconnect()  # type: ignore[misc]

    def loop_read(self, max_packets: int = 1) -> Any:  # noqa: ANN401 - paho's
        """As paho, of more than one packet."""
        if self.on_batch is None or self.reads_plainly:
            return super().loop_read(max_packets)  # type: ignore[misc]
        if self._sock is None:
            return self.errors.MQTT_ERR_NO_CONN
        rc = self._gather()
        if self.on_pause is not None:
            self.on_pause()
        return rc

    def _gather(self) -> Any:  # noqa: ANN401
        """Read what is there, and what comes soon behind it; returns paho's code."""
        steps_s: Sequence[float] = STEPS_S
        was_steady, self._steady = self._steady, False
        if was_steady:  # more is on its way
            first_s, *steps_s = LONG_STEPS_S if self._newest_qos else LONGEST_STEPS_S
            rc = self._nap(first_s)
            if rc or self._sock is None:
                return rc
        for step_s in (*steps_s, 0.0):
            rc, count, drained = self._turn(self._sock)
            if rc > 0:
                return self._loop_rc_handle(rc)
            if not count or not drained or self._sock is None or self._sockpairR is None:
                return self.errors.MQTT_ERR_SUCCESS
            rc = self._nap(step_s)
            if rc or self._sock is None:
                return rc
        self._steady = True
        return self.errors.MQTT_ERR_SUCCESS

    def _nap(self, seconds: float) -> Any:  # noqa: ANN401
        """Let more come, and send what is to be sent meanwhile; returns paho's code."""
        due_s, left_s = time.monotonic() + seconds, seconds
        while left_s > 0 and select.select([self._sockpairR], [], [], left_s)[0]:
            self._sockpairR.recv(RECV_BYTES)  # a byte for each packet
            rc = self.loop_write()  # type: ignore[attr-defined]
            if rc or self._sock is None:
                return rc
            left_s = due_s - time.monotonic()
        return self.errors.MQTT_ERR_SUCCESS

    def _turn(self, sock: Any) -> tuple[Any, int, bool]:  # noqa: ANN401
        """Read what is there; returns paho's code, messages, and whether nothing is left."""
        data, drained, ended = self._received(sock)
        rc, count = self._handle(data, sock) if data else (self.errors.MQTT_ERR_SUCCESS, 0)
        with self._msgtime_mutex:
            self._last_bytes_received = time.monotonic()
        if ended and rc <= 0 and self._sock is sock:
            rc = self.errors.MQTT_ERR_CONN_LOST
        return rc, count, drained

    def ack_all(self, mids: Sequence[int]) -> None:
        """Acknowledge messages of QoS 1, in one piece."""
        if self.reads_plainly:
            for mid in mids:
                self.ack(mid, 1)  # type: ignore[attr-defined]
            return
        packets = struct.pack(f">{len(mids)}I", *[PUBACK_OF_0 | mid for mid in mids])
        self._packet_queue(PUBACK, packets, mids[-1], 1)

    def _received(self, sock: Any) -> tuple[bytes, bool, bool]:  # noqa: ANN401
        """What the socket has, from the beginning of a packet on.

        b"" while the first is longer than that. And whether nothing more was there, and whether the
        connection has ended.
        """
        rest, chunks, got, ended, drained = self._rest, [], 0, False, False
        plain = type(sock) is socket.socket  # TLS and websockets give less than there is
        while got < TURN_BYTES_MAX:
            wanted = max(RECV_BYTES, self._whole_bytes - len(rest) - got)
            try:
                chunk = self._sock_recv(wanted)
            except BlockingIOError:
                drained = True
                break
            except OSError:
                ended = True
                break
            if not chunk:
                ended = True
                break
            chunks.append(chunk)
            got += len(chunk)
            if plain and len(chunk) < wanted:
                drained = True
                break
        if not rest:
            return b"".join(chunks), drained, ended
        for chunk in chunks:  # grows by what came, however long the packet is
            rest += chunk
        if len(rest) < self._whole_bytes:
            return b"", drained, ended
        return bytes(rest), drained, ended

    def _handle(self, data: bytes, sock: Any) -> tuple[Any, int]:  # noqa: ANN401
        """Handle the whole packets, keep what is left; returns paho's code, and messages read."""
        at = count = 0
        received_ns, version_5 = time.time_ns(), self._protocol == VERSION_5
        while True:
            batch: list[Incoming] = []
            at = read_messages(
                data,
                at,
                batch,
                topics=self._topics,
                version_5=version_5,
                received_ns=received_ns,
                came_over=self.came_over,
            )
            if batch:
                count += len(batch)
                self._newest_qos = batch[-1].qos
                self._tell(batch)
            if self._sock is not sock:  # somebody was told, and ended it
                return self.errors.MQTT_ERR_SUCCESS, count
            try:
                packet, whole_bytes = packet_at(data, at)
            except ValueError:
                return self.errors.MQTT_ERR_PROTOCOL, count
            if packet is None:
                break
            rc = self._other(packet, data)
            if rc > 0 or self._sock is not sock:
                return rc, count
            at = packet.end
        self._rest, self._whole_bytes = bytearray(data[at:]), whole_bytes
        return self.errors.MQTT_ERR_SUCCESS, count

    def _tell(self, batch: list[Incoming]) -> None:
        assert self.on_batch is not None
        with self._in_callback_mutex:  # as paho: what is sent meanwhile is only queued
            self.on_batch(batch)
        if not self._manual_ack and (mids := [m.mid for m in batch if m.qos]):
            self.ack_all(mids)

    def _other(self, packet: Packet, data: bytes) -> Any:  # noqa: ANN401
        """Have paho handle a packet as if it had read it."""
        body = bytearray(data[packet.begin : packet.end])
        self._in_packet = _WHOLE | {
            "command": packet.command,
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_length": len(body),
            "packet": body,
        }
        try:
            rc = self._packet_handle()
        except (self.malformed, struct.error, IndexError, ValueError):  # some it does not expect
            rc = self.errors.MQTT_ERR_PROTOCOL
        self._in_packet = _WHOLE | {"remaining_count": [], "packet": bytearray()}
        return rc
