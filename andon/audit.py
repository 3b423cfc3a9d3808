"""Commands about the audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from andon.options import console

Trail = Annotated[
    Path | None, typer.Argument(help="Directory of the trail; else that of --config.")
]
Config = Annotated[Path | None, typer.Option(help="gateway.toml", exists=True)]


def _directory(path: Path | None, config: Path | None) -> Path:
    """The trail that is meant. Raises BadParameter, ConfigError."""
    from edge.audit.chain import audit_directory
    from edge.configuration.config import load

    if (path is None) == (config is None):
        raise typer.BadParameter("name either the directory of a trail or --config gateway.toml")
    if path is not None:
        return path
    assert config is not None
    return audit_directory(load(config))


def audit_verify(
    path: Trail = None,
    config: Config = None,
    holds: Annotated[
        str, typer.Option(help="A hash noted elsewhere: it must still be in the trail.")
    ] = "",
) -> None:
    """Check the chain of hashes: exit code 0 when it is whole, 1 at the first broken record.

    Example: `andon audit verify --config gateway.toml`
    """
    from edge.audit.chain import records, verify

    directory = _directory(path, config)
    chain = verify(directory)
    said = f"{directory}: {chain.records} records in {chain.files} files"
    if chain.broken is not None:
        broken = chain.broken
        typer.echo(f"{said} are whole, then the chain breaks")
        typer.echo(f"{broken.file}, line {broken.line}")
        typer.echo(f"  expected: {broken.expected}")
        typer.echo(f"  found:    {broken.found}")
        raise typer.Exit(1)
    if holds and not any(record.sha256 == holds for record in records(directory)):
        typer.echo(f"{said} are whole, but none has the hash {holds}: the end was cut, or replaced")
        raise typer.Exit(1)
    typer.echo(f"{said} are whole, sequences {chain.first} to {chain.last}")
    typer.echo(f"newest hash {chain.head}")


def audit_show(
    path: Trail = None,
    config: Config = None,
    asset: Annotated[str, typer.Option(help="Only of this asset, by exact id.")] = "",
    since: Annotated[str, typer.Option(help="Only since this plant time (ISO 8601, zone).")] = "",
    what: Annotated[str, typer.Option(help="Only this: suppressed, confirmed, ...")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, as they stand.")] = False,
) -> None:
    """Show what kept alerts quiet, and what people said, oldest first.

    Example: `andon audit show --config gateway.toml --asset r1 --what suppressed`
    """
    from edge.audit.chain import chosen

    found = chosen(_directory(path, config), asset=asset, since=since, what=what)
    if as_json:
        for record in found:
            typer.echo(record.line(), nl=False)
        return
    from edge.audit.table import table

    console().print(table(found))
