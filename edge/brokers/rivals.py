"""Two clients with one client id: each that comes throws the other one out, for ever.

A broker does not say so in MQTT 3.1.1; it only closes the connection. What tells it from a broker
that restarts or a cable that breaks: it happens again and again within a minute, and in between the
broker is always there and lets us in.
"""

from __future__ import annotations

from collections import deque
from typing import Final

TAKEN_MIN: Final = 4  # connections closed by the broker
WITHIN_S: Final = 60.0  # of each other; a client comes back after a second
OVER_S: Final = 300.0  # without another one, and it is over
WAIT_S: Final = 20.0  # before coming back: whoever is the right one gets to work meanwhile
assert OVER_S > 2 * WAIT_S + WITHIN_S, "backing off must not look like the end of it"


class Rivals:
    """Watches how connections end. Times are seconds of a steady clock."""

    def __init__(self) -> None:
        self._closed_s: deque[float] = deque(maxlen=TAKEN_MIN)
        self._seen_s: float | None = None

    def closed(self, now_s: float) -> None:
        """A connection that the broker had let in was closed by it."""
        self._closed_s.append(now_s)
        many = len(self._closed_s) == TAKEN_MIN and now_s - self._closed_s[0] <= WITHIN_S
        if many or self.fighting(now_s):
            self._seen_s = now_s

    def away(self) -> None:
        """The broker itself was not there: what came before says nothing about rivals."""
        self._closed_s.clear()

    def fighting(self, now_s: float) -> bool:
        """Whether somebody else uses our client id."""
        return self._seen_s is not None and now_s - self._seen_s < OVER_S


def shared_words(broker: str, client_id: str) -> str:
    """What is wrong then, for people."""
    return (
        f"broker {broker}: another client uses client_id {client_id!r}, most likely a second"
        " gateway, and each throws the other out: neither hears everything; stop one, or give"
        " each its own client_id"
    )
