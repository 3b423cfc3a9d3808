"""Errors of the knowledge base: each says what is wrong, where, and what to do about it."""

from __future__ import annotations

from typing import Final

# What decoders of JSON, msgpack and TOML raise for bytes that are none of ours: besides their own
# errors, all of which are ValueErrors, for nesting that is too deep and for numbers too large.
UNREADABLE: Final = (ValueError, RecursionError, OverflowError)


# What values of the right types and of anybody's making can break in code that trusts its own.
UNSOUND: Final = (
    *UNREADABLE,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
)


class KnowledgeError(Exception):
    """A folder of texts, a snapshot, a query or the text model cannot be used."""
