"""Heads: from labelled windows of a detector's features to named failure modes.

A head belongs to a type of asset: windows of several assets, each against its own baseline, may
train it, and one fit may be put on several assets. It names a failure mode with a calibrated
probability or abstains, and never decides anything. Its method stands in `fit`, what it sees in
`features`, its graph in `models.graphs.head`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.bundles.store import sealed
from models.detector import detector_of
from models.detector_imported import ImportedDetector
from models.errors import ModelError
from models.foreign.imported import ImportedSpec
from models.graphs.head import heads_in, with_head_branch
from models.heads import notes as head_notes
from models.heads.arrays import asked_of, fitted, limited, split
from models.heads.features import prefixes, window_features
from models.heads.fit import Examples, figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.bundles.bundle import AssetModel, Bundle

NORMAL: Final = head_notes.NORMAL  # the label of a window in which nothing is wrong
CLASSES_MAX: Final = 32
WINDOWS_AT_ONCE: Final = 32  # of one length, that a graph is asked about together
SPREAD_GAIN: Final = 0.02  # of windows more that are right: else how much channels move is left out
SIZES: Final = (5, 20, 100, 500)  # labelled windows a class, of a learning curve


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledWindow:
    """A stretch of samples of which somebody has said what was wrong.

    values: (n, c) float64 in engineering units, NaN missing; rows before `begin` are what went
    before, the labelled ones are values[begin:]. label: id of a failure mode, or NORMAL.
    group: what must not be split between train and test, as a machine or an event.
    asset: whose baseline it is read against; "" for the asset that a call names.
    mode: of operation, NaN where none is told.
    """

    values: NDArray[np.float64]
    begin: int
    label: str
    group: str
    asset: str = ""
    mode: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadFit:
    """A fitted head, ready to be put into a bundle.

    classes: labels in order, k of them. arrays: what the graph needs, by name.
    counts: labelled windows of each class, (k,) by class.
    metrics: `accuracy` of all windows, `answered` the share of right ones among those answered,
    `abstained` the share not answered, `calibration_error` (expected, 10 bins); all from folds in
    which no group is on both sides, NaN where there are too few groups for that.
    """

    classes: tuple[str, ...]
    channels: tuple[str, ...]
    arrays: dict[str, NDArray[Any]]
    counts: dict[str, int]
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """What a head says of one window. label: None where it abstains.

    probability: of the likeliest class, also where it abstains.
    """

    label: str | None
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """How well a head does with `size` labelled windows a class; shares of all that was asked.

    accuracy: right and answered, of all. answered: right, of those answered. seconds: of the fit.
    """

    size: int
    accuracy: float
    answered: float
    abstained: float
    seconds: float


def train_head(
    bundle: Bundle, asset: str, windows: Sequence[LabelledWindow], *, seed: int = 0
) -> HeadFit:
    """Fit a head on windows of `asset`, and of others that name theirs.

    A window counts once, by looks at its first few samples and at all of it, as an event is looked
    at. How much channels move within a window is used only where that names more windows right.
    Raises ModelError where assets or shapes do not fit, or there are fewer than two classes.
    """
    names = _channels(_model_of(bundle, asset))
    classes = _classes(windows)
    examples, normal = _examples(bundle, asset, windows, classes), NORMAL in classes
    levels = np.arange(2 * len(names)) < len(names)
    tried = [
        fitted(examples, len(classes), used, normal=normal, seed=seed)
        for used in (levels, np.ones_like(levels))
    ]
    gain = tried[1][1]["accuracy"] - tried[0][1]["accuracy"]
    arrays, metrics = tried[1] if gain >= SPREAD_GAIN else tried[0]
    counts = {name: sum(w.label == name for w in windows) for name in classes}
    return HeadFit(classes=classes, channels=names, arrays=arrays, counts=counts, metrics=metrics)


def with_heads(bundle: Bundle, heads: Mapping[str, HeadFit], *, created_at_ns: int) -> Bundle:
    """A child bundle whose graph names failure modes of these assets; thresholds stay.

    Heads of other assets stay too. Raises ModelError where an asset or its channels do not fit, or
    its detector takes no head.
    """
    for asset, head in heads.items():
        if not takes_head(bundle, asset):
            raise ModelError(
                f"{asset} is watched by an imported model, which nothing asks for failure modes;"
                " put heads on assets that were fitted here"
            )
        names = _channels(_model_of(bundle, asset))
        if names != head.channels:
            raise ModelError(
                f"the head is of channels {head.channels}, {asset} has {names}; train one on its"
                " own windows, or on those of assets with the same channels"
            )
    child = _with(bundle, {**heads_of(bundle), **heads})
    return sealed(replace(child, parent=bundle.sha256, created_at_ns=created_at_ns))


def takes_head(bundle: Bundle, asset: str) -> bool:
    """Whether the detector of an asset can name failure modes: not an imported one."""
    part, _ = bundle.place(_model_of(bundle, asset).row_running)
    return not isinstance(part.spec, ImportedSpec)


def _with(bundle: Bundle, heads: Mapping[str, HeadFit]) -> Bundle:
    """A bundle, not sealed, with these heads and no other, each in the graph of its part.

    Imported parts take none.
    """
    parts, first = [], 0
    for part in bundle.parts:
        mine = {m.asset for m in bundle.assets if first <= m.row_running < first + part.rows}
        mine = set() if isinstance(part.spec, ImportedSpec) else mine
        own = {asset: head for asset, head in heads.items() if asset in mine}
        parts.append(replace(part, graph=graph_with(part.graph, own, width=part.width)))
        first += part.rows
    return replace(bundle, parts=tuple(parts))


def graph_with(graph: bytes, heads: Mapping[str, HeadFit], *, width: int) -> bytes:
    """A detector's graph of so many channels with these heads, one that several share once."""
    shared: dict[bytes, tuple[list[str], HeadFit]] = {}
    for asset in sorted(heads):
        fit = heads[asset]
        key = b"".join(np.ascontiguousarray(fit.arrays[n]).tobytes() for n in sorted(fit.arrays))
        shared.setdefault(key + repr(fit.classes).encode(), ([], fit))[0].append(asset)
    notes = [
        head_notes.HeadNote(
            assets=tuple(assets),
            classes=fit.classes,
            channels=fit.channels,
            counts=fit.counts,
            metrics={n: v if math.isfinite(v) else None for n, v in fit.metrics.items()},
        )
        for assets, fit in shared.values()
    ]
    arrays = [fit.arrays for _, fit in shared.values()]
    return with_head_branch(graph, list(zip(notes, arrays, strict=True)), width=width)


