"""How well a folder is searched: hybrid against its parts, filters against brute force, citations.

Questions come from a file (see `kb.evaluation.judgements`), or from the titles of sections; in that
case titles, breadcrumbs and tables of contents leave the indexed text.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from kb.errors import KnowledgeError
from kb.evaluation import gauges
from kb.evaluation.gauges import Interval, interval
from kb.evaluation.judgements import known_items, read_judgements
from kb.evaluation.trial import EVER_NS, WAYS, Trial
from kb.retrieval.answer import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kb.evaluation.judgements import Judged
    from kb.retrieval.answer import Answer
    from kb.retrieval.embed import Embedder
    from kb.retrieval.rerank import Reranker

QUERIES_MAX: Final = 500  # of titles; more change the figures by less than their intervals
ANSWERS_MAX: Final = 100  # questions that are answered too, to check the citations
FILTERED_MAX: Final = 50  # questions that are asked under filters
FILTERED_DEPTH: Final = 10
MADE_UP_ASSETS: Final = 8  # a filter keeps a passage in so many
MADE_UP_TIMES: Final = 3  # and of these, those known at a time
FIGURES: Final = ("success_at_5", "ndcg_at_10", "mrr_at_10")
_SEED: Final = 7  # of the sample; any number


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one folder; all between 0 and 1."""

    success_at_5: float
    ndcg_at_10: float
    mrr_at_10: float
    filtered_recall: float
    citations_resolved: float
    citation_precision: float
    citation_recall: float
    answers_on_relevant: float  # share of the answers' sentences from what is relevant
    answered: float  # share of the questions that were not declined
    documents: int
    passages: int
    queries: int
    queries_from: str  # titles, or the name of a file
    titles_unanswerable: int  # left out: their section has less than half of their words
    singles: dict[str, dict[str, Interval]]  # way -> figure -> mean and interval; hybrid too
    hybrid_minus: dict[str, dict[str, Interval]]  # single -> figure -> paired difference
    all_titles: dict[str, float]  # hybrid, with the unanswerable ones


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation with what it was computed from: way -> (n, 3) figures by question."""

    evaluation: Evaluation
    table: dict[str, np.ndarray[Any, np.dtype[np.float64]]]


def evaluate(
    folder: Path,
    *,
    queries: Path | None = None,
    embedder: Embedder | None = None,
    reranker: Reranker | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Search `folder` with questions and compare. Raises KnowledgeError.

    `progress(done, total)` counts passages embedded.
    """
    with (
        tempfile.TemporaryDirectory(prefix="andon-eval-") as scratch,
        Trial.of(
            folder, Path(scratch), titles=queries is not None, embedder=embedder, progress=progress
        ) as trial,
    ):
        trial.reranker = reranker
        if queries is None:
            judged = sampled(known_items(trial.text_of()), QUERIES_MAX)
        else:
            places = list(trial.place_of.values())
            judged = read_judgements(queries, places, paths=trial.paths)
        asked = [one for one in judged if one.answerable]
        if not asked:
            raise KnowledgeError(
                f"{folder} has no section titles to ask for: give questions with --queries"
            )
        every = compared(trial, judged)
        chosen = np.array([one.answerable for one in judged])
        table = {way: figures[chosen] for way, figures in every.items()}
        answers = [
            (one, ask(trial.snapshot, one.query, now_ns=EVER_NS, reranker=reranker))
            for one in sampled(asked, ANSWERS_MAX)
        ]
        evaluation = Evaluation(
            **dict(zip(FIGURES, table["hybrid"].mean(axis=0).tolist(), strict=True)),
            filtered_recall=filtered_recall(trial, [q.query for q in sampled(asked, FILTERED_MAX)]),
            **_citations(trial, answers),
            answered=float(np.mean([bool(answer.sentences) for _, answer in answers])),
            documents=len({place.doc_id for place in trial.place_of.values()}),
            passages=len(trial.place_of),
            queries=len(asked),
            queries_from=queries.name if queries else "titles",
            titles_unanswerable=len(judged) - len(asked),
            singles={way: _intervals(figures) for way, figures in table.items()},
            hybrid_minus={
                way: _intervals(table["hybrid"] - table[way]) for way in WAYS if way != "hybrid"
            },
            all_titles=dict(zip(FIGURES, every["hybrid"].mean(axis=0).tolist(), strict=True)),
        )
    return Run(evaluation=evaluation, table=table)


