"""A slow, obvious twin of the graph around an imported model: one row, sample by sample."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from models.bundles.bundle import Z_MAX
from models.fitting.tails import worst_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.foreign.imported import ImportedSpec

    Row = dict[str, NDArray[Any]]


def scores_of(
    spec: ImportedSpec,
    row: Row,
    x: NDArray[np.float64],
    valid: NDArray[np.bool_],
    ask: Callable[[NDArray[np.float64], NDArray[np.bool_]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Scores (n,) of samples x (n, c) of which valid (n, c) are there.

    row: parameters of one row, each as the graph takes it without its first axis. ask: the model:
    a window (w, c) and what of it is there in, out its score (1,) or the sample that it makes (c,).
    """
    k, m = len(spec.lambdas), spec.errors
    mean, variance = np.zeros((k, m)), np.zeros((k, m))
    scores, held = np.full(len(x), np.nan), math.nan
    for t in range(len(x)):
        end = t if spec.kind == "forecast" else t + 1
        begin = end - spec.window
        there = valid[begin:end] & row["present"] if begin >= 0 else np.zeros((1, 1), bool)
        now = valid[t] & row["present"]
        error, seen = np.zeros(m), np.zeros(m, bool)
        counts = now.any() if spec.masks else now.all()
        whole = there.any(axis=1).all() if spec.masks else there.all()
        asked = (t + 1) % spec.hop == 0
        ready = asked and whole and counts
        if ready:
            window = np.where(there, x[begin:end], row["center"])
            target = np.where(now, x[t], row["center"])
            if spec.scaled:
                window = (window - row["center"]) * row["scale"]
                target = (target - row["center"]) * row["scale"]
            told = ask(window, there)
            raw = spec.sign * told if spec.kind == "score" else target - told
            seen = np.ones(1, bool) if spec.kind == "score" else now
            error = np.clip((raw - row["error_center"]) * row["error_scale"], -Z_MAX, Z_MAX)
            error = np.where(seen, error, 0.0)
        for i, rate in enumerate(spec.lambdas):
            mean[i] = (1 - rate) * mean[i] + rate * error
            variance[i] = (1 - rate) ** 2 * variance[i] + rate**2 * seen
        if asked:
            held = _surprise(spec, row, mean, variance, seen) if ready else math.nan
        scores[t] = held if counts else math.nan
    return scores


def _surprise(
    spec: ImportedSpec,
    row: Row,
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    seen: NDArray[np.bool_],
) -> float:
    own = mean[:, seen] / np.sqrt(variance[:, seen])
    count = int(seen.sum())
    if spec.kind == "score":
        deviates = own[:, 0].tolist()
    else:
        b = 2 / (9 * count)
        deviates = [(math.cbrt(float((z**2).mean())) - 1 + b) / math.sqrt(b) for z in own]
        offset, scale = worst_scale(spec.channels)[count]
        even = row["evenness"][:, seen]
        deviates += [(np.abs(z * e).max() - offset) * scale for z, e in zip(own, even, strict=True)]
    found = [
        sum(s * max(z - knot, 0.0) for knot, s in zip(knots, slopes, strict=True))
        for z, knots, slopes in zip(deviates, row["tail_knots"], row["tail_slopes"], strict=True)
    ]
    return max(float(max(found)) - float(row["fusion"][0]), 0.0)
