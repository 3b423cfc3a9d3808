"""Condition features against slow obvious twins, analytic signals and symmetries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.features.features import as_levels, condition_features, feature_names, feature_table
from models.features.machine import Bearing, GearStage, WaveformSpec
from models.features.spectra import Spectra, line_peak

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

RATE: Final = 12_800.0
N: Final = 8192
BEARING: Final = Bearing(name="de", balls=9, ball_mm=9.53, pitch_mm=46.0)
SPEC: Final = WaveformSpec(
    rate_hz=RATE,
    block=N,
    rpm_min=1100.0,
    rpm_max=1850.0,
    stages=(GearStage(driving=29, driven=43),),
    bearings=(BEARING,),
)
NAMES: Final = feature_names(SPEC)
T: Final = np.arange(N) / RATE
RPM: Final = 1500.0
HZ: Final = RPM / 60.0
PURE: Final = ("crest_factor", "kurtosis", "skewness")


def _features(*blocks: F64, rpm: float = RPM) -> list[dict[str, float]]:
    rows = condition_features(
        np.array(blocks, np.float32), spec=SPEC, speed_rpm=np.full(len(blocks), rpm)
    )
    return [dict(zip(NAMES, row.tolist(), strict=True)) for row in rows]


def _noise(seed: int, *size: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((*size, N)).astype(np.float32)


# --- what can be said without a program ---


def test_bearing_orders_are_those_of_the_sheet() -> None:
    """A 6205-2RS: 9 balls of 0.3126 in on 1.537 in; the published orders of that bearing."""
    bearing = Bearing(name="x", balls=9, ball_mm=7.940, pitch_mm=39.04)
    found = (bearing.bpfo, bearing.bpfi, 2.0 * bearing.bsf, bearing.ftf)
    assert found == pytest.approx((3.5848, 5.4152, 4.7135, 0.39828), abs=2e-3)
    assert bearing.bpfo + bearing.bpfi == pytest.approx(bearing.balls)
    assert bearing.bpfo == pytest.approx(bearing.balls * bearing.ftf)


@pytest.mark.parametrize("hz", [25.0, 31.7, 87.3])
def test_a_sine_has_the_levels_of_the_textbook(hz: float) -> None:
    """RMS A/sqrt 2, crest sqrt 2, kurtosis 1.5; velocity is acceleration over 2 pi f."""
    cycles = round(hz * N / RATE)  # whole periods: the textbook's sine has no ends
    hz = cycles * RATE / N
    (row,) = _features(3.0 * np.sin(2.0 * np.pi * hz * T) + 7.0)
    assert row["rms"] == pytest.approx(3.0 / math.sqrt(2.0), rel=1e-4)
    assert row["peak"] == pytest.approx(3.0, rel=1e-3)
    assert row["crest_factor"] == pytest.approx(math.sqrt(2.0), rel=1e-3)
    assert row["kurtosis"] == pytest.approx(1.5, rel=1e-4)
    assert row["skewness"] == pytest.approx(0.0, abs=1e-3)
    velocity = 1000.0 * 3.0 / math.sqrt(2.0) / (2.0 * math.pi * hz)
    assert row["velocity_rms"] == pytest.approx(velocity, rel=0.02)


@given(
    rpm=st.floats(1100.0, 1850.0),
    amplitude=st.floats(0.01, 50.0),
    phase=st.floats(0.0, 6.28),
    which=st.sampled_from([("shaft0_1x", 1.0), ("shaft0_3x", 3.0), ("mesh0_2x", 58.0)]),
)
@settings(max_examples=40, deadline=None)
def test_a_line_has_its_amplitude_at_any_speed(
    rpm: float, amplitude: float, phase: float, which: tuple[str, float]
) -> None:
    """Neither phase nor where the line falls between two bins matters; the speed carries it."""
    name, order = which
    (row,) = _features(
        amplitude * np.cos(2.0 * np.pi * order * rpm / 60.0 * T + phase) + 0.0, rpm=rpm
    )
    assert row[name] == pytest.approx(amplitude, rel=0.01)
    (elsewhere,) = _features(
        amplitude * np.cos(2.0 * np.pi * order * 1.5 * rpm / 60.0 * T + phase), rpm=rpm
    )
    assert elsewhere[name] < 0.05 * amplitude


def test_sidebands_are_those_of_the_modulating_shaft() -> None:
    """A carrier (1 + m cos) has two sidebands of m/2: root of their squares is m / sqrt 2."""
    mesh, depth = 29.0 * HZ, 0.3
    turn = 2.0 * np.pi * HZ * T
    (row,) = _features((1.0 + depth * np.cos(turn)) * np.cos(2.0 * np.pi * mesh * T))
    assert row["mesh0_1x"] == pytest.approx(1.0, rel=0.01)
    assert row["mesh0_sidebands_shaft0"] == pytest.approx(100.0 * depth / math.sqrt(2.0), rel=0.02)
    assert row["mesh0_sidebands_shaft1"] < 2.0


def test_a_modulated_carrier_shows_in_the_envelope_at_the_modulation_only() -> None:
    """At the outer race's frequency, wherever the carrier is; nothing elsewhere, and in no line."""
    quiet = 0.05 * _noise(1).astype(np.float64)
    for carrier in (2500.0, 3700.0, 5000.0):
        hz = BEARING.bpfo * HZ
        wave = (1.0 + 0.5 * np.cos(2.0 * np.pi * hz * T)) * np.cos(2.0 * np.pi * carrier * T)
        (row,) = _features(wave + quiet)
        others = [row[f"envelope_de_{line}"] for line in ("bpfi", "bsf", "ftf")]
        assert row["envelope_de_bpfo"] > max(others) + 8.0
    (noise,) = _features(quiet)
    assert all(abs(noise[name]) < 12.0 for name in NAMES if name.startswith("envelope"))


