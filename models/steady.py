"""The short way through the default detector, in arrays: rows that have been complete for long.

A row is steady once nothing was missing for so long that what its averages are expected to be no
longer changes: v, n and q of `models.graphs.graph` are at their limits. Nearly every row of nearly
every tick is. What depends on parameters alone is then folded into them, once and in doubles, and
what is left is less than the graph has to do:

    e_t = D z_t - R_1 z_t-1 - ... - R_p z_t-p    each channel's own residual, of unit variance
    w_t = M e_t                                  whitened from it: half the numbers of the graph's
    m_k, d_k                                     EWMAs of w and e, as in the graph
    t_k, t_K+k = cbrt |m_k|^2, max_i |d_k,i| even_k,i
    score = max_v sum_j slopes_vj max(t_v - knots_vj, 0) - fusion

with knots and slopes of the stored tails in these units: the deviates that the graph makes of
t rise linearly with it. Arrays have assets last, (.., a): a product with each asset's own numbers
is then a few long operations, where a small product an asset costs several times as much. The
graph stays what counts: `models.detector_var` compares the two on rows of the bundle itself, uses
this one only where they agree, and the graph for all rows that are not steady.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.bundle import Z_MAX, Spec
from models.fitting.tails import worst_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.asked import F32, Mask, Parameters

    F64 = NDArray[np.float64]

FEW: Final = 16  # rows: one small product each costs less than long operations over so few
TRIANGLE_MAX: Final = 64  # samples of few rows whose averages are one product with decays by age,
DECAYS_KEPT: Final = 64  # 16 kB at most each
NEAR: Final = 1e-6  # v, n and q so near their limits, relative, are there: some float32 digits
LIKE: Final = 1e-5  # of the largest weight: how far M e may be from the graph's own weights
TAILS: Final = ("tail_knots", "tail_slopes")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SteadyRows:
    """What the short way takes of some rows' parameters, assets last.

    center, low, high, scale: (c, a) z is scaled after it was clipped; 0 where absent
    absent: (c, a) bool, None: no channel is
    reach: (p c, c, a), own: (c, a), white: (c, c, a) minus R, oldest lag first, D and M
    even: (K, c, a)   knots, slopes: (V, J, a)   fusion: (a,)
    limits: (3 K, a) of v, n and q   ready: (a,) the run from which on a row is scored, inf: never
    """

    center: F32
    low: F32
    high: F32
    scale: F32
    absent: Mask | None
    reach: F32
    own: F32
    white: F32
    even: F32
    knots: F32
    slopes: F32
    fusion: F32
    limits: F32
    ready: F32

    def part(self, rows: slice | NDArray[np.intp]) -> SteadyRows:
        """Some of the rows: a slice as views, an index (m,) as copies."""
        values = {name: getattr(self, name)[..., rows] for name in ALWAYS}
        return SteadyRows(absent=None if self.absent is None else self.absent[..., rows], **values)


ALWAYS: Final = tuple(name for name in SteadyRows.__slots__ if name != "absent")


def joined(parts: Sequence[SteadyRows]) -> SteadyRows:
    """Rows of several (m,) one after another, in arrays of their own."""
    masks = [np.isnan(p.center) if p.absent is None else p.absent for p in parts]  # none, or them
    return SteadyRows(
        absent=np.concatenate(masks, axis=-1) if any(mask.any() for mask in masks) else None,
        **{n: np.concatenate([getattr(p, n) for p in parts], axis=-1) for n in ALWAYS},
    )


def steady_rows(spec: Spec, parameters: Parameters) -> SteadyRows:
    """Parameters (a, ...) as the short way takes them; which it cannot score are never ready."""
    with np.errstate(all="ignore"):  # of rows that nobody fitted
        arrays, ready = _folded(spec, parameters)
    fit = np.isfinite(ready)
    for value in arrays.values():
        fit &= np.isfinite(value).reshape(-1, len(fit)).all(axis=0)
    present = parameters["present"]
    kept = {
        name: np.ascontiguousarray(np.where(fit, value, 0.0), np.float32)  # assets last in memory
        for name, value in arrays.items()
    }
    return SteadyRows(
        absent=None if present.all() else np.ascontiguousarray(~present.T),
        ready=np.where(fit, ready, np.inf).astype(np.float32),
        **kept,
    )


def _folded(spec: Spec, parameters: Parameters) -> tuple[dict[str, F64], F64]:
    """The arrays of `SteadyRows` (.., a), and `ready` (a,), inf where it is no VAR's row."""
    c, k, p = spec.channels, len(spec.lambdas), spec.lags
    wide = {name: value.astype(np.float64) for name, value in parameters.items()}
    weights, present = wide["weights"], parameters["present"]
    plain, last = weights[:, :, c:], weights[:, p * c :]
    own = np.diagonal(last[:, :, c:], axis1=1, axis2=2)  # (a, c) the newest z counts for itself
    white = last[:, :, :c] / own[:, :, None]
    apart = np.abs(plain @ white - weights[:, :, :c]).max(axis=(1, 2), initial=0.0)
    alike = apart <= LIKE * np.abs(weights).max(axis=(1, 2), initial=0.0)
    count = present.sum(axis=1)
    rate = np.array(spec.lambdas)
    settled = np.repeat((rate / (2.0 - rate))[:, None], len(count), axis=1)  # (K, a)
    b = 2.0 / (9.0 * count)
    offset, gain = worst_scale(c)[count].T
    knots, slopes = (wide[name].transpose(1, 2, 0) for name in TAILS)  # (V, J, a)
    third, root = np.cbrt(settled * count)[:, None], np.sqrt(settled)[:, None]
    scale = np.where(present, wide["scale"], 0.0).T
    high = np.where(scale != 0.0, Z_MAX / np.abs(scale), 0.0)
    high = np.minimum(high, np.finfo(np.float32).max)
    arrays = {
        "center": np.where(present, wide["center"], 0.0).T,
        "low": -high,
        "high": high,
        "scale": scale,
        "reach": plain[:, : p * c].transpose(1, 2, 0),
        "own": own.T,
        "white": white.transpose(1, 2, 0),
        "even": wide["evenness"].transpose(1, 2, 0),
        "knots": np.concatenate(
            [
                third * (1.0 - b + knots[:k] * np.sqrt(b)),
                root * (offset + knots[k:] / gain),
            ]
        ),
        "slopes": np.concatenate([slopes[:k] / (third * np.sqrt(b)), slopes[k:] * gain / root]),
        "fusion": wide["fusion"][:, 0],
        "limits": np.concatenate([settled * count, settled * count, settled]),
    }
    return arrays, np.where(alike & (count > 0), wide["settle"][:, 0] + p, np.inf)


