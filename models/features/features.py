"""Condition features of vibration: blocks of a fast waveform become a row of numbers each.

What standards and tutorials agree on: levels and shape in time, velocity as ISO 20816-1 rates
machines by, levels of bands, lines of shafts and gear meshes with their sidebands (Randall,
Vibration-based condition monitoring, 2011), and lines of the squared envelope at bearing and shaft
frequencies over the local floor (Randall and Antoni, MSSP 25, 2011). Pure functions on arrays: the
edge calls them on a block when it is complete, a fit on a thousand.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import ModelError
from models.features.machine import HARMONICS
from models.features.spectra import (
    Spectra,
    band_mean_square,
    floor,
    hann_spectra,
    line_peak,
    line_power,
    squared_envelopes,
    transformed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.features.machine import WaveformSpec

    F64 = NDArray[np.float64]
    C128 = NDArray[np.complex128]

CHUNK_SAMPLES: Final = 2**19  # of blocks that are worked on at once: 4 MB stay in the cache
VELOCITY_HZ: Final = (10.0, 1000.0)  # ISO 20816-1: broadband velocity
SIDEBANDS: Final = 2  # to each side of a gear mesh
SLIP: Final = 0.02  # of a bearing line's frequency
FLAT: Final = 1e-6  # of the largest sample: less spread is rounding of 32-bit samples
MM: Final = 1000.0  # in a metre
LEVEL_UNITS: Final = ("dB", "rpm", "")  # what `as_levels` leaves as it is
TURNING: Final = ("shaft", "mesh", "envelope_")  # how names begin of what is read at a speed
# Of a block whose peaks are cut off: at least so much is there; of shapes and lines nobody can say.
LEAST: Final = ("rms", "peak", "velocity_rms")


def feature_table(spec: WaveformSpec) -> tuple[tuple[str, str], ...]:
    """Name and unit of each feature, in order. "": a pure number; dB: a level over its floor."""
    unit = spec.unit
    rows = [("rms", unit), ("peak", unit), ("crest_factor", ""), ("kurtosis", ""), ("skewness", "")]
    rows.append(("velocity_rms", "mm/s"))
    rows += [(f"band_{low:.0f}_{high:.0f}_hz", unit) for low, high in pairwise(spec.bands)]
    shafts, stages = range(len(spec.shaft_orders)), range(len(spec.stages))
    rows += [(f"shaft{i}_{h}x", unit) for i in shafts for h in _harmonics()]
    rows += [(f"mesh{i}_{h}x", unit) for i in stages for h in _harmonics()]
    rows += [(f"mesh{i}_sidebands_shaft{j}", "%") for i in stages for j in (i, i + 1)]
    rows += [(f"envelope_shaft{i}", "dB") for i in shafts]
    for bearing in spec.bearings:
        lines = ("bpfo", "bpfi", "bpfi_sidebands", "bsf", "ftf")
        rows += [(f"envelope_{bearing.name}_{line}", "dB") for line in lines]
    return tuple(rows)


def feature_names(spec: WaveformSpec) -> tuple[str, ...]:
    """Names of the features, in the order of their columns."""
    return tuple(name for name, _ in feature_table(spec))


def turning(spec: WaveformSpec) -> NDArray[np.bool_]:
    """Which features (f,) are read at multiples of the shaft's speed."""
    return np.array([name.startswith(TURNING) for name in feature_names(spec)])


