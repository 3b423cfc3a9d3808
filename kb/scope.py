"""Scope tables: which channels an approved kind of work may disturb. A row that is not exact stays out.

A scope row decides what a mask hides, so nothing is guessed: one exact asset, named channels, no
wildcards, a named approver with a time, bounded effect and duration. Two rows that say
different things about the same work at the same time are both refused.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from kb.citations import cite
from kb.documents import NO_ASSETS, asset_id
from kb.errors import KnowledgeError
from kb.records import ScopeRow, WorkKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from kb.documents import Document, Record, Sources

DURATION_MIN_MAX: Final = 240  # longer work is out of service, not suppressed
SETTLE_S_MAX: Final = 900
SETTLE_S: Final = 300  # where the table has no such column
EFFECT_SIGMA_MAX: Final = 100.0
CHANNELS_MAX: Final = 256
WILDCARDS: Final = frozenset("*?%[]{}")


def scope_rows(
    sources: Sources, chunk_of: Callable[[Document, Record], int]
) -> tuple[ScopeRow, ...]:
    """Read every scope table. Bad rows are refused in `sources`.

    chunk_of: id of the chunk that holds a record.
    """
    found: dict[tuple[object, ...], list[tuple[ScopeRow, Document, Record]]] = defaultdict(list)
    for document in sources.documents:
        if document.kind != "scope":
            continue
        for record in document.records or ():
            try:
                row = _scope_row(document, record, chunk_of(document, record))
            except KnowledgeError as error:
                sources.refuse(document.path, record.line, str(error))
            else:
                key = (row.kind, row.asset, row.instrument, row.recorded_at_ns)
                found[key].append((row, document, record))
    rows = []
    for same in found.values():
        if len({row.scope_id for row, _, _ in same}) == 1:
            rows.append(same[0][0])
            same = same[1:]
        for row, document, record in same:
            message = f"another row approved at the same time speaks of {row.kind} of {row.asset} too"
            sources.refuse(document.path, record.line, message)
    return tuple(sorted(rows, key=lambda row: (row.asset, row.kind, row.instrument, row.recorded_at_ns)))


def _scope_row(document: Document, record: Record, chunk: int) -> ScopeRow:
    assert record.row is not None
    value = record.row.value
    if record.recorded_at_ns is None:
        raise KnowledgeError("approved_at is empty; an approval has a time")
    if not value("approved_by"):
        raise KnowledgeError("approved_by is empty; a scope row needs an approver")
    kind = work_kind(value("kind"))
    channels = _channels(value("channels"))
    instrument = value("instrument")
    if WILDCARDS & set(instrument):
        raise KnowledgeError(f"instrument {instrument!r} holds a wildcard; name it exactly")
    effect = _number("expected_effect", value("expected_effect"), EFFECT_SIGMA_MAX)
    minutes = _number("duration_min_max", value("duration_min_max"), DURATION_MIN_MAX)
    settle = _number("settle_s", value("settle_s") or str(SETTLE_S), SETTLE_S_MAX)
    if minutes * 60 < 1:
        raise KnowledgeError("duration_min_max is 0; work takes time")
    asset = asset_id(record.asset)
    facts = (kind, asset, instrument, *sorted(channels), effect, minutes, settle, record.recorded_at_ns)
    return ScopeRow(
        scope_id=f"scope-{hashlib.sha256(repr(facts).encode()).hexdigest()[:12]}",
        kind=kind,
        asset=asset,
        instrument=instrument,
        channels=channels,
        expected_effect=effect,
        duration_s_max=int(minutes * 60),
        settle_s=int(settle),
        recorded_at_ns=record.recorded_at_ns,
        approved_by=value("approved_by"),
        citation=cite(document, chunk, record.start, record.end),
    )


def work_kind(text: str) -> WorkKind:
    """Return a kind of work by its exact name. Raises KnowledgeError."""
    try:
        return WorkKind(text.strip().lower())
    except ValueError as error:
        kinds = ", ".join(WorkKind)
        raise KnowledgeError(f"kind {text!r} is not one of {kinds}") from error


def _channels(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(";"))
    if not text.strip() or "" in names or len(names) > CHANNELS_MAX:
        raise KnowledgeError("channels is empty or has an empty name; separate names by ;")
    for name in names:
        if WILDCARDS & set(name) or name.lower() in NO_ASSETS:
            raise KnowledgeError(f"channel {name!r} is a wildcard; name each channel exactly")
    if len(set(names)) != len(names):
        raise KnowledgeError("a channel stands twice")
    return names


def _number(column: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise KnowledgeError(f"{column} {text!r} is not a number") from error
    if not math.isfinite(value) or not 0 <= value <= most:
        raise KnowledgeError(f"{column} is {text}; expected 0 to {most:g}")
    return value
