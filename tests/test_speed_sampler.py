"""What looking costs is the sampler's own: it is booked to no part of the gateway."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from benchmarks.speed.sampler import Sampler

if TYPE_CHECKING:
    from types import FrameType

    import pytest

LOOK_S = 5.0
WORK_S = 2.0


def test_looks_are_in_no_part_and_not_in_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only work and looks move on: work alone is found again."""
    clock_s = 0.0

    class Slow(Sampler):
        def _place(self, frame: FrameType | None) -> str:
            nonlocal clock_s
            clock_s += LOOK_S
            assert frame is None
            return "work"

        @staticmethod
        def _used(ident: int) -> float:
            return clock_s if ident == threading.get_ident() else 0.0

    for name in ("thread_time", "process_time"):
        monkeypatch.setattr(time, name, lambda: clock_s)
    sampler = Slow({})
    sampler._begin_s = 0.0
    sampler._look(0, None)  # from here on
    for _ in range(3):
        clock_s += WORK_S
        sampler._look(0, None)
    assert sampler.own_s == 3 * LOOK_S
    assert sampler.cpu_s == {"work": 3 * WORK_S}
    assert sampler.total_s() == 3 * WORK_S
