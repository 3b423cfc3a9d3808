"""What a restart takes from checkpoint and journal, without a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.assembly.assembly import Assembly
from edge.audit.trail import must_stay
from edge.records import (
    AlertStands,
    MessageReceived,
    Publish,
    RetrievalDone,
    Retrieve,
    TickDue,
    Track,
)
from edge.settings import EngineSettings, GatewaySettings
from edge.storage.checkpoint import Checkpoint, save
from edge.storage.journal import segments
from edge.storage.journal_writer import JournalWriter
from edge.storage.restore import Restored, not_as_published, restore, started
from edge.wire.readings import encode_rows
from edge.wire.topics import Topics
from models.bundles.assemble import make_bundle
from tests.models.plants import fitted, plant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.records import Effect, Stimulus
    from models.bundles.bundle import Bundle

SECOND_NS: Final = 1_000_000_000
BEGIN_NS: Final = 1_772_427_600 * SECOND_NS
ROWS: Final = 400
STEP_ROW: Final = 300
SETTINGS: Final = GatewaySettings(site="s", clock="plant")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """A detector for one asset."""
    return make_bundle([fitted()])


class Run:
    """An engine with a journal, as the loop drives it."""

    def __init__(
        self, assembly: Assembly, folder: Path, *, segment_bytes_max: int = 1 << 20
    ) -> None:
        self.assembly = assembly
        self.folder = folder
        self.effects: list[Effect] = []
        self._journal = JournalWriter(folder / "journal", segment_bytes_max=segment_bytes_max)
        self.take(started(assembly))

    def take(self, *stimuli: Stimulus) -> None:
        """Journal, then handle."""
        self._journal.append([(1, stimulus) for stimulus in stimuli])
        for stimulus in stimuli:
            self.effects.extend(self.assembly.engine.handle(stimulus, now_ns=1))

    def checkpoint(self) -> None:
        """Write a checkpoint of what it is now."""
        state, fingerprint = self.assembly.engine.state, self.assembly.fingerprint
        position = self._journal.position
        checkpoint = Checkpoint(position=position, fingerprint=fingerprint, state=state)
        save(self.folder / "checkpoints", checkpoint)

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    @property
    def keyed(self) -> list[Publish]:
        """What it decided."""
        return [e for e in self.effects if isinstance(e, Publish) and e.key is not None]


def assembly_of(bundle: Bundle, settings: GatewaySettings = SETTINGS) -> Assembly:
    """An engine without a knowledge base."""
    return Assembly(settings, bundle=bundle, snapshot=None)


def stimuli(first: int, last: int) -> list[Stimulus]:
    """Rows [first, last) of a plant with a step at STEP_ROW that stays, a tick after each."""
    values = plant(ROWS, seed=5)
    values[STEP_ROW:] += 20.0 * values.std(axis=0)
    tags = [f"c{i}" for i in range(values.shape[1])]
    made: list[Stimulus] = []
    for row in range(first, last):
        t_ns = BEGIN_NS + row * SECOND_NS
        (payload,) = encode_rows(tags, [t_ns], [values[row].tolist()], shape="wide")
        made += [MessageReceived(topic="plant/r1", payload=payload, received_ns=1), TickDue()]
    return made


def restored(assembly: Assembly, folder: Path) -> tuple[Restored, list[Publish]]:
    """Restore from a folder; also what it would put into the outbox."""
    kept: list[Publish] = []

    def keep(effects: Sequence[Effect]) -> None:
        kept.extend(must_stay(effects)[0])

    done = restore(
        assembly, journal=folder / "journal", checkpoints=folder / "checkpoints", keep=keep
    )
    return done, kept


def test_a_question_from_before_the_checkpoint_is_asked_again(
    bundle: Bundle, tmp_path: Path
) -> None:
    """The answer never came, and nothing behind the checkpoint tells that there was a question."""
    run = Run(assembly_of(bundle), tmp_path)
    run.take(*stimuli(0, STEP_ROW + 5))
    asked = [effect for effect in run.effects if isinstance(effect, Retrieve)]
    assert len(asked) == 1
    run.checkpoint()
    run.close()
    after = assembly_of(bundle)
    done, kept = restored(after, tmp_path)
    assert done.from_checkpoint
    assert done.stimuli == 0
    assert not kept
    assert done.asked_again == (asked[0],)
    answer = RetrievalDone(alert_id=asked[0].alert_id, hits=())
    revised = after.engine.handle(answer, now_ns=1)
    assert {e.key for e in revised if isinstance(e, Publish)} == {(asked[0].alert_id, 2)}


def test_an_answered_question_is_not_asked_again(bundle: Bundle, tmp_path: Path) -> None:
    """The answer stands in the journal, and gives the same revision there."""
    run = Run(assembly_of(bundle), tmp_path)
    run.take(*stimuli(0, STEP_ROW + 5))
    (asked,) = [effect for effect in run.effects if isinstance(effect, Retrieve)]
    run.take(RetrievalDone(alert_id=asked.alert_id, hits=None, reason="the deadline had passed"))
    run.close()
    done, kept = restored(assembly_of(bundle), tmp_path)
    assert not done.asked_again
    assert kept == run.keyed


def test_what_another_bundle_decided_is_not_decided_again(bundle: Bundle, tmp_path: Path) -> None:
    """The journal of another detector would give other contents for published ids."""
    other = make_bundle([fitted(seed=9)])
    run = Run(assembly_of(other), tmp_path)
    run.take(*stimuli(0, STEP_ROW + 5))
    run.checkpoint()
    run.take(*stimuli(STEP_ROW + 5, STEP_ROW + 10))
    run.close()
    fresh = assembly_of(bundle)
    done, kept = restored(fresh, tmp_path)
    assert not done.from_checkpoint
    assert not kept
    assert fresh.engine.counts() == {}
    assert {note.name for note in done.notes} == {"checkpoint_skipped", "journal_skipped"}
    again = Run(fresh, tmp_path)
    again.take(*stimuli(STEP_ROW + 10, STEP_ROW + 20))
    again.close()
    third = assembly_of(bundle)
    done, _ = restored(third, tmp_path)
    assert done.stimuli == 1 + 20
    assert third.engine.counts() == fresh.engine.counts()


def test_behaviour_may_change_over_a_restart(bundle: Bundle, tmp_path: Path) -> None:
    """Other engine settings go on from the checkpoint: open jobs and unacknowledged alerts stay."""
    run = Run(assembly_of(bundle), tmp_path)
    run.take(*stimuli(0, STEP_ROW + 5))
    run.checkpoint()
    run.take(*stimuli(STEP_ROW + 5, STEP_ROW + 8))
    run.close()
    settings = msgspec.structs.replace(SETTINGS, engine=EngineSettings(tick_ms=50))
    after = assembly_of(bundle, settings)
    done, _ = restored(after, tmp_path)
    assert done.from_checkpoint
    assert done.stimuli == 6
    assert after.engine.counts() == run.assembly.engine.counts()
    alert = after.engine.state.assets["r1"].alerts["process"]
    assert alert.alert_id
    assert alert == run.assembly.engine.state.assets["r1"].alerts["process"]


@pytest.mark.parametrize("cut", [0, 1, 299, 301, 303, 350])
def test_a_restart_anywhere_changes_nothing(bundle: Bundle, tmp_path: Path, cut: int) -> None:
    """Checkpoint at any place and journal behind it: the same alerts, and the same state."""
    run = Run(assembly_of(bundle), tmp_path)
    run.take(*stimuli(0, cut))
    run.checkpoint()
    before = len(run.keyed)
    run.take(*stimuli(cut, ROWS))
    run.close()
    after = assembly_of(bundle)
    _, kept = restored(after, tmp_path)
    assert kept == run.keyed[before:]
    assert after.engine.counts() == run.assembly.engine.counts()
    for name, asset in run.assembly.engine.state.assets.items():
        assert asset.alerts == after.engine.state.assets[name].alerts
        assert asset.tracks == after.engine.state.assets[name].tracks


def test_a_checkpoint_older_than_the_journal_is_not_silent(bundle: Bundle, tmp_path: Path) -> None:
    """What lay between was dropped by its cap: the rest is taken, and somebody is told."""
    run = Run(assembly_of(bundle), tmp_path, segment_bytes_max=4096)
    run.take(*stimuli(0, 20))
    run.checkpoint()
    for row in range(20, 120):
        run.take(*stimuli(row, row + 1))
    run.close()
    found = segments(tmp_path / "journal")
    assert len(found) > 5
    for _, path in found[:4]:
        path.unlink()
    done, _ = restored(assembly_of(bundle), tmp_path)
    assert done.from_checkpoint
    assert 0 < done.stimuli < 200
    assert f"begins at segment {found[4][0]}" in done.gap
    assert "journal_gap" in {note.name for note in done.notes}


def standing(run: Run) -> Callable[[str], tuple[str, int] | None]:
    """What an outbox that got all of a run's messages would say of a topic."""

    def newest(topic: str) -> tuple[str, int] | None:
        keys = [sent.key for sent in run.keyed if sent.topic == topic]
        return keys[-1] if keys else None

    return newest


