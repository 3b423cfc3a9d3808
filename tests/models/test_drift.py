"""Drift: silent on streams that only depend on their past, heard when they move, never forgotten.

A two-sample test that counts samples stands beside it, to show why it is not used.
"""

from __future__ import annotations

import csv
import itertools
import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.signal import lfilter

from edge.storage.checkpoint import pack, unpack
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.detector import detector_of
from models.fitting.drift import (
    BLOCKS_MIN,
    FAR_SIGMAS,
    HELD_MAX,
    HORIZON_BLOCKS,
    LEVELS,
    TERMS,
    DriftReference,
    DriftState,
    deviations,
    learn_drift,
    long_run_of,
)
from models.fitting.drift_live import HOLD_BLOCKS, Reach, add_held, count_samples
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples
from tests.models.plants import fitted, plant, samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundles.bundle import AssetFit

    F64 = NDArray[np.float64]

S: Final = 10**9
STREAMS: Final = 200
ROWS: Final = 4000
CHANNELS: Final = 3
NOMINAL: Final = 2.0  # -log10 of 1 %
FOUND_WITHIN_BLOCKS: Final = 40


def stream(memory: float, rows: int, *, seed: int, c: int = CHANNELS) -> F64:
    """A stationary AR(1) of independent channels, of mean 0 and deviation 1 (rows, c)."""
    noise = np.random.default_rng(seed).normal(size=(rows, c)) * math.sqrt(1.0 - memory**2)
    noise[0] /= math.sqrt(1.0 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], noise, axis=0))


def surprise(z: F64) -> F64:
    """A score (n,): of the channel that is furthest off."""
    tail = 2.0 * stats.norm.sf(np.nanmax(np.abs(z), axis=1))
    return np.asarray(-np.log10(np.maximum(tail, 1e-30)))


def learned(z: F64, *, wanders: NDArray[np.bool_] | None = None) -> DriftReference:
    """What a record in deviations (n, c) shows."""
    c = z.shape[1]
    found = learn_drift(
        z,
        surprise(z),
        center=np.zeros(c),
        sigma=np.ones(c),
        wanders=wanders,
        period_ns=S,
    )
    assert found is not None
    return found


def counted(reference: DriftReference, z: F64, state: DriftState | None = None) -> DriftState:
    """All samples of a stream in deviations, a second each."""
    state = state or DriftState.empty(reference)
    t_ns = np.arange(len(z), dtype=np.int64) * S
    count_samples(state, reference, t_ns=t_ns, scores=surprise(z), values=z)
    return state


@pytest.mark.parametrize(("memory", "plain_fires"), [(0.0, 0.03), (0.9, 0.8), (0.99, 0.95)])
@pytest.mark.not_counted
def test_a_stream_that_depends_on_its_past_does_not_drift(
    memory: float, plain_fires: float
) -> None:
    """At a nominal 1 %, fewer than 3 % of 200 streams; counting samples, nearly all."""
    scores, channels, said, plain = 0, 0, 0, 0
    for seed in range(STREAMS):
        z = stream(memory, 2 * ROWS, seed=seed)
        before, after = z[:ROWS], z[ROWS:]
        state = counted(learned(before), after)
        scores += bool(state.score[:LEVELS].max() >= NOMINAL)
        channels += bool(state.score[LEVELS:].max() >= NOMINAL)
        said += bool(state.drifts.any())
        tests = (stats.ks_2samp(before[:, j], after[:, j]).pvalue for j in range(CHANNELS))
        plain += bool(min(tests) * CHANNELS < 0.01)
    assert max(scores, channels) < 0.03 * STREAMS
    assert said <= 0.01 * STREAMS, "what is said takes more than one look"
    if memory:
        assert plain > plain_fires * STREAMS, "a test that counts samples does not suit streams"
    else:
        assert plain < plain_fires * STREAMS, "it is right where samples are independent"


