"""Gathering: small messages of one asset become one block of readings before they are aligned.

A plant that sends a row a message sends thousands of messages a second, and alignment costs about
as much for one row as for a hundred. Nothing else changes: how messages are cut changes nothing
about the samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.batches import Readings

if TYPE_CHECKING:
    from typing import Protocol

    class Push(Protocol):
        """Takes readings as `Aligner.push` does."""

        def __call__(self, readings: Readings, *, future_ns: int, retain: bool) -> None:
            """Take the values of one message."""


ROWS_MAX: Final = 16  # of a message that may wait: a larger one is a block already
GATHERED_MAX: Final = 256  # messages of one asset that wait; four seconds at 62 a second


class Gather:
    """Collects readings by asset and hands them on, at the latest when `settle` is called."""

    def __init__(self, push: Push) -> None:
        self._push = push
        self._waiting: dict[str, list[Readings]] = {}

    def take(self, readings: Readings, *, future_ns: int, retain: bool) -> None:
        """Take the readings of one message. What is out of the ordinary goes on alone, in turn."""
        waiting = self._waiting.get(readings.asset)
        rows = len(readings.t_ns)
        ordinary = (
            not (retain or readings.texts or readings.units or readings.bad_quality)
            and 0 < rows <= ROWS_MAX
            and readings.t_ns.max() <= future_ns
        )
        if waiting and (
            not ordinary or readings.tags != waiting[0].tags or len(waiting) >= GATHERED_MAX
        ):
            self._hand_on(readings.asset)
            waiting = None
        if not ordinary:
            self._push(readings, future_ns=future_ns, retain=retain)
        elif waiting:
            waiting.append(readings)
        else:
            self._waiting[readings.asset] = [readings]

    def settle(self) -> None:
        """Hand on everything that waits."""
        for asset in list(self._waiting):
            self._hand_on(asset)

    def _hand_on(self, asset: str) -> None:
        waiting = self._waiting.pop(asset)
        joined = waiting[0]
        if len(waiting) > 1:
            joined = Readings(
                asset=asset,
                tags=joined.tags,
                t_ns=np.concatenate([one.t_ns for one in waiting]),
                values=np.concatenate([one.values for one in waiting]),
            )
        # each of them was not later than its own bound
        self._push(joined, future_ns=int(joined.t_ns.max()), retain=False)
