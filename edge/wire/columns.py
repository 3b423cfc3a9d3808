"""Columns of JSON, read straight into numbers: no look at each value from here.

Only what is exactly of the usual form is read; what these functions leave is for
`edge.wire.readings`, which says what it means. The numbers are those that it would read.
"""

from __future__ import annotations

import contextlib
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
    ts: list[int] | int | float | str | UnsetType = UNSET
    t0: Any = UNSET
    dt_ms: Any = UNSET
    asset: Any = UNSET
    seq: Any = UNSET
    units: dict[str, str] | UnsetType = UNSET


class OddColumns(Columns, forbid_unknown_fields=True, gc=False):
    """The same with times that are no whole numbers, which are looked at one by one."""

    ts: Any = UNSET


_DECODER: Final = msgspec.json.Decoder(Columns)
_ODD_DECODER: Final = msgspec.json.Decoder(OddColumns)
OTHERS: Final = ("ts", "t0", "dt_ms", "asset", "seq", "units")
assert {"tags", "v", *OTHERS} == set(Columns.__struct_fields__)


def read_columns(payload: bytes) -> tuple[dict[str, Any], NDArray[np.float64] | None] | None:
    """The keys of a message, and its rows (n, k); None: it has another form.

    Of rows that are too many, or not all of k values, there is no array. `ts` is one (n,) of int64
    where all times are whole numbers, as they mostly are.
    """
    if b'"tags"' not in payload:
        return None
    found = _decoded(payload)
    if found is None:
        return None
    rows, tags = found.v, found.tags
    body: dict[str, Any] = {"tags": tags, "v": rows}
    for name in OTHERS:
        if (value := getattr(found, name)) is not UNSET:
            body[name] = value
    n, k = len(rows), len(tags)
    if n * max(k, 1) > VALUES_PER_MESSAGE_MAX or list(map(len, rows)).count(k) < n:
        return body, None
    try:
        packed = struct.pack(f"={n * k}d", *chain.from_iterable(rows))
        values = np.frombuffer(bytearray(packed), np.float64)
    except struct.error:  # null among them, which becomes NaN
        values = np.array(list(chain.from_iterable(rows)), np.float64)
    if isinstance(found.ts, list) and found.__class__ is Columns:
        with contextlib.suppress(OverflowError):
            body["ts"] = np.array(found.ts, np.int64)
    return body, values.reshape(n, k)


def _decoded(payload: bytes) -> Columns | None:
    try:
        return _DECODER.decode(payload)
    except msgspec.ValidationError:
        pass
    except UNREADABLE:
        return None
    try:
        return _ODD_DECODER.decode(payload)
    except UNREADABLE:
        return None
