"""A small convolutional forecaster, trained here: `andon fit --detector conv`, extra `train` only.

Each sample is forecast from the 31 before it, by dilated causal convolutions without padding (TCN,
Bai et al. 2018) beside a linear step from the newest, and what is left of it is the error (DeepAnT,
Munir et al. 2019). Missing values are the mean, and their places are told; channels are hidden at
random while it learns, so that masks mean something to it. From there on it is a model like those
that others bring: `models.foreign.calibrate` calibrates it, `models.graphs.imported` builds it in.

Tails come from rows that the network had not seen: the record is cut into blocks, each scored by a
network that was trained on the others. Trained on one processor core with a fixed seed; the only
module of the detector that imports torch, when it runs.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.errors import ModelError
from models.foreign.adopt import spec_of
from models.foreign.calibrate import calibrated_fit, given_over, normal_rows
from models.foreign.foreign import read_foreign
from models.foreign.imported import VALID
from models.foreign.ways import quickest
from models.foreign.windows import what_it_takes, windows_over
from models.graphs.imported import build_imported_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.bundles.bundle import AssetFit
    from models.foreign.calibrate import NormalRows
    from models.foreign.foreign import Foreign
    from models.foreign.imported import ImportedSpec
    from models.foreign.windows import Taken
    from models.samples import TrainingSamples

    F32 = NDArray[np.float32]
    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

DILATIONS: Final = (1, 2, 4, 8)
KERNEL: Final = 3
WINDOW: Final = 1 + (KERNEL - 1) * sum(DILATIONS)  # what the last layer sees: 31 samples
PARAMETERS_MAX: Final = 50_000
WIDTHS: Final = (32, 24, 16, 8)  # of the layers: the largest that keeps within
FAR: Final = 10.0  # sigmas; beyond it the network sees no difference
BLOCKS: Final = 4  # that tails come from
HELD_BACK: Final = 0.15  # of the rows, the newest: they say when to stop
STEPS_MAX: Final = 1_500  # of BATCH windows
LOOK_EVERY: Final = 50  # steps between looks at what was held back
PATIENCE: Final = 4  # looks without getting better
BATCH: Final = 128
RATE: Final = 2e-3
DECAY: Final = 1e-4
HIDDEN_WINDOWS: Final = 0.5  # share of windows in which channels are hidden,
HIDDEN_CHANNELS: Final = 0.15  # each with this chance
LOOKED_MAX: Final = 4_096  # windows held back that are looked at
RATES: Final = (1.0, 0.05)  # of the averages of its errors, as of other detectors
CONV: Final = "conv"  # its name among the detectors
FILE: Final = "conv.onnx"
NO_TORCH: Final = (
    "the detector `conv` is trained with torch, which is not installed: install the CPU build"
    " (pip install torch==2.13.0, from wherever your CPU wheels are), on this or another machine;"
    " its bundles run without it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """An asset's rows as the network sees them. z: (n, c) float32, 0 where not there (n, c)."""

    z: F32
    there: Mask


def fit_conv(
    assets: Sequence[tuple[TrainingSamples, str]],
    *,
    tell: Callable[[str], object] = str,
) -> list[AssetFit]:
    """Train one network on the normal rows of all assets, each with its alignment; calibrate each.

    Raises ModelError without torch, with assets of different channels, or with too few rows.
    """
    if importlib.util.find_spec("torch") is None:
        raise ModelError(NO_TORCH)
    widths = {len(samples.channels) for samples, _ in assets}
    if len(widths) != 1:
        raise ModelError(
            f"the detector `conv` is one network for all assets of a bundle, and these have"
            f" {sorted(widths)} channels; fit them into bundles of their own"
        )
    normal = [normal_rows(one, lambdas=RATES, alignment=how) for one, how in assets]
    series = [_series(one) for one in normal]
    blocks = [np.array_split(np.arange(len(one.z)), BLOCKS) for one in series]
    given = [np.full(one.z.shape, np.nan) for one in series]
    for k in range(BLOCKS):
        tell(f"block {k + 1} of {BLOCKS}")
        targets = [_targets(one, but=own[k]) for one, own in zip(series, blocks, strict=True)]
        foreign, taken, spec = _exported(_trained(series, targets))
        graph = build_imported_graph(spec, foreign, taken)
        for i, one in enumerate(normal):
            own = blocks[i][k]
            given[i][own] = given_over(graph, spec, one.live, one.level)[own]
    tell("all rows")
    foreign, taken, spec = _exported(_trained(series, [_targets(one) for one in series]))
    spec, graph, how = quickest(spec, foreign, taken, normal[0])
    tell(how or "each window is computed anew")
    return [
        calibrated_fit(samples, one, spec, graph, told, alignment=how)
        for (samples, how), one, told in zip(assets, normal, given, strict=True)
    ]


def _series(normal: NormalRows) -> _Series:
    center, sigma = normal.level
    there = np.isfinite(normal.live)
    z = np.clip((normal.live - center) / sigma, -FAR, FAR)
    return _Series(z=np.where(there, z, 0.0).astype(np.float32), there=there)


