"""Windows in, what a model of products gives for each out; see `models.graphs.products`.

Windows one by one are copied where the model reads them, as many at a time as stay in the cache;
those of blocks of samples are multiplied by `models.sliding`.
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
ROOMS_MAX: Final = 4  # the whole step, and what is left of the rows, of blocks of two sizes
BLOCK_FROM: Final = 8  # samples of a row: fewer are a small part of a tile
# Sigmas. Over frequencies a louder sample would be rounded into its neighbours' windows.
LOUD: Final = np.float32(64.0)


class ProductParts(NamedTuple):
    """A model of products, loaded: `models.graphs.products.over_windows`, twice of `Products`.

    blocks: what slides over blocks of samples, and before it what is behind its planes.
    """

    windows: Session
    twice: F32
    blocks: tuple[tuple[Session, Sliding], ...]


class ProductCalls:
    """A model of products, loaded. Its buffers are in use while it is asked."""

    def __init__(self, parts: ProductParts, spec: ImportedSpec) -> None:
        self._session, self._twice, self._blocks = parts
        self._fixed, cells = spec.origin.batch, len(parts.twice)
        self._step = self._fixed or int(np.clip(CELLS_MAX // cells, 1, WINDOWS_MAX))
        self._in = np.zeros((self._step, cells), np.float32), np.zeros(self._step, np.float32)
        self._out = np.zeros((self._step, 1), np.float32)
        self._bound: dict[int, Any] = {}
        self._rooms: dict[tuple[int, int, int], Room] = {}

    def over(self, source: F32, begin: int | NDArray[np.intp], rows: NDArray[np.intp]) -> F32:
        """What the model gives (m, 1) for windows that lie in one piece in a source (a, w' c).

        rows: (m,) that they are of. begin: where each begins (m,), or all, which are then of all
        rows.
        """
        windows, energy = self._in
        out, wide = np.empty((len(rows), 1), np.float32), windows.shape[1]
        apart = source if isinstance(begin, int) else sliding_window_view(source, wide, axis=1)
        for at in range(0, len(rows), self._step):
            some = slice(at, min(at + self._step, len(rows)))
            m = some.stop - at
            if isinstance(begin, int):
                windows[:m] = source[some, begin : begin + wide]
            else:
                windows[:m] = apart[rows[some], begin[some]]
            flat = windows[:m]
            np.vecdot(flat, flat, out=energy[:m])
            energy[:m] -= flat @ self._twice
            self._session.run_with_iobinding(self._binding(self._fixed or m))
            out[some] = self._out[:m]
        return out

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
        loud, series = np.empty(0, np.intp), past
        if loudest > LOUD:
            past, fresh = (np.where(x < KNOWN_MAX, x, np.float32(0.0)) for x in (past, fresh))
            loud = np.flatnonzero(
                np.maximum(*(np.abs(x).max(axis=(1, 2)) for x in (past, fresh))) > LOUD
            )
            series = np.concatenate([past[loud], fresh[loud]], axis=1)
            past[loud] = fresh[loud] = 0.0  # they are multiplied window by window
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
            begin = np.tile(np.arange(n) * c, len(loud))
            apart = self.over(
                series.reshape(len(loud), -1), begin, np.repeat(np.arange(len(loud)), n)
            )
            given[loud] = apart.reshape(-1, n)
        return given

    def _binding(self, size: int) -> Any:  # noqa: ANN401 - of onnxruntime
        if size not in self._bound:
            if len(self._bound) > 1:  # the whole step, and what is left of the rows
                self._bound = {k: v for k, v in self._bound.items() if k == self._step}
            binding = self._session.io_binding()
            for name, array in zip((PRODUCTS, ENERGY), self._in, strict=True):
                some = array[:size]
                binding.bind_input(name, "cpu", 0, np.float32, some.shape, some.ctypes.data)
            some = self._out[:size]
            binding.bind_output(GIVEN, "cpu", 0, np.float32, some.shape, some.ctypes.data)
            self._bound[size] = binding
        return self._bound[size]
