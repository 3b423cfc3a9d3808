"""Operator positions of a configuration: who an asset belongs to, said in one place or the other.

`[[position]]` lists its assets, or `[[asset]]` names its position; after loading both say the same,
so that the alarm load and the alert budget count the same assets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.configuration.words import hint
from edge.errors import ConfigError
from models.errors import ModelError
from models.fitting.positions import check_positions, divided, position_of, unfound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from edge.settings import AssetSettings
    from models.fitting.positions import OperatorPosition


def with_positions(config: GatewayConfig, path: Path) -> GatewayConfig:
    """The configuration with each asset at its position; without [[position]] as it is.

    Raises ConfigError for a position that cannot be, or an asset in two or at an unknown one.
    """
    if not config.position:
        return config
    try:
        check_positions(config.position)
        positions = tuple(_joined(config.position, config.asset))
        divided((asset.id for asset in config.asset), positions, alerts_per_day=1.0)
    except ModelError as error:
        raise ConfigError(f"{path}: [[position]]: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    assets = tuple(
        msgspec.structs.replace(asset, position=position_of(asset.id, positions))
        for asset in config.asset
    )
    return msgspec.structs.replace(config, position=positions, asset=assets)


def _joined(
    positions: tuple[OperatorPosition, ...], assets: Iterable[AssetSettings]
) -> Iterable[OperatorPosition]:
    """The positions with those assets too that name them. Raises ConfigError for a stranger."""
    names = [position.name for position in positions]
    more: dict[str, list[str]] = {name: [] for name in names}
    for asset in assets:
        if asset.position and asset.position not in more:
            raise ConfigError(
                f"asset {asset.id}: position is {asset.position!r}, and no [[position]] has that"
                f" name{hint(asset.position, names)}"
            )
        if asset.position:
            more[asset.position].append(asset.id)
    for position in positions:
        entries = dict.fromkeys((*position.assets, *more[position.name]))
        yield msgspec.structs.replace(position, assets=tuple(entries))


def need_assets(config: GatewayConfig, path: Path, assets: Iterable[str]) -> list[str]:
    """Patterns of positions that no asset matches; assets: that there are beside [[asset]].

    Raises ConfigError for an asset that a position names and that is nowhere.
    """
    there = {*assets, *(asset.id for asset in config.asset)}
    missing, idle = unfound(config.position, there)
    if missing:
        raise ConfigError(
            f"{path}: [[position]] names the asset {missing[0]!r}, which neither [[asset]] nor the"
            f" bundle has{hint(missing[0], sorted(there))}"
        )
    return idle
