"""Which language a text is in, by its commonest words; enough to say which model can read it."""

from __future__ import annotations

import re
from typing import Final

WORDS: Final = {
    "en": frozenset("the and of to in is for with be must are on this that or by not".split()),  # noqa: SIM905
    "de": frozenset("der die das und ist nicht mit den zu ein eine auf von wird bei sich".split()),  # noqa: SIM905
    "fr": frozenset("le la les et est des une pour dans que sur avec pas du sont au".split()),  # noqa: SIM905
    "es": frozenset("el los las y es de la que para con una por del no se en".split()),  # noqa: SIM905
    "it": frozenset("il lo gli e di che per con una non del della sono nel si le".split()),  # noqa: SIM905
    "nl": frozenset("de het een en van is niet met voor op aan dat worden bij te zijn".split()),  # noqa: SIM905
}
LOOKED_AT: Final = 3_000  # words
COMMON_MIN: Final = 5
LEAD_MIN: Final = 1.3  # over the next language; neighbours share words


def language_of(text: str) -> str:
    """ISO 639-1 code of a text, "" where its words do not tell."""
    found = re.findall(r"[^\W\d_]+", text.lower())[:LOOKED_AT]
    counts = sorted(
        ((sum(word in common for word in found), name) for name, common in WORDS.items()),
        reverse=True,
    )
    (most, name), (next_most, _) = counts[:2]
    return name if most >= COMMON_MIN and most >= LEAD_MIN * next_most else ""
