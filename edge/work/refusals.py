"""Refusals: messages that could not be used are counted, and the first of each kind is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.caps import TAG_CHARS_MAX

if TYPE_CHECKING:
    from edge.desk import Desk
    from edge.errors import WireError
    from edge.state import EngineState

FIRST_NOTES_MAX: Final = 256  # kinds of invalid payload that get their one log line


def refused(error: WireError, *, state: EngineState, desk: Desk) -> None:
    """Count an unusable payload; the first of each kind is logged with topic and cause."""
    name = f"invalid_{error.reason}"
    state.counts[name] = state.counts.get(name, 0) + 1
    topic = error.topic[:TAG_CHARS_MAX]
    kind = f"{error.reason} {topic}"
    if kind not in state.noted and len(state.noted) < FIRST_NOTES_MAX:
        state.noted.append(kind)
        desk.note(
            "payload_refused",
            level="warning",
            topic=topic,
            reason=error.reason,
            cause=str(error),
        )
