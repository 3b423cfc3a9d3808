"""Windows in, what a model of products gives for each out; see `models.graphs.products`.

The wide product is taken where the windows lie, without bringing them into a buffer first; of
blocks of samples by `models.sliding`. What is behind it is small, and run over many windows at
once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.graphs.onnx_types import ENERGY, GIVEN, KNOWN_MAX, PRODUCTS
from models.sliding import TILE, sliding_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.foreign.imported import ImportedSpec
    from models.window_calls import Session

    F32 = NDArray[np.float32]

CELLS_MAX: Final = 2**17  # w c of all windows that are multiplied at once: half a megabyte
WINDOWS_MAX: Final = 2048  # whose products are kept at once
BLOCK_FROM: Final = 8  # samples of a row: fewer are a small part of a tile
LOUD: Final = np.float32(64.0)  # sigmas: a row is multiplied window by window, so that they stay
# what they are beside it, in float32


class ProductCalls:
    """A model of products, loaded. Its buffers are in use while it is asked."""

    def __init__(self, rest: Session, wide: F32, twice: F32, spec: ImportedSpec) -> None:
        self._rest, self._wide, self._twice, self._spec = rest, wide, twice, spec
        self._fixed = spec.origin.batch
        self._step = int(np.clip(CELLS_MAX // len(wide), 1, WINDOWS_MAX))
        self._in = (
            np.zeros((WINDOWS_MAX, wide.shape[1]), np.float32),
            np.zeros(WINDOWS_MAX, np.float32),
        )
        self._sliding = None
        if spec.scaled:
            sizes = {"window": spec.window, "channels": spec.channels}
            self._sliding = sliding_of(wide, twice, **sizes)

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
                np.vecdot(flat, flat, out=energy[here])
                energy[here] -= flat @ self._twice
            out[first:last] = self._ask(products[: last - first], energy[: last - first])
        return out[:, None]

    def slides(self, n: int) -> bool:
        """Whether blocks of n samples are for `block`."""
        return self._sliding is not None and n >= BLOCK_FROM

    def block(self, past: F32, fresh: F32) -> F32:
        """What the model gives (a, n) for windows that end with each of fresh (a, n, c).

        past: (a, w - 1, c) before them. A window with MISSING gives anything.
        """
        rows, n, _ = fresh.shape
        out = np.empty((rows, n), np.float32)
        step = max(1, WINDOWS_MAX // (-(-n // TILE) * TILE))
        for at in range(0, rows, step):
            some = slice(at, at + step)
            out[some] = self._slid(past[some], fresh[some])
        return out

    def _slid(self, past: F32, fresh: F32) -> F32:
        """As `block`, of as many rows as stay in the cache."""
        assert self._sliding is not None, "asked before"
        loudest = max(float(x.max()) for x in (past, -past, fresh, -fresh))
        loud = np.empty(0, np.intp)
        if loudest > LOUD:
            past, fresh = (np.where(x < KNOWN_MAX, x, np.float32(0.0)) for x in (past, fresh))
            most = [np.abs(x).max(axis=(1, 2), initial=0.0) for x in (past, fresh)]
            loud = np.flatnonzero(np.maximum(*most) > LOUD)
        products, energy = self._sliding.over(past, fresh)
        told = self._ask(products.reshape(energy.size, -1), energy.reshape(-1))
        rows, n, c = fresh.shape
        given = told.reshape(-1, rows)[:n].T if energy.shape[1] == 1 else told.reshape(energy.shape).transpose(2, 1, 0).reshape(rows, -1)[:, :n]
        if len(loud):
            series = np.concatenate([past[loud], fresh[loud]], axis=1).reshape(len(loud), -1)
            begin = np.tile(np.arange(n) * c, len(loud))
            apart = self.over(series, begin, np.repeat(np.arange(len(loud)), n))
            given = np.array(given)
            given[loud] = apart.reshape(-1, n)
        return given

    def _ask(self, products: F32, energy: F32) -> F32:
        """What is behind the product (m, O): what the model gives (m,)."""
        m = size = len(energy)
        if self._fixed:
            size, missing = self._fixed, -m % self._fixed
            products = np.pad(products, ((0, missing), (0, 0)))
            energy = np.pad(energy, (0, missing))
        given = [
            self._rest.run(
                [GIVEN], {PRODUCTS: products[at : at + size], ENERGY: energy[at : at + size]}
            )[0]
            for at in range(0, len(energy), size)
        ]
        told: F32 = (given[0] if len(given) == 1 else np.concatenate(given)).reshape(-1)[:m]
        return told
