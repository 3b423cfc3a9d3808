"""Rerun where there is nothing to see: outside a journal, and while somebody had silenced it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.errors import RecordingError
from edge.replays.rerun import Rerun
from edge.storage.checkpoint import Checkpoint, save
from edge.storage.journal import read_journal
from tests.edge.rig import S
from tests.edge.test_rerun import Run, asked, explained, names

if TYPE_CHECKING:
    from pathlib import Path


def test_behind_the_newest_checkpoint_it_is_known_what_there_is(
    tmp_path: Path,
) -> None:
    """A gateway's own journal is taken from there: the samples and alerts before it still count."""
    run = Run(tmp_path)
    run.rig.run(320)
    run.rig.run(20, {"c1": 7})
    kept = run.keep()
    rerun = Rerun(kept)
    fingerprint = rerun.assembly.fingerprint
    rerun.run(lambda _engine, _effects: False, begin_ns=0, step_ns=S)
    *_, last = read_journal(kept.journal)
    ended = Checkpoint(fingerprint=fingerprint, position=last.position, state=rerun.engine.state)
    save(tmp_path / "checkpoints", ended)
    rerun.close()
    later = replace(kept, checkpoints=tmp_path / "checkpoints")
    for second in (-1000, 100_000):
        with pytest.raises(RecordingError) as caught:
            asked(later, second)
        assert "08:53:20Z, its newest sample of r1 is of 2025-10-09 08:58:59Z" in str(caught.value)
    alerts = {event["id"] for event in run.rig.events()}
    with pytest.raises(RecordingError) as refused:
        explained(later, "r1-process-20301009T090000.000Z")
    assert any(alert in str(refused.value) for alert in alerts)


def test_what_was_silenced_by_hand_is_told_while_it_was(tmp_path: Path) -> None:
    """Out of service and shelved, with who and why; neither before nor after it."""
    run = Run(tmp_path)
    run.rig.run(300)
    ordered = {"minutes": 5, "reason": "new gearbox"}
    assert run.rig.command("oos", asset="r1", owner="bob", **ordered)["done"]
    shelved = {"minutes": 3, "reason": "known drift"}
    assert run.rig.command("shelve", asset="r1", track="sensor", **shelved)["done"]
    run.rig.run(700)
    kept = run.keep()
    during = [one.text for one in asked(kept, 420).findings if one.name == "silenced"]
    assert len(during) == 2
    assert "Out of service until 2025-10-09 09:03:" in during[0]
    assert "by bob: new gearbox" in during[0]
    assert "Shelved, sensor, until" in during[1]
    for second in (250, 700):
        assert "silenced" not in names(asked(kept, second))
