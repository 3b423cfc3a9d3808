"""Simulated cells: machines with their signals, faults, work and the texts that go with them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from simulator.cells.cnc import CNC
from simulator.cells.gearbox import GEARBOX
from simulator.cells.pump import PUMP
from simulator.cells.simulation import Wish, simulate_cell
from simulator.cells.weld_type import WELD

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.cells.cell import CellType
    from simulator.scenario import Scenario

TYPES: Final[dict[str, CellType]] = {cell.name: cell for cell in (WELD, CNC, PUMP, GEARBOX)}


def simulate(  # noqa: PLR0913 - as many as a cell has choices
    name: str,
    *,
    seed: int,
    hours: float = 8.0,
    assets: int = 4,
    messy: bool = False,
    start_ns: int | None = None,
    faults: bool = True,
    jobs: bool = True,
    waves: bool = False,
) -> Scenario:
    """Simulate a cell of a type from the begin of a shift on; see `simulation.simulate_cell`.

    messy: the papers are as plants have them, and few jobs are witnessed; see `messy`. waves: of a
    cell with waveforms these are sent, without jobs and faults of what makes channels of them.
    Raises ValueError for a name that is no cell, or numbers that make none.
    """
    if name not in TYPES:
        raise ValueError(f"there is no cell {name!r}, expected one of {', '.join(TYPES)}")
    wish = Wish(
        seed=seed,
        machines=assets,
        hours=hours,
        start_ns=start_ns,
        faults=faults,
        jobs=jobs,
        messy=messy,
        waves=waves,
    )
    return simulate_cell(TYPES[name], wish)


CELLS: Final[dict[str, Callable[..., Scenario]]] = {name: partial(simulate, name) for name in TYPES}
