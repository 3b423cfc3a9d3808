"""Files of a source folder into documents: clean text, what it says about itself, its rows.

What cannot be read is quarantined with file, line and cause. A file or a row is read whole or not.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from kb import rows
from kb.columns import order_cells
from kb.errors import KnowledgeError
from kb.front_matter import FrontMatter, SourceError, read_front_matter
from kb.glimpse import FILE_BYTES_MAX, TABLES, Unread, decoded, glimpsed, is_tabular
from kb.manifest import Quarantined
from kb.negation import calls_off

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES_MAX: Final = 20_000
TEXTS: Final = (".md", ".rst", ".txt", ".log")

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_UNSEEN: Final = ("Cf", "Cs", "Co")  # zero-width and direction marks, surrogates, private use
_UNDERLINE: Final = re.compile(r"([=\-~*#^])\1{2,}")


class Form(StrEnum):
    """How a document is written, and so how it is cut into passages."""

    MARKDOWN = "markdown"
    RST = "rst"
    TEXT = "text"
    LOG = "log"
    ORDER = "order"
    SCHEDULE = "schedule"
    SCOPE = "scope"


ROW_FORMS: Final = (Form.LOG, Form.ORDER, Form.SCHEDULE, Form.SCOPE)
TABLE_COLUMNS: Final = (
    (Form.ORDER, rows.ORDER_COLUMNS),
    (Form.SCOPE, rows.SCOPE_COLUMNS),
    (Form.SCHEDULE, rows.SCHEDULE_COLUMNS),
    (Form.ORDER, rows.FOREIGN_ORDER_COLUMNS),
)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One text. `assets` None is site-wide; `rows` are of logs and tables, empty otherwise."""

    doc_id: str
    revision: str
    form: Form
    kind: str
    title: str
    path: str
    assets: tuple[str, ...] | None
    known_from_ns: int
    text: str
    body_start: int = 0
    rows: tuple[rows.Row, ...] = ()
    columns: frozenset[str] = frozenset()  # of a table, as it came


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A source folder, read. `unread`: what may have spoken of orders or of scopes."""

    documents: tuple[Document, ...]
    quarantined: tuple[Quarantined, ...]
    unread: tuple[Unread, ...] = ()


def read_folder(source: Path) -> Reading:
    """Read every file below `source`, in order of path, hidden ones left out.

    Raises KnowledgeError when there is no such folder.
    """
    if not source.is_dir():
        raise KnowledgeError(f"{source} is no directory of documents")
    documents: dict[tuple[str, str], Document] = {}
    quarantined: list[Quarantined] = []
    unread: list[Unread] = []
    for path in _files(source):
        name = path.relative_to(source).as_posix()
        try:
            document, bad = _read(path, name)
        except SourceError as error:
            quarantined.append(Quarantined(path=name, line=error.line, cause=error.cause))
            unread += _glimpsed(path, name)
            continue
        key = (document.doc_id, document.revision)
        if key in documents:
            cause = f"doc_id {key[0]}, revision {key[1]!r} is already in {documents[key].path}"
            quarantined.append(Quarantined(path=name, line=1, cause=cause))
            unread += _glimpsed(path, name)
            continue
        documents[key] = document
        quarantined += [Quarantined(path=name, line=e.line, cause=e.cause) for e in bad]
        unread += [
            Unread(path=name, line=e.line, said=e.said, order_id=e.order_id, cells=e.cells)
            for e in bad
            if document.form in (Form.ORDER, Form.SCOPE) or calls_off(e.said)
        ]
    return Reading(
        documents=tuple(documents.values()),
        quarantined=tuple(quarantined),
        unread=tuple(unread),
    )


def clean(text: str) -> str:
    """Text without control, zero-width and direction characters; lines end with a line feed.

    What remains is what a reader sees: nothing hides in a quote. Line numbers do not change.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text)
    if text.isascii():
        return text
    return "".join(c for c in text if unicodedata.category(c) not in _UNSEEN)