def test_after_a_usual_restart_every_topic_holds_what_we_say(
    bundle: Bundle, tmp_path: Path
) -> None:
    """Nothing is said anew where nothing changed."""
    run = Run(assembly_of(bundle), tmp_path)
    run.take(*stimuli(0, STEP_ROW + 5))
    run.close()
    after = assembly_of(bundle)
    restored(after, tmp_path)
    assert not not_as_published(
        after.engine, standing(run), lambda *_: 0, topics=Topics("andon", "s"), contested=()
    )


def test_what_a_restart_decides_otherwise_is_said_as_a_later_revision(
    bundle: Bundle, tmp_path: Path
) -> None:
    """A stricter configuration, a killed process: the topic must not keep the old word."""
    run = Run(assembly_of(bundle), tmp_path)
    run.take(*stimuli(0, STEP_ROW))
    run.checkpoint()
    run.take(*stimuli(STEP_ROW, STEP_ROW + 5))
    run.take(RetrievalDone(alert_id=run.keyed[-1].key[0], hits=()))  # type: ignore[index]
    run.close()
    settings = msgspec.structs.replace(SETTINGS, engine=EngineSettings(min_duration_samples=4))
    after = assembly_of(bundle, settings)
    _, kept = restored(after, tmp_path)
    contested = {sent.key[0] for sent in kept if sent.key is not None}
    assert contested
    (stands,) = not_as_published(
        after.engine, standing(run), lambda *_: 0, topics=Topics("andon", "s"), contested=contested
    )
    effects = after.engine.handle(stands, now_ns=1)
    told = [sent for sent in effects if isinstance(sent, Publish) and sent.retain]
    assert [sent.key for sent in told] == [(stands.alert_id, stands.revision + 1)]
    assert msgspec.json.decode(told[0].payload)["active"] == 1
    ours = after.engine.state.assets["r1"].alerts["process"]
    assert (ours.alert_id, ours.revision) == told[0].key


