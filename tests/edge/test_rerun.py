"""Rerun: a run taken once more says what it said, and why nothing was said."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.console import Console

from edge.errors import RecordingError
from edge.knowledge.known import knowledge_of
from edge.knowledge.retrieve import look_up
from edge.records import Retrieve, Started, Stimulus
from edge.replays import why
from edge.replays.explain_command import begin_of, explain_command, nearest_ids
from edge.replays.rerun import Kept, Rerun, kept_of
from edge.replays.why_command import answered, page_of, plot, why_command
from edge.storage.journal_writer import JournalWriter
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from models.bundles.store import save
from tests.edge.rig import START, Rig, S, bundle

if TYPE_CHECKING:
    from pathlib import Path

SCOPE = """\
kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at
calibration,r1,x,c1,0.3,10,60,qa,2020-01-01T00:00:00+00:00
"""
MODES = """\
mode,asset,channels,cause,action
seal_worn,,c1:high,Lips of the seal are hard,Replace the seal
filter_clogged,r1,c3:low,Dirt,Clean the filter
"""
MANUAL = """\
# Pump

## Troubleshooting

| symptom | channel | cause | check first |
|---|---|---|---|
| c1 too high | c1 | Seal worn | Look at the seal, then the drain |
| c3 too low | c3 | Filter clogged | Look at the filter |
"""
AT = 320  # second at which the fault begins


class Run:
    """A rig that ran with a real snapshot, and what was kept of it."""

    def __init__(self, folder: Path) -> None:
        texts = folder / "texts"
        texts.mkdir()
        (texts / "scope.csv").write_text(SCOPE, encoding="utf-8")
        (texts / "modes.csv").write_text(MODES, encoding="utf-8")
        (texts / "pump.md").write_text(MANUAL, encoding="utf-8")
        build(texts, folder / "kb", now_ns=START - S)
        self.snapshot = Snapshot.open(folder / "kb")
        self.folder = folder
        self.rig = Rig(known=knowledge_of(self.snapshot))
        self.answered = 0
        save(bundle(), folder / "bundle")

    def answer(self) -> None:
        """Give the engine what the documents say."""
        asked = [effect for effect in self.rig.effects if isinstance(effect, Retrieve)]
        for effect in asked[self.answered :]:
            self.rig.give(look_up(self.snapshot, effect, now_ns=self.rig.engine.now_ns))
        self.answered = len(asked)

    def keep(self, *, settings_sha256: str = "") -> Kept:
        """Write the journal as a gateway would have. settings_sha256: with which it began."""
        began = Started(
            version="",
            bundle_sha256=bundle().sha256,
            snapshot_sha256=self.snapshot.sha256,
            settings_sha256=settings_sha256,
        )
        stimuli: list[tuple[int, Stimulus]] = [(START, began), *self.rig.sent]
        writer = JournalWriter(self.folder / "journal")
        writer.append(stimuli)
        writer.close()
        self.snapshot.close()
        return Kept(
            journal=self.folder / "journal",
            settings=self.rig.settings,
            bundle=self.folder / "bundle",
            snapshot=self.folder / "kb",
        )


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Kept]:
    """Quiet, a fault, quiet again, a calibration that disturbs its channel, silence."""
    run = Run(tmp_path_factory.mktemp("run"))
    run.rig.run(AT)
    run.rig.run(20, {"c1": 7})
    run.answer()
    run.rig.run(400)
    run.rig.context["cal"] = 1.0
    run.rig.run(100, {"c1": 7})
    run.answer()
    run.rig.run(60, silent=["r1"])
    return run, run.keep()


def explained(kept: Kept, alert_id: str, revision: int = 0) -> dict[str, Any]:
    """What the command says as JSON."""
    out = io.StringIO()
    explain_command(alert_id, kept, revision=revision, as_json=True, console=Console(file=out))
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


def asked(kept: Kept, second: int, asset: str = "r1") -> why.Why:
    """The answer about one second of the script."""
    rerun = Rerun(kept)
    try:
        return answered(rerun, asset=asset, at_ns=START + second * S)
    finally:
        rerun.close()


def names(answer: why.Why) -> list[str]:
    """Reasons in order."""
    return [finding.name for finding in answer.findings]


def test_every_revision_is_said_again_as_it_was_published(story: tuple[Run, Kept]) -> None:
    """Same journal, same alerts: but for what is checked beside them and our own version."""
    run, kept = story
    for event in run.rig.events():
        again = explained(kept, event["id"], event["revision"])
        again["lineage"] = {**again["lineage"], "version": event["lineage"]["version"]}
        assert {name: again[name] for name in event} == event
        assert again["citations_resolved"] == again["citations_total"]


def test_the_manual_is_cited_and_found_again_in_its_snapshot(story: tuple[Run, Kept]) -> None:
    """The row's check first, character by character."""
    run, kept = story
    first = run.rig.events()[0]["id"]
    report = explained(kept, first, 2)
    mode, check = [one for one in report["explanation"] if one["role"] == "check_first"]
    assert mode["quoted"] == [mode["citation"]["quote"]] == ["Replace the seal"]
    assert check["quoted"] == ["Look at the seal, then the drain"]
    assert [one["mode_id"] for one in report["resembles"]] == ["seal_worn"]
    assert report["citations_total"] >= 4


