"""Commands about detectors: fit one, and look back over a recording with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from andon.options import ConfigFile, MappingFile, Recording, Rows, console

Kind = Annotated[
    str,
    typer.Option(
        help="auto (by the asset's channels), var, pca, ensemble, stream (of one channel), or"
        " conv (needs torch)."
    ),
]
FindModes = Annotated[
    bool, typer.Option(help="Look for operating modes in assets of which no tag tells the mode.")
]
Without = Annotated[
    list[str] | None,
    typer.Option(help="An asset of --into that the new bundle is not to have; may repeat."),
]
JobsFile = Annotated[
    Path | None, typer.Option(help="Jobs, one JSON a line: not learned from.", exists=True)
]
Orders = Annotated[
    Path | None, typer.Option(help="Snapshot whose orders are not learned from.", exists=True)
]


def fit(
    out: Annotated[Path, typer.Option("-o", "--out", help="Bundle directory to write.")],
    recording: Annotated[
        Path | None, typer.Argument(help="A table (CSV, Parquet) or a journal.", exists=True)
    ] = None,
    limits: Annotated[
        Path | None, typer.Option(help="Table of approved limits, in place of a recording.")
    ] = None,
    period: Annotated[float, typer.Option(help="With --limits: seconds between samples.")] = 0.0,
    into: Annotated[Path | None, typer.Option(help="Parent bundle, to add assets to.")] = None,
    without: Without = None,
    rows: Rows = "",
    alerts_per_day: Annotated[
        float, typer.Option(help="Budget of an operator; 0: the parent's, or the default.")
    ] = 0.0,
    detector: Kind = "auto",
    find_modes: FindModes = False,
    mapping: MappingFile = None,
    asset: Annotated[str, typer.Option(help="Asset id (tables); else the mapping's.")] = "",
    config: ConfigFile = None,
    jobs: JobsFile = None,
    kb: Orders = None,
) -> None:
    """Make a detector bundle from a recording of normal operation: seconds, on the gateway.

    Rows that maintenance may have touched are left out: of witness tags and commands in a journal,
    of `--jobs`, and of approved orders in `--kb`.

    Examples: `andon fit shift1 -o bundles/line3 --config gateway.toml`,
    `andon fit press.csv -o bundles/two --into bundles/line3 --rows 0:400`,
    other budgets alone: `andon fit --into bundles/line3 --config gateway.toml -o bundles/line3b`,
    without an asset that is gone: `andon fit --into bundles/line3 --without r2 -o bundles/line3b`,
    before anything was recorded: `andon fit --limits limits.csv --period 1 -o bundles/line3`
    """
    if without and into is None:
        raise typer.BadParameter("--without takes an asset out of a bundle: name that with --into")
    anew = into is not None and (config is not None or alerts_per_day > 0 or bool(without))
    _check_sources(recording=recording, limits=limits, anew=anew)
    if limits is not None:
        if rows or alerts_per_day or mapping or asset or config or jobs or kb or without:
            raise typer.BadParameter(
                "--limits learns nothing: only --period, --into and -o go with it"
            )
        from edge.bundles.limit_bundle import fit_limits

        fit_limits(limits, out, period_s=period, into=into, console=console())
        return
    if recording is None and (rows or mapping or asset or jobs or kb or find_modes):
        raise typer.BadParameter(
            "without a recording nothing is fitted: leave out what says how to read one"
        )
    if period:
        raise typer.BadParameter("--period goes with --limits; a recording has its own")
    from edge.bundles.training import FitRequest, fit_recording

    request = FitRequest(
        recording=recording,
        out=out,
        into=into,
        rows=rows,
        alerts_per_day=alerts_per_day or None,
        detector=detector,
        find_modes=find_modes,
        mapping=mapping,
        asset=asset,
        config=config,
        jobs=jobs,
        kb=kb,
        without=tuple(without or ()),
    )
    fit_recording(request, console=console())


def _check_sources(*, recording: Path | None, limits: Path | None, anew: bool) -> None:
    """Refuse a fit of two things, and of nothing that is not a budget divided anew."""
    if (recording is None) == (limits is None) and not (recording is None and anew):
        raise typer.BadParameter(
            "name a recording, or --limits with --period: one of the two; neither divides the"
            " alert budget of --into anew, by --config or --alerts-per-day,"
            " or takes an asset out of it, by --without"
        )


def backtest(
    recording: Recording,
    bundle: Annotated[Path, typer.Option(help="Bundle directory, made by `andon fit`.")],
    kb: Annotated[Path | None, typer.Option(help="Knowledge snapshot.", exists=True)] = None,
    jobs: Annotated[Path | None, typer.Option(help="Jobs, one JSON a line.", exists=True)] = None,
    truth: Annotated[
        Path | None, typer.Option(help="truth.json; else the mapping's label columns.", exists=True)
    ] = None,
    rows: Rows = "",
    report: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
    row_flags: Annotated[
        Path | None, typer.Option(help="Write score, flag and class of every row as CSV.")
    ] = None,
    mapping: MappingFile = None,
    asset: Annotated[str, typer.Option(help="Asset id (tables); else the mapping's.")] = "",
    config: ConfigFile = None,
) -> None:
    """Run the gateway's engine over a recording without a broker, as fast as it goes.

    Example: `andon backtest cell/recording --bundle bundles/cell --kb cell.kb --truth
    cell/truth.json`
    """
    from edge.replays.backtest_command import BacktestRequest, backtest_command

    request = BacktestRequest(
        recording=recording,
        bundle=bundle,
        kb=kb,
        jobs=jobs,
        truth=truth,
        rows=rows,
        report=report,
        row_flags=row_flags,
        mapping=mapping,
        asset=asset,
        config=config,
    )
    backtest_command(request, console=console())


def propose_bundle(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    journal: Annotated[
        Path | None, typer.Option(help="Another journal than the gateway's own.", exists=True)
    ] = None,
    rows_min: Annotated[
        int, typer.Option(help="Rows after the newest job that it takes to fit.", min=200)
    ] = 1000,
) -> None:
    """Fit a child bundle on what came after the newest closed job, and compare it; adopt nothing.

    Example: `andon propose-bundle gateway.toml`
    """
    from edge.bundles.child import ProposalRequest
    from edge.bundles.child import propose_bundle as propose

    request = ProposalRequest(config=config, journal=journal, rows_min=rows_min)
    raise typer.Exit(0 if propose(request, console=console()) else 1)


def adopt_bundle(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    bundle: Annotated[Path, typer.Argument(help="Bundle to run with from now on.", exists=True)],
    yes: Annotated[
        bool, typer.Option("--yes", help="Also one that is no child of the running bundle.")
    ] = False,
) -> None:
    """Write a bundle into [model] of gateway.toml, after it was opened and checked.

    What is no child of the running bundle, or knows less than it, takes --yes. Exit code 1: it was
    not adopted.

    Example: `andon adopt-bundle gateway.toml bundles/proposed/0123456789ab`
    """
    from edge.bundles.child import adopt_bundle as adopt
    from edge.bundles.child import adoption_doubts

    doubts = adoption_doubts(config, bundle)
    for doubt in doubts:
        typer.echo(f"{bundle}: {doubt}")
    if doubts and not yes:
        typer.echo("nothing has changed; if you mean it, add --yes")
        raise typer.Exit(1)

    before = adopt(config, bundle)
    was = before or "not set"
    typer.echo(f"{config}: [model] bundle was {was}; restart the gateway to run with {bundle}")
