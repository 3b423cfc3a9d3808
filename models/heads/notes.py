"""What a graph says of its heads in its metadata: whose they are, and what their numbers mean."""

from __future__ import annotations

from typing import Final

import msgspec

from models.errors import UNREADABLE, ModelError

NORMAL: Final = "normal"  # the label of a window in which nothing is wrong
NOTES: Final = "andon_heads"  # in the metadata: a HeadNote for each head


class HeadNote(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a head is; the n-th note is of the n-th head in the graph. metrics: None not known."""

    assets: tuple[str, ...]
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    counts: dict[str, int]
    metrics: dict[str, float | None]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """One head of a loaded graph. windows: labelled ones that it was fitted on."""

    index: int
    classes: tuple[str, ...]
    windows: int


def notes_in(text: str) -> tuple[HeadNote, ...]:
    """The notes in a graph's metadata, () of none. Raises ModelError where they are damaged."""
    try:
        return msgspec.json.decode(text, type=tuple[HeadNote, ...]) if text else ()
    except UNREADABLE as error:
        raise ModelError(
            f"model.onnx names heads that are none of this version: {error}"
        ) from error
