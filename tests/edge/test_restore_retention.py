"""Restarts of which the beginning of the journal is gone: retention dropped its oldest segments."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from edge.assembly.assembly import Assembly
from edge.audit.trail import must_stay
from edge.records import MessageReceived, Publish, ShellFault, TickDue
from edge.settings import GatewaySettings
from edge.storage.checkpoint import Checkpoint, pack, save
from edge.storage.journal import read_journal, segments
from edge.storage.journal_writer import JournalWriter
from edge.storage.restore import Restored, restore, started
from edge.wire.readings import encode_rows
from edge.work.durable import NOT_DURABLE
from models.bundles.assemble import make_bundle
from tests.models.plants import fitted, plant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.records import Effect, Stimulus
    from models.bundles.bundle import Bundle

SECOND_NS: Final = 1_000_000_000
BEGIN_NS: Final = 1_772_427_600 * SECOND_NS
SETTINGS: Final = GatewaySettings(site="s", clock="plant")
ROWS: Final = 400
CHECKPOINT_ROW: Final = 100
LEAP: Final = 100_000
STEP_ROW: Final = 300  # from here on the plant is somewhere else


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """A detector for one asset."""
    return make_bundle([fitted()])


def assembly_of(bundle: Bundle) -> Assembly:
    """An engine that has seen nothing."""
    return Assembly(SETTINGS, bundle=bundle, snapshot=None)


def story() -> list[tuple[Stimulus, ...]]:
    """A row and a tick each second; an alert begins at STEP_ROW."""
    values = plant(ROWS, seed=5)
    values[STEP_ROW:] += 20.0 * values.std(axis=0)
    tags = [f"c{i}" for i in range(values.shape[1])]
    groups: list[tuple[Stimulus, ...]] = []
    for row in range(ROWS):
        t_ns = BEGIN_NS + row * SECOND_NS
        (payload,) = encode_rows(tags, [t_ns], [values[row].tolist()], shape="wide")
        sent = MessageReceived(topic="plant/r1", payload=payload, received_ns=1)
        groups.append((sent, TickDue()))
    return groups


def live(bundle: Bundle, folder: Path) -> tuple[Assembly, list[Publish]]:
    """Run the story with a checkpoint at CHECKPOINT_ROW; returns the engine and its alerts."""
    assembly = assembly_of(bundle)
    journal = JournalWriter(folder / "journal", segment_bytes_max=2_000)
    alerts: list[Publish] = []
    for row, group in enumerate([(started(assembly),), *story()]):
        if row == CHECKPOINT_ROW:
            at = Checkpoint(
                position=journal.position,
                fingerprint=assembly.fingerprint,
                state=assembly.engine.state,
            )
            save(folder / "checkpoints", at)
        journal.append([(1, stimulus) for stimulus in group])
        for stimulus in group:
            effects = assembly.engine.handle(stimulus, now_ns=1)
            alerts += [e for e in effects if isinstance(e, Publish) and e.key is not None]
    journal.close()
    return assembly, alerts


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What a life left behind."""

    folder: Path
    assembly: Assembly
    alerts: list[Publish]

    def without_first(self, dropped: int, folder: Path) -> Path:
        """A copy of its state of which retention has taken so many segments."""
        copied = shutil.copytree(self.folder, folder / "state")
        for _, path in segments(copied / "journal")[:dropped]:
            path.unlink()
        return copied


