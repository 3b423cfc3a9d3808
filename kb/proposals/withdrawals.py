"""Log lines that call off, put off or move work: they take back what was proposed of it before.

A line seldom names an order. It takes back every proposal that it may be about, near its own time,
and approval of orders with it: text withdraws, and never gives.
"""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from kb.manifest import Quarantined
from kb.proposals.taken_back import ALL, TakenBack, taken_back
from kb.reading.document import Form
from kb.records import WorkKind
from kb.times import MICROSECOND, wall_of
from kb.wording.shopfloor import instrument_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kb.reading.document import Document
    from kb.records import Proposal
    from kb.retrieval.passages import Extract, Site

HOUR_NS: Final = 3_600 * 1_000_000_000
BACK_NS: Final = 16 * HOUR_NS  # of work without a time: what was written a shift before


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """One line that takes work back, known from when it was written, ns.

    kind: None is any. ahead_ns: what begins later is another time of the same work. to_begin: it
    takes only what has not begun.
    """

    kind: WorkKind | None
    instrument: str
    known_ns: int
    ahead_ns: int
    to_begin: bool
    path: str
    line: int

    def takes(self, proposal: Proposal) -> bool:
        """Whether a proposal of the same asset may be what the line is about."""
        if self.kind not in (None, proposal.kind) or proposal.recorded_at_ns >= self.known_ns:
            return False
        named = {self.instrument, proposal.instrument} - {""}
        if len(named) > 1:
            return False
        begin, end = proposal.valid_from_ns, proposal.valid_to_ns
        if end is not None and end <= self.known_ns:
            return False
        if begin is None:
            return proposal.recorded_at_ns >= self.known_ns - BACK_NS
        if self.to_begin and begin <= self.known_ns:
            return False
        return self.known_ns - BACK_NS <= begin <= self.known_ns + self.ahead_ns


class Told(msgspec.Struct, frozen=True):
    """What one line of a log takes back."""

    work: TakenBack
    known_ns: int
    path: str
    line: int


class _Lines:
    """Lines that take work back, by asset, in order of time."""

    def __init__(self, told: Iterable[Told], site: Site) -> None:
        self._site = site
        self._told: defaultdict[str, list[Told]] = defaultdict(list)
        for one in told:
            self._told[one.work.asset].append(one)
        self._of: dict[str, list[Withdrawal]] = {}

    def __bool__(self) -> bool:
        return bool(self._told)

    def about(self, proposal: Proposal) -> Iterator[Withdrawal]:
        """Lines after a proposal that may be about it, the first one first."""
        lines = self._of_asset(proposal.asset)
        known_ns = proposal.recorded_at_ns
        begin = known_ns if proposal.valid_from_ns is None else proposal.valid_from_ns
        first = bisect.bisect_right(lines, known_ns, key=lambda line: line.known_ns)
        for line in itertools.islice(lines, first, None):
            if line.known_ns - BACK_NS > max(begin, known_ns):
                return
            if line.takes(proposal):
                yield line

    def _of_asset(self, asset: str) -> list[Withdrawal]:
        if asset not in self._of:
            site = self._site
            told = [*self._told.get(asset, ()), *self._told.get(ALL, ())]
            self._of[asset] = [
                Withdrawal(
                    kind=(kind := one.work.kind),
                    instrument=instrument_named(
                        (asset, kind), one.work.text, site.instruments, site.gauges
                    )
                    if kind
                    else "",
                    known_ns=one.known_ns,
                    ahead_ns=one.work.ahead // MICROSECOND * 1000,
                    to_begin=one.work.to_begin,
                    path=one.path,
                    line=one.line,
                )
                for one in sorted(told, key=lambda one: one.known_ns)
            ]
        return self._of[asset]


def withdrawn(
    extracts: Sequence[Extract], site: Site, *, told: Iterable[Told] | None = None
) -> list[Extract]:
    """The same extracts with what log lines took back: a later version of each such proposal.

    Of a log or a schedule it is cancelled; an order only loses its approval, until it is told
    again. Each such order is noted among the quarantined of its document. told: what the lines of
    all extracts take back, where the caller has it.
    """
    if told is None:
        told = (one for extract in extracts for one in told_in(extract.document, site))
    lines = _Lines(told, site)
    return [_without(extract, lines) for extract in extracts] if lines else list(extracts)


def told_in(document: Document, site: Site) -> tuple[Told, ...]:
    """What the lines of a log take back; it depends on nothing else."""
    if document.form is not Form.LOG:
        return ()
    return tuple(
        Told(work, row.t_ns, document.path, row.line)
        for row in document.rows
        for work in taken_back(row.said, site, written=wall_of(row.t_ns, row.zone))
    )


def _without(extract: Extract, lines: _Lines) -> Extract:
    kept: list[Proposal] = []
    notes: list[Quarantined] = []
    numbers = {row.start: row.line for row in extract.document.rows}
    newest = _recorded(extract.proposals)
    for proposal in extract.proposals:
        kept.append(proposal)
        known = newest[proposal.proposal_id]
        for line in lines.about(proposal):
            if any(proposal.recorded_at_ns < t <= line.known_ns for t in known):
                continue
            if proposal.source == "order":
                if proposal.approved:
                    notes.append(_note(extract, proposal, numbers, line))
                    kept.append(
                        msgspec.structs.replace(
                            proposal, approved=False, recorded_at_ns=line.known_ns
                        )
                    )
            else:
                kept.append(
                    msgspec.structs.replace(proposal, cancelled=True, recorded_at_ns=line.known_ns)
                )
            break
    return msgspec.structs.replace(
        extract, proposals=tuple(kept), quarantined=(*extract.quarantined, *notes)
    )


def _recorded(proposals: Iterable[Proposal]) -> dict[str, list[int]]:
    """When the versions of each proposal were recorded."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for proposal in proposals:
        found[proposal.proposal_id].append(proposal.recorded_at_ns)
    return dict(found)


def _note(
    extract: Extract, proposal: Proposal, numbers: dict[int, int], line: Withdrawal
) -> Quarantined:
    cause = (
        f"order {proposal.proposal_id} is not approved from then on: a log may have called its work"
        f" off ({line.path}, line {line.line})"
    )
    number = numbers.get(proposal.citation.start, 0)
    return Quarantined(path=extract.document.path, line=number, cause=cause)
