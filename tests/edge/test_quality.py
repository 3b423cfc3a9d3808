"""Checks of sensors against a slow twin, under any cut; and each class by hand."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.batches import Batch
from edge.samples.looks import (
    ABSENT_SAMPLES_MAX,
    DISAGREES,
    DRIFT,
    MISSING,
    NOISE_HIGH,
    NOISE_LOW,
    STALE,
    STUCK,
    Bounds,
    WindowState,
    bounds_of,
    hop_of,
)
from edge.samples.quality import HealthState, check_health
from edge.samples.sensor_faults import DIRECTIONS
from models.bundles.bundle import Channel
from models.fitting.health import HOP, WINDOW, learn_health
from tests.oracles_sensors import Sensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.samples.looks import F64, Codes

CELL = st.sampled_from([1.0, 2.0, 9.0, math.nan])
LONGEST: Final = np.array([2, 3], np.int64)
CHANNELS: Final = tuple(Channel(name=f"c{i}", unit="bar") for i in range(4))
GROUP: Final = ((0, 1, 2),)


def batch(
    rows: Sequence[Sequence[float]] | NDArray[np.float64],
    running: Sequence[bool] | NDArray[np.bool_] | None = None,
    heard: Sequence[bool] | NDArray[np.bool_] | None = None,
) -> Batch:
    """Make a batch."""
    n = len(rows)
    return Batch(
        asset="a",
        t_ns=np.arange(n, dtype=np.int64),
        values=np.array(rows, np.float32).reshape(n, -1),
        running=np.ones(n, bool) if running is None else np.array(running, bool),
        heard=None if heard is None else np.array(heard, bool),
    )


def runs_only(stuck: NDArray[np.int64]) -> Bounds:
    """Bounds of an asset of which only runs are known."""
    none = np.full(len(stuck), np.nan)
    return bounds_of(None, stuck=stuck, usual=(none, none))


def codes_of(state: HealthState, part: Batch, bounds: Bounds) -> Codes:
    """What is wrong at each sample (n, c)."""
    found = check_health(state, part, bounds).codes
    return np.zeros(part.values.shape, np.uint8) if found is None else found


def named(codes: Codes) -> list[list[set[str]]]:
    """The same in words."""
    return [[{name for bit, name in DIRECTIONS if code & bit} for code in row] for row in codes]


@given(
    rows=st.lists(st.tuples(CELL, CELL, st.booleans(), st.booleans()), min_size=1, max_size=40),
    sizes=st.lists(st.integers(1, 8), max_size=40),
)
def test_runs_are_those_of_the_slow_twin_however_they_are_cut(
    rows: list[tuple[float, float, bool, bool]], sizes: list[int]
) -> None:
    """Counters go on over batches, gaps and stops."""
    bounds = runs_only(LONGEST)._replace(repeats=3)
    span = np.array([0.0, 1.5]), np.array([8.0, 99.0])
    twin = Sensors(bounds, (span[0].tolist(), span[1].tolist()), asset="a")
    expected = [twin.step(row[:2], counted=row[2] and row[3]) for row in rows]
    state = HealthState.empty(2)
    found: list[list[set[str]]] = []
    rest = rows
    for size in [*sizes, len(rows)]:
        part, rest = rest[:size], rest[size:]
        if part:
            values = [row[:2] for row in part]
            cut = batch(values, [row[2] for row in part], [row[3] for row in part])
            codes = check_health(state, cut, bounds, span=span).codes
            found += named(np.zeros((len(part), 2), np.uint8) if codes is None else codes)
    assert found == expected


def recorded(n: int, seed: int) -> NDArray[np.float64]:
    """Three channels that show one slow course, and one that shows another (n, 4)."""
    chance = np.random.default_rng(seed)
    course = np.cumsum(chance.normal(size=n)) * 0.02
    other = np.sin(np.arange(n) / 50.0)
    clean = np.stack([course, course + 0.3, course - 0.2, other], axis=1)
    return np.asarray(clean + chance.normal(size=(n, 4)) * [0.1, 0.1, 0.2, 0.05])


def learned(n: int = 3000, *, few: bool = False, period_ms: float = 1000.0) -> Bounds:
    """Bounds as a fit on a normal record gives them."""
    record = recorded(400 if few else n, 1)
    usual: tuple[F64, F64] = (record.min(axis=0), record.max(axis=0))
    health = learn_health(record, CHANNELS, usual=usual)
    return bounds_of(
        health,
        stuck=np.full(4, 60),
        usual=usual,
        redundant=GROUP,
        repeats_min=60,
        period_ns=round(period_ms * 1e6),
    )


@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=60),
    period_ms=st.sampled_from([1000.0, 20.0, 8.0]),
)
@settings(max_examples=25)
def test_looks_are_those_of_the_slow_twin_however_they_are_cut(
    seed: int, sizes: list[int], period_ms: float
) -> None:
    """Noise, drop-outs and drift with stops, gaps and faults of every kind at random."""
    chance = np.random.default_rng(seed)
    rows, bounds = recorded(700, seed), learned(period_ms=period_ms)
    for _ in range(int(chance.integers(1, 4))):
        where = slice(int(chance.integers(150, 600)), 700)
        j = int(chance.integers(4))
        kind = chance.integers(4)
        if kind == 0:
            rows[where, j] += chance.normal(scale=2.0, size=len(rows[where]))
        elif kind == 1:
            rows[where, j] = rows[where, j].mean() + 1e-3 * chance.normal(size=len(rows[where]))
        elif kind == 2:
            rows[where, j] += chance.choice([-4.0, 4.0])
        else:
            rows[where, j][chance.random(len(rows[where])) < 0.7] = np.nan
    running = np.repeat(chance.random(35) > 0.1, 20)
    twin = Sensors(bounds, ([-math.inf] * 4, [math.inf] * 4), asset="a")
    shown = rows.astype(np.float32)
    expected = [
        twin.step([float(v) for v in row], counted=bool(ran))
        for row, ran in zip(shown, running, strict=True)
    ]
    state, found, at = HealthState.empty(4), [], 0
    for size in [*sizes, 700]:
        end = min(at + size, 700)
        if end > at:
            found += named(codes_of(state, batch(rows[at:end], running[at:end]), bounds))
        at = end
    assert found == expected


@pytest.mark.parametrize("hop", [HOP, WINDOW])
def test_assets_that_begin_together_are_not_looked_at_together(hop: int) -> None:
    """Each of a thousand has its place among the samples between two looks, by its name."""
    begins = [WindowState.empty(1, 0, asset=f"m{i:03d}", hop=hop).samples for i in range(1_000)]
    share = Counter(begins)
    assert set(share) == {-n for n in range(0, hop, hop // 16)}
    assert max(share.values()) < 2 * 1_000 / len(share)


def test_looks_are_a_second_apart_or_as_far_as_no_sample_is_left_out() -> None:
    """Twice or four times as far as in a fit; with 40 samples a second or fewer as in a fit."""
    hz = [0.1, 1.0, 10.0, 32.0, 40.0, 50.0, 64.0, 80.0, 100.0, 125.0, 1000.0, 20_000.0]
    hops = [hop_of(round(1e9 / one)) for one in hz]
    assert hops == [32, 32, 32, 32, 32, 64, 64, 64, 128, 128, 128, 128]
    assert hop_of(31_000_000) == HOP, "32 Hz in whole milliseconds"


def test_a_state_from_before_goes_on_with_another_hop() -> None:
    """As after an upgrade, or a bundle of another rate: from the next multiple of it on."""
    rows = recorded(1200, 6)
    rows[500:, 1] += 4.0
    slow, fast, state = learned(), learned(period_ms=8.0), HealthState.empty(4)
    assert not codes_of(state, batch(rows[:490]), slow).any()
    assert state.windows is not None
    before = state.windows.samples
    begin = first(codes_of(state, batch(rows[490:]), fast), DRIFT, 1)
    assert (before + begin + 1) % WINDOW == 0
    assert begin <= 3 * WINDOW


def test_a_gap_neither_ends_nor_lengthens_a_run() -> None:
    """NaN says nothing about a value that stands still."""
    nan = math.nan
    rows = [[5.0], [nan], [nan], [5.0], [nan], [5.0], [6.0]]
    found = codes_of(HealthState.empty(1), batch(rows), runs_only(np.array([2])))
    assert (found[:, 0] & STUCK > 0).tolist() == [False] * 5 + [True, False]
    missing = [False, False, True, False, False, False, False]
    assert (found[:, 0] & MISSING > 0).tolist() == missing


def test_a_machine_that_stands_still_is_not_stuck() -> None:
    """Only running samples count, and the run goes on when it starts again."""
    running = [True, False, False, False, True, True]
    found = codes_of(HealthState.empty(1), batch([[5.0]] * 6, running), runs_only(np.array([2])))
    assert (found[:, 0] & STUCK > 0).tolist() == [False] * 5 + [True]


def test_a_silent_source_is_no_dead_sensor() -> None:
    """Grid times at which nothing at all was told are a gap of the source's, which comms tells."""
    rows = [[1.0, 2.0], *[[math.nan, math.nan]] * 20, [1.5, 2.5]]
    heard = [True, *[False] * 20, True]
    bounds = runs_only(np.array([5, 5]))
    assert not codes_of(HealthState.empty(2), batch(rows, None, heard), bounds).any()
    assert codes_of(HealthState.empty(2), batch(rows), bounds).any()


