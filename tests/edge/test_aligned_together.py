"""Many assets aligned together are aligned as each on its own, value by value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.batches import Readings, sheaves_of
from edge.samples.align import Aligner
from edge.samples.arrays import WIDTH_MAX, Closed, Forms
from edge.samples.closing import batches_of, sheaves_closed
from edge.samples.gather import Gather
from edge.samples.layouts import AssetLayout
from edge.samples.pending import AlignState
from edge.settings import ContextTag, EngineSettings
from edge.storage.checkpoint import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.batches import Batch

S: Final = 10**9
QUARTER: Final = S // 4
SETTINGS: Final = EngineSettings(late_ms_max=500, comms_gap_s=3)
NAN: Final = float("nan")
VALUES: Final = (0.0, 1.0, -2.5, 3.0, NAN, 3.402824e38, -1e300, 0.1)
CONTEXT: Final = (
    ContextTag(tag="run", role="run", running=(1.0,)),
    ContextTag(tag="mode", role="mode"),
)


def layout(
    asset: str, *, channels: int, grid: bool, held: Sequence[int] = (), context: int = 0
) -> AssetLayout:
    """An asset with tags x0, x1, ... and the first of CONTEXT."""
    tags = [f"x{i}" for i in range(channels)] + [tag.tag for tag in CONTEXT[:context]]
    on_change = [i in held for i in range(channels)] + [True] * context
    return AssetLayout(
        asset=asset,
        columns={tag: i for i, tag in enumerate(tags)},
        units=("",) * len(tags),
        channels=channels,
        context=CONTEXT[:context],
        period_ns=S if grid else QUARTER,
        grid=grid,
        on_change=np.array(on_change, bool),
    )


LAYOUTS: Final = (
    layout("rows", channels=2, grid=False),
    layout("grid", channels=3, grid=True),
    layout("held", channels=3, grid=True, held=(1,)),
    layout("told", channels=2, grid=True, context=2),
    layout("rows told", channels=1, grid=False, context=1),
    layout("by exception", channels=2, grid=True, held=(0, 1)),
    layout("one", channels=1, grid=True),
    layout("wide", channels=WIDTH_MAX + 1, grid=False),
)


class Pair:
    """The same messages to one that takes them one by one, and one that gathers them."""

    def __init__(self, together_min: int) -> None:
        self.alone, self.joined = (Aligner(LAYOUTS, SETTINGS, state=AlignState()) for _ in range(2))
        self.gather = Gather(self.joined, together_min=together_min)
        self.batches = 0

    def take(self, readings: Readings, *, retain: bool = False, future_ns: int = 2**62) -> None:
        """One message to both."""
        self.alone.push(readings, future_ns=future_ns, retain=retain)
        self.gather.take(readings, future_ns=future_ns, retain=retain)

    def tick(self, now_ns: int, *, final: bool = False) -> None:
        """A tick of both gives the same, to the bit."""
        self.gather.settle()
        left, right = (a.close(now_ns=now_ns, final=final) for a in (self.alone, self.joined))
        self.batches += len(left)
        assert [one.asset for one in left] == [one.asset for one in right]
        for one, other in zip(left, right, strict=True):
            same(one, other)

    def check(self) -> None:
        """Both remember and count the same."""
        self.gather.settle()
        left, right = self.alone.state, self.joined.state
        assert dict(sorted(left.counts.items())) == dict(sorted(right.counts.items()))
        for name in left.assets:
            assert pack(left.assets[name]) == pack(right.assets[name]), name


def same(one: Batch, other: Batch) -> None:
    """Two batches are alike, also in how they lie in memory: sums depend on it."""
    for name in ("t_ns", "values", "running", "mode", "heard"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None), name
        if a is not None:
            assert (a.dtype, a.shape) == (b.dtype, b.shape), name
            assert a.tobytes() == b.tobytes(), name
    assert one.values.flags.c_contiguous
    assert other.values.flags.c_contiguous
    assert repr(one.changes) == repr(other.changes)


def readings_of(number: int, cells: dict[int, float], t_ns: int) -> Readings:
    """One message of one time."""
    tags = tuple(LAYOUTS[number].columns)
    return Readings(
        asset=LAYOUTS[number].asset,
        tags=tuple(tags[column] for column in cells),
        t_ns=np.array([t_ns], np.int64),
        values=np.array([list(cells.values())], np.float64),
    )


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[Readings, bool, int, str]]:
    """Messages of a few of the assets, at quarters of a second from now, and what follows each.

    Whether it is retained; quarters of a second to go on; a tick, a look, or nothing.
    """
    number = st.sampled_from(sorted(draw(st.sets(st.integers(0, 7), min_size=1, max_size=3))))
    found = []
    for _ in range(draw(st.integers(0, 50))):
        chosen = draw(number)
        width = min(LAYOUTS[chosen].width, 5)
        named = draw(st.sets(st.integers(0, width - 1), min_size=1, max_size=3))
        cells = {column: draw(st.sampled_from(VALUES)) for column in sorted(named)}
        back = draw(st.sampled_from([0, 0, 0, 1, 2, 7, -1, -5]))
        follows = draw(st.sampled_from(["", "", "", "tick", "look"]))
        step = draw(st.sampled_from([0, 0, 0, 1, 1, 2, 9]))
        retain = draw(st.integers(0, 19)) == 0
        found.append((readings_of(chosen, cells, -back), retain, step, follows))
    return found


@pytest.mark.parametrize("together_min", [0, 4])
@given(stream=streams())
@pytest.mark.not_counted
def test_together_or_alone_is_the_same(
    stream: list[tuple[Readings, bool, int, str]], together_min: int
) -> None:
    """Any order of any assets, late and twice, with ticks and checkpoints in between."""
    pair, now_ns = Pair(together_min), 100 * S
    for found, retain, step, follows in stream:
        now_ns += step * QUARTER
        readings = replace(found, t_ns=now_ns + found.t_ns * QUARTER // 2)
        pair.take(readings, retain=retain, future_ns=now_ns + QUARTER)
        if follows == "tick":
            pair.tick(now_ns)
        elif follows == "look":
            pair.check()
    pair.tick(now_ns)
    pair.check()
    pair.tick(now_ns, final=True)
    pair.check()


@pytest.mark.parametrize("seed", range(4))
def test_a_plant_in_its_usual_state_is_the_same(seed: int) -> None:
    """Every asset speaks each second, tag by tag, in an order of its own; context now and then."""
    pair, now_ns, rng = Pair(0), 1000 * S, np.random.default_rng(seed)
    for second in range(40):
        t_ns = now_ns + second * S
        messages = [
            (number, {column: float(rng.normal())})
            for number, of_asset in enumerate(LAYOUTS)
            for column in range(of_asset.channels)
            if rng.random() > 0.02
        ]
        if second % 7 == 3:
            messages += [(3, {2: float(second % 2), 3: float(second // 7)}), (4, {1: 1.0})]
        if 20 <= second < 30:  # it speaks, and says nothing: what it reported once is held no more
            messages = [one for one in messages if one[0] != 2] + [(2, {0: NAN, 1: NAN, 2: NAN})]
        if second % 5 == 4:  # news of context, and no news, of samples that have closed
            pair.take(readings_of(3, {2: float(second % 3)}, t_ns - 2 * S + second % 2))
        for place in rng.permutation(len(messages)).tolist():
            number, cells = messages[place]
            pair.take(readings_of(number, cells, t_ns))
        for part in range(4):
            pair.tick(t_ns + part * QUARTER)
    pair.check()
    assert pair.batches > 200
    assert pair.joined._together.own.sum() <= 3, "most go together"


@pytest.mark.parametrize("grid", [False, True])
@given(data=st.data())
def test_samples_put_together_at_once_are_those_of_batches(data: st.DataObject, grid: bool) -> None:  # noqa: FBT001
    """The same sheaves, in the same order, as of a batch an asset."""
    widths = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=9))
    layouts = [layout(f"a{i}", channels=c, grid=grid) for i, c in enumerate(widths)]
    forms = Forms(layouts, hold_ns=0, alive_ns=np.full(len(layouts), S))
    assets = sorted(data.draw(st.sets(st.integers(0, len(layouts) - 1), min_size=1)))
    counts = [data.draw(st.sampled_from([1, 1, 2])) for _ in assets]
    ends = np.cumsum(counts)
    chance = np.random.default_rng(len(widths))
    values = chance.normal(size=(ends[-1], forms.width))
    values[chance.random(values.shape) < 0.2] = NAN
    values[~forms.own[np.repeat(assets, counts)]] = NAN
    closed = Closed(
        assets=np.array(assets),
        begins=ends - np.array(counts, np.intp),
        ends=ends,
        t_ns=np.arange(ends[-1]) * S,
        values=values,
        heard=chance.random(ends[-1]) < 0.5,
    )
    at_once = sheaves_closed(closed, layouts, forms)
    expected = sheaves_of(batches_of(closed, layouts, forms).values())
    assert at_once is not None
    for one, other in zip(at_once, expected, strict=True):
        assert one.assets == other.assets
        assert one.mode is other.mode is None
        for name in ("t_ns", "values", "running", "heard"):
            mine, theirs = getattr(one, name), getattr(other, name)
            assert (mine is None) == (theirs is None)
            if mine is not None:
                assert mine.dtype == theirs.dtype
                assert mine.flags.c_contiguous
                np.testing.assert_array_equal(mine, theirs)


def test_what_holds_context_is_closed_asset_by_asset() -> None:
    """And so are rows beside a grid."""
    layouts = [LAYOUTS[0], LAYOUTS[3]]
    forms = Forms(layouts, hold_ns=0, alive_ns=np.full(2, S))
    one, both = np.array([0]), np.array([0, 1])
    for assets, at_once in ((one, True), (both, False), (both[1:], False)):
        k = len(assets)
        closed = Closed(
            assets=assets,
            begins=np.arange(k),
            ends=np.arange(k) + 1,
            t_ns=np.full(k, S),
            values=np.ones((k, forms.width)),
            heard=np.ones(k, bool),
        )
        assert (sheaves_closed(closed, layouts, forms) is not None) == at_once