def _targets(series: _Series, *, but: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    """Rows that can be forecast: each sample of the window has some value; without those `but`."""
    some: Mask = np.asarray(series.there.any(axis=1))
    if but is not None:
        some = some.copy()
        some[but] = False
    whole = windows_over(some[:, None], WINDOW + 1).all(axis=(1, 2))
    return np.flatnonzero(whole) + WINDOW


def _trained(series: Sequence[_Series], targets: Sequence[NDArray[np.intp]]) -> tuple[Any, int]:
    """A network trained on those rows of each series, and its channels. Raises ModelError."""
    import torch  # noqa: PLC0415 - the extra `train` need not be there

    torch.manual_seed(0)
    torch.set_num_threads(1)  # sums come in one order
    chance = np.random.default_rng(0)
    early, late = _split(targets)
    if len(early) < BATCH or len(late) < BATCH // 8:
        raise ModelError(
            f"{len(early) + len(late)} windows of {WINDOW + 1} rows can be learned from, at least"
            f" {2 * BATCH} are needed; use a longer record, or one with fewer holes"
        )
    net, c = _network(torch, series[0].z.shape[1]), series[0].z.shape[1]
    steps = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    late = late[np.linspace(0, len(late) - 1, min(len(late), LOOKED_MAX)).round().astype(int)]
    held = _windows(series, late)
    best, kept, since = float("inf"), net.state_dict(), 0
    for step in range(STEPS_MAX):
        drawn = early[chance.integers(0, len(early), BATCH)]
        x, valid, y, counts = _windows(series, drawn)
        hide = chance.random((BATCH, 1, c)) < HIDDEN_CHANNELS
        hide &= chance.random((BATCH, 1, 1)) < HIDDEN_WINDOWS
        seen = np.where(hide, np.float32(0.0), valid)
        steps.zero_grad()
        _loss(torch, net, (x * seen, seen, y, counts)).backward()
        steps.step()
        if step % LOOK_EVERY == LOOK_EVERY - 1:
            with torch.no_grad():
                loss = float(_loss(torch, net, held))
            since = 0 if loss < best else since + 1
            if loss < best:
                best, kept = loss, {k: v.clone() for k, v in net.state_dict().items()}
            if since == PATIENCE:
                break
    net.load_state_dict(kept)
    return net.eval(), c


def _split(targets: Sequence[NDArray[np.intp]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Targets (m, 2) of series and row to learn from, and the newest of each to look at."""
    early, late = [], []
    for i, rows in enumerate(targets):
        cut = int(len(rows) * (1 - HELD_BACK))
        both = np.stack([np.full(len(rows), i), rows], axis=1)
        early.append(both[: max(cut - WINDOW, 0)])  # no window of one reaches into the other
        late.append(both[cut:])
    return np.concatenate(early), np.concatenate(late)


def _windows(series: Sequence[_Series], targets: NDArray[np.intp]) -> tuple[F32, F32, F32, F32]:
    """Windows (m, w, c), which of their values are there, the next samples (m, c), likewise."""
    x, valid, y, counts = [], [], [], []
    for i, one in enumerate(series):
        rows = targets[targets[:, 0] == i, 1]
        at = rows[:, None] + np.arange(-WINDOW, 0)
        x.append(one.z[at])
        valid.append(one.there[at].astype(np.float32))
        y.append(one.z[rows])
        counts.append(one.there[rows].astype(np.float32))
    told = [np.concatenate(part) for part in (x, valid, y, counts)]
    return told[0], told[1], told[2], told[3]


def _loss(torch: Any, net: Any, told: tuple[F32, F32, F32, F32]) -> Any:  # noqa: ANN401
    """Huber's loss of the forecasts, of values that are there."""
    x, valid, y, counts = (torch.from_numpy(part) for part in told)
    apart = torch.nn.functional.huber_loss(net(x, valid), y, reduction="none", delta=2.0)
    return (apart * counts).sum() / counts.sum().clamp(min=1.0)


def _network(torch: Any, c: int) -> Any:  # noqa: ANN401
    """Windows (N, w, c) of sigmas and which are there -> the next sample (N, c)."""
    nn = torch.nn

    class Forecaster(nn.Module):  # type: ignore[misc,name-defined]
        """Dilated convolutions over the window, and a linear step from its newest sample."""

        def __init__(self, width: int) -> None:
            super().__init__()
            layers: list[Any] = []
            before = 2 * c
            for dilation in DILATIONS:
                layers += [nn.Conv1d(before, width, KERNEL, dilation=dilation), nn.GELU("tanh")]
                before = width
            self.layers = nn.Sequential(*layers)
            self.step = nn.Linear(2 * c, c)
            self.last = nn.Linear(before, c)
            nn.init.zeros_(self.last.weight)  # it begins as the linear step alone

        def forward(self, x: Any, valid: Any) -> Any:  # noqa: ANN401
            known = torch.cat([x.clamp(-FAR, FAR) * valid, valid], dim=2)
            deep = self.layers(known.transpose(1, 2)).squeeze(2)
            return self.step(known[:, -1]) + self.last(deep)

    for width in WIDTHS:
        torch.manual_seed(0)
        net = Forecaster(width)
        if sum(one.numel() for one in net.parameters()) < PARAMETERS_MAX:
            return net
    raise ModelError(f"{c} channels are too many for a network of {PARAMETERS_MAX} weights")


def _exported(trained: tuple[Any, int]) -> tuple[Foreign, Taken, ImportedSpec]:
    """The network as others bring theirs, and its shape."""
    import torch  # noqa: PLC0415 - likewise

    net, c = trained
    file = io.BytesIO()
    names = ["x", VALID]
    with warnings.catch_warnings():  # of the exporter that needs no other package
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(2, WINDOW, c), torch.ones(2, WINDOW, c)),
            file,
            input_names=names,
            output_names=["next"],
            dynamic_axes={name: {0: "n"} for name in (*names, "next")},
            opset_version=20,  # it has Gelu as one operator
            dynamo=False,
        )
    foreign = read_foreign(file.getvalue(), file=FILE)
    taken = what_it_takes(foreign, c, window=WINDOW, layout="rows", output=None, tell=str)
    spec = spec_of(foreign, taken, channels=c, kind="forecast", sign=1, scaled=True)
    return foreign, taken, spec