def places(spec: Spec) -> tuple[int, int]:
    """Where in a state v, n and q begin, and where the run stands behind them."""
    lags, means, sums, _ = spec.state_sizes
    return lags + means, lags + means + sums - 2


def are_steady(spec: Spec, rows: SteadyRows, state: F32) -> Mask:
    """Which rows (a,) are steady. state: (s, a)."""
    first, run = places(spec)
    found: Mask = (state[run] >= rows.ready) & (state[run + 1] >= spec.lags)
    near = state[first:run] == rows.limits
    if near.all():
        return found
    near = np.abs(state[first:run] - rows.limits) <= np.float32(NEAR) * rows.limits
    found &= near.all(axis=0)
    return found


def score_steady(
    spec: Spec,
    rows: SteadyRows,
    x: F32,
    state: F32,
    *,
    weights: F32 | None = None,
    score: F32,
    after: F32,
) -> None:
    """Score samples x (n, c, a) after state (s, a), into score (n, a) and after (s, a).

    weights: (a, (p+1) c, 2 c) of the graph, for few rows, whose small products cost less with them.
    What becomes of a row that is not steady means nothing. NaN makes all scores after it NaN.
    """
    n, c, a = x.shape
    p, k = spec.lags, len(spec.lambdas)
    first, run = places(spec)
    series = np.empty((p + n, c, a), np.float32)
    series[:p] = state[: p * c].reshape(p, c, a)
    z = series[p:]
    np.subtract(x, rows.center, out=z)
    np.maximum(z, rows.low, out=z)  # before it is scaled, so that nothing overflows
    np.minimum(z, rows.high, out=z)
    np.multiply(z, rows.scale, out=z)
    if rows.absent is not None:
        np.copyto(z, np.float32(0.0), where=rows.absent)
    before = state[p * c : first].reshape(k, 2 * c, a)
    means = after[p * c : first].reshape(k, 2 * c, a)
    stack = means[None] if n == 1 else np.empty((n, k, 2 * c, a), np.float32)
    at = spec.lambdas.index(1.0) if 1.0 in spec.lambdas else None  # it is its own average
    residuals = stack[:, at] if at is not None else np.empty((n, 2 * c, a), np.float32)
    if weights is None:
        _residuals(spec, rows, series, out=residuals)
    else:
        _residuals_of_few(spec, weights, series, out=residuals)
    for j, rate in enumerate(spec.lambdas):
        if j != at:
            _averaged(residuals, before[j], rate, out=stack[:, j])
    _surprise(spec, rows, stack, out=score)
    after[: p * c] = series[n:].reshape(p * c, a)
    if n > 1:
        means[:] = stack[-1]
    after[first:run] = rows.limits
    np.add(state[run], np.float32(n), out=after[run])
    after[run + 1] = p
    after[run + 2 :] = 0.0  # no lag is uncertain


