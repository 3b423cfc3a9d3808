"""Standard faults of a fast waveform, put into its samples before features are taken of them.

What happens to an accelerometer and beneath it: everything vibrates more; something is struck at
the rate of a bearing's defect and rings down (Randall and Antoni, MSSP 25, 2011); the sensor shows
nothing, is silent, or is cut off. One sigma of a waveform is its usual RMS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import signal

from edge.samples.waveform_settings import UNITS
from edge.wire.waveform import INT16_MAX, RATE_SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.samples.waveform_settings import Waveform
    from edge.wire.waveform import Sent

    F64 = NDArray[np.float64]

WAVE_SIZES: Final = (0.25, 0.5, 1.0, 3.0)  # of the usual RMS; twice it is a zone of ISO 20816
ORDER: Final = 3.6  # strikes a turn where no bearing is configured: an outer race of nine balls
SLIP: Final = 0.01  # spread of the time between two strikes: rolling elements slip
UNEVEN: Final = 0.1  # likewise of their strength
RESONANCE: Final = 0.2  # of the sampling rate: what a strike makes ring, far above the meshes
QUALITY: Final = 10.0  # of the resonance
RING_SHARE_MIN: Final = 1e-3  # of a strike's peak: what is less has died away


class WaveKind(StrEnum):
    """What happens to a waveform."""

    LOUDER = "louder"
    IMPULSES = "impulses"
    DEAD = "dead"
    DROP_OUT = "drop_out"
    CLIPPED = "clipped"

    @property
    def sizes(self) -> tuple[float, ...]:
        """Sizes that it comes in, of the usual RMS; () where it has none."""
        return WAVE_SIZES if self in (WaveKind.LOUDER, WaveKind.IMPULSES) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveFault:
    """One fault of one waveform in the blocks that end after begin_ns and at or before end_ns.

    size: of the usual RMS   usual: that RMS, m/s2   pattern: seed of what is drawn
    """

    kind: WaveKind
    begin_ns: int
    end_ns: int
    size: float
    usual: float
    pattern: int = 0

    def hits(self, sent: Sent) -> bool:
        """Whether it is in what one message holds."""
        return self.begin_ns < sent.end_ns <= self.end_ns

    def disturbed(self, sent: Sent, form: Waveform, *, rpm: float, running: bool) -> Sent | None:
        """What the message holds with the fault in it; None: it is not sent.

        rpm: of shaft 0, NaN: not known. What moves with the machine moves while it runs only.
        """
        if not self.hits(sent):
            return sent
        if self.kind is WaveKind.DROP_OUT:
            return None
        values = sent.values.astype(np.float64)
        mean, top = float(values.mean()), full_scale(form)
        if self.kind is WaveKind.DEAD:
            values = np.full(len(values), mean)
        elif self.kind is WaveKind.CLIPPED and math.isfinite(top):  # overdriven: as much is cut off
            values = (values - mean) * (top / self.usual)
        elif self.kind is WaveKind.CLIPPED:
            values = mean + np.clip(values - mean, -self.usual, self.usual)
        elif running and self.kind is WaveKind.LOUDER:
            values = mean + (values - mean) * (1.0 + self.size)
        elif running:
            rng = np.random.default_rng([self.pattern, sent.end_ns])
            hz = strikes_hz(form, rpm)
            peak = self.size * self.usual
            values = values + ringing(len(values), form.rate_hz, hz=hz, peak=peak, rng=rng)
        full = sent.full | (np.abs(values) >= top * (1.0 - RATE_SHARE))
        values = np.clip(values, -top, top)
        return replace(sent, values=values.astype(np.float32), full=full)


def full_scale(form: Waveform) -> float:
    """The largest value that a sensor can show, m/s2; infinite where nobody knows."""
    stated = form.full_scale or math.inf
    counted = INT16_MAX * abs(form.scale) if form.encoding == "int16" else math.inf
    return min(stated, counted) * UNITS[form.unit]


def strikes_hz(form: Waveform, rpm: float) -> float:
    """How often the outer race of the first bearing is struck at a speed; NaN: a middling one."""
    spec = form.spec
    if not spec.rpm_min <= rpm <= spec.rpm_max:
        rpm = (spec.rpm_min + spec.rpm_max) / 2.0
    order = ORDER
    if spec.bearings:
        bearing = spec.bearings[0]
        order = bearing.bpfo * spec.shaft_orders[bearing.shaft]
    return order * rpm / 60.0


def ringing(n: int, rate_hz: float, *, hz: float, peak: float, rng: np.random.Generator) -> F64:
    """Strikes (n,) at `hz`, each ringing down from about `peak`, from a phase that is drawn."""
    steps = (1.0 + SLIP * rng.standard_normal(math.ceil(1.5 * n * hz / rate_hz) + 3)) / hz
    at = ((rng.random() / hz + np.cumsum(steps) - steps[0]) * rate_hz).astype(np.intp)
    at = at[at < n]
    struck = np.zeros(n)
    np.add.at(struck, at, peak * (1.0 + UNEVEN * rng.standard_normal(len(at))))
    decay = math.pi * RESONANCE / QUALITY  # a sample
    t = np.arange(math.ceil(-math.log(RING_SHARE_MIN) / decay))
    ring = np.exp(-decay * t) * np.sin(2.0 * np.pi * RESONANCE * t)
    rung: F64 = signal.fftconvolve(struck, ring / np.abs(ring).max())[:n]
    return rung
