"""Bystanders: channels that a job may not disturb, and that would show what its mask hides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.samples.limits import level_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from kb.records import Limit
    from models.bundles.bundle import AssetModel

# A single value beyond its usual range is one in fifty; the mean of ten is none.
PARTNER_SAMPLES: Final = 10
PARTNER_SAMPLES_MIN: Final = 3  # of these; fewer say nothing


def partners_of(
    groups: Sequence[Sequence[str]], channels: Sequence[str], mask: NDArray[np.bool_]
) -> tuple[int, ...]:
    """Channels that are not masked and measure the same as one that is. mask: (c,)."""
    masked = {name for name, hidden in zip(channels, mask, strict=True) if hidden}
    open_groups = [group for group in groups if masked.intersection(group)]
    return tuple(
        i
        for i, name in enumerate(channels)
        if name not in masked and any(name in group for group in open_groups)
    )


def partners_usual(
    values: NDArray[np.float32],
    running: NDArray[np.bool_],
    partners: Sequence[int],
    *,
    model: AssetModel,
) -> bool | None:
    """Whether the mean of every ten samples of each partner stays in its usual range.

    values: (n, c), running: (n,), oldest first. None: too few values to say.
    """
    outcome: bool | None = True
    for i in partners:
        column = values[running, i].astype(np.float64)
        column = column[np.isfinite(column)]
        if len(column) < PARTNER_SAMPLES_MIN:
            outcome = None
            continue
        width = min(PARTNER_SAMPLES, len(column))
        means = np.convolve(column, np.full(width, 1.0 / width), mode="valid")
        if (means < model.usual_low[i]).any() or (means > model.usual_high[i]).any():
            return False
        if np.isnan(model.usual_low[i]) or np.isnan(model.usual_high[i]):
            outcome = None  # of a channel that has one limit and no fit one side is not known
    return outcome


def limits_kept(
    values: NDArray[np.float32],
    limits: Mapping[str, Sequence[Limit]],
    *,
    model: AssetModel,
    mask: NDArray[np.bool_],
) -> bool | None:
    """Whether unmasked channels stay within their engineering limits, every value of them.

    values: (n, c); mask: (c,). None: a value is missing all along, or a limit has another unit.
    """
    outcome: bool | None = True
    for i, channel in enumerate(model.channels):
        rows = limits.get(channel.name, ())
        if not rows or mask[i]:
            continue
        column = values[:, i][np.isfinite(values[:, i])]
        alike = [row for row in rows if row.unit in ("", channel.unit)]
        if not len(column) or len(alike) < len(rows):
            outcome = None
        if len(column) and any(level_name(alike, value) for value in (column.min(), column.max())):
            return False
    return outcome
