"""Where the processor time of a process goes, by part of it: a look at every thread, often.

A timer of used processor time interrupts the main thread; it reads how much every thread has used
since the last look and books that where the thread stands now. A thread inside a long call of numpy
or ONNX Runtime is booked at the line that called it. One look costs some ten microseconds, which
are the sampler's and nobody else's: they are in no part, and not in the sum.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

LOOK_S: Final = 0.004  # of used processor time
OTHER: Final = "the rest"


class Sampler:
    """Books used time under the names of `places`.

    places: piece of a path -> name, the first that fits counts. A thread is booked under the
    innermost frame whose file has one of the pieces, so that what a part calls in a library is
    booked under the part.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._known: dict[str, str | None] = {}
        self._seen: dict[int, float] = {}
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self.own_s = 0.0  # that looking took

    def start(self) -> None:
        """Begin to look; call from the main thread."""
        self._begin_s = time.process_time()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, LOOK_S, LOOK_S)

    def stop(self) -> None:
        """Look no more."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)

    def total_s(self) -> float:
        """Processor seconds of the whole process since the start, without those of looking."""
        return time.process_time() - self._begin_s - self.own_s

    def _look(self, _number: int, here: FrameType | None) -> None:
        begun_s, me = time.thread_time(), threading.get_ident()
        frames: dict[int, FrameType | None] = dict(sys._current_frames())  # noqa: SLF001 - documented
        frames[me] = here
        for ident, frame in frames.items():
            used = self._used(ident)
            before = self._seen.get(ident, used)
            self._seen[ident] = used
            if used > before:
                self.cpu_s[self._place(frame)] += used - before
        took_s = time.thread_time() - begun_s
        self.own_s += took_s
        self._seen[me] += took_s

    @staticmethod
    def _used(ident: int) -> float:
        try:
            return time.clock_gettime(time.pthread_getcpuclockid(ident))
        except (OSError, OverflowError):  # it has just ended
            return 0.0

    def _place(self, frame: FrameType | None) -> str:
        for file in _files(frame):
            found = self._place_of(file)
            if found is not None:
                return found
        return OTHER

    def _place_of(self, file: str) -> str | None:
        if file not in self._known:
            named = (name for piece, name in self._places.items() if piece in file)
            self._known[file] = next(named, None)
        return self._known[file]


def _files(frame: Any) -> Iterator[str]:  # noqa: ANN401 - a frame or None
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back
