"""Names: how alike two names of tags are, whatever joins their words.

A name is a hint and no proof: what is alike is proposed to a person.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final

from edge.discovery.guesses import words_of

# Words that say that a tag is a measured value, as most are.
FILLERS: Final = frozenset(
    [
        *("pv", "val", "value", "act", "actual", "raw", "scaled", "in", "input", "ai", "meas"),
        *("measured", "measurement", "tag", "data", "process", "new", "plc", "out"),
    ]
)
# Words of which one alone makes another quantity of the same place.
APART: Final = frozenset(
    [
        *("sp", "setpoint", "set", "cmd", "command", "target", "min", "max", "hi", "lo", "high"),
        *("low", "hh", "ll", "limit", "alarm", "alm", "warn", "avg", "average", "mean", "total"),
        *("sum", "rate", "ref", "reference", "status", "quality", "mode", "enable", "count"),
    ]
)
ANOTHER: Final = 0.4  # of names that mean another place or quantity, at most
_NUMBER: Final = re.compile(r"\d+")
_VERSION: Final = re.compile(r"(?i)[_. -]v\d$")


def alike(one: str, other: str) -> float:
    """How alike two names are, from 0 to 1: they are the same, but for what joins their words."""
    whole = _alike(one, other)
    tails = tuple(re.split(r"[./]", name)[-1] for name in (one, other))
    return max(whole, 0.95 * _alike(*tails)) if tails != (one, other) else whole


def _alike(one: str, other: str) -> float:
    one, other = _VERSION.sub("", one), _VERSION.sub("", other)
    words, others = words_of(one), words_of(other)
    kept, kept_others = _kept(words), _kept(others)
    joined, joined_others = "".join(kept), "".join(kept_others)
    ratio = SequenceMatcher(None, joined, joined_others, autojunk=False).ratio()
    shared = len(set(kept) & set(kept_others)) / max(len(set(kept) | set(kept_others)), 1)
    found = max(ratio, shared)
    if set(words) & APART != set(others) & APART or _numbers(one) != _numbers(other):
        return min(found, ANOTHER)
    return found


def _kept(words: tuple[str, ...]) -> list[str]:
    kept = [word.lstrip("0") or word for word in words if word not in FILLERS]
    return kept or list(words)


def _numbers(name: str) -> list[int]:
    """Numbers of a name, which tell places apart."""
    return [int(number) for number in _NUMBER.findall(name)[:8]]
