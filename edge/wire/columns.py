"""Columns of JSON, read straight into numbers: no look at each value from here.

Only what is exactly of the usual form is read; what these functions leave is for
`edge.wire.readings`, which says what it means. The numbers are those that it would read.
"""

from __future__ import annotations

import struct
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from edge.caps import VALUES_PER_MESSAGE_MAX
from edge.errors import UNREADABLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rows = list[list[float | None]]


class Columns(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The keys that such a message may have; numbers may be whole."""

    tags: list[str]
    v: Rows
    ts: Any = UNSET
    t0: Any = UNSET
    dt_ms: Any = UNSET
    asset: Any = UNSET
    seq: Any = UNSET
    units: dict[str, str] | UnsetType = UNSET


_DECODER: Final = msgspec.json.Decoder(Columns)


def read_columns(payload: bytes) -> tuple[dict[str, Any], NDArray[np.float64] | None] | None:
    """The keys of a message, and its rows (n, k); None: it has another form.

    Of rows that are too many, or not all of k values, there is no array.
    """
    if not (b'"v"' in payload and b'"tags"' in payload):
        return None
    try:
        found = _DECODER.decode(payload)
    except UNREADABLE:
        return None
    body = {name: getattr(found, name) for name in found.__struct_fields__}
    body = {name: value for name, value in body.items() if value is not UNSET}
    n, k = len(found.v), len(found.tags)
    if n * max(k, 1) > VALUES_PER_MESSAGE_MAX or not set(map(len, found.v)) <= {k}:
        return body, None
    flat = list(chain.from_iterable(found.v))
    try:
        values = np.frombuffer(bytearray(struct.pack(f"={n * k}d", *flat)), np.float64)
    except struct.error:  # null among them, which becomes NaN
        values = np.array(flat, np.float64)
    return body, values.reshape(n, k)
