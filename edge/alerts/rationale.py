"""Rationalisation (ISA-18.2): what an alert means to who hears it, and by when to act.

A row of the table says it for one track of an asset, or for one channel of a track; what a cell
leaves out the less special row says, and at last the asset. Who has not said cause, consequence and
action of an alert cannot ask an operator to do something about it: it is the engineer's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.settings import Rationale

if TYPE_CHECKING:
    from edge.alerts.alerts import AlertRecord
    from edge.settings import AssetSettings


def of_record(record: AlertRecord, settings: AssetSettings) -> Rationale:
    """What is said of an alert as it stands, by its track and its first channel."""
    channel = record.contributions[0].channel if record.contributions else ""
    return rationale(settings, record.track, channel)


def rationale(settings: AssetSettings, track: str, channel: str = "") -> Rationale:
    """Cause, consequence, action, time to respond and severity of a track and channel."""
    found: dict[str, Any] = {
        "cause": settings.cause,
        "consequence": settings.consequence,
        "action": settings.action,
        "respond_min": settings.respond_min,
        "severity": settings.severity,
    }
    fitting = [
        row
        for row in settings.rationale
        if row.track in ("", track) and row.channel in ("", channel)
    ]
    for row in sorted(fitting, key=lambda r: (r.channel != "", r.track != "")):
        told = {name: getattr(row, name) for name in found}
        found |= {name: value for name, value in told.items() if value not in ("", None)}
    return Rationale(channel=channel, **found)


def lacks(found: Rationale) -> tuple[str, ...]:
    """What is missing for an operator to be asked."""
    return tuple(name for name in ("cause", "consequence", "action") if not getattr(found, name))


def audience(found: Rationale, *, shadow: bool = False) -> str:
    """Whose an alert is: operator or engineer."""
    return "engineer" if shadow or lacks(found) else "operator"
