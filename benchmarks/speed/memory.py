"""Whether memory grows with what is scored: ten million windows by each of our loops."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.speed.figure import Figure
from benchmarks.speed.peers.ours import WAYS
from benchmarks.speed.peers.stream import recorded

if TYPE_CHECKING:
    from benchmarks.speed.peers.worker import Step

ASSETS: Final = 1_000
WARM: Final = 500_000  # windows, in which what is allocated once is allocated
WINDOWS: Final = 10_000_000
QUICK: Final = 1_000_000
GROWTH_MB_MAX: Final = 0.1  # by how much two readings of a process differ that does nothing


def measure(*, quick: bool = False) -> list[Figure]:
    """Resident memory after so many windows, less what it was after the warm-up."""
    windows = QUICK if quick else WINDOWS
    stream = recorded(assets=ASSETS)
    grown = {name: _growth_mb(make(stream), windows) for name, make in WAYS.items()}
    told = ", ".join(f"{name} {by:+.2f}" for name, by in grown.items())
    return [
        Figure(
            id="memory_growth",
            figure=max(0.0, *grown.values()),
            unit="MB",
            ratio=float("nan"),
            against="",
            note=f"over {windows / 1e6:.0f} million windows each, {ASSETS:,} assets x 8: {told}",
            at_most=GROWTH_MB_MAX,
        )
    ]


def _growth_mb(step: Step, windows: int) -> float:
    gc.collect()
    for _ in range(WARM // ASSETS):
        step()
    before = _resident_mb()
    for _ in range(windows // ASSETS):
        step()
    return _resident_mb() - before


def _resident_mb() -> float:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20
