"""Letters that hide a word: of other scripts among Latin ones, of no width, with blanks between."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Greek letters that stand beside Latin ones in units and formulas
_OF_UNITS: Final = frozenset("\u03bc\u03a9\u03c9\u0394\u03b4\u03c6\u03c0\u03c3\u03b1\u03b2\u03b3")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_SPACED: Final = re.compile(r"(?<![^\W_])[^\W\d_](?:[ .*_\u00b7-][^\W\d_]){3,}(?![^\W_])")


def clear(text: str) -> str:
    """A text with compatible letters as one, without what cannot be seen, "c a n c" closed up."""
    seen = "".join(
        c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf"
    )
    return _SPACED.sub(lambda match: re.sub(r"[^\w]|_", "", match[0]), seen)


def is_disguised(text: str) -> bool:
    """Whether a word mixes scripts: what it says to a reader is not what it is."""
    if text.isascii():
        return False
    return any(len(_scripts(word)) > 1 for word in _WORD.findall(clear(text)))


def _scripts(word: str) -> set[str]:
    letters = (c for c in word if c not in _OF_UNITS)
    return {"LATIN" if c.isascii() else unicodedata.name(c, "?").split()[0] for c in letters}
