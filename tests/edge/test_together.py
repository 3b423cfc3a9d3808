"""Assets taken together: not a bit differs from one by one, whatever happens to whom."""

from __future__ import annotations

import os
import zlib
from typing import Any

import numpy as np
import pytest

from benchmarks.many_assets import bundle_of
from benchmarks.plant import Load, signals
from benchmarks.speed.engine_tick import counts
from benchmarks.speed.intake import Shape, _group
from edge.assembly.assembly import Assembly
from edge.records import Shed, TickDue
from edge.samples import looks, sensor_faults, usual
from edge.samples.looks import Bounds, WindowState, _judge
from edge.samples.usual import Found
from edge.settings import GatewaySettings
from models.fitting.health import HOP, WINDOW, Looks, look
from tests.edge.plant_of_many import ASSETS, ROWS, Both, counted

SEEDS = range(int(os.environ.get("TOGETHER_SEEDS", "3")))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.not_counted
def test_by_columns_or_one_by_one_all_is_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Effects of every stimulus and all that is remembered; and most goes by columns."""
    # looks as far apart as those of samples that come at 1, 50 and 125 Hz, by kind of machine
    made = looks.bounds_of

    def mixed(*given: Any, **named: Any) -> Bounds:  # noqa: ANN401 - as they are
        bounds = made(*given, **named)
        hop = HOP << (zlib.crc32(bounds.level_low.tobytes()) + seed) % 3
        return bounds._replace(hop=hop)

    monkeypatch.setattr(sensor_faults, "bounds_of", mixed)
    both = Both(seed)
    counted(both, monkeypatch)
    while both.at < ROWS:
        both.step()
    both.compare()
    assert both.effects
    assert both.together > 0.3 * ROWS * len(ASSETS)
    assert both.stood > 0


def test_a_quiet_tick_does_as_much_for_many_assets_as_for_few() -> None:
    """One call of the graph, the same functions, and nothing left behind.

    From so many on: fewer are scored in another way, and are not looked at with every tick.
    """
    few, many = list(counts(48)), list(counts(160))
    assert all(one.reached for one in (*few, *many)), (few, many)
    assert few[1].figure == pytest.approx(many[1].figure, abs=12)


def test_a_gap_in_what_came_of_all_makes_no_tick_dearer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an overload keeps itself up: what was given up would be why the next is."""
    both = Both(0)
    taking, visited = both.engines[0]._taking, list[int]()
    visit = taking._visit

    def noted(number: int, *given: int, **more: int) -> None:
        visited.append(number)
        visit(number, *given, **more)

    monkeypatch.setattr(taking, "_visit", noted)
    while not both.sent["a0"]:
        both.step()
    for stimulus in (Shed(messages={"": 1}), TickDue()):
        both.give(stimulus)
    assert visited
    visited.clear()
    both.give(TickDue())
    assert not visited


