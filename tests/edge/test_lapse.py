"""A disk that is full, read-only or slow, under a whole gateway: it detects, alerts, and says so.

Whichever call fails first and for however long: every alert is heard, no key has two contents, in
this process and the ones that follow, and durable operation comes back by itself.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from edge.gateway import lapse
from edge.records import JournalHole, ShellFault, Started
from edge.storage import disk as disks
from edge.storage.journal import read_journal
from edge.storage.patience import Patience
from tests.edge.app_broker import decided
from tests.edge.test_app import KEYED, SYSTEM, AtOnce, Killed, Steps, World, bundle

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

__all__ = ["bundle"]
ALERT: Final = KEYED[0]
CAUSES: Final = {"full": errno.ENOSPC, "read-only": errno.EROFS, "broken": errno.EIO}


class Ailing(disks.Disk):
    """A disk of which calls fail from the n-th on, for so many calls. Cutting and reading work."""

    def __init__(self, *, first: int = 0, calls: int = 0, code: int = errno.ENOSPC) -> None:
        self.first, self.last, self.code = first, first + calls, code
        self.calls = 0

    def _call(self) -> None:
        self.calls += 1
        if self.first <= self.calls < self.last:
            raise OSError(self.code, os.strerror(self.code))

    def open(self, path: Path, mode: str, *, permissions: int = disks.MODE) -> FileIO:
        """Or not."""
        self._call()
        return super().open(path, mode, permissions=permissions)

    def write(self, file: FileIO, data: bytes | memoryview) -> int:
        """A part of it, and then nothing."""
        try:
            self._call()
        except OSError:
            super().write(file, data[: len(data) // 2])
            raise
        return super().write(file, data)

    def sync(self, file: FileIO) -> None:
        """Or not."""
        self._call()
        super().sync(file)

    def connect(self, path: Path) -> Any:  # noqa: ANN401 - as a connection
        """A database on this disk."""
        return AilingDatabase(super().connect(path), self)


class AilingDatabase:
    """What changes it fails with its disk; what reads it does not."""

    def __init__(self, database: sqlite3.Connection, disk: Ailing) -> None:
        self._database, self._disk = database, disk

    def execute(self, query: str, *args: Any) -> Any:  # noqa: ANN401
        """As the disk lets it."""
        if not query.lstrip().startswith(("SELECT", "PRAGMA", "ROLLBACK")):
            try:
                self._disk._call()
            except OSError as error:
                raise sqlite3.OperationalError("database or disk is full") from error
        return self._database.execute(query, *args)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._database, name)


class Machine(AtOnce):
    """A machine with such a disk; each lapse leaps by another known number."""

    def __init__(self, disk: disks.Disk) -> None:
        super().__init__(disk=disk)
        self.leaps = 0

    def leap(self) -> int:
        """A number of its own each time."""
        self.leaps += 1
        return (1 << 16) + 4_096 * self.leaps + id(self) % 4_096


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for a disk that works again at once."""
    monkeypatch.setattr(lapse, "PROBE_S_MIN", 0.0)
    monkeypatch.setattr(lapse, "PROBE_S_MAX", 0.0)


def once(world: World) -> None:
    """Each (topic, id, revision) that was ever heard has one content, and topics never step back.

    Over all processes; back in revision, of one id.
    """
    contents: dict[tuple[str, str, int], set[bytes]] = defaultdict(set)
    for topic, payload in world.broker.heard:
        if topic in KEYED:
            body = msgspec.json.decode(payload)
            contents[topic, body["id"], body["revision"]].add(payload)
    doubled = {key for key, bodies in contents.items() if len(bodies) > 1}
    assert not doubled


def alarmed(world: World) -> None:
    """The alert was heard, and stands on its topic as active."""
    assert world.broker.last(ALERT)["active"] == 1
    assert any(topic == KEYED[1] for topic, _ in world.broker.heard)


def holes(world: World) -> list[JournalHole]:
    """What the journal says it lacks."""
    stimuli = [entry.stimulus for entry in read_journal(world.broker.state / "journal")]
    for at, one in enumerate(stimuli):
        if isinstance(one, JournalHole):
            assert isinstance(stimuli[at + 1], Started), "who goes on is said behind it"
            left = stimuli[at + 2]  # it is over, or another part is left
            assert isinstance(left, ShellFault)
            assert left.name == "not_durable"
            assert not left.active or "journal: " not in left.detail
            faults = [one for one in stimuli[at + 2 :] if isinstance(one, ShellFault)]
            assert any(one.name == "not_durable" and not one.active for one in faults)
    return [one for one in stimuli if isinstance(one, JournalHole)]


def undisturbed_calls(folder: Path, bundle_path: Path, patch: pytest.MonkeyPatch) -> int:
    """How many calls a life on a sound disk makes."""
    world = World(folder, bundle_path, patch)
    disk = Ailing()
    world.machine = Machine(disk)
    assert world.live() == 0
    alarmed(world)
    return disk.calls


