"""Waiting for a condition with a deadline, in place of sleeps."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NEVER = threading.Event()


def wait_until(
    condition: Callable[[], object], *, seconds_max: float = 20.0, what: str = "it"
) -> None:
    """Return as soon as `condition` holds; fail, naming `what`, when it does not in time."""
    deadline_s = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline_s, f"{what} did not happen in {seconds_max} s"
        _NEVER.wait(0.005)
