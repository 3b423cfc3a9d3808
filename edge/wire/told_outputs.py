"""The part of `health` that tells of outputs beside our topics."""

from __future__ import annotations

import msgspec


class OutputPayload(msgspec.Struct, frozen=True, kw_only=True):
    """One output, since the start.

    dropped: given up, as more came than could wait; waiting: not said yet; refused: commands that
    came over it and were not carried out; cause: why the last try failed, "" it did not.
    """

    output: str
    sent: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    refused: int = 0
    cause: str = ""
