"""What receiving a message costs: our client beside stock paho, in turn, at one broker and load.

`python -m benchmarks.speed.ingest` runs it: CPU seconds of this process for each message, from the
socket to its decoded values; the sending is another process. At QoS 1 ours writes the journal and
acknowledges behind it, as a gateway does, and paho acknowledges by itself and keeps nothing.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.speed.figure import Figure
from benchmarks.speed.ingest_sender import packet
from benchmarks.speed.interleaved import pinned
from edge.brokers.endpoint import Endpoint
from edge.brokers.link import Link
from edge.brokers.mqtt import new_client, stop
from edge.gateway.pace import GROUP_MAX, IDLE_S
from edge.gateway.redelivery import Redelivery
from edge.gateway.telemetry import Telemetry
from edge.storage.journal_writer import JournalWriter
from simulator.broker import embedded_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from edge.brokers.inbox import Incoming

RATE_PER_S: Final = 8_000  # what stock paho takes in time on half of a slow core
MESSAGES: Final = 8_000  # a round
ROUNDS: Final = 5
ROUND_S_MAX: Final = 60.0
CONNECT_S_MAX: Final = 10.0
QOS0_AT_MOST: Final = 0.25
QOS1_AT_MOST: Final = 0.5


class Values(msgspec.Struct):
    """The payload: eight values."""

    v: list[float]


decode: Final = msgspec.json.Decoder(Values).decode


class Sending:
    """A process beside us that sends when it is told; a context manager."""

    def __init__(self, port: int, core: int) -> None:
        command = [sys.executable, "-m", "benchmarks.speed.ingest_sender", str(port), str(core)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def send(self, *, qos: int, count: int, per_s: float) -> None:
        """Begin to send so many messages."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d %d %d\n" % (qos, count, per_s))
        self._process.stdin.flush()


class Counted:
    """Counts what came; set `enough` when all has."""

    def __init__(self, count: int) -> None:
        self.left, self.enough = count, threading.Event()

    def came(self, messages: int) -> None:
        """So many more."""
        self.left -= messages
        if self.left <= 0:
            self.enough.set()

    def wait(self) -> None:
        """Until all are here. Raises TimeoutError."""
        if not self.enough.wait(ROUND_S_MAX):
            raise TimeoutError(f"{self.left} messages did not come")


def _granted(client: paho.Client, port: int, *, qos: int) -> None:
    """Connect and subscribe."""
    granted = threading.Event()
    client.on_connect = lambda c, *_: c.subscribe("plant/#", qos)
    client.on_subscribe = lambda *_: granted.set()
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    if not granted.wait(CONNECT_S_MAX):
        raise TimeoutError("no answer from the broker")


@contextmanager
def stock(port: int, to: Counted, *, qos: int, reads: bool) -> Iterator[Callable[[], None]]:
    """Paho as it is; reads: whether its callback decodes what comes."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"stock-{qos}-{reads}")

    def on_message(_c: Any, _d: Any, m: paho.MQTTMessage) -> None:  # noqa: ANN401
        if reads:
            assert m.topic
            decode(m.payload)
        to.came(1)

    client.on_message = on_message
    _granted(client, port, qos=qos)

    yield to.wait
    client.disconnect()
    client.loop_stop()


@contextmanager
def ours(port: int, to: Counted, *, reads: bool) -> Iterator[Callable[[], None]]:
    """Our client at QoS 0, beside it nothing of the gateway."""
    client = new_client(Endpoint(port=port, client_id=f"ours-{reads}"), persistent=False)

    def on_batch(messages: list[Incoming]) -> None:
        if reads:
            for m in messages:
                assert m.topic
                decode(m.payload)
        to.came(len(messages))

    client.on_batch = on_batch
    _granted(client, port, qos=0)

    yield to.wait
    stop(client)


@contextmanager
def gateway(port: int, counted: Counted) -> Iterator[Callable[[], None]]:
    """A gateway's link at QoS 1, and its loop as far as the journal, acknowledging behind that."""
    wake, name = threading.Event(), f"gateway-{time.monotonic_ns()}"  # its session is its own
    link = Link(
        Endpoint(port=port, client_id=name),
        filters=["plant/#"],
        queue_messages_max=100_000,
        will=None,
        on_connected=lambda: None,
        wake=wake,
    )
    link.start()
    deadline_s = time.monotonic() + CONNECT_S_MAX
    while not link.connected and time.monotonic() < deadline_s:
        time.sleep(0.01)
    with tempfile.TemporaryDirectory(prefix="andon-ingest-") as scratch:
        journal, redelivery = JournalWriter(Path(scratch)), Redelivery()
        counts = Telemetry()

        def takes() -> None:
            while not counted.enough.is_set():
                wake.wait(IDLE_S)
                wake.clear()
                messages = link.drain(GROUP_MAX)
                if not messages:
                    continue
                now_ns = time.time_ns()
                stimuli = redelivery.fresh(messages, counts)
                journal.append([(now_ns, one) for one in stimuli])
                link.ack(messages)
                counts.took([m.received_ns for m in messages], now_ns=now_ns)
                for one in stimuli:
                    decode(one.payload)
                counted.came(len(messages))

        yield takes
        journal.close()
    link.stop()