def test_the_first_value_ever_is_no_repetition() -> None:
    """A channel that begins is not compared with nothing."""
    state = HealthState.empty(1)
    check_health(state, batch([[math.nan], [1.0]]), runs_only(np.array([9])))
    assert state.equal.tolist() == [0]
    assert state.absent.tolist() == [0]


def test_a_channel_that_may_stand_still_for_ever_may_not_be_absent_for_ever() -> None:
    """A constant in training is never called stuck, but its dead sensor is called missing."""
    rows = [[5.0]] * 700 + [[math.nan]] * ABSENT_SAMPLES_MAX
    found = codes_of(HealthState.empty(1), batch(rows), runs_only(np.array([2**31 - 1])))[:, 0]
    assert not (found & STUCK).any()
    assert np.flatnonzero(found & MISSING).tolist() == [len(rows) - 1]


def test_every_value_that_repeats_is_a_source_that_stands_still() -> None:
    """All channels at once, so it is no sensor: called after as many samples as are unusual."""
    bounds = learned()
    assert bounds.repeats == 60
    rows = np.concatenate([recorded(50, 3), np.tile(recorded(50, 3)[-1], (70, 1))])
    found = codes_of(HealthState.empty(4), batch(rows), bounds)
    assert np.flatnonzero((found & STALE).all(axis=1)).tolist() == list(range(109, 120))