def condition_features(
    blocks: NDArray[np.float32], *, spec: WaveformSpec, speed_rpm: F64 | None = None
) -> F64:
    """Features (b, f) float64 of blocks (b, n) in the spec's unit; see `feature_table`.

    speed_rpm: (b,) of shaft 0; may be left out where the spec states a constant one. A block with a
    value that is not finite has NaN in every feature. One at a speed that is not finite, or lies
    outside of the spec's range, has NaN in those that are read at multiples of it (see `turning`);
    levels, shape and bands need no speed. A flat block has levels of 0 and NaN where a level is
    divided by another. Raises ModelError where shapes do not fit.
    """
    blocks, speed = _checked(blocks, spec, speed_rpm)
    features = np.empty((len(blocks), len(feature_table(spec))))
    fits = at_speed(speed, spec)
    of_speed = turning(spec)
    step = max(1, CHUNK_SAMPLES // spec.block)
    for first in range(0, len(blocks), step):
        chosen = slice(first, first + step)
        part = blocks[chosen].astype(np.float64)
        good = np.isfinite(part).all(axis=1)
        part[~good] = 0.0
        shaft_hz = np.where(fits[chosen], speed[chosen], spec.rpm_min) / 60.0
        with np.errstate(divide="ignore", invalid="ignore"):
            features[chosen] = np.hstack(list(_groups(part, shaft_hz, spec)))
        features[chosen][~good] = np.nan
    features[np.ix_(~fits, of_speed)] = np.nan
    return features


def at_speed(speed_rpm: F64, spec: WaveformSpec) -> NDArray[np.bool_]:
    """Whether lines of shafts can be read at each of the speeds (b,) of shaft 0; NaN: no."""
    return np.isfinite(speed_rpm) & (speed_rpm >= spec.rpm_min) & (speed_rpm <= spec.rpm_max)


def as_levels(features: F64, spec: WaveformSpec) -> F64:
    """The same features (b, f) as levels: quantities with a unit in dB of that unit, ratios too.

    Amplitudes spread over decades and a sensor's gain multiplies them; in dB both become sums,
    which linear models and covariances take. Zero becomes NaN: silence has no level.
    """
    named = feature_table(spec)
    levels = np.array(features, dtype=np.float64)
    for k, (name, unit) in enumerate(named):
        if unit not in LEVEL_UNITS or name in {"crest_factor", "kurtosis"}:
            value = np.where(levels[:, k] > 0.0, levels[:, k], np.nan)
            levels[:, k] = 20.0 * np.log10(value)
    return levels


def _checked(
    blocks: NDArray[np.float32], spec: WaveformSpec, speed_rpm: F64 | None
) -> tuple[NDArray[np.float32], F64]:
    """Blocks (b, n) and their speeds (b,) as arrays that fit the spec. Raises ModelError."""
    blocks = np.asarray(blocks)
    if blocks.ndim != 2 or blocks.shape[1] != spec.block:
        raise ModelError(f"blocks of shape {blocks.shape}, expected (b, {spec.block})")
    if speed_rpm is None:
        if spec.rpm is None:
            raise ModelError("no speed: neither the blocks nor the specification state it in rpm")
        return blocks, np.full(len(blocks), spec.rpm)
    speed = np.asarray(speed_rpm, dtype=np.float64)
    if speed.shape != (len(blocks),):
        raise ModelError(f"speeds of shape {speed.shape}, expected ({len(blocks)},)")
    return blocks, speed


def _harmonics() -> range:
    return range(1, HARMONICS + 1)


def _groups(blocks: F64, shaft_hz: F64, spec: WaveformSpec) -> Iterator[F64]:
    """Columns (b, ...) of the features in their order. shaft_hz: (b,)."""
    yield _time(blocks)
    spectrum = transformed(blocks)
    spectra = hann_spectra(spectrum, n=spec.block, rate_hz=spec.rate_hz)
    frequency = spectra.step_hz * np.arange(spectra.power.shape[1])
    integrated = np.zeros(len(frequency))
    integrated[1:] = (MM / (2.0 * np.pi * frequency[1:])) ** 2
    yield np.sqrt(band_mean_square(spectra, VELOCITY_HZ, of=integrated))
    yield np.sqrt(band_mean_square(spectra, spec.bands))
    yield _lines(spectra, shaft_hz, spec)
    yield _envelope_lines(spectrum, shaft_hz, spec)


def _time(blocks: F64) -> F64:
    """RMS, peak, crest factor, kurtosis, skewness (b, 5) of the blocks (b, n) without their mean.

    Kurtosis is the plain fourth moment over the squared second: 3 for normal noise, 1.5 for a sine.
    """
    mean = blocks.mean(axis=1, keepdims=True)
    moving = blocks - mean
    square = moving * moving
    power = square.mean(axis=1)
    peak = np.sqrt(square.max(axis=1))
    largest = peak + np.abs(mean[:, 0])
    flat = power <= (FLAT * largest) ** 2
    power = np.where(flat, 0.0, power)
    peak = np.where(flat, 0.0, peak)
    rms = np.sqrt(power)
    spread = np.where(flat, np.nan, power)
    n = blocks.shape[1]
    skewness = np.einsum("bn,bn->b", square, moving) / n / spread**1.5
    kurtosis = np.einsum("bn,bn->b", square, square) / n / spread**2
    return np.stack([rms, peak, peak / np.sqrt(spread), kurtosis, skewness], axis=1)


def _lines(spectra: Spectra, shaft_hz: F64, spec: WaveformSpec) -> F64:
    """Amplitudes of shaft and mesh harmonics and the share of sidebands in per cent (b, ...).

    The sidebands of the first two mesh harmonics by either shaft, as root of the sum of squares
    over that of the harmonics: modulation by a shaft that does not depend on gain.
    """
    shafts, meshes = spec.shaft_orders, spec.mesh_orders
    orders = [order * h for order in (*shafts, *meshes) for h in _harmonics()]
    columns = [np.sqrt(line_power(spectra, shaft_hz[:, None] * np.array(orders)))]
    for i, mesh in enumerate(meshes):
        carriers = [mesh, 2.0 * mesh]
        at_mesh = line_power(spectra, shaft_hz[:, None] * np.array(carriers)).sum(axis=1)
        for shaft in shafts[i : i + 2]:
            beside = [
                carrier + sign * k * shaft
                for carrier in carriers
                for k in range(1, SIDEBANDS + 1)
                for sign in (-1, 1)
            ]
            power = line_power(spectra, shaft_hz[:, None] * np.array(beside)).sum(axis=1)
            columns.append(100.0 * np.sqrt(power / at_mesh)[:, None])
    return np.hstack(columns)


def _envelope_lines(spectrum: C128, shaft_hz: F64, spec: WaveformSpec) -> F64:
    """Levels (b, ...) of the envelope's lines over the floor, dB, in the band where each is most.

    A level is the mean over a line's harmonics: noise rarely makes all of them. Lines of bearings
    leave out the harmonics of their shaft: the hits of a chipped tooth are not a pit in a race.
    """
    groups = [[order * h for h in _harmonics()] for order in spec.shaft_orders]
    turning = list(spec.shaft_orders)  # of the shaft that each group belongs to
    for bearing in spec.bearings:
        turn = spec.shaft_orders[bearing.shaft]
        inner = [bearing.bpfi * h for h in _harmonics()]
        beside = [order + sign for order in inner[:2] for sign in (-1, 1)]
        own = [[bearing.bpfo * h for h in _harmonics()], inner, beside]
        own += [[order * h for h in _harmonics()] for order in (bearing.bsf, bearing.ftf)]
        groups += [[turn * order for order in group] for group in own]
        turning += [turn] * len(own)
    own_shaft = np.repeat(turning, [len(group) for group in groups])
    orders = np.array([order for group in groups for order in group])
    lines_hz = shaft_hz[:, None] * orders
    up_to_hz = float(orders.max()) * (1.0 + SLIP) * spec.rpm_max / 60.0
    highest = np.full((len(spectrum), len(groups)), -np.inf)
    ends = np.cumsum([len(group) for group in groups])[:-1]
    for band in pairwise(spec.demodulated):
        spectra = squared_envelopes(
            spectrum, n=spec.block, rate_hz=spec.rate_hz, band_hz=band, up_to_hz=up_to_hz
        )
        over = Spectra(power=spectra.power / floor(spectra.power), step_hz=spectra.step_hz)
        peak = line_peak(over, lines_hz, SLIP, shaft_hz=shaft_hz[:, None] * own_shaft)
        level = 10.0 * np.log10(peak)
        means = [part.mean(axis=1) for part in np.split(level, ends, axis=1)]
        highest = np.maximum(highest, np.stack(means, axis=1))
    return highest