@pytest.fixture(scope="module")
def lived(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """One life of a gateway, told once."""
    folder = tmp_path_factory.mktemp("lived")
    assembly, alerts = live(bundle, folder)
    assert len(segments(folder / "journal")) > 40
    assert {alert.key for alert in alerts if alert.key}, "a run without an alert proves nothing"
    return Lived(folder=folder, assembly=assembly, alerts=alerts)


def restored(assembly: Assembly, folder: Path) -> tuple[Restored, list[Publish]]:
    """Restore; also what it would put into the outbox."""
    kept: list[Publish] = []

    def keep(effects: Sequence[Effect]) -> None:
        kept.extend(must_stay(effects)[0])

    journal, checkpoints = folder / "journal", folder / "checkpoints"
    return restore(assembly, journal=journal, checkpoints=checkpoints, keep=keep), kept


def held(folder: Path) -> list[Stimulus]:
    """Every stimulus that the journal still has."""
    return [entry.stimulus for entry in read_journal(folder / "journal")]


def test_segments_that_the_checkpoint_covers_are_not_missed(
    lived: Lived, bundle: Bundle, tmp_path: Path
) -> None:
    """Whichever of them are gone: the same alerts, byte for byte, the same state, not a word."""
    (checkpoint,) = (lived.folder / "checkpoints").glob("*.checkpoint")
    covered = int(checkpoint.name.partition("-")[0]) - 1
    assert covered > 5
    for dropped in (0, 1, covered // 2, covered):
        folder = lived.without_first(dropped, tmp_path / str(dropped))
        after = assembly_of(bundle)
        done, kept = restored(after, folder)
        assert done.from_checkpoint
        assert (done.gap, done.notes) == ("", [])
        assert kept == lived.alerts
        assert pack(after.engine.state) == pack(lived.assembly.engine.state)


@pytest.mark.parametrize("before", [0, 1])
def test_a_lapse_of_before_the_start_is_taken_again(
    before: int, bundle: Bundle, tmp_path: Path
) -> None:
    """A process whose outbox never opened says so first of all; its revisions leap by that.

    before: what stands there of somebody whose start is not known, which is left out.
    """
    told = ShellFault(name=NOT_DURABLE, detail="outbox: no disk", active=True, leap=LEAP)
    journal = JournalWriter(tmp_path / "journal")
    first = assembly_of(bundle)
    strange = [(1, TickDue())] * before
    journal.append([*strange, (1, told), (1, started(first))])
    for group in story():
        journal.append([(1, stimulus) for stimulus in group])
    journal.close()
    done, kept = restored(assembly_of(bundle), tmp_path)
    assert done.stimuli == 2 + 2 * ROWS
    revisions = [one.key[1] for one in kept if one.key]
    assert revisions
    assert min(revisions) > LEAP


@pytest.mark.parametrize("left", [1, 5, 20])
def test_a_checkpoint_older_than_the_journal_still_starts_the_gateway(
    left: int, lived: Lived, bundle: Bundle, tmp_path: Path
) -> None:
    """What lies between is lost; everything that is left is taken, and the next sample scored."""
    folder = lived.without_first(len(segments(lived.folder / "journal")) - left, tmp_path)
    after = assembly_of(bundle)
    done, _ = restored(after, folder)
    assert done.from_checkpoint
    assert done.stimuli == len(held(folder)) > 0
    taken = CHECKPOINT_ROW - 1 + sum(isinstance(s, MessageReceived) for s in held(folder))
    assert after.engine.counts()["messages"] == taken
    assert after.engine.now_ns == lived.assembly.engine.now_ns
    assert after.engine.blind() == (), "the newest sample has a score"


@pytest.mark.parametrize("beyond", [0, 1, 9])
@pytest.mark.parametrize("kept", [True, False])
def test_a_gap_before_the_journal_is_told_with_both_ends_and_its_cause(
    beyond: int, *, kept: bool, lived: Lived, bundle: Bundle, tmp_path: Path
) -> None:
    """Nothing that is not known any more may pass in silence, with a checkpoint or without one."""
    (checkpoint,) = (lived.folder / "checkpoints").glob("*.checkpoint")
    covered = int(checkpoint.name.partition("-")[0])
    folder = lived.without_first(covered + beyond, tmp_path)
    if not kept:
        shutil.rmtree(folder / "checkpoints")
    done, _ = restored(assembly_of(bundle), folder)
    assert f"segment {covered + beyond + 1}," in done.gap
    assert f"segment {covered}:" in done.gap or not kept
    assert "[journal] bytes_max or days_max" in done.gap
    assert (done.notes[0].name, done.notes[0].level) == ("journal_gap", "warning")
    assert done.notes[0].fields == {"cause": done.gap}
    assert [note.name for note in done.notes[1:]] == ([] if kept else ["journal_skipped"])


def test_an_alert_behind_the_gap_is_decided_under_the_id_that_it_had(
    lived: Lived, bundle: Bundle, tmp_path: Path
) -> None:
    """A restart must not ring twice for one event because older samples are gone."""
    folder = lived.without_first(len(segments(lived.folder / "journal")) // 2, tmp_path)
    assert story()[STEP_ROW - 50][0] in held(folder)
    assert story()[CHECKPOINT_ROW + 20][0] not in held(folder)
    _, kept = restored(assembly_of(bundle), folder)
    process = {message.key for message in kept if "process" in str(message.key)}
    assert process == {message.key for message in lived.alerts}


def test_without_a_checkpoint_what_nobody_can_tell_the_taker_of_is_not_decided_again(
    lived: Lived, bundle: Bundle, tmp_path: Path
) -> None:
    """The start that took it was dropped: another bundle may have said something else of it."""
    folder = lived.without_first(len(segments(lived.folder / "journal")) // 2, tmp_path)
    shutil.rmtree(folder / "checkpoints")
    done, kept = restored(assembly_of(bundle), folder)
    assert (done.from_checkpoint, done.stimuli, kept) == (False, 0, [])
