"""Machines that a log names in its own words: "the welder on the left" for "left hand welder".

Only for work that is plainly told and whose machine no exact name gives; never for anything with a
number in it, which is an id or a slip of one. What is found so is of low confidence.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from kb.retrieval.embed import shipped_embedder

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

SIMILARITY_MIN: Final = 0.7  # cosine
MARGIN_MIN: Final = 0.08  # to the next machine
WORDS_MIN: Final = 2  # "oven" may be any oven
WORDS_MAX: Final = 8
# words of which the model of sense thinks alike, and which name another machine
_OPPOSED: Final = (
    "left right", "upper lower top bottom", "front rear back", "north south east west",
    "first second third fourth last", "inlet outlet suction discharge inner outer", "new old",
    "hot cold", "supply return", "master slave", "in out", "big small large", "inside outside",
    "one two three four five six", "a b c d e f", "primary secondary", "main standby spare duty",
)  # fmt: skip
_SIDES: Final = frozenset(" ".join(_OPPOSED).split())


class NameSense:
    """Names of machines by their sense. Only names of words count, not ids."""

    def __init__(self, names: Mapping[str, Collection[str]]) -> None:
        """names: asset -> what it is called."""
        self._names = [
            (name, asset)
            for asset, all_ in sorted(names.items())
            for name in sorted(all_)
            if not re.search(r"\d", name) and len(name.split()) >= WORDS_MIN
        ]

    def asset_of(self, phrase: str) -> str:
        """The one machine that a phrase means; "" when none or several may be meant."""
        words = phrase.lower().split()
        if not self._names or re.search(r"\d", phrase) or not WORDS_MIN <= len(words) <= WORDS_MAX:
            return ""
        vector = _vector(" ".join(words))
        best: dict[str, float] = {}
        for name, asset in self._names:
            if _sides(name) != _sides(phrase):
                continue
            near = float(vector @ _vector(name))
            best[asset] = max(best.get(asset, -1.0), near)
        ranked = sorted(((near, asset) for asset, near in best.items()), reverse=True)
        if not ranked or ranked[0][0] < SIMILARITY_MIN:
            return ""
        if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < MARGIN_MIN:
            return ""
        return ranked[0][1]


def _sides(text: str) -> frozenset[str]:
    return _SIDES & set(re.findall(r"[a-z]+", text.lower()))


@functools.lru_cache(maxsize=4096)
def _vector(text: str) -> NDArray[np.float32]:
    return shipped_embedder().embed(text)
