"""A turn of copying for a checkpoint ends when a tick is due, and brings it on all the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.copying import Copying
from edge.gateway.pace import Pace
from edge.gateway.saving import ASSETS_A_TURN, PIECES, Saving
from edge.state import new_state
from edge.storage.checkpoint import Packer
from edge.storage.disk import DISK, Clock
from edge.storage.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.state import AssetState

PIECE = ASSETS_A_TURN // PIECES


class Hand(Clock):
    """A clock that is moved by hand."""

    now_s = 1_000.0

    def monotonic_s(self) -> float:
        """Where the hand is."""
        return self.now_s


@pytest.mark.parametrize(
    ("spent_s", "asset_s", "copied"),
    [
        (0.001, 0.03e-3, ASSETS_A_TURN),
        (0.008, 0.03e-3, 2 * PIECE),
        (0.0095, 0.03e-3, PIECE),
        (0.012, 0.03e-3, PIECE),  # it is late already
        (0.001, 1e-3, PIECE),
    ],
)
def test_a_turn_copies_while_no_tick_waits_for_it(
    spent_s: float, asset_s: float, copied: int
) -> None:
    """As many as there is time for, and at least a piece; all of them without a pace."""
    clock, saving = Hand(), Saving(Packer(Path("nowhere")), patience=Patience(), disk=DISK)
    told, told_of = list[str](), list[str]()

    def keep(states: Mapping[str, AssetState]) -> None:
        told.extend(states)
        clock.now_s += asset_s * len(states)

    every = [str(i) for i in range(3 * ASSETS_A_TURN)]
    states = {name: new_state(name, 1) for name in every}
    saving._copying = Copying(states, settle=told_of.extend, keep=keep)
    saving._a_turn = ASSETS_A_TURN
    pace = Pace(10.0, clock=clock).started()
    pace.begin()
    clock.now_s += spent_s
    pace.end()
    assert not saving.go_on(pace)
    assert told == every[:copied]
    assert saving.go_on(None)
    assert told == told_of == every
    saving.stop()
