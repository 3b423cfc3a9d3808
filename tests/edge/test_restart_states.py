"""A gateway killed in the middle of something goes on: nothing forgotten, nothing rung twice.

Checkpoint, journal and what takes them up are real; compared is with a life without the kill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from edge.records import Publish, SnapshotSwapped, Started, TickDue
from edge.storage.checkpoint import Checkpoint, newest, pack, save
from edge.storage.journal import read_journal
from edge.storage.journal_writer import JournalWriter
from tests.edge.rig import START, Rig, S, bundle, knowledge, order, scope, settings
from tests.edge.test_doubt import BEAT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.desk import Knowledge

CHECKPOINT_S: Final = 10  # of plant time between checkpoint and kill
AFTER_S: Final = 90


def open_event(rig: Rig) -> None:
    """Something rings."""
    rig.run(100)
    rig.run(30, {"c0": 14.0})


def open_job(rig: Rig) -> None:
    """A calibration goes on, and nothing is wrong."""
    rig.run(100)
    rig.context["cal"] = 1.0
    rig.run(30)


def suppression(rig: Rig) -> None:
    """A calibration disturbs what it may disturb: listed, not rung."""
    open_job(rig)
    rig.run(30, {"c1": 14.0})
    assert "suppressed" in rig.said()


def shelved(rig: Rig) -> None:
    """Something rings that an operator has silenced for a while."""
    open_event(rig)
    rig.command("shelve", asset="r1", track="process", minutes=10, reason="known")


def go_on(rig: Rig) -> None:
    """The same after the kill as without it: the disturbance stays, then goes."""
    rig.run(AFTER_S, {"c1": 14.0, "c0": 0.0})
    rig.context["cal"] = 0.0
    rig.run(AFTER_S)


def killed(rig: Rig, folder: Path) -> Rig:
    """A new process: newest checkpoint, journal behind it, its own start. `rig` had taken both."""
    found, troubles = newest(folder / "c", fingerprint="f")
    assert found is not None
    assert not troubles
    after = Rig(conf=rig.settings, state=found.state)
    for entry in read_journal(folder / "j", after=found.position):
        after.give(entry.stimulus, now_ns=entry.now_ns)
    after.at, after.context = rig.at, rig.context
    return after


def keys(rig: Rig) -> list[tuple[str, Any, bytes]]:
    """What it decided: topic, key and bytes."""
    return [
        (effect.topic, effect.key, effect.payload)
        for effect in rig.effects
        if isinstance(effect, Publish) and effect.key is not None
    ]


@pytest.mark.parametrize("begin", [open_event, open_job, suppression, shelved])
def test_a_kill_in_the_middle_changes_nothing_that_anybody_sees(
    begin: Callable[[Rig], None], tmp_path: Path
) -> None:
    """The same alerts byte for byte, no more of them; jobs, silences and suppressions go on."""
    straight, rig = Rig(), Rig()
    for one in (straight, rig):
        begin(one)
    journal = JournalWriter(tmp_path / "j", compress=True)
    at = journal.append([(now_ns, stimulus) for now_ns, stimulus in rig.sent])
    save(tmp_path / "c", Checkpoint(position=at, fingerprint="f", state=rig.engine.state))
    taken, decided = len(rig.sent), len(keys(rig))
    for one in (straight, rig):
        one.run(CHECKPOINT_S, {"c1": 14.0} if begin is suppression else {})
    journal.append([(now_ns, stimulus) for now_ns, stimulus in rig.sent[taken:]])
    journal.close()
    after = killed(rig, tmp_path)
    assert pack(after.engine.state) == pack(rig.engine.state)
    assert keys(after) == keys(rig)[decided:], "decided again, the same"
    began = Started(
        version="", bundle_sha256=bundle().sha256, snapshot_sha256="kb", settings_sha256=""
    )
    straight.give(began)
    after.swapped["kb"] = straight.swapped["kb"] = straight.known  # type: ignore[assignment]
    quiet = len(keys(after))
    after.give(began)
    for one in (straight, after):
        one.give(TickDue())
    assert len(keys(after)) == quiet, "a start by itself rings nothing"
    for one in (straight, after):
        go_on(one)
    assert keys(after) == keys(straight)[decided:]
    assert [run.job.state for run in after.runs] == [run.job.state for run in straight.runs]


def begins(rig: Rig, known: Knowledge | None, *, now_ns: int | None = None) -> None:
    """A process begins with this snapshot, and its first tick comes."""
    rig.swapped["kb2"] = known  # type: ignore[assignment]
    began = Started(
        version="", bundle_sha256=bundle().sha256, snapshot_sha256="kb2", settings_sha256=""
    )
    rig.give(began, now_ns=now_ns)
    assert rig.said() == [], "not before what was due meanwhile has happened"
    rig.give(TickDue(), now_ns=now_ns)


def killed_while_quiet(folder: Path, **rig: Any) -> Rig:  # noqa: ANN401
    """A new process takes up what the one before kept quiet."""
    before = Rig(**rig)
    suppression(before)
    journal = JournalWriter(folder / "j")
    at = journal.append([(now_ns, stimulus) for now_ns, stimulus in before.sent])
    journal.close()
    save(folder / "c", Checkpoint(position=at, fingerprint="f", state=before.engine.state))
    return killed(before, folder)


GONE: Final = (
    (None, {"scope", "knowledge"}),
    (knowledge(scopes=[scope(channels=("c2",))], sha256="kb2"), {"scope"}),
    (knowledge(scopes=[scope(asset="r11")], sha256="kb2"), {"scope"}),
    (knowledge(verified=False, sha256="kb2"), {"knowledge"}),
)


@pytest.mark.parametrize(("known", "fails"), GONE)
def test_a_suppression_holds_after_a_restart_only_as_it_is_judged(
    known: Knowledge | None, fails: set[str], tmp_path: Path
) -> None:
    """What the new process knows gives no reason any more: it rings, and waits for no sample."""
    after = killed_while_quiet(tmp_path)
    begins(after, known)
    assert after.said() == ["ALERT"]
    (event,) = after.events()
    assert {c["name"] for c in event["clauses"] if c["outcome"] is not True} == fails
    assert after.seconds(event) >= after.at - 3, "told as of now"
    assert after.audited() == ["rang_again"]
    assert after.said("r11") == after.said(track="comms") == [], "nothing else rings"
    after.give(TickDue())
    after.run(20, {"c1": 14.0})
    assert after.said() == ["ALERT"], "once"


def test_what_a_restart_still_allows_goes_on_without_a_word(tmp_path: Path) -> None:
    """Another snapshot with the same scope, approved anew while there was no process."""
    after = killed_while_quiet(tmp_path)
    again = scope(scope_id="s7", channels=("c1", "c2"), recorded_at_ns=after.now_ns + 10 * S)
    later_ns = after.now_ns + 20 * S
    begins(after, knowledge(scopes=[again], sha256="kb2"), now_ns=later_ns)
    after.give(TickDue(), now_ns=later_ns + 5 * S)
    assert after.said() == []
    assert after.audited() == []
    after.at += 25
    after.run(20, {"c1": 14.0})
    assert after.said() == []
    assert after.runs[0].live


@pytest.mark.parametrize(("known", "said"), [(knowledge(sha256="kb2"), []), (None, ["ALERT"])])
def test_a_heart_that_nobody_could_hear_has_not_stopped(
    known: Knowledge | None, said: list[str]
) -> None:
    """While there was no process. With a scope that is gone it rings all the same."""
    rig = Rig(conf=settings(context=(BEAT,)))
    rig.context["beat"] = 0.0
    suppression(rig)
    rig.restart()
    rig.effects.clear()
    begins(rig, known, now_ns=rig.now_ns + 20 * S)
    assert rig.said() == said


def test_with_two_jobs_the_one_that_suppresses_is_asked() -> None:
    """What fails for another job too says nothing against it: here a heart that nobody heard."""
    rig = Rig(conf=settings(context=(BEAT,)))
    rig.context["beat"] = 0.0
    suppression(rig)
    assert rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="z")
    rig.run(5, {"c1": 14.0})
    assert sum(run.live for run in rig.runs) == 2
    rig.restart()
    rig.effects.clear()
    begins(rig, knowledge(sha256="kb2"), now_ns=rig.now_ns + 20 * S)
    assert rig.said() == []


@pytest.mark.parametrize(("known", "said"), [(knowledge(sha256="kb2"), []), (None, ["ALERT"])])
def test_on_plant_time_it_is_judged_in_the_time_that_was_known(
    known: Knowledge | None, said: list[str], tmp_path: Path
) -> None:
    """The box's clock says nothing there, be it years off: no fuse burns by it, no shift ends."""
    after = killed_while_quiet(tmp_path, conf=settings(clock="plant"))
    begins(after, known, now_ns=after.now_ns + 10**17)
    assert after.said() == said
    assert all(after.seconds(event) <= after.at for event in after.events())
    assert after.runs[0].live
    after.at += 700  # the fuse has burned down by then, and now somebody says what time it is
    after.run(5)
    assert not after.runs[0].live


