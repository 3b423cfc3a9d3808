"""Levels that Ignition states of a tag: its engineering range, and setpoints of its alarms."""

from __future__ import annotations

from typing import Any, Final

from edge.imports.tags import Level, number_of

ALARM: Final = 0.8  # how sure a setpoint is to be a limit
RANGE: Final = 0.3  # a range is often that of the instrument
_MODES: Final = {
    "AboveValue": (("high", "setpointA"),),
    "BelowValue": (("low", "setpointA"),),
    "OutsideValues": (("low", "setpointA"), ("high", "setpointB")),
}


def levels_of(node: dict[str, Any], *, at: str) -> tuple[list[Level], list[tuple[str, str]]]:
    """Levels of a tag, and what of its range and alarms is none: (where, why)."""
    levels: list[Level] = []
    faults: list[tuple[str, str]] = []
    for side, key in (("low", "engLow"), ("high", "engHigh")):
        if key in node:
            _add(node[key], levels, faults, side=side, key=key, at=at, sure=RANGE)
    alarms = node.get("alarms", [])
    if not isinstance(alarms, list):
        faults.append((f"{at}.alarms", "`alarms` is no list"))
        alarms = []
    for i, alarm in enumerate(alarms):
        where = f"{at}.alarms[{i}]"
        if not isinstance(alarm, dict):
            faults.append((where, "it is no alarm"))
            continue
        said = f"alarm {alarm.get('name', '')!s:.60}"
        mode = alarm.get("mode", "Equality")
        sides = _MODES.get(mode) if isinstance(mode, str) else None
        if "enabled" in alarm and alarm["enabled"] is not True:
            faults.append((where, f"{said} is disabled, or that is bound"))
        elif sides is None:
            faults.append((where, f"{said} of mode {mode!s:.40} states no level"))
        else:
            for side, key in sides:
                value = alarm.get(key, 0.0)
                _add(
                    value,
                    levels,
                    faults,
                    side=side,
                    key=key,
                    at=where,
                    sure=ALARM,
                    said=f"{said}, ",
                )
    return levels, faults


def _add(
    value: object,
    levels: list[Level],
    faults: list[tuple[str, str]],
    *,
    side: str,
    key: str,
    at: str,
    sure: float,
    said: str = "",
) -> None:
    found = None if isinstance(value, str) else number_of(value)
    if found is None:
        what = "is bound" if isinstance(value, dict) else "is no number"
        faults.append((at, f"{said}`{key}` {what}, so it proposes no limit"))
        return
    levels.append(Level(side=side, value=found, why=f"{said}{key} {found:g}", where=at, sure=sure))
