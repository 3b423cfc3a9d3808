"""The command that makes a text model of the site's own words: `andon kb tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.knowledge import AsJson  # noqa: TC001 - typer reads it
from andon.options import EmbedderDirectory, console

if TYPE_CHECKING:
    from kb.retrieval.tune import Progress, Tuned
    from kb.retrieval.tuning_pairs import Pair


def kb_tune(
    out: Annotated[Path, typer.Option("-o", "--out", help="New directory of the text model.")],
    pairs: Annotated[
        Path | None,
        typer.Option(help="Questions with passages, one JSON a line.", exists=True),
    ] = None,
    orders: Annotated[
        Path | None, typer.Option(help="Snapshot: problem and action of its orders.", exists=True)
    ] = None,
    documents: Annotated[
        Path | None, typer.Option(help="Snapshot: section titles and texts.", exists=True)
    ] = None,
    problem: Annotated[str, typer.Option(help="Orders' column of what was wrong.")] = "",
    action: Annotated[str, typer.Option(help="Orders' column of what was done.")] = "",
    embedder: EmbedderDirectory = None,
    epochs: Annotated[int, typer.Option(help="Times each pair is learned.", min=1)] = 1,
    steps_max: Annotated[int, typer.Option(help="Steps of 32 pairs at most.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Of the order of pairs, and of chance.", min=0)] = 7,
    as_json: AsJson = False,
) -> None:
    """Make a text model of the site's own words; it is kept only when it searches better.

    On a workstation, with the extra `train`. A fifth of the questions is held back: the int8 model
    has to rank their passages better than the model in use, beyond chance (95 % paired bootstrap of
    nDCG@10, by sense alone and joined with words). Otherwise nothing is written; exit code 1.
    A line of --pairs is `{"query": "...", "passage": "..."}`. What is adopted is used by
    `andon kb build DOCS -o OUT --embedder MODEL_DIR`.

    Example: `andon kb tune --orders kb/current -o models/site`
    """
    import msgspec

    from kb.retrieval.embed import Embedder
    from kb.retrieval.tune import Told, require_libraries, tune

    require_libraries()
    found = tune(
        _pairs(pairs, orders, documents, columns=(problem, action)),
        out,
        told=Told(epochs=epochs, steps_max=steps_max, seed=seed),
        embedder=Embedder(embedder) if embedder else None,
        progress=_shown_progress(),
    )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        _print(found, out)
    if not found.adopted:
        raise typer.Exit(1)


def _pairs(
    file: Path | None, orders: Path | None, documents: Path | None, *, columns: tuple[str, str]
) -> list[Pair]:
    """Pairs of all that was named. Raises KnowledgeError."""
    from kb.errors import KnowledgeError
    from kb.retrieval.tuning_pairs import ACTIONS, PROBLEMS, document_pairs, order_pairs, read_pairs
    from kb.snapshots.snapshot import Snapshot

    if file is None and orders is None and documents is None:
        raise typer.BadParameter(
            "name pairs: --pairs FILE, --orders SNAPSHOT, --documents SNAPSHOT"
        )
    found = read_pairs(file) if file else []
    if orders:
        with Snapshot.open(orders) as opened:
            of_orders = order_pairs(opened, problem=columns[0], action=columns[1])
        if not of_orders:
            raise KnowledgeError(
                f"{orders}: no order has both a problem and an action; known columns are"
                f" {', '.join(PROBLEMS)} and {', '.join(ACTIONS)}: name yours with --problem and"
                " --action"
            )
        found += of_orders
    if documents:
        with Snapshot.open(documents) as opened:
            found += document_pairs(opened)
    return found


def _shown_progress() -> Progress:
    """A line on standard error for each tenth of the way."""
    told: dict[str, int] = {}

    def tell(what: str, done: int, total: int) -> None:
        tenth = done * 10 // total
        if told.get(what, -1) < tenth:
            told[what] = tenth
            typer.echo(f"{what}: {done} of {total}", err=True)

    return tell


def _print(found: Tuned, out: Path) -> None:
    from rich.table import Table

    judged = found.judged
    screen = console()
    screen.print(
        f"{found.pairs_trained} pairs learned from in {found.steps} steps;"
        f" {judged.queries} questions held back, {judged.passages} passages",
        highlight=False,
    )
    table = Table("nDCG@10", "before", "after", "difference", "95 % interval")
    for way, said in (("dense", "sense alone"), ("hybrid", "joined with words")):
        gain = judged.gain[way]
        table.add_row(
            said,
            f"{judged.before[way]:.4f}",
            f"{judged.after[way]:.4f}",
            f"{gain.mean:+.4f}",
            f"{gain.low:+.4f} to {gain.high:+.4f}",
        )
    screen.print(table)
    for objection in found.objections:
        screen.print(f"not better: {objection}", highlight=False, markup=False)
    if found.adopted:
        last = f"adopted: andon kb build DOCS -o OUT --embedder {out}"
    else:
        last = "nothing written: the model in use stays"
    screen.print(last, highlight=False, markup=False)
