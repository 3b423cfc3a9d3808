"""A smaller input that fails in the same way: parts left out, then bytes made plain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def smallest(data: bytes, fails: Callable[[bytes], bool], *, tries_max: int = 3_000) -> bytes:
    """The smallest input found in so many tries for which `fails` still holds."""
    tries = 0

    def holds(one: bytes) -> bool:
        nonlocal tries
        tries += 1
        return tries <= tries_max and fails(one)

    step = max(len(data) // 2, 1)
    while step >= 1 and tries < tries_max:
        at, before = 0, len(data)
        while at < len(data):
            less = data[:at] + data[at + step :]
            if holds(less):
                data = less
            else:
                at += step
        if len(data) == before:
            if step == 1:
                break
            step //= 2
        step = min(step, max(len(data) // 2, 1))
    for i in range(len(data)):
        plain = data[:i] + b"0" + data[i + 1 :]
        if data[i : i + 1] != b"0" and holds(plain):
            data = plain
    return data
