"""Commands about maintenance knowledge: `andon kb ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from andon.options import (
    EmbedderDirectory,
    RerankerDirectory,
    Snapshots,
    console,
    make_embedder_known,
)

CURRENT = Path("kb/current")
SourceFolder = Annotated[
    Path | None,
    typer.Option(help="Folder of documents; else the one it was built from.", exists=True),
]
Into = Annotated[str, typer.Option(help="Subfolder of the folder of documents.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON alone on standard output.")]


def kb_build(
    source: Annotated[Path, typer.Argument(help="Directory of documents.", exists=True)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Snapshot to publish.")],
    embedder: Annotated[
        Path | None, typer.Option(help="Directory of another text model.", exists=True)
    ] = None,
) -> None:
    """Read documents, orders, schedules, logs and scope tables into a snapshot.

    Example: `andon kb build plant-docs -o kb/current`
    """
    from kb.commands import build_command
    from kb.snapshots.snapshot import read_manifest

    build_command(source, out, console=console(), embedder=embedder)
    if not read_manifest(out).counts.documents:
        typer.echo(f"warning: no document was read below {source}: there is nothing to find in it")


def kb_search(
    text: Annotated[str, typer.Argument(help="What to look for.")],
    snapshot: Snapshots = Path("kb/current"),
    asset: Annotated[str, typer.Option(help="Exact asset id; without it all documents.")] = "",
    at: Annotated[str, typer.Option(help="What was known at this time (ISO 8601 with zone).")] = "",
    limit: Annotated[int, typer.Option(help="Passages to show.")] = 5,
    reranker: RerankerDirectory = None,
    embedder: EmbedderDirectory = None,
) -> None:
    """Search a snapshot.

    Example: `andon kb search "wire feed slips" --snapshot kb/current --asset r1`
    """
    from difflib import get_close_matches

    make_embedder_known(embedder)
    from kb.commands import search_command
    from kb.retrieval.rerank import Reranker
    from kb.snapshots.snapshot import Snapshot

    search_command(
        text,
        snapshot=snapshot,
        asset=asset,
        at=at,
        limit=limit,
        console=console(),
        reranker=Reranker.load(reranker) if reranker else None,
    )
    if not asset:
        return
    with Snapshot.open(snapshot) as opened:
        named = {one for row in opened.documents() for one in row.assets or ()}
        named |= {proposal.asset for proposal in opened.proposals()}
        named |= {scope.asset for scope in opened.scope_rows()}
    if asset not in named:
        near = get_close_matches(asset, named) or sorted(named)[:10]
        typer.echo(f"No document, order or scope row names asset {asset}; try {', '.join(near)}")


def kb_show(
    named: Annotated[
        str, typer.Argument(metavar="ID", help="Id of a chunk, document or proposal.")
    ],
    snapshot: Snapshots = Path("kb/current"),
    embedder: EmbedderDirectory = None,
) -> None:
    """Show a passage, document or proposal with its source.

    Example: `andon kb show 1184467440737095516 --snapshot kb/current`
    """
    from kb.commands import show_command

    make_embedder_known(embedder)
    show_command(named, snapshot=snapshot, console=console())


def kb_add(
    files: Annotated[list[Path], typer.Argument(help="New files.", exists=True)],
    snapshot: Snapshots = CURRENT,
    source: SourceFolder = None,
    into: Into = "",
    embedder: EmbedderDirectory = None,
) -> None:
    """Put new files into the folder of documents and publish.

    Refuses what is there already. A file that cannot be read is taken out again.

    Example: `andon kb add pump-loop.md --into manuals`
    """
    from kb.upkeep_commands import put_command

    make_embedder_known(embedder)
    put_command(
        files, snapshot=snapshot, source=source, into=into, replace=False, console=console()
    )


def kb_update(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Newer versions of files.", exists=True)
    ] = None,
    snapshot: Snapshots = CURRENT,
    source: SourceFolder = None,
    into: Into = "",
    embedder: EmbedderDirectory = None,
) -> None:
    """Replace files of the folder of documents and publish.

    Without a file, publish what was changed in the folder itself. Refuses what is not there yet;
    the older version goes to the hidden folder .trash within.

    Example: `andon kb update orders.csv`
    """
    from kb.upkeep_commands import put_command, update_command

    make_embedder_known(embedder)
    if not files:
        update_command(snapshot=snapshot, source=source, console=console())
        return
    put_command(files, snapshot=snapshot, source=source, into=into, replace=True, console=console())


def kb_remove(
    documents: Annotated[list[str], typer.Argument(help="doc_id, or path within the folder.")],
    snapshot: Snapshots = CURRENT,
    source: SourceFolder = None,
    embedder: EmbedderDirectory = None,
) -> None:
    """Take documents out of the folder and publish; they go to the hidden folder .trash within.

    Example: `andon kb remove MAN-GAS`
    """
    from kb.upkeep_commands import remove_command

    make_embedder_known(embedder)
    remove_command(documents, snapshot=snapshot, source=source, console=console())


def kb_watch(
    snapshot: Snapshots = CURRENT,
    source: SourceFolder = None,
    once: Annotated[bool, typer.Option("--once", help="Publish what changed, and end.")] = False,
    embedder: EmbedderDirectory = None,
) -> None:
    """Publish whatever changes in the folder of documents, until interrupted.

    Half-written files are waited for. A running gateway takes over each new snapshot by itself.

    Example: `andon kb watch --snapshot kb/current`
    """
    from kb.upkeep_commands import watch_command

    make_embedder_known(embedder)
    watch_command(snapshot=snapshot, source=source, once=once, console=console())


def kb_rollback(
    sha256: Annotated[str, typer.Argument(help="Beginning of its hash; else the parent.")] = "",
    snapshot: Snapshots = CURRENT,
    listed: Annotated[bool, typer.Option("--list", help="List what is kept.")] = False,
) -> None:
    """Go back to a snapshot that is kept, and say what changes; the folder stays as it is.

    Example: `andon kb rollback 0123456789ab`
    """
    from kb.upkeep_commands import rollback_command

    rollback_command(sha256, snapshot=snapshot, listed=listed, console=console())


def kb_diff(
    before: Annotated[str, typer.Argument(help="Beginning of a hash; else the parent.")] = "",
    now: Annotated[str, typer.Argument(help="Beginning of a hash; else the current one.")] = "",
    snapshot: Snapshots = CURRENT,
    as_json: AsJson = False,
) -> None:
    """Say which documents, proposals and approved rows differ between two snapshots.

    Example: `andon kb diff 0123456789ab`
    """
    from kb.upkeep_commands import diff_command

    diff_command(before, now, snapshot=snapshot, as_json=as_json, console=console())


def kb_proposals(
    snapshot: Snapshots = CURRENT,
    asset: Annotated[str, typer.Option(help="Exact asset id; else of all.")] = "",
    at: Annotated[str, typer.Option(help="What was known at this time (ISO 8601 with zone).")] = "",
    as_json: AsJson = False,
    embedder: EmbedderDirectory = None,
) -> None:
    """List the work that orders, schedules and logs propose, by its time.

    Example: `andon kb proposals --asset r1 --at 2026-03-02T06:00+01:00`
    """
    from kb.upkeep_commands import proposals_command

    make_embedder_known(embedder)
    proposals_command(snapshot=snapshot, asset=asset, at=at, as_json=as_json, console=console())
