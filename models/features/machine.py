"""What is known of a rotating machine: its shafts, gears and bearings, and how it is measured.

Everything that turns is stated as an order: events for each turn of the shaft whose speed is given.
A line in a spectrum is an order times that speed, so one specification serves every speed.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import msgspec

from models.errors import ModelError

TURNS_MIN: Final = 6.0  # of the first shaft in a block: lines of fewer run into each other
SPACING_BINS_MIN: Final = 4.0  # between sidebands: the main lobe of a Hann window
NYQUIST_SHARE: Final = 0.45  # of the rate; converters' filters fall off above
HARMONICS: Final = 3  # of shafts, gear meshes and bearing lines


class Bearing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rolling bearing. shaft: index into `WaveformSpec.shaft_orders`; diameters in mm.

    The orders are those of pure rolling with a fixed outer race (Randall and Antoni, Rolling
    element bearing diagnostics: a tutorial, MSSP 25, 2011, equations 1 to 4). Slip moves real
    lines by a per cent or two.
    """

    name: str
    balls: int
    ball_mm: float
    pitch_mm: float
    contact_deg: float = 0.0
    shaft: int = 0

    def __post_init__(self) -> None:
        """Check that it is a bearing. Raises ModelError."""
        if self.balls < 3 or not 0.0 < self.ball_mm < self.pitch_mm:
            raise ModelError(
                f"bearing {self.name}: {self.balls} balls of {self.ball_mm} mm on {self.pitch_mm}"
                " mm, expected 3 or more that are smaller than the pitch diameter; see its sheet"
            )

    @property
    def _ratio(self) -> float:
        return self.ball_mm / self.pitch_mm * math.cos(math.radians(self.contact_deg))

    @property
    def bpfo(self) -> float:
        """Balls that pass a point of the outer race in a turn of its shaft."""
        return 0.5 * self.balls * (1.0 - self._ratio)

    @property
    def bpfi(self) -> float:
        """Balls that pass a point of the inner race in a turn of its shaft."""
        return 0.5 * self.balls * (1.0 + self._ratio)

    @property
    def ftf(self) -> float:
        """Turns of the cage in a turn of its shaft."""
        return 0.5 * (1.0 - self._ratio)

    @property
    def bsf(self) -> float:
        """Turns of a ball about itself in a turn of its shaft."""
        return 0.5 * self.pitch_mm / self.ball_mm * (1.0 - self._ratio**2)


class GearStage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pair of gears. The first stage is driven by shaft 0, each other by the shaft before it."""

    driving: int  # teeth
    driven: int


class WaveformSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How blocks of one accelerometer are measured, and what turns beneath it.

    rate_hz, block: samples a second, samples a block. rpm: constant speed of shaft 0; None: it is
    given with each block. rpm_min, rpm_max: speeds at which the features are meant. bands_hz: edges
    of the band levels, envelope_hz: of the bands that are demodulated; () takes defaults. unit: of
    the samples; acceleration in m/s2.
    """

    rate_hz: float
    block: int
    rpm_min: float
    rpm_max: float
    rpm: float | None = None
    stages: tuple[GearStage, ...] = ()
    bearings: tuple[Bearing, ...] = ()
    bands_hz: tuple[float, ...] = ()
    envelope_hz: tuple[float, ...] = ()
    unit: str = "m/s2"

    def __post_init__(self) -> None:
        """Check that every line can be told from its neighbours. Raises ModelError."""
        if self.block < 1 or not 0.0 < self.rpm_min <= self.rpm_max:
            raise ModelError(
                f"blocks of {self.block} samples at {self.rpm_min} to {self.rpm_max} rpm,"
                " expected samples and a range of speeds above 0"
            )
        if not (0.0 < self.rate_hz < math.inf and self.rpm_max < math.inf):
            raise ModelError(
                f"samples at {self.rate_hz} Hz at up to {self.rpm_max} rpm, expected a rate above 0"
                " and a speed, neither without end"
            )
        slowest_hz = self.rpm_min / 60.0
        if slowest_hz * self.block / self.rate_hz < TURNS_MIN:
            raise ModelError(
                f"a block of {self.block} samples at {self.rate_hz} Hz holds fewer than"
                f" {TURNS_MIN:g} turns at {self.rpm_min} rpm: take longer blocks"
            )
        if min(self.shaft_orders) * slowest_hz < SPACING_BINS_MIN * self.rate_hz / self.block:
            raise ModelError(
                f"sidebands of the slowest shaft at {self.rpm_min} rpm lie closer than"
                f" {SPACING_BINS_MIN:g} lines of the spectrum: take longer blocks"
            )
        top = HARMONICS * max((*self.mesh_orders, 1.0)) * self.rpm_max / 60.0
        if top > NYQUIST_SHARE * self.rate_hz:
            raise ModelError(
                f"harmonics of the gear mesh reach {top:.0f} Hz at {self.rpm_max} rpm, expected at"
                f" most {NYQUIST_SHARE * self.rate_hz:.0f} Hz: sample faster"
            )
        for edges in (self.bands, self.demodulated):
            ordered = all(low < high for low, high in pairwise(edges))
            if len(edges) < 2 or not ordered or edges[0] <= 0.0 or edges[-1] > self.rate_hz / 2:
                raise ModelError(f"bands {edges} Hz, expected rising edges up to half the rate")
        for bearing in self.bearings:
            if not 0 <= bearing.shaft < len(self.shaft_orders):
                raise ModelError(
                    f"bearing {bearing.name} on shaft {bearing.shaft}, expected one of"
                    f" 0 to {len(self.shaft_orders) - 1}"
                )

    @property
    def shaft_orders(self) -> tuple[float, ...]:
        """Turns of each shaft in a turn of shaft 0."""
        orders = [1.0]
        for stage in self.stages:
            orders.append(orders[-1] * stage.driving / stage.driven)
        return tuple(orders)

    @property
    def mesh_orders(self) -> tuple[float, ...]:
        """Teeth that mesh at each stage in a turn of shaft 0."""
        pairs = zip(self.shaft_orders, self.stages, strict=False)
        return tuple(order * stage.driving for order, stage in pairs)

    @property
    def bands(self) -> tuple[float, ...]:
        """Edges of the band levels, Hz: by default six bands of equal ratio from 10 Hz on."""
        if self.bands_hz:
            return self.bands_hz
        low, high, count = 10.0, NYQUIST_SHARE * self.rate_hz, 6
        return tuple(low * (high / low) ** (i / count) for i in range(count + 1))

    @property
    def demodulated(self) -> tuple[float, ...]:
        """Edges of the bands whose envelopes are taken, Hz: by default three, high and equal.

        Chosen without labels: bearings and teeth ring structures far above the harmonics of the
        mesh, and which resonance carries them differs by machine, so the whole upper range is
        covered and each line is read in the band where it stands out most.
        """
        if self.envelope_hz:
            return self.envelope_hz
        low, high, count = 0.15 * self.rate_hz, NYQUIST_SHARE * self.rate_hz, 3
        return tuple(low + (high - low) * i / count for i in range(count + 1))
