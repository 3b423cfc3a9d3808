"""Commands about signatures: keys made and listed, things signed and verified."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import console

if TYPE_CHECKING:
    from edge.trust import TrustSettings


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
    typer.echo("In gateway.toml, for bundles, snapshots, scope tables and files of jobs:")
    typer.echo(f'  [trust]\n  public_keys = ["{public}"]')
    typer.echo("or for the commands of an operator of this name:")
    typer.echo(f'  [trust.operators]\n  "{name}" = "{public}"')
    typer.echo("or for some of these, for some time (in a file that [trust] file names: [[key]]):")
    typer.echo(f'  [[trust.key]]\n  name = "{name}"\n  public_key = "{public}"')
    typer.echo('  signs = ["snapshot"]\n  valid_to = 2027-01-01T00:00:00Z')


def keys_list(
    config: Annotated[Path, typer.Option(help="gateway.toml", exists=True)],
) -> None:
    """List whom a gateway believes: each key, what it may sign, until when, and whether it counts.

    Example: `andon keys list --config gateway.toml`
    """
    from rich.table import Table

    from edge.configuration.config import load

    table = Table("name", "signs", "from", "until", "counts now", "public key")
    now_ns = time.time_ns()
    trust = load(config).trust
    for key in trust.every():
        table.add_row(
            key.name,
            ", ".join(key.signs),
            *(day.date().isoformat() if day else "" for day in (key.valid_from, key.valid_to)),
            key.lacks(now_ns) or "yes",
            key.public_key,
        )
    console().print(table)
    if not trust.require_signed:
        typer.echo("require_signed is not set: nothing has to carry a signature here")


def sign(
    path: Annotated[
        Path,
        typer.Argument(help="Bundle, snapshot, scope table, jobs, or command.", exists=True),
    ],
    key: Annotated[Path, typer.Option(help="Private key, as `andon keys new` made it.")],
    topic: Annotated[
        str, typer.Option(help="PATH is a command for this topic: print it with its signature.")
    ] = "",
    add: Annotated[
        bool, typer.Option("--add", help="Beside the signatures of other keys that are there.")
    ] = False,
) -> None:
    """Sign a bundle, a snapshot or a file: the signature goes beside it and changes nothing in it.

    Example: `andon sign kb/current --key ~/keys/engineer.key`

    Example: `andon sign kb/sources/scope.csv --key ~/keys/engineer.key --add`
    """
    from edge.audit.signatures import read_key, sign_command, sign_path

    private = read_key(key)
    if topic:
        typer.echo(sign_command(topic, path.read_bytes(), private))
        return
    beside, public = sign_path(path, private, add=add)
    typer.echo(f"{beside}: signed by {public}")


def verify(
    path: Annotated[
        Path, typer.Argument(help="Bundle, snapshot, scope table or file of jobs.", exists=True)
    ],
    config: Annotated[
        Path | None, typer.Option(help="gateway.toml: whom it believes.", exists=True)
    ] = None,
    key: Annotated[
        str, typer.Option(help="Instead: one public key, or the .pub file that holds it.")
    ] = "",
) -> None:
    """Check every hash of something, and who has signed it: exit code 0 when that counts, else 1.

    Example: `andon verify kb/current --config gateway.toml`

    Example: `andon verify bundles/line3 --key ~/keys/engineer.pub`
    """
    from edge.audit.verifying import verified

    found = verified(path, _trusted(config, key).may_sign, now_ns=time.time_ns())
    typer.echo(f"{path}: {found.content}")
    for signer, lacks in found.signers:
        name = key or signer.name  # of the one that was given there is no name
        typer.echo(f"signed by {name}{': ' + lacks if lacks else ''}")
    if not found.counts:
        why = found.because or "none of its signatures counts now"
        typer.echo(f"{why}; sign it with `andon sign {path} --key KEY`")
        raise typer.Exit(1)


def _trusted(config: Path | None, key: str) -> TrustSettings:
    """Whose signatures count. Raises BadParameter, ConfigError."""
    from edge.configuration.config import load
    from edge.trust import TrustSettings

    if (config is None) == (not key):
        raise typer.BadParameter("name either --config gateway.toml or --key")
    if config is not None:
        return load(config).trust
    try:
        file = Path(key)
        text = file.read_text(encoding="ascii").strip() if file.is_file() else key
        return TrustSettings(public_keys=(text,))
    except ValueError as error:
        raise typer.BadParameter(f"--key: {error}") from error
