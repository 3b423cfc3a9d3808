"""The command that looks at everything and says what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from andon.options import console

COLOURS = {"wrong": "red", "soon": "yellow", "note": "cyan", "fine": "green"}


def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="gateway.toml; else the one in this directory.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the page as JSON.")] = False,
    seconds: Annotated[
        float, typer.Option(help="How long to wait for a running gateway.", min=0.5, max=120.0)
    ] = 12.0,
) -> None:
    """Say on one page what is wrong and what to do: files, broker, gateway, what it says of itself.

    It only looks: nothing is changed, published or sent elsewhere, also while the gateway runs.
    Exit code 1 where something is wrong.

    Examples: `andon doctor`, `andon doctor /etc/andon/gateway.toml --json`
    """
    import msgspec
    from rich.markup import escape
    from rich.table import Table

    from edge.doctor.look import looked

    here = Path("gateway.toml")
    path = config if config is not None else here if here.exists() else None
    page = looked(path, wait_s=seconds)
    if as_json:
        sys.stdout.write(msgspec.json.encode(page).decode() + "\n")
        raise typer.Exit(1 if page.wrong else 0)
    grid = Table(show_header=False, box=None)
    for one in page.findings:
        colour = COLOURS[one.level]
        grid.add_row(f"[{colour}]{one.level}[/]", escape(one.what), escape(one.found))
        if one.do:
            grid.add_row("", "", f"[bold]to do:[/] {escape(one.do)}")
    screen = console()
    screen.print(grid)
    said = (
        f"{page.wrong} wrong, {page.soon} will be soon" if page.wrong or page.soon else "all fine"
    )
    screen.print(f"{page.file or 'no configuration'}: {said}", highlight=False, markup=False)
    raise typer.Exit(1 if page.wrong else 0)
