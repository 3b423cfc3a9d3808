"""A gateway killed in the middle of something goes on: nothing forgotten, nothing rung twice.

Checkpoint, journal and what takes them up are real; compared is with a life without the kill.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from edge.records import Publish, Started
from edge.storage.checkpoint import Checkpoint, newest, pack, save
from edge.storage.journal import read_journal
from edge.storage.journal_writer import JournalWriter
from tests.edge.rig import Rig, bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    after = Rig(state=found.state)
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
    assert len(keys(after)) == quiet, "a start by itself rings nothing"
    for one in (straight, after):
        go_on(one)
    assert keys(after) == keys(straight)[decided:]
    assert [run.job.state for run in after.runs] == [run.job.state for run in straight.runs]


def test_a_suppression_holds_after_a_restart_only_as_it_is_judged(tmp_path: Path) -> None:
    """The snapshot of the new process knows no scope: what was quiet rings."""
    rig = Rig()
    suppression(rig)
    journal = JournalWriter(tmp_path / "j")
    at = journal.append([(now_ns, stimulus) for now_ns, stimulus in rig.sent])
    journal.close()
    save(tmp_path / "c", Checkpoint(position=at, fingerprint="f", state=rig.engine.state))
    after = killed(rig, tmp_path)
    after.run(20, {"c1": 14.0, "c3": 14.0})
    assert after.said()[-1] == "ALERT", "another channel, which no work may disturb"
