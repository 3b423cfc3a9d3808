"""Revisions: each box counts in a range of its own, and each lapse in a part of that range.

    box of generation n     from (n - 1) * 2^32 + 1
    in a lapse              behind that by a number that the shell drew, then 1 more, and so on

A replacement box begins from a copy and cannot know what the old one has said since; a process that
follows a lapse cannot know what was said in it. What either says is numbered where nobody else
speaks under the same id, so no revision ever has two contents, also where a broker kept nothing and
both boxes ran. A later box is above every leap of an earlier one.

Only what is said in a lapse leaps: an id of which nothing is said meanwhile counts on by one.
Whoever did not live through a lapse cannot know that, and lets all of them leap (`settle`). Whoever
finds a revision of which it knows nothing does not know how many came behind it: its next word
leaps too (`follow`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.alerts.alerts import AlertRecord
    from edge.alerts.group import Group
    from edge.state import EngineState

# Of one alert id. A hundred thousand boxes stay below 2^53: every JSON reader has these numbers
# exactly.
REVISIONS_A_BOX: Final = 1 << 32
# What leaps of one id come to in a box: the first box's numbers fit into 32 bits with a sign, as
# tags of many SCADA systems have. A thousand lapses of the longest leap fit, each taken twice.
LEAPS_MAX: Final = 1 << 31
ROOM_BITS: Final = 26  # leaps are whole while more room than that is left, then ever shorter


def floor_of(generation: int) -> int:
    """The revision behind which the box of a generation counts; the first box has 1."""
    return (max(generation, 1) - 1) * REVISIONS_A_BOX


def raise_floors(state: EngineState, generation: int = 1) -> None:
    """From here on the box of a generation speaks, of alerts that there are and that come."""
    _count_behind(state, max(state.flood.revision_floor, floor_of(generation)))


def leap(state: EngineState, by: int) -> None:
    """A lapse begins: the next word of each id comes behind a leap, and new ids begin there."""
    before = _own_floor(state)
    for one in _numbered(state):
        one.leap_due = _leap_of(one.revision, before=before, by=by)
    _count_behind(state, before + by)


def settle(state: EngineState) -> None:
    """What is due counts now: somebody else may have spoken behind it."""
    for one in _numbered(state):
        if one.revision:
            one.revision = max(one.revision + one.leap_due, state.flood.revision_floor)
        one.leap_due = 0


def follow(one: AlertRecord | Group, revision: int, *, by: int) -> None:
    """Somebody has said an id of ours in a revision: our next word comes behind it.

    Where we do not know of it, also behind what else may have been said there: a file or a broker
    that tells of the first words of a lapse may have lost the last ones.
    """
    if revision <= one.revision:
        return
    one.revision = revision
    one.leap_due = max(one.leap_due, _leap_of(revision, before=_box_of(one.revision_floor), by=by))


def land(state: EngineState) -> None:
    """The lapse is over: what was said in it counts on, all other goes on where it was before."""
    for one in _numbered(state):
        one.leap_due = 0
    _count_behind(state, _own_floor(state))


def _leap_of(revision: int, *, before: int, by: int) -> int:
    """How far an id leaps: `by`, or less where its numbers come near the end of their room."""
    left = max(before + LEAPS_MAX - revision, 0)
    return by >> max(0, ROOM_BITS - left.bit_length())


def _numbered(state: EngineState) -> Iterator[AlertRecord | Group]:
    """All that has revisions."""
    for asset in state.assets.values():
        yield from asset.alerts.values()
    yield from state.flood.groups.values()


def _own_floor(state: EngineState) -> int:
    """Without the leap of a lapse that lasts."""
    return _box_of(state.flood.revision_floor)


def _box_of(floor: int) -> int:
    """Where the numbers of a floor's box begin."""
    return floor // REVISIONS_A_BOX * REVISIONS_A_BOX


def _count_behind(state: EngineState, floor: int) -> None:
    state.flood.revision_floor = floor
    for one in _numbered(state):
        one.revision_floor = floor
