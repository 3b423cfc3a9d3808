"""Copying: what is remembered of every asset as it was at one moment, a few at a time.

To copy a thousand states at once takes longer than a tick may wait. So they are copied one after
another while the engine goes on; what is about to change is copied before it does. Whoever changes
a state says so first (`Desk.before`), as whoever changed one says so afterwards (`Desk.stirred`).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edge.state import AssetState

    States = Mapping[str, AssetState]
    Keep = Callable[[States], None]


class Copying:
    """The states that are not copied yet, from the moment on at which it is made."""

    def __init__(
        self,
        states: States,
        *,
        settle: Callable[[Iterable[str]], None],
        keep: Keep,
    ) -> None:
        """settle: lets states say all that is known; keep: copies states, each told once."""
        self._left = dict(states)
        self._settle, self._keep = settle, keep

    @property
    def left(self) -> int:
        """How many there are still to be copied."""
        return len(self._left)

    def take(self, names: Iterable[str]) -> None:
        """Copy those of some assets that are not copied yet."""
        left = self._left
        if not left:
            return
        mine = {name: left.pop(name) for name in names if name in left}
        if mine:  # by now they are none of ours: whoever settles them may say that they change
            self._settle(mine)
            self._keep(mine)
        if not left:
            self.stop()

    def more(self, assets: int) -> None:
        """Copy so many, or as many as are left."""
        self.take(list(islice(self._left, assets)))

    def finish(self) -> None:
        """Copy all that are left."""
        self.more(len(self._left))

    def stop(self) -> None:
        """Copy none any more; who asked, and has all copies, is held by nobody here."""
        self._left.clear()
        self._settle = self._keep = _nobody


def _nobody(states: object) -> None:
    del states
