"""Errors of the gateway.

The world's mistakes, each saying where, what, what was expected, what to do.
"""

from __future__ import annotations

from edge.caps import ERROR_CHARS_MAX, TAG_CHARS_MAX


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
