"""A real gateway behind a real broker: a million values a second in columns; 30,000 messages.

What counts is the processor time of the whole gateway process, with all that it does meanwhile:
journal, health, checkpoints. "To the ring" leaves out scoring and what follows from scores, "to the
score" what follows; what belongs where is found by looking at its threads (`sampler`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from benchmarks.gateway_load import CONFIG, START_S_MAX, Heard, check_alive, end, pause, until
from benchmarks.many_assets import bundle_of
from benchmarks.plant import Load
from benchmarks.speed.figure import Figure, Shares
from benchmarks.speed.firehose import BLOCK, JSON, messages_a_batch, settling_s
from benchmarks.speed.places import AFTER, SCORING
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Collector
from models.bundles.store import save
from simulator.broker import Mosquitto

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS: Final = 16.0
SECONDS_QUICK: Final = 6.0
SLOWER: Final = (4,)  # where a machine cannot keep up
REACHED_MIN: Final = 0.95
WARM_S: Final = 4.0  # of it not counted: rows settle
TRAINED_S: Final = 600.0  # of the detectors: some minutes, as a plant has them at least
RING_SHARE_MAX: Final = 0.15
SCORE_SHARE_MAX: Final = 0.22
SINGLES_SHARE_MAX: Final = 0.35
# A million values a second: 1,000 assets x 8 channels at 125 Hz, 100 rows a message.
COLUMNS: Final = Load(assets=1_000, channels=8, period_ms=8, rows=0, batch_rows=100)
# 30,000 messages of one value a second: 750 assets x 8 channels at 5 Hz.
SINGLES: Final = Load(assets=750, channels=8, period_ms=200, rows=0, batch_rows=1)


class Way(NamedTuple):
    """How a plant sends: title, load, quality of service, and form as `firehose` has it."""

    title: str
    load: Load
    qos: int
    form: str


WAYS: Final = (
    Way("A million values a second in columns", COLUMNS, 1, JSON),
    Way("A million values a second in binary blocks", COLUMNS, 1, BLOCK),
    Way("30,000 messages of one value a second", SINGLES, 0, JSON),
    Way("30,000 messages of one value a second at QoS 1", SINGLES, 1, JSON),
)


class Mark(NamedTuple):
    """A look at a running gateway: messages taken, processor seconds in all and by part."""

    taken: int
    total_s: float
    parts: Mapping[str, float]


class Used(NamedTuple):
    """What a load cost. share: of a core, at the load's full rate.

    slower: it was sent at this part of that rate   reached: of what was sent, taken
    """

    share: float
    parts: dict[str, float]  # of the processor time, by part
    slower: int
    reached: float
    dropped: dict[str, int]

    @property
    def kept_up(self) -> bool:
        """Whether what was sent was taken."""
        return self.reached >= REACHED_MIN and "shed" not in self.dropped

    @property
    def eased(self) -> bool:
        """Whether the full rate, which is what is asked for, was not taken."""
        return self.slower > 1 or not self.kept_up


def kept_up(way: Way, *, seconds: float, warm_s: float) -> Used:
    """What a load costs a gateway that keeps up with it.

    On a machine that has no room for it, broker and plant at once, the gateway gives messages up,
    and what that costs would be booked to those that it takes: then at a quarter of the rate, and
    the figure reaches nothing.
    """
    used = used_by(way, seconds=seconds, warm_s=warm_s)
    for slower in SLOWER:
        if used.kept_up:
            return used
        used = used_by(way, seconds=seconds, warm_s=warm_s, slower=slower)
    return used


def used_by(way: Way, *, seconds: float, warm_s: float = WARM_S, slower: int = 1) -> Used:
    """Run a gateway under a load and look at it once a second. Raises AndonError."""
    load = way.load
    rate = messages_a_batch(load) * 1000 / load.period_ms / load.batch_rows
    load = msgspec.structs.replace(load, period_ms=load.period_ms * slower)
    load = msgspec.structs.replace(load, rows=round(seconds * 1000 / load.period_ms))
    with tempfile.TemporaryDirectory(prefix="andon-speed-") as name, Mosquitto() as broker:
        folder = Path(name)
        save(bundle_of(load, trained_s=TRAINED_S), folder / "bundle")
        (folder / "gateway.toml").write_text(CONFIG.format(port=broker.port), encoding="utf-8")
        heard = Heard()
        with Collector(Endpoint(port=broker.port), ("andon/#",)) as collector:
            gateway = _started(
                folder, "sampled_gateway", str(folder / "gateway.toml"), str(folder / "looks")
            )
            try:
                until(lambda: bool(heard.health), heard, collector, gateway, START_S_MAX)
                plant = [str(broker.port), msgspec.json.encode(load).decode(), str(way.qos)]
                marks = _watch(folder, [*plant, way.form], heard, collector, gateway)
            finally:
                end(gateway)
        warm_s += settling_s(load)
        return _between(marks, heard, rate=rate, warm_s=warm_s, slower=slower)


def _started(folder: Path, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / f"{module}.log").open("wb") as log:
        command = [sys.executable, "-m", f"benchmarks.speed.{module}", *arguments]
        return subprocess.Popen(  # noqa: S603 - this interpreter and our own modules
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _watch(
    folder: Path,
    of_plant: list[str],
    heard: Heard,
    collector: Collector,
    gateway: subprocess.Popen[bytes],
) -> list[tuple[float, Mark]]:
    """Looks at the gateway while the plant sends: the second of the sending, and what it showed.

    A look is taken as a report of health comes, so that messages and seconds belong together.
    """
    plant = _started(folder, "firehose", *of_plant)
    marks: list[tuple[float, Mark]] = []
    newest = begin_ms = 0
    try:
        while plant.poll() is None:
            pause(heard, collector)
            check_alive(gateway, folder)
            if heard.health["ts_ms"] == newest:
                continue
            newest = heard.health["ts_ms"]
            if heard.taken:
                begin_ms = begin_ms or newest
                marks.append(((newest - begin_ms) / 1000, _mark(heard, folder / "looks")))
    finally:
        end(plant)
    if plant.returncode:
        raise RuntimeError(f"the plant failed: {(folder / 'firehose.log').read_text()[-500:]}")
    return marks


def _mark(heard: Heard, looks: Path) -> Mark:
    told: dict[str, Any] = msgspec.json.decode(looks.read_bytes().splitlines()[-1])
    return Mark(heard.taken, told["total_s"], told["parts"])


def _between(
    marks: list[tuple[float, Mark]], heard: Heard, *, rate: float, warm_s: float, slower: int
) -> Used:
    """From the first look behind the warm-up to the last."""
    counted = [(at_s, mark) for at_s, mark in marks if at_s >= warm_s]
    if len(counted) < 2 or counted[0][1].taken == counted[-1][1].taken:
        raise RuntimeError(f"only {len(counted)} looks at a gateway that took {heard.taken}")
    (begin_s, first), (end_s, last) = counted[0], counted[-1]
    taken, total_s = last.taken - first.taken, last.total_s - first.total_s
    parts = {
        name: (seconds - first.parts.get(name, 0.0)) / total_s
        for name, seconds in last.parts.items()
    }
    return Used(
        share=total_s / taken * rate,
        parts=parts,
        slower=slower,
        reached=taken / (end_s - begin_s) / rate * slower,
        dropped=heard.dropped,
    )


@lru_cache(maxsize=2)
def _all(*, quick: bool) -> list[Used]:
    seconds = SECONDS_QUICK if quick else SECONDS
    warm_s = 1.0 if quick else WARM_S
    return [kept_up(way, seconds=seconds, warm_s=warm_s) for way in WAYS]


def measure(*, quick: bool = False) -> list[Figure]:
    """Shares of a core at full rate."""
    columns, blocks, singles, safe = _all(quick=quick)
    return [
        *_to_ring_and_score("ingest_columnar", columns, "JSON"),
        *_to_ring_and_score("ingest_block", blocks, "float32"),
        _single_values("ingest_single_value", singles, "QoS 0", SINGLES_SHARE_MAX),
        _single_values("ingest_single_value_qos1", safe, "QoS 1", None),
    ]


def _to_ring_and_score(id: str, used: Used, form: str) -> list[Figure]:  # noqa: A002 - a figure's
    after, scoring = used.parts.get(AFTER, 0.0), used.parts.get(SCORING, 0.0)
    note = (
        f"1,000 assets x 8, 100 rows a message, {form}, QoS 1, mosquitto,"
        f" detectors fitted on {TRAINED_S:.0f} s; {_taken(used)}"
    )
    of = ", ".join(f"{name} {used.share * share:.3f}" for name, share in used.parts.items())
    return [
        _share(
            id,
            used.share * (1.0 - after - scoring),
            f"to the ring: all but scoring and what follows; of a core: {of}; {note}",
            RING_SHARE_MAX,
            eased=used.eased,
        ),
        _share(
            f"{id}_score",
            used.share * (1.0 - after),
            f"to the score; with all that follows {used.share:.3f}; {note}",
            SCORE_SHARE_MAX,
            eased=used.eased,
        ),
    ]


def _single_values(id: str, used: Used, qos: str, at_most: float | None) -> Figure:  # noqa: A002 - a figure's
    note = (
        f"750 assets x 8, a message a value, {qos}, mosquitto: the whole process; detectors fitted"
        f" on {TRAINED_S:.0f} s, and settled by rows in columns before; {_taken(used)}"
    )
    return _share(id, used.share, note, at_most, eased=used.eased)


def _taken(used: Used) -> str:
    """How much of what was sent was taken, and what was not."""
    sent = "the full rate" if used.slower == 1 else f"1/{used.slower} of the rate"
    told = ", ".join(f"{name} {n:,}" for name, n in used.dropped.items())
    lost = f"dropped: {told}" if told else "nothing was dropped"
    short = "; the full rate was not taken, so this is no figure of it" if used.eased else ""
    return f"{used.reached:.2f} of {sent} was taken; {lost}{short}"


def _share(
    id: str,  # noqa: A002 - a figure's
    share: float,
    note: str,
    at_most: float | None,
    *,
    eased: bool,
) -> Figure:
    return Figure(
        id=id,
        figure=100.0 * share,
        unit="% of a core",
        ratio=share,
        against="one core",
        note=note,
        at_most=at_most,
        eased=eased,
    )


def shares(*, quick: bool = False) -> list[Shares]:
    """Where the gateway's time goes under each load."""
    return [
        Shares(
            title=way.title,
            of=f"processor time of the gateway, {used.share:.2f} of a core at full rate",
            parts=tuple(sorted(used.parts.items(), key=lambda part: -part[1])),
        )
        for way, used in zip(WAYS, _all(quick=quick), strict=True)
    ]
