"""Operator positions: who bears how many false alerts a day, divided over whose assets.

EEMUA 191 counts the load of one operator, so a budget belongs to a position. What an asset may ring
is what its position's budget leaves to it: quiet neighbours at another desk do not make room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import msgspec

from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALERTS_PER_DAY: Final = 6.0  # of a position that states no budget of its own
PATTERN_CHARACTERS: Final = "*?"


class OperatorPosition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operator position. assets: ids, or patterns with * and ? such as "pump-*"; case counts.

    alerts_per_day: false alerts that it bears, divided over those of its assets that a bundle has.
    """

    name: str
    alerts_per_day: float = ALERTS_PER_DAY
    assets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """A position's budget over the assets that it has. name: "" is the position of all others."""

    name: str
    alerts_per_day: float
    assets: tuple[str, ...]

    @property
    def share(self) -> float:
        """Alerts a day that the budget leaves to each of its assets."""
        return self.alerts_per_day / len(self.assets)


def divided(
    assets: Iterable[str], positions: Sequence[OperatorPosition], *, alerts_per_day: float
) -> tuple[Division, ...]:
    """Whose assets are whose, in the order of the positions; those without assets are left out.

    alerts_per_day: of the position of all assets that none names, which comes last. Raises
    ModelError where an asset is in two positions, or a position cannot be.
    """
    check_positions(positions)
    if not _is_budget(alerts_per_day):
        raise ModelError(f"alerts per day is {alerts_per_day}, expected a number above 0")
    exact, patterns = _named(positions)
    mine: dict[str, list[str]] = {name: [] for name in (*(p.name for p in positions), "")}
    for asset in assets:
        names = [exact[asset]] if asset in exact else []
        names += [name for name, pattern in patterns if _matches(pattern, asset)]
        found = list(dict.fromkeys(names))
        if len(found) > 1:
            both = f"{found[0]!r} and {found[1]!r}"
            raise ModelError(f"asset {asset!r} is in the positions {both}, expected one of them")
        mine[found[0] if found else ""].append(asset)
    budgets = {one.name: float(one.alerts_per_day) for one in positions}
    budgets[""] = float(alerts_per_day)
    return tuple(
        Division(name=name, alerts_per_day=budgets[name], assets=tuple(own))
        for name, own in mine.items()
        if own
    )


def position_of(asset: str, positions: Sequence[OperatorPosition]) -> str:
    """The position that an asset belongs to; "": no position names it."""
    for position in positions:
        if any(entry == asset or _matches(entry, asset) for entry in position.assets):
            return position.name
    return ""


def check_positions(positions: Sequence[OperatorPosition]) -> None:
    """Raise ModelError naming what of the positions cannot be, whichever assets there are."""
    for i, position in enumerate(positions):
        where = f"position {i + 1}, {position.name!r}"
        if not position.name.strip():
            raise ModelError(f"{where}: it has no name, expected one such as 'line 3'")
        if any(other.name == position.name for other in positions[:i]):
            raise ModelError(f"{where}: another one has this name, expected each once")
        if not _is_budget(position.alerts_per_day):
            raise ModelError(
                f"{where}: alerts_per_day is {position.alerts_per_day:g}, expected a number above 0"
            )
        if not all(entry.strip() for entry in position.assets):
            raise ModelError(f"{where}: an asset is empty, expected ids or patterns like 'pump-*'")
    _named(positions)


def unfound(
    positions: Sequence[OperatorPosition], assets: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Ids that positions name and that are not among the assets, and patterns that match none."""
    there = set(assets)
    entries = dict.fromkeys(entry for position in positions for entry in position.assets)
    missing = [e for e in entries if not is_pattern(e) and e not in there]
    idle = [e for e in entries if is_pattern(e) and not any(_matches(e, one) for one in there)]
    return missing, idle


def is_pattern(entry: str) -> bool:
    """Whether an entry of a position stands for more than the asset of this id."""
    return any(character in entry for character in PATTERN_CHARACTERS)


def _named(positions: Sequence[OperatorPosition]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Positions by id, and each pattern with its position. Raises ModelError for an id in two."""
    exact: dict[str, str] = {}
    patterns = []
    for position in positions:
        for entry in position.assets:
            if is_pattern(entry):
                patterns.append((position.name, entry))
            elif exact.setdefault(entry, position.name) != position.name:
                both = f"{exact[entry]!r} and {position.name!r}"
                raise ModelError(f"asset {entry!r} is in the positions {both}, expected one")
    return exact, patterns


def _matches(entry: str, asset: str) -> bool:
    return is_pattern(entry) and fnmatchcase(asset, entry.replace("[", "[[]"))


def _is_budget(alerts_per_day: float) -> bool:
    return 0.0 < alerts_per_day < math.inf