def _files(source: Path) -> Iterator[Path]:
    seen = 0
    for path in sorted(source.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
        if hidden or not (path.is_file() or path.is_symlink()):
            continue
        seen += 1
        if seen > FILES_MAX:
            raise KnowledgeError(f"{source} has over {FILES_MAX} files: build from a subfolder")
        yield path


def _read(path: Path, name: str) -> tuple[Document, list[SourceError]]:
    """One file, and the rows of it that cannot be read. Raises SourceError for the whole file."""
    suffix = path.suffix.lower()
    if suffix not in TABLES + TEXTS:
        known = ", ".join(TEXTS + TABLES)
        raise SourceError(0, f"files with {suffix or 'no suffix'} are not read; {known} are")
    text = clean(_decoded(path))
    if not text.strip():
        raise SourceError(0, "empty")
    if suffix in TABLES:
        return _table(text, name, rows.jsonl_rows if suffix == ".jsonl" else rows.csv_rows)
    if suffix == ".txt" and is_tabular(text):  # Excel's "Unicode text"
        return _table(text, name, rows.csv_rows)
    if suffix == ".log" or "logs" in name.split("/")[:-1]:
        lines, bad = rows.log_rows(text)
        return _of_rows(text, name, Form.LOG, lines), bad
    about = read_front_matter(text) if suffix == ".md" else FrontMatter()
    body = text[about.body_start :]
    if not body.strip():
        raise SourceError(0, "front matter without a text")
    document = Document(
        doc_id=about.doc_id or name,
        revision=about.revision,
        form={".md": Form.MARKDOWN, ".rst": Form.RST}.get(suffix, Form.TEXT),
        kind=about.kind,
        title=about.title or _first_heading(body) or path.stem,
        path=name,
        assets=about.assets,
        known_from_ns=about.known_from_ns,
        text=text,
        body_start=about.body_start,
    )
    return document, []


def _decoded(path: Path) -> str:
    if path.is_symlink():
        raise SourceError(0, "a symbolic link; put the file itself here")
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise SourceError(0, f"over {FILE_BYTES_MAX} bytes; split it")
        stored = path.read_bytes()
    except OSError as error:
        raise SourceError(0, f"cannot be opened: {error.strerror}") from error
    try:
        return decoded(stored)
    except UnicodeDecodeError as error:
        line = stored.count(b"\n", 0, error.start) + 1
        raise SourceError(line, "not UTF-8; save it as UTF-8") from error


def _glimpsed(path: Path, name: str) -> list[Unread]:
    """What a file that is not read may have said."""
    found = glimpsed(path, name, prose=path.suffix.lower() in TEXTS)
    return [found] if found else []


def _table(text: str, name: str, read: rows.Reader) -> tuple[Document, list[SourceError]]:
    found, bad = read(text)
    if not found:
        raise bad[0] if bad else SourceError(1, "a table without rows")
    columns = frozenset(found[0].cells)
    for form, needed in TABLE_COLUMNS:
        if needed <= columns:
            cause = f"columns of a table of kind {form} are missing"
            whole = [row for row in found if needed <= row.cells.keys()]
            bad += [
                SourceError(
                    r.line,
                    cause,
                    said=text[r.start : r.end],
                    order_id=r.cells.get("order_id", ""),
                    cells=r.cells,
                )
                for r in found
                if not needed <= r.cells.keys()
            ]
            if form is Form.ORDER:
                whole = [msgspec.structs.replace(r, cells=order_cells(r.cells)) for r in whole]
            document = _of_rows(text, name, form, whole)
            return msgspec.structs.replace(document, columns=columns), bad
    wanted = "; ".join(f"{form}: {', '.join(sorted(needed))}" for form, needed in TABLE_COLUMNS)
    raise SourceError(1, f"no table of a known form; columns wanted are {wanted}")


def _of_rows(text: str, name: str, form: Form, found: list[rows.Row]) -> Document:
    return Document(
        doc_id=name,
        revision="",
        form=form,
        kind=str(form),
        title=name.rsplit("/", 1)[-1],
        path=name,
        assets=(),
        known_from_ns=0,
        text=text,
        rows=tuple(found),
    )


def _first_heading(text: str) -> str:
    """Title of a text without one: its first line that looks like a heading."""
    lines = [line.strip() for line in text.splitlines()]
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("# "):
            return line[2:].strip()
        underlined = _UNDERLINE.fullmatch(below) and len(below) >= len(line) > 0
        if underlined and not _UNDERLINE.fullmatch(line):
            return line
    return ""
