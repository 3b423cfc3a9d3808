"""The command of the operator's page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from andon.options import console


def page(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    listen: Annotated[str, typer.Option(help="Address and port.")] = "127.0.0.1:8080",
) -> None:
    """Serve the operator's page: what rings, what is kept quiet and why; a process of its own.

    Examples: `andon page gateway.toml`, `andon page gateway.toml --listen 127.0.0.1:9000`
    """
    from edge.configuration.config import load
    from edge.page.serving import serve

    out = console()

    def told(where: str) -> None:
        out.print(f"Operator's page: {where} (Ctrl-C ends it)", highlight=False, markup=False)

    serve(load(config), listen=listen, told=told)
