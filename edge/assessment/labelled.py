"""Labelled events of a recording: what has to ring, what should not, and what is held back. Pure.

What several people said of one event is one event: labels of one asset that share a time and agree
are joined, and `real` joins the failure mode that somebody else named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.assessment.label_words import NORMAL, QUIET, REAL, Label
from edge.assessment.truth import Fault, Truth
from edge.records import Track

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.assessment.assess import Episode

HELD_BACK_EACH: Final = 3  # one of so many events of a class is held back, the newest ones


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled event, [begin_ns, end_ns). recording: which of those given it lies in.

    held: it was kept from everything that is learned, for the report.
    """

    event_id: str
    recording: int
    asset: str
    label: str
    begin_ns: int
    end_ns: int
    held: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether it has to ring."""
        return self.label != NORMAL and self.label not in QUIET

    @property
    def is_quiet(self) -> bool:
        """Whether it rang and should not have."""
        return self.label in QUIET

    @property
    def names_mode(self) -> bool:
        """Whether it says which failure mode it was."""
        return self.is_fault and self.label not in (REAL, "sensor")


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording covers of some assets, both ends belonging to it."""

    begin_ns: int
    end_ns: int
    assets: frozenset[str]

    def holds(self, label: Label) -> bool:
        """Whether a label speaks of it, at least in part."""
        inside = label.begin_ns <= self.end_ns and label.end_ns > self.begin_ns
        return inside and label.asset in self.assets


def events_of(labels: Sequence[Label], spans: Sequence[Span]) -> tuple[list[Event], list[Label]]:
    """Events in the order of recording, asset and time, and labels that no recording holds.

    labels: undisputed. A label is of the first recording that holds it.
    """
    events: list[Event] = []
    outside: list[Label] = []
    of_recording: dict[int, list[Label]] = {}
    for label in labels:
        at = next((i for i, span in enumerate(spans) if span.holds(label)), None)
        if at is None:
            outside.append(label)
        else:
            of_recording.setdefault(at, []).append(label)
    for at, mine in sorted(of_recording.items()):
        for asset in sorted({label.asset for label in mine}):
            own = _joined([label for label in mine if label.asset == asset])
            events += [_event(label, at) for label in own]
    return _with_held(events), outside


def _event(label: Label, recording: int) -> Event:
    return Event(
        event_id=label.label_id,
        recording=recording,
        asset=label.asset,
        label=label.label,
        begin_ns=label.begin_ns,
        end_ns=label.end_ns,
    )


def _joined(labels: Sequence[Label]) -> list[Label]:
    """Labels of one asset, those of one event as one, by begin."""
    found: list[Label] = []
    # modes first, so that what only says `real` meets the mode that it was
    for label in sorted(labels, key=lambda one: (one.label == REAL, one.begin_ns, one.label_id)):
        met = next((i for i, one in enumerate(found) if _same_event(one, label)), None)
        if met is None:
            found.append(label)
        elif found[met].label == label.label:
            begin_ns = min(found[met].begin_ns, label.begin_ns)
            end_ns = max(found[met].end_ns, label.end_ns)
            found[met] = msgspec.structs.replace(found[met], begin_ns=begin_ns, end_ns=end_ns)
    return sorted(found, key=lambda one: (one.begin_ns, one.end_ns, one.label_id))


def _same_event(one: Label, other: Label) -> bool:
    share = one.begin_ns < other.end_ns and other.begin_ns < one.end_ns
    quiet = one.label in QUIET and other.label in QUIET
    return share and (one.label == other.label or quiet or (other.label == REAL and one.is_fault))


def _with_held(events: Sequence[Event]) -> list[Event]:
    """The newest third of each class is held back, of two one, of a single one none."""
    by_class: dict[str, list[Event]] = {}
    for event in events:
        by_class.setdefault(event.label, []).append(event)
    held: set[str] = set()
    for same in by_class.values():
        count = max(len(same) // HELD_BACK_EACH, int(len(same) > 1))
        newest = sorted(same, key=lambda one: (one.begin_ns, one.event_id))[len(same) - count :]
        held |= {event.event_id for event in newest}
    return [msgspec.structs.replace(event, held=event.event_id in held) for event in events]


def truth_of(events: Iterable[Event], span: Span) -> Truth:
    """The events that have to ring as the truth that a backtest is judged against."""
    faults = tuple(
        Fault(
            fault_id=event.event_id,
            kind=event.label,
            asset=event.asset,
            channels=(),
            begin_ns=event.begin_ns,
            end_ns=event.end_ns,
        )
        for event in events
        if event.is_fault
    )
    return Truth(begin_ns=span.begin_ns, end_ns=span.end_ns, faults=faults)


def rang_in(event: Event, episodes: Iterable[Episode]) -> list[Episode]:
    """Alerts of the process that rang while an event was there; thresholds move no others."""
    return [
        one
        for one in episodes
        if one.rang
        and one.asset == event.asset
        and one.track == Track.PROCESS
        and one.rang_ns < event.end_ns
        and (one.ended_ns or event.begin_ns + 1) > event.begin_ns
    ]
