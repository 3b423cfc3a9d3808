"""What a gateway remembers of signed scope tables, so that an older one does not come back.

    scope_tables.json     below [journal] dir

A signature holds for ever, so whoever builds snapshots could publish a table again that an engineer
has narrowed since. A row counts no more once a signed row for the same work, approved later, was in
use, and none of a table that another one replaced. A row is in use from its `approved_at` on, in
plant time: one that is not in force yet replaces no other. The way back is to approve it anew: a
later `approved_at`, and `andon sign`. Judged when a snapshot is taken over, and kept by its hash,
so that a restart, which takes the journal again, judges as it was judged then.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from edge.errors import UNREADABLE, ConfigError
from edge.storage.disk import DISK, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.storage.disk import Disk
    from kb.records import ScopeRow

FILE: Final = "scope_tables.json"
BYTES_MAX: Final = 64 << 20
WORK_MAX: Final = 50_000  # kinds of work on assets and instruments, the newest
GONE_MAX: Final = 4_096  # replaced tables, the newest
JUDGED_MAX: Final = 64  # snapshots; a journal's tail names few
# What a scope table can say: 64 bits, as everywhere. Else a damaged book would end a takeover.
Approved = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Tables = dict[str, tuple["ScopeRow", ...]]  # hash of a signed table's bytes -> its rows


class ScopeBook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was in use. newest: work -> approved_at of its newest row, ns.

    tables: hash -> work of a table that was in use and was not replaced; gone: hashes of those that
    were. judged: snapshot -> scope_id -> why that row does not count. in_use: the newest snapshot.
    """

    newest: dict[str, Approved] = {}
    tables: dict[str, tuple[str, ...]] = {}
    gone: tuple[str, ...] = ()
    judged: dict[str, dict[str, str]] = {}
    in_use: str = ""

    def refused(self, snapshot: str, tables: Tables, *, anew: bool) -> dict[str, str]:
        """By scope_id, why a row of a snapshot's signed tables does not count.

        anew: as it is judged now, though it was before.
        """
        if not anew and snapshot in self.judged:
            return self.judged[snapshot]
        found: dict[str, str] = {}
        for sha256, rows in tables.items():
            for row in rows:
                newest_ns = self.newest.get(_work(row), 0)
                if sha256 in self.gone:
                    found[row.scope_id] = "its table was replaced by another signed one"
                elif row.recorded_at_ns < newest_ns:
                    at = datetime.fromtimestamp(newest_ns / 1e9, UTC).isoformat()
                    found[row.scope_id] = f"a signed row for this work, approved {at}, was in use"
        again = "; it counts when it is approved anew: a later approved_at, and `andon sign`"
        return {scope_id: why + again for scope_id, why in found.items()}

    def learnt(self, snapshot: str, tables: Tables, *, now_ns: int) -> ScopeBook:
        """The book when a snapshot has been taken over, or is in use on.

        now_ns: plant time, 0 before anything is known of it; what is approved later is not in use.
        """
        refused = self.refused(snapshot, tables, anew=snapshot != self.in_use)
        counted = {
            sha256: tuple(_work(row) for row in rows)
            for sha256, rows in tables.items()
            if sha256 not in self.gone
        }
        newest = dict(self.newest)
        for rows in tables.values():
            for row in rows:
                if row.scope_id not in refused and row.recorded_at_ns <= now_ns:
                    newest[_work(row)] = max(newest.pop(_work(row), 0), row.recorded_at_ns)
        new = {work for sha256 in counted.keys() - self.tables.keys() for work in counted[sha256]}
        replaced = [
            sha256
            for sha256, work in self.tables.items()
            if sha256 not in tables and new.intersection(work)
        ]
        kept = {one: work for one, work in self.tables.items() if one not in replaced}
        judged = {one: it for one, it in self.judged.items() if one != snapshot}
        return ScopeBook(
            newest=dict(list(newest.items())[-WORK_MAX:]),
            tables=dict(list((kept | counted).items())[-GONE_MAX:]),
            gone=(*self.gone, *replaced)[-GONE_MAX:],
            judged=dict(list((judged | {snapshot: refused}).items())[-JUDGED_MAX:]),
            in_use=snapshot,
        )


def due_ns(tables: Tables, *, now_ns: int) -> int | None:
    """When the next of their rows comes into force, plant time; None: none does any more."""
    coming = (row.recorded_at_ns for rows in tables.values() for row in rows)
    return min((at_ns for at_ns in coming if at_ns > now_ns), default=None)


def table_sha256(content: bytes) -> str:
    """By which a table is known, wherever it lies."""
    return hashlib.sha256(content).hexdigest()


def read_book(state: Path) -> ScopeBook:
    """What is remembered below a state directory. Raises ConfigError for what cannot be read."""
    path = state / FILE
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(BYTES_MAX), type=ScopeBook)
    except FileNotFoundError:
        return ScopeBook()
    except (OSError, *UNREADABLE) as error:
        raise ConfigError(
            f"{path}: {error}; restore it from a backup. Removed, an older scope table that was"
            " signed once counts again"
        ) from error


def write_book(state: Path, book: ScopeBook, *, disk: Disk = DISK) -> None:
    """Keep it, all or nothing, as far as it can be read again. Raises OSError."""
    path = state / FILE
    work = path.with_name(f".{FILE}.{os.getpid()}")
    disk.make_directory(state)
    try:
        with disk.open(work, "wb") as file:
            write_whole(disk, file, encoded(book))
            disk.sync(file)
        disk.replace(work, path)
        disk.sync_directory(state)
    finally:
        with suppress(OSError):
            disk.unlink(work)


def encoded(book: ScopeBook, bytes_max: int = BYTES_MAX) -> bytes:
    """The bytes of a book, at most so many: one that no start could read would end every start.

    What is beyond is forgotten, of the part that takes most the older half, again and again.
    """
    stored = msgspec.json.encode(book)
    while len(stored) > bytes_max:
        parts = {name: getattr(book, name) for name in ("newest", "tables", "gone", "judged")}
        name = max(parts, key=lambda one: len(msgspec.json.encode(parts[one])))
        part = parts[name]
        assert part, "an empty book is no larger than any cap"
        half = (len(part) + 1) // 2
        less = part[half:] if isinstance(part, tuple) else dict(list(part.items())[half:])
        book = msgspec.structs.replace(book, **{name: less})
        stored = msgspec.json.encode(book)
    return stored


def older_words(refused: Mapping[str, str]) -> str:
    """What is wrong with a snapshot some of whose rows do not count; "" nothing."""
    if not refused:
        return ""
    named = ", ".join(sorted(refused)[:3])
    more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
    return f"{named}{more} of the scope tables hide nothing: {next(iter(refused.values()))}"


def _work(row: ScopeRow) -> str:
    return f"{row.kind}\n{row.asset}\n{row.instrument}"
