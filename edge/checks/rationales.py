"""Which alerts stay off the operator's list, since nobody has said what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.configuration.rationale_table import lacking

if TYPE_CHECKING:
    from edge.configuration.config import GatewayConfig
    from models.bundles.bundle import Bundle

NAMED_MAX: Final = 20  # assets that lack the same
KINDS_MAX: Final = 20  # kinds of lack: a table may have one an asset


def rationale_finding(config: GatewayConfig, bundle: Bundle | None) -> tuple[str, bool, str]:
    """The assets whose alerts are the engineer's, by track, and what they lack."""
    known = [asset.id for asset in config.asset]
    assets = dict.fromkeys([*(m.asset for m in bundle.assets), *known] if bundle else known)
    found = lacking(config.settings.of_asset(name) for name in assets)
    if not found:
        return "rationalisation", True, f"cause, consequence and action of all {len(assets)} assets"
    alike: dict[str, list[str]] = {}
    for asset, tracks in found.items():
        alike.setdefault("; ".join(tracks), []).append(asset)
    named = [f"{_named(names)}: {what}" for what, names in alike.items()]
    more = f"; and {len(named) - KINDS_MAX} more kinds" if len(named) > KINDS_MAX else ""
    how = "andon alarms export writes the table to fill in"
    detail = f"the engineer's alone, as they lack {'; '.join(named[:KINDS_MAX])}{more}: {how}"
    return "rationalisation", True, detail


def _named(assets: list[str]) -> str:
    more = f" and {len(assets) - NAMED_MAX} more assets" if len(assets) > NAMED_MAX else ""
    return f"{', '.join(assets[:NAMED_MAX])}{more}"
