"""The command that describes our topics for machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def schemas(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File to write; without it to the terminal.")
    ] = None,
) -> None:
    """Write what is published and taken, topic by topic, as AsyncAPI 3 with JSON Schemas.

    Examples: `andon schemas -o asyncapi.yaml`, `andon schemas | less`
    """
    from importlib import metadata

    from edge.wire.asyncapi import as_yaml, described

    text = as_yaml(described(metadata.version("andon")))
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"Wrote {out}")
