"""What one snapshot says that another does not: documents, proposals and approved rows."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from kb.errors import UNREADABLE, KnowledgeError
from kb.records import Citation, FailureMode, Limit, Proposal, ScopeRow, Sensor
from kb.snapshots import store
from kb.snapshots.history import kept, kept_name
from kb.snapshots.snapshot import MANIFEST, database, read_manifest

Record: TypeAlias = Proposal | ScopeRow | FailureMode | Limit | Sensor


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs. `now` and `before` quote it, "" where it is not there."""

    kind: str  # document, proposal, scope, failure_mode, engineering_limit, sensor
    change: str  # added, removed, changed
    name: str
    before: str = ""
    now: str = ""
    cited_before: tuple[Citation, ...] = ()
    cited_now: tuple[Citation, ...] = ()


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs from snapshot `before` to snapshot `now`, by sha256."""

    before: str
    now: str
    items: tuple[Item, ...]


def difference(before: Path, now: Path) -> Difference:
    """What differs from the snapshot at `before` to that at `now`. Raises KnowledgeError."""
    old, new = _documents(before), _documents(now)
    items = [
        Item(kind="document", change=_change(old.get(path), new.get(path)), name=path)
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]
    was, are = _records(before), _records(now)
    for kind, name in sorted(was.keys() | are.keys(), key=lambda key: (_KINDS.index(key[0]), key)):
        gone, come = was.get((kind, name), []), are.get((kind, name), [])
        if gone != come:
            items.append(
                Item(
                    kind=kind,
                    change=_change(gone, come),
                    name=name,
                    before=_said(gone),
                    now=_said(come),
                    cited_before=tuple(record.citation for record in gone),
                    cited_now=tuple(record.citation for record in come),
                )
            )
    return Difference(
        before=read_manifest(before).sha256, now=read_manifest(now).sha256, items=tuple(items)
    )


def found_kept(out: Path, name: str) -> Path:
    """A snapshot by its path, or by the beginning of the hash under which it is kept.

    Raises KnowledgeError when there is none, or more than one.
    """
    if Path(name, MANIFEST).is_file():
        return Path(name)
    known = [(out, read_manifest(out)), *kept(out)] if out.exists() else kept(out)
    found = [path for path, manifest in known if name and manifest.sha256.startswith(name.lower())]
    if len(found) != 1:
        what = "more than one snapshot begins" if found else "no snapshot is kept that begins"
        raise KnowledgeError(f"{what} with {name!r} beside {out}: see `andon kb rollback --list`")
    return found[0]


def parent_of(out: Path) -> Path:
    """Where the parent of a snapshot is kept. Raises KnowledgeError when it is not."""
    parent = read_manifest(out).parent
    place = kept_name(out, parent)
    if not parent or not place.is_dir():
        raise KnowledgeError(
            f"the parent of {out} ({parent[:12] or 'none'}) is not kept: name two snapshots"
        )
    return place


_KINDS: Final = ("proposal", "scope", "engineering_limit", "failure_mode", "sensor")
_TYPES: Final[dict[str, type[Record]]] = {
    "proposal": Proposal,
    "scope": ScopeRow,
    "engineering_limit": Limit,
    "failure_mode": FailureMode,
    "sensor": Sensor,
}


def _change(before: object, now: object) -> str:
    return "changed" if before and now else "added" if now else "removed"


def _documents(path: Path) -> dict[str, list[str]]:
    """Hashes of what each file gave."""
    try:
        with closing(database(path, read_manifest(path))) as connection:
            rows = connection.execute("SELECT path, rows_sha256 FROM document ORDER BY number")
            found: defaultdict[str, list[str]] = defaultdict(list)
            for name, sha256 in rows:
                found[name].append(sha256)
            return dict(found)
    except sqlite3.Error as error:
        raise KnowledgeError(f"{path}: {error}; build it again") from error


def _records(path: Path) -> dict[tuple[str, str], list[Record]]:
    """Records by kind and by what they are about."""
    found: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    try:
        with closing(database(path, read_manifest(path))) as connection:
            for kind, of in _TYPES.items():
                for record in store.read_records(connection, kind, of):
                    found[kind, _name(record)].append(record)
    except (sqlite3.Error, *UNREADABLE) as error:
        raise KnowledgeError(f"{path}: {error}; build it again") from error
    return dict(found)


def _name(record: Record) -> str:
    match record:
        case Proposal():
            return record.proposal_id
        case ScopeRow():
            return f"{record.kind} {record.instrument or '(whole asset)'} of {record.asset}"
        case FailureMode():
            return record.mode_id
        case Limit() | Sensor():
            return f"{record.channel} of {record.asset or 'every asset'}"


def _said(records: list[Record]) -> str:
    return " / ".join(record.citation.quote for record in records)