@pytest.mark.parametrize(("memory", "rows", "share"), [(0.0, 4000, 1.0), (0.9, 16000, 0.95)])
def test_half_a_deviation_that_lasts_is_found(memory: float, rows: int, share: float) -> None:
    """Within forty blocks, in the channel and no other, and since when it is told."""
    found, late = 0, []
    for seed in range(40):
        z = stream(memory, 2 * rows, seed=seed)
        reference = learned(z[:rows])
        size = reference.block_samples
        live = z[rows : rows + FOUND_WITHIN_BLOCKS * size].copy()
        live[:, 1] -= 0.5
        state = counted(reference, live)
        found += bool(state.drifts[LEVELS + 1])
        assert not state.drifts[LEVELS + np.array([0, 2])].any()
        if state.drifts[LEVELS + 1]:
            assert -0.8 < state.shift[LEVELS + 1] < -0.2
            late.append(state.since_ns[LEVELS + 1] / S / size)
    assert found >= share * 40
    assert np.median(late) <= 2.0


def test_since_when_is_when_it_moved() -> None:
    """A step after thirty quiet blocks is dated to within a few blocks of itself."""
    z = stream(0.5, 3 * ROWS, seed=5)
    reference = learned(z[:ROWS])
    live = z[ROWS:].copy()
    step = 30 * reference.block_samples
    live[step:, 0] += 1.0
    state = counted(reference, live)
    assert state.drifts[LEVELS]
    assert abs(state.since_ns[LEVELS] / S - step) <= 3 * reference.block_samples


def test_a_fault_that_stays_never_becomes_normal() -> None:
    """Over five horizons, once it drifts it drifts at every look, since the same time."""
    z = stream(0.5, 2 * ROWS, seed=6)
    reference = learned(z[:ROWS])
    rows = 5 * HORIZON_BLOCKS * reference.block_samples
    live = stream(0.5, rows, seed=7) + np.array([0.6, 0.0, 0.0])
    state = DriftState.empty(reference)
    said, since = [], set()
    for at in range(0, rows, reference.block_samples):
        counted(reference, live[at : at + reference.block_samples], state)
        said.append(bool(state.drifts[LEVELS]))
        since |= {int(state.since_ns[LEVELS])} if said[-1] else set()
    first = said.index(True)
    assert first <= BLOCKS_MIN + HOLD_BLOCKS
    assert all(said[first:])
    assert len(since) == 1
    back = counted(reference, stream(0.5, rows // 2, seed=8), state)
    assert not back.drifts.any(), "what has really gone back is not drift for ever"


def test_what_is_not_known_takes_nothing_back() -> None:
    """A channel that drifted and is missing since still drifts; the others are judged on."""
    reference = learned(stream(0.5, ROWS, seed=9))
    live = stream(0.5, 2 * ROWS, seed=10) + np.array([0.8, 0.0, 0.0])
    live[ROWS:, 0] = np.nan
    state = counted(reference, live)
    assert state.drifts[LEVELS]
    assert np.isfinite(state.score[LEVELS + 1 : LEVELS + CHANNELS]).all()
    counted(reference, live[ROWS:], state)
    counted(reference, live[ROWS:], state)
    assert np.isnan(state.score[LEVELS])
    assert state.drifts[LEVELS]


def test_more_high_scores_are_drift_and_fewer_are_not() -> None:
    """Twice the surprise is told of; a detector with less to wonder at is no trouble."""
    z = stream(0.5, ROWS, seed=11)
    reference = learned(z)
    louder, calmer = (
        counted(reference, times * stream(0.5, ROWS, seed=12)) for times in (1.5, 0.6)
    )
    assert louder.drifts[:LEVELS].any()
    assert not calmer.drifts[:LEVELS].any()
    assert calmer.score[:LEVELS].max() >= NOMINAL, "it is seen, and not said"
    for state in louder, calmer:
        assert state.drifts[LEVELS + CHANNELS :].all(), "the spread of each channel has changed"
        assert not state.drifts[LEVELS : LEVELS + CHANNELS].any()


def test_what_stands_still_or_wanders_is_not_judged() -> None:
    """It has no level that could drift; too short a record says nothing of any."""
    z = stream(0.5, ROWS, seed=13)
    z[:, 0] = 0.0
    reference = learned(z, wanders=np.array([False, True, False]))
    state = counted(reference, stream(0.5, ROWS, seed=14) + 5.0)
    judged = np.isfinite(state.score[LEVELS:]).reshape(2, CHANNELS)
    assert (judged == [False, False, True]).all()
    short, one = z[:150, 2:], np.ones(1)
    found = learn_drift(
        short, surprise(short), center=0 * one, sigma=one, wanders=None, period_ns=S
    )
    assert found is None


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(BLOCKS_MIN + 1, 80))
def test_the_variance_is_that_of_slow_movement(seed: int, k: int) -> None:
    """Against the definition, a sum at a time; a missing block brings nothing and is stood for."""
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(k, 2)).cumsum(axis=0)
    x[chance.integers(0, k), 1] = np.nan
    mean, variance, count = long_run_of(x)
    for j in range(2):
        known = [float(v) for v in x[:, j] if not math.isnan(v)]
        usual = sum(known) / len(known)
        terms = min(TERMS, k // 3)
        total = 0.0
        for term in range(1, terms + 1):
            off = (
                0.0 if math.isnan(v) else (v - usual) * math.cos(math.pi * term * (i + 0.5) / k)
                for i, v in enumerate(x[:, j])
            )
            total += 2.0 / k * sum(off) ** 2
        assert mean[j] == pytest.approx(usual)
        assert count[j] == len(known)
        assert variance[j] == pytest.approx(total / terms * k / len(known))


def test_the_variance_of_known_streams() -> None:
    """Of an AR(1), that of a mean: (1 + memory) / (1 - memory) samples stand for one."""
    for memory in (0.0, 0.9, 0.99):
        found = [
            float(reference.long_run[LEVELS] * reference.block_samples)
            for reference in (learned(stream(memory, 16000, seed=s, c=1)) for s in range(60))
        ]
        assert np.mean(found) == pytest.approx((1 + memory) / (1 - memory), rel=0.25)


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 1999), max_size=12))
@pytest.mark.not_counted
def test_the_cut_of_the_stream_makes_no_difference(seed: int, cuts: list[int]) -> None:
    """To the bit, through packed state too, holes included."""
    reference = learned(stream(0.5, 600, seed=1))
    z = stream(0.5, 2000, seed=seed)
    z[np.random.default_rng(seed).random(z.shape) < 0.02] = np.nan
    z[:, 0] = np.nan_to_num(z[:, 0])
    t_ns = np.arange(len(z), dtype=np.int64) * S
    whole = DriftState.empty(reference)
    count_samples(whole, reference, t_ns=t_ns, scores=surprise(z), values=z)
    state = DriftState.empty(reference)
    edges = [0, *sorted(set(cuts)), len(z)]
    for a, b in itertools.pairwise(edges):
        count_samples(state, reference, t_ns=t_ns[a:b], scores=surprise(z)[a:b], values=z[a:b])
        state = unpack(pack(state), DriftState)
    assert pack(state) == pack(whole)


