"""What the short ways share: parameters with assets last, samples to z, averages, tails.

A row is steady once nothing was missing for so long that what its averages are expected to be no
longer changes: the sums in its state are at their limits. Nearly every row of nearly every tick is.
What depends on parameters alone is then folded into them, once and in doubles, and what is left is
less than a graph has to do. Arrays have assets last, (.., a): a product with each asset's own
numbers is then a few long operations, where a small product an asset costs several times as much.

The graph stays what counts: `prepared` compares the two on rows of the bundle itself, uses a short
way only where they agree, and rows that are not steady are left to the graph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from models.bundles.bundle import Z_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.asked import F32, Mask, Parameters

    F64 = NDArray[np.float64]

FEW: Final = 16  # rows: operations over so few are short, however many samples there are
TRIANGLE_MAX: Final = 64  # samples of one row whose averages are one product with decays by age,
DECAYS_KEPT: Final = 64  # some 16 kB each
NEAR: Final = 1e-6  # sums so near their limits, relative, are there: some float32 digits
TAILS: Final = ("tail_knots", "tail_slopes")


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Parameters of some rows as a short way takes them: arrays (.., a) by name.

    Each way has `center`, `low`, `high`, `scale` (c, a): z is scaled after it was clipped, and 0
    where `absent` (c, a); `knots`, `slopes` (V, J, a); `fusion` (a,); `limits` of the sums in a
    state (w, a); and `ready` (a,) float32, the run from which on a row is scored, inf for one that
    it cannot score.
    """

    arrays: dict[str, NDArray[np.float32]]
    absent: Mask | None  # None: no channel of any row is

    def __getitem__(self, name: str) -> F32:
        return self.arrays[name]

    def __len__(self) -> int:
        return len(self.arrays["ready"])

    def part(self, rows: slice | NDArray[np.intp]) -> Rows:
        """Some of the rows: a slice as views, an index (m,) as copies, assets last in memory."""
        if isinstance(rows, slice):
            arrays = {name: value[..., rows] for name, value in self.arrays.items()}
            return Rows(arrays, None if self.absent is None else self.absent[..., rows])
        arrays = {name: value.take(rows, axis=-1) for name, value in self.arrays.items()}
        absent = None if self.absent is None else self.absent.take(rows, axis=-1)
        return Rows(arrays, absent if absent is not None and absent.any() else None)


class One(Protocol):
    """The short way of a single row, a sample at a time."""

    def score(self, x: F32, valid: Mask, state: F32) -> tuple[F32, F32] | None:
        """Score x (1, n, c) after state (1, s): score (1, n) and state. None: not by this way."""


class Few(Protocol):
    """The short way of few rows. lines: (a, P) what it reads of each."""

    lines: F32

    def like(self, lines: F32) -> Few:
        """Other rows (a,) of the same detector, by their lines (a, P)."""

    def are_steady(self, state: F32) -> Mask:
        """Which rows (a,) are steady. state: (a, s)."""

    def score(self, x: F32, state: F32) -> tuple[F32, F32]:
        """Score x (a, n, c) after state (a, s): score (a, n) and state; n above 0.

        What becomes of a row that is not steady means nothing.
        """

    def scored(self, x: F32, valid: Mask, state: F32) -> tuple[F32, F32] | None:
        """Likewise, where all are steady and nothing is missing: valid (a, n, c); None: not so."""


