"""Blocks on their way to alignment: what is counted, what waits, and features that go on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter

from edge.batches import Readings
from edge.caps import SPEEDS_MAX
from edge.configuration.config import load
from edge.engine import Engine
from edge.errors import ConfigError
from edge.records import MessageReceived, TickDue
from edge.samples.waveform_settings import Waveform, check_waveform
from edge.samples.waveforms import Waveforms, WaveState, block_bytes_per_day, block_topics
from edge.settings import AssetSettings, GatewaySettings
from edge.storage.checkpoint import pack, unpack
from edge.wire.waveform import encode_block
from models.features.features import LEAST, condition_features, feature_table
from models.features.machine import GearStage
from tests.edge.rig import bundle, fitted_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

S: Final = 10**9
N: Final = 2048
RATE: Final = 4096.0
FORM: Final = Waveform(
    tag="v",
    topic="plant/{asset}/v",
    encoding="float32",
    header=True,
    rate_hz=RATE,
    block=N,
    speed="Speed",
    speed_age_ms_max=3_000,
    rpm_min=1000.0,
    rpm_max=2000.0,
    stages=(GearStage(driving=11, driven=20),),
)
NAMES: Final = tuple(FORM.named)
BEGIN: Final = 1_760_000_000 * S
FUTURE_NS: Final = BEGIN + 10**6 * S


class Bench:
    """One waveform of one asset, and what comes out."""

    def __init__(self, form: Waveform = FORM) -> None:
        self.counts: dict[str, int] = {}
        self.state: dict[str, WaveState] = {}
        self.form = form
        self.renew()
        self.out: list[Readings] = []

    def renew(self) -> None:
        """Go on in another process from packed state."""
        self.state = unpack(pack(self.state), dict[str, WaveState])
        asset = AssetSettings(id="g1", waveform=(self.form,))
        self.waves = Waveforms([asset], state=self.state, counts=self.counts)

    def block(
        self, second: float, values: NDArray[np.float32] | None = None, rpm: float = math.nan
    ) -> None:
        """A block that ends at a second."""
        values = noise(round(second * 10)) if values is None else values
        begin_ns = BEGIN + round((second - N / RATE) * S)
        payload = encode_block(values, t_ns=begin_ns, rate_hz=RATE, rpm=rpm)
        for told in self.waves.read(payload, topic="plant/g1/v", received_ns=BEGIN):
            self.waves.put(told, future_ns=FUTURE_NS)

    def speed(self, second: float, rpm: float) -> None:
        """A row of the plant that tells the speed."""
        t_ns = np.array([BEGIN + round(second * S)], np.int64)
        values = np.array([[rpm, 1.0]])
        told = Readings(asset="g1", tags=("Speed", "x"), t_ns=t_ns, values=values)
        self.waves.heard(told, future_ns=FUTURE_NS)

    def settle(self, until: float | None = None, *, final: bool = False) -> None:
        """A tick."""
        until_ns = None if until is None else BEGIN + round(until * S)
        self.out += self.waves.settle(until_ns=until_ns, final=final)

    def rows(self) -> dict[float, dict[str, float]]:
        """Features by the second of their block's end."""
        return {
            (int(one.t_ns[0]) - BEGIN) / S: dict(zip(NAMES, one.values[0].tolist(), strict=True))
            for one in self.out
        }


def noise(seed: int) -> NDArray[np.float32]:
    """A block of noise and a line, another one for each seed."""
    drawn = np.random.default_rng(seed).standard_normal(N).astype(np.float32)
    drawn += np.sin(2.0 * np.pi * 25.0 * np.arange(N) / RATE).astype(np.float32)
    return drawn


def expected(block: NDArray[np.float32], rpm: float) -> dict[str, float]:
    """The features of one block taken alone."""
    row = condition_features(block[None], spec=FORM.spec, speed_rpm=np.array([rpm]))[0]
    table = [name for name, _ in feature_table(FORM.spec)]
    return {name: float(row[table.index(name)]) for name in NAMES}


def same(found: dict[str, float], wanted: dict[str, float]) -> bool:
    """Equal, NaN included, but for what the shape of a call does to the last digits."""
    one, other = (np.array([row[name] for name in NAMES]) for row in (found, wanted))
    return bool(np.allclose(one, other, rtol=1e-9, equal_nan=True))


