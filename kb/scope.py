"""Rows of the approved scope table: what work may disturb. Strict, since masks come from it."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from kb.front_matter import EVERYTHING, SourceError
from kb.manifest import Quarantined
from kb.proposals import asset_of, hashed_id, kind_of
from kb.records import ScopeRow
from kb.times import iso_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kb.passages import Extract
    from kb.records import Citation
    from kb.rows import Row

WILDCARDS: Final = frozenset("*?%")
DURATION_MIN_MAX: Final = 240  # minutes; the longest fuse
SETTLE_S_MAX: Final = 900
EFFECT_SIGMAS_MAX: Final = 10.0  # a lasting change beyond is no effect of work to be expected
CHANNELS_MAX: Final = 64


def scope_row(row: Row, citation: Citation) -> ScopeRow:
    """One validated row; nothing is filled in. Raises SourceError naming what is wrong."""
    cells = row.cells
    kind = kind_of(row)
    if kind is None:
        raise SourceError(row.line, f"kind {cells['kind']!r} is no bounded work")
    if not cells["approved_by"]:
        raise SourceError(row.line, "approved_by is empty: an unapproved row allows nothing")
    try:
        recorded_at_ns = iso_ns(cells["approved_at"])
    except ValueError as error:
        raise SourceError(row.line, f"approved_at: {error}") from error
    if WILDCARDS & set(cells["instrument"]):
        raise SourceError(row.line, "instrument has a wildcard; name it exactly")
    minutes = _number(row, "duration_min_max", most=DURATION_MIN_MAX)
    if minutes == 0:
        raise SourceError(row.line, "duration_min_max is 0")
    return ScopeRow(
        scope_id=hashed_id("scope", citation),
        kind=kind,
        asset=asset_of(row),
        instrument=cells["instrument"],
        channels=_channels(row),
        expected_effect=_number(row, "expected_effect", most=EFFECT_SIGMAS_MAX),
        duration_s_max=math.floor(60 * minutes),
        settle_s=math.ceil(_number(row, "settle_s", most=SETTLE_S_MAX)),
        recorded_at_ns=recorded_at_ns,
        approved_by=cells["approved_by"],
        citation=citation,
    )


def without_conflicts(extracts: Sequence[Extract]) -> list[Extract]:
    """The same extracts without scope rows that another row contradicts.

    Two rows do when they were approved at the same time for the same work on the same instrument
    and allow different things. All of them are quarantined.
    """
    allowed: defaultdict[tuple[object, ...], set[tuple[object, ...]]] = defaultdict(set)
    for extract in extracts:
        for scope in extract.scope_rows:
            allowed[_work(scope)].add(_limits(scope))
    bad = {work for work, limits in allowed.items() if len(limits) > 1}
    return [_without(extract, bad) for extract in extracts] if bad else list(extracts)


def _work(scope: ScopeRow) -> tuple[object, ...]:
    return (scope.kind, scope.asset, scope.instrument, scope.recorded_at_ns)


def _limits(scope: ScopeRow) -> tuple[object, ...]:
    numbers = (scope.expected_effect, scope.duration_s_max, scope.settle_s)
    return (frozenset(scope.channels), *numbers)


def _without(extract: Extract, bad: set[tuple[object, ...]]) -> Extract:
    gone = [scope for scope in extract.scope_rows if _work(scope) in bad]
    lines = {row.start: row.line for row in extract.document.rows}
    ids = {scope.citation.chunk_id for scope in gone}
    notes = [
        Quarantined(
            path=extract.document.path,
            line=lines[scope.citation.start],
            cause=(
                f"another row approved at the same time allows something else for {scope.kind}"
                f" {scope.instrument or '(whole asset)'} of {scope.asset}"
            ),
        )
        for scope in gone
    ]
    return msgspec.structs.replace(
        extract,
        passages=tuple(p for p in extract.passages if p.chunk_id not in ids),
        scope_rows=tuple(scope for scope in extract.scope_rows if _work(scope) not in bad),
        quarantined=(*extract.quarantined, *notes),
    )


def _channels(row: Row) -> tuple[str, ...]:
    channels = tuple(part.strip() for part in row.cells["channels"].split(";"))
    if not all(channels) or len(channels) > CHANNELS_MAX:
        raise SourceError(row.line, "channels is empty, or a name between two `;` is")
    for channel in channels:
        if WILDCARDS & set(channel) or channel.lower() in EVERYTHING:
            raise SourceError(row.line, f"channel {channel!r} is a wildcard; name each exactly")
    if len(set(channels)) != len(channels):
        raise SourceError(row.line, "a channel stands twice")
    return channels


def _number(row: Row, column: str, *, most: float) -> float:
    text = row.cells[column]
    try:
        number = float(text)
    except ValueError as error:
        raise SourceError(row.line, f"{column} {text!r} is no number") from error
    if not 0 <= number <= most:  # NaN is refused here too
        raise SourceError(row.line, f"{column} is {text}, expected 0 to {most:g}")
    return number
