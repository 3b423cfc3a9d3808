"""Documents into citable passages that follow their structure.

Prose is packed by sentences and list items within one section, up to a target; a row of an error or
troubleshooting table and a line of a list of codes are passages of their own; so is each record. What a
passage stands under (title, headings, table header) is kept apart and only prefixed to the text that is embedded, so a
quote is exactly what the document says: text[start:end].
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kb.blocks import read_blocks
from kb.text import stripped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kb.blocks import Unit
    from kb.documents import Document, Record

CHUNKER_VERSION: Final = 1  # part of the manifest: another chunker makes other chunk ids
TARGET_TOKENS: Final = 160
TOKENS_MAX: Final = 240
WINDOW_TOKENS: Final = 254  # of the text model, its two special tokens left out
HEADING_TOKENS_MAX: Final = 64  # of the window; longer breadcrumbs lose their middle
OVERLAP_TOKENS_MAX: Final = 32  # one sentence, so that a passage does not begin with "it"
CHARS_MAX: Final = 4_000  # long strings without meaning count as one token each
WORD_CHARS_MAX: Final = 400
CRUMB: Final = " > "

assert TARGET_TOKENS + OVERLAP_TOKENS_MAX <= TOKENS_MAX <= WINDOW_TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One passage. text[start:end] is what it quotes; heading and body are what is indexed.

    section: headings above it, without the title. `asset` entries () are site-wide. line: of a record, else 0.
    """

    chunk_id: int
    ordinal: int
    start: int
    end: int
    section: str
    heading: str
    body: str
    assets: tuple[str, ...]
    recorded_at_ns: int
    line: int = 0

    @property
    def embed_text(self) -> str:
        """What the dense index sees."""
        return f"{self.heading}\n{self.body}"


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    path: tuple[str, ...]
    head: tuple[str, ...] = ()


def chunk_document(
    document: Document,
    *,
    count: Callable[[str], int],
    record_assets: Callable[[Record], tuple[str, ...]],
    first_seen_ns: Callable[[Record], int],
) -> list[Chunk]:
    """Divide a document into passages in their order.

    count: tokens of a text, which may stop counting somewhere above TOKENS_MAX.
    record_assets, first_seen_ns: assets of a record, and when it was known where it does not say so.
    Every letter of the body is in a passage, in a heading above one, or in the header of its table.
    """
    if document.records is not None:
        return list(_record_chunks(document, count, record_assets, first_seen_ns))
    packer = _Packer(document.text, count)
    chunks = []
    for ordinal, piece in enumerate(packer.pack(read_blocks(document.text, document.body), document.title)):
        section = _section(document.title, piece.path)
        text = document.text[piece.start : piece.end]
        chunks.append(
            Chunk(
                chunk_id=chunk_id(document, ordinal, text),
                ordinal=ordinal,
                start=piece.start,
                end=piece.end,
                section=CRUMB.join(section),
                heading=_heading(document.title, section, count),
                body=_with_head(text, piece.head),
                assets=document.assets,
                recorded_at_ns=document.recorded_at_ns,
            )
        )
    return chunks


def chunk_id(document: Document, ordinal: int, text: str) -> int:
    """A stable id below 2**63, the same for the same passage in every snapshot."""
    revision = document.revision if document.declared else ""
    key = "\x1f".join((document.doc_id, revision, str(ordinal), text))
    return int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest()[:8], "big") >> 1


def _record_chunks(
    document: Document,
    count: Callable[[str], int],
    record_assets: Callable[[Record], tuple[str, ...]],
    first_seen_ns: Callable[[Record], int],
) -> Iterator[Chunk]:
    assert document.records is not None
    for record in document.records:
        known = record.recorded_at_ns
        recorded = first_seen_ns(record) if known is None else known
        assets = record_assets(record)
        spans = list(_divided(document.text, record.start, record.end, count))
        for part, (start, end) in enumerate(spans):
            text = document.text[start:end]
            body = _record_body(document, record) if len(spans) == 1 else text
            yield Chunk(
                chunk_id=chunk_id(document, record.line * 1_000 + part, text),
                ordinal=record.line * 1_000 + part,
                start=start,
                end=end,
                section="",
                heading=document.title,
                body=body,
                assets=assets,
                recorded_at_ns=recorded,
                line=record.line,
            )


def _record_body(document: Document, record: Record) -> str:
    """What a record says, without the parts that are alike in all of them."""
    if record.entry is not None:
        return document.text[record.entry.said : record.end]
    assert record.row is not None
    cells = ((name, cell.value) for name, cell in record.row.cells.items() if cell.value)
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in cells)


def _section(title: str, path: tuple[str, ...]) -> tuple[str, ...]:
    return path[1:] if path and path[0] == title else path


