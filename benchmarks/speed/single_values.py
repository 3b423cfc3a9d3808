"""A plant of one value a message, as a process: evenly paced over a socket and nothing else.

`python -m benchmarks.speed.single_values PORT LOAD_JSON QOS` sends `load.rows` values of every
channel of every asset, each under the asset's topic with its own time. Prints a line when it begins
and one when it is done, with how far it fell behind its pace at most, in ms.
"""

from __future__ import annotations

import gc
import select
import struct
import sys
import time
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.plant import Load, asset_name, channel_names, signals
from benchmarks.speed.ingest_sender import connected

if TYPE_CHECKING:
    import socket

LEAD_S: Final = 1.0
BURST_S: Final = 0.001  # what is due within it leaves in one piece
IN_FLIGHT_MAX: Final = 20_000
WAIT_S_MAX: Final = 60.0


def publish(load: Load, *, port: int, qos: int) -> float:
    """Send everything at its pace; returns how far it was behind at most, seconds."""
    link = connected(port, b"andon-bench-values", alive_s=60)
    heads = [
        (b'"asset":"%s","tag":"%s","value":' % (name.encode(), tag.encode()), _topic(name))
        for tag in channel_names(load)
        for name in map(asset_name, range(load.assets))
    ]
    # of a few assets: what is measured does not depend on the values
    few = signals(msgspec.structs.replace(load, assets=min(load.assets, 8)), rows=load.rows,
                  training=False)  # fmt: skip
    total, each_s = len(heads) * load.rows, load.period_ms / 1e3 / len(heads)
    gc.collect()
    gc.freeze()
    begin_s, sent, confirmed, worst_s = time.time() + LEAD_S, 0, 0, 0.0
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    while sent < total:
        now_s = time.time()
        due = min(int((now_s - begin_s) / each_s) + 1, total) if now_s >= begin_s else 0
        worst_s = max(worst_s, now_s - begin_s - sent * each_s)
        parts = []
        for n in range(sent, due):
            row, place = divmod(n, len(heads))
            channel, asset = divmod(place, load.assets)
            head, topic = heads[place]
            value = few[asset % len(few), row, channel]
            t_ms = (begin_s + n * each_s) * 1e3
            body = b'{"ts":%d,%s%.3f}' % (t_ms, head, value)
            parts.append(_packet(topic, body, qos=qos, number=n))
        link.sendall(b"".join(parts))
        sent = due
        while qos and sent - confirmed // 4 > IN_FLIGHT_MAX:
            confirmed += _came(link, WAIT_S_MAX)
        confirmed += _came(link, 0.0)
        time.sleep(BURST_S)
    while qos and confirmed // 4 < total:
        confirmed += _came(link, WAIT_S_MAX)
    link.sendall(b"\xe0\x00")
    link.close()
    return worst_s


def _topic(name: str) -> bytes:
    topic = f"plant/{name}".encode()
    return struct.pack(">H", len(topic)) + topic


def _packet(topic: bytes, body: bytes, *, qos: int, number: int) -> bytes:
    rest = topic + (struct.pack(">H", number % 65_535 + 1) if qos else b"") + body
    size = len(rest)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([0x30 | qos << 1]) + length + rest


def _came(link: socket.socket, wait_s: float) -> int:
    """Bytes of confirmations, four each."""
    ready, _, _ = select.select([link], [], [], wait_s)
    return len(link.recv(65_536)) if ready else 0


def main() -> None:
    """Publish as told on the command line."""
    port, load_json, qos = sys.argv[1:]
    load = msgspec.json.decode(load_json, type=Load)
    behind_s = publish(load, port=int(port), qos=int(qos))
    sys.stdout.write(f"{behind_s * 1e3:.1f}\n")


if __name__ == "__main__":
    main()
