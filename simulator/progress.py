"""How far a replay is: a bar in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from simulator.replay import Played, Recording

REFRESH_S: Final = 0.1
LINE_S: Final = 10.0  # between plain lines


class ReplayProgress:
    """Shows rows, rate and time left: a context manager around `simulator.replay.play`."""

    def __init__(
        self,
        recording: Recording,
        *,
        console: Console,
        loop: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recording = recording
        self._console = console
        self._loop = loop
        self._clock = clock
        self._due_s = clock() + (REFRESH_S if console.is_terminal else LINE_S)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        total = None if loop else recording.unit_count
        self._task = self._bar.add_task(recording.name, total=total, rate="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, played: Played) -> None:
        """Take note; draws at most every REFRESH_S, or writes a line every LINE_S."""
        now_s = self._clock()
        done = played.messages == self._recording.message_count and not self._loop
        if now_s < self._due_s and not (done and self._console.is_terminal):
            return
        recording = self._recording
        count = units(recording, played)
        rate = f"{count / played.elapsed_s:,.0f} {recording.unit}/s" if played.elapsed_s else ""
        if self._console.is_terminal:
            self._due_s = now_s + REFRESH_S
            self._bar.update(self._task, completed=count, rate=rate)
            return
        self._due_s = now_s + LINE_S
        of = "" if self._loop else f" of {recording.unit_count:,}"
        left = "" if self._loop else f", {time_left(recording, played)} left"
        line = f"{recording.name}: {count:,}{of} {recording.unit}, {rate}{left}"
        self._console.print(line, highlight=False, markup=False)


def units(recording: Recording, played: Played) -> int:
    """Return how many rows (of a journal: messages) have been sent."""
    return played.messages * recording.unit_count // recording.message_count


def time_left(recording: Recording, played: Played) -> str:
    """Return how long the rest of the round takes at the rate so far: "40 s", "12 min", "3.4 h"."""
    left = recording.message_count - played.messages
    seconds = left * played.elapsed_s / max(played.messages, 1)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"
