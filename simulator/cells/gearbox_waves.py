"""Vibration of a gearbox as an accelerometer on its housing gives it: the physics of the waveform.

A shaft turns at a speed that wanders within a block; a pair of gears meshes, modulated by both
shafts; a bearing carries the input shaft. What hits (balls over a pit, a chipped tooth, knocks from
the process) excites the housing, whose resonances, gain and background differ by machine. The hum
of the mains and a machine next door do not follow the shaft. Faults change the causes, never the
features: outer race hits are even, inner race hits fade with the load zone, a cracked tooth gives
once a turn and lets go of its load, a misaligned coupling pushes twice a turn and tilts the mesh,
an unbalanced one pulls once (Randall, Vibration-based condition monitoring, 2011, chapters 2, 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft

from models.features.machine import Bearing, GearStage, WaveformSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    F32 = NDArray[np.float32]
    F64 = NDArray[np.float64]
    C64 = NDArray[np.complex64]

BEARING: Final = Bearing(name="de", balls=9, ball_mm=9.53, pitch_mm=46.0)
STAGE: Final = GearStage(driving=29, driven=43)
SPEC: Final = WaveformSpec(
    rate_hz=12_800.0,
    block=8192,
    rpm_min=1100.0,
    rpm_max=1850.0,
    stages=(STAGE,),
    bearings=(BEARING,),
)
RPM_USUAL: Final = 1500.0
MARGIN: Final = 320  # samples before a block in which the filter's begin rings out
MAINS_HZ: Final = 100.0  # twice the mains: pull of the motor's field
KNOCK_SHARE: Final = 0.02  # of blocks
SLIP_SD: Final = 0.006  # of a bearing line's frequency, from block to block
JITTER: Final = 0.01  # of the time between two hits, each by itself
TWO_PI: Final = 2.0 * np.pi


class Defect(StrEnum):
    """What is wrong with the mechanics; a severity goes with each."""

    OUTER_RACE = "bearing_outer_race"
    INNER_RACE = "bearing_inner_race"
    GEAR_TOOTH = "gear_tooth"
    MISALIGNMENT = "misalignment"
    IMBALANCE = "imbalance"


@dataclass(frozen=True, kw_only=True, eq=False)
class Build:
    """What makes one gearbox itself. Amplitudes in m/s2 of the housing at 1500 rpm, full load."""

    gain: float  # of the sensor and its mounting
    resonance_hz: F64  # (4,)
    damping: F64  # (4,)
    participation: F64  # (4,)
    shaft: F64  # (3,) harmonics of the input shaft that any coupling has
    mesh: F64  # (3,)
    eccentric: F64  # (2,) depth of modulation by pinion and gear
    phase: F64  # (8,) of all that stands still against the shaft
    noise: float
    mains: float
    neighbour: F64  # (2,) amplitudes of the tones of the machine next door
    neighbour_hz: F64  # (2,)
    slip: float  # mean, of a bearing line's frequency
    hit: float  # of a bearing with a clear pit
    push: F64  # (3,) harmonics that a clear misalignment adds
    tilt: float  # what it adds to the second harmonic of the mesh, relative
    chip: float  # of a tooth with a clear defect: its hit
    dip: float  # and the share of the mesh that the tooth loses
    pull: float  # of a clear imbalance


def drawn_build(rng: np.random.Generator) -> Build:
    """Draw a gearbox. Medians are plausible for drives of 20 kW; spreads are those of a fleet."""

    def about(median: float, spread: float, *size: int) -> F64:
        return np.asarray(median * np.exp(spread * rng.standard_normal(size).clip(-2.0, 2.0)))

    return Build(
        gain=float(about(1.0, 0.15)),
        resonance_hz=rng.uniform([350.0, 1900.0, 3000.0, 4400.0], [900.0, 2800.0, 4200.0, 5600.0]),
        damping=rng.uniform([0.05, 0.02, 0.015, 0.015], [0.1, 0.05, 0.04, 0.04]),
        participation=np.array([0.25, 0.2, 0.3, 0.25]) * about(1.0, 0.4, 4),
        shaft=np.array([0.3, 0.2, 0.08]) * about(1.0, 0.45, 3),
        mesh=np.array([1.2, 0.6, 0.35]) * about(1.0, 0.3, 3),
        eccentric=about(0.07, 0.4, 2),
        phase=rng.uniform(0.0, TWO_PI, 8),
        noise=float(about(0.3, 0.2)),
        mains=float(about(0.08, 0.4)),
        neighbour=np.array([0.05, 0.15]) * about(1.0, 0.5, 2),
        neighbour_hz=rng.uniform([23.0, 850.0], [26.0, 1100.0]),
        slip=float(rng.uniform(-0.012, 0.004)),
        hit=float(about(9.0, 0.3)),
        push=np.array([0.25, 1.0, 0.3]) * about(1.0, 0.3, 3),
        tilt=float(about(0.4, 0.4)),
        chip=float(about(12.0, 0.3)),
        dip=float(rng.uniform(0.4, 0.8)),
        pull=float(about(1.6, 0.25)),
    )


def waves(
    build: Build,
    rng: np.random.Generator,
    *,
    rpm: F64,
    load: F64,
    severity: Mapping[Defect, F64] | None = None,
    hits_rng: np.random.Generator | None = None,
) -> F32:
    """Blocks (b, n) in m/s2 at speeds (b,) of the input shaft and loads (b,), shares of full load.

    severity: (b,) of each defect, from 0, healthy, to 1, clear; beyond 1 it gets worse.
    hits_rng: draws the hits of defects, so that a healthy machine's noise is the same with them.
    """
    severity = severity or {}
    hits_rng = hits_rng or rng
    b, n = len(rpm), SPEC.block + MARGIN
    t = (np.arange(n) - MARGIN) / SPEC.rate_hz
    hz = rpm / 60.0
    wander = rng.uniform(-0.003, 0.003, b)  # of the speed over a block
    begin = rng.uniform(0.0, TWO_PI, b)
    span = SPEC.block / SPEC.rate_hz
    turn = begin[:, None] + TWO_PI * hz[:, None] * (
        t + wander[:, None] * (0.5 * np.square(t) / span - 0.5 * t)
    )
    speed = rpm / RPM_USUAL
    excited = _column(build.noise * (0.6 + 0.4 * speed)) * _normal(rng, (b, n))
    excited += _around(build, rng, t, b)
    excited += _turning(build, turn, speed, load, severity)
    _knock(build, rng, excited)
    for defect, hits in _HITS.items():
        if defect in severity and np.any(severity[defect] > 0.0):
            hits(build, hits_rng, excited, begin, hz, load, severity[defect])
    return _heard(build, excited)


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> F32:
    return rng.standard_normal(shape, dtype=np.float32)


def _around(build: Build, rng: np.random.Generator, t: F64, b: int) -> F32:
    """Mains hum and the tones of a machine next door (b, n): they follow no shaft of ours."""
    hz = np.array([MAINS_HZ, *build.neighbour_hz])
    strength = np.array([build.mains, *build.neighbour]) * rng.uniform(0.5, 1.5, (b, 3))
    drift = 1.0 + 0.01 * rng.uniform(-1.0, 1.0, (b, 3)) * [0.02, 1.0, 1.0]
    phase = rng.uniform(0.0, TWO_PI, (b, 3))
    heard = np.zeros((b, len(t)), np.float32)
    for k in range(3):
        angle = TWO_PI * hz[k] * drift[:, k, None] * t + phase[:, k, None]
        heard += strength[:, k, None].astype(np.float32) * np.cos(angle.astype(np.float32))
    return heard


def _turning(build: Build, turn: F64, speed: F64, load: F64, severity: Mapping[Defect, F64]) -> F32:
    """Shaft harmonics and the modulated gear mesh (b, n). turn: angle of the input shaft (b, n)."""
    nothing = np.zeros(len(speed))
    apart = severity.get(Defect.MISALIGNMENT, nothing)
    shaft = build.shaft * speed[:, None] ** 2 + np.outer(apart * speed, build.push)
    shaft[:, 0] += severity.get(Defect.IMBALANCE, nothing) * build.pull * speed**2
    mesh = build.mesh * ((0.3 + 0.7 * load) * speed)[:, None]
    mesh[:, 1] *= 1.0 + build.tilt * apart
    phase = build.phase.astype(np.float32)
    angle = np.mod(turn, TWO_PI * STAGE.driven).astype(np.float32)
    once = _turned(angle)
    depth = build.eccentric.astype(np.float32)
    pinion = depth[0] * (once * _still(phase[0])).real
    ratio = np.float32(STAGE.driving / STAGE.driven)
    modulation = 1.0 + pinion + depth[1] * np.cos(angle * ratio + phase[1])
    cracked = severity.get(Defect.GEAR_TOOTH, nothing)
    if np.any(cracked > 0.0):  # one tooth carries less while it is in mesh
        off = np.mod(angle + phase[2], np.float32(TWO_PI)) - np.float32(np.pi)
        tooth = np.exp(-0.5 * np.square(off * np.float32(STAGE.driving / TWO_PI / 0.8)))
        modulation *= 1.0 - _column(build.dip * np.minimum(cracked, 1.2)) * tooth
    teeth = _turned(np.float32(STAGE.driving) * angle + 0.5 * pinion)
    total: F32 = _harmonics(once, shaft, phase[3:6])
    total += modulation * _harmonics(teeth, mesh, phase[5:8])
    return total


def _turned(angle: F32) -> C64:
    """Unit vectors at angles (b, n)."""
    vectors = np.empty(angle.shape, np.complex64)
    vectors.real, vectors.imag = np.cos(angle), np.sin(angle)
    return vectors


def _still(phase: float) -> np.complex64:
    return np.complex64(np.exp(1j * phase))


def _column(values: F64) -> F32:
    return values[:, None].astype(np.float32)


def _harmonics(once: C64, amplitudes: F64, phases: F32) -> F32:
    """Sum (b, n) of three harmonics of amplitudes (b, 3) by powers, from the third down."""
    weights = amplitudes * np.exp(1j * phases)
    total = weights[:, 2, None].astype(np.complex64) * once
    for h in (1, 0):
        total += weights[:, h, None].astype(np.complex64)
        total *= once
    summed: F32 = total.real
    return summed


# --- what hits ---


def _knock(build: Build, rng: np.random.Generator, excited: F32) -> None:
    """Knocks from the process in some blocks, in place: single hits at any time."""
    b, n = excited.shape
    knocked = (rng.random((b,)) < KNOCK_SHARE).astype(np.float64)
    at = rng.integers(0, n, (b, 2))
    size = build.noise * 30.0 * rng.exponential(1.0, (b, 2)) * knocked[:, None]
    np.add.at(excited, (np.arange(b)[:, None], at), size.astype(np.float32))


def _hit(excited: F32, at_s: F64, size: F64) -> None:
    """Add hits of (b, k) sizes at times (b, k), shared by the two samples next to each."""
    b, n = excited.shape
    at = (at_s * SPEC.rate_hz) + MARGIN
    whole = np.floor(at).astype(np.int64)
    share = at - whole
    rows = np.arange(b)[:, None] * n
    for step, part in ((0, 1.0 - share), (1, share)):
        inside = (whole + step >= 0) & (whole + step < n)
        where = (rows + whole + step)[inside]
        weights = (size * part)[inside]
        summed = np.bincount(where, weights=weights, minlength=b * n)
        excited += summed.reshape(b, n).astype(np.float32)


def _train(rng: np.random.Generator, hz: F64, *, jitter: float) -> F64:
    """Times (b, k) of hits at rates (b,), each a little off, over blocks and their margins."""
    span_s = (SPEC.block + 2 * MARGIN) / SPEC.rate_hz
    count = int(np.ceil(span_s * hz.max() * 1.1)) + 2
    steps = 1.0 + jitter * rng.standard_normal((len(hz), count))
    steps[:, 0] = rng.random(len(hz))
    return np.cumsum(steps, axis=1) / hz[:, None] - MARGIN / SPEC.rate_hz


def _uneven(rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> F64:
    return np.asarray(np.exp(spread * rng.standard_normal(shape)))


def _outer(
    build: Build, rng: np.random.Generator, excited: F32, begin: F64, hz: F64, load: F64, size: F64
) -> None:
    """A pit in the loaded zone of the outer race: every ball hits alike."""
    del begin
    slip = 1.0 + build.slip + SLIP_SD * rng.standard_normal(len(hz))
    at = _train(rng, hz * BEARING.bpfo * slip, jitter=JITTER)
    strength = size * build.hit * (0.5 + 0.5 * load) * (hz * 60.0 / RPM_USUAL)
    _hit(excited, at, strength[:, None] * _uneven(rng, at.shape, 0.25))


def _inner(
    build: Build, rng: np.random.Generator, excited: F32, begin: F64, hz: F64, load: F64, size: F64
) -> None:
    """A pit in the inner race turns with the shaft through the load zone, and hits only there."""
    slip = 1.0 + build.slip + SLIP_SD * rng.standard_normal(len(hz))
    at = _train(rng, hz * BEARING.bpfi * slip, jitter=JITTER)
    angle = begin[:, None] + TWO_PI * hz[:, None] * at + build.phase[7]
    zone = np.clip(0.35 + 0.65 * np.cos(angle), 0.0, None)
    strength = 1.2 * size * build.hit * (0.5 + 0.5 * load) * (hz * 60.0 / RPM_USUAL)
    _hit(excited, at, strength[:, None] * zone * _uneven(rng, at.shape, 0.25))


def _tooth(
    build: Build, rng: np.random.Generator, excited: F32, begin: F64, hz: F64, load: F64, size: F64
) -> None:
    """A tooth of the pinion that gives hits once a turn, always at the same angle."""
    at = _train(rng, hz, jitter=0.0)
    at += (np.mod(-begin - build.phase[2], TWO_PI) / TWO_PI / hz)[:, None] - at[:, :1]
    at -= np.ceil(MARGIN / SPEC.rate_hz * hz)[:, None] / hz[:, None]
    strength = size * build.chip * (0.4 + 0.6 * load) * (hz * 60.0 / RPM_USUAL)
    _hit(excited, at, strength[:, None] * _uneven(rng, at.shape, 0.2))


_HITS: Final = {
    Defect.OUTER_RACE: _outer,
    Defect.INNER_RACE: _inner,
    Defect.GEAR_TOOTH: _tooth,
}


def _heard(build: Build, excited: F32) -> F32:
    """What the sensor hears (b, n): straight through the housing, and through its resonances."""
    n = excited.shape[1]
    f = np.fft.rfftfreq(n, 1.0 / SPEC.rate_hz)[:, None]
    own = build.resonance_hz
    modes = build.participation * own**2 / (own**2 - f**2 + 2j * build.damping * own * f)
    passed = (build.gain * (1.0 + modes.sum(axis=1))).astype(np.complex64)
    heard: F32 = fft.irfft(fft.rfft(excited, axis=1) * passed, n=n, axis=1)
    return heard[:, MARGIN:]
