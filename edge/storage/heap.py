"""Memory that is free in this process, given back to the system."""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


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
