"""Listening: a clean session that only reads, for so many seconds, with progress."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from edge.brokers.mqtt import Collector
from edge.discovery.observed import Observed, is_command
from edge.errors import ConfigError
from edge.recordings.recorder import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from edge.brokers.endpoint import Endpoint

WAIT_S: Final = 0.2
GROUP_MAX: Final = 2_000


def listen(
    endpoint: Endpoint,
    *,
    filters: Sequence[str],
    prefix: str,
    seconds: float,
    console: Console,
) -> tuple[Observed, int]:
    """Listen until the time is over, or Ctrl-C; returns what was heard, and messages dropped.

    Nothing is published, and no topic of commands is asked for by name. Raises BrokerError, and
    ConfigError for a filter of such topics.
    """
    for name in filters:
        if is_command(name.split("/")):
            raise ConfigError(
                f"--topic {name}: these are commands to machines, which Andon never listens to;"
                " name topics of values"
            )
    observed = Observed(prefix=prefix)
    collector = Collector(endpoint, filters)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with (
        stop_on_signals() as stop,
        collector,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        task = progress.add_task("listening", total=seconds)
        begin_s = time.monotonic()
        last = False
        while not last:
            since_s = time.monotonic() - begin_s
            last = stop.asked or since_s >= seconds
            waiting = len(collector.queue)  # at the end, what waits now is the last
            for _ in range(waiting if last else min(waiting, GROUP_MAX)):
                came = collector.queue.popleft()
                observed.take(
                    came.topic, came.payload, received_ns=came.received_ns, retained=came.retain
                )
            progress.update(task, completed=min(since_s, seconds), description=_said(observed))
            if not last and not collector.queue:
                collector.arrived.wait(max(0.0, min(WAIT_S, seconds - since_s)))
                collector.arrived.clear()
    return observed, collector.dropped


def _said(observed: Observed) -> str:
    counts = observed.counts
    unread = f", {counts.unread} not read" if counts.unread else ""
    return f"{counts.values} messages, {observed.series} tags{unread}"