def test_features_stand_at_the_end_of_their_block_with_names_and_units() -> None:
    """Channels as configured, or the usual ones; one pass gives what each block alone would."""
    bench = Bench()
    for second in (1, 2, 3):
        bench.block(second, rpm=1500.0)
    bench.settle()
    rows = bench.rows()
    assert sorted(rows) == [1.0, 2.0, 3.0]
    assert all(same(rows[s], expected(noise(round(10 * s)), 1500.0)) for s in rows)
    assert bench.out[0].tags[:2] == ("v_rms", "v_peak")
    assert (bench.out[0].units or {})["v_velocity_rms"] == "mm/s"
    assert bench.counts == {"blocks": 3}


def test_a_block_waits_until_the_speed_of_its_time_is_known() -> None:
    """Between the two speeds around its middle; without waiting only what needs no speed."""
    bench = Bench()
    bench.speed(0.0, 1400.0)
    bench.block(1.0)
    bench.settle(0.5)
    assert not bench.out
    bench.renew()  # what waits survives
    bench.speed(1.5, 1700.0)
    bench.settle(0.5)
    assert same(bench.rows()[1.0], expected(noise(10), 1400.0 + 300.0 * 0.75 / 1.5))
    bench.block(6.0)
    bench.settle(6.0)  # it cannot wait any longer, and the last speed is too old
    row = bench.rows()[6.0]
    wanted = expected(noise(60), math.nan)
    assert same(row, wanted)
    assert math.isfinite(row["rms"])
    assert math.isnan(row["shaft0_1x"])
    assert bench.counts["blocks_speed_missing"] == 1


def test_speeds_of_a_clock_that_is_ahead_blind_no_block() -> None:
    """However many of them come, the true ones are kept; each is counted."""
    bench = Bench()
    for i in range(2 * SPEEDS_MAX):
        bench.speed(10**7 + i, 1500.0)
    bench.speed(0.0, 1500.0)
    for second in range(1, 4):
        bench.speed(second, 1500.0)
        bench.block(second)
        bench.settle(second)
    assert bench.counts == {"speeds_future": 2 * SPEEDS_MAX, "blocks": 3}
    assert sorted(bench.rows()) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("units", "configured", "rpm_per_unit", "taken"),
    [
        ({"Speed": "Hz"}, {}, 1.0, False),
        ({"Speed": "Hz"}, {}, 60.0, True),
        ({"Speed": "rpm"}, {}, 1.0, True),
        ({"Speed": "Hz"}, {"Speed": "rpm"}, 60.0, False),
        ({}, {"Speed": "rpm"}, 1.0, True),
    ],
)
def test_a_speed_in_another_unit_is_not_taken(
    units: dict[str, str], configured: dict[str, str], rpm_per_unit: float, *, taken: bool
) -> None:
    """What the sender states against what is configured."""
    form = msgspec.structs.replace(FORM, rpm_per_unit=rpm_per_unit)
    asset = AssetSettings(id="g1", waveform=(form,), units=configured)
    state: dict[str, WaveState] = {}
    counts: dict[str, int] = {}
    waves = Waveforms([asset], state=state, counts=counts)
    t_ns, values = np.array([BEGIN]), np.array([[25.0]])
    told = Readings(asset="g1", tags=("Speed",), t_ns=t_ns, values=values, units=units)
    waves.heard(told, future_ns=FUTURE_NS)
    assert state["g1/v"].speed == [25.0 * rpm_per_unit] * taken
    assert counts == ({} if taken else {"speeds_wrong_unit": 1})


def test_a_speed_counts_as_long_as_it_may_and_beyond_the_range_no_line_is_read() -> None:
    """Its age is bounded; a machine at rest has levels and no lines."""
    bench = Bench()
    bench.speed(0.0, 1500.0)
    for second in (3.0, 3.5):  # middles at 2.75 and 3.25 s
        bench.block(second)
    bench.settle(4.0)
    rows = bench.rows()
    assert same(rows[3.0], expected(noise(30), 1500.0))
    assert math.isnan(rows[3.5]["shaft0_1x"])
    bench.block(5.0, rpm=0.0)
    bench.settle(4.0)
    assert math.isnan(bench.rows()[5.0]["mesh0_1x"])
    assert bench.counts["blocks_speed_beyond"] == 1


