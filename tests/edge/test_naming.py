"""An open event gets the name of a failure mode from the detector's head, and rings as it would."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest

from edge.alerts.alerts import FaultClass
from edge.alerts.resemblance import modes
from edge.records import BundleSwapped
from kb.records import FailureMode, Sign
from kb.retrieval.cite import cite
from models.heads.heads import LabelledWindow, train_head, with_heads
from models.heads.notes import NORMAL
from tests.edge.rig import CHANNELS, Rig, bundle, fitted_of, knowledge, var

if TYPE_CHECKING:
    from edge.desk import Knowledge
    from edge.takeover import Fitted

FAULTS: Final = {
    "worn": {"c0": 6.0},
    "clogged": {"c2": -6.0, "c3": 4.0},
    "loose": {"c1": 6.0},
}
STRANGE: Final = {"c0": -9.0, "c2": 9.0}
SAID: Final = ("fault_class", "fault_probability")


def _row(mode_id: str, *signs: tuple[str, str]) -> FailureMode:
    said = f"{mode_id}: {mode_id} of the table; cause of {mode_id}; look at {mode_id}"
    return FailureMode(
        mode_id=mode_id,
        name=f"{mode_id} of the table",
        asset="",
        signs=tuple(Sign(channel=channel, direction=way) for channel, way in signs),
        cause=f"cause of {mode_id}",
        action=f"look at {mode_id}",
        recorded_at_ns=0,
        citation=cite(said, 0, len(said), doc_id="modes.csv", revision="1", chunk_id=1),
    )


TABLE: Final = (
    _row("worn", ("c0", "high"), ("c3", "low")),
    _row("greasy", ("c0", "high")),
    _row("clogged", ("c2", "low")),
)


def known() -> Knowledge:
    """A snapshot with a table in which another mode fits the signs of a worn part better."""
    return msgspec.structs.replace(knowledge(), failure_modes=TABLE)


@functools.cache
def with_head() -> Fitted:
    """The rig's bundle with a head for r1, learned from eight events a class."""
    model = next(m for m in bundle().assets if m.asset == "r1")
    windows = []
    for label, shift in {NORMAL: {}, **FAULTS}.items():
        for i in range(8):
            seed = 1000 * sorted([NORMAL, *FAULTS]).index(label) + i
            values = var(100 + 30, seed=5000 + seed)[100:]
            for channel, sigmas in shift.items():
                k = CHANNELS.index(channel)
                values[:, k] += sigmas * (0.7 + 0.1 * i) * model.sigma[k]
            windows.append(LabelledWindow(values=values, begin=0, label=label, group=f"{label}{i}"))
    head = train_head(bundle(), "r1", windows)
    return fitted_of(with_heads(bundle(), {"r1": head}, created_at_ns=1))


def told(rig: Rig) -> list[tuple[Any, ...]]:
    """Of each revision what a class may change."""
    return [(e["revision"], e["fault_class"], e["history"][-1]["reason"]) for e in rig.events()]


def ringing(shift: dict[str, float], *, fitted: Fitted | None, step: int = 5) -> Rig:
    """r1 rings for a minute, and is quiet again."""
    rig = Rig(known=known(), fitted=fitted)
    rig.run(300, step=step)
    rig.run(60, shift, step=step)
    rig.run(60, step=step)
    return rig


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_labelled_fault_is_named(fault: str) -> None:
    """Once, right after it rings, with a probability; what was decided before stands."""
    rig = ringing(FAULTS[fault], fitted=with_head())
    first, second = rig.events()[:2]
    assert (first["fault_class"], first["fault_probability"]) == ("", None)
    assert second["fault_class"] == fault
    assert 0.5 < second["fault_probability"] <= 1.0
    assert second["history"][-1]["reason"].startswith(f"classified as {fault}, probability ")
    assert (second["decision"], second["severity"]) == (first["decision"], first["severity"])
    assert (second["rings"], second["state"]) == (first["rings"], first["state"])
    alert = [m for m in rig.published if m.topic == "andon/s/alert/r1/process"]
    assert msgspec.json.decode(alert[1].payload)["fault_class"] == fault


def test_the_explanation_cites_the_row_of_the_named_mode() -> None:
    """It comes first with the reason said, though the signs of another fit better."""
    plain = ringing(FAULTS["worn"], fitted=None)
    assert plain.events()[0]["resembles"][0]["mode_id"] == "greasy"
    event = ringing(FAULTS["worn"], fitted=with_head()).events()[1]
    best = event["resembles"][0]
    assert best["mode_id"] == "worn"
    assert best["reason"].startswith("classified from 32 labelled events, probability ")
    assert [one["mode_id"] for one in event["resembles"]].count("worn") == 1
    said = [one for one in event["explanation"] if one["role"] == "resembles"]
    assert "worn" in said[0]["text"]
    assert said[0]["citation"]["doc_id"] == "modes.csv"
    first = [one for one in event["explanation"] if one["role"] == "check_first"]
    assert "look at worn" in first[0]["text"]


