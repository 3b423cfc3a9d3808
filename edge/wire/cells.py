"""Values of one message by tag and time, on their way into rows: a row for each time there is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge.batches import Readings
from edge.caps import OBJECTS_PER_MESSAGE_MAX, TAG_CHARS_MAX, VALUES_PER_MESSAGE_MAX
from edge.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Cells:
    """Values of one asset. duplicates: of one tag and time; the first counts."""

    def __init__(self, asset: str) -> None:
        self._asset = asset
        self._tags: dict[str, int] = {}  # to their column
        self._columns: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []
        self._texts: list[tuple[str, int, str]] = []
        self._units: dict[str, str] = {}
        self._bad = 0
        self.duplicates = 0

    def put(
        self, tag: str, t_ns: int, value: float | str | None, *, good: bool, unit: str = ""
    ) -> None:
        """One value; null, a text and bad quality make it absent."""
        if value is not None and not good:
            self._bad += 1
            value = None
        if isinstance(value, str):
            self._texts.append((tag, t_ns, value[:TAG_CHARS_MAX]))
            value = None
        if unit:
            self._units[tag] = unit
        self._columns.append(self._tags.setdefault(tag, len(self._tags)))
        self._times.append(t_ns)
        self._values.append(math.nan if value is None else float(value))

    def rows(self, *, topic: str) -> tuple[Readings, ...]:
        """Rows (n, k) of the times there are. Raises WireError for more than are taken."""
        if not self._columns:
            return ()
        t_ns, row = np.unique(np.array(self._times, np.int64), return_inverse=True)
        column, values = np.array(self._columns, np.intp), np.array(self._values, np.float64)
        n, k = len(t_ns), len(self._tags)
        place, first = np.unique(row * k + column, return_index=True)
        self.duplicates = len(values) - len(first)
        tags, values = tuple(self._tags), values[first]
        if n * k <= VALUES_PER_MESSAGE_MAX:
            matrix = np.full(n * k, np.nan)
            matrix[place] = values
            return (self._made(tags, t_ns, matrix.reshape(n, k), self._texts, bad=self._bad),)
        if n > OBJECTS_PER_MESSAGE_MAX:
            message = f"{n} times of {k} names, more than {OBJECTS_PER_MESSAGE_MAX}"
            raise WireError(message, reason="oversize", topic=topic)
        ends = np.searchsorted(place, np.arange(1, n + 1) * k).tolist()
        found, begin = [], 0
        for i, end in enumerate(ends):  # a row of its own tags for each time
            mine = tuple(tags[at] for at in (place[begin:end] % k).tolist())
            at_ns = t_ns[i : i + 1]
            texts = [text for text in self._texts if text[1] == at_ns[0]]
            bad = 0 if i else self._bad
            found.append(self._made(mine, at_ns, values[None, begin:end], texts, bad=bad))
            begin = end
        return tuple(found)

    def _made(
        self,
        tags: tuple[str, ...],
        t_ns: NDArray[np.int64],
        values: NDArray[np.float64],
        texts: Sequence[tuple[str, int, str]],
        *,
        bad: int,
    ) -> Readings:
        units = {tag: self._units[tag] for tag in tags if tag in self._units}
        return Readings(
            asset=self._asset,
            tags=tags,
            t_ns=t_ns,
            values=values,
            texts=tuple(texts),
            units=units or None,
            bad_quality=bad,
        )