def test_what_is_wrong_with_a_block_is_counted_apart() -> None:
    """Duplicates, late and future ones are not taken; holes in the row of blocks are told."""
    bench = Bench()
    for second in (1, 2, 3, 3, 2.5, 6, 7):
        bench.block(second, rpm=1500.0)
    bench.block(2_000_000, rpm=1500.0)
    wanted = {"blocks": 5, "blocks_duplicate": 1, "blocks_late": 1, "blocks_gaps": 1}
    assert bench.counts == {**wanted, "blocks_future": 1}
    payload = encode_block(noise(1), t_ns=BEGIN + 9 * S, rate_hz=RATE)
    (told,) = bench.waves.read(payload, topic="plant/g1/v", received_ns=BEGIN, retain=True)
    assert told.sent.end_ns == BEGIN + 9 * S + S // 2


def test_one_block_that_comes_early_makes_no_gap_of_every_later_one() -> None:
    """Sent again a millisecond later, say: the usual time between two stays the usual one."""
    bench = Bench()
    for second in (1, 2, 3, 3.001, 4, 5, 6, 9):
        bench.block(second, rpm=1500.0)
    assert bench.counts == {"blocks": 8, "blocks_gaps": 1}


def test_flat_broken_and_cut_off_blocks_never_tell_more_than_they_know() -> None:
    """No value from nothing; of a cut off block what is at least so large, so that limits ring."""
    bench = Bench(msgspec.structs.replace(FORM, full_scale=8.0))
    broken = noise(1)
    broken[5] = np.nan
    bench.block(1.0, np.full(N, 0.25, np.float32), rpm=1500.0)
    bench.block(2.0, broken, rpm=1500.0)
    bench.block(3.0, np.clip(20.0 * noise(2), -8.0, 8.0), rpm=1500.0)
    bench.settle()
    rows = bench.rows()
    assert all(math.isnan(value) for second in (1.0, 2.0) for value in rows[second].values())
    assert {name for name, value in rows[3.0].items() if math.isfinite(value)} == set(LEAST)
    assert rows[3.0]["peak"] == pytest.approx(8.0, abs=0.5)
    wrong = {"blocks_flat": 1, "blocks_non_finite": 1, "blocks_clipped": 1}
    assert bench.counts == {"blocks": 3, **wrong}


def test_a_message_may_hold_several_blocks_and_they_follow_each_other() -> None:
    """Four seconds at once are four blocks, each at its own end."""
    bench = Bench()
    long = np.concatenate([noise(k) for k in range(4)])
    bench.block(1.0, long, rpm=1500.0)
    bench.settle()
    ends = [(int(one.t_ns[0]) - BEGIN) / S for one in bench.out]
    assert ends == [1.0, 1.5, 2.0, 2.5]
    assert all(same(bench.rows()[end], expected(noise(k), 1500.0)) for k, end in enumerate(ends))


