"""Names inside names of a directory: what somebody typed, where a filter or a DN has a meaning.

Without IO. All but letters and digits of ASCII is written as the hex of its bytes, which RFC 4514
and RFC 4515 both allow for any character: there is no list of dangerous ones that could be short.
"""

from __future__ import annotations

import string
from typing import Final

from edge.errors import ConfigError

PLAIN: Final = frozenset((string.ascii_letters + string.digits).encode())
_HEX: Final = frozenset(string.hexdigits)

# An RDN as pairs of (type, value) without regard to case, order of pairs, or blanks.
Rdn = frozenset[tuple[str, str]]


def escaped(text: str) -> str:
    r"""A text as a value of a filter or of a DN: `*` is `\2a`, and `ü` `\c3\bc`."""
    return "".join(
        chr(byte) if byte in PLAIN else f"\\{byte:02x}" for byte in text.encode("utf-8", "replace")
    )


def filled(template: str, **values: str) -> str:
    """A filter or a DN with each `{name}` replaced by a value, escaped."""
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", escaped(value))
    return template


def dn_parts(dn: str) -> tuple[Rdn, ...]:
    """A DN so that two spellings of one name are equal; () for the empty DN.

    Raises ConfigError for a text that is no DN.
    """
    rdns: list[Rdn] = []
    pairs: set[tuple[str, str]] = set()
    rest = dn
    while rest.strip():
        kind, equals, rest = rest.partition("=")
        kind = kind.strip().casefold()
        value, end, rest = _value(rest, dn)
        if not equals or not kind or not kind.replace("-", "").replace(".", "").isalnum():
            raise ConfigError(f"{dn!r} is no name of a directory; expected cn=...,dc=...")
        pairs.add((kind, value))
        if end != "+":
            rdns.append(frozenset(pairs))
            pairs = set()
        if end and not rest.strip():
            raise ConfigError(f"{dn!r} is no name of a directory: it ends with {end!r}")
    return tuple(rdns)


def _value(text: str, dn: str) -> tuple[str, str, str]:
    """A value without escapes, what ends it (`,`, `+`, "" at the end), and the rest behind."""
    value, i = bytearray(), 0
    while i < len(text) and text[i] not in ",;+":
        if text[i] != "\\":
            value += text[i].encode("utf-8", "replace")
            i += 1
            continue
        two = text[i + 1 : i + 3]
        if len(two) == 2 and set(two) <= _HEX:
            value.append(int(two, 16))
            i += 3
        elif two:
            value += two[0].encode("utf-8", "replace")
            i += 2
        else:
            raise ConfigError(f"{dn!r} is no name of a directory: it ends with a backslash")
    folded = " ".join(value.decode("utf-8", "replace").split()).casefold()
    end = text[i : i + 1].replace(";", ",")
    return folded, end, text[i + 1 :]
