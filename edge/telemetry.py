"""Telemetry: what the gateway measures of itself and publishes on health."""

from __future__ import annotations

import resource
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

RATE_S: Final = 10.0
LAG_SAMPLES_MAX: Final = 4096


@dataclass(slots=True)
class Telemetry:
    """Rates and lag since the last report."""

    started_s: float = field(default_factory=time.monotonic)
    messages: int = 0
    tick_ms_max: float = 0.0
    lags_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LAG_SAMPLES_MAX))
    _reported_s: float = field(default_factory=time.monotonic)
    _messages_reported: int = 0

    def took(self, lag_ms: float) -> None:
        """A message left the queue after `lag_ms`."""
        self.messages += 1
        self.lags_ms.append(lag_ms)

    def ticked(self, took_ms: float) -> None:
        """A tick took so long."""
        self.tick_ms_max = max(self.tick_ms_max, took_ms)

    def report(self) -> tuple[float, float | None, float]:
        """Messages a second, median lag and longest tick in ms since the last report."""
        now_s = time.monotonic()
        rate = (self.messages - self._messages_reported) / max(now_s - self._reported_s, 1e-3)
        lags = sorted(self.lags_ms)
        lag_ms = lags[len(lags) // 2] if lags else None
        tick_ms = self.tick_ms_max
        self._reported_s, self._messages_reported, self.tick_ms_max = now_s, self.messages, 0.0
        self.lags_ms.clear()
        return rate, lag_ms, tick_ms


def rss_mb() -> float:
    """Resident memory of this process now, MB; the peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 1e6
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
