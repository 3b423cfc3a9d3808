"""Doubt and bounds: sources, clocks, budgets, bystanders and severity, each for its asset only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from edge.caps import BEATS_MAX
from edge.records import MessageReceived, TickDue
from edge.settings import ContextTag
from edge.verdicts.bystanders import partners_usual
from edge.wire.readings import encode_rows
from kb.records import Limit
from tests.edge.rig import QUOTE, START, Rig, S, bundle, knowledge, normal, scope, settings
from tests.edge.test_rulings import at_work, failed

if TYPE_CHECKING:
    from edge.desk import Knowledge

BEAT = ContextTag(tag="beat", role="heartbeat", interval_ms_max=3_000)


def system(rig: Rig) -> list[tuple[int, str]]:
    """What was said of our own troubles."""
    found = [m for m in rig.published if m.topic == "andon/s/alert/_gateway/system"]
    told = [msgspec.json.decode(message.payload) for message in found]
    return [(one["active"], one["message"]) for one in told]


# --- budget ---


def test_a_spent_budget_is_told_once_a_shift_and_in_the_alert() -> None:
    """The asset's, whatever the track; the next shift has a new one, and says so."""
    engine = {"suppressions_per_shift_max": 1, "clear_samples": 5, "shift_s": 3_600}
    engine["shift_start_s"] = START // S % 3_600
    rig = at_work(Rig(conf=settings(engine=engine)))
    for _ in range(3):
        rig.run(10, {"c1": 8})
        rig.run(60)
    assert rig.said()[0] == "suppressed"
    assert rig.said().count("suppressed") == 1
    assert failed(rig.events()[-2]) == {"budget"}
    assert any("budget" in sentence["text"] for sentence in rig.events()[-2]["explanation"])
    (told,) = system(rig)
    assert told[0] == 1
    assert "budget of r1 spent" in told[1]
    rig.context["cal"] = 0.0
    rig.run(3_600, step=60)
    assert [active for active, _ in system(rig)] == [1, 0]


def test_one_budget_serves_all_tracks_of_an_asset() -> None:
    """In the order in which things happened, however the stream was cut."""
    for step in (1, 5, 60):
        conf = settings(engine={"suppressions_per_shift_max": 1})
        rig = Rig(conf=conf, known=knowledge(scopes=[scope(duration_s_max=3000)]))
        rig.run(300, step=step)
        rig.context["cal"] = 1.0
        rig.run(100, stuck=["c1"], step=step)
        rig.run(30, {"c1": 8}, step=step)
        assert rig.said(track="sensor")[0] == "suppressed"
        assert rig.said()[0] == "ALERT"
        assert "budget" in failed(rig.events()[0])


