"""Commands that look back: why an alert rang, and why none did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from andon.options import console

Config = Annotated[
    Path | None,
    typer.Option(help="gateway.toml: names journal, bundle and snapshot.", exists=True),
]
Journal = Annotated[
    Path | None,
    typer.Option(help="Journal or state directory; else the configuration's.", exists=True),
]
Bundle = Annotated[Path | None, typer.Option(help="Bundle; else the configuration's.")]
Knowledge = Annotated[
    Path | None, typer.Option("--kb", help="Snapshot; else the configuration's.", exists=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON alone on stdout.")]


def explain(
    alert_id: Annotated[str, typer.Argument(help="Id of the alert, as published.")],
    config: Config = None,
    journal: Journal = None,
    bundle: Bundle = None,
    kb: Knowledge = None,
    revision: Annotated[int, typer.Option(help="0: the newest.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Say again why an alert rang: what happened, what it resembles, what to check first.

    From the journal and the kept artifacts, without a broker; each citation is looked up again.

    Examples: `andon explain r4-process-20260302T061500.000Z --config gateway.toml`,
    `andon explain r4-process-20260302T061500.000Z --journal cell/recording --bundle cell/bundle
    --kb cell/snapshot --revision 2 --json`
    """
    from edge.replays.explain_command import explain_command
    from edge.replays.rerun import kept_of

    kept = kept_of(config, journal=journal, bundle=bundle, snapshot=kb)
    explain_command(alert_id, kept, revision=revision, as_json=as_json, console=console())


def why(
    asset: Annotated[str, typer.Option(help="Exact asset id.")],
    at: Annotated[str, typer.Option(help="Plant time, ISO 8601 with zone.")],
    config: Config = None,
    journal: Journal = None,
    bundle: Bundle = None,
    kb: Knowledge = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with a plot.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say why there was no alert at a time, or which one there was.

    Score against threshold, jobs and their masks, stops, gaps, and the channels nearest to ringing.

    Examples: `andon why --asset r4 --at 2026-03-02T07:15:00+01:00 --config gateway.toml`,
    `andon why --asset r4 --at 2026-03-02T06:15:00Z --journal cell/recording --bundle cell/bundle
    --kb cell/snapshot --html why.html`
    """
    from edge.replays.rerun import kept_of
    from edge.replays.why_command import why_command
    from kb.times import iso_ns

    try:
        at_ns = iso_ns(at)
    except ValueError as error:
        raise typer.BadParameter(f"{at}: {error}; expected 2026-03-02T07:15:00+01:00") from error
    kept = kept_of(config, journal=journal, bundle=bundle, snapshot=kb)
    why_command(kept, asset=asset, at_ns=at_ns, as_json=as_json, page=html, console=console())
