"""The audit trail on disk: JSON lines in numbered files, each bound to the one before by its hash.

A line holds sequence, previous (sha256 of the line before), what, asset, t_ns, facts, written_ns,
and sha256 of all the rest of it. The first line of each file states how much of the past was
dropped on purpose, up to which sequence and hash; what is missing otherwise breaks the chain.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE, ConfigError, JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.configuration.config import GatewayConfig

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SUFFIX: Final = ".jsonl"
NOTHING_SHA256: Final = "0" * 64  # before the first record
FILE_BEGINS: Final = "file_begins"
LINE_CUT: Final = "torn_line_cut"
CHAIN_BROKEN: Final = "chain_broken"
OWN: Final = (FILE_BEGINS, LINE_CUT, CHAIN_BROKEN)  # about the trail itself, not about the plant
KINDS: Final = (  # of records about the plant
    "suppressed",
    "suppression_over",
    "rang_again",
    "grouped",
    "reclassified",
    "handed_over",
    "shelved",
    "unshelved",
    "out_of_service",
    "in_service",
    "confirmed",
    "checked_in",
    "extended",
    "cancelled",
    "acknowledged",
    "accepted",
    "withdrawn",
    "retired",
    "tuned",
    "tuned_although",
    "command_refused",
)
PRUNED_UNTIL: Final = "pruned_until"
PRUNED_SHA256: Final = "pruned_sha256"


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line. t_ns: plant time; written_ns: our clock when it was written."""

    sequence: int  # from 1, without a hole
    previous: str
    what: str
    asset: str
    t_ns: int
    facts: dict[str, str | int]
    written_ns: int
    sha256: str = ""

    def sealed(self) -> AuditRecord:
        """The same record with its own hash filled in."""
        blank = msgspec.structs.replace(self, sha256="")
        return msgspec.structs.replace(self, sha256=hashlib.sha256(_encoded(blank)).hexdigest())

    def line(self) -> bytes:
        """The one way to write it."""
        return _encoded(self) + b"\n"

    def key(self) -> bytes:
        """What makes it the same entry when a restart decides it again."""
        return key_of(self.what, self.asset, self.t_ns, self.facts)


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """The first record that is not as it was written; `line` counts from 1."""

    file: str
    line: int
    expected: str
    found: str


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of a trail found. first, last: sequences; 0: it is empty."""

    files: int
    records: int
    first: int
    last: int
    head: str  # hash of the last sound record
    broken: Broken | None


def key_of(what: str, asset: str, t_ns: int, facts: dict[str, str | int]) -> bytes:
    """A digest of what was audited, wherever it stands in a trail."""
    parts = (what, asset, t_ns, facts)
    encoded = msgspec.json.encode(parts, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=16).digest()


def audit_files(directory: Path) -> list[tuple[int, Path]]:
    """The files of a trail by number."""
    paths = directory.glob(f"*{SUFFIX}")
    return sorted((int(path.stem), path) for path in paths if path.stem.isdigit())


def read_lines(path: Path) -> list[bytes]:
    """Lines of a file with their ends; the last may have none. Raises JournalError."""
    try:
        return path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise _unread(path, error) from error


def decoded(line: bytes) -> AuditRecord | None:
    """A record that fits its own hash and is written the one way; None: this line is none."""
    try:
        record = msgspec.json.decode(line, type=AuditRecord)
    except UNREADABLE:
        return None
    return record if record.line() == line and record.sealed() == record else None


def records(directory: Path) -> Iterator[AuditRecord]:
    """Every line that is a record, oldest first; `verify` says whether the chain is whole.

    Raises JournalError when there is no trail.
    """
    for _, path in _some(directory):
        for line in read_lines(path):
            record = decoded(line)
            if record is not None:
                yield record


def chosen(
    directory: Path, *, asset: str = "", since: str = "", what: str = ""
) -> Iterator[AuditRecord]:
    """Records of one asset, since one plant time (ISO 8601 with a zone), of one kind; "": all.

    Raises ConfigError for a time that is none or a kind that nothing is of, and JournalError when
    there is no trail.
    """
    since_ns = _instant_ns(since) if since else None
    if what not in ("", *KINDS, *OWN):  # another version may have written other kinds
        there = {record.what for record in records(directory)}
        if what not in there:
            known = ", ".join((*KINDS, *OWN, *sorted(there - {*KINDS, *OWN})))
            raise ConfigError(f"nothing is of the kind {what!r}; expected one of {known}")
    for record in records(directory):
        if (
            asset in ("", record.asset)
            and what in ("", record.what)
            and (since_ns is None or record.t_ns >= since_ns)
        ):
            yield record


def audit_directory(config: GatewayConfig) -> Path:
    """Where a gateway writes its trail."""
    named = config.audit.dir
    return config.path(named) if named else config.path(config.journal.dir) / "audit"


def iso(t_ns: int) -> str:
    """A time as ISO 8601 with milliseconds, UTC."""
    at = EPOCH + timedelta(milliseconds=t_ns // 1_000_000)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _instant_ns(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ConfigError(
            f"{text!r} is no time with a zone; expected one such as 2026-03-01T06:00:00Z"
        )
    return (at - EPOCH) // timedelta(microseconds=1) * 1_000


def verify(directory: Path) -> Chain:
    """Check every record against its hash and its neighbours. Raises JournalError: no trail."""
    files = _some(directory)
    stated = _stated_past(files)
    last: AuditRecord | None = None
    first = count = 0
    broken: Broken | None = None
    for i, (number, path) in enumerate(files):
        if number != files[0][0] + i:
            wanted = f"{files[0][0] + i:08d}{SUFFIX}"
            broken = Broken(file=path.name, line=1, expected=f"file {wanted}", found="missing")
            break
        for at, line in enumerate(read_lines(path) or [b""], 1):
            record = decoded(line)
            fault = _fault(line, record, last, stated)
            if fault is None and at == 1:
                fault = _headless(record, number)
            if fault is not None:
                broken = Broken(file=path.name, line=at, expected=fault[0], found=fault[1])
                break
            last = record
            count += 1
            first = first or (record.sequence if record else 0)
        if broken is not None:
            break
    return Chain(
        files=len(files),
        records=count,
        first=first,
        last=last.sequence if last else 0,
        head=last.sha256 if last else NOTHING_SHA256,
        broken=broken,
    )


def _some(directory: Path) -> list[tuple[int, Path]]:
    try:
        files = audit_files(directory)
    except OSError as error:
        raise _unread(directory, error) from error
    if not files:
        raise JournalError(f"{directory}: no audit trail here; expected files NNNNNNNN{SUFFIX}")
    return files


def _unread(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"{path}: audit trail cannot be read: {error.strerror}; read it as the gateway's user, or"
        " mend the disk"
    )


def _stated_past(files: Sequence[tuple[int, Path]]) -> dict[int, str]:
    """Sequences up to which the past was dropped on purpose -> hash of the record there."""
    stated = {0: NOTHING_SHA256}
    for _, path in files:
        head = read_lines(path)[:1]
        record = decoded(head[0]) if head else None
        if record is not None and record.what == FILE_BEGINS:
            until, sha256 = record.facts.get(PRUNED_UNTIL), record.facts.get(PRUNED_SHA256)
            if isinstance(until, int) and isinstance(sha256, str):
                stated[until] = sha256
    return stated


def _fault(
    line: bytes, record: AuditRecord | None, last: AuditRecord | None, stated: dict[int, str]
) -> tuple[str, str] | None:
    """(expected, found) of a line behind `last`; None: it is sound."""
    if record is None:
        return _damage(line)
    if last is None:
        return _false_beginning(record, stated)
    if record.sequence != last.sequence + 1:
        return f"sequence {last.sequence + 1}", f"sequence {record.sequence}"
    if record.previous != last.sha256:
        return f"previous {last.sha256}", f"previous {record.previous}"
    if record.what == CHAIN_BROKEN:
        return "an unbroken chain", f"{record.what}: {record.facts.get('detail', '')}"
    return None


def _headless(record: AuditRecord | None, number: int) -> tuple[str, str] | None:
    """(expected, found) of a file that does not begin as ours do; None: it does."""
    expected = f"the record {FILE_BEGINS} of file {number}"
    if record is None or record.what != FILE_BEGINS:
        return expected, f"a record {record.what}" if record is not None else "none"
    named = record.facts.get("file")
    return None if named == number else (expected, f"{FILE_BEGINS} of file {named}")


def _false_beginning(record: AuditRecord, stated: dict[int, str]) -> tuple[str, str] | None:
    """(expected, found) of a first record that no trail may begin with; None: it may."""
    before = stated.get(record.sequence - 1)
    if before is None and record.sequence <= max(stated):
        return None  # of files that were stated as dropped, and are not all gone yet
    if before is None:
        known = ", ".join(str(until + 1) for until in sorted(stated))
        return f"a trail that begins at sequence {known}", f"sequence {record.sequence}"
    if record.previous != before:
        return f"previous {before}", f"previous {record.previous}"
    return None


def _damage(line: bytes) -> tuple[str, str]:
    """What is wrong with a line that is no record."""
    if not line:  # also for a moment while a gateway begins a file, which it does again at a start
        return f"a first record {FILE_BEGINS}", "an empty file"
    if not line.endswith(b"\n"):
        return "a whole line", f"{len(line)} bytes without an end (torn)"
    try:
        record = msgspec.json.decode(line, type=AuditRecord)
    except UNREADABLE as error:
        return "a record", f"a line that is none: {error}"
    own = record.sealed().sha256
    if own != record.sha256:
        return f"sha256 {own}", f"sha256 {record.sha256}"
    return "a record as we write it", "other bytes of the same content"


def _encoded(record: AuditRecord) -> bytes:
    return msgspec.json.encode(record, order="deterministic")
