"""Windows in, what a model of products gives for each out; see `models.graphs.products`.

The wide product is taken where the windows lie, without bringing them into a buffer first; of
blocks of samples by `models.sliding`. What is behind it is small, and run over many windows at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.graphs.onnx_types import ENERGY, GIVEN, KNOWN_MAX, PRODUCTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.foreign.imported import ImportedSpec
    from models.sliding import Room, Sliding
    from models.window_calls import Session

    F32 = NDArray[np.float32]

CELLS_MAX: Final = 2**17  # w c of all windows that are multiplied at once: half a megabyte
WINDOWS_MAX: Final = 2048  # whose products are kept at once
BOUND_MAX: Final = 4  # sizes: the whole step, and what is left of the rows
ROOMS_MAX: Final = 4  # the whole step, and what is left of the rows, of blocks of two sizes
BLOCK_FROM: Final = 8  # samples of a row: fewer are a small part of a tile
LOUD: Final = np.float32(64.0)  # sigmas: a row is multiplied window by window, so that they stay
# what they are beside it, in float32


class ProductParts(NamedTuple):
    """A model of products, loaded: as `models.graphs.products.Products`.

    blocks: what slides over blocks of samples, and before it what is behind its planes.
    """

    rest: Session
    wide: F32
    offset: F32
    twice: F32
    blocks: tuple[tuple[Session, Sliding], ...]


class ProductCalls:
    """A model of products, loaded. Its buffers are in use while it is asked."""

    def __init__(self, parts: ProductParts, spec: ImportedSpec) -> None:
        self._rest, self._wide, self._offset, self._twice = parts[:4]
        self._blocks = parts.blocks
        self._fixed, self._channels = spec.origin.batch, spec.channels
        self._step = int(np.clip(CELLS_MAX // len(self._wide), 1, WINDOWS_MAX))
        room = -(-WINDOWS_MAX // (self._fixed or 1)) * (self._fixed or 1)
        self._in = np.zeros((room, len(self._offset)), np.float32), np.zeros(room, np.float32)
        self._out = np.zeros((room, 1), np.float32)
        self._bound: dict[tuple[int, int], Any] = {}
        self._rooms: dict[tuple[int, int, int], Room] = {}

    def over(self, source: F32, begin: int | NDArray[np.intp], rows: NDArray[np.intp]) -> F32:
        """What the model gives (m, 1) for windows that lie in one piece in a source (a, w' c).

        rows: (m,) that they are of. begin: where each begins (m,), or all, which are then of all
        rows.
        """
        wide = len(self._wide)
        out = np.empty(len(rows), np.float32)
        apart = source if isinstance(begin, int) else sliding_window_view(source, wide, axis=1)
        products, energy = self._in
        for first in range(0, len(rows), WINDOWS_MAX):
            last = min(first + WINDOWS_MAX, len(rows))
            for at in range(first, last, self._step):
                to = min(at + self._step, last)
                if isinstance(begin, int):
                    flat = source[at:to, begin : begin + wide]
                else:
                    flat = apart[rows[at:to], begin[at:to]]
                here = slice(at - first, to - first)
                np.matmul(flat, self._wide, out=products[here])
                products[here] += self._offset
                np.vecdot(flat, flat, out=energy[here])
                energy[here] -= flat @ self._twice
            out[first:last] = self._ask(last - first)
        return out[:, None]

    def slides(self, n: int) -> bool:
        """Whether blocks of n samples are for `block`."""
        return bool(self._blocks) and n >= BLOCK_FROM

    def block(self, past: F32, fresh: F32) -> F32:
        """What the model gives (a, n) for windows that end with each of fresh (a, n, c).

        past: (a, w - 1, c) before them. A window with MISSING gives anything.
        """
        rows, n, _ = fresh.shape
        out = np.empty((rows, n), np.float32)
        made = [-(-n // sliding.tile) * sliding.tile for _, sliding in self._blocks]
        least = min(made)
        block = self._blocks[len(made) - 1 - made[::-1].index(least)]  # the longest tiles of these
        step = WINDOWS_MAX // least
        for at in range(0, rows, step):
            some = slice(at, at + step)
            out[some] = self._slid(*block, past[some], fresh[some])
        return out

    def _slid(self, behind: Session, sliding: Sliding, past: F32, fresh: F32) -> F32:
        """As `block`, of as many rows as stay in the cache."""
        loudest = max(float(y) for x in (past, fresh) for y in (x.max(), -x.min()))
        loud = np.empty(0, np.intp)
        if loudest > LOUD:
            past, fresh = (np.where(x < KNOWN_MAX, x, np.float32(0.0)) for x in (past, fresh))
            most = [np.abs(x).max(axis=(1, 2), initial=0.0) for x in (past, fresh)]
            loud = np.flatnonzero(np.maximum(*most) > LOUD)
        key = (sliding.tile, *fresh.shape[:2])
        if key not in self._rooms:
            if len(self._rooms) >= ROOMS_MAX:
                self._rooms.clear()
            self._rooms[key] = sliding.room(*fresh.shape[:2])
        planes, energy = sliding.over(past, fresh, self._rooms[key])
        feed = {PRODUCTS: planes, ENERGY: energy.reshape(-1)}
        (told,) = behind.run([GIVEN], feed)
        rows, n, c = fresh.shape
        given: F32 = told.reshape(energy.shape).transpose(2, 1, 0).reshape(rows, -1)[:, :n]
        if len(loud):
            series = np.concatenate([past[loud], fresh[loud]], axis=1).reshape(len(loud), -1)
            begin = np.tile(np.arange(n) * c, len(loud))
            apart = self.over(series, begin, np.repeat(np.arange(len(loud)), n))
            given[loud] = apart.reshape(-1, n)
        return given

    def _ask(self, m: int) -> F32:
        """What the model gives (m,) for the first m products and energies; valid until the next."""
        size = self._fixed or m
        for at in range(0, m, size):
            if (at, size) not in self._bound:
                if not self._fixed and len(self._bound) >= BOUND_MAX:
                    self._bound.clear()
                self._bound[at, size] = self._binding(at, size)
            self._rest.run_with_iobinding(self._bound[at, size])
        return self._out[:m, 0]

    def _binding(self, at: int, size: int) -> Any:  # noqa: ANN401 - of onnxruntime
        binding = self._rest.io_binding()
        for name, array in zip((PRODUCTS, ENERGY), self._in, strict=True):
            some = array[at : at + size]
            binding.bind_input(name, "cpu", 0, np.float32, some.shape, some.ctypes.data)
        some = self._out[at : at + size]
        binding.bind_output(GIVEN, "cpu", 0, np.float32, some.shape, some.ctypes.data)
        return binding
