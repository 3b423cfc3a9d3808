"""Listening: a clean session that only reads, for so many seconds, with progress."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

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


class Listener(Protocol):
    """Who takes what is heard."""

    def take(self, topic: str, payload: bytes, *, received_ns: int, retained: bool) -> None:
        """Take one message."""

    def says(self) -> str:
        """What has come so far, in few words."""


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
    ConfigError for a filter of such topics, or what is none.
    """
    for name in filters:
        if not _is_filter(name):
            raise ConfigError(
                f"--topic {name!r} is no topic filter; expected one such as plant/+/data or"
                " plant/#: + and # are whole levels, and # is the last one"
            )
        if is_command(name.split("/")):
            raise ConfigError(
                f"--topic {name}: these are commands to machines, which Andon never listens to;"
                " name topics of values"
            )
    observed = Observed(prefix=prefix)
    _, dropped = hear(endpoint, observed, filters=filters, seconds=seconds, console=console)
    return observed, dropped


def _is_filter(name: str) -> bool:
    levels = name.split("/")
    wild = any(("+" in level or "#" in level) and len(level) > 1 for level in levels)
    return bool(name) and "\0" not in name and not wild and "#" not in levels[:-1]


def hear(
    endpoint: Endpoint,
    listener: Listener,
    *,
    filters: Sequence[str],
    seconds: float,
    console: Console,
) -> tuple[float, int]:
    """Hand on what is heard until the time is over, or Ctrl-C; returns seconds, messages dropped.

    Raises BrokerError.
    """
    collector = Collector(endpoint, filters)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with (
        stop_on_signals() as stop,
        collector,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        task = progress.add_task("listening", total=seconds)
        begin_s = time.monotonic()
        since_s, last = 0.0, False
        while not last:
            since_s = time.monotonic() - begin_s
            last = stop.asked or since_s >= seconds
            waiting = len(collector.queue)  # at the end, what waits now is the last
            for _ in range(waiting if last else min(waiting, GROUP_MAX)):
                came = collector.queue.popleft()
                listener.take(
                    came.topic, came.payload, received_ns=came.received_ns, retained=came.retain
                )
            progress.update(task, completed=min(since_s, seconds), description=listener.says())
            if not last and not collector.queue:
                collector.arrived.wait(max(0.0, min(WAIT_S, seconds - since_s)))
                collector.arrived.clear()
    return since_s, collector.dropped
