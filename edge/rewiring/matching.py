"""Matching: which of the tags that nobody uses may be one that is missing, one for one at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from edge.rewiring.names import alike
from edge.rewiring.scales import between, explained, is_same, is_usual

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.rewiring.expected import ExpectedTag, Usual
    from edge.rewiring.heard import Level, Values

FEW: Final = 20  # numbers that say nothing yet of level and spread
ALIKE: Final = 0.6  # names from here on may be the same
VERY_ALIKE: Final = 0.8  # from here on a change of scale as well is believable
CLOSE: Final = 0.15  # of a worth: two tags are as good as each other


@dataclass(frozen=True, slots=True)
class Match:
    """One that may have taken a place. worth: beside others; found: what speaks for it."""

    worth: float
    found: str
    likely: bool


def match_of(one: ExpectedTag, name: str, values: Values) -> Match | None:
    """Whether a tag may be one that is missing, and what speaks for it; None: nothing does."""
    names = alike(one.tag, name)
    level = values.level()
    if one.usual is None or level is None or values.kept < FEW:
        if names < ALIKE:
            return None
        why = "by its name alone" if one.usual is None else "too few values came to compare"
        return Match(names, why, likely=one.usual is None and names >= VERY_ALIKE)
    return _by_values(one, one.usual, values, level, names=names)


def _by_values(
    one: ExpectedTag, usual: Usual, values: Values, level: Level, *, names: float
) -> Match | None:
    """The same, where there are values to compare; names: how alike the two names are."""
    told = seen(level, one)
    stated = between(one.unit, values.unit) if one.unit and values.unit else None
    found = None
    if stated is not None:
        if names >= ALIKE:
            why = f"and rescaled, {stated.says} by its sender; {told}"
            found = Match(names, why, likely=False)
    elif is_same(level, usual):
        found = Match(names + 0.5, f"same statistics: {told}", likely=names >= ALIKE)
    elif is_usual(level, usual):
        if names >= ALIKE:
            why = f"within what is usual: {told}"
            found = Match(names + 0.25, why, likely=names >= VERY_ALIKE)
    elif names >= VERY_ALIKE and (scales := explained(level, usual, unit=one.unit)):
        found = Match(names, f"and rescaled, {scales[0].says}; {told}", likely=False)
    return found


def seen(level: Level, one: ExpectedTag) -> str:
    """What was seen, beside what is usual."""
    return f"seen {level.low:.4g} to {level.high:.4g}, usual {usual_of(one)}"


def usual_of(one: ExpectedTag) -> str:
    """Usual range and unit of a tag that a bundle knows."""
    assert one.usual is not None
    return f"{one.usual.low:.4g} to {one.usual.high:.4g} {one.unit}".rstrip()


def assigned(worth: Sequence[Sequence[float]]) -> dict[int, int]:
    """To which column each row belongs, so that all together are worth most; 0 never counts."""
    table = np.array(worth, np.float64)
    if not table.size:
        return {}
    rows, columns = linear_sum_assignment(table, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {i: j for i, j in pairs if table[i, j] > 0.0}


def rivals_of(row: Sequence[float], chosen: int, names: Sequence[str]) -> list[str]:
    """Others that are about as good as the chosen one, two at most."""
    least = row[chosen] - CLOSE
    close = [j for j in range(len(row)) if j != chosen and row[j] > 0.0 and row[j] >= least]
    return [names[j] for j in sorted(close, key=lambda j: -row[j])[:2]]


def or_else(rivals: Iterable[str]) -> str:
    """The end of a sentence that names the others, "" where there are none."""
    told = list(rivals)
    return f"; as well may be {' or '.join(told)}" if told else ""
