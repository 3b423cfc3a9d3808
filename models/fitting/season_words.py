"""What people should know of the hours that an asset follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.bundles.bundle import SEASON_LEFT, SEASON_OF_PARENT, UNLIKE_HOUR, is_unfitted
from models.fitting.season import followed
from models.fitting.season_fit import DAYS_MIN

if TYPE_CHECKING:
    from models.bundles.bundle import AssetModel

DAY_NS: Final = 86_400 * 10**9
SHOWN_MAX: Final = 6  # channels; the first ones


def hourly_channels(model: AssetModel) -> list[str]:
    """Names of the channels that are judged by the hour of the day."""
    if model.season is None:
        return []
    seen = followed(model.season).tolist()
    return [channel.name for channel, is_so in zip(model.channels, seen, strict=True) if is_so]


def season_news(model: AssetModel) -> list[str]:
    """Which channels are judged by the hour of the day, a line each; [] where none is."""
    if model.season is None:
        return []
    names, days = hourly_channels(model), set(model.season.days)
    listed = ", ".join(_with_left(model, name) for name in names[:SHOWN_MAX])
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    apart = ", weekends apart" if len(days - {-1}) > 1 else ""
    some = ", not on weekdays or weekends that the record did not show" if -1 in days else ""
    zone = model.season.clocks.zone
    told = [f"also judged by the hour of the day ({zone}{apart}{some}): {listed}{more}"]
    if rows := model.metrics.get(UNLIKE_HOUR):
        told.append(
            f"{rows:.0f} rows were unlike their hour and do not count for it; were they a fault?"
        )
    if SEASON_OF_PARENT in model.metrics:
        told.append(
            f"of fewer than {DAYS_MIN} days: what is usual by the hour is that of before, by the"
            f" clocks of {zone}"
        )
    return told


def season_lines(model: AssetModel, kind: str) -> list[str]:
    """The same for the card, and where there is none, why. kind: of the detector."""
    if model.season is not None or is_unfitted(model.metrics):
        return [f"- {line}" for line in season_news(model)]
    if kind != "var":
        return []
    short = model.training.rows_used * model.period_ns < DAYS_MIN * DAY_NS
    why = f"that takes {DAYS_MIN} days of record" if short else "no channel follows it clearly"
    return [f"- nothing is judged by the hour of the day: {why}"]


def _with_left(model: AssetModel, name: str) -> str:
    left = model.metrics.get(f"{SEASON_LEFT}{name}")
    return name if left is None else f"{name} (explains {1.0 - left:.0%})"
