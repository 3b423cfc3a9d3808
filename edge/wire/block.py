r"""Binary blocks: rows of an asset's tags as numbers alone, for gateways that can send them.

Little endian, nothing between the parts; who it is about says the topic.

    0   4   magic        89 41 4E 42 (\x89ANB), which no text begins with
    4   1   version      1
    5   1   flags        1: values are float64, else float32; 2: each row has its own time
    6   2   tags         k, at least 1
    8   4   rows         n
    12  4   name bytes   m, a multiple of 8
    16  8   first time   ns since 1970, of the first row; 0 where each row has its own
    24  8   step         ns from one row to the next; 0 where each row has its own
    32  m   names        UTF-8, one behind the other with a zero byte behind each, zeros to the end
        8n  times        ns since 1970, int64; only where each row has its own
            values       n rows of k; NaN: absent

A block that is not exactly so is refused as a whole.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from edge.caps import TAG_CHARS_MAX, VALUES_PER_MESSAGE_MAX
from edge.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAGIC: Final = b"\x89ANB"
VERSION: Final = 1
FLOAT64: Final = 1
OWN_TIMES: Final = 2
_HEAD: Final = struct.Struct("<4sBBHIIqq")
_PAD: Final = 8
_NAMES_KEPT: Final = 1024  # lists of names that are read only once,
_NAMES_BYTES_MAX: Final = 2048  # where they are no longer: some 100 bytes a name are kept


class Block(NamedTuple):
    """What a block holds. t_ns: (n,); values: (n, k) float64."""

    tags: tuple[str, ...]
    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]


def is_block(payload: bytes) -> bool:
    """Whether a payload begins as a block does."""
    return payload.startswith(MAGIC)


def read_block(payload: bytes, *, topic: str, t_ns_min: int, t_ns_max: int) -> Block:
    """Read a block whose times lie between these two. Raises WireError."""
    if len(payload) < _HEAD.size:
        raise _refused(topic, f"a block of {len(payload)} B, shorter than its head")
    _, version, flags, k, n, names_bytes, begin_ns, step_ns = _HEAD.unpack_from(payload)
    if version != VERSION or flags & ~(FLOAT64 | OWN_TIMES):
        raise _refused(topic, f"a block of version {version}, flags {flags}")
    if max(n, 1) * k > VALUES_PER_MESSAGE_MAX:
        raise _refused(
            topic, f"{max(n, 1) * k} values, more than {VALUES_PER_MESSAGE_MAX}", "oversize"
        )
    kind = np.dtype("<f8" if flags & FLOAT64 else "<f4")
    times_at = _HEAD.size + names_bytes
    values_at = times_at + (8 * n if flags & OWN_TIMES else 0)
    size = values_at + n * k * kind.itemsize
    if names_bytes % _PAD or size != len(payload):
        raise _refused(topic, f"a block of {len(payload)} B, by its head {size} B")
    names = payload[_HEAD.size : times_at]
    tags = (_known_names if len(names) <= _NAMES_BYTES_MAX else _names)(names, k)
    if tags is None:
        raise _refused(topic, f"not {k} different names of tags")
    if flags & OWN_TIMES:
        t_ns = np.frombuffer(payload, "<i8", n, times_at).astype(np.int64)
        outside = n > 0 and (int(t_ns.min()) < t_ns_min or int(t_ns.max()) > t_ns_max)
        if begin_ns or step_ns or outside:
            raise _refused(topic, "a time is out of range, or there are two kinds", "bad_time")
    else:
        if step_ns < 1 or begin_ns < t_ns_min or begin_ns + step_ns * max(n - 1, 0) > t_ns_max:
            raise _refused(topic, "first time and step lead out of range", "bad_time")
        t_ns = begin_ns + step_ns * np.arange(n, dtype=np.int64)
    values = np.frombuffer(payload, kind, n * k, values_at).astype(np.float64)
    return Block(tags, t_ns, values.reshape(n, k))


def shift_block(payload: bytes, shift_ns: int) -> bytes:
    """The same block at other times; what is none comes back as it is."""
    try:
        found = read_block(payload, topic="", t_ns_min=-(2**62), t_ns_max=2**62)
    except WireError:
        return payload
    exact = bool(payload[5] & FLOAT64)
    return encode_block(found.tags, found.t_ns + shift_ns, found.values, exact=exact)


def _refused(topic: str, message: str, reason: str = "wrong_shape") -> WireError:
    return WireError(message, reason=reason, topic=topic)


def _names(encoded: bytes, k: int) -> tuple[str, ...] | None:
    """The names of k tags; None: they are not."""
    try:
        names = encoded.decode().split("\0")
    except UnicodeDecodeError:
        return None
    told, rest = tuple(names[:k]), names[k:]
    good = k > 0 and len(set(told)) == k and all(0 < len(tag) <= TAG_CHARS_MAX for tag in told)
    ends = 0 < len(rest) <= _PAD and not any(rest)
    return told if good and ends else None


_known_names: Final = lru_cache(_NAMES_KEPT)(_names)


def encode_block(
    tags: Sequence[str],
    t_ns: NDArray[np.int64],
    values: NDArray[np.floating],
    *,
    exact: bool = True,
) -> bytes:
    """A block of rows (n, k) at times t_ns (n,); exact: as float64, else as float32.

    Times a constant step apart take no room. The names are such as a message may have.
    """
    names = b"".join(tag.encode() + b"\0" for tag in tags)
    names += bytes(-len(names) % _PAD)
    steps = np.diff(t_ns)
    regular = len(t_ns) > 0 and (not len(steps) or bool((steps == steps[0]).all() and steps[0] > 0))
    begin_ns = int(t_ns[0]) if regular else 0
    step_ns = (int(steps[0]) if len(steps) else 1) if regular else 0
    flags = (FLOAT64 if exact else 0) | (0 if regular else OWN_TIMES)
    head = _HEAD.pack(MAGIC, VERSION, flags, len(tags), len(t_ns), len(names), begin_ns, step_ns)
    times = b"" if regular else t_ns.astype("<i8").tobytes()
    return head + names + times + values.astype("<f8" if exact else "<f4").tobytes()
