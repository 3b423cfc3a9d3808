"""Readers: a tree of files becomes documents and records, and what cannot be read is named with its cause.

A document is one revision of one text. A record is one row of a table or one line of a log, with a time from
which it was known and the asset it speaks of; files that hold records are documents too, so that every citation
points into a stored text. Nothing is half-read: a file with bad front matter is left out as a whole, a bad row
or line is left out alone, and each is listed with file, line and cause.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from kb import logs
from kb.errors import KnowledgeError
from kb.frontmatter import FrontMatterError, read_front_matter
from kb.tables import BadRow, Row, Table, read_csv, read_jsonl
from kb.text import clean_text, sha256_text
from kb.times import parse_time, zone_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

Read = TypeVar("Read")

FILE_BYTES_MAX: Final = 8 * 1024 * 1024  # a manual of 3,000 pages; logs and orders come in many files
FILES_MAX: Final = 100_000
TEXT_SUFFIXES: Final = frozenset({".md", ".markdown", ".txt", ".rst"})
TEXT_KINDS: Final = ("manual", "procedure", "policy", "schema")  # what front matter may call a text
ASSET: Final = re.compile(r"\w[\w.:/-]{0,63}")
NO_ASSETS: Final = frozenset({"all", "any", "each", "every", "none", "n/a", "na", "null", "nan"})

# Column sets by which a table is known; a file named after a kind must have its columns.
TABLE_COLUMNS: Final = {
    "scope": ("kind", "asset", "channels", "expected_effect", "duration_min_max", "approved_by"),
    "schedule": ("asset", "kind", "planned_start"),
    "order": ("order_id", "asset", "kind", "status"),
}


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A file, row or line that did not enter the snapshot. `line` 0 means the whole file."""

    path: str
    line: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row or log line. `recorded_at_ns` None: the file does not say; the build time stands for it.

    start, end: its span in the document's text; `asset` "" is site-wide.
    """

    line: int
    start: int
    end: int
    asset: str
    recorded_at_ns: int | None
    row: Row | None = None  # of a table
    entry: logs.Entry | None = None  # of a log


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One revision of one text. `assets` empty: site-wide. `effective_to_ns` None: still in force."""

    path: str
    doc_id: str
    revision: str
    declared: bool  # whether the file names its revision; else it is taken from the text's hash
    kind: str
    title: str
    text: str
    sha256: str
    assets: tuple[str, ...] = ()
    recorded_at_ns: int = 0
    effective_from_ns: int = 0
    effective_to_ns: int | None = None
    body: int = 0  # where the text begins behind its front matter
    records: tuple[Record, ...] | None = None  # None: prose
    zone: tzinfo | None = None
    columns: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Sources:
    """All that was read, and all that was not."""

    documents: list[Document] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)  # words of order rows that could not be read

    def doubt(self, row: str) -> None:
        """An order row could not be read: the orders that it names are not to be relied upon."""
        self.doubtful.update(re.findall(r"\w[\w./-]*", row))

    def refuse(self, path: str, line: int, cause: str) -> None:
        """List something that stays out."""
        self.quarantined.append(Quarantined(path=path, line=line, cause=cause))


def read_tree(source: Path, *, read: Callable[[str], None] | None = None) -> Sources:
    """Read every file below `source`, in the order of their paths.

    read: called with the path of each file when it is done. Raises KnowledgeError when `source` is no directory.
    """
    if not source.is_dir():
        raise KnowledgeError(f"{source}: not a directory of documents")
    sources = Sources()
    for number, path in enumerate(_files(source)):
        name = path.relative_to(source).as_posix()
        if number >= FILES_MAX:
            sources.refuse(name, 0, f"more than {FILES_MAX} files")
            break
        try:
            document = _read_file(path, name, sources)
        except FrontMatterError as error:
            sources.refuse(name, error.line, str(error))
        except KnowledgeError as error:
            sources.refuse(name, 0, str(error))
        else:
            sources.documents.append(document)
        if read:
            read(name)
    _settle_revisions(sources)
    return sources


