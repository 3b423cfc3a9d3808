"""Logging: one line a transition, as data, to stderr."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.records import Note


def shown(text: str) -> str:
    """A text for a terminal: what comes from elsewhere makes no lines and commands no screen."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Plain(logging.Formatter):
    """Date and time, level, event and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        given = getattr(record, "fields", {}).items()
        fields = " ".join(f"{name}={shown(str(value))}" for name, value in given)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        text = f"{stamp} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure(*, level: str, as_json: bool) -> None:
    """Send the log of this process to stderr. Raises ValueError for a level that is none."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if as_json else _Plain())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # It tells on each start which of its builds this processor cannot use, like errors.
    logging.getLogger("faiss").setLevel(logging.WARNING)


def write(log: logging.Logger, note: Note) -> None:
    """Write a note of the engine."""
    log.log(getattr(logging, note.level.upper()), note.name, extra={"fields": note.fields})
