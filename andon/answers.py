"""Commands that ask the documents, and that judge how well they are searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import EmbedderDirectory, RerankerDirectory, Snapshots, console

if TYPE_CHECKING:
    from andon.report import Page
    from kb.evaluation.evaluate import Evaluation
    from kb.retrieval.answer import Answer
    from kb.retrieval.embed import Embedder
    from kb.retrieval.rerank import Reranker

SAYS_NOTHING = "The documents do not say."


def ask(
    question: Annotated[str, typer.Argument(help="A question in words.")],
    snapshot: Snapshots = Path("kb/current"),
    asset: Annotated[str, typer.Option(help="Exact asset id; without it all documents.")] = "",
    at: Annotated[str, typer.Option(help="What was known at this time (ISO 8601 with zone).")] = "",
    json_out: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
    reranker: RerankerDirectory = None,
    embedder: EmbedderDirectory = None,
) -> None:
    """Answer a question from the documents: their own sentences, each with its source.

    When the documents do not say, so does the answer (JSON: `{"answer": null}`); exit code 0.
    Of a document with several revisions, the newest that is in effect counts.

    Example: `andon ask "how often is the gas flow sensor calibrated" --snapshot kb/current`
    """
    import time

    from kb.errors import KnowledgeError
    from kb.retrieval.answer import ask as ask_documents
    from kb.snapshots.snapshot import Snapshot
    from kb.times import iso_ns

    try:
        now_ns = iso_ns(at) if at else time.time_ns()
    except ValueError as error:
        raise KnowledgeError(f"--at: {error}") from error
    with Snapshot.open(snapshot, embedder=_embedder(embedder)) as opened:
        answer = ask_documents(
            opened, question, now_ns=now_ns, asset=asset, reranker=_reranker(reranker)
        )
        sha256 = opened.sha256
    typer.echo(_as_json(answer, sha256) if json_out else _as_text(answer))


def kb_eval(
    folder: Annotated[
        Path, typer.Argument(help="Any folder of documents.", exists=True, file_okay=False)
    ],
    queries: Annotated[
        Path | None,
        typer.Option(help="Questions with what is relevant, one JSON a line.", exists=True),
    ] = None,
    json_out: Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report to read or print.")] = None,
    reranker: RerankerDirectory = None,
    embedder: EmbedderDirectory = None,
) -> None:
    """Judge how well a folder is searched: rankings, filters, citations.

    Without --queries each section title is a question for its own section; then titles,
    breadcrumbs and tables of contents leave the indexed text. A line of --queries is
    `{"query": "...", "relevant": ["DOC-1", 1184467440737095516, {"doc_id": "DOC-2", "section":
    "Calibration"}]}`, or `"relevant": {"DOC-1": 2, "DOC-3": 1}` with grades.

    success_at_5: something relevant among the first five. ndcg_at_10, mrr_at_10: how early.
    filtered_recall: what a filter by asset and time lets through is found, against brute force.
    citations_resolved: the text at the cited place is the quote, and its hash fits.
    citation_precision: the cited passage has the sentence word for word.
    citation_recall: nothing in an answer stands without a citation.

    Example: `andon kb eval manuals --json`
    """
    import msgspec

    from kb.evaluation.evaluate import evaluate

    found = evaluate(
        folder, queries=queries, embedder=_embedder(embedder), reranker=_reranker(reranker)
    ).evaluation
    if html is not None:
        _page(folder, found).write(html)
    if json_out:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        _print(folder, found)


def _embedder(directory: Path | None) -> Embedder | None:
    from kb.retrieval.embed import Embedder

    return Embedder(directory) if directory else None


def _reranker(directory: Path | None) -> Reranker | None:
    from kb.retrieval.rerank import Reranker

    return Reranker.load(directory) if directory else None


def _as_json(answer: Answer, sha256: str) -> str:
    import msgspec

    body = {
        "question": answer.question,
        "answer": answer.text,
        "reason": answer.reason or None,
        "support": round(answer.support, 4),
        "sentences": answer.sentences,
        "snapshot_sha256": sha256,
    }
    return msgspec.json.format(msgspec.json.encode(body), indent=1).decode()


def _as_text(answer: Answer) -> str:
    if not answer.sentences:
        return SAYS_NOTHING
    lines = []
    for said in answer.sentences:
        at = said.citation
        place = " > ".join(part for part in (said.title, said.section) if part)
        source = f"{at.doc_id}@{at.revision}#{at.chunk_id} {at.start}-{at.end} {at.sha256[:12]}"
        lines.append(f"{at.quote}\n    [{source}] {place}")
    return "\n".join(lines)


FIGURES = (
    ("success_at_5", "success@5"),
    ("ndcg_at_10", "nDCG@10"),
    ("mrr_at_10", "MRR@10"),
)
CHECKS = (
    ("filtered_recall", "recall under a filter, against brute force"),
    ("citations_resolved", "citations whose place holds the quote"),
    ("citation_precision", "citations that have their sentence word for word"),
    ("citation_recall", "parts of answers that have a citation"),
    ("answers_on_relevant", "sentences from what is relevant"),
    ("answered", "questions that were answered"),
)
WAYS = (("hybrid", "both"), ("fts5", "words alone"), ("dense", "sense alone"))


def _rows(found: Evaluation) -> list[list[object]]:
    return [[said, *(found.singles[way][name].mean for name, _ in FIGURES)] for way, said in WAYS]


def _about(folder: Path, found: Evaluation) -> str:
    left = f", {found.titles_unanswerable} titles left out" if found.titles_unanswerable else ""
    return (
        f"{folder.name}: {found.documents} documents, {found.passages} passages,"
        f" {found.queries} questions from {found.queries_from}{left}."
    )


def _print(folder: Path, found: Evaluation) -> None:
    from rich.table import Table

    from andon.report import shown

    out = console()
    out.print(_about(folder, found), highlight=False)
    table = Table("", *(said for _, said in FIGURES))
    for row in _rows(found):
        table.add_row(*(shown(cell) for cell in row))
    out.print(table)
    for name, said in CHECKS:
        out.print(f"{shown(getattr(found, name))} {said}", highlight=False)


def _page(folder: Path, found: Evaluation) -> Page:
    from andon.report import Page, Series

    page = Page("Retrieval", lead=_about(folder, found))
    page.bars(
        [said for _, said in FIGURES],
        [
            Series(
                name=said,
                values=[found.singles[way][name].mean for name, _ in FIGURES],
                low=[found.singles[way][name].low for name, _ in FIGURES],
                high=[found.singles[way][name].high for name, _ in FIGURES],
            )
            for way, said in WAYS
        ],
        title="Ranking, with 95 % bootstrap intervals",
    )
    page.table(["", *(said for _, said in FIGURES)], _rows(found), caption="Ways of searching")
    page.table(
        ["both, less", "figure", "difference", "low", "high"],
        [
            [said, figure, gain.mean, gain.low, gain.high]
            for way, said in WAYS[1:]
            for name, figure in FIGURES
            for gain in [found.hybrid_minus[way][name]]
        ],
        caption="What joining the two is worth: paired differences",
    )
    page.table(
        ["check", "share"],
        [[said, getattr(found, name)] for name, said in CHECKS],
        caption="Filters and citations",
    )
    return page.note("Definitions: docs/retrieval.md")
