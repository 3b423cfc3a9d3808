"""What each kind of detector finds in made-up plants, at the same rate of false alarms.

    python -m benchmarks.kinds [--rows 4000] [--seeds 3]

Three plants: `memory`, whose channels follow from the samples before; `plane`, where two quantities
move all channels; `modes`, which jumps between two states without memory. A disturbance lies over
rows that no detector has seen. Printed is the share of disturbed rows over the score that one in a
hundred of the calm rows exceeds, for each kind, and for pairs: the higher of both scores, at the
score that one in a hundred calm rows exceeds then.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.detector import detector_of
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

KINDS: Final = ("var", "pca", "ensemble")
CHANNELS: Final = 8
FALSE: Final = 0.01
CALM_SHARE: Final = 0.5  # of the rows to score
PLANTS: Final = ("memory", "plane", "modes")
DISTURBANCES: Final = ("shift 1 sigma", "noise twice", "relation broken", "shift 3 sigma")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000, help="of normal operation to fit on")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    pairs = [f"{a}+{b}" for a, b in combinations(KINDS, 2)]
    columns = [*KINDS, *pairs]
    out = sys.stdout.write
    out(f"{'plant':8}{'disturbance':18}" + "".join(f"{name:>14}" for name in columns) + "\n")
    for plant in PLANTS:
        for disturbance in DISTURBANCES:
            found = [
                _found(plant, disturbance, seed=seed, rows=options.rows)
                for seed in range(options.seeds)
            ]
            mean = np.mean(found, axis=0)
            out(f"{plant:8}{disturbance:18}" + "".join(f"{each:14.2f}" for each in mean) + "\n")


def _plant(name: str, rows: int, *, seed: int) -> F64:
    """Normal operation (n, c)."""
    chance, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    noise = chance.normal(size=(rows, CHANNELS))
    if name == "memory":
        turn = 0.8 * np.linalg.qr(fixed.normal(size=(CHANNELS, CHANNELS)))[0]
        values = np.zeros((rows, CHANNELS))
        for i in range(1, rows):
            values[i] = turn @ values[i - 1] + noise[i]
        return values
    loads = fixed.normal(size=(2, CHANNELS))
    moved = chance.normal(size=(rows, 2))
    if name == "modes":
        moved += 4.0 * (chance.random((rows, 1)) < 0.5)
    return np.asarray(moved @ loads + 0.4 * noise)


def _disturbed(values: F64, other: F64, disturbance: str, *, seed: int) -> F64:
    """The rows after CALM_SHARE with one thing wrong. other: rows (n, c) of another day."""
    values, sigma = values.copy(), values.std(axis=0)
    wrong, at = values[int(CALM_SHARE * len(values)) :], seed % CHANNELS
    if disturbance.startswith("shift"):
        wrong[:, at] += float(disturbance.split()[1]) * sigma[at]
    elif disturbance.startswith("noise"):
        wrong += np.sqrt(3.0) * sigma * np.random.default_rng(seed).normal(size=wrong.shape)
    else:
        wrong[:, at] = other[-len(wrong) :, at]
    return values


def _found(plant: str, disturbance: str, *, seed: int, rows: int) -> list[float]:
    """Share of disturbed rows that each kind and each pair finds."""
    record = _plant(plant, rows, seed=seed)
    normal, other = (_plant(plant, 1000, seed=1000 + 2 * seed + i) for i in range(2))
    values = _disturbed(normal, other, disturbance, seed=seed)
    scores = [_scores(record, values, kind) for kind in KINDS]
    scores += [np.maximum(a, b) for a, b in combinations(scores, 2)]
    calm = int(CALM_SHARE * len(values))
    return [
        float(np.mean(each[calm:] > np.nanquantile(each[:calm], 1.0 - FALSE))) for each in scores
    ]


def _scores(record: F64, values: F64, kind: str) -> F64:
    channels = tuple(Channel(name=f"c{i}") for i in range(CHANNELS))
    samples = TrainingSamples(asset="a", channels=channels, values=record, period_ns=10**9)
    fit = fit_asset(samples, FitOptions(alignment="rows", detector=kind))
    part = make_bundle([fit]).only
    detector = detector_of(part.graph)
    x = values.astype(np.float32)[None]
    score, _ = detector.score(x, np.isfinite(x), detector.initial_state(1), part.parameters)
    return np.asarray(score[0], np.float64)


if __name__ == "__main__":
    main()
