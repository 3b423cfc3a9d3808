"""What tables say that machines are called, and what logs say that shifts are.

A table with the columns `asset` and `aliases` gives other names, with `;` between them. In one of
sensors (`channel`) an alias is of the channel: it names the machine only where it is a tag, with a
number, of that machine alone ("PT-101A"). `functional_location` names a machine as it stands.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from datetime import time
from typing import TYPE_CHECKING, Final

from kb.reading.front_matter import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kb.reading.document import Document

ALIAS_CHARS_MIN: Final = 2
_BETWEEN: Final = re.compile(r"[;|]")
_TAG: Final = re.compile(r"(?=.*[^\W\d_])(?=.*\d)[\w./-]+")
_SHIFTS: Final = re.compile(r"^#\s*shifts:\s*(.+)$", re.MULTILINE)
_SHIFT: Final = re.compile(
    r"(early|late|night)\s+([01]\d|2[0-3]):([0-5]\d)\s?-\s?([01]\d|2[0-3]):([0-5]\d)"
)


def aliases_of(documents: Iterable[Document], assets: Collection[str]) -> dict[str, set[str]]:
    """Other names of known assets; one that several have is of none."""
    claimed: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        for row in document.rows:
            asset = row.cells.get("asset", "")
            if not is_asset_id(asset) or asset not in assets:
                continue
            names = [name.strip() for name in _BETWEEN.split(row.cells.get("aliases", ""))]
            if "channel" in row.cells:
                names = [name for name in names if _TAG.fullmatch(name)]
            names.append(row.cells.get("functional_location", "").strip())
            for name in names:
                if len(name) >= ALIAS_CHARS_MIN:
                    claimed[" ".join(name.lower().split())].add(asset)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, of in claimed.items():
        if len(of) == 1:
            found[next(iter(of))].add(name)
    return dict(found)


@functools.lru_cache(maxsize=256)
def shifts_of(text: str) -> dict[str, tuple[time, time]]:
    """Shifts that a log declares: `# shifts: early 06:00-14:00, late 14:00-22:00`."""
    declared = _SHIFTS.search(text)
    if declared is None:
        return {}
    return {
        name: (time(int(h1), int(m1)), time(int(h2), int(m2)))
        for name, h1, m1, h2, m2 in _SHIFT.findall(declared[1].lower())
    }
