"""Alignment against a slow twin: no cut, no tick and no restart shows in the samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.batches import Readings
from edge.samples.align import Aligner
from edge.samples.pending import AlignState
from edge.storage.checkpoint import pack, unpack
from tests.edge.test_align import (
    FOREVER,
    NAN,
    SETTINGS,
    TAGS,
    S,
    aligner,
    changes_of,
    layout_of,
    message,
    push,
    samples_of,
)
from tests.oracles_stream import Value, align

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.batches import Batch

ALIVE_NS: Final = 5 * S  # five periods, longer than the gap of SETTINGS


@st.composite
def streams(draw: st.DrawFn, *, columns: int) -> list[Value]:
    """Values in time order, of one time in any order, some twice; whole, so float32 is exact."""
    cells = draw(
        st.lists(
            st.tuples(
                st.integers(0, 40), st.integers(0, columns - 1), st.integers(0, 3), st.booleans()
            ),
            max_size=40,
        )
    )
    found = [
        Value(t * S // 4, column, NAN if number == 3 and column < 3 else float(number), kept)
        for t, column, number, kept in cells
    ]
    return sorted(found, key=lambda v: v.t_ns)


def messages(part: Sequence[Value]) -> list[list[Value]]:
    """One message, where one can say it all: one value a cell, retained or not.

    And where it names channels, one at each time: a null says that a channel was looked at.
    """
    cells = {v[:2] for v in part}
    channels = {v.t_ns for v in part if v.column < 3}
    plain = len(cells) == len(part) and len({v.retained for v in part}) == 1
    if plain and (not channels or channels == {v.t_ns for v in part}):
        return [list(part)]
    return [[v] for v in part]


def run(a: Aligner, stream: list[Value], draw: st.DataObject) -> list[Batch]:
    """Push a stream cut anywhere, with ticks and restarts in between; nothing becomes late."""
    batches: list[Batch] = []
    layouts = [a.layout_of(number) for number in range(a.assets)]
    rest = stream
    while rest:
        end = draw.draw(st.integers(1, len(rest)), label="cut")
        part, rest = rest[:end], rest[end:]
        for some in messages(part):
            a.push(message(some), future_ns=FOREVER, retain=some[0].retained)
        if draw.draw(st.booleans(), label="tick"):
            next_ns = rest[0].t_ns if rest else part[-1].t_ns
            now_ns = draw.draw(st.integers(0, next_ns + S // 2 - 1), label="now")
            batches += a.close(now_ns=now_ns)
        if draw.draw(st.booleans(), label="restart"):
            a = Aligner(layouts, SETTINGS, state=unpack(pack(a.state), AlignState))
    batches += a.close(now_ns=0, final=True)
    assert set(a.counts) <= {"duplicate", "late"}  # what came twice, perhaps after its row closed
    return batches


@pytest.mark.parametrize("grid", [False, True], ids=["rows", "grid"])
@given(draw=st.data())
def test_any_cut_gives_what_the_slow_twin_gives(draw: st.DataObject, *, grid: bool) -> None:
    """However messages, ticks and restarts fall, samples, running and changes are the same."""
    stream = draw.draw(streams(columns=5), label="stream")
    batches = run(aligner(grid=grid), stream, draw)
    layout = layout_of(grid=grid)
    samples, changes = align(layout, stream, hold_ns=S * 3 // 2, alive_ns=ALIVE_NS)
    assert repr(samples_of(batches)) == repr(samples)
    assert repr(changes_of(batches)) == repr(changes)


@pytest.mark.parametrize("grid", [False, True], ids=["rows", "grid"])
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 12),
            st.lists(st.sampled_from([0.0, 1.0, 2.0, NAN, 1e39]), min_size=5, max_size=5),
        ),
        min_size=2,
        max_size=20,
    ),
    closed=st.integers(0, 8),
    retain=st.booleans(),
)
def test_a_block_is_taken_as_its_rows_one_by_one(
    rows: list[tuple[int, list[float]]], closed: int, *, grid: bool, retain: bool
) -> None:
    """In any order, twice, late, too early or no numbers: the same samples, changes and counts."""
    # Of late context the order of arrival matters: what is older than the newest known is no news.
    rows = [(t, row if t > closed else [*row[:3], NAN, NAN]) for t, row in rows]
    results = []
    for size in (1, len(rows)):
        a = aligner(grid=grid)
        push(a, *(Value(0, column, 0.0) for column in range(5)))
        push(a, Value(closed * S // 4, 0, 0.0))
        batches = a.close(now_ns=closed * S // 4 + S // 2)
        for i in range(0, len(rows), size):
            part = rows[i : i + size]
            readings = Readings(
                asset="r1",
                tags=TAGS,
                t_ns=np.array([t * S // 4 for t, _ in part]),
                values=np.array([row for _, row in part]),
            )
            a.push(readings, future_ns=11 * S // 4, retain=retain)
        newest = a.state.assets["r1"].newest_ns.tolist()
        waiting = a.close(now_ns=0)
        batches += waiting + a.close(now_ns=0, final=True)
        counts = dict(sorted(a.counts.items()))
        results.append(
            (repr(samples_of(batches)), repr(changes_of(batches)), counts, newest, len(waiting))
        )
    assert results[0] == results[1]


@given(draw=st.data())
def test_on_the_grid_tags_may_overtake_each_other(draw: st.DataObject) -> None:
    """Each tag late on its own, by less than late_ms_max, is as good as all in time order."""
    arrivals: list[tuple[int, Value]] = []
    newest: dict[int, int] = {}
    for v in draw.draw(streams(columns=2), label="stream"):
        delayed_ns = v.t_ns + draw.draw(st.integers(0, S // 2 - 1))
        newest[v.column] = max(newest.get(v.column, 0), delayed_ns)  # a sender keeps its order
        arrivals.append((newest[v.column], v))
    arrivals.sort(key=lambda arrival: arrival[0])
    layout = replace(layout_of(grid=True), columns={"a": 0, "b": 1}, channels=2, context=())
    layout = replace(layout, units=("", ""), on_change=np.array([False, False]))
    a = Aligner([layout], SETTINGS, state=AlignState())
    batches: list[Batch] = []
    for at_ns, v in arrivals:
        batches += a.close(now_ns=at_ns - draw.draw(st.sampled_from([0, S // 4, S])))
        push(a, v)
    batches += a.close(now_ns=0, final=True)
    arrived = [v for _, v in arrivals]
    samples, _ = align(layout, arrived, hold_ns=S * 3 // 2, alive_ns=ALIVE_NS)
    assert repr(samples_of(batches)) == repr(samples)
