"""What does not depend on the machine: calls of the graph, of functions, bytes at once; per tick.

The tests hold these against their limits, since no clock can be trusted there.
"""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import onnxruntime as ort

from benchmarks.counting import calls_of
from benchmarks.many_assets import bundle_of, lived, messages
from benchmarks.plant import Load
from benchmarks.speed.figure import Figure
from edge.records import TickDue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.assembly.assembly import Assembly

ASSETS: Final = 200
CHANNELS: Final = 8
LOAD: Final = Load(assets=ASSETS, channels=CHANNELS, period_ms=1_000, rows=0, batch_rows=1)
WARM_ROWS: Final = 192
RUNS: Final = ("run", "run_with_iobinding", "run_with_ort_values")
# Limits with room for a few more of each; a loop over assets or values where there was none is
# far beyond.
GRAPH_CALLS_MAX: Final = 1
CALLS_MAX: Final = 250.0  # an asset
BYTES_MAX: Final = 600.0  # a value


class Ticking:
    """A settled engine, that can be given the next sample of every asset again and again."""

    def __init__(self) -> None:
        self.engine: Assembly
        self.engine, self._now_ns = lived(bundle_of(LOAD), LOAD, rows=WARM_ROWS)
        for _ in range(3):
            self.take()
            self.tick()

    def take(self) -> None:
        """Hand it a message of every asset."""
        self._now_ns += LOAD.period_ms * 10**6
        for message in messages(LOAD, first_ns=self._now_ns, rows=1, qos=0):
            self.engine.engine.handle(message, now_ns=self._now_ns)

    def tick(self) -> None:
        """The tick that scores them."""
        self._now_ns += 10**6
        self.engine.engine.handle(TickDue(), now_ns=self._now_ns)


@contextmanager
def graph_calls() -> Iterator[list[str]]:
    """Every call of ONNX Runtime while it lasts, by the name of the method."""
    seen: list[str] = []
    kept = {name: getattr(ort.InferenceSession, name) for name in RUNS}

    def counting(name: str) -> Callable[..., Any]:
        def counted(*given: Any, **more: Any) -> Any:  # noqa: ANN401 - whatever it is given
            seen.append(name)
            return kept[name](*given, **more)

        return counted

    for name in RUNS:
        setattr(ort.InferenceSession, name, counting(name))
    try:
        yield seen
    finally:
        for name, method in kept.items():
            setattr(ort.InferenceSession, name, method)


def bytes_of(work: Callable[[], object]) -> int:
    """The most that `work` holds at once beyond what was held before, arrays of numpy too."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def measure(*, quick: bool = False) -> list[Figure]:
    """Counts of one tick; no two runs differ."""
    del quick
    ticking = Ticking()
    ticking.take()
    with graph_calls() as seen:
        ticking.tick()
    ticking.take()
    calls = calls_of(ticking.tick)
    ticking.take()
    held = bytes_of(ticking.tick)
    values = ASSETS * CHANNELS
    return [
        _count("count_graph_calls", len(seen), "a tick", f"of {ASSETS} assets", GRAPH_CALLS_MAX),
        _count("count_calls", calls / ASSETS, "an asset and tick", "Python and C", CALLS_MAX),
        _count("count_bytes", held / values, "bytes a value", "most at once in a tick", BYTES_MAX),
    ]


def _count(id: str, count: float, unit: str, note: str, at_most: float) -> Figure:  # noqa: A002 - a figure's
    return Figure(
        id=id,
        figure=count,
        unit=unit,
        ratio=float("nan"),
        against="",
        note=note,
        at_most=at_most,
    )
