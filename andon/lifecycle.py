"""Commands about the bundles of a gateway: which there are, which one counts, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

Config = Annotated[Path, typer.Option(help="gateway.toml", exists=True)]
Named = Annotated[str, typer.Argument(help="A hash, at least 4 digits of it, or a directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
By = Annotated[str, typer.Option(help="Who says so; without it the user of this machine.")]
Because = Annotated[str, typer.Option(help="Why, for the history and the alert that changes.")]
GATEWAY = Path("gateway.toml")


def _person(by: str) -> str:
    import getpass

    return by or getpass.getuser()


def _table(*columns: str, rows: Sequence[Sequence[str]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def _write(value: object) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=1).decode())


def model_list(config: Config = GATEWAY, as_json: AsJson = False) -> None:
    """List the bundles that are kept, configured or proposed, and which of them counts.

    Example: `andon model list --config gateway.toml`
    """
    from edge.bundles.model_life import Life

    rows = Life(config).rows()
    if as_json:
        _write(rows)
        return
    console().print(
        _table(
            "bundle", "state", "made", "parent", "assets", "alerts a day", "signed", "approved by",
            rows=[
                (
                    row.sha256[:12],
                    row.state,
                    row.made,
                    row.parent[:12] or "none",
                    str(row.assets),
                    f"{row.alerts_per_day:g}",
                    row.signed,
                    ", ".join(row.approved_by) or "nobody",
                )
                for row in rows
            ],
        )
    )  # fmt: skip


def model_show(named: Named, config: Config = GATEWAY, as_json: AsJson = False) -> None:
    """Show one bundle: its card, thresholds, metrics, training, signature and history.

    Example: `andon model show 0123456789ab --config gateway.toml`
    """
    from edge.bundles.model_life import Life

    shown = Life(config).shown(named)
    if as_json:
        _write(shown)
        return
    approved = ", ".join(shown["approved_by"]) or "nobody"
    typer.echo(f"{shown['sha256']}: {shown['state']}, in {shown['path']}")
    typer.echo(f"signed: {shown['signed']}; approved by {approved}")
    for act in shown["history"]:
        why = f": {act['because']}" if act["because"] else ""
        typer.echo(f"{act['at']} {act['what'].replace('_', ' ')} by {act['by']}{why}")
    typer.echo(f"\n{shown['card']}")


def model_diff(
    before: Named,
    after: Annotated[str, typer.Argument(help="The other one, likewise.")],
    config: Config = GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Say what would change from one bundle to another: assets, channels, thresholds, levels.

    Example: `andon model diff 0123456789ab 89abcdef0123 --config gateway.toml`
    """
    from edge.bundles.model_life import Life

    changes = Life(config).changes(before, after)
    if as_json:
        _write(changes)
        return
    rows = [(one.asset or "all", one.what, one.before, one.after, one.change) for one in changes]
    console().print(_table("asset", "what", "before", "after", "change", rows=rows))
    if not changes:
        typer.echo("no difference that anybody would notice")


def model_shadow(
    named: Annotated[
        str, typer.Argument(help="A hash, at least 4 digits of it, a directory, or `off`.")
    ],
    config: Config = GATEWAY,
    hours: Annotated[
        float, typer.Option(help="Plant time after which it ends; 0: with Ctrl-C or `off`.", min=0)
    ] = 0.0,
    once: Annotated[
        bool, typer.Option("--once", help="Take what the journal has by now, report, and end.")
    ] = False,
    every: Annotated[
        float, typer.Option(help="Seconds between two looks at the journal.", min=0.1)
    ] = 10.0,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Let a candidate score live traffic beside the current bundle; nothing of it is published.

    It reads the journal behind the gateway, in this process, and keeps a report of agreement,
    alerts a day, delay and cost. `andon model shadow off` ends it from elsewhere.

    Example: `andon model shadow 0123456789ab --config gateway.toml --hours 48`
    """
    from edge.bundles.model_life import Life
    from edge.bundles.shadow_command import follow, lines_of

    life, person = Life(config), _person(by)
    if named == "off":
        left = life.unshadow(by=person)
        typer.echo(f"{left[:12]} ends with its next look" if left else "none is in the shadow")
        return
    report = follow(
        life, named, by=person, hours=hours, once=once, every_s=every, tell=console().print
    )
    if as_json:
        _write(report)
        return
    for line in lines_of(report):
        typer.echo(line)


def model_approve(
    named: Named,
    by: Annotated[str, typer.Option(help="Who approves; as in [trust.operators].")],
    config: Config = GATEWAY,
    because: Because = "",
    key: Annotated[
        Path | None,
        typer.Option(help="Private key of that person, where signatures are required."),
    ] = None,
) -> None:
    """Approve a bundle by its hash: the word of a second person, before it may be promoted.

    Example: `andon model approve 0123456789ab --by bea --key ~/keys/bea.key`
    """
    from edge.bundles.model_life import Life

    sha256 = Life(config).approve(named, by=by, because=because, key=key)
    typer.echo(f"{sha256[:12]} approved by {by}{', signed' if key else ''}")


def model_promote(
    named: Named,
    config: Config = GATEWAY,
    by: By = "",
    because: Because = "",
    if_better: Annotated[
        bool, typer.Option("--if-better", help="Only where its shadow run says that it is.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also one that is no child of the current bundle.")
    ] = False,
) -> None:
    """Let a bundle count: a running gateway takes it over in seconds, and watches it for a while.

    Exit code 1: it was not promoted, and it was said why.

    Example: `andon model promote 0123456789ab --because "after the new pump" --if-better`
    """
    from edge.bundles.model_life import Life

    life = Life(config)
    doubts = life.promote(
        named, by=_person(by), because=because, even_so=yes, only_better=if_better
    )
    for doubt in doubts:
        typer.echo(f"{named}: {doubt}")
    if doubts:
        typer.echo("nothing has changed; if you mean it, add --yes")
        raise typer.Exit(1)
    sha256, path = life.store.current()
    typer.echo(f"{sha256[:12]} counts from now on ({path})")


def model_rollback(
    named: Annotated[str, typer.Argument(help="A bundle that counted; else the one before.")] = "",
    config: Config = GATEWAY,
    by: By = "",
    because: Because = "",
) -> None:
    """Go back to the bundle before, or to one that counted earlier; no approval is needed.

    Example: `andon model rollback --because "rings at every start" --config gateway.toml`
    """
    from edge.bundles.model_life import Life

    left, counts = Life(config).rollback(named, by=_person(by), because=because)
    typer.echo(f"{counts[:12]} counts again, {left[:12]} does not")
