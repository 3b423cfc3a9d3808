"""A model that somebody else made, as the detector of one asset: tried, found out, built in.

The model stays as it is; `calibrate` learns what it shows in normal operation of this plant.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.errors import ModelError
from models.fitting.fit import ROWS_MIN
from models.foreign.calibrate import calibrated_fit, given_over, normal_rows
from models.foreign.foreign import Foreign, read_foreign
from models.foreign.imported import ImportedSpec, Origin
from models.foreign.ways import quickest
from models.foreign.windows import ForeignRun, kind_of, what_it_takes, windows_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.bundles.bundle import AssetFit
    from models.foreign.imported import Kind, Layout
    from models.foreign.windows import Taken
    from models.samples import TrainingSamples

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

TRIED_WINDOWS: Final = 64  # that a model is tried on before it is believed
ALONE_WINDOWS: Final = 8  # of them one at a time
SAME: Final = 1e-3  # of the spread of what it gives: rounding, and no more
ROUNDING: Final = 1e-2  # of the level: residuals are small differences of large numbers
PROBE_SIGMAS: Final = 6.0  # by which windows are made strange, to see where its score goes
PROBE_CLEAR: Final = 0.5  # how much more often it must go one way than the other
CLEARLY: Final = 0.8  # nearer by so much: sigmas were meant
TICK_MS_MAX: Final = 20.0  # of one asset: a fifth of a tick as a gateway is set up
TIMED_RUNS: Final = 5  # after one that warms up; the quickest counts, for others may be busy
TIMED_S_MAX: Final = 1.0  # so long it goes on being timed
SIGNS: Final = {"strange": 1, "normal": -1}
SCALINGS: Final = {"none": False, "standard": True}


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a model; None: found out, or asked for where it cannot be.

    window: samples. layout, kind: as in `ImportedSpec`. output: name of the one that counts.
    higher_is: strange or normal. scaling: none: engineering units, standard: sigmas from the mean
    of these rows. hop: samples between the windows that it is asked about.
    """

    window: int | None = None
    layout: str | None = None
    output: str | None = None
    kind: str | None = None
    higher_is: str | None = None
    scaling: str | None = None
    lambdas: tuple[float, ...] = (1.0, 0.05)
    alignment: str = "grid"
    tick_ms_max: float = TICK_MS_MAX
    hop: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """Normal windows (N, w, c) as they are, and the level of the channels (c,), (c,)."""

    windows: F64
    center: F64
    sigma: F64

    def fed(self, *, scaled: bool) -> F64:
        """The windows as the model takes them (N, w, c)."""
        return (self.windows - self.center) / self.sigma if scaled else self.windows


def import_asset(
    samples: TrainingSamples,
    content: bytes,
    *,
    file: str,
    options: ImportOptions,
    tell: Callable[[str], object] = str,
) -> AssetFit:
    """Make the detector of an asset from the bytes of an ONNX file, calibrated on normal rows.

    tell: hears what was found out about the model. Raises ModelError, saying what to do, for a
    model that cannot be trusted or that does not fit the rows.
    """
    _known(options)
    foreign = read_foreign(content, file=file)
    normal = normal_rows(samples, lambdas=options.lambdas, alignment=options.alignment)
    live, level = normal.live, normal.level
    taken = what_it_takes(
        foreign,
        live.shape[1],
        window=options.window,
        layout=options.layout,
        output=options.output,
        tell=tell,
    )
    run = ForeignRun(foreign, taken)
    windows = _normal_windows(samples, live, taken.window)
    _quick_enough(run, windows[:1], options.tick_ms_max, file=file, tell=tell)
    tried = _Tried(windows=windows, center=level[0], sigma=level[1])
    kind, scaled = _kind_and_scaling(run, taken, tried, options, file=file, tell=tell)
    _trusted(run, tried.fed(scaled=scaled), file=file, batch=taken.batch)
    sign = _sign(run, tried, options, scaled=scaled, file=file, tell=tell) if kind == "score" else 1
    spec = spec_of(foreign, taken, channels=live.shape[1], kind=kind, sign=sign, scaled=scaled)
    spec = msgspec.structs.replace(spec, lambdas=options.lambdas, hop=_hop(options, spec, tell))
    if not spec.masks:
        tell("no input `valid`: a window with a hole has no score, and no event is suppressed")
    spec, graph, how = quickest(spec, foreign, taken, normal)
    if how:
        tell(how)
    given = given_over(graph, spec, live, level)
    _same_inside(run, tried, live, given, spec, file=file)
    return calibrated_fit(samples, normal, spec, graph, given, alignment=options.alignment)


def spec_of(
    foreign: Foreign, taken: Taken, *, channels: int, kind: Kind, sign: int, scaled: bool
) -> ImportedSpec:
    """The shape of the detector around a model."""
    return ImportedSpec(
        channels=channels,
        window=taken.window,
        layout=taken.layout,
        kind=kind,
        sign=sign,
        scaled=scaled,
        masks=taken.valid is not None,
        origin=_origin(foreign, taken),
    )


