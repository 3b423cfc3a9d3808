"""The door itself: the group of all commands, and what stands before any of them."""

from __future__ import annotations

from typing import Annotated

import typer

from andon.commands import COMMANDS
from andon.lazy import front

app = front(COMMANDS, name="andon")


@app.callback(invoke_without_command=True)
def _front_door(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Streaming anomaly detection that knows what maintenance expected. Begin with `andon demo`."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"andon {version_of('andon')}")
        raise typer.Exit
