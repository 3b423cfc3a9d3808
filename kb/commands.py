"""What `andon kb build`, `search` and `show` do at a terminal."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from kb.errors import KnowledgeError
from kb.records import Query
from kb.retrieval.embed import Embedder
from kb.retrieval.rerank import DEPTH
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from kb.times import iso_ns

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from kb.manifest import Manifest
    from kb.records import Proposal
    from kb.retrieval.rerank import Reranker

PLAUSIBLE_NS: Final = 1_735_689_600_000_000_000  # 2025-01-01: no box with this lives before
QUARANTINED_SHOWN: Final = 20


def build_command(
    source: Path, out: Path, *, console: Console, embedder: Path | None = None
) -> None:
    """Build a snapshot, with a progress bar, and say what is in it and what could not be read."""
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    begun = time.monotonic()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        manifest = build(
            source,
            out,
            now_ns=clock_ns(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            embedder=Embedder(embedder) if embedder else None,
        )
    _print_manifest(manifest, out, time.monotonic() - begun, console)


def search_command(
    text: str,
    *,
    snapshot: Path,
    asset: str,
    at: str,
    limit: int,
    console: Console,
    reranker: Reranker | None = None,
) -> None:
    """Search and list passages; without an asset, the documents of all assets.

    `reranker` reads more of them again than are listed.
    """
    now_ns = at_ns(at)
    with Snapshot.open(snapshot) as opened:
        depth = max(limit, DEPTH) if reranker else limit
        query = Query(text=text, asset=asset, all_assets=not asset, limit=depth)
        hits = opened.search(query, now_ns=now_ns)
        if reranker:
            hits = reranker.reordered(text, hits, opened)[:limit]
    if not hits:
        console.print("No relevant document.")
        return
    table = Table(show_lines=True, expand=True)
    for name, ratio in (("document", 2), ("passage", 5)):
        table.add_column(name, ratio=ratio, overflow="fold")
    table.add_column("like", justify="right", width=5)
    table.add_column("id", width=19, no_wrap=True)
    for hit in hits:
        where = [hit.title, hit.section.removeprefix(hit.title).removeprefix(" > ")]
        revision = f" rev. {hit.citation.revision}" if hit.citation.revision else ""
        place = " > ".join(part for part in where if part)
        source = f"{place}\n{hit.kind}, {hit.citation.doc_id}{revision}"
        alike = "" if math.isnan(hit.similarity) else f"{hit.similarity:.2f}"
        table.add_row(escape(source), escape(hit.citation.quote), alike, str(hit.citation.chunk_id))
    console.print(table)
    console.print("The whole passage: andon kb show ID")


def show_command(chunk_id: str, *, snapshot: Path, console: Console) -> None:
    """Show a passage by its number, a document by its doc_id, or a proposal by its id."""
    with Snapshot.open(snapshot) as opened:
        if chunk_id.isdecimal() and _shown_chunk(opened, int(chunk_id), console):
            return
        documents = [d for d in opened.documents() if d.doc_id == chunk_id]
        proposals = [p for p in opened.proposals() if p.proposal_id == chunk_id]
        for document in documents:
            revision = f", revision {document.revision}" if document.revision else ""
            of = "site-wide" if document.assets is None else ", ".join(document.assets)
            head = (
                f"{document.title} ({document.kind}, {document.doc_id}{revision}, {of or 'rows'})"
            )
            console.print(escape(head), style="bold")
            console.print(escape(opened.text(document.doc_id, document.revision)))
        for proposal in proposals:
            _print_proposal(proposal, console)
    if not documents and not proposals:
        raise KnowledgeError(f"{snapshot} has no passage, document or proposal {chunk_id!r}")


def _shown_chunk(opened: Snapshot, chunk_id: int, console: Console) -> bool:
    try:
        chunk = opened.chunk(chunk_id)
    except KnowledgeError:
        return False
    place = " > ".join(part for part in (chunk.title, chunk.section) if part)
    of = "site-wide" if chunk.assets is None else ", ".join(chunk.assets) or "no known asset"
    revision = f", revision {chunk.revision}" if chunk.revision else ""
    console.print(escape(place), style="bold")
    console.print(
        escape(f"{chunk.kind}, {chunk.doc_id}{revision}, {chunk.start}-{chunk.end}, {of}")
    )
    console.print(escape(f"known from {shown_time(chunk.known_from_ns)}"))
    console.print(escape(chunk.text))
    return True


def _print_manifest(manifest: Manifest, out: Path, seconds: float, console: Console) -> None:
    counts = manifest.counts
    console.print(
        f"{escape(str(out))}: {counts.documents} documents, {counts.chunks} passages"
        f" ({counts.embedded} embedded anew), {counts.proposals} proposals,"
        f" {counts.scope_rows} scope rows, in {seconds:.1f} s"
    )
    console.print(f"sha256 {manifest.sha256}", soft_wrap=True)
    if not manifest.quarantined:
        return
    table = Table(title=f"{len(manifest.quarantined)} not read, or with a note")
    table.add_column("file", overflow="fold")
    table.add_column("line", justify="right")
    table.add_column("cause", overflow="fold")
    for item in manifest.quarantined[:QUARANTINED_SHOWN]:
        table.add_row(escape(item.path), str(item.line or ""), escape(item.cause))
    console.print(table)
    if len(manifest.quarantined) > QUARANTINED_SHOWN:
        console.print(f"All {len(manifest.quarantined)} stand in {escape(str(out))}/manifest.json")


def _print_proposal(proposal: Proposal, console: Console) -> None:
    console.print(
        escape(f"{proposal.proposal_id}: {proposal.kind} of {proposal.asset}"), style="bold"
    )
    state = [name for name in ("approved", "cancelled", "real_times") if getattr(proposal, name)]
    rows = (
        ("source", proposal.source),
        ("instrument", proposal.instrument or "whole asset"),
        ("from", shown_time(proposal.valid_from_ns)),
        ("to", shown_time(proposal.valid_to_ns)),
        ("recorded", shown_time(proposal.recorded_at_ns)),
        ("state", ", ".join(state).replace("_", " ") or "proposed"),
        ("quote", proposal.citation.quote),
        ("passage", str(proposal.citation.chunk_id)),
    )
    for name, said in rows:
        console.print(escape(f"  {name:10} {said}"))


def clock_ns() -> int:
    """What our clock shows, for what is recorded. Raises KnowledgeError where it was never set.

    What was recorded in 1970 would count as known ever since.
    """
    now_ns = time.time_ns()
    if now_ns < PLAUSIBLE_NS:
        shows = shown_time(now_ns)
        raise KnowledgeError(f"the clock of this box was never set, it shows {shows}: set it first")
    return now_ns


def at_ns(at: str) -> int:
    """A time as somebody gave it, by default now. Raises KnowledgeError."""
    if not at:
        return time.time_ns()
    try:
        return iso_ns(at)
    except ValueError as error:
        raise KnowledgeError(f"--at: {error}; for example 2026-03-02T06:10+01:00") from error


def shown_time(t_ns: int | None) -> str:
    """A time for a reader, UTC."""
    if t_ns is None:
        return "not given"
    if t_ns == 0:
        return "always"
    return datetime.fromtimestamp(t_ns / 1e9, UTC).isoformat(sep=" ", timespec="minutes")