def first(found: Codes, bit: int, j: int) -> int:
    """The first sample at which a channel is called so; -1: never."""
    at = np.flatnonzero(found[:, j] & bit)
    return int(at[0]) if len(at) else -1


@pytest.mark.parametrize("period_ms", [1000.0, 8.0])
def test_noise_that_rises_or_falls_in_one_channel_is_its_sensor(period_ms: float) -> None:
    """Within a window and two looks, and the others keep their name."""
    bounds = learned(period_ms=period_ms)
    for factor, bit in ((5.0, NOISE_HIGH), (0.1, NOISE_LOW)):
        rows = recorded(1000, 5)
        other = np.sin(np.arange(1000) / 50.0)
        rows[500:, 3] = other[500:] + factor * (rows[500:, 3] - other[500:])
        found = codes_of(HealthState.empty(4), batch(rows), bounds)
        assert 500 < first(found, bit, 3) <= 500 + WINDOW + 2 * bounds.hop
        assert not found[:, :3].any()
        assert not found[:500].any()


def test_noise_of_most_channels_or_far_from_the_usual_level_is_the_process() -> None:
    """A machine that runs otherwise is no broken sensor."""
    bounds = learned()
    chance = np.random.default_rng(8)
    crowd = recorded(1000, 5)
    crowd[500:] += chance.normal(size=(500, 4))
    moved = recorded(1000, 5)
    moved[500:, 3] += 20.0 + chance.normal(size=500)
    for rows in (crowd, moved):
        found = codes_of(HealthState.empty(4), batch(rows), bounds)
        assert not (found & (NOISE_HIGH | NOISE_LOW)).any()