def _known(options: ImportOptions) -> None:
    """Refuse words that are none of ours."""
    for name, value, words in (
        ("--kind", options.kind, ("score", "reconstruction", "forecast")),
        ("--higher-is", options.higher_is, tuple(SIGNS)),
        ("--scaling", options.scaling, tuple(SCALINGS)),
    ):
        if value is not None and value not in words:
            raise ModelError(f"{name} is {value!r}, expected {' or '.join(words)}")


def _hop(options: ImportOptions, spec: ImportedSpec, tell: Callable[[str], object]) -> int:
    """Samples between windows; 1: one ends at each. Raises ModelError."""
    if not 1 <= options.hop <= spec.window:
        raise ModelError(
            f"--hop is {options.hop}, expected 1 to {spec.window}, the samples of a window: what"
            " none would hold is never looked at"
        )
    if options.hop > 1:
        tell(f"it is asked about every {options.hop}th sample; what it says holds until the next")
    return options.hop


def _normal_windows(samples: TrainingSamples, live: F64, window: int) -> F64:
    """At most TRIED_WINDOWS whole windows (N, w, c), evenly over the rows (n, c)."""
    every = windows_over(live, window)
    whole = np.flatnonzero(np.isfinite(every).all(axis=(1, 2)))
    if len(whole) < ROWS_MIN:
        raise ModelError(
            f"{samples.asset}: {len(whole)} windows of {window} rows without a hole, at least"
            f" {ROWS_MIN} are needed; use a longer recording, or one with fewer holes"
        )
    chosen: F64 = every[whole[np.linspace(0, len(whole) - 1, TRIED_WINDOWS).round().astype(int)]]
    return chosen


def _quick_enough(
    run: ForeignRun,
    window: F64,
    tick_ms_max: float,
    *,
    file: str,
    tell: Callable[[str], object],
) -> None:
    """Refuse a model that takes longer than it may for one window (1, w, c), before all the rest.

    Nobody can end a model that is running, so a gateway would be as late as this with each tick.
    """
    took_ms: list[float] = []
    begin_s = time.perf_counter()
    while len(took_ms) <= TIMED_RUNS:
        before_s = time.perf_counter()
        run(window)
        took_ms.append(1e3 * (time.perf_counter() - before_s))
        if len(took_ms) > 1 and time.perf_counter() - begin_s > TIMED_S_MAX:
            break
    least_ms = min(took_ms[1:])
    tell(f"one sample of one asset takes {least_ms:.3g} ms, with each tick that brings one")
    if 0 < tick_ms_max < least_ms:
        raise ModelError(
            f"{file} takes {least_ms:.3g} ms for one sample of one asset, at most {tick_ms_max:g}"
            " ms are allowed, because every tick would wait for it; export a smaller model or a"
            " shorter window, or name what it may take with --tick-ms-max (0: any time)"
        )


def _kind_and_scaling(
    run: ForeignRun,
    taken: Taken,
    tried: _Tried,
    options: ImportOptions,
    *,
    file: str,
    tell: Callable[[str], object],
) -> tuple[Kind, bool]:
    """What the model gives, and whether it takes sigmas from the mean.

    Where that is not said, the way by which a reconstruction comes nearer is taken: a forecast is
    compared with the newest sample of its own window, near enough to tell units from sigmas.
    """
    c = tried.windows.shape[2]
    raw = run(tried.fed(scaled=False))
    kind = kind_of(raw, taken, c, file=file, kind=options.kind)
    tell(f"output {taken.output.name}: a {kind}")
    if options.scaling is not None or kind == "score":
        if options.scaling is None:
            tell("it is given engineering units (--scaling standard: sigmas from the mean)")
        return kind, SCALINGS[options.scaling or "none"]
    left = {}
    for scaled, given in ((False, raw), (True, run(tried.fed(scaled=True)))):
        newest = tried.fed(scaled=scaled)[:, -1]
        apart = (newest - _newest(given, kind, taken.layout, c)) / (1.0 if scaled else tried.sigma)
        left[scaled] = float(np.median(np.abs(apart)))
    better = left[True] < CLEARLY * left[False]
    tell(
        f"it comes within {left[False]:.2g} sigmas in engineering units, {left[True]:.2g} when"
        f" scaled: taken as --scaling {'standard' if better else 'none'}"
    )
    return kind, better


def _newest(given: F64, kind: Kind, layout: Layout, c: int) -> F64:
    """The newest sample (N, c) of what a model gives (N, ...)."""
    flat = given.reshape(len(given), -1)
    if kind == "forecast" or layout in ("rows", "flat_rows"):
        return flat[:, -c:]
    return flat.reshape(len(flat), c, -1)[:, :, -1]


