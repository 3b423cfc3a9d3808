"""Words of messages about what a configuration says: names that were meant, bounds of numbers."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def hint(name: str, known: Sequence[str]) -> str:
    """The nearest known name, as the end of a message about an unknown one."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def out_of_bounds(key: str, value: float, low: float, high: float) -> str:
    """What is wrong with a number; sizes as people say them."""
    said = _size if key.endswith("bytes_max") else "{:g}".format
    given = said(value) if -1e300 < value < 1e300 else "beyond all bounds"
    return f"{key} is {given}, expected {said(low)} to {said(high)}"


def _size(count: float) -> str:
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= size and count % size == 0:
            return f"{count / size:.0f} {unit} ({count:.0f})"
    return f"{count:.0f} bytes"
