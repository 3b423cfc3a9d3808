"""A file of lines that are bound, each to the one before, by hashes: read, checked, added to.

Whoever changes or takes out a line makes all that follow it unfit; whoever cuts the end off is not
seen by this alone. A hash is over a line as it is written, so the order of its fields is part of
the format, and no field may move.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

import msgspec

from edge.errors import UNREADABLE, ConfigError
from edge.storage.append import append_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

NOTHING_SHA256: Final = "0" * 64  # what the first line follows


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What every line begins with; `sha256` ends it, so each kind of line declares that itself.

    sequence: from 1; previous: hash of the line before. A line that has no place yet has neither.
    """

    sequence: int = 0
    previous: str = ""

    if TYPE_CHECKING:

        @property
        def sha256(self) -> str:
            """Its own hash, over itself without one."""

    def sealed(self) -> Self:
        """The same with its own hash."""
        bare = msgspec.structs.replace(self, sha256="")
        digest = hashlib.sha256(msgspec.json.encode(bare)).hexdigest()
        return msgspec.structs.replace(self, sha256=digest)


Line = TypeVar("Line", bound=Sealed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Generic[Line]):
    """What a chain says. lines: up to where it breaks, oldest first; broken: where, "" nowhere."""

    lines: list[Line]
    broken: str = ""


class SealedChain(Generic[Line]):
    """One such file. `lock`: a file of its own or a directory, held while somebody adds."""

    def __init__(self, path: Path, kind: type[Line], *, lock: Path) -> None:
        self.path = path
        self._kind, self._lock = kind, lock

    def read(self) -> Read[Line]:
        """Every line up to the first that does not fit. Raises ConfigError for an unreadable file.

        A line that was not written to its end is none that fits; one that lacks its newline is.
        """
        lines: list[Line] = []
        previous = NOTHING_SHA256
        for number, raw in enumerate(self._stored().splitlines(), start=1):
            where = f"{self.path}, line {number}"
            try:
                line = msgspec.json.decode(raw, type=self._kind)
            except UNREADABLE as error:
                return Read(lines=lines, broken=f"{where}: {error}; it was changed")
            if line.previous != previous or line.sealed() != line or line.sequence != number:
                broken = f"{where} does not follow from the one before it"
                return Read(lines=lines, broken=broken)
            lines.append(line)
            previous = line.sha256
        return Read(lines=lines)

    def whole(self) -> list[Line]:
        """Every line, oldest first. Raises ConfigError at the first that does not fit."""
        found = self.read()
        if found.broken:
            raise ConfigError(found.broken)
        return found.lines

    def add(
        self, lines: Sequence[Line], *, finish: Callable[[Line], Line] | None = None
    ) -> list[Line]:
        """Give lines their places, seal and write them, all or none of it; within `alone`.

        finish: what a line lacks that depends on its place, as a signature. Raises ConfigError,
        also where the chain is broken: nothing may follow what nobody can trust.
        """
        known = self.whole()
        previous, sequence = (known[-1].sha256 if known else NOTHING_SHA256), len(known)
        added = []
        for line in lines:
            sequence += 1
            placed = msgspec.structs.replace(line, sequence=sequence, previous=previous)
            added.append((finish(placed) if finish is not None else placed).sealed())
            previous = added[-1].sha256
        content = b"".join(msgspec.json.encode(one) + b"\n" for one in added)
        if known and not self._stored().endswith(b"\n"):
            content = b"\n" + content  # an editor or a power cut took it: two lines would be one
        try:
            append_whole(self.path, content)
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}; nothing has changed") from error
        return added

    def _stored(self) -> bytes:
        """The file as it is, b"" without one. Raises ConfigError."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While somebody changes it, nobody else does. Raises ConfigError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDONLY if self._lock.is_dir() else os.O_RDWR | os.O_CREAT
            handle = os.open(self._lock, flags, 0o644)
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}; nothing has changed") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
