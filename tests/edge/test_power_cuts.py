"""What a power cut behind a kill would take, and what a broker forgot: found by simulated seeds."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from edge.audit.trail import AuditTrail
from edge.brokers.endpoint import Endpoint
from edge.brokers.link import Link
from edge.brokers.transport import Will
from edge.records import Audited, Started, TickDue
from edge.storage.disk import Disk
from edge.storage.journal import MAGIC, read_journal
from edge.storage.journal_writer import JournalWriter
from tests.edge.rig import Rig

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path


class Syncs(Disk):
    """A disk that remembers what was synced."""

    def __init__(self) -> None:
        self.safe: dict[str, bytes] = {}
        self.directories: list[str] = []

    def sync(self, file: FileIO) -> None:
        """Also remember."""
        super().sync(file)
        name = str(file.name)
        with open(name, "rb") as read:  # noqa: PTH123 - FileIO has any kind of name
            self.safe[name] = read.read()

    def sync_directory(self, path: Path) -> None:
        """Also remember."""
        super().sync_directory(path)
        self.directories.append(path.name)


def test_what_a_killed_process_wrote_is_safe_before_anything_follows_from_it(
    tmp_path: Path,
) -> None:
    """The next process replays it, and its alerts leave: a power cut must not take it any more."""
    killed = JournalWriter(tmp_path / "journal", sync_s=1e9)
    killed.append([(1, TickDue())])
    killed._file.close()
    disk = Syncs()
    JournalWriter(tmp_path / "journal", disk=disk).close()
    (segment,) = (tmp_path / "journal").iterdir()
    assert disk.safe[str(segment)] == segment.read_bytes()
    assert disk.directories == ["journal"]


def test_what_a_killed_process_audited_is_safe_before_it_counts_as_audited(tmp_path: Path) -> None:
    """A line that stands in the trail is not written again, so nobody else would sync it."""
    entry = Audited(what="suppressed", asset="r1", t_ns=1, facts={"alert_id": "a"})
    killed = AuditTrail(tmp_path / "audit", bytes_max=1 << 20, days_max=1)
    killed.write([entry])
    killed.close()
    disk = Syncs()
    trail = AuditTrail(tmp_path / "audit", bytes_max=1 << 20, days_max=1, disk=disk)
    assert trail.write([entry]) == 0
    trail.close()
    (file,) = (tmp_path / "audit").iterdir()
    assert disk.safe[str(file)] == file.read_bytes()
    assert disk.directories == ["audit"]


@pytest.mark.parametrize("left", [bytes(8), MAGIC[:3] + bytes(5), bytes(200), b""])
def test_a_segment_of_zeros_was_begun_and_never_safe(tmp_path: Path, left: bytes) -> None:
    """Its length was on the disk and its content was not: it is begun again, and counted."""
    (tmp_path / "00000001.journal").write_bytes(left)
    writer = JournalWriter(tmp_path)
    assert writer.torn_bytes_total == max(0, len(left) - len(MAGIC))
    writer.append([(7, TickDue())])
    writer.close()
    assert [entry.now_ns for entry in read_journal(tmp_path)] == [7]


class Answers:
    """A link, and a broker's answers to it, as paho hands them over."""

    def __init__(self) -> None:
        self.link = Link(
            Endpoint(client_id="andon"),
            filters=["plant/#"],
            queue_messages_max=1,
            will=Will(topic="t", payload=b""),
            on_connected=lambda: None,
            wake=threading.Event(),
        )

    def connected(self, *, session: bool) -> None:
        """CONNACK."""
        client, reason = self.link._client, SimpleNamespace(is_failure=False)
        client.on_connect(client, None, SimpleNamespace(session_present=session), reason, None)

    def lost(self) -> None:
        """The connection ends."""
        self.link._client.on_disconnect(self.link._client, None, None, None, None)


def test_a_broker_that_forgot_is_noticed_although_it_came_twice() -> None:
    """Both connections may come about between two looks of the loop."""
    broker = Answers()
    broker.connected(session=True)
    broker.lost()
    seen = broker.link.forgotten
    broker.connected(session=False)
    broker.lost()
    broker.connected(session=True)
    assert broker.link.forgotten == seen + 1


def test_a_session_that_may_be_younger_than_the_loss_is_no_memory() -> None:
    """The broker began it at a connection of which no answer came."""
    broker = Answers()
    broker.connected(session=True)
    assert broker.link.forgotten == 0, "what the process before has left unacknowledged comes now"
    broker.lost()
    broker.connected(session=True)
    assert broker.link.forgotten == 0, "it was there all the time"
    broker.lost()
    broker.lost()  # it connected, and broke before the answer
    broker.connected(session=True)
    assert broker.link.forgotten == 1


def test_a_restart_says_every_list_that_was_ever_said() -> None:
    """An empty one too: the process before may have been killed before it was heard."""
    rig = Rig()
    rig.run(5)
    assert rig.command("oos", asset="r1", minutes=1, reason="belt")["done"]
    rig.run(120)
    assert not rig.engine.state.assets["r1"].silences
    rig.restart()
    rig.effects.clear()
    rig.give(Started(version="", bundle_sha256="", snapshot_sha256="kb", settings_sha256=""))
    assert [p.topic for p in rig.published] == ["andon/s/job/r1"]
