"""Tag sets: where the tags of a message go, looked up once for each way to name them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.caps import TAG_SETS_TAGS_MAX
from edge.samples.pending import count

if TYPE_CHECKING:
    from edge.batches import Readings
    from edge.samples.layouts import AssetLayout
    from edge.samples.pending import F64

TAG_SETS_MAX: Final = 4096  # ways to name an asset's tags together that are looked up only once


@dataclass(frozen=True, slots=True)
class TagSet:
    """Where a message's tags go: `sources` of it to `columns` of the layout; `others` nowhere."""

    sources: tuple[int, ...]
    columns: tuple[int, ...]
    others: tuple[int, ...]


class TagSets:
    """Those that were seen."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, tuple[str, ...]], TagSet] = {}
        self.tags = 0  # of all of them: names without end must not fill the memory
        # The same names come from many assets, and go to the same columns.
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._alike: dict[TagSet, TagSet] = {}

    def of(self, layout: AssetLayout, readings: Readings, counts: dict[str, int]) -> TagSet:
        """Where the tags of a message go; values that go nowhere are counted."""
        key = (layout.asset, readings.tags)
        found = self.known.get(key)
        if found is None:
            known = [i for i, tag in enumerate(readings.tags) if tag in layout.columns]
            found = TagSet(
                tuple(known),
                tuple(layout.columns[readings.tags[i]] for i in known),
                tuple(i for i in range(len(readings.tags)) if i not in set(known)),
            )
            self._remember(layout.asset, readings.tags, found)
        if found.others:
            count(counts, "unknown_tag", given_of(readings.values[:, found.others]))
        if not readings.units:
            return found
        fits = [
            readings.units.get(readings.tags[i], "") in ("", layout.units[column])
            or layout.units[column] == ""
            for i, column in zip(found.sources, found.columns, strict=True)
        ]
        if all(fits):
            return found
        pairs = list(zip(found.sources, found.columns, strict=True))
        wrong = [i for (i, _), fit in zip(pairs, fits, strict=True) if not fit]
        count(counts, "wrong_unit", given_of(readings.values[:, wrong]))
        right = [pair for pair, fit in zip(pairs, fits, strict=True) if fit]
        return TagSet(tuple(i for i, _ in right), tuple(column for _, column in right), ())

    def _remember(self, asset: str, tags: tuple[str, ...], found: TagSet) -> None:
        """Look up the same tags only once; where there is no room, begin anew."""
        more = len(tags) + 1
        if more > TAG_SETS_TAGS_MAX // 16:
            return
        self.tags += more
        if self.tags > TAG_SETS_TAGS_MAX or len(self.known) >= TAG_SETS_MAX:
            self.known, self.tags = {}, more
            self._names, self._alike = {}, {}
        key = asset, self._names.setdefault(tags, tags)
        self.known[key] = self._alike.setdefault(found, found)


def given_of(values: F64) -> int:
    """How many values (n, k) are there at all, finite or not."""
    return int((~np.isnan(values)).sum())
