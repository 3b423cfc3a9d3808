"""The command `andon dead-letters`: messages that the gateway could not read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from andon.options import console

SECOND_CHARS = 19  # of a time to the second
SHOWN_CHARS = 60  # of a payload in the table; --json has all that was kept


def dead_letters(
    path: Annotated[
        Path | None, typer.Argument(help="Directory of the letters; else that of --config.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="gateway.toml", exists=True)] = None,
    topic: Annotated[str, typer.Option(help="Only of these topics, with * and ?.")] = "*",
    reason: Annotated[str, typer.Option(help="Only for this reason: not_json, ...")] = "",
    since: Annotated[str, typer.Option(help="Only that came since (ISO 8601, zone).")] = "",
    limit: Annotated[int, typer.Option(help="The newest so many; 0: all.", min=0)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, as they stand.")] = False,
) -> None:
    """Show messages that could not be read, oldest first: when, where, why, and how they begin.

    Their number is bounded: of a topic that sends many only some are kept; `health` counts all.

    Example: `andon dead-letters --config gateway.toml --topic 'plant/r1*'`

    Example: `andon dead-letters state/dead_letters --reason not_json --since 2026-03-01T06:00:00Z
    --json`
    """
    import msgspec

    from edge.storage.dead_letters import read_letters

    if (path is None) == (config is None):
        raise typer.BadParameter(
            "name either the directory of the letters or --config gateway.toml"
        )
    if path is None:
        from edge.configuration.config import load

        assert config is not None
        loaded = load(config)
        path = loaded.path(loaded.journal.dir) / "dead_letters"
        if not path.is_dir() or not any(path.iterdir()):
            if not as_json:
                typer.echo("no dead letters yet: every message could be read")
            return
    since_ns = _since_ns(since)
    found = list(read_letters(path, topic=topic, reason=reason, since_ns=since_ns))
    for letter in found[-limit:] if as_json else ():
        typer.echo(msgspec.json.encode(letter))
    if as_json:
        return
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(
        Column("time", no_wrap=True, min_width=SECOND_CHARS + 1), "topic", "reason", "bytes"
    )
    table.add_column("begins")
    for letter in found[-limit:]:
        begins = repr(letter.beginning[:SHOWN_CHARS])[2:-1]
        time = f"{letter.time[:SECOND_CHARS]}Z"  # --since chooses by it; --json has the fractions
        cells = (time, ascii(letter.topic)[1:-1], letter.reason, str(letter.size_bytes))
        table.add_row(*(Text(cell) for cell in (*cells, begins)))
    console().print(table)
    if limit and len(found) > limit:
        console().print(f"the newest {limit} of {len(found)}; --limit 0 shows all", markup=False)


def _since_ns(text: str) -> int:
    """A time of the command line, ns; 0 for none. Raises BadParameter."""
    if not text:
        return 0
    from edge.errors import WireError
    from edge.wire.readings import read_time

    try:
        return read_time(text, topic="--since")
    except WireError as error:
        raise typer.BadParameter(str(error)) from error
