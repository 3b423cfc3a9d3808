"""Revisions: each box counts in a range of its own, and each lapse in a part of that range.

    box of generation n     from (n - 1) * 2^32 + 1
    in a lapse              behind that by a number that the shell drew, then 1 more, and so on

A replacement box begins from a copy and cannot know what the old one has said since; a process that
follows a lapse cannot know what was said in it. What either says is numbered where nobody else
speaks under the same id, so no revision ever has two contents, also where a broker kept nothing and
both boxes ran. A later box is above every leap of an earlier one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.state import EngineState

# Of one alert id. Some 128 lapses fit, each twice the longest leap, and a hundred thousand boxes
# stay below 2^53: every JSON reader has these numbers exactly.
REVISIONS_A_BOX: Final = 1 << 32


def floor_of(generation: int) -> int:
    """The revision behind which the box of a generation counts; the first box has 1."""
    return (max(generation, 1) - 1) * REVISIONS_A_BOX


def raise_floors(state: EngineState, generation: int = 1) -> None:
    """From here on the box of a generation speaks, of alerts that there are and that come."""
    _count_behind(state, max(state.flood.revision_floor, floor_of(generation)))


def leap(state: EngineState, by: int) -> None:
    """A lapse begins: what there is counts on behind a leap, and what comes begins there."""
    before = _own_floor(state)
    for asset in state.assets.values():
        for record in asset.alerts.values():
            record.revision = max(record.revision, before) + by if record.alert_id else 0
    for group in state.flood.groups.values():
        group.revision = max(group.revision, before) + by
    _count_behind(state, before + by)


def land(state: EngineState) -> None:
    """The lapse is over: new ids begin at the floor of the box again; what there is counts on."""
    _count_behind(state, _own_floor(state))


def _own_floor(state: EngineState) -> int:
    """Without the leap of a lapse that lasts."""
    return state.flood.revision_floor // REVISIONS_A_BOX * REVISIONS_A_BOX


def _count_behind(state: EngineState, floor: int) -> None:
    state.flood.revision_floor = floor
    for asset in state.assets.values():
        for record in asset.alerts.values():
            record.revision_floor = floor
    for group in state.flood.groups.values():
        group.revision_floor = floor
