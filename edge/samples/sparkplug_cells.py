"""Values of one message of Sparkplug B, on their way into rows: a row for each time there is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge.batches import Readings
from edge.caps import OBJECTS_PER_MESSAGE_MAX, TAG_CHARS_MAX, VALUES_PER_MESSAGE_MAX
from edge.errors import WireError
from edge.samples.pending import count
from edge.wire.sparkplug import signed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.wire.sparkplug import Metric


class Cells:
    """Values of one message by tag and time, on their way into rows."""

    def __init__(self, asset: str) -> None:
        self._asset = asset
        self._tags: dict[str, int] = {}  # to their column
        self._columns: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []
        self._texts: list[tuple[str, int, str]] = []
        self._bad = 0

    def put(self, name: str, t_ns: int, metric: Metric, datatype: int) -> None:
        """One metric; null, a text and bad quality make its value absent."""
        value = metric.value
        if isinstance(value, str):
            self._texts.append((name, t_ns, value[:TAG_CHARS_MAX]))
            value = None
        if value is not None and not metric.good:
            self._bad += 1
            value = None
        self._columns.append(self._tags.setdefault(name, len(self._tags)))
        self._times.append(t_ns)
        self._values.append(math.nan if value is None else float(signed(value, datatype)))

    def rows(self, counts: dict[str, int], *, topic: str) -> tuple[Readings, ...]:
        """Rows (n, k) of the times there are; of two values for one place the first counts."""
        if not self._columns:
            return ()
        t_ns, row = np.unique(np.array(self._times, np.int64), return_inverse=True)
        column, values = np.array(self._columns, np.intp), np.array(self._values, np.float64)
        n, k = len(t_ns), len(self._tags)
        place, first = np.unique(row * k + column, return_index=True)
        count(counts, "duplicate", len(values) - len(first))
        tags, values = tuple(self._tags), values[first]
        if n * k <= VALUES_PER_MESSAGE_MAX:
            matrix = np.full(n * k, np.nan)
            matrix[place] = values
            return (self._made(tags, t_ns, matrix.reshape(n, k), first=True),)
        if n > OBJECTS_PER_MESSAGE_MAX:
            message = f"{n} times of {k} metrics, more than {OBJECTS_PER_MESSAGE_MAX}"
            raise WireError(message, reason="oversize", topic=topic)
        ends = np.searchsorted(place, np.arange(1, n + 1) * k).tolist()
        found, begin = [], 0
        for i, end in enumerate(ends):  # a row of its own tags for each time
            mine = tuple(tags[at] for at in (place[begin:end] % k).tolist())
            found.append(self._made(mine, t_ns[i : i + 1], values[None, begin:end], first=not i))
            begin = end
        return tuple(found)

    def _made(
        self, tags: tuple[str, ...], t_ns: NDArray[np.int64], values: NDArray[np.float64],
        *, first: bool,
    ) -> Readings:  # fmt: skip
        return Readings(
            asset=self._asset,
            tags=tags,
            t_ns=t_ns,
            values=values,
            texts=tuple(self._texts) if first else (),
            bad_quality=self._bad if first else 0,
        )
