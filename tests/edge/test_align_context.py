"""Context tags through alignment: edges in time order, never lost, live only when they are."""

from __future__ import annotations

import pytest

from edge.caps import PENDING_CHANGES_MAX
from tests.edge.test_align import NAN, S, aligner, changes_of, push, samples_of
from tests.oracles_stream import Value


#   cal  0--1--0--|--1--0--|      two pulses, each shorter than a period of the grid
#   ----------------------------> t
#                1s       2s
def test_edges_within_one_period_are_all_told() -> None:
    """A pulse that is over before its sample closes is still a pulse, at its own time."""
    a = aligner(grid=True)
    push(a, Value(S // 4, 4, 0.0), Value(S, 0, 1.0))
    for t, value in ((5, 1.0), (6, 0.0), (7, 1.0)):
        push(a, Value(S + t, 4, value))
    push(a, Value(2 * S, 0, 1.0))
    changes = changes_of(a.close(now_ns=0, final=True))
    assert [(c.t_ns, c.value, c.live) for c in changes] == [
        (S // 4, 0.0, False),
        (S + 5, 1.0, True),
        (S + 6, 0.0, True),
        (S + 7, 1.0, True),
    ]


def test_a_pulse_that_ends_as_it_began_is_told() -> None:
    """The last value of the period repeats the one before it, and is an edge all the same."""
    a = aligner(grid=True)
    push(a, Value(S, 4, 0.0), Value(S, 0, 1.0))
    push(a, Value(S + 5, 4, 1.0))
    push(a, Value(S + 6, 4, 0.0))
    push(a, Value(2 * S, 0, 1.0))
    changes = changes_of(a.close(now_ns=0, final=True))
    assert [(c.t_ns, c.value) for c in changes] == [(S, 0.0), (S + 5, 1.0), (S + 6, 0.0)]


def test_edges_of_one_time_are_told_in_the_order_of_the_tags() -> None:
    """Also when one of them was set aside: the order must not tell how the messages came."""
    a = aligner(grid=True)
    push(a, Value(S, 3, 0.0), Value(S, 4, 0.0), Value(S, 0, 1.0))
    for column in (4, 3):
        push(a, Value(S + 5, column, 1.0))
    push(a, Value(S + 6, 4, 0.0))
    push(a, Value(2 * S, 0, 1.0))
    changes = changes_of(a.close(now_ns=0, final=True))
    assert [(c.t_ns - S, c.tag) for c in changes] == [
        (0, "run"),
        (0, "cal"),
        (5, "run"),
        (5, "cal"),
        (6, "cal"),
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_edges_are_told_in_time_order_whatever_order_they_come_in(order: tuple[int, ...]) -> None:
    """Messages may overtake each other within late_ms_max."""
    a = aligner(grid=True)
    push(a, Value(S, 4, 0.0), Value(S, 0, 1.0))
    edges = [Value(S + 5, 4, 1.0), Value(S + 6, 4, 0.0), Value(S + 7, 4, 1.0)]
    for i in order:
        push(a, edges[i])
    push(a, Value(2 * S, 0, 1.0))
    changes = changes_of(a.close(now_ns=0, final=True))
    assert [(c.t_ns, c.value) for c in changes] == [(S, 0.0), *((e.t_ns, e.value) for e in edges)]


@pytest.mark.parametrize("grid", [False, True], ids=["rows", "grid"])
@pytest.mark.parametrize("live_first", [True, False])
def test_a_retained_value_is_not_live_whatever_shares_its_sample(
    *, grid: bool, live_first: bool
) -> None:
    """The flag belongs to the value: a live pressure of the same time makes no witness of it."""
    a = aligner(grid=grid)
    push(a, Value(S, 4, 0.0), Value(S, 0, 1.0))
    if live_first:
        push(a, Value(2 * S, 0, 1.0))
    push(a, Value(2 * S, 4, 1.0), retain=True)
    if not live_first:
        push(a, Value(2 * S, 0, 1.0))
    changes = changes_of(a.close(now_ns=0, final=True))
    assert [(c.value, c.live) for c in changes] == [(0.0, False), (1.0, False)]


def test_a_first_value_is_not_live_and_a_repeated_one_is_no_change() -> None:
    """Only a change from a known value to another is an edge."""
    a = aligner(grid=False)
    for t, value in enumerate((1.0, 1.0, 0.0, 0.0, 1.0), start=1):
        push(a, Value(t * S, 4, value))
    changes = changes_of(a.close(now_ns=0, final=True))
    assert repr([(c.t_ns // S, c.value, c.previous, c.live) for c in changes]) == repr(
        [(1, 1.0, NAN, False), (3, 0.0, 1.0, True), (5, 1.0, 0.0, True)]
    )


@pytest.mark.parametrize("grid", [False, True], ids=["rows", "grid"])
def test_a_late_edge_counts_from_now_on_and_not_backwards(*, grid: bool) -> None:
    """The falling edge that ends a job must not be lost; it acts behind what is closed."""
    a = aligner(grid=grid)
    push(a, Value(S, 4, 0.0), Value(S, 3, 1.0), Value(S, 0, 1.0))
    push(a, Value(2 * S, 4, 1.0), Value(2 * S, 0, 1.0))
    push(a, Value(6 * S, 0, 1.0))
    a.close(now_ns=0, final=True)
    push(a, Value(4 * S, 4, 0.0))
    push(a, Value(3 * S, 4, 1.0))  # older than what is known by now
    push(a, Value(5 * S, 3, 0.0))
    assert a.counts == {"late": 3}
    push(a, Value(7 * S, 0, 1.0))
    batches = a.close(now_ns=0, final=True)
    changes = [(c.t_ns, c.tag, c.value, c.live) for c in changes_of(batches)]
    assert changes == [(6 * S + 1, "cal", 0.0, True), (6 * S + 1, "run", 0.0, True)]
    assert not samples_of(batches)[-1].running


def test_edges_beside_samples_are_bounded_and_counted() -> None:
    """A chattering tag cannot fill the memory."""
    a = aligner(grid=True)
    push(a, *(Value(i, 4, float(i % 2)) for i in range(1, PENDING_CHANGES_MAX + 100)))
    changes = changes_of(a.close(now_ns=0, final=True))
    assert a.counts == {"context_overflow": 98}
    assert len(changes) <= PENDING_CHANGES_MAX + 1


#   a    x     x     x
#   cal     1     0         its own times are no samples, or every lag would end at them
#   -----1s----2s----3s->
def test_rows_of_context_alone_are_no_samples() -> None:
    """They bring changes; a row that names channels, all null, is a sample without values."""
    a = aligner(grid=False)
    push(a, Value(S, 0, 1.0))
    for v in (Value(S + 5, 4, 1.0), Value(2 * S + 5, 4, 0.0)):
        push(a, v)
    push(a, Value(3 * S, 0, NAN), Value(3 * S, 1, NAN))
    batches = a.close(now_ns=0, final=True)
    assert [s.t_ns for s in samples_of(batches)] == [S, 3 * S]
    assert [(c.t_ns, c.value) for c in changes_of(batches)] == [(S + 5, 1.0), (2 * S + 5, 0.0)]
