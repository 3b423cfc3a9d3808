"""A rerun over a reload: each part of a journal is taken with the settings of then."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.assembly.identity import settings_sha256
from edge.handover import handed_over
from edge.records import Started
from edge.storage import kept_settings
from tests.edge.rig import Rig, settings
from tests.edge.test_rerun import AT, Run, asked, explained

if TYPE_CHECKING:
    from pathlib import Path

    from edge.replays.rerun import Kept
    from edge.settings import GatewaySettings

AGAIN = 800  # second of a fault behind the reload


def reload(rig: Rig, after: GatewaySettings, *, snapshot: str) -> None:
    """Take over other settings, and say so in the journal."""
    state = handed_over(rig.engine.state, rig.settings, after)
    rig.settings = after
    rig.engine = rig._engine(state)
    rig.give(
        Started(
            version="",
            bundle_sha256=state.bundle_sha256,
            snapshot_sha256=snapshot,
            settings_sha256=settings_sha256(after),
        )
    )


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Kept]:
    """A fault of severity 300, a reload, the same fault of severity 800."""
    run = Run(tmp_path_factory.mktemp("run"))
    before = run.rig.settings = settings(r1={"severity": 300})
    run.rig.restart()
    run.rig.run(AT)
    run.rig.run(20, {"c1": 7})
    run.answer()
    run.rig.run(300)
    after = settings(r1={"severity": 800})
    reload(run.rig, after, snapshot=run.snapshot.sha256)
    run.rig.run(AGAIN - run.rig.at)
    run.rig.run(20, {"c1": 7})
    run.answer()
    run.rig.run(100)
    kept = run.keep(settings_sha256=settings_sha256(before))
    kept_settings.keep(run.folder, before)
    kept_settings.keep(run.folder, after)
    return run, dataclasses.replace(kept, checkpoints=run.folder / "checkpoints")


def test_each_alert_is_explained_with_its_own_settings(story: tuple[Run, Kept]) -> None:
    """Byte for byte as it was published, before the reload and behind it."""
    run, kept = story
    events = run.rig.events()
    assert {event["severity_num"] for event in events} >= {300, 800}
    for event in events:
        again = explained(kept, event["id"], event["revision"])
        again["lineage"] = {**again["lineage"], "version": event["lineage"]["version"]}
        assert {name: again[name] for name in event} == event
        assert not any("another configuration" in note for note in again["notes"])
        assert any("settings of then" in note for note in again["notes"])


def test_settings_that_are_not_kept_are_said_to_differ(story: tuple[Run, Kept]) -> None:
    """Nobody takes the settings of now for those of then without a word."""
    _, kept = story
    alone = dataclasses.replace(kept, checkpoints=None)
    assert any("another configuration" in note for note in asked(alone, AT + 10).notes)


def test_settings_come_back_by_their_hash_alone(tmp_path: Path) -> None:
    """Damaged, renamed or of another version: they are not here."""
    one, other = settings(), settings(r1={"severity": 300})
    kept_settings.keep(tmp_path, one)
    sha256 = settings_sha256(one)
    assert kept_settings.kept(tmp_path, sha256) == one
    path = tmp_path / "settings" / f"{sha256}.json"
    path.write_bytes(msgspec.json.encode(other))
    assert kept_settings.kept(tmp_path, sha256) is None
    path.write_bytes(b"{")
    assert kept_settings.kept(tmp_path, sha256) is None
    assert kept_settings.kept(tmp_path, settings_sha256(other)) is None


def test_the_newest_settings_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many of them, the one that counts among them whatever clocks say."""
    monkeypatch.setattr(kept_settings, "KEPT_MAX", 3)
    all_of_them = [settings(r1={"severity": n}) for n in range(1, 7)]
    for one in all_of_them:
        kept_settings.keep(tmp_path, one)
    names = {path.stem for path in (tmp_path / "settings").glob("*.json")}
    assert len(names) == 3
    assert settings_sha256(all_of_them[-1]) in names
    assert not list((tmp_path / "settings").glob("*.new"))