def test_an_alert_stays_explained_when_the_knowledge_has_moved_on(tmp_path: Path) -> None:
    """The snapshot that it was decided with is kept under its hash, and found there."""
    run = Run(tmp_path)
    run.rig.run(AT)
    run.rig.run(20, {"c1": 7})
    run.answer()
    kept = run.keep()
    event = run.rig.events()[-1]
    (tmp_path / "texts" / "pump.md").write_text("# Pump\n\nNothing is known.\n", encoding="utf-8")
    build(tmp_path / "texts", tmp_path / "kb", now_ns=START + S)
    report = explained(kept, event["id"])
    assert report["explanation"] == event["explanation"]
    assert report["lineage"]["snapshot_sha256"] == event["lineage"]["snapshot_sha256"]
    assert report["citations_resolved"] == report["citations_total"] > 0
    for old in tmp_path.glob("kb.*"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    lost = explained(kept, event["id"])
    assert lost["citations_resolved"] == 0
    assert any("not kept any more" in note for note in lost["notes"])


def test_unknown_alerts_and_revisions_name_the_nearest(story: tuple[Run, Kept]) -> None:
    """What to type instead."""
    run, kept = story
    real = run.rig.events()[0]["id"]
    with pytest.raises(RecordingError, match=real):
        explained(kept, real[:-5] + "999Z")
    for wrong in ("r1-nope", "nope", "?"):
        with pytest.raises(RecordingError, match=real):
            explained(kept, wrong)
    with pytest.raises(RecordingError, match="has no revision 99; it has 1, 2"):
        explained(kept, real, 99)


def test_nearest_ids_are_those_of_the_time_on_the_asset() -> None:
    """Before those that only look alike."""
    ids = {
        f"{stem}-20251009T0853{s:02}.000Z": s * 1000 for stem in ("r1-p", "r2-p") for s in (1, 9)
    }
    wanted = "r2-p-20251009T085308.000Z"
    begin_ms = begin_of(wanted) // 10**6
    ids = {one: begin_ms - 8000 + ms for one, ms in ids.items()}
    assert nearest_ids(wanted, ids)[:2] == [
        "r2-p-20251009T085309.000Z",
        "r2-p-20251009T085301.000Z",
    ]
    assert nearest_ids("r2-p", ids) != []
    assert nearest_ids("r2-nothing-of-the-kind", {"r1-a": 9, "r2-b": 1, "r2-c": 2}) == [
        "r2-c",
        "r2-b",
        "r1-a",
    ]
    assert begin_of("r2-p-20251399T085309.000Z") == 0


def test_a_quiet_time_was_under_the_threshold(story: tuple[Run, Kept]) -> None:
    """With the channels that came nearest."""
    answer = asked(story[1], 250)
    assert names(answer) == ["under_threshold"]
    assert 0.0 <= answer.score_max < answer.threshold
    assert {one.channel for one in answer.nearest} == {"c0", "c1", "c2", "c3"}
    assert sum(one.share for one in answer.nearest) == pytest.approx(1.0, abs=0.01)


def test_what_rings_shortly_after_is_told_behind(story: tuple[Run, Kept]) -> None:
    """Who asks for a time is often a little off."""
    assert names(asked(story[1], AT - 20))[-1] == "later"


def test_a_time_with_an_alert_names_it(story: tuple[Run, Kept]) -> None:
    """And the channel that carried it."""
    run, kept = story
    answer = asked(kept, AT + 15)
    assert names(answer)[0] == "alert"
    assert run.rig.events()[0]["id"] in answer.findings[0].text
    assert answer.nearest[0].channel == "c1"
    assert answer.score_max > answer.threshold


def test_a_suppressed_time_says_which_job_and_what_would_have_rung(
    story: tuple[Run, Kept],
) -> None:
    """The score without any mask is over the threshold, and the job is named with its mask."""
    run, kept = story
    answer = asked(kept, AT + 420 + 80)
    job = run.rig.runs[-1].job.job_id
    assert names(answer)[0] == "suppressed"
    assert job in answer.findings[0].text
    assert "would have rung" in answer.findings[0].text
    assert answer.score_max > answer.threshold
    (told,) = [finding.text for finding in answer.findings if finding.name == "job"]
    assert "masks c1; the rest of the asset was below threshold" in told


def test_a_quiet_time_says_so_in_words(story: tuple[Run, Kept]) -> None:
    """And does not name what rang before or since."""
    (finding,) = asked(story[1], 250).findings
    assert finding.text.startswith("Nothing was strange: the score stayed under its threshold;")
    assert "within 60 s of that time" in finding.text


def test_a_stretch_is_as_long_as_it_was_wherever_in_it_somebody_asks(
    story: tuple[Run, Kept],
) -> None:
    """At the edge of a disturbance too, of which only one sample is near."""
    begun = AT + 420 + 60
    for second in (begun - 59, begun):
        answer = asked(story[1], second)
        assert "too_short" not in names(answer)
        assert "for 1 sample" not in " ".join(one.text for one in answer.findings)


def test_silence_is_stale(story: tuple[Run, Kept]) -> None:
    """Nothing could be said, and that is said."""
    assert "stale" in names(asked(story[1], AT + 520 + 50))


def test_the_begin_of_a_journal_is_answered_with_the_engines_own_scores(
    story: tuple[Run, Kept],
) -> None:
    """Where no history reaches back that far."""
    answer = asked(story[1], 30)
    assert names(answer) == ["under_threshold"]


def look(t_ns: int, **change: Any) -> why.Look:  # noqa: ANN401
    """One look at a quiet asset."""
    quiet = why.Look(
        t_ns=t_ns, now_ns=t_ns, score=0.5, phase=0, over_samples=0, comms_open=False,
        suspect=False, jobs=(), alerts=(), counts={},
    )  # fmt: skip
    return msgspec.structs.replace(quiet, **change)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"score": float("nan")}, "blind"),
        ({"suspect": True}, "clock"),
        ({"comms_open": True}, "stale"),
        ({"t_ns": 0}, "no_samples"),
    ],
)
def test_each_doubt_is_named(change: dict[str, Any], name: str) -> None:
    """One flag at a time."""
    last = msgspec.structs.replace(look(100 * S), **change)
    looks = [look(t * S) for t in range(90, 100)] + [last]
    looks = looks[-1:] if name == "no_samples" else looks
    series = why.Series(t_ns=(), score=(), running=())
    found = why.findings_of(looks, at_ns=100 * S, threshold=4.0, needed=2, series=series)
    assert name in [one.name for one in found]


