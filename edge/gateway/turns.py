"""Turns: what one costs by itself, and each message of it, so that it ends when a tick is due.

A write, a sync and an acknowledgement cost about as much for one message as for a hundred. Booked
on the messages they would make turns ever smaller, and each message of a smaller turn dearer, until
one is taken at a time while thousands wait.
"""

from __future__ import annotations

from typing import Final

MESSAGE_FIRST_S: Final = 0.2e-3  # until it is known: of a row, on a small core
MESSAGE_S_MIN: Final = 1e-6
EASE: Final = 0.25  # of what a turn differs from those before it, that is believed
SPREAD_MIN: Final = 0.1  # of sizes, about their mean, from which on both parts can be told apart


class TurnCost:
    """A line through the turns of late, their seconds by their messages."""

    def __init__(self) -> None:
        self._messages = self._seconds = 0.0  # means; 0: none was seen
        self._variance = self._covariance = 0.0
        self._message_s, self._turn_s = MESSAGE_FIRST_S, 0.0

    def took(self, messages: int, seconds: float) -> None:
        """A turn of so many messages, at least one, took so long."""
        if not self._messages:
            self._messages, self._seconds = float(messages), seconds
        more, longer = messages - self._messages, seconds - self._seconds
        self._messages += EASE * more
        self._seconds += EASE * longer
        self._variance = (1 - EASE) * (self._variance + EASE * more * more)
        self._covariance = (1 - EASE) * (self._covariance + EASE * more * longer)
        if self._apart:
            self._message_s = max(self._covariance / self._variance, MESSAGE_S_MIN)
            self._turn_s = max(self._seconds - self._message_s * self._messages, 0.0)
        else:
            self._message_s, self._turn_s = max(seconds / messages, MESSAGE_S_MIN), 0.0

    @property
    def _apart(self) -> bool:
        return self._variance > (SPREAD_MIN * self._messages) ** 2

    def fit(self, seconds: float) -> int:
        """How many messages a turn may take that is to be over in so long, at least one.

        No fewer than cost as much as the turn itself: smaller ones would spend their time on
        themselves. Somewhat more while turns were all of a size: then both parts become known.
        """
        fit = int(max(seconds - self._turn_s, self._turn_s) / self._message_s)
        return max(1, fit if self._apart else fit + fit // 2 + 1)
