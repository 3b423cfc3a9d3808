"""Which scope rows stand: one that cannot be read may have narrowed or withdrawn what it is about.

So it takes with it the rows of the same work on the same instrument, where its cells tell; else
those of its asset, else all of its file; a file that nobody can look into takes all. Rows that were
approved later than it stand. Two rows that contradict each other are like two unreadable ones.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from kb.manifest import Quarantined
from kb.proposals.order_ids import mentions
from kb.reading.document import Form
from kb.reading.front_matter import is_asset_id
from kb.reading.scope import WILDCARDS
from kb.records import WorkKind
from kb.times import iso_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kb.reading.glimpse import Unread
    from kb.records import ScopeRow
    from kb.retrieval.passages import Extract

CONTRADICTED: Final = "another row approved at the same time allows something else"
UNREADABLE: Final = "a row that may narrow or withdraw it cannot be read"
FOREVER_NS: Final = 2**63 - 1

_Work: TypeAlias = tuple[str, str, str]


class _Lost(msgspec.Struct, frozen=True, kw_only=True):
    """What a row or file in doubt takes with it: all that is set has to fit."""

    cause: str
    work: _Work | None = None
    assets: frozenset[str] | None = None
    path: str | None = None
    folder: str | None = None
    until_ns: int = FOREVER_NS  # when it was approved; later rows stand

    def takes(self, scope: ScopeRow, path: str) -> bool:
        """Whether a row of a file goes with it."""
        return (
            scope.recorded_at_ns <= self.until_ns
            and self.work in (None, _work(scope))
            and (self.assets is None or scope.asset.casefold() in self.assets)
            and self.path in (None, path)
            and self.folder in (None, path.rpartition("/")[0])
        )


def standing(extracts: Sequence[Extract], unread: Iterable[Unread]) -> list[Extract]:
    """The same extracts without scope rows that are in doubt, each quarantined with the cause.

    `unread`: rows and files that could not be read at all.
    """
    scopes = [scope for extract in extracts for scope in extract.scope_rows]
    if not scopes:
        return list(extracts)
    tables = {e.document.path for e in extracts if e.document.form is Form.SCOPE}
    rows = [row for e in extracts if e.document.form is Form.SCOPE for row in e.unread]
    lost = [*_contradictions(scopes)]
    known = {scope.asset.casefold() for scope in scopes}
    for row in [*unread, *rows]:
        found = _of_row(row, known) if row.line else _of_file(row, known)
        if found is not None and (not row.line or row.path in tables):
            lost.append(found)
    return [_without(extract, lost) for extract in extracts] if lost else list(extracts)


def _of_row(row: Unread, known: set[str]) -> _Lost:
    """What a row takes with it."""
    cause = f"{UNREADABLE} ({row.place})"
    kind, asset, instrument = (row.cells.get(name) for name in ("kind", "asset", "instrument"))
    try:
        until_ns = iso_ns(row.cells.get("approved_at", ""))
    except ValueError:
        until_ns = FOREVER_NS
    if asset is not None and is_asset_id(asset):
        assets = frozenset({asset.casefold()})
        named = kind is not None and kind.lower().replace(" ", "_") in set(WorkKind)
        if named and instrument is not None and not WILDCARDS & set(instrument):
            assert kind is not None
            work = (kind.lower().replace(" ", "_"), asset.casefold(), instrument.casefold())
            return _Lost(cause=cause, work=work, until_ns=until_ns)
        return _Lost(cause=cause, assets=assets, until_ns=until_ns)
    if not row.cells and (about := mentions(row.said, known, called_off=False)):
        return _Lost(cause=cause, assets=frozenset(about))
    return _Lost(cause=cause, path=row.path, until_ns=until_ns)


def _of_file(row: Unread, known: set[str]) -> _Lost | None:
    """What a whole file takes with it; None when it speaks of no scopes."""
    cause = f"{UNREADABLE} ({row.place})"
    if row.unseen:
        return _Lost(cause=cause)
    if row.beside:
        return _Lost(cause=cause, folder=row.folder)
    if not row.may_be_scope() or row.text:
        return None
    about = mentions(row.said, known, called_off=False)
    return _Lost(cause=cause, assets=frozenset(about) or None)


def _contradictions(scopes: Iterable[ScopeRow]) -> list[_Lost]:
    """Rows approved at the same time for the same work that allow different things."""
    allowed: defaultdict[tuple[_Work, int], set[tuple[object, ...]]] = defaultdict(set)
    for scope in scopes:
        allowed[_work(scope), scope.recorded_at_ns].add(_limits(scope))
    return [
        _Lost(cause=CONTRADICTED, work=work, until_ns=approved_ns)
        for (work, approved_ns), limits in allowed.items()
        if len(limits) > 1
    ]


def _work(scope: ScopeRow) -> _Work:
    return (str(scope.kind), scope.asset.casefold(), scope.instrument.casefold())


def _limits(scope: ScopeRow) -> tuple[object, ...]:
    numbers = (scope.expected_effect, scope.duration_s_max, scope.settle_s)
    return (frozenset(scope.channels), *numbers)


def _without(extract: Extract, lost: Sequence[_Lost]) -> Extract:
    if not extract.scope_rows:
        return extract
    path = extract.document.path
    lines = {row.start: row.line for row in extract.document.rows}
    kept, gone, notes = [], set(), []
    for scope in extract.scope_rows:
        cause = next((one.cause for one in lost if one.takes(scope, path)), "")
        if not cause:
            kept.append(scope)
            continue
        gone.add(scope.citation.chunk_id)
        what = f"{scope.kind} {scope.instrument or '(whole asset)'} of {scope.asset}"
        line = lines[scope.citation.start]
        notes.append(Quarantined(path=path, line=line, cause=f"{what} is not allowed: {cause}"))
    return msgspec.structs.replace(
        extract,
        passages=tuple(p for p in extract.passages if p.chunk_id not in gone),
        scope_rows=tuple(kept),
        quarantined=(*extract.quarantined, *notes),
    )