def _heading(title: str, section: Sequence[str], count: Callable[[str], int]) -> str:
    parts = [title, *section]
    while len(parts) > 2 and count(CRUMB.join(parts)) > HEADING_TOKENS_MAX:
        del parts[1]
    text = CRUMB.join(parts)
    while count(text) > HEADING_TOKENS_MAX:
        text = text[: len(text) * 3 // 4]
    return text


def _with_head(text: str, head: tuple[str, ...]) -> str:
    """A table row or rows with the names of their columns, so that a cell means something."""
    if not head:
        return text
    cells = [cell.strip() for cell in text.split("|")]
    if len(cells) == len(head) and "\n" not in text:
        return "; ".join(f"{name}: {cell}" for name, cell in zip(head, cells, strict=True))
    return f"{' | '.join(head)}\n{text}"


class _Packer:
    """Units into passages under the caps."""

    def __init__(self, text: str, count: Callable[[str], int]) -> None:
        self._text = text
        self._count = count

    def pack(self, units: Sequence[Unit], title: str) -> Iterator[_Piece]:
        """Yield pieces in order; they overlap by at most one short sentence within a section."""
        held: list[Unit] = []
        sizes: list[int] = []
        limit = TOKENS_MAX
        for unit in units:
            size = self._count(self._text[unit.start : unit.end])
            if held and (unit.path, unit.head, unit.solo) != (held[-1].path, held[-1].head, False):
                yield self._piece(held)
                held, sizes = [], []
            if not held:
                heading = _heading(title, _section(title, unit.path), self._count)
                used = self._count(heading) + self._count(" | ".join(unit.head))
                limit = max(TARGET_TOKENS // 2, min(TOKENS_MAX, WINDOW_TOKENS - used))
            if self._too_big(unit, size, limit):
                if held:
                    yield self._piece(held)
                    held, sizes = [], []
                for start, end in _divided(self._text, unit.start, unit.end, self._count, limit):
                    yield _Piece(start, end, unit.path, unit.head)
                continue
            if held and not self._fits(held, sizes, unit, size, limit):
                yield self._piece(held)
                held, sizes = self._kept(held, sizes, unit, size)
            held.append(unit)
            sizes.append(size)
            if unit.solo:
                yield self._piece(held)
                held, sizes = [], []
        if held:
            yield self._piece(held)

    def _too_big(self, unit: Unit, size: int, limit: int) -> bool:
        return size > limit or unit.end - unit.start > CHARS_MAX

    def _fits(self, held: list[Unit], sizes: list[int], unit: Unit, size: int, limit: int) -> bool:
        short = unit.end - held[0].start <= CHARS_MAX
        return short and sum(sizes) + size <= min(TARGET_TOKENS, limit)

    def _kept(
        self, held: list[Unit], sizes: list[int], unit: Unit, size: int
    ) -> tuple[list[Unit], list[int]]:
        """What the next passage repeats of the last one: one short sentence, or nothing."""
        last, tokens = held[-1], sizes[-1]
        repeat = (
            len(held) > 1
            and last.kind == unit.kind == "sentence"
            and tokens <= OVERLAP_TOKENS_MAX
            and tokens + size <= TARGET_TOKENS
            and unit.end - last.start <= CHARS_MAX
        )
        return ([last], [tokens]) if repeat else ([], [])

    def _piece(self, held: list[Unit]) -> _Piece:
        return _Piece(held[0].start, held[-1].end, held[0].path, held[0].head)


def _divided(
    text: str, start: int, end: int, count: Callable[[str], int], limit: int = TOKENS_MAX
) -> Iterator[tuple[int, int]]:
    """Yield spans of text[start:end] under the caps, cut between words where that is possible."""
    if end - start <= CHARS_MAX and count(text[start:end]) <= limit:
        yield start, end
        return
    begin, stop, tokens = start, start, 0
    for word_start, word_end in _words(text, start, end, count, limit):
        size = count(text[word_start:word_end])
        if stop > begin and (tokens + size > limit or word_end - begin > CHARS_MAX):
            yield stripped(text, begin, stop)
            begin, tokens = word_start, 0
        stop, tokens = word_end, tokens + size
    if text[begin:stop].strip():
        yield stripped(text, begin, stop)


def _words(
    text: str, start: int, end: int, count: Callable[[str], int], limit: int
) -> Iterator[tuple[int, int]]:
    """Spans of the words; one that is too long by itself comes in pieces."""
    for match in re.compile(r"\S+").finditer(text, start, end):
        whole = match.end() - match.start() <= WORD_CHARS_MAX and count(match.group()) <= limit
        width = match.end() - match.start() if whole else min(WORD_CHARS_MAX, limit)
        for at in range(match.start(), match.end(), width):
            yield at, min(at + width, match.end())
