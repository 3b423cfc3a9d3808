"""Charts as inline SVG: grouped bars with error bars, and lines. Text in, text out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH: Final = 720
LABEL_CHARS_MAX: Final = 34
# Okabe and Ito's colours: told apart by colour-blind readers and, with the dashes, on grey paper.
COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f")
DASHES: Final = ("", "7 3", "2 3", "9 3 2 3", "1 4", "12 4", "4 4")
_BAR: Final = 14
_LEFT: Final = 210  # room for the names of the categories
_RIGHT: Final = 64  # room for the value beside the longest bar
_HEIGHT: Final = 298  # of a line chart
_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
TICKED_DECADES_MAX: Final = 3  # of a logarithmic axis: with more of them each has one tick
SPAN_MIN: Final = 1e-290  # of an axis: what is narrower has no ticks that a float can tell apart
_ABSENT: Final = "-"


@dataclass(frozen=True, kw_only=True)
class Series:
    """Values under one name, one for each category or x; None or NaN is no value.

    `low` and `high` are the ends of an interval around each value, both or neither.
    """

    name: str
    values: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None

    def interval(self, i: int) -> tuple[float, float] | None:
        """Ends of the interval around value `i`, None where there is none."""
        if self.low is None or self.high is None:
            return None
        low, high = self.low[i], self.high[i]
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
            return None
        return low, high


@dataclass(frozen=True)
class Axis:
    """From where to where values stand, and at which there is a tick."""

    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value stands: 0 at the low end, 1 at the high one."""
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        if self.high <= self.low:
            return 0.5
        return math.log(value / self.low) / math.log(self.high / self.low)


