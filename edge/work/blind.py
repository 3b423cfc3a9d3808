"""Channels of an asset that nobody watches, however they are named in its bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.bundles.bundle import UNRESOLVED, is_unfitted
from models.bundles.check import own_rows

if TYPE_CHECKING:
    from edge.work.commission import Commission
    from models.bundles.bundle import AssetModel, Bundle

BLIND_SHARE: Final = 0.05  # a channel with fewer values than this share of the rows is blind


def blind_channels(bundle: Bundle, model: AssetModel, commission: Commission) -> dict[str, str]:
    """Channels that nobody watches, each with the reason; a model that was not fitted scores none.

    They showed next to nothing in this stage (none before anything came), or the detector leaves
    them out, always or in some state of operation.
    """
    enough = BLIND_SHARE * commission.rows
    seen = commission.seen or [0] * len(model.channels)
    found = {
        channel.name: "next to nothing came"
        for channel, count in zip(model.channels, seen, strict=True)
        if commission.rows and count < max(enough, 1)
    }
    for channel, why in _unscored(bundle, model).items():
        found[channel] = f"{found[channel]}, and {why}" if channel in found else why
    return {c.name: found[c.name] for c in model.channels if c.name in found}


def _unscored(bundle: Bundle, model: AssetModel) -> dict[str, str]:
    """Channels that the detector leaves out in some of its baselines, with the reason."""
    if is_unfitted(model.metrics):
        return {}
    states = {model.row_running: "", model.row_stopped: " while it stands still"}
    states |= {mode.row: f" in mode {mode.value:g}" for mode in reversed(model.modes)}
    states[model.row_running] = ""  # modes without a baseline of their own share it
    left_out: dict[str, list[str]] = {}
    for row in own_rows(model):
        if row == model.row_season:
            continue  # a channel without an hour of its own is still judged by its level
        part, at = bundle.place(row)
        scored = part.parameters["present"][at]
        for channel, one in zip(model.channels, scored, strict=False):
            if not one:
                left_out.setdefault(channel.name, []).append(states[row])
    return {
        channel: (
            f"it is not scored{'' if '' in where else ' or'.join(where)}:"
            + (
                " it moves by less than float32 shows"
                if f"{UNRESOLVED}{channel}" in model.metrics
                else " it had no value in the rows that were learned"
            )
        )
        for channel, where in left_out.items()
    }