def measured(
    ways: Mapping[str, tuple[int, Callable[[Counted], Any]]], sending: Sending, *, rounds: int
) -> dict[str, NDArray[np.float64]]:
    """CPU us of a message (rounds,) of each way, all in turn; each is warm after a round."""
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, (qos, way) in ways.items():
            with way(Counted(MESSAGES)) as takes:
                begun_s = time.process_time()
                sending.send(qos=qos, count=MESSAGES, per_s=RATE_PER_S)
                takes()
                seen[name].append((time.process_time() - begun_s) / MESSAGES * 1e6)
    return {name: np.array(told[1:]) for name, told in seen.items()}


def figures(*, rounds: int = ROUNDS) -> list[Figure]:
    """`ingest_qos0_paho` and `ingest_qos1_paho`: CPU of a message, ours to stock paho's."""
    with embedded_broker() as at, pinned() as core:
        others = sorted(set(range(os.cpu_count() or 1)) - {core})
        with Sending(at.port, others[0] if others else core) as sending:
            port = at.port
            found = measured(
                {
                    "stock 0": (0, lambda to: stock(port, to, qos=0, reads=True)),
                    "ours 0": (0, lambda to: ours(port, to, reads=True)),
                    "stock 0 empty": (0, lambda to: stock(port, to, qos=0, reads=False)),
                    "ours 0 empty": (0, lambda to: ours(port, to, reads=False)),
                    "stock 1": (1, lambda to: stock(port, to, qos=1, reads=True)),
                    "ours 1": (1, lambda to: gateway(port, to)),
                },
                sending,
                rounds=rounds,
            )

    def told(name: str, ours: str, stock: str, at_most: float, note: str) -> Figure:
        return Figure(
            id=name,
            figure=round(float(np.median(found[ours])), 2),
            unit="us a message",
            ratio=round(float(np.median(found[ours] / found[stock])), 3),
            against=f"stock paho {np.median(found[stock]):.2f} us",
            note=note,
            at_most=at_most,
        )

    empty = float(np.median(found["ours 0 empty"] / found["stock 0 empty"]))
    broker = f"{at.name}, {RATE_PER_S} messages/s of eight values"
    return [
        told(
            "ingest_qos0_paho", "ours 0", "stock 0", QOS0_AT_MOST,
            f"{broker}; both decode; with empty handlers {empty:.3f}",
        ),
        told(
            "ingest_qos1_paho", "ours 1", "stock 1", QOS1_AT_MOST,
            f"{broker}; ours journals and then acknowledges, paho acknowledges by itself",
        ),
    ]  # fmt: skip


class _Counting(paho.Client):
    """Stock paho that counts its calls of the socket."""

    recv_total = 0

    def _sock_recv(self, bufsize: int) -> bytes:
        self.recv_total += 1
        found: bytes = super()._sock_recv(bufsize)
        return found


def recv_calls(messages: int = 1_000) -> tuple[float, float]:
    """Calls of the socket for each of so many messages that are there at once: ours, stock paho's.

    They depend on no machine.
    """
    ours = new_client(Endpoint(client_id="ours"), persistent=False)
    stock = _Counting(CallbackAPIVersion.VERSION2, client_id="stock")
    left = dict.fromkeys((ours, stock), messages)

    def came(client: paho.Client, count: int) -> None:
        left[client] -= count

    ours.on_batch = lambda batch: came(ours, len(batch))
    stock.on_message = lambda *_: came(stock, 1)
    said = b"".join(packet(i, 0) for i in range(messages))
    for client in (ours, stock):
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)  # noqa: FBT003 - a socket's
            far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(said))
            far.sendall(said)
            client._sock = near  # noqa: SLF001 - a connection without a broker
            while left[client]:
                client.loop_read()
            client._sock = None  # noqa: SLF001 - likewise
    return ours.recv_total / messages, stock.recv_total / messages


def main() -> None:
    """Print the figures."""
    calls, stock_calls = recv_calls()
    print(f"calls of the socket a message: {calls:.3f}, stock paho {stock_calls:.3f}")
    for one in figures():
        print(f"{one.id}: {one.figure} {one.unit}, {one.ratio} of {one.against}; {one.note}")


if __name__ == "__main__":
    main()
