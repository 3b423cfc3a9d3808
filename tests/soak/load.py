"""What a soak sends: a cell's half hour again and again in plant time, and what must not hurt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.caps import PAYLOAD_BYTES_MAX

if TYPE_CHECKING:
    from tests.chaos.plant import Plant

CLOCK_ROWS: Final = 5  # rows between two messages of the plant's clock
ENDLESS: Final = 1 << 40
POISON: Final = (
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"ts":1e300,"Pressure":1}',
    b'{"ts":"yesterday","Pressure":1}',
    b'{"ts":1772427600000,"Pressure":"NaN"}',
    b'{"ts":1772427600000,"no such tag":1}',
    b'{"tags":["Pressure"],"ts":[1,2],"v":[[1]]}',
    b"1" * (PAYLOAD_BYTES_MAX + 1),
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a sender takes it."""

    topic: str
    payload: bytes
    retain: bool = False


class Endless:
    """Messages by number, made when they are asked for; behaves as a very long sequence."""

    def __init__(self, plant: Plant) -> None:
        self._bodies: list[list[bytes]] = [[] for _ in plant.assets]  # by asset, row
        self._topics = [f"plant/{asset}" for asset in plant.assets]
        self._begin_ms = 0
        for message in plant.messages:
            if message.topic in self._topics:
                body: Any = msgspec.json.decode(message.payload)
                self._begin_ms = self._begin_ms or int(body["ts"][0])
                of_asset = self._bodies[self._topics.index(message.topic)]
                for values in body["v"]:
                    fields = dict(zip(body["tags"], values, strict=True))
                    of_asset.append(msgspec.json.encode(fields)[1:])
        self._round = CLOCK_ROWS * len(self._topics) + 1

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, number: int) -> Message:
        turn, at = divmod(number, self._round)
        step, asset = divmod(at, len(self._topics))
        row = turn * CLOCK_ROWS + step
        t_ms = self._begin_ms + 1000 * row
        if step == CLOCK_ROWS:
            return Message("plant/_clock", b'{"ts":%d}' % (t_ms - 1000))
        of_asset = self._bodies[asset]
        return Message(self._topics[asset], b'{"ts":%d,' % t_ms + of_asset[row % len(of_asset)])