def asset_id(text: str) -> str:
    """Return an exact asset id. Raises KnowledgeError for wildcards, lists and words that mean many."""
    if not ASSET.fullmatch(text) or text.lower() in NO_ASSETS:
        raise KnowledgeError(f"{text!r} is not one exact asset id")
    return text


def _files(source: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder) / name


def _read_file(path: Path, name: str, sources: Sources) -> Document:
    suffix = path.suffix.lower()
    reader = _reader(suffix, name)
    if path.is_symlink() or not path.is_file():
        raise KnowledgeError("not a plain file; links are not followed")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise KnowledgeError(f"larger than {FILE_BYTES_MAX} bytes; split the file")
    try:
        text = clean_text(path.read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise KnowledgeError(f"not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except OSError as error:
        raise KnowledgeError(f"cannot be read: {error.strerror}") from error
    if not text.strip():
        raise KnowledgeError("empty")
    sha256 = sha256_text(text)
    plain = Document(
        path=name,
        doc_id=name,
        revision=sha256[:12],
        declared=False,
        kind="manual",
        title=PurePosixPath(name).stem,
        text=text,
        sha256=sha256,
    )
    return reader(plain, sources)


def _reader(suffix: str, name: str) -> Callable[[Document, Sources], Document]:
    if suffix == ".log" or (suffix == ".txt" and "logs" in PurePosixPath(name).parts[:-1]):
        return _read_log
    if suffix in TEXT_SUFFIXES:
        return _read_text
    if suffix == ".csv":
        return lambda plain, sources: _read_table(plain, read_csv(plain.text), sources)
    if suffix == ".jsonl":
        return lambda plain, sources: _read_table(plain, read_jsonl(plain.text), sources)
    raise KnowledgeError(f"files ending in {suffix or 'nothing'} are not read; convert it to text")


# --- prose ---


def _read_text(plain: Document, sources: Sources) -> Document:
    del sources  # a text is read as a whole, or refused by an error
    front = read_front_matter(plain.text)
    if not plain.text[front.body :].strip():
        raise KnowledgeError("nothing stands behind the front matter")
    kind = front.scalar("kind", "manual")
    if kind not in TEXT_KINDS:
        message = f"kind {kind!r} is not one of {', '.join(TEXT_KINDS)}; records come from tables and logs"
        raise FrontMatterError(message, line=front.lines["kind"])
    times = {}
    for key in ("effective_from", "effective_to", "recorded_at"):
        if front.scalar(key):
            times[key] = _stated(parse_time, front.scalar(key), line=front.lines[key])
    begin, end = times.get("effective_from", 0), times.get("effective_to")
    if end is not None and end <= begin:
        raise FrontMatterError("effective_to is not after effective_from", line=front.lines["effective_to"])
    named = front.items("assets")
    if named == ():
        message = "assets is empty; leave the key out for a text that concerns the whole site"
        raise FrontMatterError(message, line=front.lines["assets"])
    assets = tuple(_stated(asset_id, name, line=front.lines["assets"]) for name in named or ())
    revision = front.scalar("revision")
    return replace(
        plain,
        doc_id=front.scalar("doc_id") or plain.doc_id,
        revision=revision or plain.revision,
        declared=bool(revision),
        kind=kind,
        title=front.scalar("title") or _first_heading(plain.text[front.body :]) or plain.title,
        assets=tuple(dict.fromkeys(assets)),
        recorded_at_ns=times.get("recorded_at", begin),
        effective_from_ns=begin,
        effective_to_ns=end,
        body=front.body,
    )


def _stated(read: Callable[[str], Read], text: str, *, line: int) -> Read:
    """Read a value of the front matter; its error names the line."""
    try:
        return read(text)
    except KnowledgeError as error:
        raise FrontMatterError(str(error), line=line) from error


def _first_heading(text: str) -> str:
    match = re.search(r"^#[ \t]+(.+?)[ \t#]*$|^(\S.{2,})\n[=]{3,}[ \t]*$", text, re.MULTILINE)
    return (match.group(1) or match.group(2)).strip() if match else ""


# --- tables ---


def _read_table(plain: Document, table: Table, sources: Sources) -> Document:
    kind = _table_kind(plain, table)
    zone = zone_of(table.zone) if table.zone else None
    bad = list(table.bad)
    records = []
    for row in table.rows:
        try:
            records.append(_table_record(row, kind, zone))
        except KnowledgeError as error:
            bad.append(BadRow(line=row.line, cause=str(error)))
    lines = plain.text.split("\n")
    for fault in sorted(bad, key=lambda fault: fault.line):
        sources.refuse(plain.path, fault.line, fault.cause)
        if kind == "order":
            sources.doubt(lines[fault.line - 1])
    if not records:
        raise KnowledgeError("no row could be read")
    return replace(plain, kind=kind, records=tuple(records), zone=zone, columns=table.columns)


def _table_kind(plain: Document, table: Table) -> str:
    for kind, needed in TABLE_COLUMNS.items():
        if set(needed) <= set(table.columns):
            return kind
    stem = PurePosixPath(plain.path).stem.lower()
    for kind, needed in TABLE_COLUMNS.items():
        if re.match(rf"{kind}s?(?![a-z])", stem):  # its rows would be searched, and propose nothing
            missing = ", ".join(sorted(set(needed) - set(table.columns)))
            raise KnowledgeError(f"named like a table of kind {kind}, but has no column {missing}")
    return "schema"


def _table_record(row: Row, kind: str, zone: tzinfo | None) -> Record:
    named = row.value("asset")
    if kind != "schema" or named:
        asset_id(named)
    stated = row.value("recorded_at") or (row.value("approved_at") if kind == "scope" else "")
    recorded = parse_time(stated, zone=zone) if stated else None
    if kind == "schema" and recorded is None:
        recorded = 0
    return Record(
        line=row.line, start=row.start, end=row.end, asset=named, recorded_at_ns=recorded, row=row
    )


# --- logs ---


def _read_log(plain: Document, sources: Sources) -> Document:
    entries, bad, zone = logs.read_log(plain.text)
    for fault in bad:
        sources.refuse(plain.path, fault.line, fault.cause)
    if not entries:
        raise KnowledgeError("no line could be read")
    records = tuple(
        Record(
            line=entry.line,
            start=entry.start,
            end=entry.end,
            asset="",  # known once all assets are
            recorded_at_ns=entry.t_ns,
            entry=entry,
        )
        for entry in entries
    )
    return replace(plain, kind="log", records=records, zone=zone)


# --- revisions ---


def _settle_revisions(sources: Sources) -> None:
    """Refuse a revision that comes twice, and end each revision where the next one begins."""
    by_id: dict[str, list[Document]] = {}
    for document in sources.documents:
        held = by_id.setdefault(document.doc_id, [])
        twin = next((d for d in held if _same_revision(d, document)), None)
        if twin is None:
            held.append(document)
        else:
            message = f"{document.doc_id} revision {document.revision} stands in {twin.path} already"
            sources.refuse(document.path, 0, message)
    settled: list[Document] = []
    for held in by_id.values():
        held.sort(key=lambda d: d.effective_from_ns)
        for document, after in zip(held, [*held[1:], None], strict=True):
            ends = [t for t in (document.effective_to_ns, after and after.effective_from_ns) if t is not None]
            settled.append(replace(document, effective_to_ns=min(ends, default=None)))
    sources.documents = sorted(settled, key=lambda d: d.path)


def _same_revision(one: Document, other: Document) -> bool:
    """Two files of one id must differ in revision, and in when they begin to hold."""
    return one.revision == other.revision or one.effective_from_ns == other.effective_from_ns
