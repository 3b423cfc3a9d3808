"""What would ring on a machine that sends its vibration as blocks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import andon
from edge.bundles.training import fit_bundle, journal_samples
from edge.configuration.config import load
from edge.recordings.recording import journal_messages
from edge.records import MessageReceived
from edge.replays.backtest import Backtest
from edge.samples.waveform_settings import Waveform
from edge.settings import AssetSettings
from edge.storage.journal_writer import JournalWriter
from edge.wire.readings import encode_rows
from edge.wire.waveform import Sent, encode_block
from models.bundles.store import load as load_bundle
from models.bundles.store import save as save_bundle
from models.features.features import condition_features, feature_names
from models.features.machine import Bearing
from simulator.stretch import engine_of, read_stretch
from simulator.wave_faults import WaveFault, WaveKind, full_scale, strikes_hz
from simulator.wave_stretch import features_of

if TYPE_CHECKING:
    from pathlib import Path

    from edge.samples.waveforms import Told, WaveState
    from simulator.stretch import Stretch

S: Final = 10**9
BEGIN: Final = 1_760_000_000 * S
ROWS: Final = 2700
RATE: Final = 4096.0
N: Final = 2048
RPM: Final = 1500.0
TOML: Final = """
site = "s"
clock = "plant"
[model]
bundle = "bundle"
[[asset]]
id = "g1"
context = [{ tag = "Speed", role = "info" }]
[[asset.waveform]]
tag = "v"
topic = "blocks/{asset}"
encoding = "float32"
header = true
rate_hz = 4096.0
block = 2048
rpm_min = 1400.0
rpm_max = 1600.0
speed = "Speed"
bearings = [{ name = "b", balls = 8, ball_mm = 8.0, pitch_mm = 40.0 }]
channels = { rms = "v_rms", kurtosis = "v_kurtosis", envelope_b_bpfo = "v_bpfo" }
"""
FORM: Final = Waveform(
    tag="v",
    topic="blocks/{asset}",
    rate_hz=RATE,
    block=N,
    rpm=RPM,
    bearings=(Bearing(name="b", balls=8, ball_mm=8.0, pitch_mm=40.0),),
)


def noise(seed: int) -> np.ndarray:
    """A block (n,) float32 of a machine that turns at 25 Hz, of an RMS near 1.2."""
    drawn = np.random.default_rng([7, seed]).standard_normal(N)
    wave = drawn + np.sin(2.0 * np.pi * 25.0 * np.arange(N) / RATE)
    return np.asarray(wave, np.float32)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A directory with a gateway's journal, and what `andon prove` said of it."""

    directory: Path
    code: int
    proof: dict[str, Any]