def test_a_stopped_asset_a_short_spike_and_lost_values_are_named() -> None:
    """From the samples themselves, and from what was counted meanwhile."""
    looks = [look(t * S, counts={"late": t // 100, "messages": t}) for t in range(90, 111)]
    series = why.Series(t_ns=(99 * S, 100 * S), score=(9.0, 1.0), running=(True, False))
    found = why.findings_of(looks, at_ns=100 * S, threshold=4.0, needed=2, series=series)
    assert [one.name for one in found] == ["not_running", "too_short", "not_accepted"]
    assert found[-1].text.endswith("1 late.")


def test_other_assets_and_times_are_refused_with_what_there_is(story: tuple[Run, Kept]) -> None:
    """The assets of the bundle, the range of the journal."""
    kept = story[1]
    with pytest.raises(RecordingError, match="no asset r2 in the bundle; try r1, r11"):
        asked(kept, 100, "r2")
    with pytest.raises(RecordingError, match="its first sample of r1 is of 2025-10-09 08:53:20Z"):
        asked(kept, -1000)
    with pytest.raises(RecordingError, match="its newest sample of r1 is of 2025-10-09 09:07:19Z"):
        asked(kept, 100_000)
    assert asked(kept, 0).at_ns == START, "the first sample is in the journal"


def test_the_answer_is_written_as_lines_json_and_a_page(
    story: tuple[Run, Kept], tmp_path: Path
) -> None:
    """JSON alone on stdout; the page needs nothing from elsewhere."""
    kept, page = story[1], tmp_path / "why.html"
    out = io.StringIO()
    at_ns = START + (AT + 15) * S
    why_command(kept, asset="r1", at_ns=at_ns, as_json=True, page=page, console=Console(file=out))
    assert json.loads(out.getvalue())["findings"][0]["name"] == "alert"
    text = page.read_text(encoding="utf-8")
    assert "<svg" in text
    assert "http" not in text
    out = io.StringIO()
    why_command(kept, asset="r1", at_ns=at_ns, as_json=False, page=None, console=Console(file=out))
    assert "█" in out.getvalue()


def test_a_page_escapes_what_it_shows(story: tuple[Run, Kept]) -> None:
    """A name from a table is no markup."""
    answer = asked(story[1], 290)
    bad = msgspec.structs.replace(
        answer,
        asset="<b>r1</b>",
        findings=(why.Finding(name="x", text="<script>alert(1)</script>\x1b[2J"),),
        notes=("<i>",),
    )
    page = page_of(bad)
    assert "<script>" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "\x1b" not in page


def test_a_plot_shows_the_highest_of_each_stretch() -> None:
    """A spike of one sample is not lost; what was not ready is a dot."""
    score = [0.0] * 120
    score[61] = 9.0
    score[100:104] = [float("nan")] * 4
    series = why.Series(t_ns=tuple(range(120)), score=tuple(score), running=(True,) * 120)
    drawn = plot(series, 4.0)
    assert len(drawn) == 60
    assert drawn[30] == "█"
    assert set(drawn[50:52]) == {"·"}
    assert plot(why.Series(t_ns=(), score=(), running=()), 4.0) == ""


def test_too_short_is_told_from_under_the_threshold() -> None:
    """One sample over does not open an event of two."""
    assert why.longest_over([1.0, 5.0, 1.0, 5.0, 5.0], 4.0) == 2
    assert why.longest_over([], 4.0) == 0


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """Neither configuration nor journal, an empty place, then no detector."""
    with pytest.raises(RecordingError, match="--config, or --journal"):
        kept_of(None, journal=None, bundle=None, snapshot=None)
    with pytest.raises(RecordingError, match="holds no journal"):
        kept_of(None, journal=tmp_path, bundle=None, snapshot=None)
    JournalWriter(tmp_path / "journal").close()
    with pytest.raises(RecordingError, match="--config, or --bundle"):
        kept_of(None, journal=tmp_path, bundle=None, snapshot=None)
