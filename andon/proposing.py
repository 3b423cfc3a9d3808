"""Commands that read manuals and propose tables for an engineer: `andon kb propose-...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kb.drafts.channel_names import ChannelNames

Documents = Annotated[
    list[Path], typer.Argument(help="Manuals and procedures, files or folders.", exists=True)
]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="Bundle: its assets, channels, units.", exists=True)
]
ChannelsOption = Annotated[
    Path | None,
    typer.Option("--channels", help="CSV table: channel,unit,aliases,asset.", exists=True),
]
SnapshotOption = Annotated[
    Path | None,
    typer.Option("--snapshot", help="Snapshot: its tables of sensors.", exists=True),
]
AssetsOption = Annotated[
    list[str] | None, typer.Option("--asset", help="Only for this asset; may stand repeatedly.")
]


def propose_scope(
    docs: Documents,
    out: Annotated[Path, typer.Option("-o", "--out", help="Table to write.")],
    bundle: BundleOption = None,
    channels: ChannelsOption = None,
    snapshot: SnapshotOption = None,
    asset: AssetsOption = None,
) -> None:
    """Propose rows of a scope table from procedures: what work disturbs, how long it lasts.

    Nothing counts until somebody fills in `approved_by` and `approved_at`, and what is still empty.

    Example: `andon kb propose-scope plant-docs/procedures --bundle bundle -o scope-proposed.csv`
    """
    from kb.drafts.rows import sources, table
    from kb.drafts.scope import COLUMNS, proposed_scopes

    names, assets = _known(bundle, channels, snapshot, asset)
    _check_new(out)
    found = proposed_scopes(sources(docs), names)
    rows = [row for scope in found for row in scope.rows(assets)]
    out.write_text(table(COLUMNS, rows), encoding="utf-8")
    open_cells = sum(
        None in (scope.effect_sigmas, scope.duration_min, scope.settle_s) for scope in found
    )
    _say(rows, len(found), "kinds of work", out)
    if open_cells:
        typer.echo(f"{open_cells} of them leave a cell empty that no text fills: fill it in.")


def propose_limits(
    docs: Documents,
    out: Annotated[Path, typer.Option("-o", "--out", help="Table of limits to write.")],
    modes: Annotated[
        Path | None, typer.Option("--modes", help="Table of failure modes and codes to write.")
    ] = None,
    bundle: BundleOption = None,
    channels: ChannelsOption = None,
    snapshot: SnapshotOption = None,
    asset: AssetsOption = None,
) -> None:
    """Propose engineering limits from manuals, and failure modes and alarm codes with `--modes`.

    A number without a unit, or whose channel is not known, is not proposed. Nothing counts until
    somebody fills in `approved_by` and `approved_at`.

    Example: `andon kb propose-limits plant-docs/manuals --bundle bundle -o limits-proposed.csv`
    """
    from kb.drafts import limits
    from kb.drafts import modes as faults
    from kb.drafts.rows import sources, table

    names, assets = _known(bundle, channels, snapshot, asset)
    for path in (out, modes):
        if path is not None:
            _check_new(path)
    texts = sources(docs)
    found = limits.proposed_limits(texts, names)
    rows = [row for limit in found for row in limit.rows(assets)]
    out.write_text(table(limits.COLUMNS, rows), encoding="utf-8")
    _say(rows, len(found), "limits of channels", out)
    if against := sum(bool(limit.contradicts) for limit in found):
        typer.echo(f"{against} of them contradict each other: choose, and empty `contradicts`.")
    if modes is not None:
        told = faults.proposed_modes(texts, names)
        rows = [row for mode in told for row in mode.rows(assets)]
        modes.write_text(table(faults.COLUMNS, rows), encoding="utf-8")
        _say(rows, len(told), "failure modes and codes", modes)


def _known(
    bundle: Path | None, channels: Path | None, snapshot: Path | None, asset: Sequence[str] | None
) -> tuple[ChannelNames, list[str]]:
    """Channels to look for, and the assets that texts without one of their own are about."""
    from kb.drafts.channel_names import ChannelNames, KnownChannel
    from kb.drafts.channel_tables import channel_table, of_sensors
    from kb.retrieval.embed import shipped_embedder

    known: list[KnownChannel] = []
    assets: list[str] = []
    if snapshot is not None:
        from kb.snapshots.snapshot import Snapshot

        with Snapshot.open(snapshot) as opened:
            sensors = opened.sensors()
        known += of_sensors(sensors)
        assets += [sensor.asset for sensor in sensors if sensor.asset]
    if channels is not None:
        listed, of = channel_table(channels)
        known += listed
        assets += of
    if bundle is not None:
        from models.bundles.store import load

        for model in load(bundle).assets:
            told = {one.name for one in known}
            assets.append(model.asset)
            known += [
                KnownChannel(name=c.name, unit=c.unit) for c in model.channels if c.name not in told
            ]
    if not known:
        raise typer.BadParameter("no channel is known: name a --bundle or a table of --channels")
    chosen = list(dict.fromkeys(asset or assets))
    if not chosen:
        raise typer.BadParameter("no asset is known: name one with --asset")
    return ChannelNames(known, shipped_embedder()), chosen


def _check_new(path: Path) -> None:
    """A table that stands may hold approvals: it is not written over."""
    if path.exists():
        raise typer.BadParameter(f"{path} exists, and may hold approvals: name another file")


def _say(rows: Iterable[object], found: int, what: str, out: Path) -> None:
    count = len(list(rows))
    typer.echo(f"{found} {what} proposed, {count} rows in {out}; none counts until approved.")
