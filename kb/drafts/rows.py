"""What texts propose to an engineer: rows of tables with their source, and nobody's approval.

Nothing here counts until a person has put a name to it: the reader of such a table refuses a row
without one.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Final

import msgspec

from kb.errors import KnowledgeError
from kb.reading.document import Document, Form
from kb.reading.documents import read_folder
from kb.reading.rows import csv_rows
from kb.retrieval.cite import QUOTE_CHARS_MAX
from kb.retrieval.passages import Passage, extract, site_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

SOURCE_COLUMNS: Final = ("citation", "quote", "confidence")
_FORMULA: Final = re.compile(r"\s*[=+\-@]")
_TEXTS: Final = (Form.MARKDOWN, Form.RST, Form.TEXT)
_SENTENCE: Final = re.compile(
    r"(?<!\bmin\.)(?<!\bmax\.)(?<!\bno\.)(?<!\bapprox\.)(?<=[.!?])\s+|\n\s*\n|\n(?=\s*(?:[-*+]|\d{1,3}[.)])\s)"
)
_RULE: Final = re.compile(r"\s*\|?(?:\s*:?-+:?\s*\|)+\s*(?::?-+:?)?\s*\|?\s*")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A text with its passages."""

    document: Document
    passages: tuple[Passage, ...]

    def citation(self, start: int, end: int) -> str:
        """`doc@revision#chunk:start-end` of a span of the text, at most a quote long."""
        end = min(end, start + QUOTE_CHARS_MAX)
        inside = (p.chunk_id for p in self.passages if p.start <= start < p.end)
        chunk = next(inside, 0)
        return f"{self.document.doc_id}@{self.document.revision}#{chunk}:{start}-{end}"

    def quote(self, start: int, end: int) -> str:
        """The verbatim text of a span, as much of it as is cited."""
        return self.document.text[start : min(end, start + QUOTE_CHARS_MAX)]


class TableRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a table in a text, by the names of its columns as they stand."""

    section: str
    start: int
    end: int
    cells: dict[str, str]


def sources(paths: Sequence[Path]) -> list[Source]:
    """Texts of files and folders, in order; tables of records are left out.

    Raises KnowledgeError when a path holds no text that can be read.
    """
    found: list[Source] = []
    for path in paths:
        reading = read_folder(path if path.is_dir() else path.parent, now_ns=0)
        texts = [
            document
            for document in reading.documents
            if document.form in _TEXTS and (path.is_dir() or document.path == path.name)
        ]
        if not texts:
            why = next((q.cause for q in reading.quarantined if q.path == path.name), "")
            raise KnowledgeError(f"{path}: no manual or procedure to read{why and f': {why}'}")
        site = site_of(texts)
        found += [
            Source(document=d, passages=extract(d, site, known_ns=lambda _: 0).passages)
            for d in texts
        ]
    return found


def sentences(source: Source, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of the sentences between two places of a text; rows of tables are none."""
    text = source.document.text
    at = start
    for match in [*_SENTENCE.finditer(text, start, end), None]:
        stop = match.start() if match else end
        said = text[at:stop]
        if said.strip() and not said.lstrip().startswith(("|", "#", "+--", "```")):
            yield at + len(said) - len(said.lstrip()), at + len(said.rstrip())
        at = match.end() if match else end


def table_rows(source: Source) -> Iterator[TableRow]:
    """Rows of the pipe tables of a text."""
    text = source.document.text
    header: list[str] = []
    before = ""
    at = 0
    for line in text.splitlines(keepends=True):
        start, at = at, at + len(line)
        stripped = line.strip()
        if not stripped.startswith("|"):
            header, before = [], ""
        elif _RULE.fullmatch(stripped):
            header = _cells(before)
        elif header:
            cells = _cells(stripped)
            if len(cells) == len(header):
                begin = start + len(line) - len(line.lstrip())
                section = next((p.section for p in source.passages if p.start <= begin < p.end), "")
                yield TableRow(
                    section=section,
                    start=begin,
                    end=start + len(line.rstrip()),
                    cells=dict(zip(header, cells, strict=True)),
                )
        else:
            before = stripped


def table(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Rows as CSV with the columns of the table, and those that say where they come from.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, [*columns, *SOURCE_COLUMNS], restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _safe(cell) for name, cell in row.items()})
    text = file.getvalue()
    assert not csv_rows(text)[1], "what we write we can read"
    return text


def _safe(cell: str) -> str:
    number = re.fullmatch(r"-?\d+(?:\.\d+)?", cell)
    return f"'{cell}" if _FORMULA.match(cell) and not number else cell


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
