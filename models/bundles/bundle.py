"""What a bundle holds, in plain records: the detectors of all its assets, and whence they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from models.bundles.symmetric import Matrices, taken
from models.bundles.tabled_kinds import EnsembleRow, EnsembleSpec, PcaRow, PcaSpec
from models.bundles.tuned import Tuned
from models.errors import ModelError
from models.fitting.drift import DriftReference
from models.fitting.extremes import AlarmTail, Replay
from models.fitting.health import AssetHealth
from models.fitting.mode_track import FoundModes
from models.fitting.season import Hours, Season
from models.foreign.imported import ImportedRow, ImportedSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.fitting.positions import OperatorPosition

# sigmas; beyond it every value is equally absurd, and float32 squares stay finite
Z_MAX: Final = 30.0
# a long-missing channel is at most this uncertain (variance, normalised units)
U_MAX: Final = 100.0
UNRESOLVED: Final = "unresolved "  # metric: deviation of the channel named, too small for float32
CONTAMINATED: Final = "contaminated"  # metric: rows left out because they were unlike the rest
UNSTEADY: Final = "unsteady"  # metric: share of rows unlike the rest, too many to be left out
MODE_OF_PARENT: Final = "mode of the parent "  # metric: the mode named was not in the record
STOPPED_OF_PARENT: Final = "stopped baseline of the parent"  # metric: likewise of standing still
FOUND_BEFORE: Final = "modes found before"  # metric: how many the parent guessed, this record none
SEASON_LEFT: Final = "left by the hour "  # metric: share of the variance of the channel named
SEASON_OF_PARENT: Final = "season of the parent"  # metric: the record was too short for its own
UNLIKE_HOUR: Final = "unlike their hour"  # metric: rows that made no tail of the season
UNFITTED: Final = "unfitted"  # metric of an asset of which nothing was learned yet
UNMASKED: Final = "cannot_mask"  # metric of an asset that cannot be scored without some channels

# Inputs of the VAR's graph, a row an asset and baseline; `models.fitting.fit` says what they mean.
PARAMETERS: Final = (
    "center",
    "scale",
    "present",
    "weights",
    "mixing",
    "settle",
    "tail_knots",
    "tail_slopes",
    "evenness",
    "fusion",
)


# Likewise of the graph for streams of one channel; `models.fitting.stream` says what they mean.
STREAM_PARAMETERS: Final = (
    "center",
    "scale",
    "present",
    "bank",
    "tail_counts",
    "tail_sums",
    "fusion",
)


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One measured quantity of an asset."""

    name: str
    unit: str = ""


class Spec(msgspec.Struct, frozen=True, kw_only=True, tag="var"):
    """Shape of the VAR detector that all assets of a part share; it determines the graph's bytes.

    channels: of the widest asset; the others are padded. lags: p of the VAR. lambdas: rates of the
    EWMAs, fastest first. knots: of each tail table.
    """

    channels: int
    lags: int = 2
    lambdas: tuple[float, ...] = (1.0, 0.05)
    knots: int = 8

    @property
    def views(self) -> int:
        """V, the statistics that are fused: of each EWMA all channels together, and the worst."""
        return 2 * len(self.lambdas)

    @property
    def state_sizes(self) -> tuple[int, int, int, int]:
        """Widths in the state: lags; EWMAs, twice; v, n, q, run, full; variances of the lags."""
        k = len(self.lambdas)
        lagged = self.lags * self.channels
        return (lagged, 2 * k * self.channels, 3 * k + 2, lagged)

    @property
    def state_width(self) -> int:
        """Width s of the state (a, s)."""
        return sum(self.state_sizes)


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True, tag="stream"):
    """Shape of the detector of streams of one channel; it determines the graph's bytes.

    season: samples of a day, 0 where a day is too long or too short to be followed. seasons: days
    that the usual value is taken from, each with `around` samples before and after. lambdas: rates
    of the EWMAs of what differs from it, fastest first. window, bank, nearest: w samples a window,
    B windows kept, the nearest that count. bins: of each tail.
    """

    season: int
    seasons: int = 7
    around: int = 2
    lambdas: tuple[float, ...] = (1.0, 0.1)
    window: int = 16
    bank: int = 256
    nearest: int = 3
    bins: int = 160
    channels: int = 1

    @property
    def offsets(self) -> tuple[int, ...]:
        """How many samples back those are that the usual value of one is taken from."""
        near = range(-self.around, self.around + 1)
        if not self.season:
            return tuple(range(1, self.seasons * len(near) + 1))
        return tuple(day * self.season + j for day in range(1, self.seasons + 1) for j in near)

    @property
    def views(self) -> int:
        """V, the statistics that are fused: EWMAs, step from sample to sample, nearest windows."""
        return len(self.lambdas) + 2

    @property
    def state_sizes(self) -> tuple[int, int, int, int]:
        """Widths in the state: past samples; EWMAs; counts and sums of the tails."""
        line = max(*self.offsets, self.window)
        tails = self.views * self.bins
        return (line, len(self.lambdas), tails, tails)

    @property
    def state_width(self) -> int:
        """Width s of the state (a, s)."""
        return sum(self.state_sizes)


