"""The command that collects labels from wherever a plant has them: `andon label`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import console

if TYPE_CHECKING:
    from edge.labels.command import Collected

SHOWN_MAX = 40  # lines of a kind in the terminal; --json has all


File = Annotated[Path, typer.Argument(help="File of labels, JSON lines; made where needed.")]
Journal = Annotated[
    Path | None, typer.Option(help="Journal with feedback of operators; else that of --config.")
]
Config = Annotated[
    Path | None, typer.Option(help="gateway.toml: its journal, bundle, snapshot.", exists=True)
]
BundleDirectory = Annotated[
    Path | None, typer.Option(help="With --journal: the bundle that rang.", exists=True)
]
Tables = Annotated[
    list[Path] | None,
    typer.Option(help="CSV with asset, begin, end, label; may stand again.", exists=True),
]
SnapshotDirectory = Annotated[
    Path | None, typer.Option(help="Snapshot: ids of failure modes, orders.", exists=True)
]
Orders = Annotated[bool, typer.Option("--orders", help="Also the closed work orders of --kb.")]
Codes = Annotated[
    Path | None,
    typer.Option(help="CSV with code, label: what others call our labels.", exists=True),
]


def label(
    file: File,
    journal: Journal = None,
    config: Config = None,
    bundle: BundleDirectory = None,
    table: Tables = None,
    kb: SnapshotDirectory = None,
    orders: Orders = False,
    codes: Codes = None,
    zone: Annotated[str, typer.Option(help="Of times without one: Europe/Berlin.")] = "",
    asset: Annotated[str, typer.Option(help="Of tables without such a column.")] = "",
    withdraw: Annotated[
        str | None, typer.Option(help="Id of a label that shall not stand.")
    ] = None,
    by: Annotated[str, typer.Option(help="Who withdraws; else the user of this machine.")] = "",
    because: Annotated[str, typer.Option(help="Why it is withdrawn.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Collect labelled intervals into one file, and show what it says; without a source only show.

    A label is normal, expected, nuisance, sensor, real, or the id of a failure mode. What is in
    the file already is not added again. A row that cannot be read is named and kept out: exit
    code 1. Where people disagree about one time, both are listed and neither is learned from.

    Examples: `andon label labels.jsonl --config gateway.toml`,
    `andon label labels.jsonl --table found.csv --zone Europe/Berlin --kb kb/current`,
    `andon label labels.jsonl --kb kb/current --orders --codes codes.csv`,
    `andon label labels.jsonl --withdraw 0123456789ab --because "wrong pump"`
    """
    from edge.labels.command import LabelRequest, collect, state_of
    from edge.labels.command import withdraw as withdraw_label
    from edge.replays.rerun import kept_of

    if withdraw is not None:  # an empty one is refused: a script may have lost it
        import getpass

        gone = withdraw_label(file, withdraw, by=by or getpass.getuser(), because=because)
        typer.echo(f"{gone.label_id}: {gone.label} of {gone.asset} stands no more")
    heard = None
    if journal or config:
        heard = kept_of(config, journal=journal, bundle=bundle, snapshot=kb)
    elif bundle:
        raise typer.BadParameter("--bundle goes with --journal")
    if heard or table or orders:
        request = LabelRequest(
            file=file,
            feedback=heard,
            tables=tuple(table or ()),
            kb=kb,
            orders=orders,
            codes=codes,
            zone=zone,
            asset=asset,
        )
        found = collect(request)
    else:
        if not file.is_file():
            raise typer.BadParameter(f"{file} is not there; name a source, as --table or --config")
        found = state_of(file)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        _show(found)
    raise typer.Exit(int(bool(found.bad)))


def _show(found: Collected) -> None:
    """Counts by label and asset, then what somebody has to look at."""
    from rich.markup import escape
    from rich.table import Table

    out = console()
    assets = sorted({asset for of_asset in found.counts.values() for asset in of_asset})
    grid = Table(title=escape(f"{found.file}: {found.standing} labels stand"), title_justify="left")
    grid.add_column("label", no_wrap=True)
    for asset in (*assets, "all"):
        grid.add_column(escape(asset), justify="right")
    for label, of_asset in found.counts.items():
        cells = [str(of_asset.get(asset, "")) for asset in assets]
        grid.add_row(escape(label), *cells, str(sum(of_asset.values())))
    out.print(grid)
    lines = [f"{len(found.added)} added, {found.known} were there already"]
    if found.passed:
        lines.append(f"{found.passed} orders are not closed, or of planned work")
    lines += list(found.notes)
    lines += _some([one.line() for one in found.stand.values()], "stand")
    lines += _some([one.line() for one in found.bad], "not taken")
    lines += _some([f"conflict: {one.line()}" for one in found.conflicts], "conflicts")
    if found.conflicts:
        lines.append(
            "neither side of a conflict is learned from; to settle one, --withdraw the id that is"
            " wrong, with --because"
        )
    for line in lines:
        out.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


def _some(lines: list[str], what: str) -> list[str]:
    """The first lines of many, and how many more there are."""
    more = len(lines) - SHOWN_MAX
    return lines[:SHOWN_MAX] + ([f"{more} more {what} (--json has all)"] if more > 0 else [])
