"""Channels as manuals name them: exactly, by an alias, by a word that only one of them has.

What is left is matched by sense with a floor, for cells of tables that hold nothing but a name.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kb.retrieval.embed import Embedder

EXACT: Final = 0.9
BY_ALIAS: Final = 0.8
BY_WORD: Final = 0.6
BY_SENSE: Final = 0.4
SIMILARITY_MIN: Final = 0.72  # cosine; below, names of other things come as near
MARGIN_MIN: Final = 0.08  # to the next channel
PHRASE_WORDS_MAX: Final = 5
WORD_CHARS_MIN: Final = 4
_COMMON: Final = frozenset({"main", "mean", "total", "sensor", "value", "signal", "zone", "line"})
_SAME_UNITS: Final = (
    ("°c", "degc", "deg c", "c", "celsius"),
    ("l/min", "lpm", "litres/min", "liters/min", "l / min", "litre per minute"),
    ("%", "percent", "pct"),
    ("1/min", "rpm", "r/min"),
    ("bar", "bar(g)", "barg"),
    ("m3/h", "m³/h"),
)
_UNIT_OF: Final = {unit: same[0] for same in _SAME_UNITS for unit in same}


class KnownChannel(msgspec.Struct, frozen=True, kw_only=True):
    """One channel that texts may speak of; unit "" where nobody said it."""

    name: str
    unit: str = ""
    aliases: tuple[str, ...] = ()


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that a text names, where, and how surely (0 to 1)."""

    channel: KnownChannel
    start: int
    confidence: float


class ChannelNames:
    """Channels of a plant, to be found in texts."""

    def __init__(self, channels: Iterable[KnownChannel], embedder: Embedder | None = None) -> None:
        """Index the names; without `embedder` nothing is matched by sense."""
        self.channels = tuple({c.name: c for c in channels}.values())
        self._embedder = embedder
        aliases = Counter(a.casefold() for c in self.channels for a in set(c.aliases))
        words = Counter(word for c in self.channels for word in _heads(c))
        self._patterns = [
            *((_whole(c.name), c, EXACT) for c in self.channels),
            *(
                (_whole(alias), c, BY_ALIAS)
                for c in self.channels
                for alias in c.aliases
                if aliases[alias.casefold()] == 1 and len(alias) > 1
            ),
            *(
                (re.compile(rf"(?<![\w-]){re.escape(word)}s?(?![\w-])", re.IGNORECASE), c, BY_WORD)
                for c in self.channels
                for word in _heads(c)
                if words[word] == 1
            ),
        ]
        self._patterns.sort(key=lambda one: (-one[2], -len(one[0].pattern)))

    def inside(self, text: str) -> list[Named]:
        """Channels that a text names, in order; each once, as surely as it is named anywhere."""
        found: dict[str, Named] = {}
        rest = text
        for pattern, channel, confidence in self._patterns:
            match = pattern.search(rest)
            if match is None:
                continue
            rest = pattern.sub(lambda m: "\x00" * len(m[0]), rest)  # "Wire Feed" is not Feed
            named = Named(channel=channel, start=match.start(), confidence=confidence)
            found.setdefault(channel.name, named)
        return sorted(found.values(), key=lambda named: named.start)

    def only(self, phrase: str) -> Named | None:
        """The channel that a cell names and nothing else; by sense as a last resort."""
        phrase = phrase.strip(" `*_")
        found = self.inside(phrase)
        if len(found) == 1 and found[0].confidence >= BY_ALIAS:
            return found[0]
        if len(found) > 1 or not phrase or len(phrase.split()) > PHRASE_WORDS_MAX:
            return None
        if found and not _words(phrase) - {w for n in _names(found[0].channel) for w in _words(n)}:
            return found[0]
        return self._sensed(phrase)

    def _sensed(self, phrase: str) -> Named | None:
        if self._embedder is None or not self.channels:
            return None
        vector = self._embedder.embed(phrase)
        near = sorted(
            (
                (max(float(vector @ self._embedder.embed(n)) for n in _names(c)), c.name)
                for c in self.channels
            ),
            reverse=True,
        )
        best, name = near[0]
        second = near[1][0] if len(near) > 1 else 0.0
        if best < SIMILARITY_MIN or best - second < MARGIN_MIN:
            return None
        channel = next(c for c in self.channels if c.name == name)
        return Named(channel=channel, start=0, confidence=BY_SENSE)


def same_unit(one: str, other: str) -> bool:
    """Whether two spellings are one unit; nothing is converted."""
    return _unit(one) == _unit(other)


def _unit(unit: str) -> str:
    folded = " ".join(unit.casefold().split())
    return _UNIT_OF.get(folded, folded)


def _names(channel: KnownChannel) -> Sequence[str]:
    return (channel.name, *channel.aliases)


def _words(name: str) -> set[str]:
    words = re.findall(r"[^\W\d_]+", name.casefold())
    return {word for word in words if len(word) >= WORD_CHARS_MIN and word not in _COMMON}


def _heads(channel: KnownChannel) -> set[str]:
    """The words of its names that say what is measured: "flow" of "CO2 Weld Flow"."""
    found = (re.findall(r"[^\W\d_]{4,}", name.casefold()) for name in _names(channel))
    return {words[-1] for words in found if words} - _COMMON


def _whole(name: str) -> re.Pattern[str]:
    """A name as whole words; one word alone counts in its own spelling only, or in capitals."""
    parts = re.split(r"[\s_]+", name.strip())
    flags = re.IGNORECASE if len(parts) > 1 else 0
    body = r"[\s_]+".join(re.escape(part) for part in parts)
    return re.compile(rf"(?<![\w-]){body}(?![\w-])", flags)
