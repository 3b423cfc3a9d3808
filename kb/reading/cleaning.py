"""Text as a reader sees it. Apart from the readers, which load slowly and which a gateway lacks."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_UNSEEN: Final = ("Cf", "Cs", "Co")  # zero-width and direction marks, surrogates, private use


def clean(text: str) -> str:
    """Text without control, zero-width and direction characters; lines end with a line feed.

    What remains is what a reader sees: nothing hides in a quote. Line numbers do not change.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text)
    if text.isascii():
        return text
    return "".join(c for c in text if unicodedata.category(c) not in _UNSEEN)
