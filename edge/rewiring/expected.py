"""Expected: what a configuration and its bundle say that a plant sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.samples.layouts import AssetLayout

if TYPE_CHECKING:
    from edge.settings import AssetSettings, GatewaySettings
    from models.bundles.bundle import AssetModel, Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What a channel was in normal running, in its engineering unit, as the bundle has it.

    low, high: 1 % and 99 % quantiles.
    """

    center: float
    sigma: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """How far normal running reaches; above 0."""
        return max(self.high - self.low, 2.0 * self.sigma, 1e-9 * abs(self.center), 1e-300)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTag:
    """One tag. usual: None where no bundle knows it. role: of a context tag, "" of a channel."""

    tag: str
    channel: str
    unit: str = ""
    usual: Usual | None = None
    on_change: bool = False
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAsset:
    """One asset. run: tag that says whether it runs, with its values then; None: none does."""

    asset: str
    tags: dict[str, ExpectedTag]
    run: tuple[str, frozenset[float]] | None


def expected_of(settings: GatewaySettings, bundle: Bundle | None) -> dict[str, ExpectedAsset]:
    """All assets of a gateway; without a bundle only what the configuration names."""
    if bundle is None:
        return {one.id: _named(one) for one in settings.asset}
    return {model.asset: _fitted(model, settings.of_asset(model.asset)) for model in bundle.assets}


def _fitted(model: AssetModel, settings: AssetSettings) -> ExpectedAsset:
    """Features of waveforms are made here and not sent, so that they are left out."""
    layout = AssetLayout.of(model, settings)
    made = {channel for wave in settings.waveform for channel in wave.named.values()}
    tags = _context(settings)
    for tag, column in layout.columns.items():
        if column >= layout.channels or model.channels[column].name in made:
            continue
        tags[tag] = ExpectedTag(
            tag=tag,
            channel=model.channels[column].name,
            unit=layout.units[column],
            usual=Usual(
                center=float(model.center[column]),
                sigma=float(model.sigma[column]),
                low=float(model.usual_low[column]),
                high=float(model.usual_high[column]),
            ),
            on_change=bool(layout.on_change[column]),
        )
    return ExpectedAsset(asset=model.asset, tags=tags, run=_run(settings))


def _named(settings: AssetSettings) -> ExpectedAsset:
    tags = _context(settings)
    for tag, channel in settings.tags.items():
        tags[tag] = ExpectedTag(
            tag=tag,
            channel=channel,
            unit=settings.units.get(tag, ""),
            on_change=channel in settings.on_change,
        )
    return ExpectedAsset(asset=settings.id, tags=tags, run=_run(settings))


def _context(settings: AssetSettings) -> dict[str, ExpectedTag]:
    return {
        one.tag: ExpectedTag(tag=one.tag, channel="", role=one.role, on_change=True)
        for one in settings.context
    }


def _run(settings: AssetSettings) -> tuple[str, frozenset[float]] | None:
    found = next((one for one in settings.context if one.role == "run"), None)
    return None if found is None else (found.tag, frozenset(found.running))
