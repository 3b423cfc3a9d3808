"""Layouts: how each asset's tags become columns of its samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.samples.pending import Mask
    from edge.settings import AssetSettings, ContextTag, GatewaySettings
    from models.bundles.bundle import AssetModel, Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetLayout:
    """How one asset's tags become columns: its channels first, then its context tags."""

    asset: str
    columns: dict[str, int]  # tag -> column
    units: tuple[str, ...]  # unit expected in each column, "" for any
    channels: int
    context: tuple[ContextTag, ...]
    period_ns: int
    grid: bool
    on_change: Mask  # (c + k,) held while the source lives; context tags always

    @classmethod
    def of(cls, model: AssetModel, settings: AssetSettings) -> Self:
        """The layout of a bundle's asset with its settings."""
        names = [channel.name for channel in model.channels]
        tags = {name: name for name in names if name not in settings.tags.values()}
        tags |= settings.tags
        columns = {tag: names.index(name) for tag, name in tags.items() if name in names}
        columns |= {c.tag: len(names) + i for i, c in enumerate(settings.context)}
        held = [name in settings.on_change for name in names] + [True] * len(settings.context)
        by_column = {column: tag for tag, column in columns.items()}
        units = [
            settings.units.get(by_column.get(i, ""), channel.unit)
            for i, channel in enumerate(model.channels)
        ]
        return cls(
            asset=model.asset,
            columns=columns,
            units=(*units, *[""] * len(settings.context)),
            channels=len(names),
            context=settings.context,
            period_ns=model.period_ns,
            grid=model.alignment == "grid",
            on_change=np.array(held, bool),
        )

    @property
    def width(self) -> int:
        """Columns in all."""
        return self.channels + len(self.context)


def asset_layouts(settings: GatewaySettings, bundle: Bundle) -> tuple[AssetLayout, ...]:
    """How each asset's tags become its channels. Raises ConfigError naming what does not fit."""
    check_assets(settings, bundle)
    known: dict[tuple[object, ...], AssetLayout] = {}
    found = []
    for model in bundle.assets:
        layout = AssetLayout.of(model, settings.of_asset(model.asset))
        alike = (*layout.columns.items(), layout.units, layout.on_change.tobytes())
        first = known.setdefault(alike, layout)  # most of a plant's assets are alike
        found.append(
            replace(layout, columns=first.columns, units=first.units, on_change=first.on_change)
        )
    return tuple(found)


def check_assets(settings: GatewaySettings, bundle: Bundle) -> None:
    """Raise ConfigError for an asset that is configured and not in the bundle."""
    known = {model.asset for model in bundle.assets}
    for asset in settings.asset:
        if asset.id not in known:
            raise ConfigError(
                f"asset {asset.id!r} is configured but the bundle has no parameters for it; "
                f"it has {', '.join(sorted(known))}. Fit it, or remove it from the configuration"
            )
