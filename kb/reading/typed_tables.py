"""Rows of failure-mode tables, limit tables and sensor schemas. Strict: a row is whole or it isn't.

None of them can keep an alert quiet: failure modes explain, limits ring, schemas give names.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

from kb.proposals.proposals import asset_of, hashed_id
from kb.reading.front_matter import EVERYTHING, SourceError, is_asset_id
from kb.reading.rows import number_of
from kb.reading.scope import CHANNELS_MAX, WILDCARDS
from kb.reading.status import is_somebody
from kb.records import FailureMode, Limit, Sensor, Sign
from kb.times import iso_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kb.reading.rows import Row
    from kb.records import Citation

FAILURE_MODE_COLUMNS: Final = frozenset({"mode", "asset", "channels", "cause", "action"})
LIMIT_COLUMNS: Final = frozenset(
    {"asset", "channel", "unit", "low_low", "low", "high", "high_high", "approved_by",
     "approved_at"}
)  # fmt: skip
SENSOR_COLUMNS: Final = frozenset({"asset", "channel", "unit", "low", "high", "aliases"})
CONTRADICTS: Final = "contradicts"  # of a proposed limit: what another text states instead
DIRECTIONS: Final = ("high", "low", "stuck", "missing", "any")
_LEVELS: Final = ("low_low", "low", "high", "high_high")


def failure_mode(row: Row, citation: Citation) -> FailureMode:
    """One way in which a machine fails, and how it shows. Raises SourceError."""
    cells = row.cells
    if not cells["mode"]:
        raise SourceError(row.line, "mode is empty")
    if not cells["channels"]:
        raise SourceError(row.line, "channels is empty: a mode that shows nowhere says nothing")
    if not is_somebody(cells.get("approved_by", "a table without the column")):
        raise SourceError(row.line, "approved_by names nobody: a proposed mode explains nothing")
    signs = tuple(_sign(part, row) for part in cells["channels"].split(";"))
    if len({sign.channel for sign in signs}) != len(signs) or len(signs) > CHANNELS_MAX:
        raise SourceError(row.line, f"a channel stands twice, or over {CHANNELS_MAX} do")
    recorded_at_ns = 0
    if cells.get("recorded_at"):
        recorded_at_ns = _time(row, "recorded_at")
    return FailureMode(
        mode_id=cells["mode"],
        name=cells.get("name") or cells["mode"].replace("_", " "),
        asset=_asset_or_any(row),
        signs=signs,
        cause=cells["cause"],
        action=cells["action"],
        recorded_at_ns=recorded_at_ns,
        citation=citation,
    )


def limit(row: Row, citation: Citation) -> Limit:
    """Approved engineering limits of one channel. Raises SourceError naming what is wrong."""
    cells = row.cells
    if not is_somebody(cells["approved_by"]):
        said = cells["approved_by"] or "empty"
        raise SourceError(
            row.line, f"approved_by is {said}, and names nobody: an unapproved limit rings nothing"
        )
    if cells.get(CONTRADICTS):
        raise SourceError(
            row.line,
            f"{CONTRADICTS}: {cells[CONTRADICTS]}; choose one, empty the cell, delete the others",
        )
    low_low, low, high, high_high = (_number(row, name) for name in _LEVELS)
    told = [level for level in (low_low, low, high, high_high) if level is not None]
    if not told:
        raise SourceError(row.line, f"no level is given; fill in one of {', '.join(_LEVELS)}")
    if any(a > b for a, b in itertools.pairwise(told)):
        raise SourceError(row.line, f"levels fall from left to right: {_LEVELS} must rise")
    if low is not None and low == high:
        raise SourceError(row.line, "low equals high: nothing would be within")
    return Limit(
        limit_id=hashed_id("limit", citation),
        asset=asset_of(row),
        channel=_channel(cells["channel"], row),
        unit=cells["unit"],
        low_low=low_low,
        low=low,
        high=high,
        high_high=high_high,
        recorded_at_ns=_time(row, "approved_at"),
        approved_by=cells["approved_by"],
        citation=citation,
    )


def sensor(row: Row, citation: Citation) -> Sensor:
    """What a channel measures and how people call it. Raises SourceError."""
    cells = row.cells
    low, high = _number(row, "low"), _number(row, "high")
    if low is not None and high is not None and low >= high:
        raise SourceError(row.line, f"low is {low:g}, not below high, {high:g}")
    aliases = (part.strip() for part in cells["aliases"].split(";"))
    return Sensor(
        asset=_asset_or_any(row),
        channel=_channel(cells["channel"], row),
        unit=cells["unit"],
        low=low,
        high=high,
        aliases=tuple(dict.fromkeys(alias for alias in aliases if alias)),
        citation=citation,
    )


def words_of(cells: dict[str, str], names: Sequence[str]) -> str:
    """The words of a row that a search should find."""
    said = (cells.get(name, "").replace("_", " ") for name in names)
    return ", ".join(text for text in said if text)


def _sign(text: str, row: Row) -> Sign:
    channel, colon, direction = text.rpartition(":")
    if not colon:
        channel, direction = text, "any"
    direction = direction.strip().lower()
    if direction not in DIRECTIONS:
        expected = ", ".join(DIRECTIONS)
        raise SourceError(row.line, f"direction {direction!r} of {text!r}, expected {expected}")
    return Sign(channel=_channel(channel.strip(), row), direction=direction)


def _channel(name: str, row: Row) -> str:
    words = set(re.findall(r"\w+", name.lower()))
    if not name or WILDCARDS & set(name) or EVERYTHING & words:
        raise SourceError(row.line, f"channel {name!r} is no exact name")
    return name


def _asset_or_any(row: Row) -> str:
    asset = row.cells["asset"]
    if asset and not is_asset_id(asset):
        raise SourceError(row.line, f"asset {asset!r} is no exact id; empty is any asset")
    return asset


def _number(row: Row, column: str) -> float | None:
    text = row.cells[column]
    if not text:
        return None
    try:
        return number_of(text)
    except ValueError as error:
        raise SourceError(row.line, f"{column} {text!r} is no number: {error}") from error


def _time(row: Row, column: str) -> int:
    try:
        return iso_ns(row.cells[column])
    except ValueError as error:
        raise SourceError(row.line, f"{column}: {error}") from error
