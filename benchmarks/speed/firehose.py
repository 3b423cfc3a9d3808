"""A plant that costs next to nothing: messages made before, their times and ids written in.

`python -m benchmarks.speed.firehose PORT LOAD_JSON QOS FORM`: each 10 ms what is due leaves at
once. FORM is `json`, columns or single values, or `block`, binary blocks (docs/topics.md). Of the
values only a few rows are made, and sent over and over. Single values of an asset come so seldom
that its rows would settle behind the end: what goes before them comes at once, in columns.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from benchmarks.plant import Load, asset_name, channel_names, signals

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIME_DIGITS: Final = 13  # milliseconds, until the year 2286
PLACEHOLDER: Final = 10 ** (TIME_DIGITS - 1)
JSON: Final = "json"
BLOCK: Final = "block"
LEAD_S: Final = 0.5
SLICE_S: Final = 0.01
ROUND_BATCHES: Final = 8  # different batches of every asset, sent in turn
SETTLED_ROWS: Final = 160  # of an asset, behind which its rows have settled;
SETTLING_S: Final = 1.5  # so long they are sent
TIMEOUT_S: Final = 60.0


@dataclass(slots=True, kw_only=True, eq=False)
class Packets:
    """One batch of all assets as PUBLISH packets (bytes,) uint8.

    starts: (m + 1,) where each packet begins   times, ids: (m,) where its time and its packet id
    stand; ids is empty at QoS 0   form: how the times are written
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    times: NDArray[np.int64]
    ids: NDArray[np.int64]
    form: str

    def stamp(self, t_ms: int, first_id: int) -> None:
        """Write the time of the batch and the ids of its packets."""
        written = np.frombuffer(_time(t_ms, self.form), np.uint8)
        self.data[self.times[:, None] + np.arange(len(written))] = written
        if len(self.ids):
            ids = (first_id + np.arange(len(self.ids))) % 65_535 + 1
            self.data[self.ids], self.data[self.ids + 1] = ids >> 8, ids & 255


def messages_a_batch(load: Load) -> int:
    """Messages in which one batch of all assets leaves: one an asset, or one a value."""
    return load.assets * (1 if load.batch_rows > 1 else load.channels)


def settling_s(load: Load) -> float:
    """How long the sending goes on before the load begins, s."""
    return LEAD_S + SETTLING_S if load.batch_rows == 1 else 0.0


def _time(t_ms: int, form: str) -> bytes:
    return b"%0*d" % (TIME_DIGITS, t_ms) if form == JSON else struct.pack("<q", t_ms * 10**6)


def payloads(load: Load, rows: NDArray[np.float64], asset: str, form: str) -> list[bytes]:
    """Rows (k, c) of one asset: a block or columns, or where there is only one single values."""
    tags = channel_names(load)
    if form == BLOCK:
        return [_block(load, rows, tags)]
    if len(rows) > 1:
        body = {"t0": PLACEHOLDER, "dt_ms": load.period_ms, "tags": tags, "v": rows.tolist()}
        return [msgspec.json.encode(body)]
    return [
        msgspec.json.encode({"ts": PLACEHOLDER, "asset": asset, "tag": tag, "value": value})
        for tag, value in zip(tags, rows[0].tolist(), strict=True)
    ]


def _block(load: Load, rows: NDArray[np.float64], tags: list[str]) -> bytes:
    """Rows (k, c) as a binary block of float32."""
    names = b"".join(tag.encode() + b"\0" for tag in tags)
    names += b"\0" * (-len(names) % 8)
    times = PLACEHOLDER * 10**6, load.period_ms * 10**6
    sizes = len(tags), len(rows), len(names)
    head = struct.pack("<4sBBHIIqq", b"\x89ANB", 1, 0, *sizes, *times)
    return head + names + rows.astype("<f4").tobytes()


def packets(load: Load, values: NDArray[np.float64], qos: int, form: str) -> Packets:
    """One batch, values (a, k, c), as packets."""
    data, starts, times, ids = bytearray(), [0], [], []
    for i, rows in enumerate(values):
        topic = f"plant/{asset_name(i)}".encode()
        for payload in payloads(load, rows, asset_name(i), form):
            body = struct.pack(">H", len(topic)) + topic + bytes(2 if qos else 0) + payload
            head = bytes([0x30 | qos << 1]) + _length(len(body))
            at = len(data) + len(head) + 2 + len(topic)
            if qos:
                ids.append(at)
            times.append(len(data) + len(head) + body.index(_time(PLACEHOLDER, form)))
            data += head + body
            starts.append(len(data))
    return Packets(
        data=np.frombuffer(data, np.uint8),
        starts=np.array(starts, np.int64),
        times=np.array(times, np.int64),
        ids=np.array(ids, np.int64),
        form=form,
    )


def _length(n: int) -> bytes:
    """MQTT's variable-length number."""
    parts = []
    while n > 127:
        parts.append(n & 127 | 128)
        n >>= 7
    return bytes([*parts, n])


def connect(port: int) -> socket.socket:
    """A connection as a client that only publishes."""
    link = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    client = b"andon-speed-plant"
    head = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack(">H", len(client)) + client
    link.sendall(b"\x10" + bytes([len(head)]) + head)
    if link.recv(4, socket.MSG_WAITALL) != b"\x20\x02\x00\x00":
        raise SystemExit("the broker refused the connection")
    return link


def publish(load: Load, *, port: int, qos: int, form: str) -> int:
    """Send everything at its pace; returns how many messages."""
    rows, before = load.batch_rows, SETTLED_ROWS if load.batch_rows == 1 else 0
    values = signals(load, rows=before + rows * ROUND_BATCHES, training=False)
    begins = range(before, values.shape[1], rows)
    made = [packets(load, values[:, first : first + rows], qos, form) for first in begins]
    link, sent = connect(port), 0
    if before:
        _settle(link, packets(load, values[:, :before], qos, form), before * load.period_ms)
        sent += load.assets
    batch_ms = load.period_ms * rows
    t0_ms = time.time_ns() // 1_000_000 + int(LEAD_S * 1000)
    count = messages_a_batch(load)
    for batch in range(load.rows // rows):
        one, first_ms = made[batch % ROUND_BATCHES], t0_ms + batch * batch_ms
        one.stamp(first_ms, sent)
        # a batch leaves when its last row has been measured, the assets one after another
        begin_s = (first_ms + batch_ms - load.period_ms) / 1000
        left = 0
        while left < count:
            time.sleep(max(0.0, begin_s + left * batch_ms / 1000 / count - time.time()))
            late_s = time.time() - begin_s + SLICE_S
            due = min(count, max(left + 1, int(late_s / (batch_ms / 1000) * count)))
            link.sendall(one.data[one.starts[left] : one.starts[due]].data)
            left = due
            while select.select([link], [], [], 0)[0] and link.recv(1 << 16):
                pass  # acknowledgements
        sent += count
    link.sendall(b"\xe0\x00")
    link.close()
    return sent


def _settle(link: socket.socket, columns: Packets, span_ms: int) -> None:
    """Send what was measured in the time before now, an asset after another."""
    columns.stamp(time.time_ns() // 1_000_000 - span_ms, 0)
    for begin, end in pairwise(columns.starts.tolist()):
        link.sendall(columns.data[begin:end].data)
        time.sleep(SETTLING_S / len(columns.times))


def main() -> None:
    """Publish as told on the command line."""
    port, load_json, qos, form = sys.argv[1:]
    publish(msgspec.json.decode(load_json, type=Load), port=int(port), qos=int(qos), form=form)


if __name__ == "__main__":
    main()