def test_an_alert_that_a_new_bundle_does_not_know_is_ended(bundle: Bundle, tmp_path: Path) -> None:
    """It would stay active on its retained topic for ever."""
    other = make_bundle([fitted(seed=9)])
    run = Run(assembly_of(other), tmp_path)
    run.take(*stimuli(0, STEP_ROW + 5))
    run.close()
    fresh = assembly_of(bundle)
    restored(fresh, tmp_path)
    (stands,) = not_as_published(
        fresh.engine, standing(run), lambda *_: 0, topics=Topics("andon", "s"), contested=()
    )
    (told,) = [
        sent
        for sent in fresh.engine.handle(stands, now_ns=1)
        if isinstance(sent, Publish) and sent.retain
    ]
    assert told.key == (stands.alert_id, stands.revision + 1)
    body = msgspec.json.decode(told.payload)
    assert (body["active"], body["state"]) == (0, "NORMAL")
    again = not_as_published(
        fresh.engine, lambda _: told.key, lambda *_: 0, topics=Topics("a", "s"), contested=()
    )
    assert [each.track for each in again] == ["sensor", "comms"], "process holds what we say"


def test_a_foreign_id_on_a_topic_does_not_swallow_our_word(bundle: Bundle, tmp_path: Path) -> None:
    """Our own id has revisions in the outbox already: the next one goes behind them."""
    run = Run(assembly_of(bundle), tmp_path)
    run.take(*stimuli(0, STEP_ROW + 5))
    run.close()
    after = assembly_of(bundle)
    restored(after, tmp_path)
    ours = after.engine.state.assets["r1"].alerts["process"]
    stands = AlertStands(
        asset="r1", track=Track.PROCESS, alert_id="other", revision=1, own_revision=7
    )
    effects = after.engine.handle(stands, now_ns=1)
    assert {sent.key for sent in effects if isinstance(sent, Publish)} == {(ours.alert_id, 8)}
