"""Values that came while an asset ran: counted in parts as one at a time over the whole."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.batches import Readings
from edge.commissioning.live_values import LiveCount, live_from_ns
from edge.settings import ContextTag

CONTEXT = (
    ContextTag(tag="motor", role="run"),
    ContextTag(tag="door", role="run", running=(0.0,)),
    ContextTag(tag="lot", role="info"),
)
TAGS = ("load", "heat", "motor", "door", "lot")


def message(tag: str, t_ns: int, value: float) -> Readings:
    """One value of one tag."""
    return Readings(
        asset="r1", tags=(tag,), t_ns=np.array([t_ns]), values=np.array([[value]], np.float64)
    )


def slow(messages: list[tuple[str, int, float]], until_ns: int) -> dict[str, list[int]]:
    """Times of values that came while it ran for certain, a message at a time."""
    motor = door = False
    live: dict[str, list[int]] = {"load": [], "heat": []}
    for tag, t_ns, value in messages:
        if tag == "motor":
            motor = value == 1.0
        elif tag == "door":
            door = value == 0.0
        elif tag in live and motor and door and t_ns <= until_ns:
            live[tag].append(t_ns)
    return live


@given(
    said=st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from([0.0, 1.0])), max_size=60),
    cuts=st.sets(st.integers(0, 60), max_size=5),
    until_ns=st.integers(0, 70),
    count=st.integers(1, 12),
)
def test_parts_from_the_newest_count_as_the_whole_does(
    said: list[tuple[str, float]], cuts: set[int], until_ns: int, count: int
) -> None:
    """Words of several run tags reach from one part into the next, and nothing else counts."""
    messages = [(tag, k + 1, value) for k, (tag, value) in enumerate(said)]
    every = [message(*one) for one in messages]
    live = slow(messages, until_ns)
    counted = LiveCount(CONTEXT, until_ns=until_ns)
    edges = [0, *sorted(cut for cut in cuts if cut < len(every)), len(every)]
    for low, high in reversed(list(itertools.pairwise(edges))):
        counted.older(every[low:high])
    most = max(len(times) for times in live.values())
    assert counted.has(most, among=1000)
    assert not counted.has(most + 1, among=1000)
    all_of = [sum(m[0] == tag and m[1] <= until_ns for m in messages) for tag in live]
    assert counted.has(1000, among=max(all_of))
    assert not counted.has(1000, among=max(all_of) + 1)
    begins = [times[-count] for times in live.values() if len(times) >= count]
    found = live_from_ns(every, CONTEXT, until_ns=until_ns, count=count)
    assert found == max(begins, default=0)


def test_without_run_tags_every_value_counts() -> None:
    """It is always on."""
    counted = LiveCount((), until_ns=9)
    counted.older([message("load", t_ns, 1.0) for t_ns in range(8)])
    assert counted.has(8, among=100)
    assert not counted.has(9, among=100)
