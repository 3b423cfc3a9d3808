"""The ring against a list."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.batches import Batch
from edge.samples.ring import Ring, RingState


@given(
    sizes=st.lists(st.integers(1, 9), max_size=30),
    capacity=st.integers(1, 12),
    ask=st.integers(0, 20),
    since=st.integers(-1, 300),
)
def test_the_ring_is_the_end_of_a_list_however_the_stream_is_cut(
    sizes: list[int], capacity: int, ask: int, since: int
) -> None:
    """Newest samples, oldest first, for any capacity and any batches, longer ones included."""
    ring = Ring({"a": 2, "b": 1}, state=RingState(), capacity=capacity)
    rows: list[tuple[int, list[float], bool]] = []
    for size in sizes:
        fresh = [(len(rows) + i, [len(rows) + i, 0.5], i % 2 == 0) for i in range(size)]
        ring.append(
            Batch(
                asset="a",
                t_ns=np.array([t for t, _, _ in fresh]),
                values=np.array([v for _, v, _ in fresh], np.float32),
                running=np.array([r for _, _, r in fresh]),
            )
        )
        rows += fresh
    kept = rows[-capacity:]
    for expected, found in (
        (kept[max(0, len(kept) - ask) :], ring.last("a", ask)),
        ([row for row in kept if row[0] >= since], ring.since("a", since)),
    ):
        t_ns, values, running = found
        assert t_ns.tolist() == [t for t, _, _ in expected]
        assert values.tolist() == [v for _, v, _ in expected]
        assert running.tolist() == [r for _, _, r in expected]
    assert len(ring.last("b", ask)[0]) == 0


def test_what_is_read_is_a_copy() -> None:
    """A reader may keep it while the ring goes on."""
    ring = Ring({"a": 1}, state=RingState(), capacity=2)
    one = Batch(
        asset="a", t_ns=np.array([1]), values=np.ones((1, 1), np.float32), running=np.array([True])
    )
    ring.append(one)
    t_ns, values, _ = ring.last("a", 2)
    t_ns[:] = 9
    values[:] = 9
    assert ring.last("a", 2)[0].tolist() == [1]
    assert ring.last("a", 2)[1].tolist() == [[1.0]]
