"""Engineering limits ring by themselves: beyond them, unmasked, running, and known by then."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from edge.engine import Engine
from edge.records import Note, Track
from edge.samples.limits import Starts, watch_of
from kb.records import Limit
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Bundle, Channel
from models.bundles.rows import without
from models.bundles.unfitted import unfitted
from models.detector import detectors_of
from tests.edge.rig import (
    CHANNELS,
    QUOTE,
    START,
    Rig,
    S,
    bundle,
    knowledge,
    order,
    scope,
    settings,
)

if TYPE_CHECKING:
    from edge.desk import Knowledge
    from edge.samples.scoring import Score
    from edge.state import EngineState


def limit(channel: str = "c3", *, sigmas: float = 12.0, **change: Any) -> Limit:  # noqa: ANN401
    """A limit H of a channel of r1, so many sigmas above its centre."""
    model = next(m for m in bundle().assets if m.asset == "r1")
    i = CHANNELS.index(channel)
    row = Limit(
        limit_id=f"{channel}-{sigmas}",
        asset="r1",
        channel=channel,
        unit="",
        low_low=None,
        low=None,
        high=float(model.center[i] + sigmas * model.sigma[i]),
        high_high=None,
        recorded_at_ns=0,
        approved_by="qa",
        citation=QUOTE,
    )
    return msgspec.structs.replace(row, **change)


def known(*limits: Limit, **more: Any) -> Knowledge:  # noqa: ANN401
    """The usual snapshot with limits."""
    return msgspec.structs.replace(knowledge(**more), limits=limits)


class Unfitted(Rig):
    """The same plant, of which nothing was learned."""

    @staticmethod
    @functools.cache
    def made() -> tuple[Bundle, tuple[Score, ...]]:
        """Both assets, with their channels alone."""
        nothing = np.full(len(CHANNELS), np.nan)
        fits = [
            unfitted(m.asset, m.channels, period_ns=S, usual_low=nothing, usual_high=nothing)
            for m in bundle().assets
        ]
        made = make_bundle(fits)
        return made, detectors_of(made)

    def _engine(self, state: EngineState | None) -> Engine:
        made, detectors = self.made()
        return Engine(
            self.settings,
            bundle=made,
            detectors=detectors,
            derive=lambda row, keep: without(made, row, keep),
            knowledge=self.known,
            knowledge_of=self.swapped.__getitem__,
            state=state,
        )


def notes(rig: Rig, name: str) -> list[Note]:
    """Log lines of a name."""
    return [e for e in rig.effects if isinstance(e, Note) and e.name == name]


@pytest.mark.parametrize("kind", [Rig, Unfitted])
@pytest.mark.parametrize(
    ("change", "shift", "level"),
    [
        ({}, 20.0, "H"),
        ({"high_high": -1e9}, 20.0, "HH"),
        ({"high": None, "low": 1e9}, 0.0, "L"),
        ({"high": None, "low": 1e10, "low_low": 1e9}, 0.0, "LL"),
    ],
)
def test_what_is_beyond_a_limit_rings_and_cites_it(
    kind: type[Rig], change: dict[str, Any], shift: float, level: str
) -> None:
    """Before any fit too; the sentence names the level and cites the approved row."""
    rig = kind(known=known(limit(**change)))
    rig.run(30)
    rig.run(10, {"c3": shift})
    assert rig.said() == ["ALERT"]
    (sentence,) = [s for s in rig.events()[0]["explanation"] if "beyond its limit" in s["text"]]
    assert f"limit {level}," in sentence["text"]
    assert sentence["citation"]["doc_id"] == QUOTE.doc_id


def test_an_asset_of_which_nothing_was_learned_rings_by_limits_alone_and_clears() -> None:
    """Nothing else is strange to it, and nothing within a limit keeps it ringing."""
    rig = Unfitted(known=known(limit()))
    rig.run(60)
    rig.run(30, {"c1": 50})
    assert rig.said() == []
    rig.run(10, {"c3": 20})
    rig.run(70)
    assert rig.said() == ["ALERT", "CLEARED_UNACK"]
    rig.restart()
    rig.run(10, {"c3": 20})
    assert rig.said()[-1] == "ALERT"


@pytest.mark.parametrize("kind", [Rig, Unfitted])
def test_what_stands_still_is_not_watched(kind: type[Rig]) -> None:
    """A pressure may fall to nothing while nothing runs."""
    rig = kind(known=known(limit(high=-1e9)))
    rig.context["run"] = 0.0
    rig.run(60)
    assert rig.said() == []
    rig.context["run"] = 1.0
    rig.run(40)
    assert rig.said() == ["ALERT"]


@pytest.mark.parametrize("kind", [Rig, Unfitted])
@pytest.mark.parametrize(
    ("stood_s", "settles_s", "conf"),
    [
        (100, 30, {}),  # as set
        (10, 10, {}),  # never longer than it had stood still
        (100, 75, {"engine": {"start_settle_s": 75}}),
        (100, 0, {"engine": {"start_settle_s": 0}}),
        (100, 0, {"safety": ("c3",)}),
    ],
)
def test_limits_count_again_when_the_asset_has_settled_after_a_start(
    kind: type[Rig], stood_s: int, settles_s: int, conf: dict[str, Any]
) -> None:
    """Over a restart of the gateway too."""
    row = limit(sigmas=-50.0, recorded_at_ns=START + 51 * S)
    rig = kind(known=known(row), conf=settings(**conf))
    rig.run(50)
    rig.context["run"] = 0.0
    rig.run(stood_s)
    rig.restart()
    rig.context["run"] = 1.0
    rig.run(5)
    rig.restart()
    rig.run(115)
    first = rig.events()[0]
    assert first["begin_ms"] == (START + (50 + stood_s + settles_s) * S) // 10**6


def test_a_first_sample_is_no_start() -> None:
    """Nobody has seen it stand still."""
    rig = Rig(known=known(limit(high=-1e9)))
    rig.run(10)
    assert rig.events()[0]["begin_ms"] == START // 10**6


@bounded(max_examples=200)
@given(
    running=st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=12),
    cuts=st.sets(st.integers(1, 60), max_size=6),
    settle_s=st.integers(0, 12),
)
def test_settling_is_the_same_however_the_stream_is_cut(
    running: list[tuple[bool, int]], cuts: set[int], settle_s: int
) -> None:
    """Sample by sample: younger than the settling, and than the stop before it."""
    runs = np.array([one for on, n in running for one in [on] * n])
    t_ns = 100 * S + S * np.arange(len(runs))
    expected = []
    for i, on in enumerate(runs):
        start = i
        while start > 0 and runs[start - 1]:
            start -= 1
        stop = start
        while stop > 0 and not runs[stop - 1]:
            stop -= 1
        expected.append(bool(on) and i - start < min(settle_s, start - stop))
    starts = Starts()
    found: list[bool] = []
    for part in np.split(np.arange(len(runs)), sorted(c for c in cuts if c < len(runs))):
        found += starts.settling(t_ns[part], runs[part], settle_ns=settle_s * S).tolist()
    assert found == expected


def test_a_masked_channel_beyond_its_limit_is_quiet_while_its_job_is_live() -> None:
    """And rings when that is over."""
    rig = Rig(known=known(limit("c1", sigmas=4.0), proposals=[order()]))
    rig.run(310)
    rig.run(165, {"c1": 8})
    assert rig.said() == ["suppressed"]
    rig.run(10, {"c1": 8})
    assert rig.said()[-1] == "ALERT"


def test_an_unmasked_channel_beyond_its_limit_rings_under_a_job() -> None:
    """Whatever the job's own channel shows."""
    rig = Rig(known=known(limit(), proposals=[order()]))
    rig.run(310)
    rig.run(20, {"c1": 8})
    rig.run(5, {"c1": 8, "c3": 20})
    assert rig.said() == ["suppressed", "ALERT"]


