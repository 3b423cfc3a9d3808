"""A second look at the best passages: a model that reads question and passage together.

None ships. A directory with `model.onnx` and `tokenizer.json` of a cross-encoder is one: inputs
`input_ids`, `attention_mask` and, where it has it, `token_type_ids`, each (1, s) int64; its first
output is one logit a pair, or the two of "no" and "yes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from kb.retrieval.embed import PairModel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kb.records import Hit
    from kb.snapshots.snapshot import Snapshot

DEPTH: Final = 20  # passages read again: each takes tens of milliseconds


class Scorer(Protocol):
    """Anything that says how well a passage answers a question; higher is better."""

    def score(self, question: str, passage: str) -> float:
        """Score one pair."""


class Reranker:
    """Puts the first hits of a search into the order of a scorer; the rest stay behind them."""

    def __init__(self, scorer: Scorer, *, depth: int = DEPTH) -> None:
        self._scorer = scorer
        self._depth = depth

    @classmethod
    def load(cls, directory: Path) -> Reranker:
        """Load a cross-encoder from its directory. Raises KnowledgeError."""
        return cls(PairModel(directory))

    def reordered(self, question: str, hits: Sequence[Hit], snapshot: Snapshot) -> tuple[Hit, ...]:
        """Return the same hits, best first by the scorer; equal scores keep their order."""
        read = []
        for place, hit in enumerate(hits[: self._depth]):
            chunk = snapshot.chunk(hit.citation.chunk_id)
            above = " > ".join(part for part in (chunk.title, chunk.section) if part)
            score = self._scorer.score(question, f"{above}\n{chunk.text}" if above else chunk.text)
            read.append((-score, place, msgspec.structs.replace(hit, score=score)))
        ordered = [hit for _, _, hit in sorted(read, key=lambda one: one[:2])]
        return (*ordered, *hits[self._depth :])
