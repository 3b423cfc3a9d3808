"""Commissioning in the core: nothing rings while it learns, engineers alone hear a shadow."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from edge.batches import Batch
from edge.bundles.probation import Probation
from edge.gateway.telemetry import Telemetry
from edge.records import BundleSwapped, CommissionTold
from edge.settings import CommissioningSettings
from edge.work.blind import blind_channels
from edge.work.commission import Commission, Stage, stage_text, took
from models.bundles.assemble import make_bundle
from models.bundles.bundle import UNRESOLVED
from models.bundles.unfitted import unfitted
from tests.edge.rig import CHANNELS, START, Rig, S, bundle, fitted_of, settings
from tests.edge.test_limits import known, limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.settings import GatewaySettings
    from models.bundles.bundle import AssetModel, Bundle

STEP: Final = {"c1": 15.0}
MINUTES: Final = 2.0


def conf(**change: Any) -> GatewaySettings:  # noqa: ANN401
    """r1 is commissioned, r11 is not."""
    learning = CommissioningSettings(assets=("r1",), learn_minutes=MINUTES, learn_rows=100)
    return settings(commissioning=learning, **change)


def model_of(asset: str) -> AssetModel:
    """One asset of the fitted bundle."""
    return next(model for model in bundle().assets if model.asset == asset)


@functools.cache
def bare() -> Bundle:
    """The same two assets before anything was learned."""
    unknown = np.full(4, np.nan)
    return make_bundle(
        [
            unfitted(
                model.asset,
                model.channels,
                period_ns=model.period_ns,
                usual_low=unknown,
                usual_high=unknown,
            )
            for model in bundle().assets
        ]
    )


def rig(*, learned: bool = True, **more: Any) -> Rig:  # noqa: ANN401
    """A plant with r1 in the shadow, or before its first fit."""
    other = {bundle().sha256: fitted_of(bundle()), bare().sha256: fitted_of(bare())}
    begun = other[(bundle() if learned else bare()).sha256]
    conf_of = more.pop("conf", None) or conf()
    return Rig(conf=conf_of, fitted=begun, others=other, **more)


def word(what: str, asset: str = "r1") -> CommissionTold:
    """What ann says."""
    return CommissionTold(what=what, asset=asset, by="ann", because="a good week")


def told(one: Rig, asset: str = "r1") -> list[dict[str, Any]]:
    """What the topic of commissioning said, in order."""
    topic = f"andon/s/commissioning/{asset}"
    return [msgspec.json.decode(p.payload) for p in one.published if p.topic == topic]


def stage(one: Rig) -> Stage:
    """Where r1 stands."""
    commission = one.engine.state.assets["r1"].commission
    assert commission is not None
    return commission.stage


def asks(one: Rig) -> int:
    """How often operators were asked for attention by r1."""
    return sum(event["annunciate"] for event in one.events())


def test_a_shadow_is_for_engineers_and_asks_nobody_for_attention() -> None:
    """The alert is there with all it has to say; horn, load and escalation know nothing of it."""
    one = rig(conf=conf(engine={"escalate": True}, r1={"respond_min": 1}))
    one.run(60)
    one.run(120, STEP, other=STEP)
    shadow, loud = one.events()[-1], one.events("r11")[-1]
    assert (shadow["state"], shadow["active"]) == ("ACTIVE_UNACK", 1)
    assert (shadow["shadow"], shadow["annunciate"], shadow["rings"]) == (1, 0, 0)
    assert shadow["audience"] == "engineer"
    assert (loud["shadow"], loud["annunciate"], loud["rings"]) == (0, 1, 1)
    assert {ask.asset for ask in one.engine.load().frequent} == {"r11"}
    assert not any("class of severity" in turn["reason"] for turn in shadow["history"])
    assert told(one)[-1]["shadow_alerts"] in {0, 1}, "it is told now and then"
    assert one.engine.commissioning.report()[0].shadow_alerts == 1


def test_what_goes_on_rings_once_its_asset_is_accepted_and_ceases_when_that_is_withdrawn() -> None:
    """Each is a revision under its id, and each is in the audit trail with the name."""
    one = rig()
    one.run(60)
    one.run(60, STEP)
    shadow = one.events()[-1]
    one.give(word("accepted"))
    loud = one.events()[-1]
    assert (loud["id"], loud["shadow"], loud["annunciate"]) == (shadow["id"], 0, 1)
    assert loud["rings"] > shadow["rings"]
    assert "accepted by ann" in loud["history"][-1]["reason"]
    assert stage(one) is Stage.IN_SERVICE
    assert told(one)[-1]["stage"] == "IN_SERVICE"
    one.give(word("withdrawn"))
    assert (one.events()[-1]["shadow"], one.events()[-1]["annunciate"]) == (1, 0)
    assert stage(one) is Stage.SHADOW
    assert [what for what in one.audited() if what in {"accepted", "withdrawn"}] == [
        "accepted",
        "withdrawn",
    ]


def test_a_stage_that_keeps_alerts_from_operators_is_a_reason_to_be_told() -> None:
    """`andon why` names it."""
    one = rig(learned=False)
    state = one.engine.state.assets["r1"]
    assert "learning" in stage_text(state)[0]
    one.give(BundleSwapped(bundle_sha256=bundle().sha256))
    one.run(10)
    assert "andon accept" in stage_text(state)[0]
    one.give(word("accepted"))
    assert stage_text(state) == ()
    assert stage_text(one.engine.state.assets["r11"]) == ()


@bounded(max_examples=8)
@given(
    shifts=st.lists(
        st.tuples(st.sampled_from(CHANNELS), st.floats(-30, 30), st.integers(5, 40)),
        min_size=1,
        max_size=4,
    )
)
def test_nothing_rings_before_anything_was_learned(shifts: list[tuple[str, float, int]]) -> None:
    """Whatever the plant does: without a fit there is no score."""
    one = rig(learned=False)
    for channel, sigmas, seconds in shifts:
        one.run(seconds, {channel: sigmas})
    assert not one.events()
    assert stage(one) is Stage.LEARNING


def test_an_approved_limit_rings_in_every_stage() -> None:
    """People approved it: neither learning nor a shadow keeps it from operators."""
    for learned in (False, True):
        one = rig(learned=learned, known=known(limit("c3")))
        one.run(30)
        one.run(30, {"c3": 20.0})
        event = one.events()[-1]
        assert (event["shadow"], event["annunciate"]) == (0, 1), f"learned: {learned}"
        assert event["rings"] >= 1


def test_a_shadow_that_passes_a_limit_later_rings_from_then_on() -> None:
    """It began as something for engineers."""
    one = rig(known=known(limit("c3", sigmas=25.0)))
    one.run(30)
    one.run(30, {"c3": 15.0})
    assert one.events()[-1]["shadow"] == 1
    one.run(30, {"c3": 40.0})
    assert (one.events()[-1]["shadow"], one.events()[-1]["annunciate"]) == (0, 1)
    assert "limit" in one.events()[-1]["history"][-1]["reason"]


def test_what_was_learned_leads_into_the_shadow_and_no_bundle_leads_further() -> None:
    """A fit, a rollback and a promotion: service is a person's word alone, and outlasts bundles."""
    one = rig(learned=False)
    one.run(10)
    one.give(BundleSwapped(bundle_sha256=bundle().sha256, because="learned by the gateway"))
    one.run(10)
    assert stage(one) is Stage.SHADOW
    one.give(BundleSwapped(bundle_sha256=bare().sha256, because="rolled back"))
    one.run(10)
    assert stage(one) is Stage.LEARNING
    one.give(BundleSwapped(bundle_sha256=bundle().sha256))
    one.run(10)
    one.give(word("accepted"))
    child = make_bundle([], parent=bundle(), created_at_ns=1)
    one.fitted[child.sha256] = fitted_of(child)
    one.give(BundleSwapped(bundle_sha256=child.sha256, because="promoted by ann"))
    one.run(10)
    assert stage(one) is Stage.IN_SERVICE
    assert [each["stage"] for each in told(one)] == [
        "LEARNING", "SHADOW", "LEARNING", "SHADOW", "IN_SERVICE",
    ]  # fmt: skip


