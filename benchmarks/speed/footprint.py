"""Whether memory stays as it is while windows are scored, and what the collector costs.

    python -m benchmarks.speed.footprint [--windows 10000000] [--assets 1000]

Five processes of their own. One scores windows in the hot loop, detector and history alone, and
looks at its resident memory behind the first fifth and at the end. One gives messages to an engine,
decides and all, for a tenth of a minute. One has the knowledge of a large plant and the assets'
engine beside it, and looks how long a full collection of garbage takes with and without what a
gateway does at its start. Two hold engines of few and of many assets: what one more takes. The last
line is JSON, a list of figures.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from benchmarks.knowledge_folder import write_folder
from benchmarks.many_assets import FIRST_NS, bundle_of, lived, messages
from benchmarks.plant import Load, asset_name
from benchmarks.speed.figure import Figure, shown
from edge.batches import Batch
from edge.caps import RING_SAMPLES
from edge.gateway.telemetry import rss_mb
from edge.records import TickDue
from edge.samples.ring import Ring, RingState
from edge.storage.heap import give_back
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from models.detector import detectors_of

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK: Final = 16  # samples of an asset in one call
WARM_SHARE: Final = 0.2
GROWTH_MB_MAX: Final = 1.0  # of pages that come and go; nothing may add up
ENGINE_S: Final = 6.0
ENGINE_GROWTH_MB_MAX: Final = 4.0  # blocks of four sizes of history that the heap cuts anew
COLLECTION_MS_MAX: Final = 10.0
FEW: Final = 100
MANY: Final = 1_000
ASSET_KB_MAX: Final = 5.0
ROUNDS: Final = 5


def figures(
    *, windows: int = 10_000_000, assets: int = 1_000, passages: int = 4_000
) -> list[Figure]:
    """Growth over windows and messages, of an asset more, and a full collection."""
    hot = _apart("hot", windows, assets)
    engine = _apart("engine", 0, assets)
    pause = _apart("pause", passages, assets)
    few, many = (_apart("resident", 0, count)["rss_mb"] for count in (FEW, MANY))

    return [
        Figure(
            id="memory_growth_windows",
            figure=round(hot["growth_mb"], 2),
            unit="MB",
            note=f"{hot['windows']:.0f} windows of {assets} assets, {hot['rss_mb']:.0f} MB in all",
            at_most=GROWTH_MB_MAX,
        ),
        Figure(
            id="memory_growth_engine",
            figure=round(engine["growth_mb"], 2),
            unit="MB",
            note=f"{engine['windows']:.0f} samples through the engine of {assets} assets",
            at_most=ENGINE_GROWTH_MB_MAX,
        ),
        Figure(
            id="full_collection",
            figure=round(pause["frozen_ms"], 2),
            unit="ms",
            note=f"{pause['objects']:.0f} objects, {passages} passages and {assets} assets;"
            f" without freezing {pause['open_ms']:.0f} ms; of processor time",
            at_most=COLLECTION_MS_MAX,
        ),
        Figure(
            id="memory_an_asset_kb",
            figure=round(1000 * (many - few) / (MANY - FEW), 1),
            unit="kB",
            note=f"{few:.1f} MB are resident with {FEW} assets x 8, {many:.1f} MB with {MANY:,},"
            " bundle and full histories included",
            at_most=ASSET_KB_MAX,
        ),
    ]


def _apart(what: str, count: int, assets: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.speed.footprint", "--only", what]
    command += ["--windows", str(count), "--assets", str(assets)]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - this module
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _hot(windows: int, assets: int) -> dict[str, float]:
    """Blocks through the detector and into the histories, until so many windows are scored."""
    load = Load(assets=assets, channels=8, period_ms=100, rows=BLOCK, batch_rows=1)
    bundle = bundle_of(load)
    part, detector = bundle.parts[0], detectors_of(bundle)[0]
    rows = np.array([model.row_running for model in bundle.assets])
    own = {name: value[rows] for name, value in part.parameters.items()}
    ring = Ring({asset_name(i): 8 for i in range(assets)}, state=RingState())
    x = np.random.default_rng(1).standard_normal((assets, BLOCK, part.width)).astype(np.float32)
    valid, running = np.ones(x.shape, bool), np.ones(BLOCK, bool)
    state = detector.initial_state(assets)
    times = np.arange(BLOCK, dtype=np.int64) * 100_000_000
    for i, _ in product(range(assets), range(RING_SAMPLES // BLOCK)):  # histories are full
        ring.append(Batch(asset=asset_name(i), t_ns=times, values=x[i, :, :8], running=running))

    def turn(at: int) -> int:
        nonlocal state
        _, state = detector.score(x, valid, state, own)
        for i in range(at % 8, assets, 8):  # its cost is not what is measured
            name = asset_name(i)
            ring.append(Batch(asset=name, t_ns=times, values=x[i, :, :8], running=running))
        return assets * BLOCK

    return _growth(turn, lambda scored, _: scored / windows)


def _engine(_: int, assets: int) -> dict[str, float]:
    """Messages of all assets through an engine that has lived a while."""
    load = Load(assets=assets, channels=8, period_ms=1000, rows=64, batch_rows=4)
    assembly, now_ns = lived(bundle_of(load), load, rows=64)
    came = messages(load, first_ns=now_ns + 10**9, rows=64)
    engine, span_ns = assembly.engine, 64 * 10**9

    def turn(at: int) -> int:
        later = at // len(came) * span_ns
        message = came[at % len(came)]
        head, _, rest = message.payload.partition(b",")
        t_ms = int(head.rpartition(b":")[2]) + later // 1_000_000
        now = message.received_ns + later
        moved = msgspec.structs.replace(
            message, payload=b'{"t0":%d,' % t_ms + rest, received_ns=now
        )
        engine.handle(moved, now_ns=now)
        if at % assets == assets - 1:
            engine.handle(TickDue(), now_ns=now)
        return load.batch_rows

    return _growth(turn, lambda _, took_s: took_s / ENGINE_S)


def _resident(_: int, assets: int) -> dict[str, float]:
    """Resident memory of a process with an engine in mid-life, free pages given back."""
    load = Load(assets=assets, channels=8, period_ms=1000, rows=64, batch_rows=64)
    assembly, now_ns = lived(bundle_of(load), load, rows=64)
    for _ in range(RING_SAMPLES // 64):  # a few at a time: what came leaves no holes behind
        for message in messages(load, first_ns=now_ns + 10**9, rows=64):
            now_ns = message.received_ns
            assembly.engine.handle(message, now_ns=now_ns)
        assembly.engine.handle(TickDue(), now_ns=now_ns)
    gc.collect()
    give_back()
    return {"rss_mb": rss_mb()}


def _growth(turn: Callable[[int], int], done: Callable[[int, float], float]) -> dict[str, float]:
    """Resident memory behind the warm-up and at the end.

    `turn` returns windows; `done` says of windows and seconds what share of all they are.
    """
    scored = turns = 0
    looks: list[float] = []
    began_s = time.process_time()
    for share in (WARM_SHARE, 1.0):
        while done(scored, time.process_time() - began_s) < share:
            scored += turn(turns)
            turns += 1
        gc.collect()
        give_back()
        looks.append(rss_mb())
    return {"windows": scored, "growth_mb": looks[1] - looks[0], "rss_mb": looks[1]}


def _pause(passages: int, assets: int) -> dict[str, float]:
    """Processor time of a full collection, before and behind what a gateway does at its start."""
    load = Load(assets=assets, channels=8, period_ms=1000, rows=8, batch_rows=1)
    with tempfile.TemporaryDirectory(prefix="andon-footprint-") as scratch:
        place = Path(scratch)
        write_folder(place / "texts", documents=passages // 10, passages=passages)
        build(place / "texts", place / "snapshot", now_ns=FIRST_NS)
        snapshot = Snapshot.open(place / "snapshot")
    assembly, now_ns = lived(bundle_of(load), load, rows=64)
    objects = len(gc.get_objects())
    open_ms = _collections_ms()
    gc.freeze()
    for message in messages(load, first_ns=now_ns + 10**9, rows=8):
        assembly.engine.handle(message, now_ns=message.received_ns)
    frozen_ms = _collections_ms()
    snapshot.close()
    return {"objects": objects, "open_ms": open_ms, "frozen_ms": frozen_ms}


def _collections_ms() -> float:
    took = []
    for _ in range(ROUNDS):
        began_s = time.thread_time()
        gc.collect()
        took.append((time.thread_time() - began_s) * 1000)
    return float(np.median(took))


WAYS: Final[dict[str, Callable[[int, int], dict[str, float]]]] = {
    "hot": _hot,
    "engine": _engine,
    "pause": _pause,
    "resident": _resident,
}


def main() -> int:
    """Measure and print; returns 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.footprint")
    parser.add_argument("--windows", type=int, default=10_000_000)
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--passages", type=int, default=4_000, help="(4000)")
    parser.add_argument("--only", choices=list(WAYS), help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.only:
        print(json.dumps(WAYS[options.only](options.windows, options.assets)))
        return 0
    found = figures(windows=options.windows, assets=options.assets, passages=options.passages)
    print(shown(found))
    return int(any(one.reached is False for one in found))


if __name__ == "__main__":
    sys.exit(main())
