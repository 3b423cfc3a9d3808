"""Commands of the rationalisation table: what an alert means to who hears it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge.configuration.config import GatewayConfig
    from models.bundles.bundle import Bundle


def export(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Table to write.")],
    semicolon: Annotated[
        bool, typer.Option("--semicolon", help="Cells apart by semicolons, as some countries do.")
    ] = False,
) -> None:
    """Write the rationalisation table as it counts now, a row for each track of each asset.

    Examples: `andon alarms export gateway.toml -o alarms.csv`,
    `andon alarms export gateway.toml -o alarms.csv --semicolon`
    """
    from edge.configuration.config import load
    from edge.configuration.rationale_table import lacking, written_table

    settings = load(config, need_alarms=False)
    assets = [settings.settings.of_asset(name) for name in _channels(settings)]
    delimiter = ";" if semicolon else ","
    out.write_text(written_table(assets, delimiter=delimiter), encoding="utf-8", newline="")
    lack = lacking(assets)
    typer.echo(f"Wrote {out}: {len(assets)} assets, {len(lack)} of them not rationalised")


def import_(
    table: Annotated[Path, typer.Argument(help="CSV table", exists=True)],
    config: Annotated[Path, typer.Option("--config", help="gateway.toml", exists=True)],
) -> None:
    """Check a rationalisation table, and put it where [include] alarms names it.

    It counts from the next start. Example: `andon alarms import table.csv --config gateway.toml`
    """
    from edge.configuration.config import load
    from edge.configuration.rationale_table import lacking, read_table, unknown_places
    from edge.errors import ConfigError

    before = load(config, need_alarms=False)
    lines = read_table(table)
    wrong = list(unknown_places(lines, _channels(before)))
    if wrong:
        raise ConfigError("\n".join(wrong[:20]) + ("\n..." if len(wrong) > 20 else ""))
    if not before.include.alarms:
        raise ConfigError(
            f'{config}: [include] has no alarms; write alarms = "alarms.csv" there, and try again'
        )
    target = before.path(before.include.alarms)
    if target.resolve() != table.resolve():
        fresh = target.with_name(f"{target.name}.new")
        fresh.write_bytes(table.read_bytes())
        fresh.replace(target)
    after = load(config)
    lack = lacking(after.settings.of_asset(name) for name in _channels(after))
    typer.echo(f"{len(lines)} rows in {target}; they count from the next start")
    for asset, tracks in lack.items():
        typer.echo(f"  {asset}: the engineer's, as it lacks {'; '.join(tracks)}")


def _channels(config: GatewayConfig) -> dict[str, list[str]]:
    """Channels by asset, of the bundle and the configuration."""
    from edge.bundles.store import store_of
    from edge.commissioning.watch import joined
    from models.bundles.store import load as load_bundle

    begun = joined(config)
    bundle: Bundle = load_bundle(store_of(config).current()[1]) if begun is None else begun
    found = {model.asset: [channel.name for channel in model.channels] for model in bundle.assets}
    return {**{asset.id: [] for asset in config.asset}, **found}
