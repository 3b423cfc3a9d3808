"""Rows of the approved scope table: what work may disturb. Strict, since masks come from it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from kb.manifest import Quarantined
from kb.proposals.proposals import asset_of, hashed_id, kind_of
from kb.reading.front_matter import EVERYTHING, SourceError
from kb.reading.status import is_somebody
from kb.records import ScopeRow
from kb.times import ever_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kb.reading.rows import Row
    from kb.records import Citation
    from kb.retrieval.passages import Extract

WILDCARDS: Final = frozenset("*?%")
DURATION_MIN_MAX: Final = 240  # minutes; the longest fuse
SETTLE_S_MAX: Final = 900
EFFECT_SIGMAS_MAX: Final = 10.0  # a lasting change beyond is no effect of work to be expected
CHANNELS_MAX: Final = 64
_SEVERAL: Final = re.compile(r"[|,\n\t]|\s(?:&|and|und)\s", re.IGNORECASE)


def scope_row(row: Row, citation: Citation) -> ScopeRow:
    """One validated row; nothing is filled in. Raises SourceError naming what is wrong."""
    cells = row.cells
    kind = kind_of(row)
    if kind is None:
        raise SourceError(row.line, f"kind {cells['kind']!r} is no bounded work")
    if not is_somebody(cells["approved_by"]):
        said = cells["approved_by"] or "empty"
        raise SourceError(
            row.line, f"approved_by is {said}, and names nobody: an unapproved row allows nothing"
        )
    try:
        recorded_at_ns = ever_ns(cells["approved_at"])
    except ValueError as error:
        raise SourceError(row.line, f"approved_at: {error}") from error
    if WILDCARDS & set(cells["instrument"]):
        raise SourceError(row.line, "instrument has a wildcard; name it exactly")
    duration_s = math.floor(60 * _number(row, "duration_min_max", most=DURATION_MIN_MAX))
    if duration_s == 0:
        said = cells["duration_min_max"]
        raise SourceError(row.line, f"duration_min_max is {said}, expected a second or more")
    return ScopeRow(
        scope_id=hashed_id("scope", citation),
        kind=kind,
        asset=asset_of(row),
        instrument=cells["instrument"],
        channels=_channels(row),
        expected_effect=_number(row, "expected_effect", most=EFFECT_SIGMAS_MAX),
        duration_s_max=duration_s,
        settle_s=math.ceil(_number(row, "settle_s", most=SETTLE_S_MAX)),
        recorded_at_ns=recorded_at_ns,
        approved_by=cells["approved_by"],
        citation=citation,
    )


def _channels(row: Row) -> tuple[str, ...]:
    channels = tuple(part.strip() for part in row.cells["channels"].split(";"))
    if not all(channels) or len(channels) > CHANNELS_MAX:
        raise SourceError(row.line, "channels is empty, or a name between two `;` is")
    for channel in channels:
        if WILDCARDS & set(channel) or EVERYTHING & set(re.findall(r"\w+", channel.lower())):
            raise SourceError(row.line, f"channel {channel!r} is a wildcard; name each exactly")
        if _SEVERAL.search(channel):
            raise SourceError(row.line, f"channel {channel!r} is several; put `;` between them")
        if not is_somebody(channel):
            raise SourceError(row.line, f"channel {channel!r} names none")
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


def undeclared_channels(extracts: Sequence[Extract]) -> Iterator[Quarantined]:
    """Notes on scope rows with a channel that no sensor table knows, where one has its asset.

    The row stands as it is: a name that the asset does not have masks nothing.
    """
    declared: dict[str, set[str]] = {}
    for sensor in (sensor for one in extracts for sensor in one.sensors):
        declared.setdefault(sensor.asset, set()).add(sensor.channel)
    for one in extracts:
        lines = {row.start: row.line for row in one.document.rows}
        for scope in one.scope_rows:
            known = declared.get(scope.asset, set()) | declared.get("", set())
            unknown = [name for name in scope.channels if name not in known]
            if scope.asset in declared and unknown:
                cause = (
                    f"nothing is hidden of {', '.join(map(repr, unknown))}: the sensor table of"
                    f" {scope.asset} has no such channel; it has {', '.join(sorted(known))}"
                )
                line = lines.get(scope.citation.start, 0)
                yield Quarantined(path=one.document.path, line=line, cause=cause)
