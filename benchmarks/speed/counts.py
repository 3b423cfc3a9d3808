"""What does not depend on the machine: calls of the graph, of functions, bytes at once; per tick.

The tests hold these against their limits, since no clock can be trusted there.
"""

from __future__ import annotations

import socket
import threading
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import onnxruntime as ort

from benchmarks.counting import calls_of
from benchmarks.many_assets import bundle_of, lived, messages
from benchmarks.plant import Load
from benchmarks.speed.figure import Figure
from edge.brokers.mqtt import Endpoint, new_client, stop
from edge.records import TickDue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.assembly.assembly import Assembly
    from edge.brokers.inbox import Incoming

ASSETS: Final = 200
CHANNELS: Final = 8
LOAD: Final = Load(assets=ASSETS, channels=CHANNELS, period_ms=1_000, rows=0, batch_rows=1)
WARM_ROWS: Final = 192
RUNS: Final = ("run", "run_with_iobinding", "run_with_ort_values")
# Limits with room for a few more of each; a loop over assets or values where there was none is
# far beyond.
GRAPH_CALLS_MAX: Final = 1
CALLS_MAX: Final = 250.0  # an asset
BYTES_MAX: Final = 600.0  # a value
RECEIVES_MAX: Final = 0.05  # a message
FLOOD: Final = 4_000  # messages
TOPIC: Final = b"plant/m000"
PAYLOAD: Final = b'{"ts":1790000000123,"asset":"m000","tag":"c0","value":50.123}'
PACKET: Final = (
    bytes([0x30, 2 + len(TOPIC) + len(PAYLOAD), 0, len(TOPIC)]) + TOPIC + PAYLOAD
)  # QoS 0, less than 128 bytes
WAIT_S_MAX: Final = 20.0


class Ticking:
    """A settled engine, that can be given the next sample of every asset again and again."""

    def __init__(self) -> None:
        self.engine: Assembly
        self.engine, self._now_ns = lived(bundle_of(LOAD), LOAD, rows=WARM_ROWS)
        for _ in range(3):
            self.take()
            self.tick()

    def take(self) -> None:
        """Hand it a message of every asset."""
        self._now_ns += LOAD.period_ms * 10**6
        for message in messages(LOAD, first_ns=self._now_ns, rows=1, qos=0):
            self.engine.engine.handle(message, now_ns=self._now_ns)

    def tick(self) -> None:
        """The tick that scores them."""
        self._now_ns += 10**6
        self.engine.engine.handle(TickDue(), now_ns=self._now_ns)


@contextmanager
def graph_calls() -> Iterator[list[str]]:
    """Every call of ONNX Runtime while it lasts, by the name of the method."""
    seen: list[str] = []
    kept = {name: getattr(ort.InferenceSession, name) for name in RUNS}

    def counting(name: str) -> Callable[..., Any]:
        def counted(*given: Any, **more: Any) -> Any:  # noqa: ANN401 - whatever it is given
            seen.append(name)
            return kept[name](*given, **more)

        return counted

    for name in RUNS:
        setattr(ort.InferenceSession, name, counting(name))
    try:
        yield seen
    finally:
        for name, method in kept.items():
            setattr(ort.InferenceSession, name, method)


def bytes_of(work: Callable[[], object]) -> int:
    """The most that `work` holds at once beyond what was held before, arrays of numpy too."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


class Flood:
    """A broker that grants what it is asked, and then sends many small messages in one piece."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._go = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._go.set()
        self._thread.join()

    def send(self) -> None:
        """Send them all."""
        self._go.set()

    def _serve(self) -> None:
        link, _ = self._listener.accept()
        with link:
            link.recv(4096)  # CONNECT comes in one piece, as its answer does
            link.sendall(b"\x20\x02\x00\x00")
            mid = link.recv(4096)[2:4]  # of SUBSCRIBE
            link.sendall(b"\x90\x03" + mid + b"\x00")
            self._go.wait(WAIT_S_MAX)
            link.sendall(PACKET * FLOOD)
            while link.recv(4096):
                pass


def receives_of_flood() -> float:
    """Calls of `recv` for each of FLOOD messages that lie ready. Raises TimeoutError."""
    came, granted = threading.Semaphore(0), threading.Event()
    left = FLOOD

    def on_batch(messages: list[Incoming]) -> None:
        nonlocal left
        left -= len(messages)
        if left <= 0:
            came.release()

    with Flood() as broker:
        client = new_client(Endpoint(port=broker.port, client_id="counts"), persistent=False)
        client.on_batch = on_batch
        client.on_connect = lambda c, *_: c.subscribe("plant/#", 0)
        client.on_subscribe = lambda *_: granted.set()
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        try:
            if not granted.wait(WAIT_S_MAX):
                raise TimeoutError("the client did not subscribe")
            before = client.recv_total
            broker.send()
            if not came.acquire(timeout=WAIT_S_MAX):
                raise TimeoutError(f"{left} messages did not come")
            return (client.recv_total - before) / FLOOD
        finally:
            stop(client)


def measure(*, quick: bool = False) -> list[Figure]:
    """Counts of one tick, the same in every run. Raises TimeoutError."""
    del quick
    ticking = Ticking()
    ticking.take()
    with graph_calls() as seen:
        ticking.tick()
    ticking.take()
    calls = calls_of(ticking.tick)
    ticking.take()
    held = bytes_of(ticking.tick)
    values = ASSETS * CHANNELS
    return [
        _count("count_graph_calls", len(seen), "a tick", f"of {ASSETS} assets", GRAPH_CALLS_MAX),
        _count("count_calls", calls / ASSETS, "an asset and tick", "Python and C", CALLS_MAX),
        _count(
            "count_receives",
            receives_of_flood(),
            "a message",
            f"{FLOOD:,} messages of {len(PACKET)} bytes in one piece; stock paho needs three each",
            RECEIVES_MAX,
        ),
        _count("count_bytes", held / values, "bytes a value", "most at once in a tick", BYTES_MAX),
    ]


def _count(id: str, count: float, unit: str, note: str, at_most: float) -> Figure:  # noqa: A002 - a figure's
    return Figure(
        id=id,
        figure=count,
        unit=unit,
        ratio=float("nan"),
        against="",
        note=note,
        at_most=at_most,
    )