def _residuals(spec: Spec, rows: SteadyRows, series: F32, *, out: F32) -> None:
    """Whitened residuals and each channel's own (n, 2 c, a) of a series (p + n, c, a)."""
    n, c, a = len(out), spec.channels, out.shape[2]
    p = spec.lags
    plain = out[:, c:]
    np.multiply(series[p:], rows.own, out=plain)
    lagged = np.empty((c, a), np.float32)
    for t in range(n):
        np.einsum("jca,ja->ca", rows.reach, series[t : t + p].reshape(p * c, a), out=lagged)
        np.add(plain[t], lagged, out=plain[t])
        np.einsum("jca,ja->ca", rows.white, plain[t], out=out[t, :c])


def _residuals_of_few(spec: Spec, weights: F32, series: F32, *, out: F32) -> None:
    """As `_residuals`: a product for each row and lag. weights: (a, (p+1) c, 2 c)."""
    n, c, p = len(out), spec.channels, spec.lags
    rows = np.ascontiguousarray(series.transpose(2, 0, 1))  # (a, p + n, c)
    found = rows[:, p:] @ weights[:, p * c :]
    for j in range(p):
        found += rows[:, j : j + n] @ weights[:, j * c : (j + 1) * c]
    out[:] = found.transpose(1, 2, 0)


def _averaged(values: F32, old: F32, rate: float, *, out: F32) -> None:
    """EWMA (n, w, a) of values (n, w, a) from its old value (w, a) on."""
    keep, n = 1.0 - rate, len(values)
    if 1 < n <= TRIANGLE_MAX and values.shape[2] <= FEW:
        decays, faded = _decays(n, rate)
        told = decays @ values.reshape(n, -1)
        told += faded * old.reshape(1, -1)
        out[:] = told.reshape(values.shape)
        return
    np.multiply(values, np.float32(rate), out=out)
    faded = np.empty(old.shape, np.float32)
    for t in range(n):
        np.multiply(old, np.float32(keep), out=faded)
        np.add(out[t], faded, out=out[t])
        old = out[t]


@lru_cache(maxsize=DECAYS_KEPT)
def _decays(n: int, rate: float) -> tuple[F32, F32]:
    """What n values count for in their averages by age (n, n), and what was before them (n, 1)."""
    age = np.subtract.outer(np.arange(n), np.arange(n))
    kept = (1.0 - rate) ** np.maximum(age, 0)
    before = (1.0 - rate) ** np.arange(1, n + 1)
    return np.where(age >= 0, rate * kept, 0.0).astype(np.float32), before.astype(np.float32)[
        :, None
    ]


def _surprise(spec: Spec, rows: SteadyRows, stack: F32, *, out: F32) -> None:
    """Scores (n, a) of EWMAs (n, K, 2 c, a)."""
    c, k, (n, a) = spec.channels, len(spec.lambdas), out.shape
    t = np.empty((n, 2 * k, 1, a), np.float32)
    white, plain = stack[:, :, :c], stack[:, :, c:]
    np.cbrt(np.einsum("nkca,nkca->nka", white, white), out=t[:, :k, 0])
    own = plain * rows.even
    np.maximum.reduce(np.abs(own, out=own), axis=2, out=t[:, k:, 0])
    over = np.maximum(t, rows.knots)
    np.subtract(over, rows.knots, out=over)
    surprise = np.einsum("nvja,vja->nva", over, rows.slopes)
    np.maximum.reduce(surprise, axis=1, out=out)
    np.subtract(out, rows.fusion, out=out)
    np.maximum(out, np.float32(0.0), out=out)
