"""The shift as spikes: what rang, and what records kept quiet, so that both can be counted.

A spike is one occurrence of an alert: an id and its count. Revisions of it may come in any order,
twice, from the broker or from what is kept; the outcome is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.wire.outgoing import AlertFields

SPIKES_MAX: Final = 5_000  # of a shift; beyond it the oldest are left out, and counted
QUIET_STATES: Final = ("NORMAL", "CLEARED_ACK", "CLEARED_UNACK")


class Spike(msgspec.Struct, kw_only=True):
    """One occurrence. rang, quiet: whether it ever did, was ever kept quiet by a job."""

    id: str
    count: int
    asset: str
    track: str
    begin_ms: int
    end_ms: int | None = None
    revision: int = -1
    score: float | None = None
    threshold: float = 0.0
    rang: bool = False
    quiet: bool = False
    silenced: bool = False  # by hand: shelved, or out of service
    job_id: str = ""
    rings_again_ms: int | None = None
    severity_num: int = 0
    message: str = ""
    decision: str = ""

    @property
    def key(self) -> str:
        """Its name among all spikes."""
        return f"{self.id}#{self.count}"


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """The shift in numbers. without: what would have rung had there been no records."""

    begin_ms: int
    end_ms: int
    without: int
    with_: int = msgspec.field(name="with")
    quiet: int  # occurrences that records kept quiet, whether they rang later or not
    left_out: int = 0


class Spikes:
    """Occurrences of the shift of a plant time; shifts as the gateway counts them."""

    def __init__(self, *, shift_s: int, shift_start_s: int) -> None:
        self._shift_ms, self._start_ms = shift_s * 1_000, shift_start_s * 1_000
        self._by_key: dict[str, Spike] = {}
        self._left_out = 0
        self.begin_ms = 0

    def __iter__(self) -> Iterator[Spike]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def begin_of(self, plant_ms: int) -> int:
        """When the shift of a time began."""
        return (plant_ms - self._start_ms) // self._shift_ms * self._shift_ms + self._start_ms

    def move_to(self, plant_ms: int) -> list[str]:
        """It is that late: keys of spikes that belong to the shift no more."""
        begin_ms = self.begin_of(plant_ms)
        if begin_ms <= self.begin_ms:
            return []
        self.begin_ms, self._left_out = begin_ms, 0
        gone = [key for key, spike in self._by_key.items() if not self._belongs(spike)]
        for key in gone:
            del self._by_key[key]
        return gone

    def take(self, said: AlertFields) -> tuple[str, ...]:
        """A revision of an alert; keys of spikes that changed, or went for want of room."""
        if said.shadow or not said.id:
            return ()  # of an asset that is not in service: nobody counts it
        spike = Spike(
            id=said.id, count=said.count, asset=said.asset, track=said.track, begin_ms=said.begin_ms
        )
        stands = self._by_key.get(spike.key)
        if stands is None:
            if not self._belongs(spike):
                return ()
            self._by_key[spike.key] = spike
        else:
            spike = stands
        before = msgspec.structs.astuple(spike)
        _join(spike, said)
        if msgspec.structs.astuple(spike) == before:
            return ()
        return (spike.key, *self._make_room())

    def get(self, key: str) -> Spike | None:
        """A spike by its key."""
        return self._by_key.get(key)

    def headline(self) -> Headline:
        """The shift so far."""
        counted = [s for s in self._by_key.values() if s.rang or s.quiet]
        return Headline(
            begin_ms=self.begin_ms,
            end_ms=self.begin_ms + self._shift_ms,
            without=len(counted),
            with_=sum(spike.rang for spike in counted),
            quiet=sum(spike.quiet for spike in counted),
            left_out=self._left_out,
        )

    def _belongs(self, spike: Spike) -> bool:
        return spike.begin_ms >= self.begin_ms

    def _make_room(self) -> list[str]:
        gone = []
        while len(self._by_key) > SPIKES_MAX:
            key = min(self._by_key, key=lambda one: (self._by_key[one].begin_ms, one))
            del self._by_key[key]
            self._left_out += 1
            gone.append(key)
        return gone


def _join(spike: Spike, said: AlertFields) -> None:
    """What any revision says counts for good; the newest one says how it stands."""
    suppressed = bool(said.suppressed)
    spike.rang |= bool(said.active)
    spike.quiet |= suppressed
    spike.silenced |= bool(said.shelved or said.out_of_service)
    spike.begin_ms = min(spike.begin_ms, said.begin_ms)
    if said.score is not None:
        spike.score = said.score if spike.score is None else max(spike.score, said.score)
    if said.revision < spike.revision:
        return
    over = said.state in QUIET_STATES and not said.suppressed_or_shelved
    spike.revision = said.revision
    spike.end_ms = said.ts_ms if over else None
    spike.job_id, spike.rings_again_ms = said.job_id, said.rings_again_ms
    spike.severity_num, spike.message = said.severity_num, said.message
    spike.decision, spike.threshold = said.decision, said.threshold
