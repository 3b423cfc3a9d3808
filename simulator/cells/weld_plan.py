"""The plan of a weld cell, and how hard it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.cells.plan import SIZES, Plan
from simulator.cells.plan import plan as plan_cell
from simulator.cells.weld_type import WELD

__all__ = ["SHOP_FLOOR", "Plan", "Profile", "plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How hard a cell is. Sizes: of the marks of faults and jobs alike, in sigmas."""

    site: str = WELD.site
    size_sigma_min: float = SIZES[0]
    size_sigma_max: float = SIZES[1]


SHOP_FLOOR: Final = Profile()


def plan(seed: int, *, robots: int, n: int, profile: Profile = SHOP_FLOOR) -> Plan:
    """Draw what happens to robots in n seconds; see `simulator.cells.plan`."""
    sizes = (profile.size_sigma_min, profile.size_sigma_max)
    return plan_cell(WELD, seed, machines=robots, n=n, sizes=sizes)
