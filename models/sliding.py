"""Products of every window of a block with one matrix, each sample computed but a few times.

A product of sliding windows (w c,) with a matrix (w c, O) is a sum of convolutions, each channel's
over time. Tiles of 2 b samples are taken to their frequencies, where w samples are w / b numbers;
there they are multiplied, and b outputs come back from each tile: overlap and save, the matrix in
parts of b samples (Stockham 1966; Kulp 1988). Tiles are so short that a transform is a product with
a small matrix too: all of it is what a processor does fastest, at a third of the multiplications.

                 |<-- part p of the matrix: ages p b .. p b + b - 1
    samples  ....|____b____|____b____|....      tile j: two neighbours
    outputs                |____b____|          of which the second half is whole

Sums are those of the windows up to the rounding of float32 at the loudest sample of a tile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F32 = NDArray[np.float32]
    F64 = NDArray[np.float64]

TILES: Final = (16, 32)  # b, new samples of a tile: short ones for short blocks
VALUES_MAX: Final = 2**20  # of the matrix over frequencies: four megabytes
GAINS_FROM: Final = 0.6  # of the multiplications of windows one by one, as counted here


class Room(NamedTuple):
    """What is computed on the way, as `Sliding.over` names it: whoever computes has his own."""

    series: F32
    in_time: F32
    found: F32
    taken: F32
    made: F32
    energy: F32


class Sliding:
    """x wide + offset and |x|^2 - x.twice for windows of blocks.

    wide: (w c, O), twice: (w c,), rows by sample   offset: (O,)
    tile: b   back: (b, 2 b) from planes of frequencies to samples
    """

    def __init__(
        self, wide: F32, offset: F32, twice: F32, *, window: int, channels: int, tile: int
    ) -> None:
        self.tile, self._sizes = tile, (window, channels, -(-window // tile))
        w, c, parts = self._sizes
        to, back = _transforms(tile)
        self._to, self.back = to.astype(np.float32), back[tile:].astype(np.float32)
        self._offset = 2 * tile * offset  # of the lowest frequency
        aged = np.zeros((parts * tile, c, wide.shape[1]))
        aged[:w] = wide.reshape(w, c, -1)[::-1]  # by age: the newest sample first
        self._matrix = _over_frequencies(aged, to).astype(np.float32)
        ends, begins = np.arange(tile), np.arange(tile + w - 1)[:, None]
        inside = (begins >= ends) & (begins < ends + w)
        self._band = inside.astype(np.float32)  # (b + w - 1, b)
        at = np.clip(begins - ends, 0, w - 1)
        band = np.where(inside[..., None], twice.reshape(w, c)[at], 0.0)  # (b + w - 1, b, c)
        self._twice = np.ascontiguousarray(band.transpose(0, 2, 1).reshape(-1, tile))
        self._ones = np.ones(c, np.float32)

    def over(self, past: F32, fresh: F32, room: Room) -> tuple[F32, F32]:
        """Planes (2 b, tiles a O) of products, and energies (b, tiles, a), in their room.

        Of windows that end in fresh (a, n, c), past: (a, w - 1, c) before it. `back` makes of
        planes products in the order of energies; those behind fresh are of windows with zeros.
        """
        (rows, n, _), (w, c, parts), b = fresh.shape, self._sizes, self.tile
        tiles = -(-n // b)
        ahead = parts * b - (w - 1)
        series, in_time, found, taken, made, energy = room
        series[:, ahead : parts * b] = past
        series[:, parts * b : parts * b + n] = fresh
        series[:, parts * b + n :] = 0.0
        in_time[:] = series.transpose(1, 0, 2)
        flat = in_time.reshape(-1, rows * c)
        for j, one in enumerate(found):
            np.matmul(self._to, flat[j * b : (j + 2) * b], out=one)
        planes = found.reshape(-1, 2, b, rows, c)
        for p in range(parts):
            some = planes[parts - 1 - p : parts - 1 - p + tiles]
            taken[:, :, :, :, p] = some.transpose(2, 0, 3, 1, 4)
        np.matmul(taken.reshape(1, b, tiles * rows, -1), self._matrix, out=made)
        made[0, 0] += self._offset
        self._energies(series[:, ahead:], energy)
        return made.reshape(2 * b, -1), energy

    def room(self, rows: int, samples: int) -> Room:
        """Where blocks of so many samples of so many rows are computed."""
        (_, c, parts), b, outputs = self._sizes, self.tile, self._matrix.shape[-1]
        tiles = -(-samples // b)
        return Room(
            series=np.zeros((rows, (parts + tiles) * b, c), np.float32),
            in_time=np.empty(((parts + tiles) * b, rows, c), np.float32),
            found=np.empty((parts + tiles - 1, 2 * b, rows * c), np.float32),
            taken=np.empty((b, tiles, rows, 2, parts, c), np.float32),
            made=np.empty((2, b, tiles * rows, outputs), np.float32),
            energy=np.empty((b, tiles, rows), np.float32),
        )

    def _energies(self, series: F32, out: F32) -> None:
        """Energies (b, tiles, a) of windows of a series (a, w - 1 + n, c)."""
        (w, c, _), (b, tiles, rows) = self._sizes, out.shape
        flat, size = series.reshape(rows, -1), b + w - 1
        each = np.matmul((flat * flat).reshape(-1, c), self._ones).reshape(rows, -1)
        for j in range(tiles):
            at = j * b
            own = each[:, at : at + size] @ self._band
            own -= flat[:, at * c : (at + size) * c] @ self._twice
            out[:, j] = own.T


def sliding_of(wide: F32, offset: F32, twice: F32, *, window: int, channels: int) -> list[Sliding]:
    """As `Sliding`, by tile; none where windows one by one cost about as much, or it is large.

    wide: (w c, O), offset: (O,), twice: (w c,) float32.
    """
    found, (cells, outputs) = [], wide.shape
    for b in TILES:
        padded = -(-window // b) * b * channels
        share = (4 * padded / b + 2 * b) * outputs + 4 * b * channels  # multiplications a window
        if 4 * padded * outputs <= VALUES_MAX and share <= GAINS_FROM * cells * outputs:
            sizes = {"window": window, "channels": channels, "tile": b}
            found.append(Sliding(wide, offset, twice, **sizes))
    return found


def _transforms(b: int) -> tuple[F64, F64]:
    """Real numbers of 2 b samples to planes (2 b, 2 b) and back: b real parts, then b imaginary.

    The first of both are the lowest and the highest frequency, which have no imaginary part.
    """
    n, f, t = 2 * b, np.arange(b)[:, None], np.arange(2 * b)
    turn = 2.0 * np.pi * f * t / n
    to = np.concatenate([np.cos(turn), -np.sin(turn)])
    to[b] = (-1.0) ** t
    back = 2.0 * to.T / n
    back[:, [0, b]] /= 2.0
    return to, back


def _over_frequencies(aged: F64, to: F64) -> F64:
    """A matrix by age (parts b, c, O) as one of each plane and frequency (2, b, 2 parts c, O)."""
    b, (_, c, outputs) = len(to) // 2, aged.shape
    parts = len(aged) // b
    padded = np.zeros((parts, 2 * b, c, outputs))
    padded[:, :b] = aged.reshape(parts, b, c, outputs)
    planes = np.einsum("ft,ptco->fpco", to, padded)
    real, imaginary = planes[:b], planes[b:]
    made = np.zeros((2, b, 2, parts, c, outputs))
    made[0, :, 0], made[0, 1:, 1] = real, -imaginary[1:]
    made[1, 1:, 0], made[1, :, 1] = imaginary[1:], real
    made[1, 0, 1] = imaginary[0]
    return made.reshape(2, b, -1, outputs)