@given(
    seed=st.integers(0, 1_000),
    k=st.integers(1, 5),
    n=st.integers(1, HELD_MAX),
    c=st.integers(1, 9),
    share=st.sampled_from([0.0, 0.3]),
)
def test_sums_are_those_of_one_sample_after_the_other(
    seed: int, k: int, n: int, c: int, share: float
) -> None:
    """To the bit, however many streams are summed up together, with gaps and far values."""
    chance = np.random.default_rng(seed)
    held = (chance.normal(size=(k, n, 1 + c)) * chance.choice([1.0, 30.0])).astype(np.float32)
    held[:, :, 1:][chance.random((k, n, c)) < share] = np.nan
    sums, known = chance.normal(size=(k, LEVELS + 2 * c)), chance.integers(0, 9, (k, 2 * c))
    center, sigma = chance.normal(size=(k, c)), chance.uniform(0.1, 2.0, (k, c))
    reach = Reach(center, sigma, chance.normal(size=(k, LEVELS)))
    found, counted = add_held(held, sums, known, reach)
    for i in range(k):
        total, of = sums[i].tolist(), known[i].tolist()
        for row in held[i].tolist():
            there = [not math.isnan(value) for value in row[1:]]
            z = [(row[1 + j] - center[i, j]) / sigma[i, j] if there[j] else 0.0 for j in range(c)]
            z = [min(max(one, -FAR_SIGMAS), FAR_SIGMAS) for one in z]
            parts = [*(float(row[0] > level) for level in reach.levels[i]), *z, *map(abs, z)]
            total = [one + part for one, part in zip(total, parts, strict=True)]
            of = [one + known for one, known in zip(of, there * 2, strict=True)]
        assert found[i].tolist() == total
        assert counted[i].tolist() == of