def test_looks_at_many_assets_share_their_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though those of each are due behind samples of its own, and several in a block."""
    looked: list[int] = []

    def noted(values: np.ndarray, ran: np.ndarray, pairs: np.ndarray) -> Looks:
        looked.append(len(values))
        return look(values, ran, pairs)

    rows, blocks = 100, 6
    load = Load(assets=20, channels=2, period_ms=32, rows=rows * blocks, batch_rows=rows)
    settings = GatewaySettings(site="s")
    engine = Assembly(settings, bundle=bundle_of(load), snapshot=None).engine
    values = signals(load, rows=load.rows, training=False)
    monkeypatch.setattr(usual, "look", noted)
    for number in range(blocks):
        looked.clear()
        now_ns, messages = _group(load, Shape("", rows, "columnar", 20), values, number)
        engine.handle_group(messages, now_ns=now_ns)
        engine.handle(TickDue(), now_ns=now_ns)
    assert sum(looked) >= 20 * (rows // HOP)
    assert len(looked) * 10 < sum(looked), looked


@pytest.mark.parametrize(("period_ms", "hop"), [(32, 32), (16, 64), (8, 128), (4, 128)])
def test_assets_are_looked_at_about_once_a_second(
    monkeypatch: pytest.MonkeyPatch, period_ms: int, hop: int
) -> None:
    """However many samples that is, and none of these is in no window."""
    looked: list[int] = []

    def noted(values: np.ndarray, ran: np.ndarray, pairs: np.ndarray) -> Looks:
        looked.append(len(values))
        return look(values, ran, pairs)

    assets, rows, blocks = 20, 64, 16
    load = Load(assets=assets, channels=2, period_ms=period_ms, rows=rows * blocks, batch_rows=rows)
    settings = GatewaySettings(site="s")
    engine = Assembly(settings, bundle=bundle_of(load), snapshot=None).engine
    values = signals(load, rows=load.rows, training=False)
    for module in usual, looks:  # by columns, and the first ones alone
        monkeypatch.setattr(module, "look", noted)
    for number in range(blocks):
        now_ns, messages = _group(load, Shape("", rows, "columnar", assets), values, number)
        engine.handle_group(messages, now_ns=now_ns)
        engine.handle(TickDue(), now_ns=now_ns)
    due = assets * (load.rows - WINDOW) / hop
    assert due - assets <= sum(looked) <= due + assets


@pytest.mark.parametrize("seed", range(20))
def test_a_look_by_columns_finds_what_it_finds_alone(seed: int) -> None:
    """Whatever windows show: who is quiet goes on as alone, who is not is left to that."""
    chance = np.random.default_rng(seed)
    (slab,) = (one for c, one in Both(0).engines[0]._taking._slabs.items() if c == 4)
    for kind in np.unique(slab.pairs):
        rows = np.flatnonzero(slab.pairs == kind)
        bounds = [slab.bounds[i] for i in rows]
        shape, m = (len(rows), 4), len(bounds[0].pairs)
        sizes = np.exp(chance.normal(scale=chance.choice([0.3, 2.0]), size=shape))
        low, high = np.stack([one.apart for one in bounds], axis=1)
        found = Looks(
            noise=np.stack([one.noise_high for one in bounds]) * sizes * 0.7,
            still=chance.uniform(0.0, 0.5, shape),
            present=chance.uniform(chance.choice([0.4, 0.9]), 1.0, shape),
            level=np.stack([(one.calm_low + one.calm_high) / 2.0 for one in bounds]),
            apart=(low + high) / 2.0 + (high - low) * chance.normal(size=low.shape),
        )
        found.apart[chance.random(low.shape) < 0.2] = np.nan
        lasting = chance.integers(0, 2 * HOP, shape)
        states = [WindowState.empty(4, m) for _ in rows]
        for state in states:
            state.suspects = chance.choice([0, 0, 0, 32, 64], 4).astype(np.uint8)
            state.apart_once, state.apart_near = chance.random((2, m)) < 0.5
        apart = {k: (one.apart, one.apart_once, one.apart_near) for k, one in enumerate(states)}
        told = Found(
            looked=np.zeros(len(rows), bool),
            noise=np.zeros(shape),
            suspects=np.stack([state.suspects for state in states]),
            apart=apart,  # type: ignore[arg-type] # each has been set
        )
        quiet = told.judge(slab, rows, np.arange(len(rows)), found, lasting)
        for k, (state, bound) in enumerate(zip(states, bounds, strict=True)):
            _judge(state, Looks(*(part[k] for part in found)), bound, lasting[k])
            assert quiet[k] == (not state.codes.any() and not state.apart_now.any())
            np.testing.assert_array_equal(told.noise[k], state.noise)
            np.testing.assert_array_equal(told.suspects[k], state.suspects)
            if m:
                mine = told.apart[k]
                for one, other in zip(mine, (state.apart, state.apart_once, state.apart_near)):  # noqa: B905
                    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("seed", range(10))
def test_a_window_moves_on_alone_as_among_many(seed: int) -> None:
    """Whatever is pending, wherever its history begins anew; also in its own place."""
    chance = np.random.default_rng(seed)
    (slab,) = (one for c, one in Both(0).engines[0]._taking._slabs.items() if c == 4)
    rows = np.arange(len(slab.assets))
    slab.window[:], slab.ran[:] = (
        chance.random(slab.window.shape),
        chance.random(slab.ran.shape) < 0.5,
    )
    slab.history.values[:] = chance.random(slab.history.values.shape)
    for pending, more in ((0, 0), (5, 0), (40, 90), (127, 1), (128, 0), (100, 200), (300, 7)):
        slab.written[:] = chance.integers(0, 4 * slab.history.values.shape[1], len(rows))
        values = chance.random((len(rows), more, 4)).astype(np.float32) if more else None
        window, ran = slab.shifted(rows, pending, values)
        for i in rows.tolist():
            mine, went = np.empty((WINDOW, 4), np.float32), np.empty(WINDOW, bool)
            slab.shift_one(mine, went, i, pending, None if values is None else values[i])
            np.testing.assert_array_equal(mine, window[i])
            np.testing.assert_array_equal(went, ran[i])
    window, ran = slab.shifted(rows, 30)
    slab.shift_one(slab.window[1], slab.ran[1], 1, 30)
    np.testing.assert_array_equal(slab.window[1], window[1])
    np.testing.assert_array_equal(slab.ran[1], ran[1])
