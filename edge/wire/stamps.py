"""Time stamps of payloads: the unit that a number's size tells, and the decimals of a text."""

from __future__ import annotations

import re
from typing import Final

# From which size on a number is of the next smaller unit; below, seconds until the year 5138.
MS_MIN, US_MIN, NS_MIN = 10**11, 10**14, 10**17
_FRACTION: Final = re.compile(r"[.,]\d{6}(\d{1,3})", re.ASCII)


def unit_ns_of(number: float) -> int:
    """What one of a number's unit is in ns: seconds, milli-, micro- or nanoseconds."""
    size = abs(number)
    if size < MS_MIN:
        return 10**9
    if size < US_MIN:
        return 10**6
    return 10**3 if size < NS_MIN else 1


def nanoseconds_beyond(text: str) -> int:
    """The seventh to ninth decimals of a second, which datetime leaves out."""
    found = _FRACTION.search(text)
    return int(found.group(1).ljust(3, "0")) if found else 0