def recorded(folder: Path) -> None:
    """A journal of speed and blocks, one each second."""
    writer = JournalWriter(folder / "state" / "journal", sync_s=3600.0)
    rng = np.random.default_rng(0)
    for k in range(ROWS):
        t_ns = BEGIN + k * S
        speed = [RPM + float(rng.normal())]
        (told,) = encode_rows(["Speed"], [t_ns], [speed], shape="columnar")
        begin_ns = t_ns - round(N / RATE * S)
        block = encode_block(noise(k), t_ns=begin_ns, rate_hz=RATE, rpm=math.nan)
        messages = [
            MessageReceived(topic=topic, payload=payload, received_ns=t_ns)
            for topic, payload in (("blocks/g1", block), ("plant/g1", told))
        ]
        writer.append([(t_ns, message) for message in messages])
    writer.close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Three quarters of an hour of one machine that runs all the time."""
    folder = tmp_path_factory.mktemp("waves")
    (folder / "gateway.toml").write_text(TOML)
    recorded(folder)
    config = load(folder / "gateway.toml", environment={})
    samples = journal_samples(folder / "state" / "journal", settings=config.settings)
    save_bundle(fit_bundle(samples), folder / "bundle")
    done = CliRunner().invoke(
        andon.app,
        [
            *("prove", str(folder / "gateway.toml"), "--trials", "1", "--json"),
            *("--html", str(folder / "report.html")),
        ],
    )
    assert done.exit_code in (0, 1), (done.output, done.exception)
    return Machine(directory=folder, code=done.exit_code, proof=json.loads(done.stdout))


@pytest.fixture(scope="module")
def stretch(machine: Machine) -> Stretch:
    """The newest quarter of an hour of it in memory."""
    config = load(machine.directory / "gateway.toml", environment={})
    bundle = load_bundle(machine.directory / "bundle")
    messages = journal_messages(machine.directory / "state" / "journal")
    return read_stretch(messages, config.settings, bundle, bundle.assets[0], hours=0.25)


@pytest.mark.not_counted
def test_a_waveform_is_told_beside_the_channels(machine: Machine) -> None:
    """Its features are not tried one by one: nothing breaks that way."""
    (asset,) = machine.proof["assets"]
    told = {one["channel"]: one for one in asset["channels"]}
    assert list(told) == ["v"]
    assert told["v"]["waveform"]
    assert told["v"]["features"] == ["v_rms", "v_kurtosis", "v_bpfo"]
    assert told["v"]["unit"] == "m/s2"
    assert told["v"]["sigma"] == pytest.approx(math.sqrt(1.5), rel=0.02)
    assert [kind["kind"] for kind in told["v"]["kinds"]] == [kind.value for kind in WaveKind]
    assert asset["trials"] + asset["trials_void"] + asset["trials_unplaced"] == 11
    report = (machine.directory / "report.html").read_text(encoding="utf-8")
    assert "usual RMS" in report
    assert "impulses" in report


def test_what_nobody_may_miss_rings(machine: Machine) -> None:
    """Vibration that grows fourfold, a bearing that is struck, a sensor that is no more."""
    (asset,) = machine.proof["assets"]
    (wave,) = (one for one in asset["channels"] if one["waveform"])
    kinds = {kind["kind"]: kind for kind in wave["kinds"]}
    assert not wave["blind"]
    assert kinds["louder"]["sizes_sigma"][-1] == 3.0
    for kind in ("louder", "impulses"):
        assert kinds[kind]["rang"][-1] == kinds[kind]["trials"][-1] == 1
        assert kinds[kind]["rang_as"].startswith("process")
        assert kinds[kind]["found_size"] == pytest.approx(
            kinds[kind]["found_sigma"] * wave["sigma"]
        )
        assert kinds[kind]["named_share"] == 1.0
    for kind in ("dead", "drop_out"):
        assert kinds[kind]["found"]
        assert kinds[kind]["rang_as"].startswith("sensor")
    assert kinds["clipped"]["found"]


def test_copies_send_the_features_that_the_gateway_takes(stretch: Stretch) -> None:
    """A copy without a fault is scored as the blocks themselves are."""
    base = engine_of(stretch).engine
    Backtest(base).run(stretch.as_sent())
    copy = engine_of(stretch, 1).engine
    Backtest(copy).run(stretch.copies([[]], until_ns=int(stretch.t_ns[-1])))
    ours, theirs = base.state.ring.assets["g1"], copy.state.ring.assets["g1-0"]
    assert np.isfinite(ours.values).all(axis=1).sum() > 890
    np.testing.assert_array_equal(ours.values, theirs.values)
    np.testing.assert_array_equal(ours.t_ns, theirs.t_ns)
    score = [one.state.assets[name].last_score for one, name in ((base, "g1"), (copy, "g1-0"))]
    assert score[0] == pytest.approx(score[1], abs=1e-5)
    assert base.counts()["blocks"] == len(stretch.waves[0].at) > 890


def test_assets_beside_it_are_left_out(stretch: Stretch) -> None:
    """Its engine knows the bundle of one; the configuration names the whole line."""
    other = AssetSettings(id="g2")
    line = msgspec.structs.replace(stretch.settings, asset=(*stretch.settings.asset, other))
    engine = engine_of(replace(stretch, settings=line)).engine
    assert list(engine.state.assets) == ["g1"]


@pytest.mark.parametrize("kind", list(WaveKind))
def test_features_around_a_fault_are_those_of_the_whole_record(
    kind: WaveKind, stretch: Stretch
) -> None:
    """The slow twin: every block of the record taken anew, with the fault in some."""
    (record,) = stretch.waves
    fault = WaveFault(
        kind=kind,
        begin_ns=int(stretch.t_ns[400]),
        end_ns=int(stretch.t_ns[430]),
        size=0.5,
        usual=record.usual,
        pattern=3,
    )

    def changed(_: int, told: Told, __: WaveState) -> Sent | None:
        return fault.disturbed(told.sent, record.form, rpm=RPM, running=True)

    form = msgspec.structs.replace(record.form, median_blocks=3)
    short = replace(record, form=form, heard=record.heard[:1200], at=record.at[:600])
    short = replace(short, ends_ns=record.ends_ns[:600])
    plain = features_of(record.asset, form, short.heard)
    slow = features_of(record.asset, form, short.heard, change=changed)
    found = short.with_fault(replace(fault), running=lambda _: True)
    t_ns = np.array([int(one.t_ns[0]) for one in plain], np.int64)
    values = np.array([one.values[0] for one in plain])
    sent, quick = found.replaced(t_ns, values)
    assert t_ns[sent].tolist() == [int(one.t_ns[0]) for one in slow]
    tolerance = 0.5 if kind is WaveKind.IMPULSES else 1e-9  # the speed moves the strikes a little
    np.testing.assert_allclose(
        quick[sent], np.array([one.values[0] for one in slow]), rtol=tolerance, atol=1e-9
    )
    assert kind is WaveKind.DROP_OUT or not np.array_equal(quick[401:430], values[401:430])
    assert sent.sum() == (570 if kind is WaveKind.DROP_OUT else 600)


def sent_of(values: np.ndarray, *, end_ns: int = BEGIN) -> Sent:
    """One block."""
    return Sent(
        values=values,
        full=np.zeros(len(values), bool),
        begin_ns=end_ns - S // 2,
        end_ns=end_ns,
        rpm=RPM,
        timed=True,
    )


def put(kind: WaveKind, sent: Sent, form: Waveform = FORM, *, running: bool = True) -> Sent | None:
    """One fault of twice the RMS in a block."""
    fault = WaveFault(kind=kind, begin_ns=BEGIN - S, end_ns=BEGIN, size=2.0, usual=1.0, pattern=1)
    return fault.disturbed(sent, form, rpm=RPM, running=running)


def test_golden_faults_of_a_sine() -> None:
    """By hand: a sine of amplitude 1.5 about 0.5."""
    wave = 0.5 + 1.5 * np.sin(2.0 * np.pi * 64.0 * np.arange(N) / RATE)
    sent = sent_of(wave.astype(np.float32))
    louder = put(WaveKind.LOUDER, sent)
    assert louder is not None
    np.testing.assert_allclose(louder.values, 0.5 + 3.0 * (wave - 0.5), atol=1e-5)
    dead = put(WaveKind.DEAD, sent)
    assert dead is not None
    assert np.ptp(dead.values) == 0.0
    clipped = put(WaveKind.CLIPPED, sent)
    assert clipped is not None
    np.testing.assert_allclose(clipped.values, np.clip(wave, -0.5, 1.5), atol=1e-5)
    assert not clipped.full.any(), "nobody knows where its scale ends"
    assert put(WaveKind.DROP_OUT, sent) is None
    assert sent.values[0] == 0.5, "the given block stays as it is"


def test_a_sensor_is_cut_off_where_its_scale_ends() -> None:
    """As stated, or as sixteen bits count; the gateway then keeps what is at least so large."""
    stated = msgspec.structs.replace(FORM, full_scale=2.0, unit="g")
    assert full_scale(stated) == pytest.approx(2.0 * 9.80665)
    counted = msgspec.structs.replace(FORM, encoding="int16", scale=0.001)
    assert full_scale(counted) == pytest.approx(32.767)
    sent = sent_of(np.sin(np.arange(N)).astype(np.float32))
    clipped = put(WaveKind.CLIPPED, sent, counted)
    assert clipped is not None
    assert clipped.full.sum() > 3
    assert np.abs(clipped.values).max() == pytest.approx(32.767)


def test_strikes_stand_in_the_envelope_at_the_bearings_rate() -> None:
    """3.2 a turn at 25 turns a second; features of the gateway find them, and no others."""
    assert strikes_hz(FORM, RPM) == pytest.approx(80.0)
    assert strikes_hz(FORM, math.nan) == pytest.approx(80.0), "the middle of its range"
    names = feature_names(FORM.spec)
    struck = put(WaveKind.IMPULSES, sent_of(noise(1)))
    assert struck is not None
    before, after = condition_features(np.stack([noise(1), struck.values]), spec=FORM.spec)
    rise = dict(zip(names, after - before, strict=True))
    assert rise["envelope_b_bpfo"] > 6.0, "dB"
    assert rise["envelope_b_bpfo"] > rise["envelope_b_bpfi"] + 4.0
    assert rise["kurtosis"] > 0.0


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(WaveKind), shift=st.integers(-3, 3), running=st.booleans())
def test_only_blocks_within_it_are_touched(kind: WaveKind, shift: int, running: bool) -> None:  # noqa: FBT001 - drawn
    """And what moves with the machine moves while it runs only."""
    sent = sent_of(noise(2), end_ns=BEGIN + shift * S // 2)
    found = put(kind, sent, running=running)
    inside = -2 < shift <= 0
    of_machine = kind in (WaveKind.LOUDER, WaveKind.IMPULSES)
    if not inside or (of_machine and not running):
        assert found is not None
        np.testing.assert_array_equal(found.values, sent.values)
    else:
        assert found is None or not np.array_equal(found.values, sent.values)
