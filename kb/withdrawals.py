"""Log lines that call off, put off or move work: they take back what was proposed of it before.

A line names an asset and a kind of work, seldom an order. It takes back every proposal that it may
be about, near its own time, and approval of orders with it: text withdraws, and never gives.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from kb.documents import Form
from kb.manifest import Quarantined
from kb.records import WorkKind
from kb.shopfloor import work_taken_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kb.passages import Extract, Site
    from kb.records import Proposal

HOUR_NS: Final = 3_600 * 1_000_000_000
AHEAD_NS: Final = 24 * HOUR_NS  # what begins later is another time of the same work
BACK_NS: Final = 16 * HOUR_NS  # of work without a time: what was written a shift before


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """One line that takes work back, known from when it was written, ns."""

    kind: WorkKind
    instrument: str
    known_ns: int
    path: str
    line: int

    def takes(self, proposal: Proposal) -> bool:
        """Whether a proposal of the same asset may be what the line is about."""
        if proposal.kind is not self.kind or proposal.recorded_at_ns >= self.known_ns:
            return False
        named = {self.instrument, proposal.instrument} - {""}
        if len(named) > 1:
            return False
        begin, end = proposal.valid_from_ns, proposal.valid_to_ns
        if end is not None and end <= self.known_ns:
            return False
        if begin is None:
            return proposal.recorded_at_ns >= self.known_ns - BACK_NS
        return self.known_ns - BACK_NS <= begin <= self.known_ns + AHEAD_NS


def withdrawn(extracts: Sequence[Extract], site: Site) -> list[Extract]:
    """The same extracts with what log lines took back: a later version of each such proposal.

    Of a log or a schedule it is cancelled; an order only loses its approval, until it is told
    again. Each such order is noted among the quarantined of its document.
    """
    lines = _withdrawals(extracts, site)
    return [_without(extract, lines) for extract in extracts] if lines else list(extracts)


def _withdrawals(extracts: Iterable[Extract], site: Site) -> dict[str, list[Withdrawal]]:
    """Lines that take work back, by asset, in order of time."""
    found: defaultdict[str, list[Withdrawal]] = defaultdict(list)
    for extract in extracts:
        document = extract.document
        if document.form is not Form.LOG:
            continue
        for row in document.rows:
            for work in work_taken_back(row.said, assets=site.assets, instruments=site.instruments):
                found[work.asset].append(
                    Withdrawal(
                        kind=work.kind,
                        instrument=work.instrument,
                        known_ns=row.t_ns,
                        path=document.path,
                        line=row.line,
                    )
                )
    return {asset: sorted(lines, key=lambda line: line.known_ns) for asset, lines in found.items()}


def _without(extract: Extract, lines: dict[str, list[Withdrawal]]) -> Extract:
    kept: list[Proposal] = []
    notes: list[Quarantined] = []
    numbers = {row.start: row.line for row in extract.document.rows}
    newest = _recorded(extract.proposals)
    for proposal in extract.proposals:
        kept.append(proposal)
        known = newest[proposal.proposal_id]
        for line in lines.get(proposal.asset, ()):
            later = any(proposal.recorded_at_ns < t <= line.known_ns for t in known)
            if later or not line.takes(proposal):
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
