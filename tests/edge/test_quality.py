"""Stuck and missing channels against a slow twin, under any cut."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.quality import ABSENT_SAMPLES_MAX, HealthState, channel_health
from edge.records import Batch
from tests.oracles_stream import ChannelHealth

CELL = st.sampled_from([1.0, 2.0, math.nan])
LONGEST: Final = np.array([2, 3], np.int64)


def batch(rows: list[list[float]], running: list[bool]) -> Batch:
    """Make a batch."""
    return Batch(
        asset="a",
        t_ns=np.arange(len(rows), dtype=np.int64),
        values=np.array(rows, np.float32).reshape(len(rows), -1),
        running=np.array(running, bool),
    )


@given(
    rows=st.lists(st.tuples(CELL, CELL, st.booleans()), min_size=1, max_size=40),
    sizes=st.lists(st.integers(1, 8), max_size=40),
)
def test_health_is_that_of_the_slow_twin_however_it_is_cut(
    rows: list[tuple[float, float, bool]], sizes: list[int]
) -> None:
    """Counters go on over batches, gaps and stops."""
    twins = [ChannelHealth(int(n)) for n in LONGEST]
    expected = [[twins[i].step(row[i], running=row[2]) for i in range(2)] for row in rows]
    state = HealthState.empty(2)
    found = []
    rest = rows
    for size in [*sizes, len(rows)]:
        part, rest = rest[:size], rest[size:]
        if part:
            cut = batch([[a, b] for a, b, _ in part], [running for _, _, running in part])
            stuck, missing = channel_health(state, cut, stuck_samples_max=LONGEST)
            found += [
                list(zip(s, m, strict=True))
                for s, m in zip(stuck.tolist(), missing.tolist(), strict=True)
            ]
    assert found == expected


def test_a_gap_neither_ends_nor_lengthens_a_run() -> None:
    """NaN says nothing about a value that stands still."""
    nan = math.nan
    rows = [[5.0], [nan], [nan], [5.0], [nan], [5.0], [6.0]]
    stuck, missing = channel_health(
        HealthState.empty(1), batch(rows, [True] * 7), stuck_samples_max=np.array([2])
    )
    assert stuck[:, 0].tolist() == [False] * 5 + [True, False]
    assert missing[:, 0].tolist() == [False, False, True, False, False, False, False]


def test_a_machine_that_stands_still_is_not_stuck() -> None:
    """Only running samples count, and the run goes on when it starts again."""
    rows = [[5.0]] * 6
    stuck, _ = channel_health(
        HealthState.empty(1),
        batch(rows, [True, False, False, False, True, True]),
        stuck_samples_max=np.array([2]),
    )
    assert stuck[:, 0].tolist() == [False] * 5 + [True]


def test_the_first_value_ever_is_no_repetition() -> None:
    """A channel that begins is not compared with nothing."""
    state = HealthState.empty(1)
    channel_health(state, batch([[math.nan], [1.0]], [True, True]), stuck_samples_max=np.array([9]))
    assert state.equal.tolist() == [0]
    assert state.absent.tolist() == [0]


def test_a_channel_that_may_stand_still_for_ever_may_not_be_absent_for_ever() -> None:
    """A constant in training is never called stuck, but its dead sensor is called missing."""
    rows = [[5.0]] * 700 + [[math.nan]] * ABSENT_SAMPLES_MAX
    stuck, missing = channel_health(
        HealthState.empty(1),
        batch(rows, [True] * len(rows)),
        stuck_samples_max=np.array([2**31 - 1]),
    )
    assert not stuck.any()
    assert np.flatnonzero(missing[:, 0]).tolist() == [len(rows) - 1]
