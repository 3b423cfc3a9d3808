"""The benchmark's plant as a process: paced messages at QoS 1, and a note of when each left.

`python -m benchmarks.publisher PORT LOAD_JSON OUT.npz`
"""

from __future__ import annotations

import gc
import select
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from benchmarks.plant import Load, asset_name, channel_names, disturb, signals, steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAD_S: Final = 0.5  # between connecting and the first row
IN_FLIGHT_MAX: Final = 2_000
READ_EVERY: Final = 64  # messages between two looks at what was confirmed
WAIT_S_MAX: Final = 60.0
SLEEP_S_MIN: Final = 0.0005
WARM_S: Final = 3.0  # no steps before: filters settle, the broker and the gateway too
STEPS_PER_S: Final = 5.0


def planned_steps(load: Load) -> list[tuple[int, int]]:
    """(asset, row) of every step, the same for whoever asks."""
    per_s = 1000 / load.period_ms
    found = steps(load, warm_rows=int(WARM_S * per_s), gap_rows=max(1, int(per_s / STEPS_PER_S)))
    return [(step.asset, step.row) for step in found]


def bodies(load: Load) -> list[list[bytes]]:
    """What follows the time in each message, [batch][asset]; made before the sending."""
    values = signals(load, rows=load.rows, training=False)
    per_s = 1000 / load.period_ms
    disturb(
        values,
        steps(load, warm_rows=int(WARM_S * per_s), gap_rows=max(1, int(per_s / STEPS_PER_S))),
    )
    tags = channel_names(load)
    return [
        [_body(tags, values[i, first : first + load.batch_rows]) for i in range(load.assets)]
        for first in range(0, load.rows - load.batch_rows + 1, load.batch_rows)
    ]


def _body(tags: list[str], rows: NDArray[np.float64]) -> bytes:
    """The rows (k, c) of one message, without its opening brace and its time."""
    if len(rows) == 1:
        fields = dict(zip(tags, rows[0].tolist(), strict=True))
        return msgspec.json.encode(fields)[1:]
    return msgspec.json.encode({"tags": tags, "v": rows.tolist()})[1:]


class Sender:
    """QoS 1 over a socket and nothing else, so that the sending is not what is measured.

    A client library in Python would need a core for 6,000 messages a second.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = b"andon-bench-plant"
        head = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack(">H", len(client)) + client
        self._socket.sendall(b"\x10" + bytes([len(head)]) + head)
        connected = self._socket.recv(4, socket.MSG_WAITALL)
        if connected != b"\x20\x02\x00\x00":
            raise SystemExit(f"the broker refused the connection: {connected.hex()}")
        self._sent = self._confirmed_bytes = 0

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Send one message, waiting while too many are unconfirmed."""
        while self._sent - self._confirmed_bytes // 4 >= IN_FLIGHT_MAX:
            self._read(WAIT_S_MAX)
        if self._sent % READ_EVERY == 0:
            self._read(0.0)
        body = struct.pack(">H", len(topic)) + topic
        body += struct.pack(">H", self._sent % 65_535 + 1) + payload
        self._socket.sendall(b"\x32" + _length(len(body)) + body)
        self._sent += 1

    def drain(self) -> None:
        """Return when the broker has confirmed everything."""
        while self._confirmed_bytes < 4 * self._sent:
            self._read(WAIT_S_MAX)
        self._socket.sendall(b"\xe0\x00")
        self._socket.close()

    def _read(self, wait_s: float) -> None:
        """Count confirmations: four bytes each, and nothing else comes."""
        ready, _, _ = select.select([self._socket], [], [], wait_s)
        came = self._socket.recv(65_536) if ready else b""
        if wait_s and not came:
            raise SystemExit("the broker confirms nothing any more")
        self._confirmed_bytes += len(came)


def _length(n: int) -> bytes:
    """MQTT's variable-length number."""
    parts = []
    while n > 127:
        parts.append(n & 127 | 128)
        n >>= 7
    return bytes([*parts, n])


def publish(load: Load, *, port: int) -> tuple[int, NDArray[np.int64]]:
    """Send everything at its pace.

    Returns t0 in ms, and when each message left (batches, assets) in ns.
    """
    made = bodies(load)
    sent_ns = np.zeros((len(made), load.assets), np.int64)
    topics = [f"plant/{asset_name(i)}".encode() for i in range(load.assets)]
    batch_ms = load.period_ms * load.batch_rows
    sender = Sender(port)
    gc.collect()
    gc.freeze()
    t0_ms = time.time_ns() // 1_000_000 + int(LEAD_S * 1000)
    for batch, of_assets in enumerate(made):
        first_ms = t0_ms + batch * batch_ms
        head = _head(load, first_ms)
        # a batch leaves when its last row has been measured, the assets one after another
        due_ns = (first_ms + batch_ms - load.period_ms) * 1_000_000
        step_ns = batch_ms * 1_000_000 // load.assets
        for i, body in enumerate(of_assets):
            _wait_until(due_ns + i * step_ns)
            sent_ns[batch, i] = time.time_ns()
            sender.publish(topics[i], head + body)
    sender.drain()
    return t0_ms, sent_ns


def _head(load: Load, first_ms: int) -> bytes:
    if load.batch_rows == 1:
        return b'{"ts":%d,' % first_ms
    return b'{"t0":%d,"dt_ms":%d,' % (first_ms, load.period_ms)


def _wait_until(due_ns: int) -> None:
    """Sleep until a time of the clock; shorter waits than the system can keep are left out."""
    left_s = (due_ns - time.time_ns()) / 1e9
    if left_s > SLEEP_S_MIN:
        time.sleep(left_s)


def main() -> None:
    """Publish as told on the command line."""
    port, load_json, out = sys.argv[1:]
    load = msgspec.json.decode(load_json, type=Load)
    t0_ms, sent_ns = publish(load, port=int(port))
    np.savez(Path(out), t0_ms=t0_ms, sent_ns=sent_ns)


if __name__ == "__main__":
    main()