def test_a_mode_without_a_row_is_named_all_the_same() -> None:
    """Its id and the reason; there is nothing to cite."""
    event = ringing(FAULTS["loose"], fitted=with_head()).events()[1]
    best = event["resembles"][0]
    assert (best["mode_id"], best["citation"]) == ("loose", None)


def test_what_the_head_does_not_know_rings_as_without_one() -> None:
    """The very same revisions but for the bundle's hash: an unknown fault is not held back."""
    with_, without = (ringing(STRANGE, fitted=one) for one in (with_head(), None))
    assert with_.events()
    for one, other in zip(with_.events(), without.events(), strict=True):
        assert one["fault_class"] == ""
        assert {**one, "lineage": 0} == {**other, "lineage": 0}


def test_however_the_stream_is_cut_the_same_is_said() -> None:
    """Looked at after so many samples, not after so many batches; nor does a restart matter."""
    want = told(ringing(FAULTS["clogged"], fitted=with_head(), step=1))
    assert any(one[1] == "clogged" for one in want)
    for step in (7, 60):
        assert told(ringing(FAULTS["clogged"], fitted=with_head(), step=step)) == want
    rig = Rig(known=known(), fitted=with_head())
    rig.run(300)
    rig.run(10, FAULTS["clogged"])
    rig.restart()
    rig.run(50, FAULTS["clogged"])
    rig.run(60)
    assert told(rig) == want


def test_another_fault_that_joins_takes_the_name_back() -> None:
    """As evidence grows: what began as one thing is none that is known."""
    rig = Rig(known=known(), fitted=with_head())
    rig.run(300)
    rig.run(12, FAULTS["worn"])
    rig.run(120, {**FAULTS["worn"], "c1": -40.0, "c3": -40.0})
    classes = [event["fault_class"] for event in rig.events()]
    assert "worn" in classes
    assert classes[-1] == ""
    reasons = [event["history"][-1]["reason"] for event in rig.events()]
    assert "not worn any more" in reasons
    assert rig.events()[-1]["active"] == 1


def test_a_class_keeps_nothing_quiet_and_rings_nothing() -> None:
    """Suppressed work stays suppressed and unnamed; when it rings after all, it is named."""
    rigs = []
    for fitted in (with_head(), None):
        rig = Rig(known=known(), fitted=fitted)
        rig.run(300)
        rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")
        rig.run(5)
        rig.run(30, FAULTS["loose"])
        rigs.append(rig)
    assert rigs[0].said() == rigs[1].said() == ["suppressed"]
    assert rigs[0].events()[0]["fault_class"] == ""
    for rig in rigs:
        rig.run(30, {**FAULTS["loose"], "c0": 15.0})
    assert "ALERT" in rigs[0].said()
    assert [s for s in rigs[0].said() if s == "suppressed"] == ["suppressed"]


def test_a_class_goes_with_the_bundle_that_gave_it() -> None:
    """It is taken back from the alert that goes on; the bundle that comes back names it again."""
    head, plain = with_head(), fitted_of(bundle())
    rig = Rig(known=known(), fitted=head, others={f.bundle.sha256: f for f in (head, plain)})
    rig.run(300)
    rig.run(40, FAULTS["worn"])
    assert rig.events()[-1]["fault_class"] == "worn"
    rig.give(BundleSwapped(bundle_sha256=plain.bundle.sha256, because="it named wrongly"))
    last = rig.events()[-1]
    assert last["lineage"]["bundle_sha256"] == plain.bundle.sha256
    assert (last["fault_class"], last["fault_probability"]) == ("", None)
    assert "classified" not in str(last["resembles"])
    assert "classified" not in str(last["explanation"])
    rig.give(BundleSwapped(bundle_sha256=head.bundle.sha256, because="it did not"))
    rig.run(20, FAULTS["worn"])
    assert rig.events()[-1]["fault_class"] == "worn"


def test_a_broken_sensor_hides_only_itself() -> None:
    """A stuck channel is not seen; the others name the fault."""
    rig = Rig(known=known(), fitted=with_head())
    rig.run(100)
    rig.run(200, stuck=("c3",))
    assert rig.events(track="sensor")
    rig.run(60, FAULTS["worn"], stuck=("c3",))
    assert "worn" in {event["fault_class"] for event in rig.events()}


def test_a_row_of_the_asset_itself_comes_before_one_of_any() -> None:
    """Both have the id that the head names."""
    own = msgspec.structs.replace(TABLE[0], asset="r1", name="worn part of r1")
    fault = FaultClass(name="WORN", probability=0.9, windows=40, samples=8)
    found = modes([TABLE[0], own], (), asset="r1", channels=CHANNELS, now_ns=1, fault=fault)
    assert [one.name for one in found] == ["worn part of r1"]
    assert found[0].score == pytest.approx(0.9)
    assert "classified from 40 labelled events, probability 0.90" in found[0].reason
    assert np.isfinite(found[0].score)
