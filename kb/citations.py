"""A citation is a span of a stored text with the hash of what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kb.records import Citation
from kb.text import quote_end, sha256_text, stripped

if TYPE_CHECKING:
    from kb.documents import Document


def cite(document: Document, chunk_id: int, start: int, end: int) -> Citation:
    """Cite document.text[start:end] without white space at its ends, at most as long as a quote may be."""
    return citation_of(
        document.text[start:end],
        at=start,
        doc_id=document.doc_id,
        revision=document.revision,
        chunk_id=chunk_id,
    )


def citation_of(passage: str, *, at: int, doc_id: str, revision: str, chunk_id: int) -> Citation:
    """Cite the beginning of a passage that stands at `at` in its document."""
    start, end = stripped(passage, 0, len(passage))
    start, end = stripped(passage, start, quote_end(passage, start, end))
    quote = passage[start:end]
    return Citation(
        doc_id=doc_id,
        revision=revision,
        chunk_id=chunk_id,
        start=at + start,
        end=at + end,
        sha256=sha256_text(quote),
        quote=quote,
    )
