"""Errors of the gateway.

The world's mistakes, each saying where, what, what was expected, what to do.
"""

from __future__ import annotations

from typing import Final

from edge.caps import ERROR_CHARS_MAX, TAG_CHARS_MAX

# What decoders of JSON, msgpack and TOML raise for bytes that are none of ours: besides their own
# errors, all of which are ValueErrors, for nesting that is too deep and for numbers too large.
UNREADABLE: Final = (ValueError, RecursionError, OverflowError)


class AndonError(Exception):
    """Something outside the program is wrong; the message says what to do about it."""


class WireError(AndonError):
    """A sender's payload cannot be used.

    `reason` is a short stable word that is counted and published.
    """

    def __init__(self, message: str, *, reason: str, topic: str) -> None:
        super().__init__(f"{topic[:TAG_CHARS_MAX]}: {message[:ERROR_CHARS_MAX]}")
        self.reason = reason
        self.topic = topic


class ConfigError(AndonError):
    """A configuration file or option is wrong."""


class RecordingError(AndonError):
    """A recording, table or mapping cannot be read."""


class JournalError(AndonError):
    """A journal cannot be read or written."""
