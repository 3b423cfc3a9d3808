"""A disk that forgets: files of a directory in memory, and what a power cut leaves of them.

A killed process leaves everything that it wrote. A power cut takes, file by file, any part of what
was written since the file was synced, and any change of names since the directory was. Databases
keep every transaction that was committed, because theirs are synced by SQLite.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.storage.disk import Disk
from tests.sim_gateway.fate import Killed

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO

    from edge.storage.disk import Held
    from tests.sim_gateway.fate import Fate

HEADER_BYTES: Final = 8  # of a segment of the journal; no group
TROUBLES: Final = (errno.ENOSPC, errno.EIO, errno.EROFS)


class Database(sqlite3.Connection):
    """A database whose statements may fail, or be the last act of the process."""

    before: Callable[[str], None]

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401
        """One statement."""
        self.before(sql)
        return super().execute(sql, values)

    def executemany(self, sql: str, values: Any, /) -> sqlite3.Cursor:  # noqa: ANN401
        """One statement, for many rows."""
        self.before(sql)
        return super().executemany(sql, values)


@dataclass(slots=True)
class Names:
    """A directory: what a power cut leaves at least, and what was changed since, in its order.

    Changes of names keep their order, as in the journal of any file system that has one.
    """

    safe: dict[str, int] = field(default_factory=dict)  # name: file
    now: dict[str, int] = field(default_factory=dict)
    changes: list[tuple[str, str, int]] = field(default_factory=list)  # what, name, file

    def change(self, what: str, name: str, file: int) -> None:
        """A name comes or goes."""
        self.changes.append((what, name, file))
        _apply(self.now, what, name, file)

    def left(self, count: int) -> dict[str, int]:
        """The names after so many of the changes."""
        names = dict(self.safe)
        for change in self.changes[:count]:
            _apply(names, *change)
        return names


def _apply(names: dict[str, int], what: str, name: str, file: int) -> None:
    if what == "comes":  # under one name only
        for other in [one for one, number in names.items() if number == file]:
            del names[other]
        names[name] = file
    else:
        names.pop(name, None)


class ForgetfulDisk(Disk):
    """The disk of one simulated machine."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.trouble = 0  # errno of every change while the disk fails; 0: it works
        self.troubled = ""  # part of a path that it fails for; "": any
        self.failures_max = 0  # calls that fail before it works again; 0: no such bound
        self.slow = False  # what is done beside the loop takes its time
        self.busy_until_s = 0.0  # with the slow ones
        self.failures = 0  # calls that failed, and that took too long
        self.refused: set[Path] = set()  # what some of them were for
        self.retired: dict[str, bytes] = {}  # segments of the journal that were dropped
        self.written: list[tuple[str, int, float]] = []  # of the journal: file, end, when
        self.group_at: dict[str, int] = {}  # of the journal, by file: where its newest group begins
        self.groups = 0  # that were written to it
        self._partly = ""  # file of which a group is not written to its end
        self.outboxed: Callable[[], object] = bool  # told when a row comes into the outbox,
        self.saved: Callable[[Path], object] = bool  # and when a checkpoint gets its name
        self._names: dict[Path, Names] = {}
        self._safe: dict[int, bytes] = {}  # by file, what a power cut leaves of it at least
        self._gone: dict[int, bytes] = {}  # content of files without a name
        self._moves: list[tuple[Path, Path, str, int]] = []  # between directories, not safe yet
        self._number = 0
        self._open: list[FileIO | Held | Database] = []

    def safe(self, directory: Path) -> bytes:
        """What a power cut leaves of the files of a directory at least."""
        return b"".join(content for _, content in sorted(self.safe_files(directory).items()))

    def safe_files(self, directory: Path) -> dict[str, bytes]:
        """The same by name."""
        names = self._names.get(directory, Names())
        return {name: self._safe[file] for name, file in names.safe.items()}

    def names(self, directory: Path, suffix: str) -> list[str]:
        """Names of such files, in their order."""
        return sorted(
            name for name in self._names.get(directory, Names()).now if name.endswith(suffix)
        )

    def unsafe(self, directory: Path, suffix: str) -> str:
        """Which file of such a name has bytes that a power cut may take, "" none has."""
        names = self._names.get(directory, Names())
        for name, file in names.now.items():
            if name.endswith(suffix):
                there = (directory / name).stat().st_size
                safe = len(self._safe[file]) if names.safe.get(name) == file else 0
                if safe < there and there > HEADER_BYTES:
                    return f"{name} has {there} B, {safe} B of them safe"
        return ""

    # --- what storage calls ---

    def make_directory(self, path: Path) -> None:
        """As on a real disk; a new directory is safe at once, which is kinder than a real one."""
        if not path.is_dir():
            self._before("mkdir", path)
            super().make_directory(path)
        self._names.setdefault(path, Names())

    def open(self, path: Path, mode: str, *, permissions: int = 0o666) -> FileIO:
        """A file that ends with the process."""
        begins = not path.exists()
        if begins or mode.startswith("w"):
            self._before("create", path)
        file = super().open(path, mode, permissions=permissions)
        if begins:
            self._number += 1
            self._safe[self._number] = b""
            self._names[path.parent].change("comes", path.name, self._number)
        self._open.append(file)
        return file

    def write(self, file: FileIO, data: bytes | memoryview) -> int:
        """All of it or a part, and a part where it is the last act."""
        if self._fate.dead:
            raise Killed
        path, begin = self._path(file), file.tell()
        part = self._fate.draw.randrange(len(data) + 1)
        try:
            self._before("write", path)
        except Killed:
            super().write(file, data[:part])
            raise
        except OSError:
            self._partly = ""
            if self._fate.chance(0.5):  # what fits is there
                super().write(file, data[: min(part, len(data) - 1)])
            raise
        short = self._fate.chance(0.01) and part
        count = super().write(file, data[:part] if short else data)
        if path.suffix == ".journal":
            self.groups += 1
            if self._partly != path.name:
                self.group_at[path.name] = begin
            self._partly = path.name if short else ""
        if path.suffix == ".journal" and not short and file.tell() > HEADER_BYTES:
            self.written.append((path.name, file.tell(), self._fate.time.now_s))
        return count

    def truncate(self, file: FileIO, size: int) -> None:
        """Cut; a power cut may bring back what was cut off."""
        self._before("truncate", self._path(file))
        super().truncate(file, size)

    def sync(self, file: FileIO) -> None:
        """From here on it stays."""
        path = self._path(file)
        try:
            self._before("sync", path)
        except (Killed, OSError):
            if path.suffix == ".journal" and self.written:
                self.written.pop()  # its group was not taken
            raise
        there = self._names[path.parent].now.get(path.name)
        if there is not None:  # else its name has gone meanwhile, and nobody asks for it again
            self._safe[there] = path.read_bytes()

    def sync_directory(self, path: Path) -> None:
        """From here on its names stay."""
        self._before("sync_directory", path)
        together = {path}  # a file that changed directories did so in both of them at once
        together |= {one for pair in self._moves if path in pair[:2] for one in pair[:2]}
        self._moves = [one for one in self._moves if path not in one[:2]]
        for directory in together:
            names = self._names[directory]
            names.safe = dict(names.now)
            names.changes.clear()

    def replace(self, source: Path, target: Path) -> None:
        """One step for whoever reads."""
        self._before("replace", target)
        names = self._names[target.parent]
        if target.exists():
            self._gone[names.now[target.name]] = target.read_bytes()
        before = self._names[source.parent]
        file = before.now[source.name]
        names.change("comes", target.name, file)
        if before is not names:
            before.change("goes", source.name, file)
            self._moves.append((source.parent, target.parent, source.name, file))
        super().replace(source, target)
        if target.suffix == ".checkpoint" and target.parent.name == "checkpoints":
            self.saved(target)

    def unlink(self, path: Path) -> None:
        """The name goes; a power cut may bring it back."""
        self._before("unlink", path)
        names = self._names[path.parent]
        if path.name in names.now:
            content = self._gone[names.now[path.name]] = path.read_bytes()
            names.change("goes", path.name, 0)
            if path.suffix == ".journal" and len(content) > HEADER_BYTES:
                self.retired[path.name] = content
        super().unlink(path)

    def lock(self, path: Path) -> Held:
        """Held until the process ends."""
        held = super().lock(path)
        self._open.append(held)
        return held

    def connect(self, path: Path) -> sqlite3.Connection:
        """A real database."""
        self._before("connect", path)
        db = sqlite3.connect(path, isolation_level=None, factory=Database)
        db.before = lambda what: self._before_statement(what, path)
        self._open.append(db)
        return db

    # --- what befalls it ---

    def killed(self) -> None:
        """The process has ended; the system closes its files."""
        self._partly = ""
        for held in self._open:
            held.close()
        self._open.clear()

    def power_cut(self) -> None:
        """Every file and name is as a power cut may leave it. The process has ended."""
        lefts = {
            directory: names.left(self._fate.draw.randrange(len(names.changes) + 1))
            for directory, names in self._names.items()
        }
        for source, target, name, file in self._moves:  # undone in both, or in none
            if file not in lefts[target].values() and file in self._names[target].now.values():
                _apply(lefts[source], "comes", name, file)
            else:
                lefts[source].pop(name, None)
        self._moves.clear()
        there = dict(self._gone)
        for directory, names in self._names.items():
            there |= {file: (directory / name).read_bytes() for name, file in names.now.items()}
        for directory, names in self._names.items():
            left = lefts[directory]
            contents = {name: self._torn(file, there[file]) for name, file in sorted(left.items())}
            for name in names.now.keys() - left.keys():
                (directory / name).unlink(missing_ok=True)
            for name, content in contents.items():
                (directory / name).write_bytes(content)
                self._safe[left[name]] = content
            said = ", ".join(f"{name} {len(content)}" for name, content in contents.items())
            said = said.replace(f".{os.getpid()} ", " ")
            self._fate.note(f"power cut leaves {directory.name}: {said}")
            self._names[directory] = Names(safe=left, now=dict(left))
        self._gone.clear()

    def _torn(self, file: int, content: bytes) -> bytes:
        """What is left of a file: what is safe, and any part of what was written behind it."""
        safe, fate = self._safe[file], self._fate
        if content == safe:
            return content
        if not content.startswith(safe):
            return content if fate.chance(0.5) else safe
        kept = len(safe) + fate.draw.randrange(len(content) - len(safe) + 1)
        way = fate.draw.randrange(4)
        if way == 0:
            return content
        if way == 1:
            return safe
        zeros = len(content) - kept if way == 2 else 0  # its length was safe, its content was not
        return content[:kept] + b"\0" * zeros

    def damage(self, path: Path, at: int, bit: int) -> None:
        """A bit of a file is another one, whatever was synced."""
        data = bytearray(path.read_bytes())
        data[at] ^= 1 << bit
        path.write_bytes(data)
        file = self._names[path.parent].now[path.name]
        safe = bytearray(self._safe[file])
        if at < len(safe):
            safe[at] ^= 1 << bit
            self._safe[file] = bytes(safe)
        self.written = [one for one in self.written if one[0] != path.name]

    def _before(self, what: str, path: Path) -> None:
        """Raises Killed or OSError."""
        name = path.name.removesuffix(f".{os.getpid()}")  # of a scratch file: no run is as another
        self._fate.end(f"{what} {name}")
        if self.trouble and self.troubled in str(path):
            self._fate.note(f"fails {what} {name}")
            trouble = self._failed()
            self.refused.add(path)
            raise OSError(trouble, os.strerror(trouble), str(path))

    def _before_statement(self, sql: str, path: Path) -> None:
        """Raises Killed or sqlite3.OperationalError."""
        what = sql.split(None, 1)[0]
        if sql.startswith("INSERT INTO outbox"):
            self.outboxed()
        self._fate.end(f"{what} {path.name}")
        if self.trouble and self.troubled in str(path) and what not in {"SELECT", "PRAGMA"}:
            self._fate.note(f"fails {what}")
            full = self._failed() == errno.ENOSPC
            raise sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")

    def _failed(self) -> int:
        """Why a call fails."""
        trouble = self.trouble
        self.failures += 1
        self.written.clear()  # what is not durable is said not to be
        self.failures_max -= 1
        if self.failures_max == 0:
            self.trouble = 0
        return trouble

    def took_s(self) -> float:
        """How long something takes that is done beside the loop."""
        if not self.slow:
            return 0.0
        self.failures += 1
        self.written.clear()
        took_s = self._fate.draw.choice((0.0, 0.02, 0.5, 3.0, 8.0))
        self.busy_until_s = max(self.busy_until_s, self._fate.time.now_s) + took_s
        return took_s

    @staticmethod
    def _path(file: FileIO) -> Path:
        name: Any = file.name
        assert isinstance(name, Path)
        return name
