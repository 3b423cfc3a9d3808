"""Dead letters: kept while there is room, never in anybody's way."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.errors import JournalError
from edge.records import DeadLetter
from edge.storage.dead_letters import (
    FAILED_S,
    FILE_BYTES_MAX,
    NEWER,
    OLDER,
    WAITING_MAX,
    DeadLetters,
    read_letters,
)
from edge.storage.disk import Disk
from edge.storage.outbox import Outbox
from edge.storage.patience import NoPatience

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

S: Final = 1_000_000_000
T0: Final = 1_760_000_000 * S


def letter(
    i: int, *, topic: str = "plant/a", reason: str = "not_json", size: int = 10
) -> DeadLetter:
    """The i-th one, a second after the one before."""
    return DeadLetter(
        topic=topic, reason=reason, payload=b"\xff" * size, size_bytes=10 * size, t_ns=T0 + i * S
    )


class Failing(Disk):
    """A disk whose n-th call fails, and all that follow until it is mended."""

    def __init__(self, failing: int) -> None:
        self.calls, self.failing, self.broken = 0, failing, False

    def _call(self) -> None:
        self.calls += 1
        self.broken |= self.calls == self.failing
        if self.broken:
            raise OSError(28, "No space left on device")

    def make_directory(self, path: Path) -> None:
        """As the disk has it, or failing."""
        self._call()
        super().make_directory(path)

    def open(self, path: Path, mode: str, *, permissions: int = 0o666) -> FileIO:
        """As the disk has it, or failing."""
        self._call()
        return super().open(path, mode, permissions=permissions)

    def write(self, file: FileIO, data: bytes | memoryview) -> int:
        """A part of it, or failing."""
        self._call()
        return super().write(file, data[: max(1, len(data) // 2)])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """In order, with what it is about; a thread of its own does it."""
    letters = DeadLetters(tmp_path / "letters")
    for i in range(5):
        letters.put(letter(i))
    letters.turn(0.0)
    letters.stop()
    found = list(read_letters(tmp_path / "letters"))
    assert [one.t_ns for one in found] == [T0 + i * S for i in range(5)]
    assert found[0].beginning == b"\xff" * 10
    assert (found[0].size_bytes, found[0].time) == (100, "2025-10-09T08:53:20.000+00:00")


def test_what_a_gateway_keeps_is_nobody_elses(tmp_path: Path) -> None:
    """Letters, journal and outbox hold what plants send and people say: no way in for others."""
    before = os.umask(0o022)
    try:
        letters, outbox = DeadLetters(tmp_path / "state" / "dead_letters"), tmp_path / "out" / "x"
        Outbox(outbox).close()
        letters.put(letter(1))
        letters.stop()
    finally:
        os.umask(before)
    for folder in (tmp_path / "state" / "dead_letters", outbox.parent):
        assert not folder.stat().st_mode & stat.S_IRWXO


def test_more_than_can_be_written_is_dropped_and_counted(tmp_path: Path) -> None:
    """A flood between two turns of the loop keeps memory bounded."""
    letters = DeadLetters(tmp_path, patience=NoPatience(), disk=Failing(0))
    for i in range(WAITING_MAX + 30):
        letters.put(letter(i))
    letters.turn(0.0)
    assert (letters.dropped, letters.written) == (30, WAITING_MAX)


def test_the_disk_that_they_take_is_bounded(tmp_path: Path) -> None:
    """Two files, of which the older is forgotten; the newest are there."""
    letters = DeadLetters(tmp_path, patience=NoPatience(), disk=Failing(0))
    count = 0
    for turn in range(40):
        for _ in range(100):
            letters.put(letter(count, size=4_096))
            count += 1
        letters.turn(float(turn))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * FILE_BYTES_MAX
    assert {path.name for path in tmp_path.iterdir()} == {NEWER, OLDER}
    found = [one.t_ns for one in read_letters(tmp_path)]
    assert found == [T0 + i * S for i in range(count - len(found), count)]
    assert len(found) > 700


@pytest.mark.parametrize("failing", range(1, 12))
def test_a_full_disk_is_nobodys_trouble(failing: int, tmp_path: Path) -> None:
    """Whichever call fails: nothing is raised, it is counted, and tried again a minute later."""
    disk = Failing(failing)
    letters = DeadLetters(tmp_path / "letters", patience=NoPatience(), disk=disk)
    for i in range(6):
        letters.put(letter(i))
        letters.turn(float(i))
    assert letters.written + letters.dropped + len(letters._waiting) == 6
    assert disk.calls <= failing, "a full disk is not asked again at once"
    disk.broken, disk.failing = False, 0
    letters.put(letter(6))
    letters.turn(6.0 + FAILED_S)
    found = [one.t_ns for one in read_letters(tmp_path / "letters")]
    assert found[-1] == T0 + 6 * S
    assert found == sorted(found)


def test_a_cut_or_changed_line_is_left_out(tmp_path: Path) -> None:
    """A disk that was full cuts lines; the others are read."""
    letters = DeadLetters(tmp_path, patience=NoPatience(), disk=Failing(0))
    for i in range(3):
        letters.put(letter(i))
    letters.turn(0.0)
    lines = (tmp_path / NEWER).read_bytes().splitlines(keepends=True)
    garbage = b"\xff\n[]\n{}\n" + b"x" * 100_000 + b"\n"
    (tmp_path / NEWER).write_bytes(lines[0] + garbage + lines[1][:40] + b"\n" + lines[2])
    assert [one.t_ns for one in read_letters(tmp_path)] == [T0, T0 + 2 * S]
    with pytest.raises(JournalError, match="no dead letters"):
        list(read_letters(tmp_path / "nowhere"))


def test_the_command_shows_and_chooses(tmp_path: Path) -> None:
    """By topic, reason and time; a topic of control characters changes no screen."""
    letters = DeadLetters(tmp_path, patience=NoPatience(), disk=Failing(0))
    letters.put(letter(0))
    letters.put(letter(1, topic="plant/\x1b[2J", reason="wrong_shape"))
    letters.put(letter(2, topic="plant/b"))
    letters.turn(0.0)

    def called(*arguments: str) -> str:
        found = CliRunner().invoke(andon.app, ["dead-letters", str(tmp_path), *arguments])
        assert found.exit_code == 0, found.output
        return found.output

    def listed(*arguments: str) -> list[int]:
        lines = called("--json", *arguments).splitlines()
        return [(msgspec.json.decode(line)["t_ns"] - T0) // S for line in lines]

    assert listed() == [0, 1, 2]
    assert listed("--limit", "1") == [2]
    assert listed("--topic", "plant/b*") == [2]
    assert listed("--reason", "wrong_shape") == [1]
    assert listed("--since", "2025-10-09T08:53:21Z") == [1, 2]
    table = called()
    assert "not_json" in table
    assert "\x1b[2J" not in table
    narrow = CliRunner().invoke(andon.app, ["dead-letters", str(tmp_path)], env={"COLUMNS": "80"})
    assert "2025-10-09T08:53:20Z" in narrow.output, "a time without its seconds finds nothing"
    assert CliRunner().invoke(andon.app, ["dead-letters"]).exit_code == 2
    config = tmp_path / "gateway.toml"
    config.write_text('site = "s"\n[model]\nbundle = "b"\n')
    none = CliRunner().invoke(andon.app, ["dead-letters", "--config", str(config)])
    assert none.exit_code == 0, "that there are none is no fault"
    assert "no dead letters yet" in none.output
    assert CliRunner().invoke(andon.app, ["dead-letters", "x", "--since", "noon"]).exit_code == 2
