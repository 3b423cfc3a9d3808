"""How a lapse of durability ends: nobody reads that it is over before it is."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.records import JournalHole, ShellFault
from edge.storage import disk as disks
from edge.storage.journal import SUFFIX, read_journal
from edge.work.durable import NOT_DURABLE
from tests.edge.test_app import KEYED, World, bundle
from tests.edge.test_lapse import Machine, alarmed, once, quick

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from edge.records import Stimulus

__all__ = ["bundle", "quick"]
ALERT: Final = KEYED[0]


class Unsyncable(disks.Disk):
    """One write to the journal fails; from then on it can be written, and never be synced."""

    def __init__(self, *, at: int) -> None:
        self._left = at

    def write(self, file: FileIO, data: bytes | memoryview) -> int:
        """All but one of them."""
        if str(file.name).endswith(SUFFIX):
            self._left -= 1
            if self._left == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().write(file, data)

    def sync(self, file: FileIO) -> None:
        """Of the journal only before."""
        if self._left <= 0 and str(file.name).endswith(SUFFIX):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(file)


def journaled(world: World) -> list[Stimulus]:
    """All that a process that follows will read."""
    return [entry.stimulus for entry in read_journal(world.broker.state / "journal")]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("at", [6, 8])
def test_the_journal_does_not_say_that_it_is_over_before_it_is_safe(
    at: int, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next process would speak in the same revisions as the one that went on without."""
    world = World(tmp_path, bundle, monkeypatch)
    world.machine = Machine(Unsyncable(at=at))
    assert world.live() == 0
    alarmed(world)
    gateway = world.broker.gateway
    assert gateway is not None
    assert gateway._durable.lapse.why, "it never ended"
    told = journaled(world)
    assert any(isinstance(one, JournalHole) for one in told), "it was tried"
    ends = [one for one in told if isinstance(one, ShellFault) and one.name == NOT_DURABLE]
    assert not any(not one.active for one in ends)
    world.machine = Machine(disks.Disk())
    assert world.live() == 0
    behind = [one for one in journaled(world)[len(told) :] if isinstance(one, ShellFault)]
    leaps = [one.active for one in behind if one.name == NOT_DURABLE and one.leap]
    assert leaps[:2] == [True, False], "what was said meanwhile is known to nobody"
    once(world)


@pytest.mark.usefixtures("quick")
def test_who_follows_a_process_that_was_not_durable_never_shows_an_older_revision(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own last words are older than what the broker retains: they are not said again."""
    world = World(tmp_path, bundle, monkeypatch)
    assert world.live() == 0
    last = world.broker.last(ALERT)
    ahead = {**last, "revision": last["revision"] + (1 << 20)}
    world.broker.retained[ALERT] = msgspec.json.encode(ahead)
    heard = len(world.broker.heard)
    assert world.live() == 0
    said = [msgspec.json.decode(body) for name, body in world.broker.heard[heard:] if name == ALERT]
    assert said, "our own word follows"
    assert all(one["revision"] > ahead["revision"] for one in said if one["id"] == ahead["id"])


@pytest.mark.usefixtures("quick")
def test_what_stands_under_a_key_of_ours_with_other_bytes_is_followed_by_a_later_revision(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never overwritten under the same key."""
    world = World(tmp_path, bundle, monkeypatch)
    assert world.live() == 0
    last = world.broker.last(ALERT)
    world.broker.retained[ALERT] = msgspec.json.encode({**last, "message": "of another"})
    heard = len(world.broker.heard)
    assert world.live() == 0
    said = [msgspec.json.decode(body) for name, body in world.broker.heard[heard:] if name == ALERT]
    assert [one["revision"] for one in said][:1] == [last["revision"] + 1]
