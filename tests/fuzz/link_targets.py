"""What a broker, or somebody who takes its place, may send over a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.edge.wires import V3, V5, ours, packet, stock, text
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.target import FILE, Target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.fuzz.target import Read

VERSIONS: Final = {0: V3, 1: V5}


def _begin(_scratch: Path) -> Read:
    """As stock paho reads it, in two pieces; what that dies of ends the connection only."""

    def read(data: bytes) -> bool:
        version, cut, said = VERSIONS[(data[:1] or b"0")[0] & 1], (data[1:2] or b"0")[0], data[2:]
        pieces = [said[:cut], said[cut:]]
        told = ours(pieces, version=version, closes=True, manual=False)
        assert told == stock(pieces, version=version, closes=True, manual=False)
        return bool(told[0])

    return read


def _seeds() -> Sequence[bytes]:
    """Messages of each QoS, and answers between them."""
    found = []
    for number, more in ((b"0", b""), (b"1", b"\0")):
        messages = [
            packet(0x30, text(b"plant/a") + more + b"21.5"),
            packet(0x33, text(b"plant/b") + b"\0\7" + more + b"x" * 200),
            packet(0x34, text(b"plant/a") + b"\0\x09" + more + b"twice"),
        ]
        answers = [packet(0x40, b"\0\1"), packet(0xD0, b""), packet(0x62, b"\0\x09")]
        found += [
            number + b"\x20" + b"".join(messages * 2),
            number + b"\x11" + b"".join(a + b for a, b in zip(messages, answers, strict=True)),
        ]
    return found


TARGETS: Final = (
    Target(
        name="mqtt-packets",
        count=FILE,
        begin=_begin,
        refusals=(),
        seeds=_seeds,
        mutate=mutate_bytes,
    ),
)