def test_memory_is_bounded() -> None:
    """After ten horizons it keeps what it kept after one."""
    reference = learned(stream(0.5, 600, seed=1))
    state = counted(reference, stream(0.5, HORIZON_BLOCKS * reference.block_samples, seed=2))
    size = len(pack(state))
    for seed in range(10):
        counted(reference, stream(0.5, 1000, seed=seed), state)
    assert len(state.blocks) == HORIZON_BLOCKS
    assert abs(len(pack(state)) - size) < 64


def test_a_fit_learns_it_and_another_has_another_mark() -> None:
    """Each channel and level has its usual; state of another fit does not fit."""
    one, other = fitted(4000, seed=1).drift, fitted(4000, seed=2).drift
    assert one is not None
    assert other is not None
    assert one.mean.shape == (LEVELS + 2 * 4,)
    assert np.isfinite(one.long_run).all()
    assert one.mean[:LEVELS] == pytest.approx([0.5, 0.1, 0.01], abs=0.02)
    assert one.mark != other.mark
    again = msgspec.structs.replace(one, levels=one.levels.copy())
    assert one.mark == again.mark


def test_rows_that_were_not_seen_score_as_usual() -> None:
    """What the detector gives new rows of the same plant is no drift from cross-fitted scores."""
    values = plant(12000, seed=3)
    fit = fit_asset(samples(values[:6000]), FitOptions(alignment="rows"))
    state = _in_service(fit, values[6000:])
    assert not state.drifts.any()
    assert state.score[:LEVELS].max() < 3.0


def _in_service(fit: AssetFit, values: F64) -> DriftState:
    """A fitted asset's own detector over values (n, c), and what it says of drift."""
    bundle = make_bundle([fit])
    model = bundle.assets[0]
    assert model.drift is not None
    detector = detector_of(bundle.only.graph)
    x = values.astype(np.float32)
    scores, _ = detector.score(
        x[None], np.isfinite(x)[None], detector.initial_state(1), bundle.only.parameters
    )
    ready = np.isfinite(scores[0])
    state = DriftState.empty(model.drift)
    count_samples(
        state,
        model.drift,
        t_ns=(np.arange(len(x), dtype=np.int64) * S)[ready],
        scores=scores[0, ready].astype(np.float64),
        values=x[ready],
    )
    return state


def _rig(data_dir: Path) -> F64:
    """SKAB's rig without faults, a row a second (n, 8)."""
    path = data_dir / "skab" / "anomaly-free" / "anomaly-free.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter=";"))
    return np.array([[float(value) for value in row[1:]] for row in rows[1:]])


def _fit_rig(values: F64) -> AssetFit:
    channels = tuple(Channel(name=f"c{i}") for i in range(values.shape[1]))
    one = TrainingSamples(asset="rig", channels=channels, values=values, period_ns=S)
    return fit_asset(one, FitOptions(alignment="rows"))


def test_a_real_rig_does_not_drift_and_is_heard_when_it_does(data_dir: Path) -> None:
    """The second half of a record of hours, by a fit of the first; then with a moved pressure."""
    values = _rig(data_dir)
    half = len(values) // 2
    fit = _fit_rig(values[:half])
    state = _in_service(fit, values[half:])
    assert not state.drifts.any()
    assert np.isfinite(state.score[LEVELS:]).sum() >= 2 * 3, "three channels do not wander"
    moved = values[half:].copy()
    moved[:, 3] += 0.5 * fit.running.sigma[3]
    assert _in_service(fit, moved).drifts[LEVELS + 3]


def test_stretches_of_one_real_record_are_alike(data_dir: Path) -> None:
    """Ten minutes for one side and ten for the other, by turns, wandering channels too.

    Most channels of such sides are not the same by a test that counts samples.
    """
    values = _rig(data_dir)
    turns = (np.arange(len(values)) // 600) % 2
    one, other = values[turns == 0], values[turns == 1]
    center, sigma = one.mean(axis=0), one.std(axis=0)
    z, live = deviations(one, center, sigma), deviations(other, center, sigma)
    state = counted(learned(z), live)
    assert state.score.max() < NOMINAL
    plain = [stats.ks_2samp(z[:, j], live[:, j]).pvalue for j in range(z.shape[1])]
    assert sum(p < 1e-6 for p in plain) >= z.shape[1] / 2
