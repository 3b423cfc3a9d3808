"""Arrays of a head as the graph takes them: fitted, asked, and fitted on fewer windows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.heads.features import KNEE
from models.heads.fit import (
    Calibration,
    Examples,
    Gaussians,
    answers,
    calibrated,
    distances,
    figures,
    fit_gaussians,
    given_up,
    held_back,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fitted(
    examples: Examples, classes: int, used: NDArray[np.bool_], *, normal: bool, seed: int
) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """Arrays of a head on the used (F,) of all features, and how it did on what was held back.

    mean (1 + k, F), precision (1 + k, F, F), logdet (1 + k,), of a class that nobody has labelled
    and the k known ones, and so on, as `models.graphs.head.ARRAYS`. normal: whether the first known
    class is normal operation.
    """
    some = replace(examples, features=examples.features[:, used], told=examples.told[:, used])
    square, logdet, freedom, out = held_back(some, classes, seed=seed)
    label, weight = some.label[out], some.weight[out]
    share = given_up(some, classes, normal=normal)
    calibration = calibrated(square[out], logdet[out], freedom[out], label, weight, share=share)
    whole = out & some.whole
    told = answers(square[whole], logdet[whole], freedom[whole], calibration, used=int(used.sum()))
    arrays = _arrays(fit_gaussians(some, classes), calibration, used)
    return arrays, figures(some.label[whole], *told)


def _arrays(
    model: Gaussians, calibration: Calibration, used: NDArray[np.bool_]
) -> dict[str, NDArray[Any]]:
    """What the graph takes, over all features (F,): those that are not used say nothing."""
    k, f = len(model.mean), len(used)
    mean, precision = np.zeros((k, f)), np.tile(np.eye(f), (k, 1, 1))
    mean[:, used] = model.mean
    precision[np.ix_(np.arange(k), used, used)] = model.precision
    return {
        "mean": mean.astype(np.float32),
        "precision": precision.astype(np.float32),
        "logdet": model.logdet.astype(np.float32),
        "used": used,
        "temperature": np.array(calibration.temperature, np.float32),
        "bound": calibration.bound.astype(np.float32),
        "ratio": calibration.ratio.astype(np.float32),
        "knee": np.array(KNEE, np.float32),
    }


def asked_of(
    arrays: dict[str, NDArray[Any]], examples: Examples
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """What a head of these arrays answers to examples: classes (m,), probabilities (m, k)."""
    used = arrays["used"]
    model = Gaussians(
        mean=arrays["mean"][:, used].astype(np.float64),
        precision=arrays["precision"][:, used][:, :, used].astype(np.float64),
        logdet=arrays["logdet"].astype(np.float64),
    )
    calibration = Calibration(
        temperature=float(arrays["temperature"]),
        bound=arrays["bound"].astype(np.float64),
        ratio=arrays["ratio"].astype(np.float64),
    )
    told = distances(model, examples.features[:, used], examples.told[:, used])
    return answers(*told, calibration, used=int(used.sum()))


def split(
    examples: Examples, classes: int, *, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What a curve is fitted on and what it is asked about (m,): a third of each class's groups."""
    chance = np.random.default_rng(seed)
    held: set[int] = set()
    for k in range(classes):
        groups = np.unique(examples.group[examples.label == k])
        if len(groups) >= 2:
            held |= set(chance.permutation(groups)[: max(len(groups) // 3, 1)].tolist())
    out = np.isin(examples.group, sorted(held))
    return ~out, out & examples.whole


def limited(
    rest: NDArray[np.bool_], examples: Examples, classes: int, *, size: int, seed: int
) -> NDArray[np.bool_]:
    """Of what there is to fit on, the looks at no more than `size` windows a class (m,)."""
    chance = np.random.default_rng(seed)
    kept: list[int] = []
    for k in range(classes):
        mine = rest & (examples.label == k)
        groups = chance.permutation(np.unique(examples.group[mine]))
        ordered = [
            w for g in groups for w in np.unique(examples.window[mine & (examples.group == g)])
        ]
        kept += ordered[:size]
    return rest & np.isin(examples.window, kept)
