"""Gathering small messages changes nothing but the time that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.batches import Readings
from edge.samples.align import Aligner
from edge.samples.gather import Gather
from edge.samples.layouts import AssetLayout
from edge.samples.pending import AlignState
from edge.settings import AssetSettings, ContextTag, EngineSettings
from models.bundles.assemble import make_bundle
from tests.models.plants import SECOND_NS, fitted

if TYPE_CHECKING:
    from edge.batches import Batch

MODEL = make_bundle([fitted(rows=400)]).assets[0]
LAYOUT = AssetLayout.of(
    MODEL, AssetSettings(id="r1", context=(ContextTag(tag="mode", role="info"),))
)
TAG_SETS = (("c0", "c1", "c2", "c3"), ("c0", "mode"), ("mode",), ("c0", "nobody"))
FUTURE_NS = 20 * SECOND_NS
VALUES = st.sampled_from([0.0, 1.0, 2.5, float("nan"), 1e300])


@st.composite
def messages(draw: st.DrawFn) -> tuple[Readings, bool, bool]:
    """One message, whether it is retained, and whether a tick follows."""
    tags = draw(st.sampled_from(TAG_SETS))
    seconds = draw(st.lists(st.integers(0, 24), min_size=1, max_size=3))
    values = [[draw(VALUES) for _ in tags] for _ in seconds]
    readings = Readings(
        asset=draw(st.sampled_from(["r1", "r1", "r1", "r9"])),
        tags=tags,
        t_ns=np.array(seconds, np.int64) * SECOND_NS,
        values=np.array(values, np.float64),
    )
    return readings, draw(st.integers(0, 9)) == 0, draw(st.booleans())


@pytest.mark.parametrize("together_min", [0, 3, 1000])
@given(sent=st.lists(messages(), max_size=25))
def test_gathered_or_one_by_one_gives_the_same(
    sent: list[tuple[Readings, bool, bool]], together_min: int
) -> None:
    """Samples, context changes and counts, with ticks between any two messages."""
    alone, joined = (Aligner([LAYOUT], EngineSettings(), state=AlignState()) for _ in range(2))
    gather = Gather(joined, together_min=together_min)
    for readings, retain, tick in sent:
        alone.push(readings, future_ns=FUTURE_NS, retain=retain)
        gather.take(readings, future_ns=FUTURE_NS, retain=retain)
        if tick:
            gather.settle()
            now_ns = int(readings.t_ns.max())
            same(alone.close(now_ns=now_ns), joined.close(now_ns=now_ns))
    gather.settle()
    same(alone.close(now_ns=0, final=True), joined.close(now_ns=0, final=True))
    assert alone.counts == joined.counts


def same(left: list[Batch], right: list[Batch]) -> None:
    """Two lists of batches are equal."""
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one.t_ns, other.t_ns)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.running, other.running)
        assert repr(one.changes) == repr(other.changes)
