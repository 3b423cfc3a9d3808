"""The command that sets up a broker for a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def broker(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Directory to write.")],
    at: Annotated[
        Path | None, typer.Option(help="Where the files will be, if not in --out.")
    ] = None,
    operator: Annotated[
        list[str], typer.Option(help="An operator who also sees alerts; may repeat.")
    ] = [],  # noqa: B006 - typer's way
    dashboard: Annotated[
        list[str], typer.Option(help="A shared account that only reads; may repeat.")
    ] = ["dashboard"],  # noqa: B006 - likewise
) -> None:
    """Write mosquitto's configuration and access lists for this gateway, and what is left to do.

    Examples: `andon broker gateway.toml -o broker --operator ann --operator bea`,
    `andon broker gateway.toml -o broker --at /etc/mosquitto/andon`
    """
    from edge.brokers.broker_files import broker_files
    from edge.bundles.store import store_of
    from edge.commissioning.watch import joined
    from edge.configuration.config import load
    from models.bundles.store import load as load_bundle

    settings = load(config)
    begun = joined(settings)
    bundle = load_bundle(store_of(settings).current()[1]) if begun is None else begun
    texts = broker_files(
        settings,
        [model.asset for model in bundle.assets],
        at=(at or out).absolute(),
        operators=operator,
        dashboards=dashboard,
    )
    for name, text in texts.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        (path.parent / "store").mkdir(exist_ok=True)
        if path.name == "NEXT.txt":
            typer.echo(text)
    typer.echo(f"Wrote {', '.join(str(out / name) for name in texts)}")