@pytest.mark.parametrize("period_ms", [1000.0, 8.0])
def test_of_three_that_measure_the_same_the_median_says_who_drifts(period_ms: float) -> None:
    """The one that goes away is named alone; what all do together is the process."""
    bounds = learned(period_ms=period_ms)
    drifts = recorded(1500, 6)
    drifts[500:, 1] += np.linspace(0.0, 3.0, 1000)
    found = codes_of(HealthState.empty(4), batch(drifts), bounds)
    assert 500 < first(found, DRIFT, 1) < 1400
    assert not found[:, [0, 2, 3]].any()
    together = recorded(1500, 6)
    together[500:, :3] += np.linspace(0.0, 30.0, 1000)[:, None]
    assert not codes_of(HealthState.empty(4), batch(together), bounds).any()


def test_of_two_that_measure_the_same_nobody_can_say_which() -> None:
    """Both are named, and neither is taken for a liar."""
    bounds = bounds_of(
        learned().usual,
        stuck=np.full(4, 60),
        usual=(np.full(4, -9.0), np.full(4, 9.0)),
        redundant=((0, 1),),
    )
    rows = recorded(1500, 6)
    rows[500:, 1] += 3.0
    found = codes_of(HealthState.empty(4), batch(rows), bounds)
    assert 0 < first(found, DISAGREES, 0) == first(found, DISAGREES, 1)
    assert not (found & DRIFT).any()
    assert not found[:, 2:].any()


def paired(redundant: Sequence[Sequence[int]]) -> Bounds:
    """What is learned of the same record where other channels are compared."""
    whole = learned()
    record = recorded(3000, 1)
    usual: tuple[F64, F64] = (record.min(axis=0), record.max(axis=0))
    return bounds_of(
        whole.usual, stuck=np.full(4, 60), usual=usual, redundant=redundant, repeats_min=60
    )


@pytest.mark.parametrize("after", [((0, 1, 2), (1, 3)), ((1, 2),), ((1, 2, 0),), ((0, 1, 3),)])
def test_who_drifts_goes_on_when_other_pairs_are_compared(after: Sequence[Sequence[int]]) -> None:
    """Another bundle takes over: not one sample between without a word on the channel."""
    rows = recorded(1600, 6)
    rows[500:, 1] += 4.0
    state = HealthState.empty(4)
    before = codes_of(state, batch(rows[:1005]), learned())
    assert before[-1, 1] == DRIFT
    found = codes_of(state, batch(rows[1005:]), paired(after))
    assert (found[:, 1] & (DRIFT | DISAGREES)).all()


def test_pairs_that_agree_are_not_called_apart_when_others_are_compared() -> None:
    """And one that was about to be called out is, at its second look, as without a change."""
    calm = recorded(1200, 6)
    state = HealthState.empty(4)
    assert not codes_of(state, batch(calm[:605]), learned()).any()
    assert not codes_of(state, batch(calm[605:]), paired(((0, 1),))).any()
    rows = recorded(1200, 6)
    rows[500:, 1] += 4.0
    whole, twice = HealthState.empty(4), HealthState.empty(4)
    expected = codes_of(whole, batch(rows), learned())
    begin = first(expected, DRIFT | DISAGREES, 1)
    cut = begin - HOP // 2  # between the two looks that call it out
    found = codes_of(twice, batch(rows[:cut]), learned())
    assert not found.any()
    found = codes_of(twice, batch(rows[cut:]), paired(((0, 1, 2), (1, 3))))
    assert first(found, DRIFT | DISAGREES, 1) == begin - cut


def test_a_drift_is_over_after_as_many_looks_as_began_it() -> None:
    """A sensor that was mended: two looks in a row that agree, and none that knows nothing."""
    rows = recorded(2400, 6)
    rows[500:1005, 1] += 4.0
    bounds = learned()
    found = codes_of(HealthState.empty(4), batch(rows), bounds)
    begun, held = first(found, DRIFT, 1), np.flatnonzero(found[:, 1] & DRIFT)
    assert held[-1] + 1 - 1005 >= begun - 500 - HOP, "looks are HOP samples apart"
    assert held.tolist() == list(range(begun, int(held[-1]) + 1)), "without a gap"
    gone = rows.copy()
    gone[700:900, 1] = math.nan  # unplugged, and back as wrong as before
    found = codes_of(HealthState.empty(4), batch(gone), bounds)
    assert (found[begun:1005, 1] & (DRIFT | MISSING)).all()
    back = 900 + int(np.argmax(found[900:, 1] & DRIFT > 0))
    assert back - 900 <= 2 * HOP, "the first look that knows both says so again"
