"""The sending side of `benchmarks.speed.ingest`: small groups of messages at a pace, on a socket.

`python -m benchmarks.speed.ingest_sender PORT CORE`; each line of its input, `QOS COUNT PER_S`, is
one round.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time
from typing import Final

TOPICS: Final = [b"plant/asset-%04d" % i for i in range(200)]
GROUP_S: Final = 0.001
WAIT_S_MAX: Final = 30.0
PAYLOAD: Final = b'{"v":[21.375,0.125,-3.5,100.25,7.0625,1500.5,0.0078125,42.75]}'


def packet(i: int, qos: int) -> bytes:
    """The `i`-th message."""
    topic = TOPICS[i % len(TOPICS)]
    body = struct.pack(">H", len(topic)) + topic
    body += struct.pack(">H", i % 65_535 + 1) if qos else b""
    body += PAYLOAD
    assert len(body) < 128, "its length is one byte"
    return bytes([0x30 | qos << 1, len(body)]) + body


def connected(port: int, client: bytes, *, alive_s: int) -> socket.socket:
    """A session at the broker. alive_s: within which it is heard of, 0 never. Raises SystemExit."""
    link = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S_MAX)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = b"\x00\x04MQTT\x04\x02" + struct.pack(">HH", alive_s, len(client)) + client
    link.sendall(b"\x10" + bytes([len(head)]) + head)
    if link.recv(4, socket.MSG_WAITALL) != b"\x20\x02\x00\x00":
        raise SystemExit("the broker refused the connection")
    return link


def send(link: socket.socket, qos: int, count: int, per_s: int) -> None:
    """One round: a group each millisecond, then wait for what has to be confirmed."""
    group = max(1, round(per_s * GROUP_S))
    confirmed, due_s = 0, time.monotonic()
    for first in range(0, count, group):
        link.sendall(b"".join(packet(i, qos) for i in range(first, min(first + group, count))))
        due_s += GROUP_S
        left_s = due_s - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)
        if qos and select.select([link], [], [], 0.0)[0]:
            confirmed += len(link.recv(1 << 16))
    while qos and confirmed < 4 * count:
        confirmed += len(link.recv(1 << 16))


def main() -> None:
    """Send as told."""
    port, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    link = connected(int(port), b"andon-bench-ingest", alive_s=0)
    for line in sys.stdin:
        qos, count, per_s = map(int, line.split())
        send(link, qos, count, per_s)
    link.sendall(b"\xe0\x00")


if __name__ == "__main__":
    main()