@pytest.mark.parametrize(
    ("line", "order"),
    [("bpfo", BEARING.bpfo), ("bpfi", BEARING.bpfi), ("bsf", BEARING.bsf)],
)
@pytest.mark.parametrize("rpm", [1200.0, 1740.0])
@pytest.mark.parametrize("slip", [-0.012, 0.01])
def test_hits_at_each_bearing_frequency_raise_its_line_most(
    line: str, order: float, rpm: float, slip: float
) -> None:
    """A ringing structure that is hit: the line follows the speed and forgives slip."""
    hits = np.zeros(N)
    at = np.arange(0.003, T[-1], 60.0 / rpm / (order * (1.0 + slip)))
    hits[(at * RATE).astype(int)] = 1.0
    ring = np.exp(-T[:300] * 800.0) * np.sin(2.0 * np.pi * 3400.0 * T[:300])
    (row,) = _features(np.convolve(hits, ring)[:N] + 0.02 * _noise(2), rpm=rpm)
    levels = {name: row[f"envelope_de_{name}"] for name in ("bpfo", "bpfi", "bsf", "ftf")}
    assert max(levels, key=lambda name: levels[name]) == line
    assert levels[line] > 15.0


def test_a_cage_that_is_loose_shows_at_its_own_line() -> None:
    """What comes and goes with the cage is seen a few times in a block, and still stands out."""
    turn = 2.0 * np.pi * BEARING.ftf * HZ * T
    (row,) = _features((1.0 + 0.8 * np.cos(turn)) * _noise(7))
    others = [row[f"envelope_de_{line}"] for line in ("bpfo", "bpfi", "bsf")]
    assert row["envelope_de_ftf"] > max(others) + 1.0


# --- slow twins ---


def _spectrum_at(block: F64, hz: float) -> complex:
    """The Hann-windowed sum at one frequency, as the definition has it."""
    window = [0.5 - 0.5 * math.cos(2.0 * math.pi * i / N) for i in range(N)]
    angle = 2.0 * np.pi * hz * T
    return complex(np.sum(np.array(window) * block * (np.cos(angle) - 1j * np.sin(angle))))