AnySpec = (
    Spec | StreamSpec | PcaSpec | EnsembleSpec | ImportedSpec
)  # of each kind of detector that there is


class ModeRow(msgspec.Struct, frozen=True, kw_only=True):
    """The baseline of one operating mode: the value of the mode tag, and its row."""

    value: float
    row: int


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What an asset was fitted on. rows: half-open, of the recording with this hash.

    rows_excluded: of these, left out for the jobs named.
    """

    sha256: str
    rows: tuple[int, int]
    rows_used: int
    jobs_excluded: tuple[str, ...] = ()
    rows_excluded: int = 0


class AssetModel(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One asset of a bundle. Vectors have an entry for each of its channels (c,) float64.

    row_running, row_stopped: rows of the bundle; -1: no baseline of that state.
    modes: baselines of operating modes, () where none is told; a mode that is not among them was
    never seen, one with too few rows for its own shares row_running. found: how to guess the mode
    of an asset that tells none; None: it tells it, or has only one.
    threshold_on opens an event, threshold_off <= threshold_on ends it; from the alert budget and
    the tails of running and, None: without a baseline, of standing still. replay: what came of
    them, None: not tried, as where they fell without a new fit.
    usual_low, usual_high: 1 % and 99 % quantiles of normal running; as center and sigma in
    engineering units.
    stuck_samples_max: longer runs of one value do not happen in normal running.
    health: what is usual of its sensors; None: not learned. drift: what normal operation showed by
    blocks, to tell when it moves; None: not learned. tuned: with labels, None: it never was.
    season, row_season: what is usual at an hour, and the row that judges what is off it; None, -1.
    """

    asset: str
    channels: tuple[Channel, ...]
    period_ns: int
    alignment: str  # rows | grid
    row_running: int
    row_stopped: int
    threshold_on: float
    threshold_off: float
    usual_low: np.ndarray
    usual_high: np.ndarray
    center: np.ndarray
    sigma: np.ndarray
    stuck_samples_max: np.ndarray
    tail: AlarmTail
    training: Training
    metrics: dict[str, float] = {}
    modes: tuple[ModeRow, ...] = ()
    found: FoundModes | None = None
    health: AssetHealth | None = None
    drift: DriftReference | None = None
    tuned: Tuned | None = None
    tail_stopped: AlarmTail | None = None
    replay: Replay | None = None
    season: Season | None = None
    row_season: int = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowFit:
    """One baseline of one asset: everything of its row, unpadded.

    center, sigma: (c,)   present, wanders: (c,) bool
    moments: ((p+1) c, (p+1) c) of normalised values, oldest lag first
    learned: rows behind the moments
    knots, slopes: (V, J)   evenness: (K, c) what the tails of channels are made alike with
    fusion: surprise that the most surprised of V views has by being chosen
    settle: samples after a gap that are not scored
    """

    center: NDArray[np.float64]
    sigma: NDArray[np.float64]
    present: NDArray[np.bool_]
    wanders: NDArray[np.bool_]
    moments: NDArray[np.float64]
    learned: int
    knots: NDArray[np.float64]
    slopes: NDArray[np.float64]
    evenness: NDArray[np.float64]
    fusion: float
    settle: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamRow:
    """The baseline of a stream of one channel.

    center, sigma: (1,)   present: (1,) bool   bank: (B, w) windows of normal operation in sigmas
    counts, sums: (V, bins) how often normal operation showed each size of each view, and their sum
    fusion: as of RowFit   learned: rows behind it
    """

    center: NDArray[np.float64]
    sigma: NDArray[np.float64]
    present: NDArray[np.bool_]
    bank: NDArray[np.float64]
    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    fusion: float
    learned: int


