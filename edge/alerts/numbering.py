"""Revisions of boxes that took over from one another: each counts on in a range of its own.

A replacement box begins from a copy and cannot know what the old one has said since. What it says
is numbered behind everything that the boxes before it can have said under the same id, so no
revision ever has two contents, also where the broker kept nothing and both boxes ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.state import EngineState

REVISIONS_A_BOX: Final = 1_000_000  # of one alert id; three a second for four days


def floor_of(generation: int) -> int:
    """The revision behind which the box of a generation counts; the first box has 1."""
    return (max(generation, 1) - 1) * REVISIONS_A_BOX


def raise_floors(state: EngineState, generation: int = 1) -> None:
    """From here on the box of a generation speaks, of alerts that there are and that come."""
    floor = state.flood.revision_floor = max(state.flood.revision_floor, floor_of(generation))
    for asset in state.assets.values():
        for record in asset.alerts.values():
            record.revision_floor = floor
    for group in state.flood.groups.values():
        group.revision_floor = floor
