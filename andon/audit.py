"""Commands about trust: the audit trail, keys and signatures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from andon.options import console

audit_app = typer.Typer(
    no_args_is_help=True,
    help="""The audit trail: verify it, show it.

    Example: `andon audit verify --config gateway.toml`""",
)
keys_app = typer.Typer(
    no_args_is_help=True,
    help="""Keys that sign what may suppress.

    Example: `andon keys new ~/keys --name ann`""",
)

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


@audit_app.command("verify")
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


@audit_app.command("show")
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


@keys_app.command("new")
def keys_new(
    directory: Annotated[Path, typer.Argument(help="Where the two files go.")],
    name: Annotated[str, typer.Option(help="Whose key: an operator's name, or a role.")] = "andon",
) -> None:
    """Make a key pair: NAME.key stays secret, NAME.pub goes into gateway.toml.

    Example: `andon keys new ~/keys --name ann`
    """
    from edge.audit.signatures import new_key

    private, public = new_key(directory, name)
    typer.echo(f"{private}: keep it off the gateway; whoever has it can sign")
    typer.echo("In gateway.toml, for bundles, snapshots and files of jobs:")
    typer.echo(f'  [trust]\n  public_keys = ["{public}"]')
    typer.echo("or for the commands of an operator of this name:")
    typer.echo(f'  [trust.operators]\n  "{name}" = "{public}"')


def sign(
    path: Annotated[
        Path, typer.Argument(help="Bundle, snapshot, file of jobs, or command.", exists=True)
    ],
    key: Annotated[Path, typer.Option(help="Private key, as `andon keys new` made it.")],
    topic: Annotated[
        str, typer.Option(help="PATH is a command for this topic: print it with its signature.")
    ] = "",
) -> None:
    """Sign a bundle, a snapshot or a file: the signature goes beside it and changes nothing in it.

    Example: `andon sign kb/current --key ~/keys/engineer.key`
    """
    from edge.audit.signatures import read_key, sign_command, sign_path

    private = read_key(key)
    if topic:
        typer.echo(sign_command(topic, path.read_bytes(), private))
        return
    beside, public = sign_path(path, private)
    typer.echo(f"{beside}: signed by {public}")
