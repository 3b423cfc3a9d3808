"""A rerun of a gateway's journal: from a checkpoint it says the same, with signatures too."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.audit.signatures import new_key, read_key, sign_command, sign_path, verify
from edge.knowledge.known import knowledge_of
from edge.records import SnapshotSwapped
from edge.replays.rerun import Kept, Rerun
from edge.state import EngineState
from edge.storage.checkpoint import Checkpoint, pack, save, unpack
from edge.storage.journal import read_journal
from edge.trust import TrustSettings
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from tests.edge.rig import START, Rig, S, settings
from tests.edge.test_rerun import Run, asked, explained

if TYPE_CHECKING:
    from pathlib import Path

    from edge.engine import Engine

LATE_S = 1_560  # of a fault, long after the second checkpoint


def checkpointed(run: Run, marks: list[tuple[int, bytes]]) -> Kept:
    """What is kept of a run, with a checkpoint at each mark: stimuli taken, state."""
    kept = run.keep()
    rerun = Rerun(kept)
    fingerprint = rerun.assembly.fingerprint
    rerun.close()
    entries = list(read_journal(kept.journal))
    for taken, state in marks:  # one stimulus more: the start
        at = Checkpoint(
            position=entries[taken].position,
            fingerprint=fingerprint,
            state=unpack(state, EngineState),
        )
        save(run.folder / "checkpoints", at)
    return dataclasses.replace(kept, checkpoints=run.folder / "checkpoints")


def seen(kept: Kept) -> list[int]:
    """The plant time after each stimulus that is taken on the way to the fault and behind it."""
    times: list[int] = []

    def look(engine: Engine, _effects: object) -> bool:
        times.append(engine.now_ns)
        return False

    rerun = Rerun(kept)
    rerun.run(look, begin_ns=START + LATE_S * S, step_ns=S)
    rerun.close()
    return times


def mark(run: Run) -> tuple[int, bytes]:
    """A place of the run, and the engine's state there."""
    return len(run.rig.sent), pack(run.rig.engine.state)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Kept]:
    """Two checkpoints; behind the first another snapshot, behind the second a fault."""
    run = Run(tmp_path_factory.mktemp("run"))
    run.rig.run(900)
    first = mark(run)
    (run.folder / "texts" / "more.md").write_text("# More\n\nNothing.\n", encoding="utf-8")
    build(run.folder / "texts", run.folder / "kb", now_ns=START + 900 * S)
    newer = Snapshot.open(run.folder / "kb")
    found = knowledge_of(newer)
    assert found is not None
    run.rig.swapped[found.sha256] = found
    run.rig.give(SnapshotSwapped(snapshot_sha256=found.sha256))
    run.rig.run(LATE_S - 900)
    run.rig.run(20, {"c1": 7})
    run.rig.run(100)
    second = mark(run)
    run.rig.run(400)
    kept = checkpointed(run, [first, second])
    newer.close()
    return run, kept


def test_the_checkpoint_nearest_before_is_where_it_begins(story: tuple[Run, Kept]) -> None:
    """Not only the newest: that one lies behind what is asked about. It says the same."""
    _, kept = story
    bare = dataclasses.replace(kept, checkpoints=None)
    assert asked(kept, LATE_S + 10) == asked(bare, LATE_S + 10)
    near, whole = seen(kept), seen(bare)
    assert near[0] >= START + 890 * S
    assert near == whole[-len(near) :]


def test_an_alert_is_explained_with_the_snapshot_of_its_time(story: tuple[Run, Kept]) -> None:
    """The checkpoint is of another snapshot than the one that is current."""
    run, kept = story
    (event,) = [one for one in run.rig.events() if one["revision"] == 1]
    again = explained(kept, event["id"], 1)
    assert again["explanation"] == event["explanation"]
    assert again["lineage"]["snapshot_sha256"] == event["lineage"]["snapshot_sha256"]


def test_what_was_signed_is_signed_in_a_rerun(tmp_path: Path) -> None:
    """Bundle, snapshot and the command that opened the job: the event is suppressed again."""
    run = Run(tmp_path)
    engineer_path, engineer = new_key(tmp_path, "engineer")
    ann_path, ann = new_key(tmp_path, "ann")
    for path in (tmp_path / "bundle", tmp_path / "kb"):
        sign_path(path, read_key(engineer_path))
    trust = TrustSettings(require_signed=True, public_keys=(engineer,), operators={"ann": ann})
    run.rig = Rig(conf=settings(trust=trust), known=knowledge_of(run.snapshot, trust))
    run.rig.engine._desk.verify = verify
    run.rig.run(320)
    topic = "andon/s/cmd/ann/job"
    body = {"action": "check_in", "asset": "r1", "kind": "calibration", "instrument": "x"}
    body["reason"] = "as planned"
    sent = msgspec.json.encode({"ts": run.rig.now_ns // 1_000_000, **body})
    run.rig.send(topic, sign_command(topic, sent, read_key(ann_path)))
    run.rig.run(60, {"c1": 8})
    assert run.rig.said() == ["suppressed"]
    answer = asked(run.keep(), 350)
    assert answer.findings[0].name == "suppressed"