def test_a_limit_of_another_unit_rings_nothing_and_is_said_once() -> None:
    """It cannot be compared, and is not forgotten in silence."""
    rig = Rig(known=known(limit(high=-1e9, unit="furlong")))
    rig.run(60)
    assert rig.said() == []
    (note,) = notes(rig, "limit_unit_differs")
    assert (note.level, note.fields["limit_unit"]) == ("warning", "furlong")


@given(
    value=st.floats(-1e6, 1e6, width=32),
    level=st.floats(-1e6, 1e6),
)
def test_a_value_that_stands_at_its_limit_is_within(value: float, level: float) -> None:
    """As samples are stored: a level is rounded like the value that is held against it."""
    channels = [Channel(name="c3", unit="bar")]
    watch = watch_of([limit(high=level)], channels=channels, now_ns=1)
    assert watch is not None
    at = np.array([[np.float32(level)], [np.float32(value)], [np.nan]], np.float32)
    found = watch.excess(at)[:, 0].tolist()
    assert found == [0, int(np.float32(value) > np.float32(level)), 0]


LEVEL = st.none() | st.integers(-3, 3).map(float)


@bounded(max_examples=150)
@given(
    rows=st.lists(
        st.tuples(LEVEL, LEVEL, LEVEL, LEVEL, st.sampled_from([5, 6, 7])), min_size=1, max_size=5
    ),
    values=st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=4),
)
def test_rows_that_contradict_each_other_each_count_where_none_is_newer(
    rows: list[Any], values: list[float]
) -> None:
    """Of the newest time a value is beyond what it is beyond of any row; older rows say nothing."""
    names = ("low_low", "low", "high", "high_high", "recorded_at_ns")
    limits = [
        limit(limit_id=str(i), **dict(zip(names, row, strict=True))) for i, row in enumerate(rows)
    ]
    channels = [Channel(name="c3", unit="bar")]
    shown = np.array(values, np.float32)[:, None]
    newest = (
        max(one.recorded_at_ns for one in limits if one.recorded_at_ns <= 6)
        if any(one.recorded_at_ns <= 6 for one in limits)
        else None
    )
    whole = watch_of(limits, channels=channels, now_ns=6)
    if newest is None:
        assert whole is None
        return
    assert whole is not None
    single = [
        watch.excess(shown)
        for one in limits
        if one.recorded_at_ns == newest
        and (watch := watch_of([one], channels=channels, now_ns=6)) is not None
    ]
    assert whole.excess(shown).tolist() == np.max(single, axis=0).tolist()