@pytest.mark.usefixtures("quick")
@pytest.mark.not_counted
def test_a_disk_that_fails_from_any_call_on_ends_nothing_and_comes_back_by_itself(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a few calls or for many; all is said, and the next process finds it durable."""
    calls = undisturbed_calls(tmp_path / "sound", bundle, monkeypatch)
    lapsed = 0
    for n in range(12, calls, 8):
        world = World(tmp_path / str(n), bundle, monkeypatch)
        disk = Ailing(first=n, calls=(1, 4, 25)[n // 8 % 3])
        world.machine = Machine(disk)
        assert world.live() == 0, "it ends as it was asked to, not by the disk"
        alarmed(world)
        if disk.calls < disk.last:
            continue  # it failed until the end
        told = [msgspec.json.decode(body) for topic, body in world.broker.heard if topic == SYSTEM]
        lapses = [one["active"] for one in told if one["name"] == "not_durable"]
        assert not lapses or lapses[-1] == 0
        lapsed += bool(lapses)
        assert world.broker.gateway is not None
        durable = world.broker.gateway._durable
        assert not durable.lapse.why, "it works again"
        found = holes(world)
        assert sum(hole.stimuli for hole in found) == durable.lapse.stimuli_total
        kept = {row[:3] for row in decided(world.broker.state)}
        said = {
            (topic, body["id"], body["revision"])
            for topic, payload in world.broker.heard
            if topic in KEYED
            for body in [msgspec.json.decode(payload)]
        }
        assert said <= kept, "what memory had has been moved into the file"
        before = world.broker.last(ALERT)
        world.machine = Machine(disks.Disk())
        assert world.live() == 0
        assert world.broker.last(ALERT)["id"] == before["id"]
        assert world.broker.last(ALERT)["revision"] >= before["revision"]
        once(world)
    assert lapsed > calls // 30, "the test would not notice if nothing failed"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("cause", CAUSES)
def test_a_process_that_dies_while_it_is_not_durable_is_followed_by_one_that_contradicts_nothing(
    cause: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead after any publication; what it said stands in no file, only at the broker."""
    for n in (1, 5, 7):
        world = World(tmp_path / f"{cause}{n}", bundle, monkeypatch)
        world.machine = Machine(Ailing(first=40 - 3 * n, calls=10**9, code=CAUSES[cause]))
        with pytest.raises(Killed):
            world.live(Steps(4 + n, after=True, error=Killed), "publish")
        world.unwatch()
        for disk in (Ailing(first=10, calls=10**9), disks.Disk()):
            world.machine = Machine(disk)
            assert world.live() == 0
            once(world)
        assert {topic for topic, _ in world.broker.heard} >= set(KEYED)
        engine = world.broker.gateway._assembly.engine  # type: ignore[union-attr]
        (record,) = [one for one in engine.alerts() if one.alert_id and one.track == "process"]
        last = world.broker.last(ALERT)
        assert (last["id"], last["revision"]) == (record.alert_id, record.revision)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("cause", CAUSES)
def test_it_starts_on_a_disk_that_takes_nothing(
    cause: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detecting, alerting, and saying that it is not durable."""
    world = World(tmp_path, bundle, monkeypatch)
    world.machine = Machine(Ailing(first=1, calls=10**9, code=CAUSES[cause]))
    assert world.live() == 0
    alarmed(world)
    told = world.broker.last(SYSTEM)
    assert (told["active"], told["name"]) == (1, "not_durable")
    assert os.strerror(CAUSES[cause]) in told["message"] or "full" in told["message"]
    assert world.broker.acknowledged == set(range(len(world.broker.payloads)))
    once(world)
    world.machine = Machine(disks.Disk())
    assert world.live() == 0
    once(world)
    assert world.broker.last(SYSTEM)["active"] == 0


class Slow(Patience):
    """A disk that hangs in one call until it is let go; nobody waits long for it."""

    def __init__(self) -> None:
        super().__init__(wait_s_max=0.05)


class Hanging(disks.Disk):
    """Every sync hangs while `hangs` is set."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()

    def sync(self, file: FileIO) -> None:
        """When it is free."""
        self.free.wait(60)
        super().sync(file)


class SlowMachine(Machine):
    """A machine whose disk may hang."""

    def patience(self) -> Patience:  # type: ignore[override]
        """The loop waits for 50 ms."""
        return Slow()


@pytest.mark.usefixtures("quick")
def test_a_sync_that_hangs_stops_no_tick_and_no_alert(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is heard while it hangs; let go, it is durable again."""
    world = World(tmp_path, bundle, monkeypatch)
    disk = Hanging()
    world.machine = SlowMachine(disk)
    real = world.broker.start

    def start() -> None:
        disk.free.clear()
        real()

    monkeypatch.setattr(world.broker, "start", start)
    try:
        assert world.live() == 0
    finally:
        disk.free.set()
    alarmed(world)
    told = world.broker.last(SYSTEM)
    assert (told["active"], told["name"]) == (1, "not_durable")
    assert "has not answered" in told["message"]
    monkeypatch.setattr(world.broker, "start", real)
    world.machine = Machine(disks.Disk())
    assert world.live() == 0
    once(world)
