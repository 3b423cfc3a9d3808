"""Files of a source folder into documents: clean text, what it says about itself, its rows.

What cannot be read is quarantined with file, line and cause. A file or a row is read whole or not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from kb.errors import KnowledgeError
from kb.manifest import Quarantined
from kb.reading import rows
from kb.reading.calendars import CALENDARS, calendar_rows
from kb.reading.cleaning import clean
from kb.reading.columns import order_cells
from kb.reading.document import Document, Form
from kb.reading.front_matter import FrontMatter, SourceError, read_front_matter
from kb.reading.glimpse import TABLES, Unread, glimpsed, is_tabular
from kb.reading.languages import language_of
from kb.reading.meta_files import is_meta, meta_of
from kb.reading.order_mapping import is_mapping, mapping_of
from kb.reading.pages import first_heading, html_page, pdf_page
from kb.reading.signatures import is_signature, signed_table
from kb.reading.stored import stored_bytes, stored_text
from kb.reading.typed_tables import FAILURE_MODE_COLUMNS, LIMIT_COLUMNS, SENSOR_COLUMNS
from kb.reading.word_pages import docx_page
from kb.reading.workbooks import MARK as SHEET_MARK
from kb.reading.workbooks import WORKBOOKS, forget_workbook, hidden_rows, sheet_text, sheets_of
from kb.wording.negation import calls_off

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kb.reading.order_mapping import OrderMapping
    from kb.reading.pages import Page
    from kb.records import SignedTable

FILES_MAX: Final = 20_000
TEXTS: Final = (".md", ".rst", ".txt", ".log")
PAGES: Final = {".html": html_page, ".htm": html_page, ".pdf": pdf_page, ".docx": docx_page}
PICTURED: Final = (".pdf", ".docx", *WORKBOOKS)  # whose size says little of their text
READ: Final = (*TEXTS, *TABLES, *PAGES, *WORKBOOKS, *CALENDARS)


TABLE_COLUMNS: Final = (
    (Form.ORDER, rows.ORDER_COLUMNS),
    (Form.SCOPE, rows.SCOPE_COLUMNS),
    (Form.SCHEDULE, rows.SCHEDULE_COLUMNS),
    (Form.LIMIT, LIMIT_COLUMNS),
    (Form.FAILURE_MODE, FAILURE_MODE_COLUMNS),
    (Form.SENSOR, SENSOR_COLUMNS),
    (Form.ORDER, rows.FOREIGN_ORDER_COLUMNS),
    (Form.ASSETS, rows.ASSET_COLUMNS),  # last: a table of sensors has these columns too
)


FileReader: TypeAlias = Callable[["Path", str], tuple[Document, list[SourceError]]]
TableReader: TypeAlias = Callable[..., tuple[list[rows.Row], list[SourceError]]]
Through: TypeAlias = Callable[["Path", str, FileReader], tuple[Document, list[SourceError]]]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A source folder, read. `unread`: what may have spoken of orders or of scopes."""

    documents: tuple[Document, ...]
    quarantined: tuple[Quarantined, ...]
    unread: tuple[Unread, ...] = ()


def read_folder(source: Path, *, now_ns: int, through: Through | None = None) -> Reading:
    """Read every file below `source`, in order of path, hidden ones left out.

    Calendars are read around `now_ns`. `through` reads each file, given how to, and may remember
    what it said. Raises KnowledgeError when there is no such folder.
    """
    if not source.is_dir():
        raise KnowledgeError(f"{source} is no directory of documents")
    documents: dict[tuple[str, str], Document] = {}
    quarantined: list[Quarantined] = []
    unread: list[Unread] = []
    read = partial(_read, now_ns=now_ns)
    for path, name in _parts(source):
        try:
            document, bad = through(path, name, read) if through else read(path, name)
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
        quarantined += [Quarantined(path=name, line=0, cause=said) for said in document.notes]
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


