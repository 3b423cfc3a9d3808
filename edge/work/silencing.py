"""Silencing by hand: alerts are shelved for a bounded time, or an asset is taken out of service.

Detection goes on: alerts open, clear and are listed as ever, they only do not ring. It ends by
itself, and what is still active then rings. Beside suppression, never instead of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from edge.records import Track

if TYPE_CHECKING:
    from collections.abc import Iterable


class SilenceKind(StrEnum):
    """Two states of ISA-18.2 beside suppressed."""

    SHELVED = "shelved"
    OUT_OF_SERVICE = "out_of_service"


class Silence(msgspec.Struct, kw_only=True):
    """One silence of one asset, as an operator asked for it. Times are plant time, ns.

    track: None is every track. begun: what it silences has been told. ended_by: "" by itself.
    """

    kind: SilenceKind
    track: Track | None
    operator: str
    owner: str
    reason: str
    begin_ns: int
    end_ns: int
    begun: bool = False
    ended_by: str = ""

    @property
    def boundary_ns(self) -> int:
        """The next plant time at which it changes something."""
        return self.end_ns if self.begun else self.begin_ns

    def covers(self, track: Track, t_ns: int) -> bool:
        """Whether it silences a track at a time."""
        return self.track in (None, track) and self.begin_ns <= t_ns < self.end_ns


def covered(silences: Iterable[Silence], kind: SilenceKind, track: Track, t_ns: int) -> bool:
    """Whether a track is silenced in this way at a time."""
    return any(one.kind is kind and one.covers(track, t_ns) for one in silences)


def put(silences: list[Silence], silence: Silence) -> None:
    """Take a new silence; one of the same kind and track gives way to it.

    So there are never more than one a track, one of all tracks, and one out of service.
    """
    others = [one for one in silences if (one.kind, one.track) != (silence.kind, silence.track)]
    silences[:] = [*others, silence]


def end(
    silences: Iterable[Silence],
    kind: SilenceKind,
    track: Track | None,
    *,
    operator: str,
    t_ns: int,
) -> bool:
    """End what silences a track (None: all of this kind); False where nothing did."""
    found = False
    for one in silences:
        if one.kind is kind and (track is None or one.track in (None, track)) and t_ns < one.end_ns:
            one.end_ns, one.ended_by, found = max(t_ns, one.begin_ns), operator, True
    return found
