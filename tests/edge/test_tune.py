"""Learning from labels: retrieval first, a reason, thresholds under a floor, and the gate."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import andon
from andon.tune_report import page
from andon.tune_words import last_lines
from edge.assembly.assembly import Assembly
from edge.audit.chain import records, verify
from edge.labels.book import add_labels
from edge.replays.backtest import Backtest
from edge.tuning.command import TuneRequest, Work, begun, settled
from edge.tuning.heads import Heads
from edge.tuning.report import Report, unproved
from edge.tuning.thresholds import with_shifts
from kb.snapshots.build import build
from models.bundles.assemble import make_bundle
from models.bundles.store import load, save
from models.fitting.extremes import OFF_SHARE
from models.heads.heads import heads_of
from tests.edge.label_plant import (
    BUMPS,
    KINDS,
    ROUNDS,
    S,
    asset,
    bundle,
    struck,
    truth_labels,
    written,
)
from tests.edge.test_label_sources import MODES, ns
from tests.models.plants import fitted

if TYPE_CHECKING:
    from edge.assessment.label_words import Label
    from models.bundles.bundle import Bundle

DELAY_NS = 120 * S  # that an operator may wait, as `edge.assessment.assess` has it


@dataclass(frozen=True)
class Plant:
    """A folder with a bundle, a recording, labels and a snapshot."""

    folder: Path

    def options(self, *more: str) -> list[str]:
        """Of `andon tune`, with what a test adds."""
        place = self.folder
        return [
            "tune", str(place / "bundle"), "--labels", str(place / "labels.jsonl"),
            "--recording", str(place / "recording"), "--kb", str(place / "snap"), *more,
        ]  # fmt: skip


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """The welding robot with everything that somebody who knows all has said of it."""
    folder = tmp_path_factory.mktemp("plant")
    save(bundle(), folder / "bundle")
    written(folder)
    add_labels(folder / "labels.jsonl", truth_labels())
    (folder / "kb").mkdir()
    (folder / "kb" / "failure_modes.csv").write_text(MODES, encoding="utf-8")
    build(folder / "kb", folder / "snap", now_ns=ns("2026-01-01T00:00+00:00"))
    return Plant(folder)


@pytest.fixture(scope="module")
def tuned(plant: Plant) -> dict[str, Any]:
    """What the command tells of a run to its end."""
    options = plant.options("--because", "the tables do not tell tips from rolls", "--json")
    options += ["--html", str(plant.folder / "tuned.html")]
    done = CliRunner().invoke(andon.app, options)
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.not_counted
def test_without_a_reason_it_tells_what_retrieval_achieves_and_stops(plant: Plant) -> None:
    """Exit code 3, nothing written, and the sentence says what to do."""
    before = sorted(plant.folder.iterdir())
    done = CliRunner().invoke(andon.app, plant.options())
    assert done.exit_code == 3
    assert f"of {len(KINDS) * ROUNDS} events that name a failure mode" in done.output
    assert "--because" in done.output
    assert sorted(plant.folder.iterdir()) == before


@pytest.mark.not_counted
def test_it_makes_a_child_that_names_and_rings_less(tuned: dict[str, Any]) -> None:
    """Every fault that was found stays found, bumps fall silent, held-back events are named.

    One of the faults falls into a stop, where it cannot be seen.
    """
    assert tuned["stage"] == "made"
    parent, child = bundle(), load_out(tuned)
    assert child.parent == parent.sha256
    assert set(heads_of(child)[asset()].classes) >= {kind.value for kind in KINDS}
    (moved,) = tuned["moved"]
    assert moved["shift"] > 0
    model = child.assets[0]
    assert model.threshold_on == pytest.approx(parent.assets[0].threshold_on + moved["shift"])
    assert model.threshold_off == pytest.approx(OFF_SHARE * model.threshold_on)
    assert tuned["lost"] == []
    before, after = tuned["before_all"], tuned["after_all"]
    assert before["faults"] == len(KINDS) * ROUNDS
    assert after["found"] == before["found"] >= before["faults"] - 1
    assert after["quiet_rang"] < before["quiet_rang"] <= BUMPS
    assert tuned["after"]["right"] > tuned["after"]["wrong"]


def load_out(told: dict[str, Any]) -> Bundle:
    """The bundle that a run wrote, checked as any other."""
    return load(Path(told["out"]))


def test_the_bundle_tells_what_it_was_made_of(tuned: dict[str, Any], plant: Plant) -> None:
    """Labels by hash, counts by class, the reason, figures; on the card too, and in the audit."""
    child = load_out(tuned)
    record = child.assets[0].tuned
    assert record is not None
    assert record.labels_sha256 == tuned["labels_sha256"]
    assert record.counts == {**{kind.value: ROUNDS for kind in KINDS}, "nuisance": BUMPS}
    assert record.because == "the tables do not tell tips from rolls"
    assert record.metrics["recall"] > 0.5
    card = (plant.folder / "proposed" / child.sha256[:12] / "MODEL_CARD.md").read_text()
    assert record.because in card
    assert record.labels_sha256[:12] in card
    trail = plant.folder / "proposed" / "tuning-audit"
    assert verify(trail).broken is None
    noted = [one for one in records(trail) if one.what == "tuned"]
    assert noted[0].facts["because"] == record.because
    assert noted[0].facts["bundle"] == child.sha256


def test_the_report_is_one_file_with_before_and_after(tuned: dict[str, Any], plant: Plant) -> None:
    """Nothing fetched; retrieval, thresholds, both sides."""
    page = (plant.folder / "tuned.html").read_text(encoding="utf-8")
    assert tuned["labels_sha256"][:12] in page
    for said in ("Retrieval alone", "Thresholds", "Before and after", "<svg"):
        assert said in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.not_counted
def test_the_same_input_gives_the_same_bytes(tuned: dict[str, Any], plant: Plant) -> None:
    """In another place, all files of the bundle alike; with another time another bundle."""
    out = plant.folder / "again"
    why = ("--because", "the tables do not tell tips from rolls", "-o", str(out))
    done = CliRunner().invoke(andon.app, plant.options(*why))
    assert done.exit_code == 0, done.output
    assert load(out).sha256 == tuned["child_sha256"]
    refused = CliRunner().invoke(andon.app, plant.options(*why))
    assert refused.exit_code != 0  # a bundle is never changed


# --- the gate ---


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """One fault of each kind, each labelled; and the bumps, labelled as real for once."""
    folder = tmp_path_factory.mktemp("small")
    save(bundle(), folder / "bundle")
    written(folder, rounds=1)
    add_labels(folder / "labels.jsonl", all_real())
    return Plant(folder)


def all_real() -> list[Label]:
    """What was said of the small recording: every bump was real."""
    return [
        msgspec.structs.replace(one, label="real") if one.label == "nuisance" else one
        for one in truth_labels(1)
    ]


@pytest.fixture(scope="module")
def work(small: Plant) -> Work:
    """Labels and recording read, the parent replayed."""
    request = TuneRequest(
        bundle=small.folder / "bundle",
        labels=small.folder / "labels.jsonl",
        recordings=(small.folder / "recording",),
        because="to see",
        out=small.folder / "child",
    )
    return begun(request, None, str)


@pytest.fixture(scope="module")
def heard_before(work: Work) -> set[str]:
    """What rang with the parent."""
    return rung(work, work.parent)


def rung(work: Work, candidate: Bundle) -> set[str]:
    """Labelled stretches in which anything began to ring: the slow way, from what was published."""
    (opened,) = work.recorded
    backtest = Backtest(Assembly(opened.settings, bundle=candidate, snapshot=None).engine)
    backtest.run(opened.entries)
    heard: dict[tuple[str, int, int], int] = {}
    for event in backtest.revisions:
        if event["active"]:
            key = (event["id"], event["count"], event["rings"])
            heard.setdefault(key, event["ts_ms"] * 1_000_000)
    return {
        label.label_id
        for label in all_real()
        if any(label.begin_ns <= t_ns <= label.end_ns + DELAY_NS for t_ns in heard.values())
    }


@settings(max_examples=5)
@given(shift=st.floats(-0.5, 40.0))
@pytest.mark.not_counted
def test_what_misses_a_found_event_is_always_refused(
    work: Work, small: Plant, heard_before: set[str], shift: float
) -> None:
    """Whatever the tuning: refused and nothing written, exactly where an event would be lost."""
    child = with_shifts(work.parent, {asset(): shift})
    done = settled(work, child, Heads())
    lost = heard_before - rung(work, child)
    assert set(done.report.lost) == lost
    assert (done.stage == "refused") == bool(lost)
    out = small.folder / "child"
    assert out.exists() != bool(lost)
    shutil.rmtree(out, ignore_errors=True)


def test_an_override_writes_the_bundle_and_the_trail_names_what_it_gives_up(
    work: Work, small: Plant
) -> None:
    """A deaf bundle: refused without a word, kept with one, and everybody can read which."""
    deaf = with_shifts(work.parent, {asset(): 60.0})
    assert settled(work, deaf, Heads()).stage == "refused"
    out = small.folder / "deaf"
    report = msgspec.structs.replace(work.report, override="the robot goes next week")
    forced = replace(work, request=replace(work.request, out=out), report=report)
    done = settled(forced, deaf, Heads())
    assert done.stage == "made"
    assert done.report.lost
    tuned = load(out).assets[0].tuned
    assert tuned is not None
    assert tuned.override == "the robot goes next week"
    assert tuned.shift == pytest.approx(60.0)
    assert "the robot goes next week" in (out / "MODEL_CARD.md").read_text()
    trail = small.folder / "tuning-audit"
    assert verify(trail).broken is None
    (noted,) = [one for one in records(trail) if one.what == "tuned_although"]
    assert noted.facts["override"] == "the robot goes next week"
    for event in done.report.lost:
        assert event in str(noted.facts["although"])


def test_where_nothing_was_held_back_nothing_is_proved(work: Work) -> None:
    """The figures are then of what was learned from, and every class of one event is named."""
    alone = [event for event in work.events if event.names_mode]
    counts = {event.label: {event.asset: 1} for event in alone}
    few = replace(work, events=alone, report=msgspec.structs.replace(work.report, counts=counts))
    done = settled(few, with_shifts(work.parent, {asset(): 60.0}), Heads())
    text = "\n".join(last_lines(done))
    assert "nothing is proved" in text
    assert f"cannot be judged, however many windows it has: {', '.join(sorted(counts))}" in text
    assert f"On all {len(alone)} labelled events, none of them held back" in text
    assert "On 0 events" not in text
    assert f"found {len(alone)} of {len(alone)}" in text
    page(done).write(work.request.bundle.parent / "few.html")
    assert "nothing is proved" in (work.request.bundle.parent / "few.html").read_text("utf-8")


def test_held_back_events_prove_something(tuned: dict[str, Any]) -> None:
    """No warning where every class has events on both sides."""
    told = {key: value for key, value in tuned.items() if key != "stage"}
    assert unproved(msgspec.convert(told, Report, strict=False)) == []


def test_labels_of_nothing_in_these_recordings_are_said(small: Plant, tmp_path: Path) -> None:
    """Exit code 2, before anything runs long."""
    file = tmp_path / "labels.jsonl"
    add_labels(file, [msgspec.structs.replace(truth_labels(1)[0], asset="elsewhere")])
    options = small.options("--because", "x")
    options[options.index("--labels") + 1] = str(file)
    options = [one for one in options if one != "--kb" and not one.endswith("snap")]
    done = CliRunner().invoke(andon.app, options)
    assert done.exit_code != 0
    assert "none of its 1 labels" in str(done.exception)
    assert struck(1).rows > 0


def test_what_was_replayed_says_nothing_of_a_lower_threshold() -> None:
    """Alerts counted at the old one would be too few; at a higher one they are a bound."""
    before = make_bundle([fitted()])
    old, up, down = (with_shifts(before, {"r1": s}).assets[0] for s in (0.0, 0.5, -0.3))
    assert down.threshold_on < old.threshold_on < up.threshold_on
    assert old.replay is not None
    assert up.replay == old.replay
    assert down.replay is None
