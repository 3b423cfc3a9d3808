"""Simulated plants for discovery, each with the truth about what it sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.wire.sparkplug import BOOLEAN, DOUBLE
from edge.wire.sparkplug_writing import DOUBLE_TYPE, encode_metric, encode_payload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MS_NS: Final = 1_000_000
BEGIN_NS: Final = 1_772_427_600_000 * MS_NS
LENGTH_S: Final = 90.0
SCAN_S: Final = 0.5  # at which what is sent by exception is looked at
LOST: Final = 0.03  # of all messages
UNITS: Final = {
    "OilTemperature": "degC",
    "hydraulic_pressure": "bar",
    "MotorCurrent": "A",
    "flow_lpm": "l/min",
    "Vib1": "mm/s",
    "TT_101": "degC",
    "x17": "",
}
CONTEXT: Final = {
    "run_state": ("run", (0.0, 1.0)),
    "OpMode": ("mode", (1.0, 2.0, 5.0)),
    "AlarmCode": ("info", (0.0, 17.0, 213.0)),
    "product": ("info", ("blue", "red")),
    "bypass": ("info", (0.0, 1.0)),
    "door": ("info", (0.0, 1.0)),
    "watchdog": ("heartbeat", ()),
}


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """One message as a broker delivers it."""

    received_ns: int
    topic: str
    payload: bytes


@dataclass(slots=True)
class Truth:
    """Of one asset: seconds of a period by cyclic tag, tags by exception, offset and its jitter."""

    id: str
    cyclic: dict[str, float] = field(default_factory=dict)
    by_exception: set[str] = field(default_factory=set)
    offset_ms: float = 0.0
    jitter_ms: float = 0.0


@dataclass(slots=True)
class Plant:
    """What a broker delivers in a while, and what is behind it."""

    messages: list[Message]
    truths: dict[str, Truth]


def simulated(seed: int, *, assets: int = 4) -> Plant:
    """A plant of assets that send single values, wide JSON and Sparkplug B, in turn."""
    rng = np.random.default_rng(seed)
    messages: list[Message] = []
    truths = {}
    for i in range(assets):
        truth = Truth(
            f"press-{i:02d}" if i % 3 else f"oven{i}",
            offset_ms=float(rng.uniform(-3000, 3000)),
            jitter_ms=float(rng.uniform(1, 30)),
        )
        truths[truth.id] = truth
        told = [_single, _wide, _sparkplug][i % 3](truth, rng)
        messages += _delivered(told, truth, rng)
    return Plant(sorted(messages), truths)


Told = tuple[int, str, bytes]  # true time, topic, payload


def _delivered(told: Sequence[Told], truth: Truth, rng: np.random.Generator) -> list[Message]:
    """What arrives of it: some is lost, and each is on its way for a while."""
    return [
        Message(t_ns + round(rng.exponential(truth.jitter_ms) * MS_NS), topic, payload)
        for t_ns, topic, payload in told
        if "BIRTH" in topic or rng.random() >= LOST
    ]


def _stamp(t_ns: int, truth: Truth) -> int:
    """The time that the sender's clock shows, ms."""
    return round(t_ns / MS_NS + truth.offset_ms)


def _even(period_s: float, rng: np.random.Generator) -> list[int]:
    """Times, ns, at an even period with a jitter of a fiftieth."""
    n = int(LENGTH_S / period_s)
    at = np.arange(n) * period_s + rng.normal(0, period_s / 50, n) + rng.uniform(0, period_s)
    return [BEGIN_NS + round(float(t) * 1e9) for t in np.sort(at)]


def _excepted(rng: np.random.Generator) -> list[int]:
    """Times, ns, of scans in which a value has changed."""
    scans = np.arange(int(LENGTH_S / SCAN_S))
    changed = rng.random(len(scans)) < rng.uniform(0.15, 0.5)
    return [BEGIN_NS + round(float(at) * SCAN_S * 1e9) for at in scans[changed]]


def _walk(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Values (n,) of a sensor."""
    return np.round(50 + np.cumsum(rng.normal(0, 0.3, n)), 3)


def _state(tag: str, n: int, rng: np.random.Generator) -> list[Any]:
    """Values of a tag of state: some time the same, and each of them comes."""
    if tag == "watchdog":
        return [float(i % 100) for i in range(n)]
    values = CONTEXT[tag][1]
    at = np.sort(rng.integers(1, n, 5))
    return [values[int(np.searchsorted(at, i, "right")) % len(values)] for i in range(n)]


def _single(truth: Truth, rng: np.random.Generator) -> list[Told]:
    """A value a message: some tags at their period, some by exception, states with each scan."""
    told: list[Told] = []
    topic = f"works/hall1/{truth.id}/data"

    def tell(tag: str, times: Sequence[int], values: Sequence[Any]) -> None:
        for t_ns, value in zip(times, values, strict=True):
            body = {"ts": _stamp(t_ns, truth), "tag": tag, "value": value}
            told.append((t_ns, topic, msgspec.json.encode(body)))

    for tag in UNITS:
        if rng.random() < 0.4:
            times = _excepted(rng)
            truth.by_exception.add(tag)
        else:
            truth.cyclic[tag] = float(rng.choice([0.2, 0.5, 1.0, 2.0]))
            times = _even(truth.cyclic[tag], rng)
        tell(tag, times, _walk(len(times), rng).tolist())
    for tag in CONTEXT:
        times = _even(1.0, rng)
        tell(tag, times, _state(tag, len(times), rng))
    return told


def _wide(truth: Truth, rng: np.random.Generator) -> list[Told]:
    """All tags in each message."""
    period_s = float(rng.choice([0.5, 1.0, 2.0]))
    truth.cyclic = dict.fromkeys(UNITS, period_s)
    times = _even(period_s, rng)
    rows: dict[str, list[Any]] = {tag: _walk(len(times), rng).tolist() for tag in UNITS}
    rows |= {tag: _state(tag, len(times), rng) for tag in CONTEXT}
    return [
        (
            t_ns,
            f"plant/line4/{truth.id}/telemetry",
            msgspec.json.encode({"ts": _stamp(t_ns, truth)} | {t: rows[t][i] for t in rows}),
        )
        for i, t_ns in enumerate(times)
    ]


def _sparkplug(truth: Truth, rng: np.random.Generator) -> list[Told]:
    """A device that tells each metric by exception, behind its birth."""
    tags = [*UNITS, *(tag for tag, (_, values) in CONTEXT.items() if "blue" not in values)]
    truth.by_exception = set(UNITS)
    topic = f"spBv1.0/works/{{}}/node7/{truth.id}"
    born = _stamp(BEGIN_NS, truth)
    metrics = [
        encode_metric(name=tag, alias=i, datatype=DOUBLE_TYPE, value=1.0)
        for i, tag in enumerate(tags)
    ]
    birth = encode_payload(metrics, t_ms=born, seq=0)
    told = [(BEGIN_NS, topic.format("DBIRTH"), birth)]
    for alias, tag in enumerate(tags):
        times = _excepted(rng) if tag in UNITS else _even(1.0, rng)
        n = len(times)
        values = _walk(n, rng).tolist() if tag in UNITS else _state(tag, n, rng)
        for t_ns, value in zip(times, values, strict=True):
            kind = BOOLEAN if tag == "bypass" else DOUBLE
            metric = encode_metric(alias=alias, field=kind, value=value)
            payload = encode_payload([metric], t_ms=_stamp(t_ns, truth), seq=1)
            told.append((t_ns, topic.format("DDATA"), payload))
    return told
