"""What a bundle keeps of a detector that somebody else made: its shape, its tails, its origin.

`foreign` reads such a model, `adopt` finds out about it, `calibrate` learns what is usual of it,
`models.graphs.imported` builds it into a graph of ours, and `models.detector_imported` runs that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]
    Shapes = dict[str, tuple[tuple[int, ...], str]]

Kind = Literal["score", "reconstruction", "forecast"]
Layout = Literal["rows", "columns", "flat_rows", "flat_columns"]
Way = Literal["windows", "products", "stream"]

# Inputs of the graph, a row an asset; `ImportedRow` says what they mean.
IMPORTED_PARAMETERS: Final = (
    "center",
    "scale",
    "present",
    "error_center",
    "error_scale",
    "evenness",
    "tail_knots",
    "tail_slopes",
    "fusion",
)
IMPORTED_NOT_FITTED: Final = (
    "an imported model watches it, which cannot be fitted here: calibrate that on the new rows"
    " with `andon model import MODEL RECORDING --into BUNDLE`"
)
VALID: Final = "valid"  # name of the input that takes which values are there
SELFTEST_SAMPLES: Final = 48  # besides two windows
# What a row's state begins with: where the next sample is written; samples since the last gap, and
# since the last missing value, as far as that counts; samples since the model was asked; its score;
# samples that its stream has seen, modulo the size of all its rings.
TALLIES: Final = 6
LINE_VALUES: Final = 16  # float32, of a processor's cache line: windows are copied along these


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where an imported model is from. sha256, size_bytes: of its file; opsets: `domain version`.

    input, output: their names in it. batch: windows that it takes at once, 0: any number.
    """

    file: str
    sha256: str
    size_bytes: int
    producer: str
    opsets: tuple[str, ...]
    input: str
    output: str
    batch: int


