"""Several ways of doing something, timed in turn on one core, so that a busy machine slows all.

CPU seconds of this thread stand beside wall seconds: what is compared is what the work costs, not
who else was there.
"""

from __future__ import annotations

import gc
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

ROUNDS: Final = 9
ROUND_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Seconds of one call in every round (rounds,)."""

    cpu_s: NDArray[np.float64]
    wall_s: NDArray[np.float64]

    @property
    def median_s(self) -> float:
        """CPU seconds of a call."""
        return float(np.median(self.cpu_s))

    def ratio(self, other: Timed) -> float:
        """How many times as fast as another: the median over the rounds that they share."""
        return float(np.median(other.cpu_s / self.cpu_s))


@contextmanager
def pinned(core: int | None = None) -> Iterator[int]:
    """Keep this thread on one core, by default the last that it may use; yields which."""
    before = os.sched_getaffinity(0)
    chosen = max(before) if core is None else core
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


def interleaved(
    ways: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS, round_s: float = ROUND_S
) -> dict[str, Timed]:
    """What a call of each costs; every way is called once before, to be warm.

    round_s: of each way in a round; 0: one call.
    """
    for way in ways.values():
        way()
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    collects = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, way in ways.items():
                seen[name].append(_round(way, round_s))
    finally:
        if collects:
            gc.enable()
    told = {name: np.array(of_way) for name, of_way in seen.items()}
    return {name: Timed(cpu_s=one[:, 0], wall_s=one[:, 1]) for name, one in told.items()}


def _round(way: Callable[[], object], round_s: float) -> tuple[float, float]:
    calls, cpu, wall = 0, time.thread_time(), time.monotonic()
    while not calls or time.monotonic() - wall < round_s:
        way()
        calls += 1
    took_s = time.monotonic() - wall
    return (time.thread_time() - cpu) / calls, took_s / calls