def test_the_sentence_cites_the_row_that_is_stricter() -> None:
    """Whichever of the two was written first; the other one stays, and says the other side."""
    strict, loose = limit(sigmas=12.0, limit_id="b"), limit(sigmas=90.0, limit_id="a", low=-1e9)
    strict = msgspec.structs.replace(
        strict, citation=msgspec.structs.replace(QUOTE, doc_id="strict")
    )
    for rows in ((strict, loose), (loose, strict)):
        rig = Rig(known=known(*rows))
        rig.run(30)
        rig.run(10, {"c3": 20})
        (event,) = rig.events()
        (sentence,) = [s for s in event["explanation"] if "beyond its limit" in s["text"]]
        assert sentence["citation"]["doc_id"] == "strict"


@functools.cache
def later(steps: tuple[int, ...]) -> list[Any]:
    """Every revision of a run that is cut so, where limits are approved as it goes on."""
    low = limit(sigmas=-50.0, limit_id="l2", recorded_at_ns=START + 137 * S)
    high = limit(sigmas=50.0, limit_id="l3", recorded_at_ns=START + 152 * S)
    rig = Rig(known=known(limit(), low, high))
    for step in steps:
        rig.run(step, step=step)
    rig.run(260 - rig.at, step=260)
    return rig.events()


@bounded(max_examples=8, deadline=None)
@given(steps=st.lists(st.integers(1, 125), max_size=2).map(tuple))
def test_a_limit_approved_later_counts_from_then_on_however_the_stream_is_cut(
    steps: tuple[int, ...],
) -> None:
    """The same revisions at the same plant times."""
    whole = later(())
    assert [event["active"] for event in whole] == [1, 0]
    assert whole[0]["begin_ms"] == (START + 137 * S) // 10**6
    told = [(e["history"], e["explanation"], e["contributions"]) for e in later(steps)]
    assert told == [(e["history"], e["explanation"], e["contributions"]) for e in whole]


@pytest.mark.parametrize(("back", "rings"), [(0.975, 1), (0.5, 3)])
@pytest.mark.parametrize("kind", [Rig, Unfitted])
def test_a_value_that_hovers_around_its_limit_rings_once(
    kind: type[Rig], back: float, rings: int
) -> None:
    """Back within the limit by less than the deadband it has not come back."""
    high = limit(sigmas=30.0)
    rig = kind(known=known(msgspec.structs.replace(high, low=_low(high, -30.0))))
    rig.run(300)
    for _ in range(3):
        rig.run(20, {"c3": 40})
        rig.run(200, {"c3": 30.0 - 60.0 * (1.0 - back)})
    assert rig.said().count("ALERT") == rings


def _low(high: Limit, sigmas: float) -> float:
    model = next(m for m in bundle().assets if m.asset == high.asset)
    i = CHANNELS.index(high.channel)
    return float(model.center[i] + sigmas * model.sigma[i])


@given(
    low=st.floats(-1e3, 1e3, width=32),
    wide=st.floats(1.0, 1e3, width=32),
    at=st.floats(-0.2, 1.2),
)
def test_beyond_a_limit_is_near_it_and_the_middle_is_not(
    low: float, wide: float, at: float
) -> None:
    """Whatever the scale; and of a channel with one limit nothing within is near."""
    channels = [Channel(name="c3", unit="bar")]
    watch = watch_of([limit(low=low, high=low + wide)], channels=channels, now_ns=1)
    single = watch_of([limit(high=low + wide)], channels=channels, now_ns=1)
    assert watch is not None
    assert single is not None
    value = np.array([[low + at * wide]], np.float32)
    beyond, near = bool(watch.excess(value).any()), bool(watch.near(value).any())
    assert near or not beyond
    if 0.1 < at < 0.9:
        assert not near
    assert bool(single.near(value).any()) == bool(single.excess(value).any())


@pytest.mark.parametrize("kind", [Rig, Unfitted])
def test_a_job_that_hides_every_channel_leaves_nothing_that_could_be_calm(kind: type[Rig]) -> None:
    """Its limit rings, whether the asset was fitted or has its limits alone."""
    told = knowledge(scopes=[scope(channels=CHANNELS)], proposals=[order()])
    rig = kind(known=msgspec.structs.replace(told, limits=(limit("c1", sigmas=6.0),)))
    rig.run(350)
    rig.run(20, {"c1": 25.0})
    assert not rig.engine.state.assets["r1"].alerts[Track.PROCESS].suppressed
    assert "ALERT" in rig.said()
