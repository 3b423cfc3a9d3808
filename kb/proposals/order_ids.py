"""Ids of orders as texts name them: whole words, in any case."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from kb.wording.negation import calls_off

if TYPE_CHECKING:
    from collections.abc import Collection

_TOKEN: Final = re.compile(r"[\w-]+")


_ZEROS: Final = re.compile(r"(?<![\w-])0+(?=\d+(?![\w-]))")  # before a number that stands alone


def key_of(order_id: str) -> str:
    """Ids that people would take for the same: in any case, numbers without zeros before them."""
    return spelled(order_id).casefold()


def spelled(order_id: str) -> str:
    """An id as it is written, a number without zeros before it: systems pad them differently."""
    text = order_id.strip()
    return text.lstrip("0") or "0" if text.isdecimal() else text


class OrderIds:
    """Keys of many orders, to be found in many texts: each text costs its own words only.

    A key stands between characters that are no part of a word, so every word of it is a whole word
    of the text; each key is looked up under the rarest of its words.
    """

    def __init__(self, keys: Collection[str]) -> None:
        words = {key: tuple(dict.fromkeys(_TOKEN.findall(key))) for key in keys}
        used = Counter(word for found in words.values() for word in found)
        self._by_word: defaultdict[str, list[str]] = defaultdict(list)
        self._wordless: list[str] = []
        for key, found in words.items():
            if found:
                self._by_word[min(found, key=used.__getitem__)].append(key)
            else:
                self._wordless.append(key)

    def named_in(self, said: str) -> set[str]:
        """Keys that a text names."""
        folded = _folded(said)
        found = {
            key
            for word in set(_TOKEN.findall(folded))
            for key in self._by_word.get(word, ())
            if key == word or _stands(key, folded)
        }
        return found | {key for key in self._wordless if _stands(key, folded)}


def mentions(said: str, keys: Collection[str], *, called_off: bool) -> set[str]:
    """Orders that a text names; only in lines that may call something off, if asked for."""
    if not called_off:
        folded = said.casefold()
        return {key for key in keys if _stands(key, folded)}
    return called_off_in(said, OrderIds(keys))


def called_off_in(said: str, ids: OrderIds) -> set[str]:
    """Orders that a text names in a line that may call them off."""
    found: set[str] = set()
    for line in said.splitlines():
        about = ids.named_in(line)
        if about and calls_off(line):
            found |= about
    return found


def _folded(said: str) -> str:
    """A text in which ids stand as their keys do."""
    return _ZEROS.sub("", said.casefold())


def _stands(key: str, folded: str) -> bool:
    """Whether a key stands in a text as whole words."""
    return key in folded and bool(re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", folded))
