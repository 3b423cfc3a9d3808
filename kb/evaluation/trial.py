"""A folder as the search sees it, for trials: three ways to search, with titles or without.

Nothing is published. In a trial without titles, titles and breadcrumbs leave the indexed text, so
that a question made of a title does not find itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

import msgspec
import numpy as np

from kb.errors import KnowledgeError
from kb.evaluation.judgements import Place, folded_title
from kb.manifest import Counts, Manifest
from kb.reading.document import ROW_FORMS
from kb.reading.documents import read_folder
from kb.records import Query
from kb.retrieval import search
from kb.retrieval.embed import shipped_embedder
from kb.retrieval.index import VectorIndex
from kb.retrieval.passages import extract, site_of
from kb.snapshots import store
from kb.snapshots.snapshot import DATABASE, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kb.retrieval.embed import Embedder
    from kb.retrieval.passages import Extract
    from kb.retrieval.rerank import Reranker

DEPTH: Final = search.LIMIT_MAX  # passages asked for; several may be one item
WAYS: Final = ("hybrid", "fts5", "dense")
EVER_NS: Final = 2**62  # a time at which everything is known


class Trial:
    """The passages of a folder, searched in each way. Close it when done."""

    def __init__(self, snapshot: Snapshot, index: VectorIndex, place_of: dict[int, Place]) -> None:
        self.reranker: Reranker | None = None
        self._text_of: dict[int, str] = {}
        self.paths: dict[str, str] = {}  # path in the folder -> id of its document
        self.snapshot = snapshot
        self.index = index
        self.place_of = place_of

    @classmethod
    def of(
        cls,
        folder: Path,
        scratch: Path,
        *,
        titles: bool,
        embedder: Embedder | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Read and index `folder`, with files in `scratch`. Raises KnowledgeError.

        `titles` False keeps titles and breadcrumbs out of the index. `progress(done, total)`
        counts passages embedded.
        """
        documents = read_folder(folder, now_ns=time.time_ns()).documents
        site = site_of(documents)
        extracts = [extract(d, site, known_ns=lambda _: 0) for d in documents]
        if not titles:
            known = {
                folded_title(title)
                for e in extracts
                for title in (e.document.title, *(h for p in e.passages for h in p.path))
            }
            extracts = [_untitled(one, known) for one in extracts]
        if not any(p.embedded for e in extracts for p in e.passages):
            raise KnowledgeError(f"{folder} has no passage to search: no document was read")
        return cls.over(extracts, scratch, embedder=embedder, progress=progress)

    @classmethod
    def over(
        cls,
        extracts: Sequence[Extract],
        scratch: Path,
        *,
        embedder: Embedder | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Index what was read already, one passage at least, with files in `scratch`."""
        passages = [(e.document, p) for e in extracts for p in e.passages if p.embedded]
        model = embedder or shipped_embedder()
        vectors = np.empty((len(passages), model.dimension), dtype=np.float32)
        for k, (_, passage) in enumerate(passages):
            vectors[k] = model.embed(passage.embedded)
            if progress:
                progress(k + 1, len(passages))
        ids = np.array([passage.chunk_id for _, passage in passages], dtype=np.int64)
        index = VectorIndex.of(ids, vectors)
        store.write(scratch / DATABASE, extracts, {int(i): "x" for i in ids})
        stored = (scratch / DATABASE).read_bytes()
        snapshot = Snapshot(
            scratch, _manifest(model), store.open_bytes(stored, scratch), index, model
        )
        place_of = {
            p.chunk_id: Place(document.doc_id, p.path, p.chunk_id) for document, p in passages
        }
        made = cls(snapshot, index, place_of)
        made.paths = {document.path: document.doc_id for document, _ in passages}
        made._text_of = {p.chunk_id: p.body for _, p in passages}
        return made

    def text_of(self) -> dict[Place, str]:
        """Each passage as it is indexed."""
        return {self.place_of[i]: text for i, text in self._text_of.items()}

    def ranked(self, text: str) -> dict[str, list[Place]]:
        """Passages for a question, best first, in each of the ways."""
        hits = self.snapshot.search(asked(text), now_ns=EVER_NS)
        if self.reranker is not None:
            hits = self.reranker.reordered(text, hits, self.snapshot)
        vector = self.snapshot.embedder.embed(text, question=True)
        with_words = self.snapshot.ranked_by_words(text, count=DEPTH)
        near = [i for i, _ in self.index.search(vector, DEPTH)]
        found = {"hybrid": [h.citation.chunk_id for h in hits], "fts5": with_words, "dense": near}
        return {way: [self.place_of[i] for i in ids] for way, ids in found.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.snapshot.close()


def asked(text: str) -> Query:
    """The query of a person: documents of every asset, as many passages of one as there are."""
    return Query(text=text, all_assets=True, limit=DEPTH, per_document_max=0)


def _untitled(found: Extract, titles: set[str]) -> Extract:
    """Passages without the words above them, and without lines that are titles.

    Those are tables of contents: they would answer every question, verbatim and with nothing. Rows
    of tables stay as they are.
    """
    if found.document.form in ROW_FORMS:
        return found

    def kept(text: str) -> str:
        return "\n".join(line for line in text.split("\n") if folded_title(line) not in titles)

    return msgspec.structs.replace(
        found,
        passages=tuple(
            msgspec.structs.replace(
                p,
                heading="",
                body=kept(p.body),
                embedded=kept(p.embedded.partition("\n")[2]).strip(),
            )
            for p in found.passages
        ),
    )


def _manifest(model: Embedder) -> Manifest:
    counts = Counts(documents=0, chunks=0, vectors=0, embedded=0, proposals=0, scope_rows=0)
    return Manifest(
        created_ns=0, parent="", source="", embedder_sha256=model.sha256, files={}, counts=counts,
        quarantined=(),
    )  # fmt: skip
