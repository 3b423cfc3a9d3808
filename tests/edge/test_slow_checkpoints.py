"""A card that takes long for a checkpoint: nobody waits for it, and all stays durable."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.gateway import saving
from edge.gateway.checkpoint_due import CheckpointDue
from edge.records import JournalHole
from edge.storage import checkpoint
from edge.storage import disk as disks
from edge.storage.journal import SUFFIX, read_journal
from edge.storage.patience import Patience
from edge.work.durable import NOT_DURABLE
from tests.edge.test_app import SYSTEM, World, bundle
from tests.edge.test_lapse import Machine, alarmed, once, quick

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from edge.storage.checkpoint import Packed

__all__ = ["bundle", "quick"]
WAIT_S: Final = 2.0  # for which the loop waits for a call


class Card(disks.Disk):
    """Checkpoints hang until they are let go; all else is quick. `fails`: of the journal, once."""

    def __init__(self, *, fails: int = 0) -> None:
        self.free = threading.Event()
        self.begun = threading.Event()
        self._left = fails

    def write(self, file: FileIO, data: bytes | memoryview) -> int:
        """A write to the journal fails, if that was asked for."""
        if str(file.name).endswith(SUFFIX):
            self._left -= 1
            if self._left == 0:
                raise OSError(28, "No space left on device")
        return super().write(file, data)

    def sync(self, file: FileIO) -> None:
        """Of a checkpoint only when it is free."""
        if ".tmp" in str(file.name):
            self.begun.set()
            self.free.wait(60)
        super().sync(file)


class Box(Machine):
    """A machine whose loop waits briefly."""

    def patience(self) -> Patience:  # type: ignore[override]
        """In a thread, as outside of tests."""
        return Patience(wait_s_max=WAIT_S)


def told_not_durable(world: World) -> list[int]:
    """What people heard of it: 1 it began, 0 it is over."""
    told = [msgspec.json.decode(body) for topic, body in world.broker.heard if topic == SYSTEM]
    return [one["active"] for one in told if one["name"] == NOT_DURABLE]


@pytest.mark.not_counted
def test_a_checkpoint_that_takes_long_is_no_lapse(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is written and synced beside it, alerts are decided, and nobody waits."""
    world = World(tmp_path, bundle, monkeypatch)
    disk = Card()
    world.machine = Box(disk)
    real = world.broker.drain

    def drain(limit: int) -> list[object]:
        """The last messages come when a checkpoint has hung for long."""
        if len(world.broker.acknowledged) == 1 and not disk.free.is_set():
            if not disk.begun.is_set():
                return []
            threading.Event().wait(1.5 * WAIT_S)
        return list(real(limit))

    monkeypatch.setattr(world.broker, "drain", drain)
    monkeypatch.setattr("edge.gateway.durable.CHECKPOINT_S_MAX", 0.1)
    try:
        assert world.live() == 0
    finally:
        disk.free.set()
    assert disk.begun.is_set()
    alarmed(world)
    assert not told_not_durable(world)
    world.machine = Machine(disks.Disk())
    assert world.live() == 0
    once(world)


@pytest.mark.usefixtures("quick")
def test_a_lapse_ends_although_a_checkpoint_takes_long(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal goes on behind its hole; a checkpoint that comes too late is not waited for."""
    world = World(tmp_path, bundle, monkeypatch)
    disk = Card(fails=6)
    world.machine = Box(disk)
    monkeypatch.setattr("edge.gateway.durable.CHECKPOINT_S_MAX", 0.1)
    try:
        assert world.live() == 0
    finally:
        disk.free.set()
    alarmed(world)
    assert told_not_durable(world) == [1, 0]
    stimuli = [entry.stimulus for entry in read_journal(world.broker.state / "journal")]
    assert sum(isinstance(one, JournalHole) for one in stimuli) == 1
    world.machine = Machine(disks.Disk())
    assert world.live() == 0
    once(world)


def test_one_that_is_copied_is_not_put_off_for_the_next(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn finds the next one due, and copies one asset of two: they are written."""
    world = World(tmp_path, bundle, monkeypatch)
    written: list[int] = []
    real = checkpoint.write

    def write(made: Packed, *, disk: disks.Disk) -> None:
        """Notes how many messages were taken by then."""
        written.append(len(world.broker.acknowledged))
        real(made, disk=disk)

    monkeypatch.setattr(saving, "write", write)
    monkeypatch.setattr(saving, "ASSETS_A_TURN", 1)
    monkeypatch.setattr(CheckpointDue, "now", lambda *_: True)
    assert world.live() == 0
    last = len(world.broker.acknowledged)
    assert len([n for n in written if n < last]) > 1