def heads_of(bundle: Bundle) -> dict[str, HeadFit]:
    """The heads of a bundle by asset; {} without any."""
    return {
        asset: HeadFit(
            classes=note.classes,
            channels=note.channels,
            arrays=arrays,
            counts=note.counts,
            metrics={n: math.nan if v is None else v for n, v in note.metrics.items()},
        )
        for part in bundle.parts
        for note, arrays in heads_in(part.graph)
        for asset in note.assets
    }


def carried(parent: Bundle, child: Bundle) -> Bundle:
    """A child that is being made, with the heads of its parent.

    Those of assets that are gone, have other channels or an imported model now stay behind. A head
    reads deviations from a baseline, so it stays with an asset that was fitted again.
    """
    of_child = {model.asset: _channels(model) for model in child.assets}
    heads = heads_of(parent)
    kept = {name: head for name, head in heads.items() if of_child.get(name) == head.channels}
    return _with(child, kept) if kept else child


def classify(bundle: Bundle, asset: str, windows: Sequence[LabelledWindow]) -> list[Classified]:
    """What the head of `asset` says of each window, asked of the graph; labels are not looked at.

    Raises ModelError where the asset has no head.
    """
    part, _ = bundle.place(_model_of(bundle, asset).row_running)
    detector = detector_of(part.graph)
    if isinstance(detector, ImportedDetector) or asset not in detector.heads:
        raise ModelError(f"{asset} has no head in this bundle; train one from labelled windows")
    said: list[Classified | None] = [None] * len(windows)
    by_length: dict[int, list[int]] = {}
    for i, window in enumerate(windows):
        by_length.setdefault(len(window.values) - window.begin, []).append(i)
    for length, indices in by_length.items():
        for first in range(0, len(indices), WINDOWS_AT_ONCE):
            some = indices[first : first + WINDOWS_AT_ONCE]
            x = np.full((len(some), length, part.width), np.nan, np.float32)
            rows = []
            for k, i in enumerate(some):
                window = windows[i]
                model = _model_of(bundle, window.asset or asset)
                x[k, :, : len(model.channels)] = window.values[window.begin :]
                where, row = bundle.place(_row(model, window.mode))
                if where is not part:
                    raise ModelError(f"{model.asset} has another kind of detector than {asset}")
                rows.append(row)
            own = {name: value[rows] for name, value in part.parameters.items()}
            told = detector.classify(x, np.isfinite(x), own, head=detector.heads[asset])
            for i, one in zip(some, told, strict=True):
                said[i] = Classified(label=one[0], probability=one[1], probabilities=one[2])
    return [one for one in said if one is not None]


