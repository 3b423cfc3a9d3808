"""The audit trail: whole after crashes, never written twice, and every tampering is found."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.audit.chain import OWN, audit_files, records, verify
from edge.audit.syslog import Syslog, frame, server_of
from edge.audit.trail import AuditTrail, must_stay
from edge.errors import ConfigError, JournalError
from edge.records import Audited, Note, Publish
from edge.storage.disk import Disk
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

DAY_NS: Final = 86_400 * 10**9
START_NS: Final = 1_760_000_000 * 10**9


def entry(i: int, **change: Any) -> Audited:  # noqa: ANN401
    """One suppression, each at its own time."""
    facts = {"alert_id": f"r1-{i}", "revision": 1, "detail": "ä\n|"}
    plain: dict[str, Any] = {"what": "suppressed", "asset": "r1", "t_ns": i, "facts": facts}
    return Audited(**(plain | change))


class Trails:
    """Opens trails at one place, with a clock that the test moves."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now_ns = START_NS
        self.opened: list[AuditTrail] = []

    def open(self, *, bytes_max: int = 1 << 20, days_max: int = 400, **more: Any) -> AuditTrail:  # noqa: ANN401
        """Open the trail, as a process that starts does; the one before is dead."""
        self.close()
        trail = AuditTrail(
            self.directory,
            bytes_max=bytes_max,
            days_max=days_max,
            clock_ns=lambda: self.now_ns,
            **more,
        )
        self.opened.append(trail)
        return trail

    def close(self) -> None:
        """End what is open."""
        while self.opened:
            self.opened.pop().close()

    def entries(self) -> list[int]:
        """Plant times of what was audited, as they stand."""
        return [r.t_ns for r in records(self.directory) if r.what not in OWN]


@pytest.fixture
def trails(tmp_path: Path) -> Iterator[Trails]:
    """A place for a trail."""
    made = Trails(tmp_path / "audit")
    yield made
    made.close()


def test_a_chain_goes_on_over_restarts_and_nothing_is_written_twice(trails: Trails) -> None:
    """A restart decides the newest stimuli again: the same entries come, some are new."""
    assert trails.open().write([entry(1), entry(2)]) == 2
    assert trails.open().write([entry(2), entry(3), entry(3)]) == 1
    trail = trails.open()
    assert trail.write([entry(i) for i in (1, 2, 3)]) == 0
    assert trail.write([entry(3, facts={"alert_id": "r1-3", "revision": 2})]) == 1
    assert trails.entries() == [1, 2, 3, 3]
    chain = verify(trails.directory)
    assert chain.broken is None
    assert (chain.last, chain.head) == trail.head


def test_each_line_holds_what_was_decided_and_binds_the_one_before(trails: Trails) -> None:
    """Any JSON reader can check it: the format is an interface."""
    trails.open().write([entry(1), entry(2)])
    (_, file), *_ = audit_files(trails.directory)
    begins, one, two = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert (begins["what"], begins["sequence"], begins["previous"]) == ("file_begins", 1, "0" * 64)
    assert one["facts"] == {"alert_id": "r1-1", "revision": 1, "detail": "ä\n|"}
    assert (one["previous"], two["previous"]) == (begins["sha256"], one["sha256"])
    assert (one["what"], one["asset"], one["t_ns"]) == ("suppressed", "r1", 1)
    assert one["written_ns"] == START_NS


def flip(data: bytes, at: int) -> bytes:
    """One bit of one byte changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@settings(max_examples=60)
@given(at=st.integers(0, 10**6), data=st.data())
def test_any_changed_missing_or_moved_line_is_found(
    at: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is done to the middle of a trail, it is named at or before where it was done."""
    trails = Trails(tmp_path_factory.mktemp("trail") / "audit")
    trails.open().write([entry(i) for i in range(6)])
    trails.close()
    (_, file), *_ = audit_files(trails.directory)
    lines = file.read_bytes().splitlines(keepends=True)
    i = at % (len(lines) - 1)
    how = data.draw(st.sampled_from(["flip", "drop", "twice", "swap"]))
    if how == "flip":
        lines[i] = flip(lines[i], data.draw(st.integers(0, len(lines[i]) - 1)))
    elif how == "drop":
        del lines[i]
    elif how == "twice":
        lines.insert(i, lines[i])
    else:
        lines[i], lines[i + 1] = lines[i + 1], lines[i]
    file.write_bytes(b"".join(lines))
    broken = verify(trails.directory).broken
    assert broken is not None
    assert broken.file == file.name
    assert broken.line - 1 in (i, i + 1)
    assert broken.expected != broken.found


