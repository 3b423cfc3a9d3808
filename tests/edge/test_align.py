"""Alignment: what closes when, what is held for how long, and what is not used is counted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.batches import Readings
from edge.caps import FILLED_ROWS_MAX, PENDING_ROWS_MAX
from edge.samples.align import Aligner
from edge.samples.layouts import AssetLayout
from edge.samples.pending import AlignState
from edge.settings import ContextTag, EngineSettings
from tests.oracles_stream import Change, Sample, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.batches import Batch

S: Final = 10**9
FOREVER: Final = 2**62
TAGS: Final = ("a", "b", "c", "run", "cal")  # c is on_change in grid mode
SETTINGS: Final = EngineSettings(late_ms_max=500, comms_gap_s=3)
NAN: Final = math.nan


def layout_of(*, grid: bool, asset: str = "r1") -> AssetLayout:
    """Three channels and two context tags at 1 Hz."""
    return AssetLayout(
        asset=asset,
        columns={tag: i for i, tag in enumerate(TAGS)},
        units=("bar", "", "", "", ""),
        channels=3,
        context=(
            ContextTag(tag="run", role="run", running=(1.0, 2.0)),
            ContextTag(tag="cal", role="info"),
        ),
        period_ns=S,
        grid=grid,
        on_change=np.array([False, False, grid, True, True]),
    )


def message(values: Sequence[Value], *, asset: str = "r1") -> Readings:
    """One message with some values, a row for each time."""
    times = list(dict.fromkeys(v.t_ns for v in values))
    columns = list(dict.fromkeys(v.column for v in values))
    array = np.full((len(times), len(columns)), NAN)
    for v in values:
        array[times.index(v.t_ns), columns.index(v.column)] = v.value
    return Readings(
        asset=asset,
        tags=tuple(TAGS[c] for c in columns),
        t_ns=np.array(times, np.int64),
        values=array,
    )


def aligner(*, grid: bool, assets: Sequence[str] = ("r1",)) -> Aligner:
    """Make an aligner that has seen nothing."""
    layouts = [layout_of(grid=grid, asset=asset) for asset in assets]
    return Aligner(layouts, SETTINGS, state=AlignState())


def push(a: Aligner, *values: Value, future_ns: int = FOREVER, retain: bool = False) -> None:
    """Push one message."""
    a.push(message(values), future_ns=future_ns, retain=retain)


def samples_of(batches: Sequence[Batch]) -> list[Sample]:
    """Unpack batches."""
    return [
        Sample(int(t), tuple(float(x) for x in row), bool(running))
        for batch in batches
        for t, row, running in zip(batch.t_ns, batch.values, batch.running, strict=True)
    ]


def changes_of(batches: Sequence[Batch]) -> list[Change]:
    """Unpack the changes of batches."""
    return [Change(c.t_ns, c.tag, c.value, c.previous, c.live) for b in batches for c in b.changes]


@given(
    values=st.lists(
        st.tuples(
            st.integers(0, 12), st.integers(0, 2), st.sampled_from([1.0, 2.0, NAN, math.inf])
        ),
        max_size=40,
    ),
    draw=st.data(),
)
def test_every_value_is_in_a_sample_or_counted(
    values: list[tuple[int, int, float]], draw: st.DataObject
) -> None:
    """In any order, with any ticks: what was given is what was taken and what was counted."""
    a = aligner(grid=False)
    batches: list[Batch] = []
    for t, column, value in values:
        push(a, Value(t * S, column, value), future_ns=10 * S)
        if draw.draw(st.booleans()):
            batches += a.close(now_ns=draw.draw(st.integers(0, 14)) * S)
    batches += a.close(now_ns=0, final=True)
    samples = samples_of(batches)
    times = [sample.t_ns for sample in samples]
    assert times == sorted(set(times))
    taken = sum(not math.isnan(x) for sample in samples for x in sample.values)
    given_count = sum(not math.isnan(value) for _, _, value in values)
    assert taken + sum(a.counts.values()) == given_count
    assert set(a.counts) <= {"late", "duplicate", "future", "non_finite"}


#   period 1 s            late_ms_max 500
#   a   1     1     1
#   b   2           2
#   ----+-----+-----+---> t
#       1s    2s    3s
def test_rows_close_when_a_later_one_comes() -> None:
    """The newest row waits; with time it closes too, 500 ms late."""
    a = aligner(grid=False)
    push(a, Value(S, 0, 1.0), Value(S, 1, 2.0), Value(2 * S, 0, 1.0))
    assert [s.t_ns for s in samples_of(a.close(now_ns=0))] == [S]
    assert not a.close(now_ns=2 * S + 499_999_999)
    assert [s.t_ns for s in samples_of(a.close(now_ns=2 * S + 500_000_000))] == [2 * S]
    push(a, Value(3 * S, 0, 1.0), Value(3 * S, 1, 2.0))
    (last,) = samples_of(a.close(now_ns=0, final=True))
    assert repr(last[:2]) == repr((3 * S, (1.0, 2.0, NAN)))


#   grid:     |     1s    |     2s    |
#   a    (----5-----------]           |      (g - 1 s, g] is sample g
#   a         |           (--6----7---]      the newest of a sample wins
def test_a_grid_sample_holds_the_newest_value_of_its_period() -> None:
    """Periods are open below and closed above."""
    a = aligner(grid=True)
    push(a, Value(S, 0, 5.0))
    push(a, Value(S + 1, 0, 6.0))
    push(a, Value(2 * S, 0, 7.0))
    push(a, Value(S + 2, 0, 9.0))  # older than what is there
    samples = samples_of(a.close(now_ns=0, final=True))
    assert [(s.t_ns, s.values[0]) for s in samples] == [(S, 5.0), (2 * S, 7.0)]


#   a    x     x     x     x     x
#   b    x                            held 1.5 periods: at 2 s, not at 3 s
#   c    x                            on_change: held as long as anything comes
#   -----1s----2s----3s----4s----5s->
def test_cyclic_values_are_held_for_a_while_and_on_change_values_for_longer() -> None:
    """A silent cyclic tag becomes absent; a tag reported by exception does not."""
    a = aligner(grid=True)
    push(a, Value(S, 0, 1.0), Value(S, 1, 2.0), Value(S, 2, 3.0))
    for i in range(2, 6):
        push(a, Value(i * S, 0, 1.0))
    samples = samples_of(a.close(now_ns=0, final=True))
    assert repr([s.values[1] for s in samples]) == repr([2.0, 2.0, NAN, NAN, NAN])
    assert [s.values[2] for s in samples] == [3.0] * 5


#   a    x                                   x
#   c    x                                          silence of all for more than 5 s ends the hold,
#   -----1s----2s----3s----4s----5s----6s----7s->   the next word of anyone brings it back
def test_an_on_change_value_is_held_while_its_asset_speaks() -> None:
    """What nobody has reported for long may have changed meanwhile."""
    a = aligner(grid=True)
    push(a, Value(S, 0, 1.0), Value(S, 2, 3.0))
    push(a, Value(8 * S, 0, 1.0))
    samples = samples_of(a.close(now_ns=0, final=True))
    assert repr([s.values[2] for s in samples]) == repr([3.0] * 6 + [NAN, 3.0])


#   a    x           x      b passed 1 s only: 2 s and 3 s wait for it, or until they are overdue
#   b    x   x
def test_a_grid_sample_waits_for_all_cyclic_tags() -> None:
    """It closes when the slowest tag has passed it, or late_ms_max later."""
    a = aligner(grid=True)
    push(a, Value(S, 0, 1.0), Value(S, 1, 1.0))
    push(a, Value(3 * S, 0, 1.0))
    assert not a.close(now_ns=0)  # a context tag may still speak at 1 s
    push(a, Value(S + 1, 1, 1.0))
    assert [s.t_ns for s in samples_of(a.close(now_ns=0))] == [S]
    assert [s.t_ns for s in samples_of(a.close(now_ns=3 * S + S // 2))] == [2 * S, 3 * S]


def test_a_tag_that_never_spoke_makes_a_sample_wait_no_longer_than_any_other() -> None:
    """Who speaks first does not decide what the first sample is."""
    a = aligner(grid=True)
    push(a, Value(S, 0, 1.0))
    push(a, Value(2 * S, 0, 1.0))
    assert not a.close(now_ns=S + S // 2 - 1)
    assert [s.t_ns for s in samples_of(a.close(now_ns=S + S // 2))] == [S]


def test_without_context_a_grid_sample_closes_at_its_time() -> None:
    """Where nothing is reported by exception, nobody has to wait for a later time."""
    layout = replace(layout_of(grid=True), columns={"a": 0}, units=("",), channels=1, context=())
    layout = replace(layout, on_change=np.array([False]))
    a = Aligner([layout], SETTINGS, state=AlignState())
    push(a, Value(S, 0, 1.0))
    assert [s.t_ns for s in samples_of(a.close(now_ns=0))] == [S]


@pytest.mark.parametrize("together", [True, False])
def test_a_long_gap_is_filled_at_its_end_only(*, together: bool) -> None:
    """The cap counts from the next sample, not from the end of a batch, and is counted."""
    a = aligner(grid=True)
    push(a, Value(S, 0, 1.0))
    batches = a.close(now_ns=2 * S)
    far = 10_000
    push(a, Value(far * S, 0, 1.0))
    if not together:
        batches += a.close(now_ns=(far + 1) * S)
    push(a, Value((far + 1) * S, 0, 1.0))
    batches += a.close(now_ns=0, final=True)
    times = [s.t_ns // S for s in samples_of(batches)]
    assert times == [1, *range(far - PENDING_ROWS_MAX + 1, far + 2)]
    assert a.counts == {"gap_unfilled": far - 2 - (PENDING_ROWS_MAX - 1)}


def test_sparse_nonsense_does_not_fill_the_memory() -> None:
    """A message with a value an hour is not turned into a sample a second for years."""
    a = aligner(grid=True)
    push(a, *(Value(i * 3600 * S, 0, 1.0) for i in range(1, 3000)))
    (batch,) = a.close(now_ns=0, final=True)
    assert 2999 <= len(batch.t_ns) <= FILLED_ROWS_MAX + 2999
    assert (np.diff(batch.t_ns) > 0).all()
    assert len(batch.t_ns) + a.counts["gap_unfilled"] == 2998 * 3600 + 1


def test_a_large_message_backwards_is_taken_at_once() -> None:
    """200,000 rows in reverse cost one sort, not one insertion each."""
    n = 200_000
    readings = Readings(
        asset="r1",
        tags=("a",),
        t_ns=np.arange(n, 0, -1, dtype=np.int64) * S,
        values=np.arange(n, 0, -1, dtype=np.float64)[:, None],
    )
    a = aligner(grid=False)
    a.push(readings, future_ns=FOREVER)
    (batch,) = a.close(now_ns=0, final=True)
    assert np.array_equal(batch.t_ns, np.arange(1, n + 1) * S)
    assert np.array_equal(batch.values[:, 0], np.arange(1, n + 1))


@pytest.mark.parametrize("grid", [False, True], ids=["rows", "grid"])
def test_each_kind_of_unusable_value_is_counted_exactly(*, grid: bool) -> None:
    """Duplicate, late, future, non-finite, unknown, wrong unit, text: each by value."""
    a = aligner(grid=grid)
    push(a, Value(S, 0, 1.0), Value(2 * S, 0, 1.0), Value(3 * S, 0, 1.0))
    push(a, Value(3 * S, 0, 9.0))
    push(a, Value(3 * S, 0, 1.0))
    assert a.counts == {"duplicate": 2}
    a.close(now_ns=0, final=True)
    push(a, Value(2 * S, 0, 1.0), Value(2 * S, 1, 1.0), Value(3 * S, 0, NAN))
    assert a.counts.pop("late") == 2
    push(a, Value(11 * S, 0, 1.0), Value(11 * S, 1, NAN), Value(10 * S, 1, 1.0), future_ns=10 * S)
    assert a.counts.pop("future") == 1
    push(a, Value(12 * S, 0, math.inf), Value(12 * S, 1, -math.inf), Value(12 * S, 2, 1e39))
    assert a.counts.pop("non_finite") == 3
    odd = Readings(
        asset="r1",
        tags=("a", "x", "y"),
        t_ns=np.array([13 * S, 14 * S]),
        values=np.array([[1.0, 2.0, NAN], [1.0, 2.0, math.inf]]),
        units={"a": "psi", "x": "bar"},
        texts=(("x", 13 * S, "AUTO"),),
        bad_quality=4,
    )
    a.push(odd, future_ns=FOREVER)
    assert a.counts.pop("unknown_tag") == 3
    assert a.counts.pop("wrong_unit") == 2
    assert a.counts.pop("text_value") == 1
    assert a.counts.pop("bad_quality") == 4
    a.push(message([Value(S, 0, 1.0), Value(S, 1, NAN)], asset="r9"), future_ns=FOREVER)
    assert a.counts.pop("unknown_asset") == 1
    assert a.counts == {"duplicate": 2}


def test_the_right_unit_and_none_are_both_taken() -> None:
    """A sender that states no unit is believed; an unknown unit of a column without one too."""
    a = aligner(grid=False)
    for units in ({"a": "bar"}, {"a": ""}, {"b": "psi"}, None):
        t_ns = np.array([len(a.state.assets["r1"].t_ns) + 1])
        readings = Readings(
            asset="r1", tags=("a", "b"), t_ns=t_ns, values=np.ones((1, 2)), units=units
        )
        a.push(readings, future_ns=FOREVER)
    assert not a.counts
    assert len(samples_of(a.close(now_ns=0, final=True))) == 4


def test_one_bad_clock_leaves_the_other_assets_alone() -> None:
    """What one asset sends from the future is counted; the others' samples are what they were."""
    alone, beside = aligner(grid=True, assets=("r1",)), aligner(grid=True, assets=("r1", "bad"))
    ours: list[list[Sample]] = []
    for a in (alone, beside):
        batches: list[Batch] = []
        for i in range(1, 20):
            push(a, Value(i * S, 0, float(i)), future_ns=(i + 2) * S)
            if a is beside:
                a.push(message([Value((i + 3600) * S, 0, 1.0)], asset="bad"), future_ns=(i + 2) * S)
            batches += [b for b in a.close(now_ns=i * S) if b.asset == "r1"]
        ours.append(samples_of(batches))
    assert repr(ours[0]) == repr(ours[1])
    assert beside.counts == {"future": 19}
