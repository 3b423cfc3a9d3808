"""What does not depend on the machine: calls of the socket a message, arrays and bytes of a tick.

The tests hold these against their limits, since no clock can be trusted there.
"""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Final

from benchmarks.many_assets import bundle_of, lived, messages
from benchmarks.plant import Load
from benchmarks.speed.allocations import made_by
from benchmarks.speed.figure import Figure
from benchmarks.speed.ingest import recv_calls
from edge.records import TickDue

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.assembly.assembly import Assembly

ASSETS: Final = 200
CHANNELS: Final = 8
LOAD: Final = Load(assets=ASSETS, channels=CHANNELS, period_ms=1_000, rows=0, batch_rows=1)
WARM_ROWS: Final = 192
# Limits with room for some more; a copy, or a call, where there was none is beyond.
BYTES_MAX: Final = 600.0  # a value
ALLOCATIONS_MAX: Final = 700.0  # a tick, however many assets there are
WRITTEN_MAX: Final = 1_000.0  # bytes a value, each of which comes in four
RECEIVES_MAX: Final = 0.05  # a message


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
    """Counts of a tick and of a message, the same in every run; those of calls: `engine_tick`."""
    del quick
    ticking = Ticking()
    ticking.take()
    held = bytes_of(ticking.tick)
    ticking.take()
    ticking.tick()  # with every other sample some assets are looked at:
    ticking.take()
    made = made_by(ticking.tick)  # not with this one
    receives, of_stock = recv_calls()
    return [
        Figure(
            id="count_receives",
            figure=receives,
            unit="calls a message",
            ratio=receives / of_stock,
            against=f"stock paho: {of_stock:.3f}",
            note="messages that are there at once",
            at_most=RECEIVES_MAX,
            of_figure=True,
        ),
        Figure(
            id="count_bytes",
            figure=held / (ASSETS * CHANNELS),
            unit="bytes a value",
            note=f"{ASSETS} assets x {CHANNELS}, a sample of each a tick",
            at_most=BYTES_MAX,
        ),
        Figure(
            id="count_allocations",
            figure=float(made.arrays),
            unit="arrays a tick",
            note="arrays of numpy, dropped ones too",
            at_most=ALLOCATIONS_MAX,
        ),
        Figure(
            id="count_written",
            figure=made.size_bytes / (ASSETS * CHANNELS),
            unit="bytes a value",
            note="of these arrays",
            at_most=WRITTEN_MAX,
        ),
    ]