def learning_curve(
    bundle: Bundle,
    asset: str,
    windows: Sequence[LabelledWindow],
    *,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
) -> list[CurvePoint]:
    """What more labels bring: heads of at most `size` windows a class, asked on groups left out.

    A size is left out where no class has more windows to fit on than at the size before. Seconds
    are those of one fit. Raises ModelError as `train_head`.
    """
    classes = _classes(windows)
    examples = _examples(bundle, asset, windows, classes)
    channels = len(_channels(_model_of(bundle, asset)))
    used = np.arange(2 * channels) < channels
    rest, asked = split(examples, len(classes), seed=seed)
    curve: list[CurvePoint] = []
    before = 0
    for size in sorted(sizes):
        some = limited(rest, examples, len(classes), size=size, seed=seed)
        if not asked.any() or int(some.sum()) <= before:
            continue
        before = int(some.sum())
        start = time.perf_counter()
        arrays, _ = fitted(
            examples.chosen(some), len(classes), used, normal=NORMAL in classes, seed=seed
        )
        seconds = time.perf_counter() - start
        test = examples.chosen(asked)
        told = figures(test.label, *asked_of(arrays, test))
        curve.append(
            CurvePoint(
                size=size,
                accuracy=told["accuracy"],
                answered=told["answered"],
                abstained=told["abstained"],
                seconds=seconds,
            )
        )
    return curve


def _model_of(bundle: Bundle, asset: str) -> AssetModel:
    found = next((model for model in bundle.assets if model.asset == asset), None)
    if found is None:
        known = ", ".join(model.asset for model in bundle.assets[:8])
        raise ModelError(f"the bundle has no asset {asset!r}; it has {known}")
    return found


def _channels(model: AssetModel) -> tuple[str, ...]:
    return tuple(channel.name for channel in model.channels)


def with_baseline(
    bundle: Bundle, asset: str, windows: Sequence[LabelledWindow]
) -> list[LabelledWindow]:
    """Windows that can be read: not those of a mode that was told and never seen by the fit.

    In service nothing is scored or named in such a mode either.
    """
    kept = []
    for window in windows:
        model = _model_of(bundle, window.asset or asset)
        known = {mode.value for mode in model.modes}
        if not known or math.isnan(window.mode) or window.mode in known:
            kept.append(window)
    return kept


def _row(model: AssetModel, mode: float) -> int:
    """The baseline that a window is read against: of its mode, else of all running."""
    return next((known.row for known in model.modes if known.value == mode), model.row_running)


def _classes(windows: Sequence[LabelledWindow]) -> tuple[str, ...]:
    """The labels, "normal" first. Raises ModelError for too few or too many."""
    names = sorted({window.label for window in windows}, key=lambda n: (n != NORMAL, n))
    if not 2 <= len(names) <= CLASSES_MAX:
        raise ModelError(
            f"labels are {names[:8]}: a head tells 2 to {CLASSES_MAX} classes apart; label events"
            " of another kind, or stretches in which nothing was wrong as 'normal'"
        )
    return tuple(names)


def _examples(
    bundle: Bundle, asset: str, windows: Sequence[LabelledWindow], classes: tuple[str, ...]
) -> Examples:
    """Looks at all windows. Raises ModelError for a window that does not fit its asset."""
    names = _channels(_model_of(bundle, asset))
    groups = {name: i for i, name in enumerate(sorted({w.group for w in windows}))}
    looks = []
    for i, window in enumerate(windows):
        model = _model_of(bundle, window.asset or asset)
        values = np.asarray(window.values, np.float64)
        fits = values.ndim == 2 and values.shape[1] == len(names) == len(model.channels)
        if _channels(model) != names or not fits or not 0 <= window.begin < len(values):
            raise ModelError(
                f"window {i} of {model.asset} has values {values.shape} from row {window.begin} and"
                f" channels {_channels(model)}; expected rows after it and channels {names}"
            )
        (part, row), c = bundle.place(_row(model, window.mode)), len(names)
        own = [part.parameters[n][row, :c] for n in ("center", "scale", "present")]
        center, scale = (each.astype(np.float64) for each in own[:2])
        labelled = values[window.begin :]
        ends = prefixes(len(labelled))
        for end in ends:
            told = window_features(labelled[:end], center, scale, own[2])
            looks.append((*told, i, 1.0 / len(ends), end == len(labelled)))
    at = np.array([look[2] for look in looks])
    label = np.array([classes.index(window.label) for window in windows])
    group = np.array([groups[window.group] for window in windows])
    return Examples(
        features=np.stack([look[0] for look in looks]),
        told=np.stack([look[1] for look in looks]),
        label=label[at],
        group=group[at],
        window=at,
        weight=np.array([look[3] for look in looks]),
        whole=np.array([look[4] for look in looks]),
    )