class ImportedSpec(msgspec.Struct, frozen=True, kw_only=True, tag="imported"):
    """Shape of an imported detector and its graph; with the model itself it determines the bytes.

    channels: c, in the order of the model. window: w samples that it takes. layout: of a window:
    rows (w, c), columns (c, w), or one of them flat. kind: what it gives: a score, its input again,
    or the next sample. sign: 1: higher scores are stranger, -1: lower ones. scaled: it takes sigmas
    from the center, not engineering units. masks: it has an input `valid`. lambdas, knots: as in
    `Spec`. hop: samples between the windows that it is asked about; what it said of the last counts
    until the next. way: how it is computed, as `models.foreign.ways` found that it may be. carried:
    width of what a stream of its layers keeps of the past.
    """

    channels: int
    window: int
    layout: Layout
    kind: Kind
    sign: int
    scaled: bool
    masks: bool
    origin: Origin
    lambdas: tuple[float, ...] = (1.0, 0.05)
    knots: int = 8
    hop: int = 1
    way: Way = "windows"
    carried: int = 0

    @property
    def errors(self) -> int:
        """M, numbers that the model is judged by: its score, or the residual of each channel."""
        return 1 if self.kind == "score" else self.channels

    @property
    def views(self) -> int:
        """V, statistics that are fused: EWMAs of the score; of residuals all, and the worst."""
        return len(self.lambdas) * (1 if self.kind == "score" else 2)

    @property
    def line(self) -> int:
        """Samples before the newest that its scoring takes."""
        return self.window - (self.kind != "forecast")

    @property
    def averages(self) -> int:
        """Width of the EWMAs of the errors, and of their variances: of each rate each error."""
        return len(self.lambdas) * self.errors

    @property
    def head(self) -> int:
        """Width in the state before the past: TALLIES, EWMAs of the errors, their variances."""
        return TALLIES + 2 * self.averages

    @property
    def state_width(self) -> int:
        """Width s of the state (a, s): the head, 2 w samples, what a stream carries."""
        return self.carried_from + self.carried

    @property
    def carried_from(self) -> int:
        """Where what a stream carries begins in the state, behind the samples."""
        return self.past_from + 2 * self.window * self.channels

    @property
    def past_from(self) -> int:
        """Where the past begins in the state, behind the head: at a line of the cache."""
        return -(-self.head // LINE_VALUES) * LINE_VALUES


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedRow:
    """What an imported model shows in normal operation of one asset.

    center, sigma: (c,) of its channels   present: (c,) bool, all of them
    error_center, error_scale: (M,) what makes its errors deviates of unit variance
    evenness: (K, M), knots, slopes: (V, J), fusion, learned: as of RowFit
    """

    center: NDArray[np.float64]
    sigma: NDArray[np.float64]
    present: NDArray[np.bool_]
    error_center: NDArray[np.float64]
    error_scale: NDArray[np.float64]
    evenness: NDArray[np.float64]
    knots: NDArray[np.float64]
    slopes: NDArray[np.float64]
    fusion: float
    learned: int


def imported_shapes(spec: ImportedSpec, rows: int) -> Shapes:
    """Shape and dtype of what a bundle of so many rows keeps besides what every kind has."""
    m, tails = spec.errors, (rows, spec.views, spec.knots)
    return {
        "error_center": ((rows, m), "float32"),
        "error_scale": ((rows, m), "float32"),
        "evenness": ((rows, len(spec.lambdas), m), "float32"),
        "tail_knots": (tails, "float32"),
        "tail_slopes": (tails, "float32"),
        "moments": ((rows, 0, 0), "float64"),
    }


def arrays_of(row: ImportedRow) -> Arrays:
    """Everything of one row as a bundle keeps it."""
    return {
        "center": row.center.astype(np.float32),
        "scale": (1.0 / row.sigma).astype(np.float32),
        "present": row.present,
        "fusion": np.array([row.fusion], np.float32),
        "learned": np.array(row.learned, np.float64),
        "error_center": row.error_center.astype(np.float32),
        "error_scale": row.error_scale.astype(np.float32),
        "evenness": row.evenness.astype(np.float32),
        "tail_knots": row.knots.astype(np.float32),
        "tail_slopes": row.slopes.astype(np.float32),
        "wanders": np.zeros(len(row.center), np.bool_),
        "moments": np.empty((0, 0)),
    }


def row_of(p: Arrays, *, learned: int) -> ImportedRow:
    """A row as it was calibrated; p: what `arrays_of` gave, values of any shape it has there."""
    return ImportedRow(
        center=p["center"].astype(np.float64),
        sigma=1.0 / p["scale"].astype(np.float64),
        present=p["present"],
        error_center=p["error_center"].astype(np.float64),
        error_scale=p["error_scale"].astype(np.float64),
        evenness=p["evenness"].astype(np.float64),
        knots=p["tail_knots"].astype(np.float64),
        slopes=p["tail_slopes"].astype(np.float64),
        fusion=float(p["fusion"][0]),
        learned=learned,
    )


def selftest_samples(spec: ImportedSpec) -> tuple[int, float]:
    """How many samples test a graph of ours around an imported model, and the share of holes.

    Without an input `valid` a hole leaves its window without a score: too few would be told.
    """
    return SELFTEST_SAMPLES + 2 * spec.window, 0.1 if spec.masks else 0.0


def method_of(spec: ImportedSpec) -> str:
    """What the detector does, in a paragraph of the model card."""
    origin, w = spec.origin, spec.window
    gives = {
        "score": "its score is compared with",
        "reconstruction": "what it leaves of the newest sample is compared with",
        "forecast": "what its forecast leaves of the next sample is compared with",
    }[spec.kind]
    if spec.kind == "score":
        gives = f"{'higher' if spec.sign > 0 else 'lower'} scores are stranger; {gives}"
    masks = (
        "It has an input for missing values, and is scored without channels that work may disturb."
        if spec.masks
        else "It has no input for missing values: a window with a hole is not scored, and no event"
        " of its assets is ever suppressed, because they cannot be scored without some channels."
    )
    return (
        f"An imported model, {origin.file} (sha256 {origin.sha256}, {origin.size_bytes} bytes,"
        f" made by {origin.producer or 'nobody who says so'}, opsets {', '.join(origin.opsets)}),"
        f" sees {w} sample{'s' * (w > 1)} that end{'s' * (w == 1)} at the newest; {gives} normal"
        f" operation, and so are its averages at rates"
        f" {', '.join(f'{rate:g}' for rate in spec.lambdas)}. The score is surprise: -log10 of the"
        f" probability of something as strange in normal operation. {masks} What the model was"
        " trained on, its makers know."
    )
