"""Read back: what the broker retains on our own alert topics, asked once, before we say anything.

A process that died while it was not durable has said what stands in none of its files, and a box
that was restored from a backup does not know what the old one has said since. The broker has kept
the last word of each topic; from that we learn of it, and say our own word as a later revision.
Asked in portions: a broker drops what does not fit into its queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from edge.caps import ALERT_ID_CHARS_MAX
from edge.errors import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

PORTION: Final = 64  # assets asked for at once, three topics each
REVISION_MAX: Final = 1 << 53  # none of ours gets there; beyond it, it is no alert of ours
TIME_MS_MAX: Final = 4_102_444_800_000  # the year 2100
WAIT_S_MAX: Final = 5.0  # then what has come counts: alerts must not wait for longer
INHERIT_S_MAX: Final = 60.0  # of a restored box, which would say old alerts again


class Asker(Protocol):
    """What it needs of a connection; `edge.brokers.link.Link` is one."""

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""

    @property
    def asked(self) -> str:
        """What the broker has answered since `ask` or `leave`: "" nothing, asked, left."""

    def ask(self, filters: Sequence[str]) -> None:
        """Have what is retained on topics of ours."""

    def leave(self, filters: Sequence[str]) -> None:
        """Hear no more of them."""

    def own(self) -> list[tuple[str, bytes]]:
        """What has come of them, told once."""


class _Said(msgspec.Struct, frozen=True):
    """Of an alert's payload, what makes it one."""

    id: str
    revision: int


class Word(msgspec.Struct, frozen=True):
    """What an alert's payload says of it besides; 0: nothing that can be true."""

    begin_ms: int = 0
    ts_ms: int = 0
    state: str = ""

    @property
    def unseen(self) -> bool:
        """Whether nobody had acknowledged it."""
        return self.state.endswith("_UNACK")


class ReadBack:
    """For one process. `stood`: payload by topic, None while it is not known."""

    def __init__(self, link: Asker, filters: Sequence[str], *, wait_s: float = WAIT_S_MAX) -> None:
        """wait_s: then what has come counts."""
        self._link, self._wait_s = link, wait_s
        self._portions = [filters[i : i + PORTION] for i in range(0, len(filters), PORTION)]
        self._at, self._state = 0, ""
        self._until_s = 0.0
        self._found: dict[str, bytes] = {}
        self.stood: dict[str, bytes] | None = None
        self.late = False  # not everything was answered in time

    def turn(self, now_s: float) -> bool:
        """Go on; returns whether it is done."""
        if self.stood is not None:
            return True
        if not self._link.connected:
            self._state = ""  # with the next connection from this portion on
            return False
        self._until_s = self._until_s or now_s + self._wait_s
        self._found |= dict(self._link.own())
        self.late = now_s >= self._until_s
        if self._at >= len(self._portions) or self.late:
            if self._at < len(self._portions):  # else it would send us our own words for ever
                self._link.leave(self._portions[self._at])
            self.stood = self._found
            return True
        portion = self._portions[self._at]
        if not self._state:
            self._state = "asking"
            self._link.ask(portion)
        elif self._state == "asking" and self._link.asked == "asked":
            self._state = "leaving"
            self._link.leave(portion)
        elif self._state == "leaving" and self._link.asked == "left":
            self._found |= dict(self._link.own())
            self._state, self._at = "", self._at + 1
        return False


def said(payload: bytes) -> tuple[str, int] | None:
    """Id and revision of an alert as it was published; None: it is none of ours.

    Whoever may write there decides what this reads: it must neither end us nor leave our numbers.
    """
    try:
        one = msgspec.json.decode(payload, type=_Said)
    except UNREADABLE:
        return None
    ours = 0 < len(one.id) <= ALERT_ID_CHARS_MAX and 0 < one.revision <= REVISION_MAX
    return (one.id, one.revision) if ours else None


def word(payload: bytes) -> Word:
    """What an alert was said to be; a default `Word` where that cannot be read or be true."""
    try:
        one = msgspec.json.decode(payload, type=Word)
    except UNREADABLE:
        return Word()
    told = 0 <= one.begin_ms <= one.ts_ms <= TIME_MS_MAX
    return one if told else Word(state=one.state)
