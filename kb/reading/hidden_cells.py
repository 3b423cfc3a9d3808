"""Rows and columns of a workbook that are hidden on their sheet.

The reader of cells goes through a sheet without looking at how it is shown, so that is read apart.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from typing import Final, TypeAlias

from kb.reading.front_matter import SourceError
from kb.reading.pages import refuse_bomb

Hidden: TypeAlias = tuple[frozenset[int], frozenset[int]]  # rows and columns, from 1
HIDDEN_NONE: Final[Hidden] = (frozenset(), frozenset())
COLUMNS_MAX: Final = 16_384  # of any sheet
_BOOK: Final = "xl/workbook.xml"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"


def hidden_parts(stored: bytes) -> dict[str, Hidden]:
    """What is hidden on each sheet, by its title. Raises SourceError."""
    from defusedxml.ElementTree import fromstring  # noqa: PLC0415 - only where there are workbooks

    refuse_bomb(stored)
    try:
        with zipfile.ZipFile(io.BytesIO(stored)) as packed:
            targets = {
                part.get("Id"): posixpath.join("xl", part.get("Target", "")).lstrip("/")
                for part in fromstring(packed.read(_RELATIONS))
            }
            sheets = [
                (part.get("name", ""), value)
                for part in fromstring(packed.read(_BOOK)).iter()
                if _named(part.tag) == "sheet"
                for key, value in part.attrib.items()
                if _named(key) == "id"
            ]
            members = set(packed.namelist())
            named = {n: targets[r] for n, r in sheets if targets.get(r, "") in members}
            # a part is read once, however many sheets a damaged book stores as it
            parts = {place: _of_sheet(packed.read(place)) for place in sorted(set(named.values()))}
            return {name: parts[place] for name, place in named.items()}
    except Exception as error:  # the readers break in many ways on what is no workbook
        cause = f"cannot be read as a workbook: {type(error).__name__}: {error}"
        raise SourceError(0, cause) from error


def _of_sheet(stored: bytes) -> Hidden:
    from defusedxml.ElementTree import iterparse  # noqa: PLC0415

    rows: set[int] = set()
    columns: set[tuple[int, int]] = set()
    number, by_default = 0, False
    for _, part in iterparse(io.BytesIO(stored), events=("end",)):
        name = _named(part.tag)
        if name == "sheetFormatPr":
            by_default = _true(part.get("zeroHeight"))
        elif name == "col" and (_true(part.get("hidden")) or _slight(part.get("width"))):
            last = min(int(part.get("max", "0")), COLUMNS_MAX)
            columns.add((max(int(part.get("min", "1")), 1), last))
        elif name == "row":
            number = int(part.get("r", number + 1))
            shown = part.get("hidden")
            if _true(shown) or (by_default and shown is None) or _slight(part.get("ht")):
                rows.add(number)
            part.clear()
    return frozenset(rows), _columns(columns)


def _columns(spans: set[tuple[int, int]]) -> frozenset[int]:
    """Every column of spans (first, last), each counted once however much they overlap."""
    columns: set[int] = set()
    reached = 0
    for first, last in sorted(spans):
        columns.update(range(max(first, reached + 1), last + 1))
        reached = max(reached, last)
    return frozenset(columns)


def _named(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]


def _true(said: str | None) -> bool:
    return said in ("1", "true")


def _slight(said: str | None) -> bool:
    """Whether a height (points) or a width (characters) is too small for anything to be seen."""
    return said is not None and float(said) < 1.0