def test_a_process_that_ends_before_its_first_tick_leaves_that_to_the_next(tmp_path: Path) -> None:
    """Taken up from a checkpoint in between it decides as the one that went on."""
    straight, after = killed_while_quiet(tmp_path / "a"), killed_while_quiet(tmp_path / "b")
    for one in (straight, after):
        one.known = None
        one.swapped["kb2"] = None  # type: ignore[assignment]
        one.give(Started(version="", bundle_sha256="", snapshot_sha256="kb2", settings_sha256=""))
    after.restart()
    for one in (straight, after):
        one.give(TickDue())
    assert after.said() == ["ALERT"]
    assert keys(after) == keys(straight)


def test_another_snapshot_judges_at_the_next_tick_as_well() -> None:
    """An asset that sends nothing has no sample to be judged with."""
    rig = Rig()
    suppression(rig)
    rig.swapped["kb2"] = knowledge(scopes=[scope(channels=("c2",))], sha256="kb2")
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.give(TickDue())
    assert rig.said() == ["suppressed", "ALERT"]


def test_what_was_found_to_be_expected_is_judged_with_it() -> None:
    """It rang, and was reclassified by an order told later; the scope of that is gone."""
    rig = Rig()
    rig.run(300)
    rig.run(60, {"c1": 6.0})
    late = [order(valid_from_ns=START + 295 * S, recorded_at_ns=START + 355 * S)]
    for sha256, scopes in (("kb2", ()), ("kb3", [scope(channels=("c2",))])):
        rig.swapped[sha256] = knowledge(proposals=late, scopes=scopes, sha256=sha256)
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(10, {"c1": 6.0})
    assert rig.events()[-1]["class"] == "expected"
    rig.give(SnapshotSwapped(snapshot_sha256="kb3"))
    rig.give(TickDue())
    assert rig.events()[-1]["class"] == "process anomaly"
    assert rig.audited()[-1] == "rang_again"
