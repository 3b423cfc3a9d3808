"""Times of samples in two bytes each, against the arrays that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from edge.batches import Batch
from edge.checks.memory import weigh
from edge.samples.ring import Ring, RingState
from edge.samples.times import CUT, CUT_TOGETHER, FAR, FAR_MAX, MILLISECOND_NS, Times, columns

if TYPE_CHECKING:
    import pytest
    from numpy.typing import NDArray

CAPACITY = 40  # more than FAR_MAX
DAY_NS = 86_400 * 10**9
# Steps as sources make them: of a period, of other clocks, gaps, times that go back.
STEPS = st.sampled_from(
    [
        MILLISECOND_NS,
        10**9,
        (FAR - 1) * MILLISECOND_NS,
        FAR * MILLISECOND_NS,
        DAY_NS,
        1,
        0,
        -(10**9),
    ]
)
Blocks = list[tuple[list[int], int, list[int]]]  # which assets, how they ran, steps


@st.composite
def blocks(draw: st.DrawFn) -> Blocks:
    """Which of three assets, their steps, and whether each sample ran."""
    told: Blocks = []
    for _ in range(draw(st.integers(1, 8))):
        rows = sorted(draw(st.sets(st.integers(0, 2), min_size=1)))
        n = draw(st.integers(1, CAPACITY + 4))
        steps = draw(st.lists(STEPS, min_size=n, max_size=n))
        told.append((rows, draw(st.integers(0, 3)), steps))
    return told


class Plain:
    """Arrays."""

    def __init__(self) -> None:
        self.t_ns, self.ran = np.zeros((3, CAPACITY), np.int64), np.zeros((3, CAPACITY), bool)
        self.written, self.newest_ns = [0] * 3, [1_790_000_000 * 10**9 + 1] * 3

    def next(self, row: int, steps: list[int]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Places and times of the next samples."""
        t_ns = self.newest_ns[row] + np.cumsum(np.array(steps, np.int64))
        at = (self.written[row] + np.arange(len(steps))) % CAPACITY
        self.written[row] += len(steps)
        self.newest_ns[row] = int(t_ns[-1])
        return at, t_ns


@given(blocks())
@example([([0, 1, 2], 0, [MILLISECOND_NS] * 4), ([1], 0, [1] * (CAPACITY + 4))])
def test_times_are_what_was_written_bit_for_bit(told: Blocks) -> None:
    """Whatever clocks there are, and however the samples come; whole, by place and cut."""
    plain, times = Plain(), Times(3, CAPACITY)
    for rows, kind, steps in told:
        next_of = [plain.next(row, steps) for row in rows]
        at, t_ns = (np.stack(parts) for parts in zip(*next_of, strict=True))
        ran = np.arange(len(steps)) % (kind + 1) == 0
        for k, row in enumerate(rows):
            newest = slice(max(len(steps) - CAPACITY, 0), None)
            plain.t_ns[row, at[k, newest]] = t_ns[k, newest]
            plain.ran[row, at[k, newest]] = ran[newest]
        if kind == 0 or len(rows) > 1:
            times.write(np.array(rows), at, t_ns, np.stack([ran] * len(rows)))
        else:
            newest = slice(max(len(steps) - CAPACITY, 0), None)
            times.write_one(rows[0], at[0, newest], t_ns[0, newest], ran[newest])
        for row in range(3):
            shown, runs = columns(times, row)
            np.testing.assert_array_equal(np.asarray(shown), plain.t_ns[row])
            np.testing.assert_array_equal(np.asarray(runs), plain.ran[row])
            for begin, end in ((0, 5), (3, CAPACITY), (CAPACITY - 2, CAPACITY), (4, 4)):
                assert shown[begin:end].tolist() == plain.t_ns[row, begin:end].tolist()
                assert runs[begin:end].tolist() == plain.ran[row, begin:end].tolist()
            assert shown[[1, -1]].tolist() == plain.t_ns[row, [1, -1]].tolist()


def test_a_clock_that_does_not_count_in_milliseconds_costs_what_its_times_do() -> None:
    """Few steps that are odd stay beside; with more of them, times are kept as they are."""
    capacity, t_ns = 1024, np.arange(400, dtype=np.int64) * 10**9
    times = Times(4, capacity)
    before = weigh([times], set())
    rows = np.arange(4)
    at, gaps = np.arange(400), np.zeros(400, np.int64)
    gaps[::100] = DAY_NS
    times.write(
        rows, np.stack([at] * 4), np.stack([t_ns + np.cumsum(gaps)] * 4), np.ones((4, 400)) > 0
    )
    assert weigh([times], set()) < before + 4 * 1_000
    odd = t_ns[-1] + DAY_NS * 9 + np.arange(1, FAR_MAX + 2) * (10**9 + 1)
    at = 400 + np.arange(FAR_MAX + 1)
    times.write(rows[:1], at[None], odd[None], np.ones((1, FAR_MAX + 1)) > 0)
    assert times.of(0)[at].tolist() == odd.tolist()
    assert weigh([times], set()) > before + capacity * 8


def test_a_history_of_another_process_goes_on() -> None:
    """Its arrays are taken over, and what comes then follows."""
    whole, half = (Ring({"a": 2, "b": 2}, state=RingState(), capacity=8) for _ in range(2))
    for k in range(5):
        t_ns = np.arange(3, dtype=np.int64) * 10**9 + k * 10**10 + (k == 2)
        for name in "ab":
            batch = Batch(
                asset=name,
                t_ns=t_ns,
                values=np.full((3, 2), k, np.float32),
                running=t_ns % 2 == 0,
            )
            whole.append(batch)
            half.append(batch)
        for one in half.state.assets.values():
            one.t_ns, one.running = np.array(one.t_ns), np.array(one.running)
        half = Ring({"a": 2, "b": 2}, state=half.state, capacity=8)
        for name in "ab":
            for mine, theirs in zip(whole.last(name, 8), half.last(name, 8), strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_a_cut_decodes_some_histories_and_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples come between one cut and the next: each would pay for all assets."""
    assets, capacity = 4 * CUT_TOGETHER + 1, 2 * CUT
    times, decoded = Times(assets, capacity), 0
    every = np.arange(assets)

    def write(n: int) -> None:
        at = np.full((assets, 1), n % capacity)
        times.write(every, at, np.full((assets, 1), n * 10**6), np.ones((assets, 1), bool))

    for n in range(capacity + 3):
        write(n)
    newest = times._newest

    def counted(rows: NDArray[np.intp], n: int) -> NDArray[np.int64]:
        nonlocal decoded
        decoded += len(rows)
        return newest(rows, n)

    monkeypatch.setattr(times, "_newest", counted)
    behind = capacity + 3
    for row in range(CUT_TOGETHER):
        assert times.cut(row, 1, 3).tolist() == [(behind - 2) * 10**6, (behind - 1) * 10**6]
    assert decoded == CUT_TOGETHER
    write(behind)
    assert times.cut(assets - 1, 2, 4).tolist() == [(behind - 1) * 10**6, behind * 10**6]
    assert decoded == CUT_TOGETHER + 1
