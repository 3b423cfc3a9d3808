"""The audit trail's writer: what kept an alert quiet, and a person's word, before it takes effect.

Append-only and hash-chained (see `audit_chain`). Written and synced before the alert that it is
about may leave. A restart decides the newest stimuli again; what stands in the trail already is not
written twice.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from edge import logs
from edge.audit.chain import (
    CHAIN_BROKEN,
    FILE_BEGINS,
    LINE_CUT,
    NOTHING_SHA256,
    OWN,
    PRUNED_SHA256,
    PRUNED_UNTIL,
    SUFFIX,
    AuditRecord,
    audit_directory,
    audit_files,
    decoded,
    key_of,
    read_lines,
)
from edge.audit.syslog import Syslog
from edge.caps import PLAUSIBLE_NS
from edge.errors import JournalError
from edge.records import Audited, Note, Publish
from edge.storage.disk import CLOCK, DISK, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import FileIO
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from edge.records import Effect
    from edge.storage.disk import Clock, Disk, Held

log = logging.getLogger("andon")

DAY_NS: Final = 86_400 * 10**9
PERMISSIONS: Final = 0o640  # of its files
BROKEN_NEXT: Final = (
    "the audit trail was changed or is damaged, and goes on in another file; keep a copy, find out"
    " who wrote there, and see `andon audit verify`"
)
FILES_KEPT: Final = 8  # dropping a file must not drop most of what is kept
KEYS_MAX: Final = 100_000  # of newest entries, known again after a restart; 12 MB


def must_stay(effects: Sequence[Effect]) -> tuple[list[Publish], list[Audited]]:
    """What of some effects must be on disk before anything leaves: in the outbox, the trail."""
    durable = [e for e in effects if isinstance(e, Publish) and e.key is not None]
    return durable, [e for e in effects if isinstance(e, Audited)]


def trail_of(config: GatewayConfig, *, disk: Disk = DISK, clock: Clock = CLOCK) -> AuditTrail:
    """The trail that a configuration names. Raises JournalError or ConfigError."""
    audit = config.audit
    return AuditTrail(
        audit_directory(config),
        bytes_max=audit.bytes_max,
        days_max=audit.days_max,
        syslog=Syslog(audit.syslog) if audit.syslog else None,
        clock_ns=clock.wall_ns,
        disk=disk,
    )


class AuditTrail:
    """A directory of files. Used by one thread of one process."""

    def __init__(
        self,
        directory: Path,
        *,
        bytes_max: int,
        days_max: int,
        syslog: Syslog | None = None,
        clock_ns: Callable[[], int] = CLOCK.wall_ns,
        disk: Disk = DISK,
    ) -> None:
        """Open or begin a trail; a torn last line is cut and that is recorded.

        Raises JournalError when it cannot be written, or another process writes it.
        """
        self._directory = directory
        self._file_bytes_max = max(bytes_max // FILES_KEPT, 1)
        self._bytes_max = bytes_max
        self._age_ns_max = days_max * DAY_NS
        self._syslog = syslog
        self._clock_ns, self._disk = clock_ns, disk
        self._keys: set[bytes] = set()
        self._order: deque[bytes] = deque()
        self._sequence, self._sha256 = 0, NOTHING_SHA256
        self._file: FileIO | None = None
        self._lock: Held | None = None
        self._size = self._began_ns = 0
        self.broken = ""  # where, and what to do: damage that was found as it was opened
        self._failures_told = False
        try:
            disk.make_directory(directory)
            self._lock = disk.lock(directory)
            self._resume()
        except BlockingIOError as error:
            raise JournalError(f"{directory}: another gateway writes this audit trail") from error
        except OSError as error:
            for held in (self._file, self._lock):  # whoever tries again must not meet itself
                if held is not None:
                    held.close()
            raise _unwritten(directory, error) from error

    @property
    def head(self) -> tuple[int, str]:
        """Sequence and hash of the newest record."""
        return self._sequence, self._sha256

    @property
    def syslog_failures_total(self) -> int:
        """Lines that did not leave for the syslog server."""
        return self._syslog.failures_total if self._syslog is not None else 0

    def write(self, audited: Sequence[Audited]) -> int:
        """Append entries, those left out that stand already; returns how many are new.

        Raises JournalError; then none of them is there.
        """
        fresh: dict[bytes, Audited] = {}
        for one in audited:
            key = key_of(one.what, one.asset, one.t_ns, one.facts)
            if key not in self._keys:
                fresh.setdefault(key, one)
        if not fresh:
            return 0
        try:
            if self._due():
                self._rotate()
            made = self._append(
                [(one.what, one.asset, one.t_ns, one.facts) for one in fresh.values()]
            )
        except OSError as error:
            raise _unwritten(self._directory, error) from error
        for key in fresh:
            self._remember(key)
        self._forward(made)
        return len(made)

    def close(self) -> None:
        """Close the files."""
        if self._syslog is not None:
            self._syslog.close()
            self._tell_failures()
        for held in (self._file, self._lock):
            if held is not None:
                held.close()
        self._file = self._lock = None

    # --- beginning ---

    def _resume(self) -> None:
        files = audit_files(self._directory)
        if not files:
            self._begin_file(1, pruned=(0, NOTHING_SHA256))
            return
        self._load_keys(files)
        number, path = files[-1]
        lines = read_lines(path)
        found = [decoded(line) for line in lines]
        sound = next((i for i, record in enumerate(found) if record is None), len(lines))
        torn = sound < len(lines) and not any(found[sound:])
        cut = b"".join(lines[sound:]) if torn else b""
        kept = b"".join(lines[:sound]) if torn else b"".join(lines)
        self._file = self._disk.open(path, "ab", permissions=PERMISSIONS)
        self._size = len(kept)
        if torn:
            self._disk.truncate(self._file, self._size)
        # what a killed process wrote and did not sync is not written again: it stands here
        self._disk.sync(self._file)
        self._disk.sync_directory(self._directory)
        last = next((record for record in reversed(found) if record is not None), None)
        first = found[0] if found else None
        if last is None:  # the process died before the first line was whole
            last = self._last_before(files[:-1])
        self._sequence = last.sequence if last is not None else 0
        self._sha256 = last.sha256 if last is not None else NOTHING_SHA256
        self._began_ns = first.written_ns if first is not None else self._clock_ns()
        own: list[tuple[str, str, int, dict[str, str | int]]] = []
        if not kept:
            own.append(self._own(FILE_BEGINS, self._past(number, (0, ""))))
        if cut:
            own.append(self._own(LINE_CUT, {"file": path.name, "bytes": len(cut)}))
        elif sound < len(lines):
            detail = f"{path.name}, line {sound + 1} is no record, though others follow it"
            own.append(self._own(CHAIN_BROKEN, {"file": path.name, "detail": detail}))
            self.broken = f"{self._directory}: {detail}: {BROKEN_NEXT}"
        if own:
            if own[-1][0] == CHAIN_BROKEN:  # in a file of its own, so that it is said once
                self._begin_file(number + 1, pruned=(0, ""))
            self._append(own)
            logs.write(log, Note(name=own[-1][0], level="warning", fields={"file": path.name}))
        if self._due():
            self._rotate()

    def _last_before(self, files: Sequence[tuple[int, Path]]) -> AuditRecord | None:
        for _, path in reversed(files):
            for line in reversed(read_lines(path)):
                if (record := decoded(line)) is not None:
                    return record
        return None

    def _load_keys(self, files: Sequence[tuple[int, Path]]) -> None:
        """Remember the newest entries, oldest first."""
        newest: list[bytes] = []
        for _, path in reversed(files):
            known = (decoded(line) for line in reversed(read_lines(path)))
            newest += [record.key() for record in known if record and record.what not in OWN]
            if len(newest) >= KEYS_MAX:
                break
        for key in reversed(newest[:KEYS_MAX]):
            self._remember(key)

    def _remember(self, key: bytes) -> None:
        if key in self._keys:
            return
        self._keys.add(key)
        self._order.append(key)
        if len(self._order) > KEYS_MAX:
            self._keys.discard(self._order.popleft())

    # --- files ---

    def _due(self) -> bool:
        old = self._clock_ns() - self._began_ns > self._age_ns_max // FILES_KEPT
        return self._size >= self._file_bytes_max or old

    def _rotate(self) -> None:
        """Begin another file; what of the past goes is stated in it before it goes."""
        files = audit_files(self._directory)
        gone = self._outlived(files)
        last = self._last_before(gone)
        pruned = (last.sequence, last.sha256) if last is not None else (0, "")
        self._begin_file(files[-1][0] + 1, pruned=pruned)
        for _, path in gone:
            with suppress(FileNotFoundError):
                self._disk.unlink(path)
        self._disk.sync_directory(self._directory)

    def _outlived(self, files: list[tuple[int, Path]]) -> list[tuple[int, Path]]:
        """The oldest files, beyond the bounds in bytes or days; the newest always stays."""
        kept = sum(path.stat().st_size for _, path in files)
        room = self._bytes_max - self._file_bytes_max
        oldest_ns = self._clock_ns() - self._age_ns_max
        gone: list[tuple[int, Path]] = []
        for i, (number, path) in enumerate(files[:-1]):
            # one with each new file: a clock that jumps forward makes all of them old at once
            aged = not gone and self._written_ns(files[i:-1]) < oldest_ns
            if kept <= room and not aged:
                break
            kept -= path.stat().st_size
            gone.append((number, path))
        return gone

    def _written_ns(self, files: list[tuple[int, Path]]) -> int:
        """When the first of these files was last written; now: nobody knows.

        What was written while the clock was not set is at least as old as what follows.
        """
        times = (last.written_ns for one in files if (last := self._last_before([one])) is not None)
        return next((one for one in times if one >= PLAUSIBLE_NS), self._clock_ns())

    def _begin_file(self, number: int, *, pruned: tuple[int, str]) -> None:
        path = self._directory / f"{number:08d}{SUFFIX}"
        file = self._disk.open(path, "ab", permissions=PERMISSIONS)
        if self._file is not None:
            self._file.close()
        self._file, self._size, self._began_ns = file, path.stat().st_size, self._clock_ns()
        self._append([self._own(FILE_BEGINS, self._past(number, pruned))])
        self._disk.sync_directory(self._directory)

    def _past(self, number: int, pruned: tuple[int, str]) -> dict[str, str | int]:
        """What the first line of a file says: which file it is, and what was dropped before."""
        until, sha256 = pruned
        facts: dict[str, str | int] = {"file": number}
        return facts | ({PRUNED_UNTIL: until, PRUNED_SHA256: sha256} if until else {})

    def _own(
        self, what: str, facts: dict[str, str | int]
    ) -> tuple[str, str, int, dict[str, str | int]]:
        return what, "", self._clock_ns(), facts

    def _append(
        self, entries: Sequence[tuple[str, str, int, dict[str, str | int]]]
    ) -> list[AuditRecord]:
        """One write, one sync. Raises OSError; then the file is as it was."""
        assert self._file is not None, "written before it was opened, or after it was closed"
        made: list[AuditRecord] = []
        sequence, sha256 = self._sequence, self._sha256
        now_ns = self._clock_ns()
        for what, asset, t_ns, facts in entries:
            sequence += 1
            record = AuditRecord(
                sequence=sequence,
                previous=sha256,
                what=what,
                asset=asset,
                t_ns=t_ns,
                facts=facts,
                written_ns=now_ns,
            ).sealed()
            made.append(record)
            sha256 = record.sha256
        data = b"".join(record.line() for record in made)
        try:
            write_whole(self._disk, self._file, data)
            self._disk.sync(self._file)
        except OSError:
            with suppress(OSError):
                self._disk.truncate(self._file, self._size)
            raise
        self._size += len(data)
        self._sequence, self._sha256 = sequence, sha256
        return made

    # --- elsewhere ---

    def _forward(self, made: Sequence[AuditRecord]) -> None:
        if self._syslog is None:
            return
        for record in made:
            line = record.line().decode().rstrip("\n")
            self._syslog.send(record.what, line, t_ns=record.written_ns)
        if self._syslog.failures_total and not self._failures_told:
            self._tell_failures()

    def _tell_failures(self) -> None:
        if count := self.syslog_failures_total:
            self._failures_told = True
            fields: dict[str, str | int | float] = {"lines": count}
            logs.write(log, Note(name="syslog_unreachable", level="warning", fields=fields))


def _unwritten(directory: Path, error: OSError) -> JournalError:
    return JournalError(
        f"{directory}: audit trail cannot be written: {error.strerror or error}; mend the disk:"
        " nothing is suppressed that cannot be audited"
    )
