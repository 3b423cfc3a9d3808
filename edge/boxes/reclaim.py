"""A fenced box is to speak again: a person's word, which raises its generation above the other."""

from __future__ import annotations

import fcntl
import time
from typing import TYPE_CHECKING, Final

import msgspec

from edge.boxes.identity import GENERATION_MAX, Box, box_of, write_box
from edge.boxes.retirement import newest_row
from edge.errors import ConfigError
from edge.storage.append import append_whole
from edge.storage.journal import segments

if TYPE_CHECKING:
    from pathlib import Path

BOOK: Final = "boxes.jsonl"


def reclaim(state: Path, *, because: str) -> Box:
    """Let the box of a state directory speak from its next start on.

    It takes over as a restored one does: it hears first what the other has said. Raises ConfigError
    while a gateway runs with that state, and where no generation is left.
    """
    before = box_of(state)
    above = max(before.generation, before.fenced_by.generation if before.fenced_by else 0)
    if above >= GENERATION_MAX:
        raise ConfigError(
            f"{state}: no generation is left above {above}; whoever claimed it is no box of ours:"
            " clear the retained message on the topic `fence`, and see to its rights"
        )
    for _, path in segments(state / "journal")[-1:]:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(f"{state}: a gateway runs with it; stop it first") from error
    now_ms = time.time_ns() // 1_000_000
    box = msgspec.structs.replace(
        before,
        generation=above + 1,
        since_ms=now_ms,
        takes_over=True,
        outbox_row=newest_row(state),
        claimed=False,
        fenced_by=None,
    )
    said = {"at_ms": now_ms, "box": box.box, "generation": box.generation, "because": because}
    append_whole(state / BOOK, msgspec.json.encode(said) + b"\n")
    return write_box(state, box)
