"""Tables that engineers keep and approve beside the scope table: failure modes, sensors, limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from simulator.cells.cell import reference
from simulator.cells.paperwork import ENGINEER, local_iso, table

if TYPE_CHECKING:
    from simulator.cells.cell import CellType

APPROVED_S: Final = -40 * 86_400  # before the scenario
ALARM_SIGMA: Final = 9.0  # beyond every fault of the scenarios but a dead sensor
TRIP_SIGMA: Final = 14.0
SPAN_SIGMA: Final = 40.0  # an instrument's range lies well beyond what it usually shows
MODE_COLUMNS: Final = ("mode", "asset", "channels", "cause", "action")
SENSOR_COLUMNS: Final = ("asset", "channel", "unit", "low", "high", "aliases")
LIMIT_COLUMNS: Final = (
    "asset", "channel", "unit", "low_low", "low", "high", "high_high", "approved_by", "approved_at",
)  # fmt: skip


def failure_mode_table(cell: CellType) -> str:
    """How each kind of fault shows itself, on any machine of the cell, and what to do about it.

    The row of a fault of any single channel lists them all, as alternatives.
    """
    rows = []
    for kind, mode in cell.modes.items():
        signs = "; ".join(f"{channel}:{way}" for channel, way in mode.signs.items())
        rows.append([kind.value, "", signs, mode.cause, mode.action])
    return table(MODE_COLUMNS, rows)


def sensor_table(cell: CellType, machines: int) -> str:
    """What each channel of each machine measures, its range, and how people call it."""
    rows = []
    for number in range(1, machines + 1):
        for channel in cell.channels:
            reach = channel.swing + SPAN_SIGMA * channel.noise
            usual = max(channel.level + reach, 1.2 * channel.idle, 1.2 * channel.idle_high)
            high = cell.ranges.get(channel.name, _rounded_up(usual))
            aliases = "; ".join(cell.aliases.get(channel.name, ()))
            head = [cell.asset(number), channel.name, channel.unit]
            rows.append([*head, "0", f"{high:g}", aliases])
    return table(SENSOR_COLUMNS, rows)


def limit_table(cell: CellType, seed: int, machines: int, begin_ns: int) -> str:
    """Approved limits of each machine: beyond every fault but a dead sensor, so none rings twice.

    A channel that rests low while its machine stands still has no low limit.
    """
    approved = local_iso(begin_ns, APPROVED_S)
    rows = []
    for number in range(1, machines + 1):
        level, sigma = reference(cell, seed, number)
        for k, channel in enumerate(cell.channels):
            rest = channel.idle if channel.gated else float(level[k])
            margin = 10.0 * channel.idle_noise

            low, low_low, high, high_high = (
                float(level[k] + sigmas * sigma[k])
                for sigmas in (-ALARM_SIGMA, -TRIP_SIGMA, ALARM_SIGMA, TRIP_SIGMA)
            )
            lows = [low_low, low]
            if rest - margin < low:  # it falls that far whenever the machine rests
                lows = []
            rest = max(rest, channel.idle_high)
            if rest + margin > high:
                high, high_high = 1.1 * (rest + margin), 1.3 * (rest + margin)
            told = [f"{v:.{channel.decimals}f}" if v > 0.0 else "" for v in lows] or ["", ""]
            told += [f"{v:.{channel.decimals}f}" for v in (high, high_high)]
            head = [cell.asset(number), channel.name, channel.unit]
            rows.append([*head, *told, ENGINEER, approved])
    return table(LIMIT_COLUMNS, rows)


def _rounded_up(value: float) -> float:
    """Rounded up to two digits, as the ends of ranges are."""
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / scale) * scale
