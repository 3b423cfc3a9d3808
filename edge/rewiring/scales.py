"""Scales: by which change of unit, or shift of the decimal point, values lie where they used to.

Nothing here is applied to a value that is scored: what fits is said to a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.rewiring.expected import Usual
    from edge.rewiring.heard import Level

POWERS: Final = (10.0, 0.1, 100.0, 0.01, 1_000.0, 0.001, 10_000.0, 1e-4, 1e6, 1e-6)

# Of each quantity: what one of its base unit is in others, (gain, offset).
_UNITS: Final[tuple[dict[str, tuple[float, float]], ...]] = (
    {
        "bar": (1.0, 0.0), "mbar": (1e3, 0.0), "Pa": (1e5, 0.0), "kPa": (100.0, 0.0),
        "MPa": (0.1, 0.0), "psi": (14.503774, 0.0), "mmHg": (750.06158, 0.0),
    },
    {"degC": (1.0, 0.0), "degF": (1.8, 32.0), "K": (1.0, 273.15)},
    {
        "l/min": (1.0, 0.0), "l/s": (1 / 60, 0.0), "l/h": (60.0, 0.0), "m3/h": (0.06, 0.0),
        "ml/min": (1e3, 0.0), "gpm": (0.26417205, 0.0),
    },
    {"rpm": (1.0, 0.0), "Hz": (1 / 60, 0.0), "rad/s": (0.10471976, 0.0)},
    {"A": (1.0, 0.0), "mA": (1e3, 0.0)},
    {"V": (1.0, 0.0), "mV": (1e3, 0.0), "kV": (1e-3, 0.0)},
    {"kW": (1.0, 0.0), "W": (1e3, 0.0), "MW": (1e-3, 0.0), "hp": (1.3410221, 0.0)},
    {"mm": (1.0, 0.0), "um": (1e3, 0.0), "cm": (0.1, 0.0), "m": (1e-3, 0.0), "in": (1 / 25.4, 0.0)},
    {"mm/s": (1.0, 0.0), "in/s": (1 / 25.4, 0.0), "m/s": (1e-3, 0.0)},
    {"N": (1.0, 0.0), "kN": (1e-3, 0.0), "lbf": (0.22480894, 0.0)},
    {"kg": (1.0, 0.0), "g": (1e3, 0.0), "t": (1e-3, 0.0), "lb": (2.2046226, 0.0)},
    {"%": (1.0, 0.0), "ratio": (0.01, 0.0)},
)  # fmt: skip
_ALIASES: Final = {
    "°c": "degC", "c": "degC", "celsius": "degC", "°f": "degF", "f": "degF", "fahrenheit": "degF",
    "lpm": "l/min", "m³/h": "m3/h", "1/min": "rpm", "u/min": "rpm", "min-1": "rpm", "pct": "%",
    "percent": "%", "µm": "um", "μm": "um", "cel": "degC",
}  # fmt: skip
_BY_NAME: Final = {unit.lower(): unit for table in _UNITS for unit in table if unit != "MW"}

ASIDE: Final = 0.5  # of the usual width: so far beyond it a median may lie in a short while
WIDER: Final = 3.0  # times the usual width: so far the values of a while may reach
CLOSER: Final = 0.25  # as ASIDE, of values that have to show that a change explains them
SPREADS: Final = (0.1, 2.5)  # times the usual spread: what a change that explains it leaves
ALMOST: Final = 0.5  # of the spread of the usual values: medians that are the same


class Scale(NamedTuple):
    """value = gain * what it was + offset. says: as people call it."""

    gain: float
    offset: float
    says: str

    def undone(self, level: Level) -> Level:
        """Where the values would lie if they were sent as before."""
        median, low, high, sigma = level
        back = [(value - self.offset) / self.gain for value in (median, low, high)]
        return level._replace(
            median=back[0], low=back[1], high=back[2], sigma=sigma / abs(self.gain)
        )


def canonical(unit: str) -> str:
    """One spelling of a unit; a unit that is not known stays as it is."""
    stripped = unit.strip()
    lowered = stripped.lower()
    return _ALIASES.get(lowered) or (
        stripped if stripped == "MW" else _BY_NAME.get(lowered, stripped)
    )


def between(unit: str, other: str) -> Scale | None:
    """From one unit to another of the same quantity; None: they are not known, or the same."""
    one, two = canonical(unit), canonical(other)
    if one == two:
        return None
    return next((scale for to, scale in _conversions(one) if to == two), None)


def is_usual(level: Level, usual: Usual) -> bool:
    """Whether values may well be those of normal running; a short while shows a part of it."""
    aside = ASIDE * usual.width
    return (
        usual.low - aside <= level.median <= usual.high + aside
        and level.high - level.low <= WIDER * usual.width
    )


def is_same(level: Level, usual: Usual) -> bool:
    """Whether level and spread both are those of before, so that another tag hardly shows them."""
    spread = max(usual.sigma, 1e-9 * abs(usual.center), 1e-300)
    return (
        abs(level.median - usual.center) <= ALMOST * spread
        and 1 / SPREADS[1] <= level.sigma / spread <= SPREADS[1]
    )


def explained(level: Level, usual: Usual, *, unit: str) -> list[Scale]:
    """Changes after which the values lie where they used to, the likeliest first.

    Of values that are usual as they are there is nothing to explain.
    """
    if is_usual(level, usual):
        return []
    found = []
    for order, scale in enumerate(_candidates(unit)):
        back = scale.undone(level)
        if not _explains(back, usual):
            continue
        away = abs(back.median - usual.center) / usual.width
        found.append((round(away, 1), order, scale))
    return [scale for _, _, scale in sorted(found)]


def _explains(level: Level, usual: Usual) -> bool:
    """Stricter than `is_usual`: with so many changes to try, something would always be near."""
    aside = CLOSER * usual.width
    reach = (level.high - level.low) / usual.width
    return (
        usual.low - aside <= level.median <= usual.high + aside
        and SPREADS[0] <= reach <= SPREADS[1]
    )


def _candidates(unit: str) -> Iterator[Scale]:
    """Units first, as they have a name; a power of ten that is one of them stands there only."""
    named = [scale for _, scale in _conversions(canonical(unit))]
    yield from named
    for power in POWERS:
        if not any(scale.offset == 0.0 and scale.gain == power for scale in named):
            yield Scale(power, 0.0, f"x{power:g}" if power >= 1.0 else f"/{1 / power:g}")


def _conversions(unit: str) -> Iterator[tuple[str, Scale]]:
    """All units that a known one may have become."""
    table = next((table for table in _UNITS if unit in table), None)
    if table is None:
        return
    gain, offset = table[unit]
    for other, (to_gain, to_offset) in table.items():
        if other == unit:
            continue
        ratio = round(to_gain / gain, 12)
        shift = to_offset - offset * ratio
        yield other, Scale(ratio, shift, f"{_factor(ratio, shift)}: {unit} -> {other}?")


def _factor(ratio: float, shift: float) -> str:
    told = f"x{ratio:.4g}" if ratio >= 1.0 else f"/{1 / ratio:.4g}"
    if not shift:
        return told
    added = f"{'+' if shift > 0 else '-'}{abs(shift):.4g}"
    return added if ratio == 1.0 else f"{told} {added}"