AnyRow = RowFit | StreamRow | PcaRow | EnsembleRow | ImportedRow  # in the order of AnySpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AssetFit:
    """One fitted asset, ready to be put into a bundle. Vectors are (c,) as in AssetModel."""

    asset: str
    channels: tuple[Channel, ...]
    period_ns: int
    alignment: str
    spec: AnySpec  # of this asset alone
    running: AnyRow
    stopped: AnyRow | None
    usual_low: NDArray[np.float64]
    usual_high: NDArray[np.float64]
    stuck_samples_max: NDArray[np.float64]
    tail: AlarmTail
    training: Training
    metrics: dict[str, float]
    modes: tuple[tuple[float, AnyRow | None], ...] = ()  # None: too few rows for one of its own
    found: FoundModes | None = None
    health: AssetHealth | None = None
    drift: DriftReference | None = None
    graph: bytes = b""  # around an imported model; else it follows from the spec
    tail_stopped: AlarmTail | None = None
    season: Season | None = None
    season_row: RowFit | None = None
    hours: Hours | None = None  # of few days, to compare with a parent's season; None: of enough
    # of rows that the model had not seen: running (n,), stopped (m,)
    scores: tuple[NDArray[np.float64] | None, NDArray[np.float64] | None] = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """All rows of a bundle that one graph scores: those of its assets of one kind of detector.

    parameters: stacked inputs of the graph (rows, ...) by the names in PARAMETERS, for streams of
    one channel in STREAM_PARAMETERS, and so on for each kind
    moments: (rows, (p+1) c, (p+1) c) float64, wanders: (rows, c) bool and learned: (rows,) float64,
    the rows behind the moments, make masked rows; moments of other kinds are empty (rows, 0, 0)
    selftest: x (a, n, c), valid, rows (a,) of the part and the score (a, n) expected of them
    """

    spec: AnySpec
    graph: bytes
    parameters: dict[str, NDArray[Any]]
    moments: Matrices
    wanders: NDArray[np.bool_]
    learned: NDArray[np.float64]
    selftest: dict[str, NDArray[Any]]

    @property
    def rows(self) -> int:
        """Number of parameter rows."""
        return len(self.wanders)

    @property
    def width(self) -> int:
        """Channels of the widest asset; `x` and `valid` are padded to it."""
        return self.spec.channels

    def taken(self, rows: NDArray[np.intp]) -> Part:
        """Some of the rows (m,), in their order and as often as they are named."""
        return replace(
            self,
            parameters={name: value[rows] for name, value in self.parameters.items()},
            moments=taken(self.moments, rows),
            wanders=self.wanders[rows],
            learned=self.learned[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """An immutable detector of all its assets.

    parts: one for each graph. Rows are numbered through all parts, in their order, and each asset
    has all its rows in one. positions: operator positions with budgets of their own; alerts_per_day
    is that of the position of all assets that none of them names.
    """

    sha256: str
    parts: tuple[Part, ...]
    assets: tuple[AssetModel, ...]
    alerts_per_day: float
    parent: str  # sha256 of the bundle that this one grew from; "" for none
    created_at_ns: int
    positions: tuple[OperatorPosition, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows of all parts: one for each baseline of each asset."""
        return sum(part.rows for part in self.parts)

    @property
    def width(self) -> int:
        """Channels of the widest asset of all."""
        return max(part.width for part in self.parts)

    @property
    def only(self) -> Part:
        """The part of a bundle that has one. Raises ModelError where it has several."""
        if len(self.parts) != 1:
            raise ModelError(f"the bundle has {len(self.parts)} parts, expected one")
        return self.parts[0]

    def place(self, row: int) -> tuple[Part, int]:
        """The part that holds a row of the bundle, and which of its rows it is."""
        for part in self.parts:
            if row < part.rows:
                return part, row
            row -= part.rows
        raise ModelError(f"the bundle has {self.rows} rows, and none {row} beyond them")


def part_files(at: int) -> tuple[str, str, str]:
    """Names of the graph, the parameters and the self-test of a part, from 0."""
    more = f"-{at + 1}" if at else ""
    return f"model{more}.onnx", f"parameters{more}.npz", f"selftest{more}.npz"


def kind_of(spec: AnySpec) -> str:
    """The word for a kind of detector, as bundle.json and `FitOptions` have it."""
    return str(type(spec).__struct_config__.tag)


def is_unfitted(metrics: dict[str, float]) -> bool:
    """Whether an asset's metrics say that nothing was learned of it."""
    return metrics.get(UNFITTED) == 1.0


def cannot_mask(metrics: dict[str, float]) -> bool:
    """Whether an asset's metrics say that it cannot be scored without some of its channels."""
    return metrics.get(UNMASKED) == 1.0