def test_an_asset_is_ready_when_enough_was_seen_and_again_after_a_fit_that_failed() -> None:
    """Minutes and rows of normal operation; a failure says why and waits for more."""
    one = rig(learned=False)
    one.run(115)
    assert not one.engine.commissioning.ready()
    one.run(10)
    assert one.engine.commissioning.ready() == [("r1", START)]
    failed = CommissionTold(
        what="not_fitted", asset="r1", by="the gateway", because="too few complete rows"
    )
    one.give(failed)
    assert not one.engine.commissioning.ready()
    assert told(one)[-1]["trouble"] == "too few complete rows"
    one.run(70)
    assert one.engine.commissioning.ready()


def test_an_accepted_asset_learns_again_where_nothing_is_known_of_it_any_more() -> None:
    """A rollback to the bundle before the first fit: it is not in service, whatever was said."""
    one = rig()
    one.run(10)
    one.give(word("accepted"))
    one.give(BundleSwapped(bundle_sha256=bare().sha256, because="rolled back"))
    one.run(50)
    assert stage(one) is Stage.LEARNING
    assert told(one)[-1]["rows"] > 0
    one.run(125)
    assert [asset for asset, _ in one.engine.commissioning.ready()] == ["r1"]
    one.give(BundleSwapped(bundle_sha256=bundle().sha256, because="learned"))
    one.run(10)
    assert stage(one) is Stage.IN_SERVICE


