"""How a lapse of durability ends: nobody reads that it is over before it is."""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from edge.gateway.faults import Faults
from edge.gateway.lapse import CALM_S, Lapse, Part
from edge.records import JournalHole, MessageReceived, ShellFault
from edge.storage import disk as disks
from edge.storage.journal import SUFFIX, read_journal
from edge.work.durable import NOT_DURABLE
from tests.edge.test_app import KEYED, SYSTEM, World, bundle
from tests.edge.test_lapse import Ailing, AilingDatabase, Machine, alarmed, once, quick

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from edge.records import Stimulus

__all__ = ["bundle", "quick"]
ALERT: Final = KEYED[0]


class Unsyncable(disks.Disk):
    """One write to the journal fails; from then on it can be written and not be synced.

    Never, or not for so many tries.
    """

    def __init__(self, *, at: int, tries: int = 1 << 30) -> None:
        self._left, self._tries = at, tries

    def write(self, file: FileIO, data: bytes | memoryview) -> int:
        """All but one of them."""
        if str(file.name).endswith(SUFFIX):
            self._left -= 1
            if self._left == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().write(file, data)

    def sync(self, file: FileIO) -> None:
        """Of the journal only before."""
        if self._left <= 0 and str(file.name).endswith(SUFFIX) and self._tries > 0:
            self._tries -= 1
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
@pytest.mark.parametrize("tries", [1, 2, 5])
def test_a_hole_that_has_to_be_tried_again_is_told_once(
    tries: int, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that it lacks: who replays it counts what the process counted that lived in it."""
    world = World(tmp_path, bundle, monkeypatch)
    world.machine = Machine(Unsyncable(at=6, tries=tries))
    assert world.live() == 0
    alarmed(world)
    gateway = world.broker.gateway
    assert gateway is not None
    lapse, counts = gateway._durable.lapse, gateway._assembly.engine.counts()
    assert not lapse.why
    (hole,) = [one for one in journaled(world) if isinstance(one, JournalHole)]
    assert hole.stimuli == lapse.stimuli_total == counts["stimuli_not_journaled"]
    assert counts["journal_holes"] == 1


class BrokenOutbox(Unsyncable):
    """The same, and the outbox's database fails for good."""

    def connect(self, path: Path) -> Any:  # noqa: ANN401 - as a connection
        """A database that can be read."""
        return AilingDatabase(super().connect(path), Ailing(first=1, calls=10**9))


@pytest.mark.usefixtures("quick")
def test_a_journal_goes_on_although_the_outbox_is_broken_for_good(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alert says which part is left; it is not over, and the next process is told of that."""
    world = World(tmp_path, bundle, monkeypatch)
    world.machine = Machine(BrokenOutbox(at=6, tries=1))
    assert world.live() == 0
    alarmed(world)
    gateway = world.broker.gateway
    assert gateway is not None
    assert set(gateway._durable.lapse.parts) == {Part.OUTBOX}
    assert gateway._assembly.engine.state.not_durable, "nothing is suppressed"
    stimuli = journaled(world)
    (at,) = [n for n, one in enumerate(stimuli) if isinstance(one, JournalHole)]
    assert sum(isinstance(one, MessageReceived) for one in stimuli[at:]) > 0, "it goes on"
    faults = [one for one in stimuli[at:] if isinstance(one, ShellFault)]
    assert all(one.active for one in faults if one.name == NOT_DURABLE)
    said = [msgspec.json.decode(body) for topic, body in world.broker.heard if topic == SYSTEM]
    details = [one["message"] for one in said if one["name"] == NOT_DURABLE]
    assert any("journal: " in one for one in details)
    assert details[-1].startswith("outbox: ")
    assert "journal: " not in details[-1]
    world.machine = Machine(disks.Disk())
    assert world.live() == 0
    once(world)
    assert world.broker.last(SYSTEM)["active"] == 0


class Hand(disks.Clock):
    """A clock that is moved by hand."""

    now_s = 1e6

    def monotonic_s(self) -> float:
        """As it was set."""
        return self.now_s


def test_a_disk_that_works_for_moments_lapses_once_a_minute_at_most() -> None:
    """Each lapse ends at the first look and begins again at once; calm for long, it is forgiven."""
    clock, numbers = Hand(), itertools.count(1)
    lapse = Lapse(Faults(clock), clock=clock, leap=lambda: next(numbers))
    begun: list[float] = []
    while len(begun) < 30:
        lapse.begin(Part.JOURNAL, "full")
        begun.append(clock.now_s)
        while not lapse.probe_due():
            clock.now_s += 0.5
        lapse.mended(Part.JOURNAL)
    waits = [second - first for first, second in itertools.pairwise(begun)]
    assert waits[:6] == [2, 4, 8, 16, 32, 60]
    assert set(waits[6:]) == {60}
    clock.now_s += CALM_S
    lapse.begin(Part.JOURNAL, "full")
    clock.now_s += 2
    assert lapse.probe_due()


def test_the_engine_is_told_which_parts_there_are_and_of_a_leap_for_what_stands_in_no_journal() -> (
    None
):
    """A journal that holds the leap of another part does not tell who crosses its hole."""
    numbers = itertools.count(1)
    lapse = Lapse(Faults(), clock=disks.CLOCK, leap=lambda: next(numbers))
    told: list[ShellFault] = []
    lapse.begin(Part.OUTBOX, "broken")
    lapse.begin(Part.OUTBOX, "broken again")
    told += lapse.told()
    lapse.begin(Part.JOURNAL, "full")
    told += lapse.told()
    lapse.begin(Part.AUDIT, "full")
    lapse.mended(Part.AUDIT)  # before anybody was told of it
    lapse.mended(Part.JOURNAL)
    told += lapse.told()
    lapse.mended(Part.OUTBOX)
    told += lapse.told()
    assert [(one.detail, one.active, one.leap) for one in told] == [
        ("outbox: broken", True, 1),
        ("outbox: broken again; journal: full", True, 2),
        ("outbox: broken again", True, 2),
        ("it is over", False, 2),
    ]


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
