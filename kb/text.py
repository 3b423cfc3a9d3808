"""Text as it is stored: what cannot be seen is gone before the first offset is counted."""

from __future__ import annotations

import hashlib
import re
from typing import Final

QUOTE_CHARS_MAX: Final = 240  # what an alert can show; a longer passage is quoted from its best sentence

# Categories Cc and Cf without tab and newline, private use and surrogates: zero-width characters, marks that
# turn the direction of text, soft hyphens, tags. They hide words from readers or show others.
_UNSEEN: Final = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891"
    "\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ue000-\uf8ff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_LINE_ENDS: Final = re.compile("\r\n?|\u000b|\u000c|\u0085|\u2028|\u2029")


def clean_text(text: str) -> str:
    """Return the text with newlines as line feeds and without characters that cannot be seen.

    Nothing else changes: what is quoted later is what a reader of the file sees.
    """
    return _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))


def sha256_text(text: str) -> str:
    """Return the hash of the UTF-8 bytes of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def quote_end(text: str, start: int, end: int) -> int:
    """Return where a quote of text[start:end] ends so that it keeps its cap, at a word if there is one."""
    if end - start <= QUOTE_CHARS_MAX:
        return end
    cut = start + QUOTE_CHARS_MAX
    space = max(text.rfind(" ", start, cut + 1), text.rfind("\n", start, cut + 1))
    return space if space > start + QUOTE_CHARS_MAX // 2 else cut


def stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span without the white space at its ends."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