def test_a_rewritten_line_says_what_was_expected(trails: Trails) -> None:
    """An edit of a value: the hash that stands and the hash that would fit are both named."""
    trails.open().write([entry(1), entry(2)])
    (_, file), *_ = audit_files(trails.directory)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"alert_id":"r1-1"', '"alert_id":"r1-9"'), encoding="utf-8")
    broken = verify(trails.directory).broken
    assert broken is not None
    assert broken.line == 2
    assert broken.expected.startswith("sha256 ")
    assert broken.found == f"sha256 {json.loads(text.splitlines()[1])['sha256']}"


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_torn_end_is_cut_and_that_is_recorded(trails: Trails, kept: float) -> None:
    """A power cut: what was whole stays, what comes again is written again."""
    trails.open().write([entry(1)])
    trails.open().write([entry(2)])
    trails.close()
    (_, file), *_ = audit_files(trails.directory)
    data = file.read_bytes()
    last = data.splitlines(keepends=True)[-1]
    cut = round(len(last) * kept)
    file.write_bytes(data[: len(data) - len(last) + cut])
    assert (verify(trails.directory).broken is None) == (cut == 0)
    trail = trails.open()
    assert trail.write([entry(1), entry(2)]) == 1
    assert verify(trails.directory).broken is None
    assert trails.entries() == [1, 2]
    told = [r.facts for r in records(trails.directory) if r.what == "torn_line_cut"]
    assert told == ([{"file": file.name, "bytes": cut}] if cut else [])


def test_a_first_line_that_was_torn_begins_the_file_anew(trails: Trails) -> None:
    """The process died while it made its first file."""
    trails.directory.mkdir()
    (trails.directory / "00000001.jsonl").write_bytes(b'{"sequ')
    trails.open().write([entry(1)])
    assert verify(trails.directory).broken is None
    assert trails.entries() == [1]


def test_tampering_before_the_end_is_never_mended(trails: Trails) -> None:
    """The gateway goes on in a file of its own, and the check goes on finding the place."""
    trails.open().write([entry(i) for i in range(4)])
    trails.close()
    (_, file), *_ = audit_files(trails.directory)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    for _ in range(2):
        trails.open().write([entry(9)])
        broken = verify(trails.directory).broken
        assert broken is not None
        assert (broken.file, broken.line) == (file.name, 3)
    assert [r.what for r in records(trails.directory)].count("chain_broken") == 1
    assert file.read_bytes().splitlines(keepends=True)[2] == b"{}\n"


def test_files_are_bounded_and_a_dropped_past_is_stated(trails: Trails) -> None:
    """Months of entries keep their bound; the chain holds over every file that is left."""
    bound = 40_000
    trail = trails.open(bytes_max=bound)
    for i in range(500):
        trail.write([entry(i)])
        if i % 100 == 50:
            trail = trails.open(bytes_max=bound)
    files = audit_files(trails.directory)
    assert sum(path.stat().st_size for _, path in files) <= bound + 1_000
    chain = verify(trails.directory)
    assert chain.broken is None
    assert chain.first > 1
    assert trails.entries()[-1] == 499
    files[0][1].unlink()  # somebody drops a little more of the past
    broken = verify(trails.directory).broken
    assert broken is not None
    assert str(chain.first) in broken.expected


