"""A proof on a journal that a replay filled faster than its plant ran."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from edge.bundles.training import fit_bundle, journal_samples
from edge.configuration.config import load
from edge.errors import RecordingError
from edge.recordings.recording import TimedMessage, journal_messages
from edge.replays.backtest import Backtest
from simulator.cells.weld import simulate
from simulator.injections import InjectedKind, Injection
from simulator.stretch import copy_names, engine_of, read_stretch
from simulator.trials import FAULT_SAMPLES, all_trials, places, quiet, run_base, run_trials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.assessment.assess import Episode
    from simulator.stretch import Stretch

SECOND = 10**9


@pytest.fixture(scope="module")
def stretch(tmp_path_factory: pytest.TempPathFactory) -> Stretch:
    """Two hours of one robot at its own pace, without faults or work."""
    directory = tmp_path_factory.mktemp("replayed") / "cell"
    simulate(seed=5, robots=1, hours=2.0, faults=False, jobs=False).write(directory)
    settings = load(directory / "gateway.toml", environment={}).settings
    bundle = fit_bundle(journal_samples(directory / "training", settings=settings))
    messages = journal_messages(directory / "recording")
    return read_stretch(messages, settings, bundle, bundle.assets[0], hours=24.0)


def replayed(messages: Sequence[TimedMessage], *, speed: int) -> list[TimedMessage]:
    """What a gateway gets of a replay some weeks later; the payloads are as they were."""
    first_ns = messages[0].t_ns
    later_ns = first_ns + 30 * 86_400 * SECOND
    return [replace(one, t_ns=later_ns + (one.t_ns - first_ns) // speed) for one in messages]


def rang_as(episodes: Sequence[Episode], asset: str) -> list[tuple[str, int, int]]:
    """Track, begin and ring of what one asset had."""
    return [(e.track, e.begin_ns, e.rang_ns) for e in episodes if e.asset == asset]


@pytest.mark.parametrize("clock", ["plant", "wall"])
@pytest.mark.not_counted
def test_a_fast_replay_rings_as_the_plant_itself(stretch: Stretch, clock: str) -> None:
    """400 plant seconds in one of ours: many samples between two ticks, all of them heard."""
    at = places(stretch, quiet(stretch, run_base(stretch)))[2]
    fault = Injection(
        kind=InjectedKind.STEP,
        channel=0,
        begin_ns=int(stretch.t_ns[at]),
        end_ns=int(stretch.t_ns[at + FAULT_SAMPLES]),
        size=6.0 * float(stretch.model.sigma[0]),
    )
    settings = msgspec.structs.replace(stretch.settings, clock=clock)
    fast = read_stretch(
        replayed(stretch.messages, speed=400), settings, stretch.bundle, stretch.model, hours=24.0
    )
    heard = []
    for one in (stretch, fast):
        engine = engine_of(one, 2).engine
        backtest = Backtest(engine)
        backtest.run(one.copies([[fault], []], until_ns=fault.end_ns))
        assert not [name for name in engine.counts() if name.startswith("invalid_")]
        rang = rang_as(backtest.episodes(), copy_names(one.asset, 2)[0])
        heard.append([ring for ring in rang if ring[1] <= fault.end_ns])
    assert heard[0] == heard[1]
    assert any(fault.begin_ns <= rang_ns <= fault.end_ns for _, _, rang_ns in heard[1])


def test_hours_are_of_plant_time_on_the_plants_clock(stretch: Stretch) -> None:
    """Of two hours that came within 18 s the newest one is taken, and as it is at its own pace."""
    messages = replayed(stretch.messages, speed=400)
    taken = read_stretch(messages, stretch.settings, stretch.bundle, stretch.model, hours=1.0)
    assert stretch.settings.clock == "plant"
    assert taken.days * 24.0 == pytest.approx(1.0, abs=0.01)
    assert int(taken.t_ns[-1]) == int(stretch.t_ns[-1])
    alike = read_stretch(
        stretch.messages, stretch.settings, stretch.bundle, stretch.model, hours=1.0
    )
    assert np.array_equal(taken.t_ns, alike.t_ns)
    assert [len(block.t_ns) for block in taken.blocks] == [len(b.t_ns) for b in alike.blocks]
    assert np.array_equal(run_base(taken).scored, run_base(alike).scored)


def test_copies_that_are_not_heard_prove_nothing(stretch: Stretch) -> None:
    """One message with more than an engine takes: refused with the reason, no channel is blind."""
    long = replace(
        stretch.blocks[0],
        now_ns=max(block.now_ns for block in stretch.blocks),
        t_ns=np.concatenate([block.t_ns for block in stretch.blocks * 3]),
        values=np.concatenate([block.values for block in stretch.blocks * 3]),
    )
    trials = [one for one in all_trials(range(1), 0, 1) if one.sigmas == 6.0]
    with pytest.raises(RecordingError, match="invalid_oversize"):
        run_trials(
            replace(stretch, blocks=(long,)),
            run_base(stretch),
            trials,
            seed=1,
            told=lambda _done, _total: None,
        )
