"""Memory that is free in this process, given back to the system."""

from __future__ import annotations

import ctypes
import functools
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Of the GNU C library's struct mallinfo2, in its order.
_FIELDS: Final = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


def give_back() -> None:
    """Give back what is free in the heap, for a moment when much of it has become so.

    The C library keeps it otherwise, in as many pools as threads have asked, and a process that
    takes over one snapshot after another would grow by what none of them needs. Does nothing where
    the C library has no such call. Takes milliseconds, in which other threads run on.
    """
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], object]:
    found: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found or (lambda _: None)


def free_mb() -> float:
    """What the C library holds in its heap and nobody uses, MB; NaN where it does not tell."""
    return _free() / 1e6


@functools.cache
def _told() -> Callable[[], object] | None:
    class Info(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS.split())

    found = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if found is not None:
        found.restype = Info
    return found


def _free() -> float:
    told = _told()
    return math.nan if told is None else float(getattr(told(), "fordblks"))  # noqa: B009 - its own
