"""The weld cell: robots that weld, with their shift's faults and work, as one scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.cells.simulation import (
    HOURS_MAX,
    MACHINES_MAX,
    START_NS,
    TRAINING_HOURS,
    Wish,
    normal_cell,
    simulate_cell,
)
from simulator.cells.weld_plan import SHOP_FLOOR, Profile
from simulator.cells.weld_type import WELD

if TYPE_CHECKING:
    from simulator.scenario import Scenario

__all__ = [
    "CONTEXT_TAGS",
    "HOURS_MAX",
    "ROBOTS_MAX",
    "START_NS",
    "TRAINING_HOURS",
    "simulate",
    "training",
]

ROBOTS_MAX: Final = MACHINES_MAX
CONTEXT_TAGS: Final = WELD.context_tags


def simulate(
    *,
    seed: int,
    robots: int = 4,
    hours: float = 8.0,
    start_ns: int | None = None,
    faults: bool = True,
    jobs: bool = True,
    profile: Profile = SHOP_FLOOR,
) -> Scenario:
    """Simulate a weld cell from the begin of a shift on; see `simulation.simulate_cell`."""
    wish = Wish(
        seed=seed,
        machines=robots,
        hours=hours,
        start_ns=start_ns,
        faults=faults,
        jobs=jobs,
        site=profile.site,
        sizes=(profile.size_sigma_min, profile.size_sigma_max),
    )
    return simulate_cell(WELD, wish)


def training(
    *,
    seed: int,
    robots: int = 4,
    hours: float = TRAINING_HOURS,
    end_ns: int | None = None,
    profile: Profile = SHOP_FLOOR,
) -> Scenario:
    """Simulate normal operation of the same robots up to `end_ns`; see `simulation.normal_cell`."""
    wish = Wish(
        seed=seed,
        machines=robots,
        hours=hours,
        site=profile.site,
        sizes=(profile.size_sigma_min, profile.size_sigma_max),
    )
    return normal_cell(WELD, wish, end_ns=end_ns)
