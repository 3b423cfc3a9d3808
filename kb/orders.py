"""Orders and schedules: rows of tables become proposals, and only real approved times can be a witness.

Most order systems fill in times by default: of 4,249 real orders 1,278 finish at exactly 15:30, and 70 of 77
calibrations have the same duration. Such times say nothing about when work was done, so they do not count.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Final

from msgspec import structs

from kb.citations import cite
from kb.errors import KnowledgeError
from kb.records import Proposal, WorkKind
from kb.times import parse_moment, to_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kb.documents import Document, Record, Sources
    from kb.records import Citation

APPROVED: Final = frozenset({"APPR", "APPROVED", "REL", "RELEASED", "SCHEDULED", "INPRG"})
CANCELLED: Final = frozenset({"CAN", "CANCELLED", "CANCELED"})
ORDER_ID: Final = re.compile(r"[\w][\w./-]{0,63}")

# A duration or an end that more than this share of the timed orders of a table (or of one kind in it) have
# is a default. Below this many orders equal times may be chance.
SHARED_DURATION: Final = 0.5
SHARED_END: Final = 0.25
SHARED_ORDERS_MIN: Final = 10
QUOTE_CHARS_MIN: Final = 8  # a shorter description is no evidence; the whole row is quoted

CONFIDENCE_WITNESS: Final = 0.9  # approved with real times
CONFIDENCE_APPROVED: Final = 0.7
CONFIDENCE_SCHEDULE: Final = 0.6
CONFIDENCE_ORDER: Final = 0.5
CONFIDENCE_CORRECTIVE: Final = 0.3

# Work that follows a failure must never excuse it, whatever its status says.
_CORRECTIVE: Final = re.compile(
    r"\b(corrective|break[ -]?down|emergency|unplanned|reactive|failed|failure)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Order:
    document: Document
    record: Record
    kind: WorkKind
    begin: datetime | None
    end: datetime | None

    def value(self, column: str) -> str:
        assert self.record.row is not None
        return self.record.row.value(column)


def order_proposals(
    sources: Sources,
    *,
    chunk_of: Callable[[Document, Record], int],
    recorded_ns: Callable[[Record], int],
) -> tuple[Proposal, ...]:
    """Proposals of all order tables; each row is one version of its order, in a Proposal of the same id.

    Of the versions known at a time the newest holds (`kb.records.standing`): a later row that cancels,
    moves or changes an order replaces it. Rows of one order recorded at the same time that differ are refused, all
    of them. A kind that is no WorkKind proposes nothing and stays searchable.
    """
    found: dict[str, list[_Order]] = defaultdict(list)
    proposals: list[Proposal] = []
    for document in sources.documents:
        if document.kind != "order":
            continue
        orders = _readable(document, sources)
        defaults = _Defaults(orders)
        for order in orders:
            chunk = chunk_of(document, order.record)
            proposals.append(_proposal(order, defaults, chunk, recorded_ns(order.record)))
            found[order.value("order_id")].append(order)
    return _unambiguous(proposals, found, sources, recorded_ns)


def schedule_proposals(
    sources: Sources,
    *,
    chunk_of: Callable[[Document, Record], int],
    recorded_ns: Callable[[Record], int],
) -> tuple[Proposal, ...]:
    """Proposals of all schedules. A schedule proposes and never approves."""
    proposals = {}
    for document in sources.documents:
        if document.kind != "schedule":
            continue
        for record in document.records or ():
            try:
                proposal = _planned(document, record, chunk_of(document, record), recorded_ns(record))
            except KnowledgeError as error:
                sources.refuse(document.path, record.line, str(error))
            else:
                if proposal is not None:
                    proposals.setdefault(proposal.proposal_id, proposal)
    return tuple(proposals.values())


def _planned(document: Document, record: Record, chunk: int, recorded: int) -> Proposal | None:
    assert record.row is not None
    begin, end = _span(document, record, "planned_start", "planned_end")
    kind = _kind(record.row.value("kind"))
    if begin is None:
        raise KnowledgeError("planned_start is empty; a schedule says when")
    if kind is None:
        return None
    instrument = record.row.value("instrument")
    facts = (record.asset, kind, instrument, to_ns(begin), end and to_ns(end))
    return Proposal(
        proposal_id=f"plan-{_digest(facts)}",
        kind=kind,
        asset=record.asset,
        instrument=instrument,
        valid_from_ns=to_ns(begin),
        valid_to_ns=to_ns(end) if end else None,
        recorded_at_ns=recorded,
        source="schedule",
        approved=False,
        real_times=end is not None and not _whole_days(begin, end),
        cancelled=False,
        confidence=CONFIDENCE_SCHEDULE,
        citation=_quote(document, record, chunk),
    )


def _readable(document: Document, sources: Sources) -> list[_Order]:
    orders = []
    for record in document.records or ():
        assert record.row is not None
        try:
            if not ORDER_ID.fullmatch(record.row.value("order_id")):
                raise KnowledgeError(f"order_id {record.row.value('order_id')!r} is not an id")
            begin, end = _span(document, record, "start", "end")
        except KnowledgeError as error:
            sources.refuse(document.path, record.line, str(error))
            sources.doubt(document.text[record.start : record.end])
            continue
        kind = _kind(record.row.value("kind"))
        if kind is None:
            sources.doubt(record.row.value("order_id"))  # a row of it may stand in for an older one
        else:
            orders.append(_Order(document, record, kind, begin, end))
    return orders


def _proposal(order: _Order, defaults: _Defaults, chunk: int, recorded: int) -> Proposal:
    status = order.value("status").strip().upper()
    told = " ".join(order.value(name) for name in ("description", "work_type", "worktype", "type"))
    corrective = _CORRECTIVE.search(told) is not None
    approved = status in APPROVED and not corrective
    real = defaults.real(order)
    confidence = CONFIDENCE_APPROVED if approved else CONFIDENCE_ORDER
    if approved and real:
        confidence = CONFIDENCE_WITNESS
    return Proposal(
        proposal_id=order.value("order_id"),
        kind=order.kind,
        asset=order.record.asset,
        instrument=order.value("instrument"),
        valid_from_ns=to_ns(order.begin) if order.begin else None,
        valid_to_ns=to_ns(order.end) if order.end else None,
        recorded_at_ns=recorded,
        source="order",
        approved=approved,
        real_times=real,
        cancelled=status in CANCELLED,
        confidence=CONFIDENCE_CORRECTIVE if corrective else confidence,
        citation=_quote(order.document, order.record, chunk),
    )


class _Defaults:
    """Which times of a table are those that its system fills in."""

    def __init__(self, orders: Iterable[_Order]) -> None:
        groups: dict[object, list[tuple[float, time]]] = defaultdict(list)
        for order in {o.value("order_id"): o for o in orders}.values():  # each order once
            if order.begin and order.end and order.begin < order.end:
                times = ((order.end - order.begin).total_seconds(), order.end.time())
                groups[None].append(times)
                groups[order.kind].append(times)
        self._durations: set[tuple[object, float]] = set()
        self._ends: set[tuple[object, time]] = set()
        for group, held in groups.items():
            if len(held) < SHARED_ORDERS_MIN:
                continue
            for duration, n in Counter(duration for duration, _ in held).items():
                if n > SHARED_DURATION * len(held):
                    self._durations.add((group, duration))
            for end, n in Counter(end for _, end in held).items():
                if n > SHARED_END * len(held):
                    self._ends.add((group, end))

    def real(self, order: _Order) -> bool:
        """Whether somebody meant these times."""
        if not order.begin or not order.end or order.end <= order.begin:
            return False
        duration = (order.end - order.begin).total_seconds()
        shared = any(
            (group, duration) in self._durations or (group, order.end.time()) in self._ends
            for group in (None, order.kind)
        )
        return not shared and not _whole_days(order.begin, order.end)


def _whole_days(begin: datetime, end: datetime) -> bool:
    """From midnight to midnight, or to the last minute of a day, as systems fill in a date."""
    last = (end.hour, end.minute)
    return (begin.hour, begin.minute) == (0, 0) and last in {(0, 0), (23, 59)}


def _span(
    document: Document, record: Record, begin_column: str, end_column: str
) -> tuple[datetime | None, datetime | None]:
    assert record.row is not None
    cells = (record.row.value(begin_column), record.row.value(end_column))
    begin, end = (parse_moment(cell, zone=document.zone) if cell else None for cell in cells)
    if begin and end and end < begin:
        raise KnowledgeError(f"{end_column} is before {begin_column}")
    return begin, end


def _kind(text: str) -> WorkKind | None:
    name = text.strip().lower()
    return WorkKind(name) if name in set(WorkKind) else None


def _quote(document: Document, record: Record, chunk: int) -> Citation:
    assert record.row is not None
    cell = record.row.cells.get("description")
    if cell is None or len(cell.value) < QUOTE_CHARS_MIN:
        return cite(document, chunk, record.start, record.end)
    return cite(document, chunk, cell.start, cell.end)


def _unambiguous(
    proposals: list[Proposal],
    orders: dict[str, list[_Order]],
    sources: Sources,
    recorded_ns: Callable[[Record], int],
) -> tuple[Proposal, ...]:
    """Leave out versions of one order that say different things at the same time, and repetitions."""
    versions: dict[tuple[str, int], list[Proposal]] = defaultdict(list)
    for proposal in proposals:
        versions[proposal.proposal_id, proposal.recorded_at_ns].append(proposal)
    kept = []
    for (order_id, recorded), same in versions.items():
        alike = len({_facts(proposal) for proposal in same}) == 1
        if alike:
            kept.append(same[0])
        rows = [o for o in orders[order_id] if recorded_ns(o.record) == recorded]
        for order in rows[1:] if alike else rows:
            message = f"{order_id} stands in another row that was recorded at the same time"
            sources.refuse(order.document.path, order.record.line, message)
    return tuple(
        structs.replace(proposal, approved=False) if proposal.proposal_id in sources.doubtful else proposal
        for proposal in kept
    )


def _facts(proposal: Proposal) -> tuple[object, ...]:
    times = (proposal.valid_from_ns, proposal.valid_to_ns)
    work = (proposal.kind, proposal.asset, proposal.instrument)
    return (*work, *times, proposal.approved, proposal.cancelled)


def _digest(facts: object) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
