"""Operator logs: one line is one entry, with the time at which it was written.

`2026-03-02 06:10 R1 gas flow cal done, JT`. A first line `# zone: Europe/Berlin` declares the zone of the stamps;
without it each stamp carries its offset. In the hour that clocks repeat in autumn a stamp is read as the
later one: nobody may have known of the work before it was written down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kb.errors import KnowledgeError
from kb.tables import BadRow
from kb.text import stripped
from kb.times import parse_moment, to_ns, zone_of

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

LINES_MAX: Final = 200_000
LINE_CHARS_MAX: Final = 4_000  # a longer line is not an entry of a log

_ZONE: Final = re.compile(r"#\s*zone:\s*(\S+)\s*$", re.IGNORECASE)
_ENTRY: Final = re.compile(
    r"\s*\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?\s?(?:Z|[+-]\d\d:?\d\d)?)\]?[\s,;|]+(?=\S)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a log. start, end: span of the whole line; said: where its words begin."""

    line: int
    start: int
    end: int
    said: int
    moment: datetime  # aware, in the zone of the file
    t_ns: int


def read_log(text: str) -> tuple[list[Entry], list[BadRow], tzinfo | None]:
    """Read a log: entries, lines that cannot be read, and the zone the file declares.

    Raises KnowledgeError for a zone that is unknown.
    """
    zone: tzinfo | None = None
    entries: list[Entry] = []
    bad: list[BadRow] = []
    at = 0
    for number, line in enumerate(text.split("\n"), start=1):
        start, at = at, at + len(line) + 1
        if not line.strip():
            continue
        if line.lstrip().startswith("#"):
            declared = _ZONE.match(line.strip())
            zone = zone_of(declared.group(1)) if declared else zone
            continue
        try:
            entries.append(_entry(text, number, start, start + len(line), zone))
        except KnowledgeError as error:
            bad.append(BadRow(line=number, cause=str(error)))
    return entries, bad, zone


def _entry(text: str, number: int, start: int, end: int, zone: tzinfo | None) -> Entry:
    if number > LINES_MAX or end - start > LINE_CHARS_MAX:
        raise KnowledgeError(f"over {LINES_MAX} lines or {LINE_CHARS_MAX} characters a line")
    match = _ENTRY.match(text, start, end)
    if not match:
        message = "begins with no time stamp and words; expected '2026-03-02 06:10 R1 gas flow cal done'"
        raise KnowledgeError(message)
    moment = parse_moment(match.group(1).replace(" +", "+").replace(" -", "-"), zone=zone, later=True)
    start, end = stripped(text, start, end)
    return Entry(
        line=number, start=start, end=end, said=match.end(), moment=moment, t_ns=to_ns(moment)
    )
