"""Samples in, what a streamed model gives for each out; see `models.graphs.streamed`.

What a layer keeps of a row is a ring, in which a sample is written over the oldest: with a tick's
sample nothing is moved but what layers take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.foreign.imported import VALID
from models.graphs.onnx_types import GIVEN, NEW, OLD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.foreign.imported import ImportedSpec
    from models.graphs.stream_rings import Piece
    from models.window_calls import Session

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Slots = NDArray[np.intp]

CELLS_MAX: Final = 2**17  # of what rows carry, a call: half a megabyte


class StreamCalls:
    """A streamed model, loaded: a graph of a step and one of blocks, and what they carry."""

    def __init__(
        self, step: Session, block: Session, pieces: tuple[Piece, ...], spec: ImportedSpec
    ) -> None:
        self._step, self._block, self._pieces, self._spec = step, block, pieces, spec
        self._round = np.lcm.reduce([piece.reach for piece in pieces])

    def over(self, fresh: F32, there: Mask, carried: F32, at: F32, *, fill: F32 | None) -> F32:
        """What the model gives (a, n, M) of samples (a, n, c).

        carried: (a, z), moved. at: (a,) samples that rows have seen, as far as that counts, moved.
        fill: (a, c) what stands for values that are not there, None: 0.
        """
        rows, n, _ = fresh.shape
        if not there.all():
            fresh = np.where(there, fresh, np.float32(0.0) if fill is None else fill[:, None])
        out = np.empty((rows, n, self._spec.errors), np.float32)
        size = max(1, CELLS_MAX // (carried.shape[1] + n * self._spec.channels))
        run = self._one if n == 1 else self._several
        for begin in range(0, rows, size):
            some = slice(begin, begin + size)
            feed: dict[str, Any] = {"x": fresh[some]}
            if self._spec.masks:
                feed[VALID] = there[some].astype(np.float32)
            out[some] = run(feed, carried[some], at[some].astype(np.intp))
        at += n
        at %= self._round
        return out

    def _one(self, feed: dict[str, Any], carried: F32, at: Slots) -> F32:
        """One sample of each row; what is old is brought together, what is new written over it."""
        feed = {name: value[:, 0] for name, value in feed.items()}
        together = bool((at == at[0]).all())
        rows: slice | Slots = slice(None) if together else np.arange(len(at))
        now: int | Slots = int(at[0]) if together else at
        width = sum(piece.taken for piece in self._pieces)
        old, to = np.empty((len(at), width), np.float32), 0
        for piece, ring in self._rings(carried):
            if not piece.ages:
                old[:, to : to + piece.taken] = ring.reshape(len(at), -1)
            for i, age in enumerate(piece.ages):
                begin = to + i * piece.width
                old[:, begin : begin + piece.width] = ring[rows, (now - age) % piece.reach]
            to += piece.taken
        given, new = self._step.run([GIVEN, NEW], feed | {OLD: old})
        to = 0
        for piece, ring in self._rings(carried):
            ring[rows, now % piece.reach] = new[:, to : to + piece.width]
            to += piece.width
        told: F32 = given[:, None]
        return told

    def _several(self, feed: dict[str, Any], carried: F32, at: Slots) -> F32:
        """Samples (a, n, c) of each row; what is carried is put in the order of time, and back."""
        n, rows = feed["x"].shape[1], np.arange(len(at))[:, None]
        before = [
            ring[rows, (at[:, None] + np.arange(piece.reach)) % piece.reach].reshape(len(at), -1)
            for piece, ring in self._rings(carried)
        ]
        feed |= {OLD: np.concatenate(before, axis=1)}
        given, new = self._block.run([GIVEN, NEW], feed)
        begin = 0
        for piece, ring in self._rings(carried):
            end = begin + piece.reach * piece.width
            newest = new[:, begin:end].reshape(ring.shape)
            ring[rows, (at[:, None] + n + np.arange(piece.reach)) % piece.reach] = newest
            begin = end
        told: F32 = given
        return told

    def _rings(self, carried: F32) -> Iterator[tuple[Piece, F32]]:
        """Each piece and its ring (a, reach, width), a view of what is carried."""
        begin = 0
        for piece in self._pieces:
            end = begin + piece.reach * piece.width
            yield piece, carried[:, begin:end].reshape(len(carried), piece.reach, piece.width)
            begin = end
