"""Fit a head: Gaussian classes with shrunken covariances, calibrated, with a bound on strangeness.

A class is a Gaussian in the space of `models.heads.features`. With few labels a covariance of its
own is noise, so each is the mean of an inverse Wishart posterior around the pooled one (Friedman,
Regularized discriminant analysis, JASA 84, 1989), which is shrunk to its diagonal by Ledoit and
Wolf (J. Multivariate Anal. 88, 2004). Probabilities are tempered (Guo et al., On calibration of
modern neural networks, ICML 2017).

What is none of the known is refused by two conformal bounds. One is on the distance to the class
that is nearest (Lee et al., A simple unified framework for detecting out-of-distribution samples,
NeurIPS 2018). It adds up what all features are off by, also those that no fault moves; so the other
is on how much likelier a window is under a class that nobody has labelled. That one lies where
classes may lie, by the spread of those that are known in each feature, as a class drawn anew has it
in probabilistic linear discriminant analysis (Ioffe, ECCV 2006). Temperature and bounds are set by
predictions for groups that were not fitted on. All is deterministic; only folds are drawn, by seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Ints = NDArray[np.int64]

FOLDS: Final = 5
PRIOR_WINDOWS: Final = 50.0  # that the pooled covariance counts for in each class
RIDGE: Final = 1e-3  # of a feature's variance, added to it
VARIANCE_MIN: Final = 1e-4  # of a feature: what never moved is no proof when it does a little
SPREAD_CLASSES: Final = 2.0  # that the spread of all features counts for in that of each
STRANGERS: Final = 0.01  # of windows of known classes that are further away than any should be
# Of windows of a known class, the share that is given up so that unknown ones are refused: this
# over its groups, between these two, as few groups tell little of how far a class reaches. Of
# normal operation always the most: nothing is named there anyway, and incipient faults look like it
GIVEN_UP_GROUPS: Final = 0.8
GIVEN_UP: Final = (0.02, 0.2)
PROBABILITY_MIN: Final = 0.5  # of the class that is named: more likely than all others
COVERED_MIN: Final = 0.5  # of the features that a head uses
TEMPERATURES: Final = (0.5, 50.0)
OWN_BOUND: Final = 30.0  # windows that distances of all classes count for in each one's bound
BOUND_FEW: Final = 6.0  # deviate that is strange where nothing could be held back
RATIO_FEW: Final = 0.0  # and by how much the unknown class may be likelier
BINS: Final = 10  # of the calibration error


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gaussians:
    """A class that nobody has labelled, and the k known ones after it, in F features.

    mean (1 + k, F), precision (1 + k, F, F), logdet (1 + k,) of the covariances.
    """

    mean: NDArray[np.float64]
    precision: NDArray[np.float64]
    logdet: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Windows as features. told: which there are; label: into k classes; group, weight: (m,)."""

    features: NDArray[np.float64]  # (m, F)
    told: NDArray[np.bool_]  # (m, F)
    label: NDArray[np.int64]
    group: NDArray[np.int64]
    window: NDArray[np.int64]  # which window an example is a look at
    weight: NDArray[np.float64]
    whole: NDArray[np.bool_]  # it looks at the whole of its window

    def chosen(self, which: Mask | NDArray[np.intp]) -> Examples:
        """Some of them; which: (m,) bool or indices, any shape (i,)."""
        return Examples(
            features=self.features[which],
            told=self.told[which],
            label=self.label[which],
            group=self.group[which],
            window=self.window[which],
            weight=self.weight[which],
            whole=self.whole[which],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What makes answers of distances.

    bound: the deviate that is strange (k,). ratio: log likelihood of the unknown class over that of
    each class (k,) from which on it is refused, nats.
    """

    temperature: float
    bound: NDArray[np.float64]
    ratio: NDArray[np.float64]


def fit_gaussians(examples: Examples, classes: int) -> Gaussians:
    """Class means and covariances; a feature that is missing says nothing of its class."""
    f, label, weight = examples.features, examples.label, examples.weight
    known = weight[:, None] * examples.told
    mean, count = np.zeros((classes, f.shape[1])), np.zeros(classes)
    for k in range(classes):
        mine = label == k
        mean[k] = (known[mine] * f[mine]).sum(axis=0) / np.maximum(known[mine].sum(axis=0), 1e-9)
        count[k] = weight[mine].sum()
    apart = np.where(examples.told, f - mean[label], 0.0) * np.sqrt(weight)[:, None]
    total = float(count.sum())
    pooled = apart.T @ apart / max(total - classes, 1.0)
    pooled = shrunk(pooled, apart, total)
    covariance = np.empty((classes, *pooled.shape))
    for k in range(classes):
        own = apart[label == k].T @ apart[label == k]
        covariance[k] = (own + PRIOR_WINDOWS * pooled) / (count[k] + PRIOR_WINDOWS)
    anywhere = covariance.mean(axis=0) + np.diag(_between(mean, np.diag(pooled)))
    covariance = np.concatenate([anywhere[None], covariance])
    return Gaussians(
        mean=np.concatenate([mean.mean(axis=0, keepdims=True), mean]),
        precision=np.linalg.inv(covariance),
        logdet=np.linalg.slogdet(covariance)[1],
    )


def _between(mean: F64, within: F64) -> F64:
    """Variances (F,) of class means (k, F), in each feature drawn to what is usual in all.

    within: (F,) of the windows of a class; what is usual is told in these.
    """
    k = len(mean)
    own = mean.var(axis=0, ddof=1) / within
    drawn = ((k - 1) * own + SPREAD_CLASSES * own.mean()) / (k - 1 + SPREAD_CLASSES)
    return np.asarray(drawn * within)


def shrunk(covariance: F64, apart: F64, total: float) -> F64:
    """A covariance (F, F) of deviations (m, F) shrunk to its diagonal by Ledoit and Wolf's share.

    The share is that of the correlations, so that units of features do not matter.
    """
    variance = np.maximum(np.diag(covariance), VARIANCE_MIN)
    sigma = np.sqrt(variance)
    correlation = covariance / np.outer(sigma, sigma)
    width = len(variance)
    off = correlation - np.diag(np.diag(correlation))
    z = apart / sigma
    # mean over examples of |z z' - R|^2, without forming any of the products
    each = np.square(np.square(z).sum(axis=1)).sum() / total - np.square(correlation).sum()
    share = float(np.clip(max(each, 0.0) / total / max(np.square(off).sum(), 1e-12), 0.0, 1.0))
    kept = (1.0 - share) * off + np.diag(np.ones(width) + RIDGE)
    result: F64 = kept * np.outer(sigma, sigma)
    return result


def distances(model: Gaussians, features: F64, told: Mask) -> tuple[F64, F64, F64]:
    """Squared distances (m, 1 + k) to the classes, log determinants likewise, features told (m,).

    The unknown class is the first. Of features that are not told the marginal is taken: their rows
    and columns of the covariance are left out.
    """
    m, k = len(features), len(model.mean)
    square, logdet = np.empty((m, k)), np.empty((m, k))
    patterns, which = np.unique(told, axis=0, return_inverse=True)
    for index, seen in enumerate(patterns):
        mine = np.flatnonzero(which.ravel() == index)
        for j in range(k):
            p = model.precision[j]
            inner, log = p[np.ix_(seen, seen)], model.logdet[j]
            if not seen.all():
                gone = p[np.ix_(~seen, ~seen)]
                cross = p[np.ix_(seen, ~seen)]
                inner = inner - cross @ np.linalg.solve(gone, cross.T)
                log = log + np.linalg.slogdet(gone)[1]
            d = features[mine][:, seen] - model.mean[j][seen]
            square[mine, j] = np.einsum("mf,fg,mg->m", d, inner, d)
            logdet[mine, j] = log
    return square, logdet, told.sum(axis=1).astype(np.float64)


def strangeness(square: F64, freedom: F64) -> F64:
    """Deviates ~ N(0, 1) of squared distances of so many features (Wilson and Hilferty 1931)."""
    freedom = np.maximum(freedom, 1.0)
    b = 2.0 / (9.0 * freedom)
    deviate: F64 = (np.cbrt(square / freedom) - 1.0 + b) / np.sqrt(b)
    return deviate


def posterior(square: F64, logdet: F64, temperature: float) -> F64:
    """Probabilities (m, k) of equally likely known classes; square, logdet: as of `distances`."""
    from scipy.special import logsumexp  # noqa: PLC0415 - a gateway never fits a head

    logits = -0.5 * (square + logdet)[:, 1:] / temperature
    result: F64 = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    return result


def folds_of(examples: Examples, classes: int, *, seed: int) -> Ints:
    """The fold (m,) in which each example is held back, all of a group together; -1: in none.

    A class of one group is never held back: nothing would be left to know it by.
    """
    chance = np.random.default_rng(seed)
    fold = np.full(len(examples.label), -1)
    of_group: dict[int, int] = {}
    for k in range(classes):
        groups = np.unique(examples.group[examples.label == k])
        if len(groups) < 2:
            continue
        for at, group in enumerate(chance.permutation(groups).tolist()):
            of_group.setdefault(group, at % min(FOLDS, len(groups)))
    for group, at in of_group.items():
        fold[examples.group == group] = at
    return fold


def held_back(examples: Examples, classes: int, *, seed: int) -> tuple[F64, F64, F64, Mask]:
    """Distances, log determinants and features told of examples by fits that had not seen them.

    Also which examples (m,) could be held back; the rest is NaN.
    """
    fold = folds_of(examples, classes, seed=seed)
    m = len(fold)
    square, logdet = np.full((2, m, 1 + classes), np.nan)
    freedom = np.full(m, np.nan)
    for at in range(int(fold.max(initial=-1)) + 1):
        out = fold == at
        rest = examples.chosen(~out)
        if not out.any() or len(np.unique(rest.label)) < classes:
            continue
        model = fit_gaussians(rest, classes)
        square[out], logdet[out], freedom[out] = distances(
            model, examples.features[out], examples.told[out]
        )
    return square, logdet, freedom, np.isfinite(freedom)


def given_up(examples: Examples, classes: int, *, normal: bool) -> F64:
    """Shares (k,) of windows of each class that are refused to refuse the unknown.

    normal: whether the first class is normal operation.
    """
    groups = [len(np.unique(examples.group[examples.label == k])) for k in range(classes)]
    share = np.clip(GIVEN_UP_GROUPS / np.maximum(groups, 1), *GIVEN_UP)
    if normal:
        share[0] = GIVEN_UP[1]
    return share


def calibrated(
    square: F64, logdet: F64, freedom: F64, label: Ints, weight: F64, *, share: F64
) -> Calibration:
    """The temperature of least log loss, and the bounds on what is of a class.

    All of examples that were held back, square (m, 1 + k). share: (k,), as of `given_up`. With no
    examples: what is safe.
    """
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 - a gateway never fits a head

    classes = square.shape[1] - 1
    if not len(label):
        return Calibration(
            temperature=2.0,
            bound=np.full(classes, BOUND_FEW),
            ratio=np.full(classes, RATIO_FEW),
        )
    at = np.arange(len(label))

    def loss(log_temperature: float) -> float:
        p = posterior(square, logdet, float(np.exp(log_temperature)))[at, label]
        return float(-(weight * np.log(p + 1e-12)).sum())

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    own = strangeness(square[at, 1 + label], freedom)
    return Calibration(
        temperature=float(np.exp(found.x)),
        bound=_bounds(own, label, np.full(classes, STRANGERS)),
        ratio=_bounds(ratios(square, logdet)[at, label], label, share),
    )


def ratios(square: F64, logdet: F64) -> F64:
    """Log likelihoods of the unknown class over those of each (m, k), nats."""
    twice = square + logdet
    result: F64 = 0.5 * (twice[:, 1:] - twice[:, :1])
    return result


def _bounds(own: F64, label: Ints, share: F64) -> F64:
    """Bounds (k,) that such shares (k,) of the figures own (m,) of known windows are beyond.

    Classes are spread differently, and few windows tell how: means and deviations of each are drawn
    to those of all, and what is left is bounded for all together, as conformal prediction does it.
    """
    classes = len(share)
    mean, variance = np.full(classes, own.mean()), np.full(classes, own.var())
    for k in range(classes):
        mine = own[label == k]
        trust = len(mine) / (len(mine) + OWN_BOUND)
        if len(mine):
            mean[k] += trust * (mine.mean() - mean[k])
            variance[k] += trust * (mine.var() - variance[k])
    sigma = np.sqrt(np.maximum(variance, VARIANCE_MIN))
    left = np.sort((own - mean[label]) / sigma[label])
    kept = np.minimum(np.ceil((len(left) + 1) * (1.0 - share)).astype(int), len(left))
    bounds: F64 = mean + sigma * left[kept - 1]
    return bounds


def answers(
    square: F64, logdet: F64, freedom: F64, calibration: Calibration, *, used: int
) -> tuple[Ints, F64]:
    """The class (m,) of each example, -1 abstained, and the probabilities (m, k)."""
    p = posterior(square, logdet, calibration.temperature)
    best = p.argmax(axis=1)
    at = np.arange(len(best))
    sure = p[at, best] >= PROBABILITY_MIN
    known = strangeness(square[at, 1 + best], freedom) <= calibration.bound[best]
    known &= ratios(square, logdet)[at, best] <= calibration.ratio[best]
    covered = freedom >= COVERED_MIN * used
    return np.where(sure & known & covered, best, -1), p


def figures(label: Ints, named: Ints, p: F64) -> dict[str, float]:
    """How well answers do; NaN of none. `accuracy`: right of all; `answered`: right of answered.

    label, named: (m,) classes, -1 abstained   p: (m, k)
    """
    if not len(label):
        names = ("accuracy", "answered", "abstained", "calibration_error")
        return dict.fromkeys(names, float("nan"))
    said = named >= 0
    right = named == label
    return {
        "accuracy": float(right.mean()),
        "answered": float(right[said].mean()) if said.any() else float("nan"),
        "abstained": float(1.0 - said.mean()),
        "calibration_error": calibration_error(p.max(axis=1), p.argmax(axis=1) == label),
    }


def calibration_error(probability: F64, right: Mask) -> float:
    """Expected calibration error in BINS bins (Naeini et al., AAAI 2015), 0 to 1.

    probability, right: of each example's likeliest class and whether it was true, any shape.
    """
    which = np.minimum((probability * BINS).astype(int), BINS - 1)
    error = 0.0
    for b in range(BINS):
        mine = which == b
        if mine.any():
            error += mine.mean() * abs(probability[mine].mean() - right[mine].mean())
    return float(error)
