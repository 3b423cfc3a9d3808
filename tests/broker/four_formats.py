"""A plant that speaks four formats at once to one broker, live, until it is told to stop.

Generic JSON in its three shapes, Sparkplug B, Kepware, and a value a topic. What is in `raised`
has a fault: its first tag is too high by so much.

`python -m tests.broker.four_formats PORT` is the same in a process of its own, for
`make newcomer`: each line `ASSET AMOUNT` on its standard input is a fault; the end of it ends all.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import numpy as np

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from edge.wire.sparkplug_writing import DOUBLE_TYPE, encode_data, encode_metric, encode_payload

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP_S: Final = 0.1
BORN_EVERY: Final = 20  # steps: a node begins anew, so that whoever came late hears its names
TAGS: Final = ("MotorCurrent", "OilTemperature", "hydraulic_pressure")
WIDE: Final = ("press-01", "press-02")
COLUMNS: Final = ("oven-1", "oven-2")
SINGLE: Final = ("pump-a", "pump-b")
DEVICES: Final = ("mill1", "mill2")
LATHES: Final = ("Line4.Lathe1", "Line4.Lathe2")  # of one Kepware gateway
MIXERS: Final = ("mixer-1", "mixer-2")  # of a Unified Namespace
ASSETS: Final = {*WIDE, *COLUMNS, *SINGLE, *DEVICES, *LATHES, *MIXERS}
FORMATS: Final = {"json", "sparkplug", "kepware", "raw"}
STRANGE: Final = "plant/camera/frame"  # nobody can read what comes there


class FourFormats:
    """Publishes from a thread. A context manager."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._rng = np.random.default_rng(11)
        self._seq = 0
        self.steps = 0
        self.raised: dict[str, float] = {}  # asset -> how much its first tag is too high

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        begin_s = time.monotonic()
        with Publisher(Endpoint(port=self._port, client_id="plant")) as publisher:
            while not self._over.is_set():
                for topic, payload in self._step(time.time_ns() // 10**6):
                    publisher.publish(topic, payload)
                self.steps += 1
                self._over.wait(max(begin_s + self.steps * STEP_S - time.monotonic(), 0.0))

    def _row(self, asset: str) -> list[float]:
        row = self._rng.normal((12.0, 55.0, 90.0), (0.2, 0.5, 1.0))
        row[0] += self.raised.get(asset, 0.0)
        return [round(float(value), 4) for value in row]

    def _step(self, now_ms: int) -> Iterator[tuple[str, bytes]]:
        state: dict[str, Any] = {"running": self.steps % 300 != 299, "bypass": False}
        for asset in WIDE:
            body = {"ts": now_ms, **dict(zip(TAGS, self._row(asset), strict=True)), **state}
            yield f"works/hall1/{asset}/data", msgspec.json.encode(body)
        for asset in COLUMNS:
            times = [now_ms - 50, now_ms]
            columns = {"tags": TAGS, "ts": times, "v": [self._row(asset), self._row(asset)]}
            yield f"works/hall2/{asset}", msgspec.json.encode(columns)
        for asset in SINGLE:
            for tag, value in zip(TAGS, self._row(asset), strict=True):
                single = {"asset": asset, "ts": now_ms, "tag": tag, "value": value, "unit": "V"}
                yield "gateway7/readings", msgspec.json.encode(single)
        values = [
            {"id": f"{asset}.{tag}", "v": value, "q": True, "t": now_ms}
            for asset in LATHES
            for tag, value in zip(TAGS, self._row(asset), strict=True)
        ]
        yield "iotgateway", msgspec.json.encode({"timestamp": now_ms, "values": values})
        for asset in MIXERS:
            for tag, value in zip(TAGS, self._row(asset), strict=True):
                yield f"acme/berlin/hall3/line1/{asset}/{tag}", str(value).encode()
        yield from self._sparkplug(now_ms)
        if self.steps % 10 == 0:
            yield STRANGE, b"\xff\xd8\xff\xe0" + bytes(100)

    def _sparkplug(self, now_ms: int) -> Iterator[tuple[str, bytes]]:
        if self.steps % BORN_EVERY == 0:
            self._seq = 0
            session = encode_metric(name="bdSeq", datatype=4, value=3.0)
            yield "spBv1.0/works/NBIRTH/cell", encode_payload([session], t_ms=now_ms, seq=0)
            for device in DEVICES:
                metrics = [
                    encode_metric(name=tag, alias=i, datatype=DOUBLE_TYPE, value=value)
                    for i, (tag, value) in enumerate(zip(TAGS, self._row(device), strict=True))
                ]
                birth = encode_payload(metrics, t_ms=now_ms, seq=self._next())
                yield f"spBv1.0/works/DBIRTH/cell/{device}", birth
        for device in DEVICES:
            data = encode_data(self._row(device), t_ms=now_ms, seq=self._next())
            yield f"spBv1.0/works/DDATA/cell/{device}", data

    def _next(self) -> int:
        self._seq = (self._seq + 1) % 256
        return self._seq


def main() -> None:
    """Speak until standard input ends."""
    with FourFormats(int(sys.argv[1])) as plant:
        for line in sys.stdin:
            asset, amount = line.split()
            plant.raised[asset] = float(amount)


if __name__ == "__main__":
    main()
