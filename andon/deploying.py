"""Commands that write files for other products."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fuxa(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The project file to write.")],
) -> None:
    """Write a project for FUXA: a tag for each asset and key, numeric alarms, a view of six assets.

    Open it in FUXA's editor (Project, Open), or post it to /api/project. Credentials of the broker
    are entered there; none are in it.

    Example: `andon deploy fuxa gateway.toml -o project.json`
    """
    import msgspec

    from edge.bundles.store import store_of
    from edge.commissioning.watch import joined
    from edge.configuration.config import load
    from edge.configuration.fuxa_project import fuxa_project
    from models.bundles.store import load as load_bundle

    settings = load(config)
    begun = joined(settings)
    bundle = load_bundle(store_of(settings).current()[1]) if begun is None else begun
    assets = [model.asset for model in bundle.assets]
    project = fuxa_project(settings, assets)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(project)) + b"\n")
    device = next(iter(project["devices"].values()))
    typer.echo(
        f"Wrote {out}: {len(assets)} assets, {len(device['tags'])} tags, {len(project['alarms'])}"
        f" alarms, {len(project['hmi']['views'])} views, broker {device['property']['address']}."
    )