class Way(Protocol):
    """The short way of one kind of detector."""

    names: tuple[str, ...]  # of the parameters

    def rows(self, parameters: Parameters) -> Rows:
        """Parameters (a, ...) as it takes them."""

    def are_steady(self, rows: Rows, state: F32) -> Mask:
        """Which rows (a,) are steady. state: (s, a)."""

    def score(self, rows: Rows, x: F32, state: F32, *, score: F32, after: F32) -> None:
        """Score samples x (n, c, a) after state (s, a), into score (n, a) and after (s, a).

        What becomes of a row that is not steady means nothing.
        """

    def few(self, rows: Rows) -> Few:
        """For few rows by themselves."""

    def one(self, row: Rows, few: Few) -> One | None:
        """For single samples of a single row, where that is quicker than the same as few."""

    def steady_state(self, rows: Rows, chance: np.random.Generator) -> F32:
        """Some steady state of each row (s, a)."""


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of several one after another, in arrays of their own, (.., a) each."""
    names = parts[0].arrays
    arrays = {n: np.concatenate([part[n] for part in parts], axis=-1) for n in names}
    return Rows(arrays, _absent(parts))


def _absent(parts: Sequence[Rows]) -> Mask | None:
    """Which channels (c, a) of the rows of several are none; None: all are."""
    masks = [np.isnan(p["center"]) if p.absent is None else p.absent for p in parts]  # none, or it
    return np.concatenate(masks, axis=-1) if any(mask.any() for mask in masks) else None


def packed(parts: Sequence[Rows], together: int) -> list[Rows]:
    """The same rows, of so many parts in one, in one piece of memory.

    Pages of many numbers are large, and looked up seldom.
    """
    room = np.empty(sum(v.size for part in parts for v in part.arrays.values()), np.float32)
    told, at = [], 0
    for first in range(0, len(parts), together):
        some, arrays = parts[first : first + together], {}
        rows = sum(map(len, some))
        for name, value in some[0].arrays.items():
            shape = (*value.shape[:-1], rows)
            arrays[name] = room[at : at + math.prod(shape)].reshape(shape)
            np.concatenate([part[name] for part in some], axis=-1, out=arrays[name])
            at += math.prod(shape)
        told.append(Rows(arrays, _absent(some)))
    return told


def made(arrays: Mapping[str, F64], ready: F64, *, present: Mask) -> Rows:
    """Rows of arrays (.., a). ready: (a,), inf also where an array has what is no number.

    present: (a, c).
    """
    fit = np.isfinite(ready)
    for value in arrays.values():
        fit &= np.isfinite(value).reshape(-1, len(fit)).all(axis=0)
    kept = {
        name: np.ascontiguousarray(np.where(fit, value, 0.0), np.float32)  # assets last in memory
        for name, value in arrays.items()
    }
    kept["ready"] = np.where(fit, ready, np.inf).astype(np.float32)
    return Rows(kept, None if present.all() else np.ascontiguousarray(~present.T))


def of_z(wide: Mapping[str, F64], present: Mask) -> dict[str, F64]:
    """`center`, `low`, `high` and `scale` (c, a) of parameters (a, c)."""
    scale = np.where(present, wide["scale"], 0.0).T
    high = np.where(scale != 0.0, Z_MAX / np.abs(scale), 0.0)
    high = np.minimum(high, np.finfo(np.float32).max)
    center = np.where(present, wide["center"], 0.0).T
    return {"center": center, "low": -high, "high": high, "scale": scale}


def chi_square_tails(knots: F64, slopes: F64, mean: F64, freedom: F64) -> tuple[F64, F64]:
    """Tails of Wilson and Hilferty's deviates (V, J, a) as tails of the cube root itself.

    mean: (v, a) of the chi-squares   freedom: (v, a) degrees that each has
    knots, slopes: (v, j, a)
    """
    b = (2.0 / (9.0 * freedom))[:, None]
    third = np.cbrt(mean)[:, None]
    return third * (1.0 - b + knots * np.sqrt(b)), slopes / (third * np.sqrt(b))


def near(sums: F32, limits: F32) -> Mask:
    """Which rows (a,) have sums (w, a) at their limits (w, a)."""
    there = sums == limits
    if there.all():
        return np.ones(sums.shape[1], np.bool_)
    there = np.abs(sums - limits) <= np.float32(NEAR) * np.abs(limits)
    return np.asarray(there.all(axis=0))


def normalise(rows: Rows, x: F32, *, out: F32) -> None:
    """Samples x (n, c, a) as z (n, c, a): clipped sigmas from the center. NaN stays."""
    np.subtract(x, rows["center"], out=out)
    np.maximum(out, rows["low"], out=out)  # before it is scaled, so that nothing overflows
    np.minimum(out, rows["high"], out=out)
    np.multiply(out, rows["scale"], out=out)
    if rows.absent is not None:
        np.copyto(out, np.float32(0.0), where=rows.absent)


def average(values: F32, old: F32, rate: float, *, out: F32) -> None:
    """EWMA (n, w, a) of values (n, w, a) from its old value (w, a) on."""
    np.multiply(values, np.float32(rate), out=out)
    kept = np.empty(old.shape, np.float32)
    for t in range(len(values)):
        np.multiply(old, np.float32(1.0 - rate), out=kept)
        np.add(out[t], kept, out=out[t])
        old = out[t]


@lru_cache(maxsize=DECAYS_KEPT)
def decays_of(n: int, rate: float) -> tuple[F32, F32]:
    """What n values count for in their averages by age (n, n), and what was before them (n, 1)."""
    age = np.subtract.outer(np.arange(n), np.arange(n))
    kept = (1.0 - rate) ** np.maximum(age, 0)
    fresh = np.where(age >= 0, rate * kept, 0.0)
    before = (1.0 - rate) ** np.arange(1.0, n + 1.0)
    return fresh.astype(np.float32), before[:, None].astype(np.float32)


def surprise(rows: Rows, t: F32, *, out: F32) -> None:
    """Scores (n, a) of statistics t (n, V, a) by their tails."""
    over = np.maximum(t[:, :, None], rows["knots"])
    np.subtract(over, rows["knots"], out=over)
    every = np.einsum("nvja,vja->nva", over, rows["slopes"])
    np.maximum.reduce(every, axis=1, out=out)
    np.subtract(out, rows["fusion"], out=out)
    np.maximum(out, np.float32(0.0), out=out)
