"""A query to hits: filter by asset, kind and time, two rankings, one fused, each passage cited."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from kb.records import Hit
from kb.retrieval import lexical, rank
from kb.retrieval.cite import best_start, cite, says_what_to_do, steps_of
from kb.snapshots import store

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kb.records import Query
    from kb.retrieval.index import VectorIndex
    from kb.snapshots.store import ChunkRow, DocumentRow

CANDIDATES: Final = 50  # of each ranking
LIMIT_MAX: Final = 100


class Catalogue:
    """What the filters need of every passage, in memory: about 100 bytes each."""

    def __init__(
        self,
        chunks: Sequence[ChunkRow],
        documents: Sequence[DocumentRow],
        ids: NDArray[np.int64],
    ) -> None:
        """Of passages whose vectors stand in the order of `ids` (n,). Raises ValueError.

        It is raised when passages and vectors are not the same.
        """
        self.rows = {row.chunk_id: row for row in chunks}
        self.documents = documents
        searchable = {row.chunk_id for row in chunks if row.embedded_sha256}
        self.place_of = {int(chunk_id): i for i, chunk_id in enumerate(ids)}
        if searchable != self.place_of.keys():
            raise ValueError("passages and vectors do not belong together")
        rows = [self.rows[chunk_id] for chunk_id in self.place_of]
        self._known_from = np.array([row.known_from_ns for row in rows], dtype=np.int64)
        self._known_to = np.array([row.known_to_ns for row in rows], dtype=np.int64)
        self._turns = np.sort(
            np.array(list({*self._known_from.tolist(), *self._known_to.tolist()}), np.int64)
        )
        self._site_wide = np.array([row.assets is None for row in rows], dtype=np.bool_)
        kinds = np.array([documents[row.document].kind for row in rows], dtype=np.str_)
        self._of_kind = {kind: kinds == kind for kind in sorted(set(kinds.tolist()))}
        of_asset: dict[str, list[int]] = {}
        for i, row in enumerate(rows):
            for asset in row.assets or ():
                of_asset.setdefault(asset, []).append(i)
        self._of_asset = {a: np.array(i, dtype=np.intp) for a, i in of_asset.items()}

    def era(self, now_ns: int) -> int:
        """The same number for all times at which the same passages count as known."""
        return int(self._turns.searchsorted(now_ns, side="right"))

    def visible(self, query: Query, *, now_ns: int) -> NDArray[np.bool_]:
        """Which of `ids` a query may find: (n,) bool.

        Of its exact asset or site-wide, of its kinds, recorded by `now_ns` and not yet replaced by
        a newer revision.
        """
        keep = (self._known_from <= now_ns) & (now_ns < self._known_to)  # (n,)
        if not query.all_assets:
            near = self._site_wide.copy()  # (n,)
            if query.asset in self._of_asset:
                near[self._of_asset[query.asset]] = True
            keep &= near
        if query.kinds:
            of_kinds = np.zeros_like(keep)
            for kind in query.kinds:
                if kind in self._of_kind:
                    of_kinds |= self._of_kind[kind]
            keep &= of_kinds
        return keep


class _Visible:
    """Passages that a query may find, as a container of ids."""

    def __init__(self, keep: NDArray[np.bool_], place_of: Mapping[int, int]) -> None:
        self._flags = keep.tobytes()
        self._place_of = place_of

    def __contains__(self, chunk_id: object) -> bool:
        place = self._place_of.get(chunk_id)  # type: ignore[call-overload]  # any key may be asked
        return place is not None and self._flags[place] == 1


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a query asks for, in stems."""

    terms: frozenset[str]
    words: frozenset[str]
    pairs: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, query: Query) -> _Wanted:
        """Stems of a query; generic words ask for nothing."""
        return cls(
            terms=lexical.stems_of(" ".join(query.terms)),
            words=lexical.stems_of(query.text) - lexical.GENERIC,
            pairs=lexical.pairs_of(query.text),
        )

    def specific(self, text: str) -> bool:
        """Whether a passage has one of the terms, or enough of the words."""
        stems = lexical.shared_stems(self.words | self.terms, text)
        shared = len(self.words & stems)
        least = min(rank.WORDS_MIN, rank.WORDS_SHARE_MIN * len(self.words))
        enough = shared > 0 and shared >= least
        return enough or not self.terms.isdisjoint(stems)


def run(
    query: Query,
    vector: NDArray[np.float32] | None,
    *,
    now_ns: int,
    catalogue: Catalogue,
    index: VectorIndex,
    lexicon: lexical.Words,
    connection: sqlite3.Connection,
) -> tuple[Hit, ...]:
    """Passages for a query, best first, no more of a document than it asks for.

    vector: (d,) float32 of the query's text, None for a query of terms only. `rank.relevant` says
    which are relevant; () says that none is.
    """
    keep = catalogue.visible(query, now_ns=now_ns)
    words = lexical.words_of((*query.terms, query.text))
    among = _Visible(keep, catalogue.place_of)
    by_words = lexicon.search(words, among=among, count=CANDIDATES)
    similarity: dict[int, float] = {}
    if vector is not None:
        similarity = dict(index.search(vector, CANDIDATES, keep=keep))
        rest = [i for i in by_words if i not in similarity]
        places = np.array([catalogue.place_of[i] for i in rest], dtype=np.intp)
        similarity |= zip(rest, index.products(places, vector).tolist(), strict=True)
    wanted = _Wanted.of(query)

    @functools.cache
    def said(chunk_id: int) -> str:  # few are read: most are decided without their words
        return "\n".join(store.read_words(connection, chunk_id))

    def relevant(chunk_id: int) -> bool:
        alike = similarity.get(chunk_id, math.nan)
        return rank.relevant(alike, lambda: wanted.specific(said(chunk_id)))

    kept_ids = set(filter(relevant, {*similarity, *by_words}))
    near = sorted(similarity, key=lambda i: (-similarity[i], i))[:CANDIDATES]
    fused = rank.fuse([[i for i in ids if i in kept_ids] for ids in (by_words, near)])
    ranked = rank.lifted(fused, lambda i: lexical.agreement(wanted.pairs, said(i)))
    document_of = {i: catalogue.documents[catalogue.rows[i].document].doc_id for i, _ in fused}
    kept = rank.at_most_per_document(
        ranked,
        document_of,
        limit=min(query.limit, LIMIT_MAX),
        most=query.per_document_max,
    )
    texts: dict[int, str] = {}
    hits = []
    for chunk_id, score in kept:
        row = catalogue.rows[chunk_id]
        if row.document not in texts:
            texts[row.document] = store.read_text(connection, row.document)
        alike = similarity.get(chunk_id, math.nan)
        document = catalogue.documents[row.document]
        hits.append(_hit(row, document, texts[row.document], words, score, alike))
    return tuple(hits)


def _hit(
    row: ChunkRow,
    document: DocumentRow,
    text: str,
    words: Sequence[str],
    score: float,
    similarity: float,
) -> Hit:
    stems = tuple(dict.fromkeys(lexical.stem(word) for word in words))
    return Hit(
        citation=cite(
            text,
            best_start(text, row.start, row.end, stems),
            row.end,
            doc_id=document.doc_id,
            revision=document.revision,
            chunk_id=row.chunk_id,
        ),
        title=document.title,
        section=row.section,
        kind=document.kind,
        score=score,
        similarity=similarity,
        steps=steps_of(
            text,
            row.start,
            row.end,
            listed=document.kind == "procedure" or says_what_to_do(row.section),
            source=(document.doc_id, document.revision, row.chunk_id),
        ),
    )