def _trusted(run: ForeignRun, windows: F64, *, file: str, batch: int) -> None:
    """Refuse a model that says nothing, or not the same whatever else it is asked."""
    given = run(windows)
    if not np.isfinite(given).all():
        bad = int((~np.isfinite(given.reshape(len(given), -1))).any(axis=1).sum())
        raise ModelError(
            f"{file} gives NaN or infinity for {bad} of {len(given)} windows of normal operation;"
            " are the units and --scaling those that it was trained with?"
        )
    spread = float(np.ptp(given))
    if spread == 0.0:
        raise ModelError(
            f"{file} gives {given.flat[0]:g} for every window of normal operation, so nothing can"
            " be told apart; name another --output, or the --scaling that it was trained with"
        )
    if not _alike(given, run(windows), spread):
        raise ModelError(
            f"{file} does not give the same twice; export it in evaluation mode, without dropout"
        )
    few = windows[:ALONE_WINDOWS]
    alone = np.concatenate([run(one[None]) for one in few])
    turned = run(windows[::-1])[::-1]
    if not (_alike(given[: len(few)], alone, spread) and _alike(given, turned, spread)):
        raise ModelError(
            f"{file} gives a window another value beside other windows than"
            f" {'in another place' if batch > 1 else 'alone'}: it looks across the batch (batch"
            " normalisation in training mode, a sum over all rows); export it in evaluation mode"
        )


def _alike(one: F64, other: F64, spread: float) -> bool:
    return bool((np.abs(one - other) <= SAME * spread + 1e-9).all())


def _sign(
    run: ForeignRun,
    tried: _Tried,
    options: ImportOptions,
    *,
    scaled: bool,
    file: str,
    tell: Callable[[str], object],
) -> int:
    """1 where higher scores are stranger, -1 where lower ones are.

    Unless it is said, windows are made strange by moving their channels far away: the score of a
    detector must go one way.
    """
    if options.higher_is is not None:
        return SIGNS[options.higher_is]
    chance = np.random.default_rng(0)
    n, w, c = tried.windows.shape
    moved = chance.choice((-1.0, 1.0), size=(n, 1, c)) * (chance.random((n, 1, c)) < 0.5)
    newest = np.arange(w)[None, :, None] == w - 1
    rows = newest | (np.arange(n)[:, None, None] % 2 == 0)  # half of them in that sample alone
    far = PROBE_SIGMAS * tried.sigma * moved * rows
    made = replace(tried, windows=tried.windows + far)
    calm, strange = (run(one.fed(scaled=scaled)).reshape(n) for one in (tried, made))
    rise, fall = float((strange > calm).mean()), float((strange < calm).mean())
    if abs(rise - fall) < PROBE_CLEAR:
        raise ModelError(
            f"{file}: moved by {PROBE_SIGMAS:g} sigmas, {100 * rise:.0f} % of normal windows score"
            f" higher and {100 * fall:.0f} % lower, so it does not say itself whether high is"
            " strange; name --higher-is strange or --higher-is normal"
        )
    word = "strange" if rise > fall else "normal"
    tell(
        f"moved by {PROBE_SIGMAS:g} sigmas, {100 * max(rise, fall):.0f} % of normal windows score"
        f" {'higher' if rise > fall else 'lower'}: taken as --higher-is {word}"
    )
    return SIGNS[word]


def _origin(foreign: Foreign, taken: Taken) -> Origin:
    return Origin(
        file=foreign.file,
        sha256=foreign.sha256,
        size_bytes=foreign.size_bytes,
        producer=foreign.producer,
        opsets=foreign.opsets,
        input=taken.input.name,
        output=taken.output.name,
        batch=taken.batch,
    )


def _same_inside(
    run: ForeignRun, tried: _Tried, live: F64, given: F64, spec: ImportedSpec, *, file: str
) -> None:
    """Inside our graph the model must give what it gives alone. given: (n, M) over rows (n, c)."""
    every = windows_over(live, spec.window)
    ends = np.arange(len(every)) + spec.line
    asked = np.flatnonzero(np.isfinite(every).all(axis=(1, 2)) & (ends < len(live)))
    asked = asked[np.isfinite(given[ends[asked]]).all(axis=1)]
    if not len(asked):
        raise ModelError(f"{file} says nothing as part of a bundle; export it with a newer opset")
    asked = asked[np.linspace(0, len(asked) - 1, TRIED_WINDOWS).round().astype(int)]
    some = replace(tried, windows=every[asked])
    alone = run(some.fed(scaled=spec.scaled))
    target = live[ends[asked]]
    target = (target - tried.center) / tried.sigma if spec.scaled else target
    if spec.kind == "score":
        expected, level = spec.sign * alone.reshape(-1, 1), 0.0
    else:
        made = _newest(alone, spec.kind, spec.layout, target.shape[1])
        expected, level = target - made, float(np.abs(target).max())
    inside = given[ends[asked]]
    spread = float(np.ptp(expected)) + ROUNDING * level
    if not _alike(expected, inside, spread):
        raise ModelError(
            f"{file} gives other values as part of a bundle than by itself (up to"
            f" {np.abs(expected - inside).max():.3g}): it was converted from"
            f" {', '.join(spec.origin.opsets)}; export it with a newer opset"
        )
