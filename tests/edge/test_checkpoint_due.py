"""When a checkpoint is due, and what it goes on from after a restart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.configuration.sections import JournalConfig
from edge.gateway.checkpoint_due import EVERY_S_MIN, FIRST_S_MIN, CheckpointDue
from edge.samples.ring import AssetRing, RingState
from edge.storage.checkpoint import pack, unpack
from edge.storage.disk import Clock
from edge.storage.history import Histories, HistoryPart, bare, filled

CAPACITY = 16
LOOKS = st.lists(st.tuples(st.floats(0.01, 3.0), st.floats(0.0, 1.0)), max_size=60)


def any_moment(_seconds: float) -> bool:
    """One suits as another."""
    return True


class Busy(Clock):
    """A processor that works when it is told to."""

    spent_s = 0.0

    def busy_s(self) -> float:
        """What it has worked."""
        return self.spent_s


def next_part(histories: Histories, state: RingState) -> HistoryPart:
    """As a checkpoint has it, of all assets at once."""
    cuts = histories.cuts(state)
    cuts.keep(state.assets)
    return cuts.part()


def asked(
    every_s: float, replay_s: float, looks: list[tuple[float, float]], *, before_s: float = 0.0
) -> list[tuple[float, float, bool]]:
    """Time, work behind the newest checkpoint and whether one is due, at each look of a loop."""
    clock, now_s, behind_s = Busy(), 0.0, before_s
    due = CheckpointDue(JournalConfig(checkpoint_s=every_s, replay_s=replay_s), clock=clock)
    with due:
        clock.spent_s += before_s
    found = []
    for waited_s, worked_s in looks:
        now_s += waited_s
        with due:
            clock.spent_s += worked_s
        behind_s += worked_s
        found.append((now_s, behind_s, due.now(now_s, any_moment)))
        if found[-1][2]:
            due.begun()
            behind_s = 0.0
    return found


@given(st.floats(0.1, 20.0), st.floats(0.01, 2.0), LOOKS)
def test_what_is_behind_a_checkpoint_is_bounded(
    every_s: float, replay_s: float, looks: list[tuple[float, float]]
) -> None:
    """By time, and by work beyond the least time; never sooner than that."""
    newest_s, rest_s = looks[0][0] if looks else 0.0, FIRST_S_MIN
    for k, (now_s, behind_s, due) in enumerate(asked(every_s, replay_s, looks)):
        if k == 0:
            assert not due
            continue
        since_s = now_s - newest_s
        rested = since_s >= min(rest_s, every_s)
        assert due == (since_s >= every_s or (behind_s >= replay_s and rested))
        newest_s, rest_s = (now_s, EVERY_S_MIN) if due else (newest_s, rest_s)


def test_what_a_restart_took_again_counts_at_once() -> None:
    """Killed again and again soon after its start, a process leaves no more than it found."""
    looks = [(0.5, 0.0)] * 9
    assert [now for now, _, due in asked(10.0, 0.6, looks, before_s=1.0) if due] == [1.5]


def test_without_a_bound_time_alone_counts() -> None:
    """As before there was one."""
    looks = [(1.0, 5.0)] * 23
    assert [now for now, _, due in asked(10.0, 0.0, looks) if due] == [11.0, 21.0]


def test_one_that_could_not_begin_is_asked_for_again() -> None:
    """Where the disk was busy, what is behind the checkpoint stays counted."""
    clock = Busy()
    due = CheckpointDue(JournalConfig(checkpoint_s=10.0, replay_s=0.5), clock=clock)
    with due:
        clock.spent_s += 1.0
    assert [due.now(t_s, any_moment) for t_s in (0.0, 1.1, 5.0, 5.2)] == [False, True, False, True]
    due.begun()
    assert not due.now(15.0, any_moment)
    assert due.now(15.3, any_moment)


def test_an_error_within_counts_what_was_done() -> None:
    """And goes on its way."""
    clock = Busy()
    due = CheckpointDue(JournalConfig(replay_s=0.5), clock=clock)

    def fails() -> None:
        with due:
            clock.spent_s += 1.0
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert [due.now(t_s, any_moment) for t_s in (0.0, 2.0)] == [False, True]


def ring(channels: int) -> AssetRing:
    """An empty one."""
    return AssetRing(
        t_ns=np.zeros(CAPACITY, np.int64),
        values=np.full((CAPACITY, channels), np.nan, np.float32),
        running=np.zeros(CAPACITY, bool),
    )


def write(one: AssetRing, n: int) -> None:
    """Write n more samples; of a large one also its mode and what was no measurement."""
    for _ in range(n):
        at = one.written % CAPACITY
        one.t_ns[at], one.values[at], one.running[at] = one.written, one.written, True
        if n > CAPACITY // 2 and one.values.shape[1] > 2 and one.mode is None:
            one.mode, one.unsound = np.full(CAPACITY, np.nan), np.zeros(one.values.shape, bool)
        if one.mode is not None and one.unsound is not None:
            one.mode[at], one.unsound[at] = one.written, one.written % 3 == 0
        one.written += 1


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, CAPACITY + 3), min_size=4, max_size=4),
            st.sampled_from(["checkpoint", "restart", "restart, one more anew"]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_histories_go_on_over_restarts(steps: list[tuple[list[int], str]]) -> None:
    """Each checkpoint reads back as the rings were, whichever process wrote the parts of it."""
    kept: dict[str, bytes] = {}
    state = RingState(assets={name: ring(c) for name, c in zip("abcd", (2, 3, 2, 3), strict=True)})
    histories = Histories()
    for k, (more, step) in enumerate(steps):
        for one, n in zip(state.assets.values(), more, strict=True):
            write(one, n)
        part = next_part(histories, state)
        histories.parts.append(f"{k}")
        kept[f"{k}"] = pack(part)
        names, expected = tuple(histories.parts), pack(state)
        parts = [unpack(kept[name], HistoryPart) for name in names]
        back = filled(unpack(pack(bare(state)), RingState), parts)
        assert pack(back) == expected
        if step == "checkpoint":
            continue
        state, histories = back, Histories()
        histories.go_on(names, state)
        if "anew" in step:  # another engine took its place
            state.assets["a"] = unpack(pack(state.assets["a"]), AssetRing)


def test_a_restart_goes_on_with_small_parts() -> None:
    """What the checkpoint before has is not written again."""
    state = RingState(assets={"a": ring(2)})
    first = Histories()
    write(state.assets["a"], CAPACITY)
    next_part(first, state)
    second = Histories()
    second.go_on(["0"], state)
    write(state.assets["a"], 3)
    part = next_part(second, state)
    assert (part.whole.tolist(), len(part.t_ns)) == ([False], 3)


def test_one_that_is_due_waits_for_a_moment_and_not_for_long() -> None:
    """The moment is asked about what the one before took; the least time is kept from there."""
    clock = Busy()
    due = CheckpointDue(JournalConfig(checkpoint_s=10.0, replay_s=0.0), clock=clock)
    suit, asked_of = [False], list[float]()

    def suits(seconds: float) -> bool:
        asked_of.append(seconds)
        return suit[0]

    assert not due.now(0.0, suits)
    looks = [9.9, 10.1, 10.2, 10.3]
    assert [due.now(t_s, suits) for t_s in looks] == [False, False, False, True]
    assert asked_of == [0.0, 0.0]
    due.begun()
    suit[0] = True
    assert [due.now(t_s, suits) for t_s in (20.2, 20.4)] == [False, True]
    assert asked_of[-1] > 0.0


@pytest.mark.parametrize(
    ("every_s", "waits_s"), [(0.0, 0.0), (1.6, 0.1), (4.0, 0.25), (60.0, 0.25)]
)
def test_the_wait_is_a_small_part_of_what_is_between_two(every_s: float, waits_s: float) -> None:
    """Who wants one at each turn has them, and the journal on the disk as often."""
    due = CheckpointDue(JournalConfig(checkpoint_s=every_s, replay_s=0.0), clock=Busy())
    assert not due.now(0.0, lambda _: False)
    assert not due.now(every_s + waits_s - 0.01, lambda _: False)
    assert due.now(every_s + waits_s + 1e-9, lambda _: False)
