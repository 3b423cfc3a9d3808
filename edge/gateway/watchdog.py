"""What a supervisor hears of a gateway: ready, what it does, that it lives, that it stops.

systemd's notifications (sd_notify) without a library: datagrams to the socket that NOTIFY_SOCKET
names. The watchdog is fed from the loop, and only while all of it works: ticks go on, the network
thread lives, the broker is there and has sent something lately. What comes from a plant that stands
still at night is nothing for hours; an answered ping counts, and one is asked for after each
`keepalive_s` of silence.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.storage.disk import Clock

FEEDINGS: Final = 4  # in each WatchdogSec: one that is late must not end the process
LOOK_S_MAX: Final = 5.0  # how often it is judged at least, so that STATUS is not old
TICKS_MISSED_MAX: Final = 10
DIGITS_MAX: Final = 18  # of WATCHDOG_USEC; beyond, it is no time
SILENT_TIMES: Final = 1.5  # so many times `keepalive_s` without a byte: MQTT's own patience,
SILENT_MORE_S: Final = 5.0  # and at least so much more: a ping leaves within a second or two


class Lifeline(Protocol):
    """What is to be known of the connection; `edge.brokers.link.Link` is one."""

    @property
    def alive(self) -> bool:
        """Whether the network thread lives."""

    @property
    def connected(self) -> bool:
        """Whether the broker is there and has answered."""

    @property
    def heard_total(self) -> int:
        """How often the broker sent something, answered pings included."""


class Watchdog:
    """For one loop. Without a supervisor it does nothing."""

    def __init__(
        self, *, address: str, feed_s: float, keepalive_s: float, tick_ms: float, clock: Clock
    ) -> None:
        """address: of the supervisor's socket, "" there is none; feed_s: its patience, 0 none."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._feed_s = feed_s
        self._silent_s_max = max(SILENT_TIMES * keepalive_s, keepalive_s + SILENT_MORE_S)
        self._clock = clock
        self._socket: socket.socket | None = None
        self._due_s = 0.0
        self._heard_total = -1
        self._heard_s = clock.monotonic_s()
        self._ticks, self._ticked_s = -1, self._heard_s
        self._tick_s_max = max(TICKS_MISSED_MAX * tick_ms / 1000, LOOK_S_MAX)
        self._said = ""
        self._owed = ""  # what must be heard and was not taken
        self.fed_total = 0

    @classmethod
    def of(
        cls, environment: Mapping[str, str], *, keepalive_s: float, tick_ms: float, clock: Clock
    ) -> Self:
        """What the supervisor asked for, if there is one and it meant this process."""
        meant = environment.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
        asked = environment.get("WATCHDOG_USEC", "") if meant else ""
        return cls(
            address=environment.get("NOTIFY_SOCKET", ""),
            feed_s=int(asked) / 1e6 if asked.isdecimal() and len(asked) <= DIGITS_MAX else 0.0,
            keepalive_s=keepalive_s,
            tick_ms=tick_ms,
            clock=clock,
        )

    def ready(self) -> None:
        """The start is over."""
        self._owed = "READY=1"
        self._send(self._owed)

    def stopping(self, why: str) -> None:
        """From here on it is no fault that nothing is fed."""
        self._send(f"STOPPING=1\nSTATUS={why}")

    def turn(self, link: Lifeline, *, ticks: int) -> None:
        """Feed, where all of it works; else say what does not. Costs nothing between two looks.

        ticks: how many there were so far.
        """
        now_s = self._clock.monotonic_s()
        if not self._address or now_s < self._due_s:
            return
        self._due_s = now_s + min(self._feed_s / FEEDINGS or LOOK_S_MAX, LOOK_S_MAX)
        lacks = self.lacks(link, ticks=ticks, now_s=now_s)
        status = f"not fed: {lacks}" if lacks else "running"
        told = [f"STATUS={status}"] if status != self._said else []
        if self._owed:
            told.insert(0, self._owed)
        if not lacks:
            told.append("WATCHDOG=1")
            self.fed_total += 1
        if told and self._send("\n".join(told)):
            self._said = status

    def lacks(self, link: Lifeline, *, ticks: int, now_s: float) -> str:
        """What keeps it from being fed; "" nothing. Remembers what it saw."""
        if ticks != self._ticks:
            self._ticks, self._ticked_s = ticks, now_s
        if link.heard_total != self._heard_total:
            self._heard_total, self._heard_s = link.heard_total, now_s
        if not link.alive:
            return "the network thread has ended"
        if not link.connected:
            return "no broker"
        if now_s - self._heard_s > self._silent_s_max:
            return f"nothing came from the broker for more than {self._silent_s_max:g} s"
        if now_s - self._ticked_s > self._tick_s_max:
            return f"no tick for more than {self._tick_s_max:g} s"
        return ""

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> bool:
        """Without waiting; whether it was taken. One that does not listen is no reason to fail."""
        if not self._address:
            return False
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.settimeout(0)
            self._socket.sendto(message.encode(), self._address)
        except OSError:
            return False
        self._owed = ""
        return True