def test_alerts_of_a_shadow_end_no_probation_and_those_that_ring_do() -> None:
    """The same plant, the same alerts: who is asked for attention makes the difference."""
    said = {}
    for service in (False, True):
        one = rig()
        one.run(60)
        if service:
            one.give(word("accepted"))
        watch = Probation(one.engine, Telemetry(), alerts_per_day=6.0, alert_times=3.0, tick_ms=1e9)
        said[service] = ""
        for _ in range(10):
            one.run(20, STEP)
            said[service] = said[service] or watch.loud(one.engine)
            one.run(120)
    assert not said[False]
    assert "alerts in" in said[True]


def test_progress_is_told_with_what_is_left() -> None:
    """Flat scalars: an operator page and a SCADA tag can bind them."""
    one = rig(learned=False)
    one.context["run"] = 0.0
    one.run(30)
    assert told(one)[-1]["minutes_left"] is None, "it stands still: nothing is learned"
    one.context["run"] = 1.0
    one.run(65)
    body = told(one)[-1]
    assert not any(isinstance(value, dict | list) for value in body.values())
    assert 0.2 < body["share"] < 0.6
    assert body["minutes_left"] == pytest.approx(MINUTES - body["minutes"], abs=0.11)
    assert (body["rows_stopped"], body["days"]) == (30, 1)
    assert body["blind"] == ""


def test_a_restart_and_a_replay_know_what_was_said() -> None:
    """From a checkpoint, and from the stimuli alone, the engine is where it was."""
    one = rig()
    one.run(40)
    one.give(word("accepted"))
    one.run(20, STEP)
    one.restart()
    one.run(20, STEP)
    one.give(word("withdrawn"))
    again = rig()
    for now_ns, stimulus in one.sent:
        again.give(stimulus, now_ns=now_ns)
    mine = [p.payload for p in one.published]
    assert [p.payload for p in again.published] == mine
    assert again.engine.state.assets["r1"].commission == one.engine.state.assets["r1"].commission


def test_without_a_section_nothing_is_different() -> None:
    """Existing configurations: every asset is in service, nothing of this is published."""
    one = Rig()
    one.run(30)
    one.run(30, STEP)
    one.give(word("withdrawn"))
    assert one.events()[-1]["shadow"] == 0
    assert asks(one)
    assert not any("commissioning" in p.topic for p in one.published)
    assert one.engine.commissioning.report() == ()


