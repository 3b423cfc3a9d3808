"""Cleared: whether the broker has forgotten the alerts of assets that were retired.

A broker whose access list denies a topic drops what clears it, and confirms it all the same. So
once all has been confirmed it is asked what stands there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.boxes.retirement import TRACKS
from edge.brokers.read_back import ReadBack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.assembly.assembly import Assembly
    from edge.boxes.retirement import Retirement, Word
    from edge.brokers.read_back import Asker
    from edge.gateway.faults import Faults
    from edge.records import ShellFault
    from edge.storage.standby import StandbyOutbox
    from edge.wire.topics import Topics

NAMED_MAX: Final = 5


class Cleared:
    """For one process. trouble: which topics still stand, and what to do; "" none does."""

    def __init__(
        self, link: Asker, outbox: StandbyOutbox, *, assembly: Assembly, topics: Topics
    ) -> None:
        self.trouble = ""
        self._link, self._outbox = link, outbox
        self._assembly, self._topics = assembly, topics
        self._words = 0
        self._gone: tuple[str, ...] = ()  # topics
        self._back: ReadBack | None = None

    def judge(self, retirement: Retirement, faults: Faults) -> list[ShellFault]:
        """What to tell the engine of the book of retired assets, and of what it has ended."""
        self.expect(retirement.words)
        told = faults.judge("retired_unread", retirement.trouble)
        return told + faults.judge("retired_stands", self.trouble, anew=True)

    def expect(self, words: Sequence[Word]) -> None:
        """Of these the topics are to be empty. Asked once a process, and anew with each word."""
        if len(words) == self._words:
            return
        self._words = len(words)
        there = {model.asset for model in self._assembly.bundle.assets}
        assets = dict.fromkeys(w.asset for w in words if w.clear and w.asset not in there)
        self._gone = tuple(self._topics.alert(asset, of) for asset in assets for of in TRACKS)
        filters = [f"{self._topics.alerts}{asset}/+" for asset in assets]
        self._back = ReadBack(self._link, filters) if filters else None

    def turn(self, now_s: float) -> None:
        """Go on, while there is something to ask and nothing to say."""
        back = self._back
        if back is None or self._outbox.pending_count() or not back.turn(now_s):
            return
        self._back = None
        found = back.stood or {}
        stands = [topic for topic in self._gone if found.get(topic) and not self._says(topic)]
        more = f" and {len(stands) - NAMED_MAX} more" if len(stands) > NAMED_MAX else ""
        self.trouble = (
            f"{', '.join(stands[:NAMED_MAX])}{more} still at the broker, though what clears it was"
            " confirmed: its access list does not let the gateway write there. Make the list again"
            " (andon broker), have the broker read it, then andon retire once more"
        ) * bool(stands)

    def _says(self, topic: str) -> bool:
        """Whether an asset of that name has come again since, and speaks."""
        return any(row.payload for row in self._outbox.last_words([topic]))
