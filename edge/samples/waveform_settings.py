"""Settings of a fast waveform: where its blocks come from, how they are coded, what turns beneath.

A block is what an accelerometer sends at once: a second or so at 12 to 48 kHz. It becomes condition
features (`models.features.features`), which are channels of the asset like any other.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.caps import BLOCK_SAMPLES_MAX
from edge.errors import ConfigError
from models.errors import ModelError
from models.features.features import feature_table
from models.features.machine import Bearing, GearStage, WaveformSpec

ENCODINGS: Final = ("json", "float32", "int16")
STAMPS: Final = ("begin", "end")
# What a sample of each unit is in m/s2, the unit of all features of acceleration.
UNITS: Final = {"m/s2": 1.0, "mm/s2": 1e-3, "g": 9.80665, "mg": 9.80665e-3, "in/s2": 0.0254}
MEDIAN_BLOCKS_MAX: Final = 64


class Waveform(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One accelerometer of an asset. Topics may hold {asset}.

    encoding: `json`, or `float32` or `int16`, little endian; header: whether one line of JSON
    stands before the binary samples. key: of the JSON that holds the values, "": the usual ones.
    scale: of a sample in `unit`. stamp: whether times are those of the first sample or of the end.
    full_scale: largest value that can be shown, in `unit`; 0: not known. every_ms: from block to
    block; 0: as the newest have it. speed: channel or tag that says how fast shaft 0 turns, in
    `rpm_per_unit`, believed for `speed_age_ms_max`; or `rpm`, if it always is the same. channels:
    feature -> channel; empty: the usual ones as TAG_FEATURE. levels: features that are
    given in dB. median_blocks: of so many blocks in a row the median counts.
    """

    tag: str
    topic: str
    rate_hz: float
    block: int
    encoding: str = "json"
    header: bool = False
    key: str = ""
    scale: float = 1.0
    unit: str = "m/s2"
    stamp: str = "begin"
    full_scale: float = 0.0
    every_ms: int = 0
    speed: str = ""
    speed_age_ms_max: int = 2_000
    rpm_per_unit: float = 1.0
    rpm: float = 0.0
    rpm_min: float = 0.0
    rpm_max: float = 0.0
    stages: tuple[GearStage, ...] = ()
    bearings: tuple[Bearing, ...] = ()
    bands_hz: tuple[float, ...] = ()
    envelope_hz: tuple[float, ...] = ()
    channels: dict[str, str] = {}
    levels: tuple[str, ...] = ()
    median_blocks: int = 1

    @property
    def spec(self) -> WaveformSpec:
        """How features are taken of its blocks, in m/s2. Raises ModelError."""
        return WaveformSpec(
            rate_hz=self.rate_hz,
            block=self.block,
            rpm_min=self.rpm_min or self.rpm,
            rpm_max=self.rpm_max or self.rpm,
            rpm=self.rpm or None,
            stages=self.stages,
            bearings=self.bearings,
            bands_hz=self.bands_hz,
            envelope_hz=self.envelope_hz,
        )

    @property
    def named(self) -> dict[str, str]:
        """The channel of each feature that is taken, by the feature's name."""
        return self.channels or {name: f"{self.tag}_{name}" for name in usual_features(self.spec)}

    @property
    def units(self) -> dict[str, str]:
        """The unit of each channel that is made of it; "" of a pure number."""
        of = dict(feature_table(self.spec))
        return {
            channel: "dB" if name in self.levels else of[name]
            for name, channel in self.named.items()
        }

    def topic_of(self, asset: str) -> str:
        """Where the blocks of an asset come."""
        return self.topic.replace("{asset}", asset)


def usual_features(spec: WaveformSpec) -> tuple[str, ...]:
    """What is taken where nobody chose: a dozen numbers that each point at something.

    Levels, impulsiveness, first and second harmonic of each shaft, first of each mesh with the
    sidebands of either shaft, and envelope lines. Bands, third harmonics and shapes say little
    more, and each channel costs rows of record to fit.
    """
    left_out = ("skewness", "crest_factor", "band_", "mesh0_2x", "mesh1_2x")
    names = [name for name, _ in feature_table(spec)]
    return tuple(
        name
        for name in names
        if not name.startswith(left_out) and not name.endswith(("_3x", "_sidebands", "_ftf"))
    )


def check_waveform(waveform: Waveform, *, where: str) -> None:
    """Raise ConfigError naming what of one waveform's settings cannot be."""
    try:
        spec = waveform.spec
        known = [name for name, _ in feature_table(spec)]
    except ModelError as error:
        speed = "; state rpm, or speed with rpm_min and rpm_max" * (not waveform.rpm_max)
        raise ConfigError(f"{where}: {error}{speed}") from error
    choices = (
        ("encoding", waveform.encoding, ENCODINGS),
        ("unit", waveform.unit, tuple(UNITS)),
        ("stamp", waveform.stamp, STAMPS),
        *(("channels names the feature", name, tuple(known)) for name in waveform.channels),
        *(("levels names the feature", name, tuple(waveform.named)) for name in waveform.levels),
    )
    for key, value, expected in choices:
        if value not in expected:
            raise ConfigError(f"{where}: {key} {value!r}, expected one of {', '.join(expected)}")
    topic = waveform.topic.replace("{asset}", "a")
    if not topic or any(character in topic for character in "+#{}\0"):
        raise ConfigError(f"{where}: topic {waveform.topic!r}, expected one without + or #")
    bounds = (
        ("block", waveform.block, 64, BLOCK_SAMPLES_MAX),
        ("every_ms", waveform.every_ms, 0, 10**9),
        ("speed_age_ms_max", waveform.speed_age_ms_max, 0, 10**7),
        ("median_blocks", waveform.median_blocks, 1, MEDIAN_BLOCKS_MAX),
        ("full_scale", waveform.full_scale, 0.0, 1e12),
        ("rate_hz", waveform.rate_hz, 1.0, 1e7),
    )
    for key, number, low, high in bounds:
        if not low <= number <= high:
            raise ConfigError(f"{where}: {key} is {number:g}, expected {low:g} to {high:g}")
    if waveform.scale == 0.0 or waveform.rpm_per_unit <= 0.0:
        raise ConfigError(f"{where}: scale and rpm_per_unit are factors, expected above 0")