def slow(batches: Sequence[Batch], model: AssetModel, working: Sequence[bool]) -> Commission:
    """The same counts, a sample at a time."""
    found = Commission(seen=[0] * len(model.channels))
    days: set[int] = set()
    for batch, busy in zip(batches, working, strict=True):
        for i, t_ns in enumerate(batch.t_ns.tolist()):
            finite = np.isfinite(batch.values[i])
            if not finite.any():
                continue
            if not batch.running[i]:
                found.stopped += 1
                continue
            if busy:
                continue
            step = t_ns - (found.newest_ns or t_ns)
            found.live_ns += step if step <= 60 * S else 0
            found.newest_ns, found.begun_ns = t_ns, found.begun_ns or t_ns
            found.rows += 1
            found.seen = [n + int(one) for n, one in zip(found.seen, finite, strict=True)]
            found.hours |= 1 << (t_ns // (3600 * S) % 24)
            days.add(t_ns // (86_400 * S))
            assert batch.mode is not None
            if np.isfinite(batch.mode[i]):
                name = f"{batch.mode[i]:g}"
                found.modes[name] = found.modes.get(name, 0) + 1
    found.days, found.day = len(days), max(days, default=-1)
    return found


@given(data=st.data())
def test_counts_are_those_of_a_sample_at_a_time_however_the_stream_is_cut(
    data: st.DataObject,
) -> None:
    """Gaps, stops, work, hours that pass and modes that change."""
    chance = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.integers(1, 60))
    steps = chance.choice([1, 1, 1, 30, 61, 4000, 90_000], size=n)
    t_ns = START + np.cumsum(steps) * S
    values = chance.normal(size=(n, 4)).astype(np.float32)
    values[chance.random((n, 4)) < 0.4] = np.nan
    running = chance.random(n) < 0.7
    mode = chance.choice([1.0, 2.0, np.nan], size=n)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(n - 1, 1)), max_size=5)))
    edges = [0, *(cut for cut in cuts if cut < n), n]
    whole = Batch(asset="r1", t_ns=t_ns, values=values, running=running, mode=mode)
    parts = [whole.part(a, b) for a, b in itertools.pairwise(edges)]
    working = [bool(chance.random() < 0.2) for _ in parts]
    model, fast = model_of("r1"), Commission()
    for part, busy in zip(parts, working, strict=True):
        took(fast, model, part, working=busy)
    assert fast == slow(parts, model, working)


def test_a_channel_that_shows_next_to_nothing_is_blind() -> None:
    """Before anything came, nothing can be said."""
    model = model_of("r1")
    few = Commission(rows=100, seen=[100, 5, 4, 0])
    assert blind_channels(bundle(), model, Commission()) == {}
    assert blind_channels(bundle(), model, few) == dict.fromkeys(
        ["c2", "c3"], "next to nothing came"
    )


def test_a_channel_that_the_detector_leaves_out_is_blind_with_the_reason() -> None:
    """It speaks as often as the others, and nobody listens; before anything came, too."""
    whole = bundle()
    model = model_of("r1")
    part, at = whole.place(model.row_running)
    present = part.parameters["present"].copy()
    present[at, [1, 3]] = False
    deaf = replace(
        whole, parts=(replace(part, parameters={**part.parameters, "present": present}),)
    )
    unresolved = msgspec.structs.replace(model, metrics={**model.metrics, f"{UNRESOLVED}c3": 1e-9})
    found = blind_channels(deaf, unresolved, Commission(rows=100, seen=[100, 100, 4, 0]))
    assert found == {
        "c1": "it is not scored: it had no value in the rows that were learned",
        "c2": "next to nothing came",
        "c3": "next to nothing came, and it is not scored: it moves by less than float32 shows",
    }
    assert list(blind_channels(deaf, model, Commission())) == ["c1", "c3"]
    assert blind_channels(bare(), bare().assets[0], Commission()) == {}, "nothing is scored yet"