@given(
    told=st.lists(st.sampled_from(["tick", "late tick", "renew", "speed"]), max_size=30),
    seed=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_how_ticks_fall_changes_no_feature(told: list[str], seed: int) -> None:
    """Blocks and speeds in one order; ticks, restarts anywhere: the same values."""
    rng = np.random.default_rng(seed)
    steps = [(float(t), float(rng.uniform(1100.0, 1900.0))) for t in range(1, 8)]
    plain, cut = Bench(), Bench()
    for i, (second, rpm) in enumerate(steps):
        for bench in (plain, cut):
            bench.block(second)
            bench.speed(second, rpm)
        for what in told[3 * i : 3 * i + 3]:
            if what == "renew":
                cut.renew()
            cut.settle(second - 0.5 if what == "late tick" else None)
    for bench in (plain, cut):
        bench.settle(final=True)
    assert plain.rows().keys() == cut.rows().keys()
    assert all(same(cut.rows()[t], row) for t, row in plain.rows().items())


def test_medians_are_those_of_a_filter_that_looks_back_within_a_stretch() -> None:
    """SciPy's filter with its window behind, over each stretch at speed; gaps and rests end one."""
    k = 3
    bench = Bench(msgspec.structs.replace(FORM, median_blocks=k))
    rpm = [1500.0] * 6 + [0.0] * 2 + [1500.0] * 5
    seconds = [*range(1, 12), 20, 21]
    for second, speed in zip(seconds, rpm, strict=True):
        bench.block(second, rpm=speed)
        bench.renew()
        bench.settle()
    found = np.array([bench.rows()[s]["rms"] for s in seconds])
    raw = np.array([expected(noise(10 * s), 1500.0)["rms"] for s in seconds])
    for part in (slice(0, 6), slice(6, 8), slice(8, 11), slice(11, 13)):
        steady = median_filter(raw[part], size=k, origin=k // 2, mode="nearest")
        assert np.allclose(found[part], steady, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoding": "xml"}, "encoding 'xml', expected one of json"),
        ({"topic": "plant/+/v"}, "without"),
        ({"channels": {"loudness": "L"}}, "names the feature 'loudness'"),
        ({"rpm_min": 0.0, "rpm_max": 0.0}, "state rpm, or speed"),
        ({"block": 200}, "longer blocks"),
        ({"median_blocks": 0}, "median_blocks is 0"),
        ({"scale": 0.0}, "factors"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_what_to_do(
    change: dict[str, object], said: str
) -> None:
    """Where, what, and what was expected."""
    with pytest.raises(ConfigError, match=said):
        check_waveform(msgspec.structs.replace(FORM, **change), where="asset g1, waveform v")


CONFIG: Final = """site = "s"
[model]
bundle = "b"
[[asset]]
id = "g1"
tags = { S1 = "Speed" }
[[asset.waveform]]
tag = "v"
topic = "plant/{asset}/v"
rate_hz = 4096.0
block = 2048
speed = "Speed"
rpm_min = 1000.0
rpm_max = 2000.0
bearings = [{ name = "de", balls = 9, ball_mm = 9.5, pitch_mm = 46.0 }]
"""


TWIN: Final = """[[asset.waveform]]
tag = "v"
topic = "plant/{asset}/w"
rate_hz = 4096.0
block = 4096
rpm = 1500.0
channels = { rms = "other" }
[[asset.waveform]]
"""


def test_a_configuration_names_waveforms_and_is_strict_about_them(tmp_path: Path) -> None:
    """Topics to subscribe to, channels made; typing errors name what was meant."""
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG)
    config = load(path, environment={})
    assert block_topics(config.asset) == ("plant/g1/v",)
    assert "v_envelope_de_bpfo" in config.asset[0].waveform[0].named.values()
    for old, new, said in (
        ("ball_mm", "bal_mm", "bal_mm"),
        ("rate_hz", "rate_herz", "did you mean"),
        ("pitch_mm = 46.0", "pitch_mm = 4.0", "3 or more"),
        ('S1 = "Speed"', 'S1 = "v_rms"', "from a waveform and from elsewhere"),
        ("[[asset.waveform]]\n", TWIN, "two waveforms have the tag 'v'"),
    ):
        path.write_text(CONFIG.replace(old, new))
        with pytest.raises(ConfigError, match=said):
            load(path, environment={})


def test_blocks_that_are_rare_move_the_clock_of_the_plant_themselves() -> None:
    """Every two hours one, of an asset that sends nothing else: none of them is of the future."""
    form = msgspec.structs.replace(FORM, speed="", rpm=1500.0, channels={"rms": "c0"})
    conf = GatewaySettings(
        site="s", clock="plant", asset=(AssetSettings(id="r1", waveform=(form,)),)
    )
    model = fitted_of(bundle())
    engine = Engine(conf, bundle=model.bundle, detectors=model.detectors, derive=model.derive)
    for t_ns in range(BEGIN, BEGIN + 5 * 7200 * S, 7200 * S):
        payload = encode_block(noise(1), t_ns=t_ns, rate_hz=RATE)
        message = MessageReceived(topic="plant/r1/v", payload=payload, received_ns=t_ns)
        engine.handle(message, now_ns=t_ns)
        engine.handle(TickDue(), now_ns=t_ns)
    counted = {name: n for name, n in engine.counts().items() if name.startswith("blocks")}
    assert counted == {"blocks": 5}


def test_the_journal_of_a_day_is_stated() -> None:
    """48 kHz as int16 without gaps: 8.3 GB; a block every ten seconds of 8192 floats: 0.28 GB."""
    fast = msgspec.structs.replace(FORM, encoding="int16", rate_hz=48_000.0, block=48_000)
    assert block_bytes_per_day(fast) == pytest.approx(86_400 * 96_000, rel=0.01)
    slow = msgspec.structs.replace(FORM, block=8192, every_ms=10_000)
    assert block_bytes_per_day(slow) == pytest.approx(8_640 * 4 * 8192, rel=0.01)