def compared(
    trial: Trial, judged: Sequence[Judged]
) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Figures (n, 3) of each way of searching, by question, in the order of `FIGURES`."""
    rows: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    for one in judged:
        for way, places in trial.ranked(one.query).items():
            items = one.items(places)
            rows[way].append(
                (
                    gauges.success_at(items, one.grades, 5),
                    gauges.ndcg_at(items, one.grades, 10),
                    gauges.reciprocal_rank_at(items, one.grades, 10),
                )
            )
    return {way: np.array(figures, dtype=np.float64) for way, figures in rows.items()}


def sampled(judged: Sequence[Judged], most: int) -> list[Judged]:
    """At most so many questions, always the same ones, in their order."""
    if len(judged) <= most:
        return list(judged)
    chosen = np.random.default_rng(_SEED).choice(len(judged), most, replace=False)
    return [judged[i] for i in sorted(chosen.tolist())]


def filtered_recall(trial: Trial, questions: Sequence[str]) -> float:
    """Share of the nearest passages under a filter that the index finds; brute force is the truth.

    Assets and times are made up, so that each filter leaves a few per cent of any folder.
    """
    ids = trial.index.ids()
    vectors = np.stack([trial.index.vector(int(i)) for i in ids])
    asset_of = [int(i) % MADE_UP_ASSETS for i in ids]
    known_from = [int(i) // MADE_UP_ASSETS % MADE_UP_TIMES for i in ids]
    found = wanted = 0
    for number, question in enumerate(questions):
        vector = trial.snapshot.embedder.embed(question, question=True)
        asset, now = number % MADE_UP_ASSETS, number % MADE_UP_TIMES
        mask = (np.array(asset_of) == asset) & (np.array(known_from) <= now)
        hits = {i for i, _ in trial.index.search(vector, FILTERED_DEPTH, keep=mask)}
        # Brute force, row by row: nothing of the index's filter is used again.
        allowed = [k for k in range(len(ids)) if asset_of[k] == asset and known_from[k] <= now]
        products = {int(ids[k]): float(np.dot(vectors[k], vector)) for k in allowed}
        best = sorted(products, key=lambda i: (-products[i], i))[:FILTERED_DEPTH]
        floor = min((products[i] for i in best), default=0.0) - 1e-5  # ties of rounding
        wanted += len(best)
        found += sum(1 for i in hits if i in products and products[i] >= floor)
    return found / wanted if wanted else 1.0


def _citations(trial: Trial, answers: Sequence[tuple[Judged, Answer]]) -> dict[str, float]:
    """Citations of hits and answers, checked against the stored texts and nothing else."""
    resolved: list[bool] = []
    supported: list[bool] = []
    cited: list[bool] = []
    relevant: list[bool] = []
    for judged, answer in answers:
        quotes = [said.citation for said in answer.sentences]
        for citation in quotes:
            text = trial.snapshot.text(citation.doc_id, citation.revision)
            span = text[citation.start : citation.end]
            stands = hashlib.sha256(span.encode()).hexdigest() == citation.sha256
            resolved.append(stands and span == citation.quote)
            within = trial.snapshot.chunk(citation.chunk_id)
            supported.append(
                resolved[-1]
                and within.start <= citation.start < citation.end <= within.end
                and citation.quote in (answer.text or "")
            )
            place = trial.place_of[citation.chunk_id]
            relevant.append(judged.items([place])[0] in judged.grades)
        rest = answer.text or ""
        for citation in quotes:
            rest = rest.replace(citation.quote, "", 1)
            cited.append(True)
        cited += [False] * bool(rest.strip())  # words of the answer that no citation has

    def share(of: list[bool]) -> float:
        return float(np.mean(of)) if of else 1.0

    return {
        "citations_resolved": share(resolved),
        "citation_precision": share(supported),
        "citation_recall": share(cited),
        "answers_on_relevant": share(relevant),
    }


def _intervals(figures: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Interval]:
    return {name: interval(figures[:, k]) for k, name in enumerate(FIGURES)}