def _files(source: Path) -> Iterator[Path]:
    seen = 0
    for path in sorted(source.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
        if hidden or is_mapping(path) or is_meta(path) or is_signature(path):
            continue
        if not (path.is_file() or path.is_symlink()):
            continue
        seen += 1
        if seen > FILES_MAX:
            raise KnowledgeError(f"{source} has over {FILES_MAX} files: build from a subfolder")
        yield path


def _parts(source: Path) -> Iterator[tuple[Path, str]]:
    """Files with their names; of a workbook with several sheets each sheet as `NAME#SHEET`."""
    for path in _files(source):
        name = path.relative_to(source).as_posix()
        sheets: tuple[str, ...] = ()
        if path.suffix.lower() in WORKBOOKS:
            with suppress(SourceError, OSError):  # told when it is read
                sheets = sheets_of(path)
        if not sheets:
            yield path, name
        for sheet in sheets:
            yield path, f"{name}{SHEET_MARK}{sheet}"
        if sheets:
            forget_workbook()


def _read(path: Path, name: str, *, now_ns: int) -> tuple[Document, list[SourceError]]:
    """One file, and the rows of it that cannot be read. Raises SourceError for the whole file."""
    suffix = path.suffix.lower()
    if suffix not in READ:
        known = ", ".join(READ)
        raise SourceError(0, f"files with {suffix or 'no suffix'} are not read; {known} are")
    stored = stored_bytes(path, paged=suffix in PICTURED)
    if suffix in PAGES:
        page = PAGES[suffix](stored)
        return _of_page(page, name, meta_of(path)), _unseen(page)
    if suffix in WORKBOOKS:
        sheet = name.rpartition(SHEET_MARK)[2]
        text = clean(sheet_text(stored, sheet))
        document, bad = _table(text, name, rows.csv_rows, mapping_of(path))
        return document, bad + _hidden(stored, sheet, name, mapping_of(path))
    said, notes = stored_text(stored)
    document, bad = _of_plain(clean(said), path, name, now_ns=now_ns)
    signed = signed_table(path, name, stored) if document.form is Form.SCOPE else None
    return msgspec.structs.replace(document, notes=notes, signed=signed), bad


def scope_table(table: SignedTable) -> Document:
    """The document that the bytes of a scope table make by themselves. Raises SourceError."""
    text = clean(stored_text(table.content)[0])
    read = rows.jsonl_rows if table.path.lower().endswith(".jsonl") else rows.csv_rows
    return _table(text, table.path, read, None)[0]


def _of_plain(
    text: str, path: Path, name: str, *, now_ns: int
) -> tuple[Document, list[SourceError]]:
    """A file that is text as it is stored."""
    suffix = path.suffix.lower()
    if not text.strip():
        raise SourceError(0, "empty")
    if suffix in TABLES or (suffix == ".txt" and is_tabular(text)):  # Excel's "Unicode text"
        read = rows.jsonl_rows if suffix == ".jsonl" else rows.csv_rows
        return _table(text, name, read, mapping_of(path))
    if suffix in CALENDARS:
        mapping = mapping_of(path)
        found, bad = calendar_rows(text, now_ns=now_ns, zone=mapping.zone if mapping else "")
        return _of_rows(text, name, Form.SCHEDULE, found), bad
    if suffix == ".log" or "logs" in name.split("/")[:-1]:
        lines, bad = rows.log_rows(text)
        return _of_rows(text, name, Form.LOG, lines), bad
    about = read_front_matter(text) if suffix == ".md" else FrontMatter()
    return _of_text(text, name, suffix, about if about.body_start else meta_of(path)), []


def _unseen(page: Page) -> list[SourceError]:
    """Hidden words of a page where they call something off: they withdraw, and say nothing else."""
    if not calls_off(page.hidden):
        return []
    return [SourceError(0, "hidden text that calls something off", said=clean(page.hidden))]


def _hidden(
    stored: bytes, sheet: str, name: str, mapping: OrderMapping | None
) -> list[SourceError]:
    """Hidden rows of a sheet, with the order that each is about where its table tells."""
    found = hidden_rows(stored, sheet)
    if not found:
        return []
    whole = clean(sheet_text(stored, sheet, unseen=True))
    try:
        rows_of = {row.line: row for row in _table(whole, name, rows.csv_rows, mapping)[0].rows}
    except SourceError:
        return found
    for error in found:
        if (row := rows_of.get(error.line)) is not None:
            error.order_id, error.cells = row.cells.get("order_id", ""), row.cells
    return found


def _of_text(text: str, name: str, suffix: str, about: FrontMatter) -> Document:
    body = text[about.body_start :]
    if not body.strip():
        raise SourceError(0, "front matter without a text")
    return Document(
        doc_id=about.doc_id or name,
        revision=about.revision,
        form={".md": Form.MARKDOWN, ".rst": Form.RST}.get(suffix, Form.TEXT),
        kind=about.kind,
        title=about.title or first_heading(body) or name.rsplit("/", 1)[-1].removesuffix(suffix),
        path=name,
        assets=about.assets,
        known_from_ns=about.known_from_ns,
        text=text,
        body_start=about.body_start,
        language=about.language or language_of(body),
    )


def _of_page(page: Page, name: str, about: FrontMatter) -> Document:
    """HTML, PDF or DOCX, as they and the file beside them say; Markdown underneath."""
    text = clean(page.text)
    if not text.strip():
        raise SourceError(0, "empty")
    title = about.title or " ".join(clean(page.title).split()) or first_heading(text)
    return Document(
        doc_id=about.doc_id or name,
        revision=about.revision,
        form=Form.MARKDOWN,
        kind=about.kind,
        title=title or name.rsplit("/", 1)[-1].rpartition(".")[0],
        path=name,
        assets=about.assets,
        known_from_ns=about.known_from_ns,
        text=text,
        language=about.language or page.language or language_of(text),
        notes=page.notes,
    )


def _glimpsed(path: Path, name: str) -> list[Unread]:
    """What a file that is not read may have said."""
    if path.suffix.lower() in WORKBOOKS and SHEET_MARK in name:
        with suppress(SourceError, OSError):  # a sheet of notes can be seen, unlike a broken book
            sheet = name.rpartition(SHEET_MARK)[2]
            said = clean(sheet_text(path.read_bytes(), sheet, unseen=True))
            return [Unread(path=name, line=0, said=said, text=not is_tabular(said))]
    found = glimpsed(path, name, prose=path.suffix.lower() in TEXTS)
    return [found] if found else []


def _table(
    text: str, name: str, read: TableReader, mapping: OrderMapping | None
) -> tuple[Document, list[SourceError]]:
    found, bad = read(text, mapping.named) if mapping else read(text)
    if not found:
        raise bad[0] if bad else SourceError(1, "a table without rows")
    columns = frozenset(found[0].cells) | frozenset(mapping.join if mapping else ())
    if mapping is not None:
        found, more = _mapped(found, mapping, text)
        bad += more
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


def _mapped(
    found: list[rows.Row], mapping: OrderMapping, text: str
) -> tuple[list[rows.Row], list[SourceError]]:
    """Rows in our words, and those of which a cell cannot be read."""
    told: list[rows.Row] = []
    bad: list[SourceError] = []
    for row in found:
        try:
            told.append(mapping.row(row))
        except SourceError as error:
            order_id, said = row.cells.get("order_id", ""), text[row.start : row.end]
            bad.append(
                SourceError(row.line, error.cause, said=said, order_id=order_id, cells=row.cells)
            )
    return told, bad


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
