"""`andon prove`: what would ring on this plant, tried on a copy of what the gateway took."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import MappingFile, console
from andon.proof_words import groups, said, sentences, sigma_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge.configuration.config import GatewayConfig
    from edge.recordings.recording import TimedMessage
    from edge.settings import GatewaySettings
    from models.bundles.bundle import Bundle
    from simulator.proof import AssetProof


def prove(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    journal: Annotated[
        Path | None, typer.Option(help="A gateway's journal; else its own.", exists=True)
    ] = None,
    recording: Annotated[
        Path | None, typer.Option(help="A table or recorded journal instead.", exists=True)
    ] = None,
    mapping: MappingFile = None,
    hours: Annotated[float, typer.Option(help="The newest hours of it.", min=0.1)] = 24.0,
    asset: Annotated[str, typer.Option(help="Asset id; else all of the bundle, in turn.")] = "",
    seed: Annotated[int, typer.Option(help="The same one gives the same report.", min=0)] = 1,
    trials: Annotated[int, typer.Option(help="Of each kind and size on a channel.", min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Only JSON on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report with plots.")] = None,
) -> None:
    """Put known faults into a copy of what the gateway took, and tell what would ring.

    One fault at a time, on each channel: steps, ramps and noise of 1, 2, 3 and 6 sigmas, a stuck
    value, a drop-out; in the blocks of each waveform: more vibration and impulses at a bearing's
    rate of 0.25 to 3 times its usual RMS, a dead sensor, a drop-out, cut-off peaks. Neither gateway
    nor broker hears of it. Exit code 1 when a channel is blind, or when there are more alerts than
    the budget bears.

    Examples: `andon prove gateway.toml --hours 8`, `andon prove gateway.toml --recording shift.csv`
    """
    import msgspec

    from andon.evaluation import progress_bar
    from edge.bundles.store import store_of
    from edge.configuration.config import load, need_bundle
    from models.bundles.store import load as load_bundle
    from simulator.prove import ProofRequest
    from simulator.prove import prove as prove_assets

    if journal and recording:
        raise typer.BadParameter("--journal and --recording are two places; give one")
    loaded = load(config)
    bundle = load_bundle(need_bundle(store_of(loaded).current()[1]))
    settings, messages, name, assets = _stream(loaded, bundle, journal, recording, mapping, asset)
    request = ProofRequest(
        settings=msgspec.structs.replace(settings, commissioning=None),  # as if all were in service
        bundle=bundle,
        source=str(name),
        assets=assets,
        hours=hours,
        seed=seed,
        trials_a_size=trials,
    )
    with progress_bar() as told:
        proof = prove_assets(request, messages, progress=told)
    if html is not None:
        from andon.proof_report import page

        page(proof).write(html)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(proof), indent=1).decode())
    else:
        for one in proof.assets:
            _show(one)
        typer.echo(f"{proof.trials} trials, seed {proof.seed}")
        if html is not None:
            typer.echo(f"Report: {html}")
    raise typer.Exit(int(not proof.passed))


def _stream(
    config: GatewayConfig,
    bundle: Bundle,
    journal: Path | None,
    recording: Path | None,
    mapping: Path | None,
    asset: str,
) -> tuple[GatewaySettings, Callable[[], Iterable[TimedMessage]], Path, tuple[str, ...]]:
    """Settings, what opens the messages, where they are from, and the assets to prove."""
    from edge.errors import RecordingError
    from edge.recordings.recording import is_journal, journal_messages

    if recording is not None and not is_journal(recording):
        return _table_stream(config, bundle, recording, mapping, asset)
    if mapping is not None:
        raise RecordingError("--mapping is for a table: give it with --recording, or leave it out")
    place = recording or journal or config.path(config.journal.dir) / "journal"
    if not is_journal(place) or not place.exists():
        raise RecordingError(
            f"{place} is no journal: run the gateway for a while (`andon run`), "
            "or name one with --journal, or a recording with --recording"
        )
    assets = (asset,) if asset else ()
    return config.settings, lambda: journal_messages(place), place, assets


def _table_stream(
    config: GatewayConfig, bundle: Bundle, path: Path, mapping: Path | None, asset: str
) -> tuple[GatewaySettings, Callable[[], Iterable[TimedMessage]], Path, tuple[str, ...]]:
    """A table as messages: its columns and context are its mapping's, the rest is the gateway's."""
    import msgspec

    from edge.recordings.mapping import load_mapping
    from edge.recordings.recording import read_table, table_messages
    from edge.settings import Source

    alone = bundle.assets[0].asset if len(bundle.assets) == 1 else ""
    found = load_mapping(mapping) if mapping else None
    table = read_table(path, mapping=found, asset=asset or alone)
    assert table.mapping is not None, "only a journal has none"
    own = config.settings.of_asset(table.asset)
    told = msgspec.structs.replace(
        table.mapping.asset_settings(table.asset), redundant=own.redundant, safety=own.safety
    )
    settings = msgspec.structs.replace(
        config.settings, clock="plant", source=(Source(),), asset=(told,)
    )
    return settings, lambda: table_messages(table), path, (table.asset,)


def _show(proof: AssetProof) -> None:
    from rich.markup import escape
    from rich.table import Table

    out = console()
    title = f"{proof.asset}: the smallest fault that rings within {proof.fault_s:g} s, and how soon"
    for what, sigma, names, channels in groups(proof):
        grid = Table(title=escape(title), title_justify="left", box=None)
        grid.pad_edge, grid.collapse_padding = False, True
        grid.add_column(what, no_wrap=True)
        for name in (sigma, *names.values(), ""):
            grid.add_column(name, no_wrap=True)
        for one in channels:
            cells = {kind.kind: said(kind) for kind in one.kinds}
            row = [one.channel, sigma_of(one), *(cells.get(kind, "-") for kind in names)]
            grid.add_row(*map(escape, row), "BLIND" if one.blind else "")
        out.print(grid)
        title = ""
    for line in sentences(proof):
        out.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
