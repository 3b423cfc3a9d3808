"""Operators of a configuration: each once, with positions that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.configuration.words import hint
from edge.errors import ConfigError
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from pathlib import Path

    from edge.configuration.config import GatewayConfig


def check_operators(config: GatewayConfig, path: Path) -> None:
    """Raise ConfigError for an operator that cannot be, comes twice, or is at no position."""
    positions = {asset.position for asset in config.asset} | {one.name for one in config.position}
    seen: set[str] = set()
    for operator in config.operator:
        where = f"{path}: [[operator]] {operator.name!r}"
        if not is_asset_id(operator.name):
            raise ConfigError(f"{where}: expected a name without / + #, the user on the broker")
        if operator.name in seen:
            raise ConfigError(f"{where}: it comes twice, expected each operator once")
        seen.add(operator.name)
        if not all(entry.strip() for entry in operator.assets):
            raise ConfigError(f"{where}: an asset is empty, expected ids or patterns like 'pump-*'")
        for position in operator.positions:
            if position not in positions:
                near = hint(position, sorted(positions))
                raise ConfigError(f"{where}: there is no position {position!r}{near}")
