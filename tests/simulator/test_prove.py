"""What would ring on a simulated robot, told by trials on a copy of its journal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

import andon
from edge.assessment.assess import Episode
from edge.bundles.training import fit_bundle, journal_samples
from edge.configuration.config import load
from edge.errors import RecordingError
from edge.recordings.recording import TimedMessage, journal_messages
from edge.records import MessageReceived
from edge.replays.backtest import Backtest
from edge.wire.readings import decode_readings, encode_rows
from models.bundles.store import load as load_bundle
from models.bundles.store import save as save_bundle
from simulator.cells.weld import simulate
from simulator.injections import InjectedKind, Injection
from simulator.stretch import copy_names, engine_of, read_stretch
from simulator.trials import (
    FAULT_SAMPLES,
    RUNNING_MIN,
    SETTLE_SAMPLES,
    Trial,
    all_trials,
    judge,
    places,
    quiet,
    run_base,
    run_trials,
)

if TYPE_CHECKING:
    from pathlib import Path

    from simulator.stretch import Stretch

LEFT_OUT = "TCP Deviation"
SECOND = 10**9


@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot's directory, what `andon prove` said of it, and its journal's hash before that."""

    directory: Path
    code: int
    proof: dict[str, Any]
    before: dict[str, str]


def hashes(directory: Path) -> dict[str, str]:
    """Of every file of a journal."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(directory.iterdir())
    }


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Robot:
    """Two hours of one robot without faults or work, and a bundle that leaves a channel out."""
    directory = tmp_path_factory.mktemp("prove") / "cell"
    simulate(seed=5, robots=1, hours=2.0, faults=False, jobs=False).write(directory)
    (directory / "journal").mkdir()
    (directory / "recording").rename(directory / "journal" / "journal")
    config = load(directory / "gateway.toml", environment={})
    ((samples, alignment),) = journal_samples(directory / "training", settings=config.settings)
    keep = [i for i, channel in enumerate(samples.channels) if channel.name != LEFT_OUT]
    fitted = replace(
        samples,
        channels=tuple(samples.channels[i] for i in keep),
        values=samples.values[:, keep],
    )
    save_bundle(fit_bundle([(fitted, alignment)]), directory / "bundle")
    before = hashes(directory / "journal" / "journal")
    done = CliRunner().invoke(
        andon.app,
        [
            "prove",
            str(directory / "gateway.toml"),
            *("--trials", "1", "--json", "--html", str(directory / "report.html")),
        ],
    )
    assert done.exit_code in (0, 1), (done.output, done.exception)
    return Robot(
        directory=directory, code=done.exit_code, proof=json.loads(done.stdout), before=before
    )


@pytest.fixture(scope="module")
def stretch(robot: Robot) -> Stretch:
    """The same two hours in memory."""
    config = load(robot.directory / "gateway.toml", environment={})
    bundle = load_bundle(robot.directory / "bundle")
    messages = journal_messages(robot.directory / "journal" / "journal")
    return read_stretch(messages, config.settings, bundle, bundle.assets[0], hours=24.0)


@pytest.mark.not_counted
def test_six_sigmas_ring_on_every_scored_channel(robot: Robot) -> None:
    """Steps of six sigmas are what nobody may miss; drop-outs are told of sensors."""
    (asset,) = robot.proof["assets"]
    scored = [one for one in asset["channels"] if one["channel"] != LEFT_OUT]
    assert len(scored) == 7
    for one in scored:
        kinds = {kind["kind"]: kind for kind in one["kinds"]}
        assert not one["blind"]
        assert kinds["step"]["sizes_sigma"][-1] == 6.0
        assert kinds["step"]["rang"][-1] == kinds["step"]["trials"][-1] == 1
        assert kinds["step"]["found_size"] == pytest.approx(
            kinds["step"]["found_sigma"] * one["sigma"]
        )
        assert 0.0 <= kinds["step"]["delay_median_s"] <= asset["fault_s"]
        assert kinds["drop_out"]["rang_as"].startswith("sensor")


def test_a_channel_that_is_not_scored_is_blind(robot: Robot) -> None:
    """It sends numbers, and nothing hears them: exit code 1."""
    (asset,) = robot.proof["assets"]
    assert [one["channel"] for one in asset["channels"] if one["blind"]] == [LEFT_OUT]
    assert robot.code == 1
    assert not robot.proof["passed"]


def test_the_journal_is_as_it_was(robot: Robot) -> None:
    """No file was changed, added or taken away."""
    assert hashes(robot.directory / "journal" / "journal") == robot.before


def test_the_stretch_is_told(robot: Robot) -> None:
    """Two hours at one sample a second, every one in a state, and the budget of one asset."""
    (asset,) = robot.proof["assets"]
    assert asset["samples"] == sum(asset["states"].values()) == 7200
    assert asset["hours"] == 2.0
    assert len(asset["days_seen"]) == 1
    assert sum(asset["context"]["run_state"].values()) == 7200
    assert asset["values_refused"] == {"unknown_tag": 7200}
    assert asset["rate"]["budget_per_day"] == 6.0
    assert asset["trials"] + asset["trials_void"] + asset["trials_unplaced"] == 7 * 14
    report = (robot.directory / "report.html").read_text(encoding="utf-8")
    assert report.count("<svg") == 7
    assert LEFT_OUT in report


@pytest.mark.not_counted
def test_copies_without_faults_ring_as_the_stretch_itself(stretch: Stretch) -> None:
    """Joining messages and running side by side changes nothing."""
    alone = run_base(stretch).episodes
    backtest = Backtest(engine_of(stretch, 3).engine)
    backtest.run(stretch.copies([[], [], []], until_ns=int(stretch.t_ns[-1])))
    for name in copy_names(stretch.asset, 3):
        mine = [one for one in backtest.episodes() if one.asset == name]
        assert [(e.track, e.begin_ns, e.rang_ns, e.ended_ns) for e in mine] == [
            (e.track, e.begin_ns, e.rang_ns, e.ended_ns) for e in alone
        ]


@pytest.mark.not_counted
def test_tags_that_come_alone_ring_in_copies_as_they_are(stretch: Stretch) -> None:
    """One value a message, onto a grid, some late, one tag silent for a while; a step in them."""
    cell = simulate(seed=6, robots=1, hours=0.5, faults=False, jobs=False)
    tags = [channel.name for channel in cell.channels] + list(cell.context_tags)
    rows = np.hstack([cell.values["r1"], cell.context["r1"]])
    rows[900:1100, 0] += 8.0 * float(stretch.model.sigma[0])
    rows[1300:1600, 2] = np.nan
    messages = [
        TimedMessage(t_ns=t_ns + (k % 3) * 10**8, topic="plant/r1", payload=payload)
        for t_ns, row in zip(cell.t_ns.tolist(), rows.tolist(), strict=True)
        for k, payload in enumerate(encode_rows(tags, [t_ns], [row], shape="single"))
    ]
    messages.sort(key=lambda message: message.t_ns)
    model = msgspec.structs.replace(stretch.model, alignment="grid")
    bundle = replace(stretch.bundle, assets=(model,))
    alone = read_stretch(messages, stretch.settings, bundle, model, hours=24.0)
    assert len(alone.t_ns) == cell.rows
    episodes = run_base(alone).episodes
    assert {one.track for one in episodes} == {"process", "sensor"}
    backtest = Backtest(engine_of(alone, 2).engine)
    backtest.run(alone.copies([[], []], until_ns=int(alone.t_ns[-1])))
    for name in copy_names(alone.asset, 2):
        mine = [one for one in backtest.episodes() if one.asset == name]
        assert [(e.track, e.begin_ns, e.rang_ns) for e in mine] == [
            (e.track, e.begin_ns, e.rang_ns) for e in episodes
        ]


def test_a_drop_out_of_a_tag_that_comes_alone_is_silence(stretch: Stretch) -> None:
    """No message with nothing in it is sent."""
    t_ns = np.arange(40, dtype=np.int64) * SECOND + 40 * SECOND
    name = stretch.model.channels[1].name
    messages = [
        TimedMessage(t_ns=int(t), topic="plant/r1", payload=payload)
        for t in t_ns
        for payload in encode_rows([name], [int(t)], [[1.0]], shape="single")
    ]
    one = read_stretch(messages, stretch.settings, stretch.bundle, stretch.model, hours=1.0)
    fault = Injection(
        kind=InjectedKind.DROP_OUT, channel=1, begin_ns=45 * SECOND, end_ns=60 * SECOND
    )
    sent = [
        decode_readings(stimulus.payload, topic=stimulus.topic, asset="x", received_ns=0)[0]
        for _, stimulus in one.copies([[fault]], until_ns=10**12)
        if isinstance(stimulus, MessageReceived)
    ]
    times = np.concatenate([readings.t_ns for readings in sent]) // SECOND
    assert times.tolist() == [*range(40, 45), *range(60, 80)]


def test_a_fault_in_one_copy_is_not_heard_in_another(stretch: Stretch) -> None:
    """Each copy is a plant of its own."""
    base = run_base(stretch)
    at = places(stretch, quiet(stretch, base))[1]
    fault = Injection(
        kind=InjectedKind.STEP,
        channel=0,
        begin_ns=int(stretch.t_ns[at]),
        end_ns=int(stretch.t_ns[at + FAULT_SAMPLES]),
        size=6.0 * float(stretch.model.sigma[0]),
    )
    backtest = Backtest(engine_of(stretch, 2).engine)
    backtest.run(stretch.copies([[fault], []], until_ns=fault.end_ns))
    broken, sound = copy_names(stretch.asset, 2)
    inside = {one.asset for one in backtest.episodes() if one.rang_ns >= fault.begin_ns}
    assert broken in inside
    assert sound not in inside


@pytest.mark.not_counted
def test_the_same_seed_gives_the_same_trials(stretch: Stretch) -> None:
    """Times and signs are drawn by it; another one draws others."""
    base = run_base(stretch)
    trials = [one for one in all_trials(range(2), 0, 1) if one.sigmas in (0.0, 2.0)]

    def ran(seed: int) -> object:
        return run_trials(stretch, base, trials, seed=seed, told=lambda _done, _total: None)

    first = ran(3)
    assert str(first) == str(ran(3))
    assert str(first) != str(ran(4))


@pytest.mark.not_counted
def test_places_are_quiet_running_and_apart(stretch: Stretch) -> None:
    """Told by a loop over every sample."""
    calm = quiet(stretch, run_base(stretch))
    found = places(stretch, calm, first=17)
    assert found
    assert found[0] >= 17
    for i in found:
        inside = range(i, i + FAULT_SAMPLES)
        assert all(calm[k] for k in inside)
        assert sum(bool(stretch.running[k]) for k in inside) >= RUNNING_MIN * FAULT_SAMPLES
    assert min(np.diff(found), default=10**9) >= FAULT_SAMPLES + SETTLE_SAMPLES


def test_what_rang_before_makes_a_trial_void(stretch: Stretch) -> None:
    """An alert that stands says nothing of the fault, unless it always stands."""
    trial = Trial(channel=0, kind=InjectedKind.STEP, sigmas=6.0, number=0)
    fault = Injection(kind=InjectedKind.STEP, channel=0, begin_ns=100 * SECOND, end_ns=200 * SECOND)

    def episode(opened_s: int, ended_s: int, track: str = "process") -> Episode:
        name = stretch.model.channels[0].name
        return Episode(
            alert_id="a",
            count=1,
            asset="r1-0",
            track=track,
            begin_ns=opened_s * SECOND,
            opened_ns=opened_s * SECOND,
            rang_ns=opened_s * SECOND,
            ended_ns=ended_s * SECOND,
            klass="process anomaly",
            top_channel=name,
        )

    def judged(*episodes: Episode, stood: tuple[str, ...] = ()) -> float | None:
        outcome = judge(trial, fault, episodes, stretch=stretch, stood=frozenset(stood))
        return None if outcome is None else outcome.delay_s

    assert judged(episode(90, 110)) is None
    assert judged(episode(90, 0)) is None
    assert judged(episode(90, 99), episode(130, 0)) == 30.0
    assert judged(episode(10, 0, "sensor"), episode(130, 0), stood=("sensor",)) == 30.0
    assert np.isnan(judged(episode(201, 0)) or 0.0)
    assert np.isnan(judged() or 0.0)


@pytest.mark.not_counted
def test_a_channel_without_values_finds_no_place(stretch: Stretch) -> None:
    """Nothing is tried on it, and that is told."""
    values = stretch.values.copy()
    values[:, 0] = np.nan
    silent = replace(stretch, values=values)
    trials = [one for one in all_trials(range(1), 0, 1) if one.sigmas == 6.0]
    base = run_base(stretch)
    tried = run_trials(silent, base, trials, seed=1, told=lambda _done, _total: None)
    assert set(tried.unplaced) == set(trials)
    assert not tried.outcomes


def refused(robot: Robot, *arguments: str) -> str:
    """What it says where there is nothing to prove."""
    gateway = str(robot.directory / "gateway.toml")
    done = CliRunner().invoke(andon.app, ["prove", gateway, *arguments])
    assert isinstance(done.exception, RecordingError), (done.output, done.exception)
    return str(done.exception)


def test_what_cannot_be_proved_is_refused(robot: Robot) -> None:
    """Without a journal, an asset or enough running hours it says what is missing."""
    assert "no asset 'r9'" in refused(robot, "--asset", "r9")
    assert "places for a fault" in refused(robot, "--hours", "0.3")
    own = robot.directory / "journal" / "journal"
    own.rename(robot.directory / "moved")
    try:
        assert "no journal" in refused(robot)
    finally:
        (robot.directory / "moved").rename(own)
    both = ["--journal", str(own), "--recording", str(own)]
    gateway = str(robot.directory / "gateway.toml")
    assert CliRunner().invoke(andon.app, ["prove", gateway, *both]).exit_code == 2


def test_a_table_is_read_with_its_mapping(robot: Robot, stretch: Stretch, tmp_path: Path) -> None:
    """Its rows are the samples, its context tells running: a short one has as few places."""
    names = [channel.name for channel in stretch.model.channels]
    rows = zip(stretch.t_ns[:600], stretch.values[:600], stretch.running[:600], strict=True)
    table = tmp_path / "shift.csv"
    table.write_text(
        "\n".join(
            [
                f"time,{','.join(names)},run",
                *(
                    f"{t // 10**6},{','.join(map(str, row.tolist()))},{int(ran)}"
                    for t, row, ran in rows
                ),
            ]
        )
    )
    mapping = tmp_path / "shift.toml"
    channels = "\n".join(f'"{name}" = {{}}' for name in names)
    mapping.write_text(
        'asset = "r1"\n[time]\ncolumn = "time"\nformat = "epoch_ms"\n'
        f'[channels]\n{channels}\n[context]\nrun = {{ role = "run", running = [1] }}\n'
    )
    said = refused(robot, "--recording", str(table), "--mapping", str(mapping))
    ran = f"{stretch.running[:600].mean():.0%} running"
    assert said.startswith(f"r1: {600 / 3600:.3g} h with 0 places")
    assert ran in said
    assert "--mapping is for a table" in refused(robot, "--mapping", str(mapping))
