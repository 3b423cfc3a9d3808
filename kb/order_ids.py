"""Ids of orders as texts name them: whole words, in any case."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kb.negation import calls_off

if TYPE_CHECKING:
    from collections.abc import Collection


def key_of(order_id: str) -> str:
    """Ids that people would take for the same."""
    return order_id.strip().casefold()


def mentions(said: str, keys: Collection[str], *, called_off: bool) -> set[str]:
    """Orders that a text names; only in lines that may call something off, if asked for."""
    if not called_off:
        return _named(said, keys)
    found: set[str] = set()
    for line in said.splitlines():
        about = _named(line, keys)
        if about and calls_off(line):
            found |= about
    return found


def _named(said: str, keys: Collection[str]) -> set[str]:
    folded = said.casefold()
    return {
        key
        for key in keys
        if key in folded and re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", folded)
    }