def test_lines_and_bands_are_those_of_a_direct_transform_of_one_block() -> None:
    """One frequency after the other, by sines and cosines; five bins make a line."""
    rng = np.random.default_rng(3)
    block = rng.standard_normal(N).astype(np.float32).astype(np.float64)
    block += 0.4 * np.cos(2.0 * np.pi * HZ * T)
    (row,) = _features(block)
    moving = block - block.mean()
    scale = 4.0 / (N * sum((0.5 - 0.5 * math.cos(2.0 * math.pi * i / N)) ** 2 for i in range(N)))
    step = RATE / N

    def line(hz: float) -> float:
        centre = round(hz / step)
        return scale * sum(
            abs(_spectrum_at(moving, (centre + k) * step)) ** 2 for k in range(-2, 3)
        )

    assert row["shaft0_1x"] == pytest.approx(math.sqrt(line(HZ)), rel=1e-3)
    assert row["mesh0_1x"] == pytest.approx(math.sqrt(line(29.0 * HZ)), rel=1e-3)
    low, high = SPEC.bands[0], SPEC.bands[1]
    inside = [k * step for k in range(N // 2) if low <= k * step < high]
    power = 0.5 * scale * sum(abs(_spectrum_at(moving, hz)) ** 2 for hz in inside)
    assert row[NAMES[6]] == pytest.approx(math.sqrt(power), rel=1e-3)
    assert row["kurtosis"] == pytest.approx(
        sum(v**4 for v in moving) / N / (sum(v**2 for v in moving) / N) ** 2, rel=1e-5
    )


def test_the_envelope_is_that_of_a_filtered_hilbert_transform() -> None:
    """Line over floor of the slow way: whole-rate analytic signal of the band, squared, Hann."""
    from scipy import signal  # noqa: PLC0415 (the slow way only)

    from models.features.spectra import floor, squared_envelopes, transformed  # noqa: PLC0415

    block = _noise(4).astype(np.float64)[None]
    band = (3200.0, 4480.0)
    fast = squared_envelopes(transformed(block), n=N, rate_hz=RATE, band_hz=band, up_to_hz=400.0)
    whole = np.fft.fft(block[0])
    frequency = np.abs(np.fft.fftfreq(N, 1.0 / RATE))
    kept = np.where((frequency >= band[0]) & (frequency < band[1]), whole, 0.0)
    squared = np.abs(signal.hilbert(np.fft.ifft(kept).real)) ** 2
    squared -= squared.mean()
    window = signal.get_window("hann", N)
    slow = np.abs(np.fft.rfft(squared * window)) ** 2 * 4.0 / (N * np.sum(window**2))
    k = fast.power.shape[1] - 1  # the last lacks its neighbour
    assert np.allclose(fast.power[0, 2:k], slow[2:k], rtol=1e-6)
    assert floor(fast.power).shape == fast.power.shape
    level = np.median(fast.power[0, 2:] / floor(fast.power)[0, 2:])
    assert level == pytest.approx(1.0, abs=0.1)


# --- symmetries ---


@given(scale=st.floats(0.01, 100.0), seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_gain_scales_levels_and_nothing_else(scale: float, seed: int) -> None:
    """Quantities with a unit follow the gain, pure numbers and ratios do not."""
    block = _noise(seed) + 2.0 * np.cos(2.0 * np.pi * HZ * T)
    plain, scaled = _features(block, scale * block)
    for name, unit in feature_table(SPEC):
        by = scale if unit in {"m/s2", "mm/s"} else 1.0
        assert scaled[name] == pytest.approx(by * plain[name], rel=2e-3, abs=2e-3)


def test_each_block_counts_by_itself() -> None:
    """In any order, alone or among many, at its own speed."""
    blocks, rpm = _noise(5, 150), np.linspace(1100.0, 1850.0, 150)
    together = condition_features(blocks, spec=SPEC, speed_rpm=rpm)
    order = np.random.default_rng(0).permutation(150)
    shuffled = condition_features(blocks[order], spec=SPEC, speed_rpm=rpm[order])
    assert np.allclose(shuffled, together[order], rtol=1e-9)
    alone = condition_features(blocks[70:71], spec=SPEC, speed_rpm=rpm[70:71])
    assert np.allclose(alone[0], together[70], rtol=1e-9)
    assert together.dtype == np.float64


def test_a_block_with_a_hole_has_no_feature_at_all() -> None:
    """NaN, infinity: NaN there, and only there."""
    blocks, rpm = _noise(6, 6), np.full(6, RPM)
    blocks[0, 17], blocks[1, -1] = np.nan, np.inf
    rows = condition_features(blocks, spec=SPEC, speed_rpm=rpm)
    assert np.isnan(rows[:2]).all()
    assert np.isfinite(rows[2:]).all()
    assert np.allclose(rows[2:], condition_features(blocks[2:], spec=SPEC, speed_rpm=rpm[2:]))


@pytest.mark.parametrize("rpm", [math.nan, math.inf, 0.0, 1099.0, 1851.0])
def test_without_a_speed_lines_of_shafts_are_not_known_and_the_rest_goes_on(rpm: float) -> None:
    """Whatever the name says to be of a shaft, mesh or envelope is NaN; levels are as they were."""
    blocks = _noise(6, 2)
    rows = condition_features(blocks, spec=SPEC, speed_rpm=np.array([RPM, rpm]))
    same = condition_features(blocks, spec=SPEC, speed_rpm=np.full(2, RPM))
    for k, name in enumerate(NAMES):
        of_a_shaft = name.startswith(("shaft", "mesh", "envelope"))
        assert math.isnan(rows[1, k]) == of_a_shaft, name
        assert rows[1, k] == same[1, k] or of_a_shaft
    assert np.array_equal(rows[0], same[0])


def test_a_flat_block_is_silent_and_has_no_shape() -> None:
    """A dead sensor: levels of zero, and no crest, kurtosis or level over a floor."""
    (row,) = _features(np.full(N, 4.2))
    assert (row["rms"], row["peak"]) == (0.0, 0.0)
    assert all(math.isnan(row[name]) for name in PURE)


def test_levels_turn_gain_into_a_sum() -> None:
    """Twice the gain is 6 dB more for what has a unit."""
    block = _noise(8)
    rows = condition_features(np.stack([block, 2.0 * block]), spec=SPEC, speed_rpm=np.full(2, RPM))
    change = np.diff(as_levels(rows, SPEC), axis=0)[0]
    for (name, unit), by in zip(feature_table(SPEC), change.tolist(), strict=True):
        expected = 20.0 * math.log10(2.0) if unit in {"m/s2", "mm/s"} else 0.0
        assert by == pytest.approx(expected, abs=1e-6), name


def test_nothing_is_divided_by_the_shape_of_the_call() -> None:
    """No block, wrong lengths, missing speeds: an empty table or a plain error."""
    none = condition_features(np.empty((0, N), np.float32), spec=SPEC, speed_rpm=np.empty(0))
    assert none.shape == (0, len(NAMES))
    with pytest.raises(ModelError, match=r"expected \(b, 8192\)"):
        condition_features(np.zeros((2, 100), np.float32), spec=SPEC, speed_rpm=np.full(2, RPM))
    with pytest.raises(ModelError, match="no speed"):
        condition_features(_noise(0, 2), spec=SPEC)
    with pytest.raises(ModelError, match=r"expected \(2,\)"):
        condition_features(_noise(0, 2), spec=SPEC, speed_rpm=np.full(3, RPM))


def test_a_constant_speed_may_stand_in_the_specification() -> None:
    """The same features as with the speed beside each block."""
    import msgspec  # noqa: PLC0415 (one test)

    fixed = msgspec.structs.replace(SPEC, rpm=RPM)
    blocks = _noise(9, 2)
    given_ = condition_features(blocks, spec=SPEC, speed_rpm=np.full(2, RPM))
    assert np.array_equal(condition_features(blocks, spec=fixed), given_)
    assert msgspec.json.decode(msgspec.json.encode(fixed), type=WaveformSpec) == fixed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"block": 2048}, "longer blocks"),
        ({"rpm_max": 5000.0}, "sample faster"),
        ({"rpm_min": 0.0}, "range of speeds"),
        ({"bands_hz": (100.0, 50.0)}, "rising edges"),
        ({"stages": (), "bearings": (Bearing(
            name="x", balls=8, ball_mm=8.0, pitch_mm=40.0, shaft=1),)}, "on shaft 1"),
    ],
)  # fmt: skip
def test_a_machine_whose_lines_cannot_be_told_apart_is_refused(
    change: dict[str, object], said: str
) -> None:
    """The error says what to change."""
    import msgspec  # noqa: PLC0415 (one test)

    with pytest.raises(ModelError, match=said):
        msgspec.structs.replace(SPEC, **change)


def test_a_bearing_has_balls_that_fit() -> None:
    """Balls as large as the pitch diameter make none."""
    with pytest.raises(ModelError, match="expected 3 or more"):
        Bearing(name="x", balls=8, ball_mm=50.0, pitch_mm=40.0)


def test_lines_of_bearings_leave_out_the_harmonics_of_their_shaft() -> None:
    """A line near the eleventh turn: what stands on the turn itself is not taken for it."""
    power = np.ones((1, 400))
    power[0, 176] = 50.0  # 11 turns of 16 bins
    power[0, 172] = 5.0  # the bearing's own, a little below
    spectra = Spectra(power=power, step_hz=1.0)
    shaft, line = np.array([[16.0]]), np.array([[172.5]])
    assert line_peak(spectra, line, 0.03)[0, 0] == 50.0
    assert line_peak(spectra, line, 0.03, shaft_hz=shaft)[0, 0] == 5.0
    own = np.array([[176.0]])  # a line that is a turn of the shaft keeps it
    assert line_peak(spectra, own, 0.02, shaft_hz=shaft)[0, 0] == 50.0
