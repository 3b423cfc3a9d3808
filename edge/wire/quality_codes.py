"""Quality of a value as each family of formats tells it: the same number means opposite things.

    OPC DA       two high bits of eight: 3 good, 1 uncertain, 0 bad. 192 is good, 0 is bad
    OPC UA       two high bits of 32: 0 good, 1 uncertain, 2 and 3 bad. 0 is good
    Siemens      0 bad, 1 uncertain, 2 and 3 good (PROFIBUS PA: 10 and 11 of two bits)
    words        good, or anything else

What is uncertain is not good: a value that its sender doubts is absent, and counted. What is none
of these codes is not good either; where nothing is told, a value is good.
"""

from __future__ import annotations

from typing import Final

BYTE_HIGH: Final = 0xC0
UA_SEVERITY_SHIFT: Final = 30
SIEMENS_GOOD_MIN: Final = 2
SIEMENS_CODE_MAX: Final = 3


def da_good(code: object) -> bool:
    """OPC DA, and what follows it: booleans, bytes of quality, words. None: not told."""
    if code is None or isinstance(code, bool):
        return code is not False
    if isinstance(code, int):
        return 0 <= code < 1 << 16 and code & BYTE_HIGH == BYTE_HIGH
    return isinstance(code, str) and word_good(code)


def ua_good(code: object) -> bool:
    """A StatusCode of OPC UA: a number, its symbol, or an object of both. None: not told."""
    if isinstance(code, dict):
        told = {str(key).casefold(): value for key, value in code.items()}
        number, symbol = told.get("code"), told.get("symbol")
        return (number is not None or symbol is not None or not told) and (
            ua_good(number) and ua_good(symbol)
        )
    if code is None:
        return True
    if isinstance(code, bool):
        return code
    if isinstance(code, int):
        return 0 <= code < 1 << 32 and code >> UA_SEVERITY_SHIFT == 0
    return isinstance(code, str) and word_good(code)


def siemens_good(code: object) -> bool:
    """A quality code of Siemens' databus, 0 to 3. None: not told."""
    if code is None:
        return True
    return (
        isinstance(code, int)
        and not isinstance(code, bool)
        and SIEMENS_GOOD_MIN <= code <= SIEMENS_CODE_MAX
    )


def word_good(word: str) -> bool:
    """A quality in words: `good`, whatever follows, in any case; numbers as text are DA's."""
    word = word.strip()
    return (
        da_good(int(word))
        if word.isascii() and word.isdigit() and len(word) < 6
        else (word.casefold().startswith("good"))
    )
