"""Which machine the row of an order or a calendar is of, where its cell holds no known id.

An exact id counts, then a name that tables of the plant give to one machine alone: a functional
location or an alias, as it stands. An id in other letters, `R1` for `r1`, is a guess: it proposes
and is never approved. What fits none stays as it is, and is told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from kb.manifest import Quarantined
from kb.reading.document import Form
from kb.reading.front_matter import is_asset_id
from kb.wording.asset_names import assets_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kb.reading.document import Document
    from kb.reading.rows import Row
    from kb.wording.asset_names import AssetWords

_LOCATIONS: Final = ("location", "functional_location", "technischer platz", "funcloc")
UNKNOWN_MAX: Final = 20  # names of one table that are told one by one


class AssetCells(msgspec.Struct, frozen=True):
    """Known ids, names that tables give (`as_stands`), and ids by their small letters.

    With no known ids, as in a folder of orders alone, every cell stands as it is.
    """

    known: frozenset[str] = frozenset()
    as_stands: dict[str, str] = {}
    by_letters: dict[str, str] = {}

    def asset_of(self, row: Row) -> tuple[str, bool]:
        """The machine of a row, "" where nothing names one; and whether that is sure."""
        cell = row.cells.get("asset", "").strip()
        places = [text for name, text in row.cells.items() if name.casefold() in _LOCATIONS]
        if cell and (cell in self.known or not self.known):
            return cell, True
        for name in [cell] if cell else places:
            if found := self.as_stands.get(_key(name)):
                return found, True
        for name in [cell] if cell else places:
            if found := self.by_letters.get(name.casefold()):
                return found, False
        return cell, True


def asset_cells(known: Iterable[str], names: Mapping[str, Collection[str]]) -> AssetCells:
    """known: ids that approved tables and manuals have; names: machine -> what tables call it."""
    known = frozenset(known)
    letters: defaultdict[str, set[str]] = defaultdict(set)
    for one in known:
        letters[one.casefold()].add(one)
    taken = {_key(one) for one in known}
    return AssetCells(
        known=known,
        as_stands={
            _key(name): asset
            for asset, more in sorted(names.items())
            for name in more
            if asset in known and _key(name) not in taken
        },
        by_letters={key: next(iter(of)) for key, of in letters.items() if len(of) == 1},
    )


def with_asset(row: Row, cells: AssetCells, words: AssetWords) -> tuple[Row, bool]:
    """A row with its machine, and whether that is sure; a calendar names one in words too."""
    asset, sure = cells.asset_of(row)
    if not asset and row.cells.get("event_id"):
        told = (row.cells.get(name, "") for name in ("location", "description"))
        named = [found for text in told if (found := assets_in(text, words))]
        asset = named[0][0] if named and len(named[0]) == 1 else ""
    if asset == row.cells["asset"]:
        return row, sure
    return msgspec.structs.replace(row, cells={**row.cells, "asset": asset}), sure


def unknown_assets(document: Document, cells: AssetCells) -> list[Quarantined]:
    """Notes on machines of orders and calendars that no table or manual knows, one for each."""
    if not cells.known or document.form not in (Form.ORDER, Form.SCHEDULE):
        return []
    first: dict[str, int] = {}
    often: Counter[str] = Counter()
    for row in document.rows:
        asset, _ = cells.asset_of(row)
        if is_asset_id(asset) and asset not in cells.known:
            first.setdefault(asset, row.line)
            often[asset] += 1
    told = [
        Quarantined(
            path=document.path,
            line=line,
            cause=f"asset {asset!r} is in no table or manual: its {often[asset]} rows concern no"
            " machine that is known; name it in a table with asset and aliases",
        )
        for asset, line in list(first.items())[:UNKNOWN_MAX]
    ]
    if more := list(first)[UNKNOWN_MAX:]:
        cause = f"{len(more)} more assets are in no table or manual, from {more[0]!r} on"
        told.append(Quarantined(path=document.path, line=first[more[0]], cause=cause))
    return told


def is_of_another(row: Row, words: AssetWords) -> bool:
    """Whether the description of a row names known machines, and not that of its cell."""
    named = assets_in(row.cells.get("description", ""), words)
    return bool(named) and row.cells["asset"] not in named


def _key(name: str) -> str:
    return " ".join(name.casefold().split())