def test_a_shift_begins_when_the_site_says_so() -> None:
    """Five minutes after the begin of the script, with the second event."""
    start_s = (START // S + 350) % 600
    engine = {"suppressions_per_shift_max": 1, "shift_s": 600, "shift_start_s": start_s}
    rig = at_work(Rig(conf=settings(engine={**engine, "clear_samples": 5})))
    rig.run(10, {"c1": 8})
    rig.run(60)
    rig.run(10, {"c1": 8})
    assert rig.said().count("suppressed") == 2


# --- sources and clocks ---


def beating() -> Rig:
    """r1 has a heartbeat."""
    rig = Rig(conf=settings(context=(BEAT,)))
    rig.context["beat"] = 0.0
    return rig


def test_a_heart_that_beats_changes_nothing() -> None:
    """Every second a new number, at most three apart."""
    rig = at_work(beating())
    rig.run(30, {"c1": 6})
    assert rig.said() == ["suppressed"]


@pytest.mark.parametrize("step", [1, 5, 30])
def test_a_heart_that_stops_is_doubt(step: int) -> None:
    """Values come on, but nobody knows whether they are alive."""
    rig = at_work(beating())
    rig.run(30, {"c1": 6}, step=step)
    rig.beating = False
    rig.run(30, {"c1": 6}, step=step)
    assert rig.said() == ["suppressed", "ALERT"]
    assert failed(rig.events()[-1]) == {"heartbeat"}
    assert rig.seconds(rig.events()[-1]) == pytest.approx(334, abs=2)


def test_a_heart_that_was_never_seen_to_beat_is_not_known() -> None:
    """A constant, or a tag that does not come."""
    rig = beating()
    rig.beating = False
    at_work(rig).run(30, {"c1": 6})
    assert rig.said() == ["ALERT"]
    clause = next(c for c in rig.events()[0]["clauses"] if c["name"] == "heartbeat")
    assert clause["outcome"] is None


def test_a_heart_without_values_does_not_fill_the_memory() -> None:
    """The channels are dead for an hour, and only the tag comes; it is what was seen last."""
    rig = beating()
    rig.run(20)
    for _ in range(BEATS_MAX + 500):
        t_ns = START + rig.at * S
        for body in encode_rows(["beat"], [t_ns], [[float(rig.at)]], shape="columnar"):
            rig.give(MessageReceived(topic="plant/r1", payload=body, received_ns=t_ns), now_ns=t_ns)
        rig.at += 1
        rig.give(TickDue())
    beats = rig.engine.state.assets["r1"].beats["beat"]
    assert len(beats) <= BEATS_MAX
    assert beats[-1] >= START + (rig.at - 10) * S


@pytest.mark.parametrize("off_s", [9_999, -600])
def test_a_clock_that_is_off_is_doubt_for_its_own_asset_only(off_s: int) -> None:
    """Ahead, or behind by more than the bound; the next honest time ends it."""
    rig = at_work(Rig())
    rig.run(10)
    for asset, doubt in (("r11", False), ("r1", True)):
        stamp = (rig.now_ns + off_s * S) // 10**6
        rig.send(f"plant/{asset}", b'{"ts": %d, "c0": 1}' % stamp)
        rig.give(TickDue())
        assert rig.engine._desk.clock_agrees("r1") is not doubt
        assert asset in rig.engine.state.suspects
    rig.run(5)
    assert rig.engine.state.suspects == []


def test_a_clock_in_doubt_fails_its_clause_and_no_other() -> None:
    """What was suppressed rings."""
    rig = at_work(Rig())
    rig.run(10, {"c1": 6})
    rig.engine.state.suspects.append("r1")
    rig.give(TickDue())
    track, record = rig.engine.state.assets["r1"].tracks, rig.engine.state.assets["r1"].alerts
    asset = rig.engine._assets["r1"]
    assert track["process"].active
    asset._rulings.recheck(record["process"].track, t_ns=rig.now_ns)
    rig.give(TickDue())
    assert failed(rig.events()[-1]) == {"clock"}


def test_a_retained_value_of_long_ago_is_no_slow_clock() -> None:
    """The broker kept it; it says nothing about the source."""
    rig = Rig()
    rig.run(10)
    rig.send("plant/r1", b'{"ts": %d, "c0": 1}' % (START // 10**6 - 10**9), retain=True)
    assert rig.engine.state.suspects == []


# --- bystanders and severity ---


def test_a_disturbance_that_spreads_into_channels_that_are_not_masked_rings() -> None:
    """Coupled channels: what the work may not disturb is over threshold."""
    rig = at_work(Rig())
    rig.run(30, {"c1": 6, "c2": 4})
    assert rig.said()[-1] == "ALERT"
    assert "mask" in failed(rig.events()[-1])


def test_a_redundant_partner_that_moves_too_ends_the_suppression() -> None:
    """Both measure the same: it is the plant, not the instrument."""
    conf = settings(r1={"redundant": (("c1", "c3"),)})
    rig = at_work(Rig(conf=conf))
    rig.run(30, {"c1": 6})
    assert rig.said() == ["suppressed"]
    rig.run(30, {"c1": 6, "c3": 2.6}, step=1)
    event = rig.events()[-1]
    assert event["active"] == 1
    assert failed(event) & {"partner", "mask"}


@pytest.mark.parametrize(
    ("shift", "samples", "expected"),
    [(0.0, 10, True), (3.0, 10, False), (-3.0, 10, False), (3.0, 2, None), (0.0, 200, True)],
)
def test_a_partner_is_judged_by_the_mean_of_ten(
    shift: float, samples: int, *, expected: bool | None
) -> None:
    """One value beyond the usual range is noise; two say nothing."""
    model = next(m for m in bundle().assets if m.asset == "r1")
    values = (normal("r1")[:samples] + shift * model.sigma).astype(np.float32)
    running = np.ones(samples, bool)
    assert partners_usual(values, running, (3,), model=model) is expected
    assert partners_usual(values, ~running, (3,), model=model) is None
    assert partners_usual(values, running, (), model=model) is True


@pytest.mark.parametrize("side", ["usual_low", "usual_high"])
@pytest.mark.parametrize("shift", [0.0, 6.0, -6.0])
def test_a_partner_of_which_one_side_is_not_known_cannot_vouch(side: str, shift: float) -> None:
    """It was made from one limit, before any fit; beyond the side that is known is still beyond."""
    fitted = next(m for m in bundle().assets if m.asset == "r1")
    unknown = np.full_like(fitted.usual_low, np.nan)
    model = msgspec.structs.replace(fitted, **{side: unknown})
    values = (normal("r1")[:20] + shift * fitted.sigma).astype(np.float32)
    beyond = (side == "usual_low" and shift > 0) or (side == "usual_high" and shift < 0)
    outcome = partners_usual(values, np.ones(20, bool), (3,), model=model)
    assert outcome is (False if beyond else None)


def test_a_partner_that_sends_nothing_cannot_vouch() -> None:
    """Not known is not as usual; a partner that is masked itself is not asked."""
    conf = settings(r1={"redundant": (("c1", "c3"),)})
    rig = at_work(Rig(conf=conf))
    index = 3
    values = rig.engine.state.ring.assets["r1"].values
    rig.run(2)
    values[:, index] = float("nan")
    parts = rig.engine._assets["r1"]._rulings._facts
    run = rig.runs[0]
    past = rig.engine._assets["r1"]._lookback.until(rig.now_ns, 10)
    assert parts.bystanders(run.mask, past, t_ns=rig.now_ns, samples=1) == (None, True)
    run.mask[index] = True
    assert parts.bystanders(run.mask, past, t_ns=rig.now_ns, samples=1) == (True, True)


def limited(**change: float | str | None) -> Knowledge:
    """The usual snapshot, with an engineering limit of c3 just above its usual range."""
    model = next(m for m in bundle().assets if m.asset == "r1")
    high = float(model.center[3] + 5 * model.sigma[3])
    limit = Limit(
        limit_id="l1",
        asset="r1",
        channel="c3",
        unit="",
        low_low=None,
        low=None,
        high=high,
        high_high=None,
        recorded_at_ns=START + 300 * S,  # a channel beyond its limit rings by itself
        approved_by="qa",
        citation=QUOTE,
    )
    return msgspec.structs.replace(knowledge(), limits=(msgspec.structs.replace(limit, **change),))


@pytest.mark.parametrize(
    ("change", "held"),
    [
        ({}, True),
        ({"channel": "c1", "high": -1e9}, True),
        ({"asset": "r11", "high": -1e9}, True),
        ({"recorded_at_ns": START + 9999 * S, "high": -1e9}, True),
        ({"high": -1e9}, False),
        ({"high": None, "low": 1e9}, False),
        ({"high": None, "high_high": -1e9}, False),
        ({"unit": "furlong"}, None),
    ],
)
def test_engineering_limits_bound_what_is_not_masked(
    change: dict[str, float | str | None], *, held: bool | None
) -> None:
    """The masked channel's own limit does not count, nor another asset's, nor a later one."""
    rig = at_work(Rig(known=limited(**change)))
    rig.run(30, {"c1": 6})
    assert rig.said() == (["suppressed"] if held else ["ALERT"])
    clause = next(c for c in rig.events()[0]["clauses"] if c["name"] == "limits")
    assert clause["outcome"] is held
    if not held:
        assert "limits" in failed(rig.events()[0])


@pytest.mark.parametrize(("severity", "quiet"), [(699, True), (700, False), (1000, False)])
def test_a_severe_asset_is_never_suppressed(severity: int, *, quiet: bool) -> None:
    """From the site's own bound on."""
    conf = settings(r1={"severity": severity}, engine={"suppress_severity_max": 700})
    rig = at_work(Rig(conf=conf))
    rig.run(30, {"c1": 6})
    assert rig.said() == (["suppressed"] if quiet else ["ALERT"])
    assert quiet or failed(rig.events()[0]) == {"severity"}
