"""Which orders can be believed: in doubt none is approved, and default times are not real.

Most order systems fill in times by themselves: of 4,249 real orders 1,278 finish at exactly 15:30,
and 70 of 77 calibrations take equally long. Such times do not say when work was done. And an order
of which one row cannot be read, or contradicts another, may have been called off; so may one that
another text names beside a word for it. All fail open: nothing is suppressed that is not certain.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from kb.manifest import Quarantined
from kb.proposals.callings import callings, sayings
from kb.proposals.order_ids import OrderIds, called_off_in, key_of, spelled
from kb.reading.document import Form
from kb.reading.rows import Row
from kb.records import Proposal
from kb.times import clock_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from kb.proposals.callings import Calling, Saying
    from kb.reading.glimpse import Unread
    from kb.records import WorkKind
    from kb.retrieval.passages import Extract

# Times that this many orders and this share of them have in common are filled in. Orders that
# people time differ by minutes; below the count equal times may be chance.
SHARED_ORDERS_MIN: Final = 5
SHARED_DURATION_MIN: Final = 0.3
SHARED_END_MIN: Final = 0.2  # ends are drawn from a day's 1,440 minutes, durations from a few tens
_ID: Final = re.compile(r"[\w][\w./-]*")  # else it may be a whole row of other delimiters
UNREADABLE: Final = "a row that may be about it cannot be read"
CONTRADICTED: Final = "another row recorded at the same time says something else"
TWO_ASSETS: Final = "its rows name different assets"
TWO_SPELLINGS: Final = "its id is written in different ways"
CALLED_OFF: Final = "a text may have called it off"
OTHER_KIND: Final = "one of its rows is of no bounded work"


_T = TypeVar("_T")


class _Version(msgspec.Struct, frozen=True):
    """One row of an order; `proposal` None when its kind is no bounded work."""

    path: str
    row: Row
    proposal: Proposal | None

    @property
    def asset(self) -> str:
        """The machine that it is of."""
        return self.proposal.asset if self.proposal else self.row.cells["asset"]

    @property
    def folder(self) -> str:
        """Where its file lies."""
        return self.path.rpartition("/")[0]


def judged(
    extracts: Sequence[Extract],
    unread: Iterable[Unread],
    *,
    said: Iterable[Saying] | None = None,
) -> list[Extract]:
    """The same extracts with approval and real times withdrawn where they cannot be believed.

    `unread`: rows and tables that could not be read at all; `said`: the sayings of all extracts,
    where the caller has them. Every withdrawal is noted among the quarantined of the row's
    document.
    """
    versions = [version for e in extracts for version in _versions(e)]
    orders: defaultdict[str, list[_Version]] = defaultdict(list)
    for version in versions:
        orders[key_of(version.row.cells["order_id"])].append(version)
    unread = [*unread, *(row for e in extracts for row in e.unread)]
    ids = OrderIds(orders)
    doubts = _unreadable(orders, unread, ids)
    for key, same in orders.items():
        if cause := _contradiction(same):
            doubts.setdefault(key, cause)
    defaults = _Defaults(versions)
    if said is None:
        said = [saying for e in extracts for saying in sayings(e)] if orders else ()
    called = _Called(callings(said, ids), versions)
    return [_revised(e, doubts, defaults, called) for e in extracts]


def _versions(extract: Extract) -> Iterator[_Version]:
    if extract.document.form is not Form.ORDER:
        return
    proposals = {p.citation.start: p for p in extract.proposals}
    unread = {row.line for row in extract.unread}
    for row in extract.document.rows:
        if row.line not in unread:
            yield _Version(extract.document.path, row, proposals.get(row.start))


# --- doubt ---


def _unreadable(
    orders: dict[str, list[_Version]], unread: Iterable[Unread], ids: OrderIds
) -> dict[str, str]:
    """Orders that an unreadable row may be about, with the cause.

    Where a row does not say which order, those whose ids stand in it; else all of its file. A file
    that nobody can look into may be about any order, or about any of its folder.
    """
    of_path: defaultdict[str, set[str]] = defaultdict(set)
    of_folder: defaultdict[str, set[str]] = defaultdict(set)
    for key, same in orders.items():
        for version in same:
            of_path[version.path].add(key)
            of_folder[version.folder].add(key)
    doubts: dict[str, str] = {}
    for row in unread:
        about: Collection[str]
        if row.unseen:
            about = orders.keys()
        elif row.beside:
            about = of_folder[row.folder]
        elif key_of(row.order_id) in orders or _ID.fullmatch(row.order_id):
            about = {key_of(row.order_id)} & orders.keys()
        else:
            about = called_off_in(row.said, ids) if row.text else ids.named_in(row.said)
            if not about and row.line:
                about = of_path[row.path]
        for key in about:
            doubts.setdefault(key, f"{UNREADABLE} ({row.place})")
    return doubts


def _contradiction(same: Sequence[_Version]) -> str:
    """Why the rows of one order cannot all be right; "" when they can."""
    if len({spelled(v.row.cells["order_id"]) for v in same}) > 1:
        return TWO_SPELLINGS
    if len({v.asset for v in same}) > 1:
        return TWO_ASSETS
    told: dict[int, tuple[object, ...]] = {}
    for version in same:
        proposal = version.proposal
        if proposal is None:
            if len(same) > 1:
                return OTHER_KIND
            continue
        if told.setdefault(proposal.recorded_at_ns, _facts(proposal)) != _facts(proposal):
            return CONTRADICTED
    return ""


def _facts(proposal: Proposal) -> tuple[object, ...]:
    times = (proposal.valid_from_ns, proposal.valid_to_ns)
    return (proposal.kind, proposal.instrument, *times, proposal.approved, proposal.cancelled)


# --- default times ---


class _Defaults:
    """Durations and ends that many orders share: overall, or among those of one kind."""

    def __init__(self, versions: Iterable[_Version]) -> None:
        timed: dict[str, _Version] = {}  # each order once, as its last row has it
        for version in versions:
            if version.proposal is not None and version.proposal.real_times:
                timed[version.proposal.proposal_id] = version
        groups: defaultdict[WorkKind | None, list[_Version]] = defaultdict(list)
        for version in timed.values():
            assert version.proposal is not None
            groups[None].append(version)
            groups[version.proposal.kind].append(version)
        self._durations = {
            (group, value)
            for group, held in groups.items()
            for value in _shared([_duration_ns(v) for v in held], SHARED_DURATION_MIN)
        }
        self._ends = {
            (group, value)
            for group, held in groups.items()
            for value in _shared([clock_of(v.row.cells["end"]) for v in held], SHARED_END_MIN)
        }

    def times_of(self, proposal: Proposal, row: Row) -> str:
        """Which default an order has, "" when somebody meant its times."""
        if not proposal.real_times:
            return ""
        version = _Version("", row, proposal)
        for group in (None, proposal.kind):
            if (group, _duration_ns(version)) in self._durations:
                return "its duration"
            if (group, clock_of(row.cells["end"])) in self._ends:
                return "the hour of its end"
        return ""


def _duration_ns(version: _Version) -> int:
    assert version.proposal is not None
    begin, end = version.proposal.valid_from_ns, version.proposal.valid_to_ns
    assert begin is not None
    assert end is not None
    return end - begin


def _shared(values: Sequence[_T], share_min: float) -> list[_T]:
    least = max(SHARED_ORDERS_MIN, share_min * len(values))
    return [value for value, n in Counter(values).items() if n >= least]


# --- called off ---


class _Called:
    """Texts that may call off orders, and what they leave of an approval."""

    def __init__(self, found: dict[str, list[Calling]], versions: Iterable[_Version]) -> None:
        self._first = {key: min(all_, key=lambda c: c.known_ns) for key, all_ in found.items()}
        self._recorded: defaultdict[str, set[int]] = defaultdict(set)
        for version in versions:
            if version.proposal is not None:
                key = key_of(version.proposal.proposal_id)
                self._recorded[key].add(version.proposal.recorded_at_ns)

    def first(self, key: str) -> Calling | None:
        """The text that was known first."""
        return self._first.get(key)

    def versions(self, proposal: Proposal, calling: Calling | None) -> list[Proposal]:
        """A version of an order, and from when a text called it off the same without approval."""
        if calling is None:
            return [proposal]
        off = msgspec.structs.replace(proposal, approved=False)
        begin, known = proposal.recorded_at_ns, calling.known_ns
        if known <= begin:
            return [off]
        if any(begin < t <= known for t in self._recorded[key_of(proposal.proposal_id)]):
            return [proposal]  # another version has taken its place by then
        return [proposal, msgspec.structs.replace(off, recorded_at_ns=known)]


# --- revision ---


def _revised(
    extract: Extract, doubts: dict[str, str], defaults: _Defaults, called: _Called
) -> Extract:
    if extract.document.form is not Form.ORDER:
        return extract
    rows = {row.start: row for row in extract.document.rows}
    path = extract.document.path
    kept = []
    notes = []
    for proposal in extract.proposals:
        row = rows[proposal.citation.start]
        key = key_of(proposal.proposal_id)
        cause = doubts.get(key, "")
        shared = defaults.times_of(proposal, row)
        if cause:
            text = f"order {proposal.proposal_id} is not approved: {cause}"
            notes.append(Quarantined(path=path, line=row.line, cause=text))
        if shared and proposal.approved and not cause:
            text = f"order {proposal.proposal_id} only proposes: many orders share {shared}"
            notes.append(Quarantined(path=path, line=row.line, cause=text))
        judged = msgspec.structs.replace(
            proposal,
            approved=proposal.approved and not cause,
            real_times=proposal.real_times and not shared,
        )
        first = called.first(key) if judged.approved else None
        if first is not None:
            text = f"order {proposal.proposal_id} is not approved: {CALLED_OFF} ({first.place})"
            notes.append(Quarantined(path=path, line=row.line, cause=text))
        kept += called.versions(judged, first)
    return msgspec.structs.replace(
        extract, proposals=tuple(kept), quarantined=(*extract.quarantined, *notes)
    )
