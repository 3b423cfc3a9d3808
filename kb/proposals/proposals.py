"""Orders, schedules and log lines into proposals. Text suggests; nothing here opens a job.

Only an order's status column says that it is approved; no description, however worded, can. But a
description that denies, puts off or speaks of a fault takes approval away.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from kb.proposals.order_ids import spelled
from kb.proposals.order_words import is_corrective, speaks_against
from kb.reading.front_matter import SourceError, is_asset_id
from kb.reading.status import is_approved, is_cancelled, is_somebody
from kb.records import Proposal, WorkKind
from kb.times import MICROSECOND, clock_of, date_or_iso_ns, iso_ns, local_ns, wall_of
from kb.wording.said_times import SLACK
from kb.wording.shopfloor import Said, kind_said, work_said, work_unnamed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, time

    from kb.reading.rows import Row
    from kb.records import Citation
    from kb.wording.asset_names import AssetWords
    from kb.wording.instrument_words import Gauges
    from kb.wording.name_sense import NameSense

TYPE_COLUMNS: Final = ("work_type", "worktype", "type")
CORRECTIVE_TYPES: Final = frozenset({"CM", "EM", "BM"})  # corrective, emergency, breakdown
SENSED_CONFIDENCE: Final = 0.2  # of a machine that no exact name names
_KINDS: Final = {kind.value: kind for kind in WorkKind}
_KIND_CODES: Final = {"CAL": WorkKind.CALIBRATION, "CALIB": WorkKind.CALIBRATION}
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_DAY_NS: Final = 86_400 * 1_000_000_000


def order_proposal(row: Row, citation: Citation, *, known_ns: int) -> Proposal | None:
    """Proposal of an order row; None when its kind is no bounded work. Raises SourceError.

    `known_ns` is when it counts as recorded if the row does not say so.
    """
    cells = row.cells
    asset = asset_of(row)
    if not cells["order_id"]:
        raise SourceError(row.line, "order_id is empty")
    start, end = _time(row, "start"), _time(row, "end")
    if start is not None and end is not None and end < start:
        raise SourceError(row.line, "end is before start")
    recorded = _time(row, "recorded_at")
    named = kind_of(row)
    kind = named or _kind_elsewhere(row)
    if kind is None:
        return None
    return Proposal(
        proposal_id=spelled(cells["order_id"]),
        kind=kind,
        asset=asset,
        instrument=cells.get("instrument", ""),
        valid_from_ns=start,
        valid_to_ns=end,
        recorded_at_ns=known_ns if recorded is None else recorded,
        source="order",
        approved=named is not None and _is_believed(row, named),
        real_times=real_times(cells.get("start", ""), cells.get("end", "")),
        cancelled=is_cancelled(cells["status"]),
        confidence=1.0 if named else 0.6,
        citation=citation,
    )


def schedule_proposal(row: Row, citation: Citation, *, known_ns: int) -> Proposal | None:
    """Proposal of a schedule row, never approved; otherwise like `order_proposal`."""
    asset = asset_of(row)
    start, end = _time(row, "planned_start"), _time(row, "planned_end")
    if start is None or (end is not None and end < start):
        raise SourceError(row.line, "planned_start is missing, or planned_end is before it")
    recorded = _time(row, "recorded_at")
    kind = kind_of(row)
    if kind is None:
        return None
    return Proposal(
        proposal_id=row.cells.get("event_id") or hashed_id("s", citation),
        kind=kind,
        asset=asset,
        instrument=row.cells.get("instrument", ""),
        valid_from_ns=start,
        valid_to_ns=end,
        recorded_at_ns=known_ns if recorded is None else recorded,
        source="schedule",
        approved=False,
        real_times=real_times(row.cells["planned_start"], row.cells["planned_end"]),
        cancelled=is_cancelled(row.cells.get("status", "")),
        confidence=0.6,
        citation=citation,
    )


def log_proposals(
    row: Row,
    citation: Citation,
    *,
    assets: AssetWords,
    instruments: Mapping[str, Sequence[str]],
    gauges: Mapping[str, Gauges] | None = None,
    shifts: Mapping[str, tuple[time, time]] | None = None,
    sense: NameSense | None = None,
) -> list[Proposal]:
    """Proposals of a log line, one for each kind of work on an asset.

    The minute of a line is of the writing, not of the work: without a time in its words, work that
    is done ended by then and work that begins does so then. Times in words are of the line's zone;
    without a declared zone they are not read, nor where the clocks skip them.
    gauges: asset -> what its approved instruments are called. shifts: begin and end of `early`,
    `late` and `night` where the log declares them. sense: finds
    the machine of work that is plainly told, where no name does, with little confidence.
    """
    written = wall_of(row.t_ns, row.zone)
    found: list[Proposal] = []
    works = work_said(
        row.said,
        assets=assets,
        instruments=instruments,
        gauges=gauges,
        written=written,
        shifts=shifts,
    )
    for work in works or _sensed(row.said, assets, sense):
        begin, end = _said_span(work, row)
        more = (work.kind,) if any(p.asset == work.asset for p in found) else ()
        found.append(
            Proposal(
                proposal_id=hashed_id("l", citation, work.asset, *more),
                kind=work.kind,
                asset=work.asset,
                instrument=work.instrument,
                valid_from_ns=begin,
                valid_to_ns=end,
                recorded_at_ns=row.t_ns,
                source="log",
                approved=False,
                real_times=False,
                cancelled=False,
                confidence=work.confidence,
                citation=citation,
            )
        )
    return found


def _sensed(said: str, assets: AssetWords, sense: NameSense | None) -> list[Said]:
    """Work on a machine that a line names in words of its own; its minute is all its time."""
    told = work_unnamed(said, assets) if sense else None
    asset = sense.asset_of(told[2]) if sense and told else ""
    if told is None or not asset:
        return []
    return [
        Said(asset=asset, kind=told[0], instrument="", stage=told[1], confidence=SENSED_CONFIDENCE)
    ]


def _said_span(work: Said, row: Row) -> tuple[int | None, int | None]:
    """Begin and end of what a line says of work, ns; from its minute where it gives no time."""
    begin, end = _as_said(work, row)
    if begin is None and end is None:
        begin = row.t_ns if work.stage == "begun" else None
    if end is None and work.stage == "done":
        end = row.t_ns
    return begin, end


def _as_said(work: Said, row: Row) -> tuple[int | None, int | None]:
    """The times of a line's words, ns; both None where the clocks leave no reading of them.

    An hour that happens twice is read so that the work lasts as long as the clock on the wall
    says, and was not over, or begun, after the line that tells it; else as its second.
    """
    zone = ZoneInfo(row.zone) if row.zone else None
    if zone is None or (work.begin is None and work.end is None):
        return None, None
    try:
        begins, ends = _readings(work.begin, zone), _readings(work.end, zone)
    except ValueError:  # the clocks skip it
        return None, None
    pairs = [
        (begin, end)
        for begin in begins
        for end in ends
        if begin is None or end is None or begin < end
    ]
    if work.begin is not None and work.end is not None:
        wall_ns = (work.end - work.begin) // MICROSECOND * 1000
        pairs = [(b, e) for b, e in pairs if b and e and e - b == wall_ns] or pairs
    latest = row.t_ns + SLACK // MICROSECOND * 1000
    told = {"done": 1, "begun": 0}.get(work.stage)
    if told is not None:
        fits = [pair for pair in pairs if (at := pair[told]) is None or at <= latest]
        pairs = fits or pairs
    return max(pairs, key=lambda pair: (pair[0] or 0, pair[1] or 0), default=(None, None))


def _readings(wall: datetime | None, zone: ZoneInfo) -> Sequence[int | None]:
    """What a wall-clock time may be, ns: two in the hour that happens twice. Raises ValueError."""
    if wall is None:
        return [None]
    return sorted({local_ns(wall, zone, first=first) for first in (True, False)})


def real_times(start: str, end: str) -> bool:
    """Whether somebody meant these times: both given, not equal, not the bounds of days."""
    if not start or not end or _DAY.fullmatch(start) or _DAY.fullmatch(end):
        return False
    whole_days = clock_of(start)[:2] == (0, 0) and clock_of(end)[:2] in {(0, 0), (23, 59)}
    return iso_ns(end) > iso_ns(start) and not whole_days


def corrective(row: Row, kind: WorkKind) -> bool:
    """Whether an order follows a failure: such work must never excuse it, whatever its status."""
    told = " ".join(row.cells.get(name, "") for name in ("description", *TYPE_COLUMNS))
    types = {row.cells.get(name, "").upper() for name in TYPE_COLUMNS}
    return kind is WorkKind.REPAIR or is_corrective(told) or bool(types & CORRECTIVE_TYPES)


def asset_of(row: Row) -> str:
    """The exact asset id of a row. Raises SourceError."""
    asset = row.cells["asset"]
    if not is_asset_id(asset):
        raise SourceError(row.line, f"asset {asset!r} is no exact id")
    return asset


def kind_of(row: Row) -> WorkKind | None:
    """Kind of work of a row, if it is one of ours; a type code of another system may say it."""
    kind = row.cells.get("kind", "")
    if kind:
        return _KINDS.get(kind.lower().replace(" ", "_"))
    return _KIND_CODES.get(row.cells.get("work_type", "").upper())


def _kind_elsewhere(row: Row) -> WorkKind | None:
    """What the description of an order without a kind speaks of: enough to propose."""
    return None if row.cells.get("kind") else kind_said(row.cells.get("description", ""))


def _is_believed(row: Row, kind: WorkKind) -> bool:
    """Whether an order's status approves it and nothing in its row takes that back."""
    cells = row.cells
    return (
        is_approved(cells["status"])
        and is_somebody(cells.get("approved_by", "its status"))  # some systems have no such column
        and not corrective(row, kind)
        and not speaks_against(cells.get("description", ""))
    )


def hashed_id(prefix: str, citation: Citation, *more: str) -> str:
    """Short id that stays while the cited row does."""
    parts = (citation.doc_id, str(citation.chunk_id), *more)
    return f"{prefix}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"


def _time(row: Row, column: str) -> int | None:
    text = row.cells.get(column, "")
    if not text:
        return None
    try:
        if column != "recorded_at" and _DAY.fullmatch(text):  # a day, somewhere: it only proposes
            return date_or_iso_ns(text) + (_DAY_NS if column.endswith("end") else 0)
        return iso_ns(text)
    except ValueError as error:
        raise SourceError(row.line, f"{column}: {error}") from error