def test_a_crash_between_stating_and_dropping_leaves_a_whole_trail(
    trails: Trails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file is not dropped any more, the chain holds."""

    def fail(self: Path, *, missing_ok: bool = False) -> None:
        raise OSError(5, f"unplugged {self} {missing_ok}")

    bound = 20_000
    trail = trails.open(bytes_max=bound)
    for n in range(400):
        with monkeypatch.context() as patch:
            if n % 7 == 0:
                patch.setattr(type(trails.directory), "unlink", fail)
            try:
                trail.write([entry(n)])
            except JournalError:
                trail = trails.open(bytes_max=bound)
                trail.write([entry(n)])
        assert verify(trails.directory).broken is None
    assert trails.entries()[-1] == 399


def test_what_is_older_than_the_days_kept_goes(trails: Trails) -> None:
    """By our clock, a file at a time."""
    trail = trails.open(days_max=80)
    for i in range(200):
        trails.now_ns += DAY_NS
        trail.write([entry(i)])
    held = [r.written_ns for r in records(trails.directory)]
    assert trails.now_ns - min(held) <= 80 * DAY_NS + 11 * DAY_NS
    assert len(held) >= 80
    assert verify(trails.directory).broken is None


def test_a_write_or_sync_that_fails_leaves_the_trail_as_it_was(
    trails: Trails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full disk, failing sync, a write that takes half: an error, and the next try is whole."""
    trail = trails.open()
    trail.write([entry(0)])

    def half(_disk: Disk, file: FileIO, data: bytes) -> int:
        file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    def unsynced(_disk: Disk, file: FileIO) -> None:
        raise OSError(5, f"Input/output error on {file}")

    broken: list[tuple[str, Callable[..., Any]]] = [("write", half), ("sync", unsynced)]
    for name, failing in broken:
        head = trail.head
        with monkeypatch.context() as patch:
            patch.setattr(Disk, name, failing)
            with pytest.raises(JournalError, match="cannot be written"):
                trail.write([entry(1)])
        assert trail.head == head
        assert verify(trails.directory).head == head[1]
    assert trail.write([entry(1)]) == 1
    assert verify(trails.directory).broken is None


def test_only_what_must_stay_is_kept() -> None:
    """Publishes with a key go to the outbox, audited entries to the trail, notes nowhere."""
    kept = Publish(topic="t", payload=b"", qos=1, retain=False, key=("a", 1))
    lost = Publish(topic="t", payload=b"", qos=0, retain=False)
    note = Note(name="n", level="info", fields={})
    assert must_stay([note, kept, entry(1), lost]) == ([kept], [entry(1)])


def test_one_trail_has_one_writer(trails: Trails) -> None:
    """Two gateways in one directory would break the chain."""
    trails.open()
    with pytest.raises(JournalError, match="another gateway"):
        AuditTrail(trails.directory, bytes_max=1 << 20, days_max=1)


def test_every_entry_leaves_for_syslog_once_and_is_framed(trails: Trails) -> None:
    """A real receiver gets RFC 5424 messages with the very line that stands in the trail."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        server = f"127.0.0.1:{receiver.getsockname()[1]}"
        trail = trails.open(syslog=Syslog(server))
        trail.write([entry(1), entry(1), entry(2)])
        trail.write([entry(2), entry(3)])
        heard = [receiver.recv(65_536) for _ in range(3)]
        trails.close()
        receiver.settimeout(0.2)
        with pytest.raises(TimeoutError):
            receiver.recv(65_536)
    lines = [r.line().rstrip(b"\n") for r in records(trails.directory) if r.what not in OWN]
    for datagram, line in zip(heard, lines, strict=True):
        head, _, body = datagram.partition(b"\xef\xbb\xbf")
        assert body == line
        priority, at, _host, name, _process, kind, data = head.decode().split()
        assert (priority, name, kind, data) == ("<109>1", "andon", "suppressed", "-")
        assert at == "2025-10-09T08:53:20.000000Z"


def test_a_syslog_server_that_cannot_be_had_is_counted_and_blocks_nothing(trails: Trails) -> None:
    """The trail on disk is complete all the same."""
    syslog = Syslog("name.invalid:514")
    trail = trails.open(syslog=syslog)
    trail.write([entry(i) for i in range(5)])
    assert trails.entries() == list(range(5))
    wait_until(lambda: trail.syslog_failures_total == 5)
    assert syslog.sent_total == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("siem", ("siem", 514)), ("siem:1514", ("siem", 1514)), ("[::1]:9", ("::1", 9))],
)
def test_a_syslog_server_is_a_name_and_a_port(text: str, expected: tuple[str, int]) -> None:
    """514 where none is given."""
    assert server_of(text) == expected


@pytest.mark.parametrize("text", [":514", "a:0", "a:70000", "a:b"])
def test_what_is_no_syslog_server_is_refused(text: str) -> None:
    """Before the gateway starts."""
    with pytest.raises(ConfigError, match=r"\[audit\] syslog"):
        server_of(text)


def test_a_frame_stays_one_datagram_whatever_it_carries() -> None:
    """Long and strange content is cut and never ends a header early."""
    framed = frame("a b\n", "x" * 100_000, t_ns=START_NS, host="h\u00e4", process=1)
    assert len(framed) == 8_192
    assert framed.startswith(b"<109>1 2025-10-09T08:53:20.000000Z h? andon 1 ab - ")


@settings(max_examples=150)
@given(data=st.data())
def test_any_changed_byte_is_found(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of any line, the last one and the line feeds too, and whatever it becomes."""
    trails = Trails(tmp_path_factory.mktemp("trail") / "audit")
    trails.open().write([entry(i) for i in range(3)])
    trails.close()
    (_, file), *_ = audit_files(trails.directory)
    stored = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(bytes(stored))
    assert verify(trails.directory).broken is not None