def shown(value: object) -> str:
    """A value as a reader wants it: thousands apart, three decimals, a dash for what is absent."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return _ABSENT
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}".rstrip("0").rstrip(".")
    return _ABSENT if value is None else str(value)


def bar_chart(categories: Sequence[str], series: Sequence[Series], *, title: str) -> str:
    """Horizontal bars, one group for each category; intervals as whiskers, values in figures.

    Raises ValueError when a series has not one value for each category.
    """
    _check(len(categories), series)
    points = [v for s in series for v in _all_values(s)]
    low, high, ticks = _scale([0.0, *points])
    group = len(series) * _BAR + 10
    top = 26 + 18 * (len(series) > 1)
    height = top + group * len(categories) + 26
    span = WIDTH - _LEFT - _RIGHT

    def x(value: float) -> float:
        return _LEFT + span * (value - low) / (high - low)

    bottom = top + group * len(categories)
    parts = [_text(0, 14, title, weight="bold"), *_legend(series, y=22)]
    for tick in ticks:
        parts.append(_rule(x(tick), top, x(tick), bottom, "#ddd"))
        parts.append(_text(x(tick), bottom + 16, shown(tick), anchor="middle"))
    for k, name in enumerate(categories):
        y = top + k * group + 5
        middle = y + len(series) * _BAR / 2 + 4
        parts.append(_text(_LEFT - 8, middle, name, anchor="end"))
        for n, one in enumerate(series):
            parts += _bar(one, k, y=y + n * _BAR, colour=COLOURS[n % len(COLOURS)], x=x)
    parts.append(_rule(x(0.0), top, x(0.0), bottom, "#333"))
    return _svg(parts, height, title)


def line_chart(
    x: Sequence[float],
    series: Sequence[Series],
    *,
    title: str,
    x_name: str = "",
    y_name: str = "",
    dots: bool = True,
    decades: bool = False,
) -> str:
    """Lines over `x`, broken where a value is absent; an interval is a whisker at its point.

    Without dots only a value that stands alone has one, since it makes no line. decades: both axes
    are logarithmic, which x and values above 0 alone can be, and x has its ticks at its values.
    Raises ValueError when a series has not one value for each x, or a value has no logarithm.
    """
    _check(len(x), series)
    values = [v for s in series for v in _all_values(s)]
    if decades and min([*x, *values], default=1.0) <= 0:
        raise ValueError(f"{title}: a logarithmic axis begins above 0")
    of_y = _decades(values) if decades else Axis(*_scale(values))
    of_x = Axis(min(x), max(x), list(x), log=True) if decades and x else Axis(*_scale(x))
    top, bottom, left = 44 + 18 * (len(series) > 1), _HEIGHT - 44, 64

    def at_x(value: float) -> float:
        return left + (WIDTH - left - 24) * of_x.share(value)

    def at_y(value: float) -> float:
        return bottom - (bottom - top) * of_y.share(value)

    parts = [_text(0, 14, title, weight="bold"), *_legend(series, y=22)]
    for tick in of_y.ticks:
        parts.append(_rule(left, at_y(tick), WIDTH - 24, at_y(tick), "#ddd"))
        parts.append(_text(left - 6, at_y(tick) + 4, shown(tick), anchor="end"))
    parts += [_text(at_x(m), bottom + 16, shown(m), anchor="middle") for m in of_x.ticks]
    parts.append(_text(WIDTH - 24, bottom + 34, x_name, anchor="end"))
    parts.append(_text(0, top - 12, y_name))
    for n, one in enumerate(series):
        colour, dash = COLOURS[n % len(COLOURS)], DASHES[n % len(DASHES)]
        for run in _runs(x, one.values):
            points = " ".join(f"{at_x(a):.1f},{at_y(b):.1f}" for a, b in run)
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"'
                f' stroke-dasharray="{dash}"/>'
            )
            parts += [
                f'<circle cx="{at_x(a):.1f}" cy="{at_y(b):.1f}" r="2.5" fill="{colour}"/>'
                for a, b in run
                if dots or len(run) == 1
            ]
        for i, at in enumerate(x):
            ends = one.interval(i)
            if ends:
                parts.append(_rule(at_x(at), at_y(ends[0]), at_x(at), at_y(ends[1]), colour))
    return _svg(parts, _HEIGHT, title)


def _bar(one: Series, i: int, *, y: float, colour: str, x: Callable[[float], float]) -> list[str]:
    value = one.values[i]
    if value is None or not math.isfinite(value):
        return [_text(x(0.0) + 4, y + 11, _ABSENT)]
    begin, end = sorted((x(0.0), x(value)))
    parts = [
        (
            f'<rect x="{begin:.1f}" y="{y + 1:.1f}" width="{max(end - begin, 0.5):.1f}"'
            f' height="{_BAR - 3}" fill="{colour}"/>'
        )
    ]
    ends = one.interval(i)
    if ends:
        a, b, middle = x(ends[0]), x(ends[1]), y + _BAR / 2
        parts.append(_rule(a, middle, b, middle, "#111"))
        parts += [_rule(at, middle - 3, at, middle + 3, "#111") for at in (a, b)]
        end = max(end, b)
    parts.append(_text(end + 5, y + 11, shown(value)))
    return parts


def _check(size: int, series: Sequence[Series]) -> None:
    for one in series:
        for name, column in (("values", one.values), ("low", one.low), ("high", one.high)):
            if column is not None and len(column) != size:
                raise ValueError(f"{one.name}: {len(column)} {name} for {size} places")


def _all_values(one: Series) -> list[float]:
    columns = (one.values, one.low or (), one.high or ())
    return [v for column in columns for v in column if v is not None and math.isfinite(v)]


def _scale(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Least and greatest of an axis that holds `values`, and its round ticks."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < SPAN_MIN:
        low, high = low - 0.5, low + 0.5
        if values and min(values) >= 0 > low:
            low, high = 0.0, 1.0
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in _NICE if n * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return first * step, last * step, [k * step for k in range(first, last + 1)]


def _decades(values: Sequence[float]) -> Axis:
    """A logarithmic axis that holds `values`: ticks at 1, 2 and 5 of a decade, or at 1 alone."""
    low, high = (min(values), max(values)) if values else (1.0, 10.0)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1.0,) if last - first > TICKED_DECADES_MAX else (1.0, 2.0, 5.0)
    ticks = [n * 10.0**k for k in range(first, max(last, first + 1) + 1) for n in steps]
    below = [tick for tick in ticks if tick <= low * (1 + 1e-9)][-1]
    above = next(tick for tick in ticks if tick >= high * (1 - 1e-9) and tick > below)
    return Axis(below, above, [tick for tick in ticks if below <= tick <= above], log=True)


def _runs(x: Sequence[float], values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    """Stretches of points without an absent value among them."""
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(x, values, strict=True):
        if value is None or not math.isfinite(value):
            runs.append([])
        else:
            runs[-1].append((at, value))
    return [run for run in runs if run]


def _legend(series: Sequence[Series], *, y: float) -> list[str]:
    if len(series) < 2:
        return []
    parts, x = [], 0.0
    for n, one in enumerate(series):
        colour = COLOURS[n % len(COLOURS)]
        parts.append(f'<rect x="{x:.0f}" y="{y}" width="11" height="11" fill="{colour}"/>')
        parts.append(_text(x + 16, y + 10, one.name))
        x += 34 + 7 * min(len(one.name), LABEL_CHARS_MAX)
    return parts


def _text(x: float, y: float, said: str, *, anchor: str = "start", weight: str = "normal") -> str:
    if weight == "normal" and len(said) > LABEL_CHARS_MAX:
        said = f"{said[: LABEL_CHARS_MAX - 1]}…"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(said)}</text>"
    )


def _rule(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img"'
        f' aria-label="{escape(title)}" font-family="sans-serif" font-size="12">'
        f"{''.join(parts)}</svg>"
    )
