"""The last words of a lapse are known to nobody: neither what stands before them is gone on from.

Its process has died; the outbox or the broker tells of the first words that it said, and not of
those that came behind.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest

from edge.gateway.lapse import LEAP_MIN
from edge.records import RetrievalDone
from edge.storage import disk as disks
from edge.storage.journal import SUFFIX
from edge.wire.timing import RetrievalPayload
from tests.edge.test_app import KEYED, Killed, World, bundle
from tests.edge.test_lapse import Ailing, AilingDatabase, Machine, once

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

__all__ = ["bundle"]
ALERT, EVENT = KEYED
WORDS: Final = 3  # alert and event of the first revision, alert of the second


class Sinking(Ailing):
    """The journal takes nothing from a write on; `sunk`: nothing else does either.

    together: from the same write on.
    """

    def __init__(self, *, at: int, together: bool) -> None:
        super().__init__()
        self._left, self._together, self.sunk = at, together, False

    def write(self, file: FileIO, data: bytes | memoryview) -> int:
        """Of the journal only before."""
        if str(file.name).endswith(SUFFIX):
            self._left -= 1
            if self._left <= 0:
                self.sunk = self.sunk or self._together
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().write(file, data)

    def _call(self) -> None:
        if self.sunk:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def dies_when(world: World, said: Callable[[str, bytes], bool]) -> None:
    """Live until a publication that the broker has heard is the last one. said: whether it is."""
    real = world.broker.publish

    def publish(topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        mid = real(topic, payload, qos=qos, retain=retain)
        if said(topic, payload):
            raise Killed
        return mid

    world.broker.__dict__["publish"] = publish
    with pytest.raises(Killed):
        world.live()
    world.unwatch()


def dies_behind_its_first_words(world: World, *, together: bool) -> list[bytes]:
    """A process whose journal fails, then its outbox, and then itself; what its alert's topic held.

    together: the outbox fails with the journal; else when the broker has heard of the alert.
    """
    disk = Sinking(at=5, together=together)
    world.machine = Machine(disk)
    held = list[bytes]()
    left = WORDS

    def said(topic: str, payload: bytes) -> bool:
        nonlocal left
        if topic in KEYED:
            disk.sunk, left = True, left - 1
        if topic == ALERT:
            held.append(payload)
        return not left

    dies_when(world, said)
    assert len(held) == 2, "two words of one alert"
    return held


def goes_on(world: World) -> None:
    """A process on a sound disk: it says its own word, behind a leap, and says no key again."""
    before = world.broker.last(ALERT)
    world.machine = Machine(disks.Disk())
    assert world.live() == 0
    once(world)
    told = world.broker.last(ALERT)
    assert told["id"] == before["id"]
    assert told["revision"] > before["revision"] + LEAP_MIN / 2


def test_an_outbox_that_lacks_the_last_words_of_a_lapse_is_not_counted_on_from(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the broker tell them: it retains nothing."""
    world = World(tmp_path, bundle, monkeypatch)
    dies_behind_its_first_words(world, together=False)
    world.broker.retained.clear()
    goes_on(world)


def test_a_broker_that_came_back_with_an_older_store_is_not_counted_on_from(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed too, and had kept on its disk what it retained minutes before."""
    world = World(tmp_path, bundle, monkeypatch)
    older, _ = dies_behind_its_first_words(world, together=True)
    world.broker.retained[ALERT] = older
    goes_on(world)


class Volatile(disks.Disk):
    """From a moment on it is written and not synced, and no database takes anything."""

    def __init__(self) -> None:
        self.fails = False
        self.safe: dict[Path, int] = {}  # bytes of segments of the journal

    def sync(self, file: FileIO) -> None:
        """Or not."""
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(file)
        path = Path(str(file.name))
        if path.suffix == SUFFIX:
            self.safe[path] = path.stat().st_size

    def connect(self, path: Path) -> Any:  # noqa: ANN401 - as a connection
        """A database that can be read."""
        refuses = Ailing()
        refuses._call = self._refused  # type: ignore[method-assign]
        return AilingDatabase(super().connect(path), refuses)

    def _refused(self) -> None:
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def power_cut(self) -> None:
        """Of the journal what was synced is left."""
        for path, size in self.safe.items():
            os.truncate(path, size)


class Answering(Machine):
    """A machine whose documents say something else each time."""

    def __init__(self, disk: disks.Disk, *, reason: str, asked: Callable[[], object] = int) -> None:
        """asked: called with each question."""
        super().__init__(disk)
        self._reason, self._asked = reason, asked

    def retriever(self, assembly: Any, answered: Callable[[RetrievalDone], None]) -> Any:  # noqa: ANN401
        """One that answers at once."""
        assert assembly is not None

        def ask(effect: Any, *, now_ns: int) -> None:  # noqa: ANN401
            assert now_ns
            self._asked()
            answered(RetrievalDone(alert_id=effect.alert_id, hits=None, reason=self._reason))

        return SimpleNamespace(ask=ask, stop=int, swap=int, told=RetrievalPayload)


def test_what_is_decided_as_the_disk_fails_is_not_said_in_numbers_that_others_may_give(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync before it fails, and the outbox: a power cut takes what it follows from.

    The broker has heard it, and retains nothing.
    """
    world = World(tmp_path, bundle, monkeypatch)
    disk = Volatile()
    world.machine = Answering(disk, reason="first", asked=lambda: setattr(disk, "fails", True))
    revisions = set[int]()

    def said(topic: str, _payload: bytes) -> bool:
        if topic == EVENT:  # which tells what the documents say
            revisions.add(world.broker.last(EVENT)["revision"])
        return len(revisions) == 2

    dies_when(world, said)
    assert min(revisions) == 1, "it was durable"
    disk.power_cut()
    world.broker.retained.clear()
    world.machine = Answering(disks.Disk(), reason="another")
    assert world.live() == 0
    once(world)
    assert max(revisions) > LEAP_MIN, "the explanation is said, behind the leap"
