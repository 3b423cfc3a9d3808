"""Spectra of many blocks at once: band powers, amplitudes of lines, and squared envelopes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    C128 = NDArray[np.complex128]

HANN_POWER: Final = 0.375  # mean square of a Hann window
LOBE: Final = 2  # bins to each side that hold a line of a Hann window
SEGMENT: Final = 32  # bins whose median is the floor there


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectra:
    """Power of blocks over frequency. A line of peak amplitude A sums to A**2 over its main lobe.

    power: (b, k). step_hz: between two of the k frequencies, from 0 on.
    """

    power: NDArray[np.float64]
    step_hz: float


def transformed(blocks: F64) -> C128:
    """One-sided spectra (b, k) of blocks (b, n) without their means; all else is taken of these."""
    from scipy import fft  # noqa: PLC0415 - it loads slowly, and few assets have waveforms

    spectrum: C128 = fft.rfft(blocks - blocks.mean(axis=-1, keepdims=True), axis=-1)
    return spectrum


def hann_spectra(spectrum: C128, *, n: int, rate_hz: float) -> Spectra:
    """Hann spectra of blocks of n samples from their plain ones (b, k).

    Scaled so that lines sum to their amplitude squared: by Parseval the main lobe of a line of
    amplitude A holds (A / 2)**2 n sum(w**2), all but 1e-4. A Hann window is three lines, so what it
    does in time is half of each bin less a quarter of either neighbour.
    """
    windowed = 0.5 * spectrum
    windowed[:, 1:] -= 0.25 * spectrum[:, :-1]
    windowed[:, :-1] -= 0.25 * spectrum[:, 1:]
    windowed[:, 0] -= 0.25 * spectrum[:, 1].conj()
    power = windowed.real**2 + windowed.imag**2
    return Spectra(power=power * (4.0 / (n * HANN_POWER * n)), step_hz=rate_hz / n)


def band_mean_square(
    spectra: Spectra, edges_hz: tuple[float, ...], *, of: F64 | None = None
) -> F64:
    """Mean squares (b, len(edges) - 1) of the blocks within bands, each with its lower edge.

    of: a factor on the power at each frequency (k,), as of an integration.
    """
    power = spectra.power if of is None else spectra.power * of
    bounds = np.ceil(np.array(edges_hz) / spectra.step_hz).astype(int).clip(0, power.shape[1])
    sums = [power[:, low:high].sum(axis=1) for low, high in pairwise(bounds)]
    return 0.5 * np.stack(sums, axis=1)


def line_power(spectra: Spectra, lines_hz: F64) -> F64:
    """Amplitude squared (b, m) of the lines at exactly known frequencies (b, m) of each block."""
    centre = np.rint(lines_hz / spectra.step_hz).astype(np.int64)
    lobe = centre[:, :, None] + np.arange(-LOBE, LOBE + 1)
    return np.asarray(_gathered(spectra.power, lobe).sum(axis=2))


def line_peak(
    spectra: Spectra, lines_hz: F64, tolerance: float, *, shaft_hz: F64 | None = None
) -> F64:
    """Largest power (b, m) of a bin near the lines (b, m): bearings slip by up to `tolerance`.

    A bin is near if it lies within the tolerance of the line, or is one of the two beside it.
    shaft_hz: (b, m) of the shaft that each line belongs to, whose harmonics are not taken for it:
    bearings slip and shafts do not, so what lies on a harmonic is something else that turns with
    the shaft (Randall and Antoni 2011). A line that is itself as near to one keeps its bins.
    """
    at = lines_hz / spectra.step_hz
    reach = int(np.ceil(tolerance * at.max(initial=0.0))) + 1
    near = np.rint(at).astype(np.int64)[:, :, None] + np.arange(-reach, reach + 1)
    allowed = np.abs(near - at[:, :, None]) <= np.maximum(1.0, tolerance * at[:, :, None])
    if shaft_hz is not None:
        bins = shaft_hz[:, :, None] / spectra.step_hz
        with_shaft = _from_harmonic(near, bins) <= LOBE
        allowed &= ~with_shaft | (_from_harmonic(at[:, :, None], bins) <= LOBE + 1)
    return np.asarray(np.where(allowed, _gathered(spectra.power, near), 0.0).max(axis=2))


def _from_harmonic(at: F64 | NDArray[np.int64], bins: F64) -> F64:
    """How many bins places in a spectrum are from the nearest harmonic of a shaft of `bins`."""
    turns = at / bins
    away: F64 = np.abs(turns - np.rint(turns)) * bins
    return away


def _gathered(power: F64, bins: NDArray[np.int64]) -> F64:
    """Power (b, k) at bins (b, m, w); nothing lies beyond the ends."""
    b, m, w = bins.shape
    inside = (bins >= 0) & (bins < power.shape[1])
    flat = bins.clip(0, power.shape[1] - 1).reshape(b, m * w)
    found = np.take_along_axis(power, flat, axis=1).reshape(b, m, w)
    return np.where(inside, found, 0.0)


def floor(power: F64) -> F64:
    """Local floor (b, k) of power (b, k): medians of segments of bins, joined by straight lines.

    Lines are few among the bins of a segment, so a median does not see them. The first two bins, a
    mean and its leakage, count nowhere.
    """
    k = power.shape[-1]
    count = max(1, (k - LOBE) // SEGMENT)
    segments = np.array_split(np.arange(LOBE, k), count)
    medians = np.stack([np.median(power[..., s], axis=-1) for s in segments], axis=-1)
    centres = np.array([s.mean() for s in segments])
    weights = np.stack([np.interp(np.arange(k), centres, row) for row in np.eye(count)])
    joined: F64 = medians @ weights
    return joined


def squared_envelopes(
    spectrum: C128, *, n: int, rate_hz: float, band_hz: tuple[float, float], up_to_hz: float
) -> Spectra:
    """Hann spectra of the squared envelopes of blocks of n samples in one band, up to a frequency.

    spectrum: (b, k), of `transformed`.

    The band's part of the spectrum, moved to zero and transformed back, is the analytic signal at a
    lower rate with the same magnitude, so nothing is lost by taking few samples. Squared, as
    Randall and Antoni (2011, section 3.3) recommend: no new lines by folding at the sampling rate.
    """
    from scipy import fft  # noqa: PLC0415 - it loads slowly, and few assets have waveforms

    low, high = (int(np.ceil(edge * n / rate_hz)) for edge in band_hz)
    length = fft.next_fast_len(2 * (high - low))  # the square is twice as wide: nothing folds
    analytic = fft.ifft(spectrum[:, low:high], n=length, axis=-1) * (2.0 * length / n)
    envelope = analytic.real**2 + analytic.imag**2
    kept = int(up_to_hz * n / rate_hz) + SEGMENT
    lines = transformed(envelope)[:, :kept]
    return hann_spectra(lines, n=length, rate_hz=length * rate_hz / n)
