"""Not durable: the disk does not take what must survive, and the engine is told so.

What cannot be audited is not suppressed: while it lasts every suppression is judged again and
rings, and nobody opens a job or silences anything. What is said meanwhile may stand in no file, and
a process that follows would decide the same alerts without knowing of it. So revisions leap, by a
number that the shell draws anew each time: no other process says one of these again, with other
content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.alerts.numbering import land, leap, settle
from edge.errors import WireError
from edge.records import JournalHole, ShellFault
from edge.wire.commands import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.asset import Asset
    from edge.desk import Desk
    from edge.state import EngineState
    from edge.wire.commands import Command

NOT_DURABLE: Final = "not_durable"  # the fault's name


def told(
    stimulus: ShellFault | JournalHole,
    assets: Mapping[str, Asset],
    desk: Desk,
    state: EngineState,
    *,
    t_ns: int,
) -> None:
    """A fault of the shell has begun or ended, or the journal has a hole behind it."""
    if isinstance(stimulus, JournalHole):
        _cross(stimulus, assets=assets, desk=desk, state=state, t_ns=t_ns)
        return
    _count(state, f"fault_{stimulus.name}")
    if stimulus.name == NOT_DURABLE and stimulus.active:
        _begin(stimulus.detail, stimulus.leap, assets=assets, desk=desk, state=state, t_ns=t_ns)
    elif stimulus.name == NOT_DURABLE:
        _end(desk=desk, state=state)
    desk.shell_fault(stimulus, t_ns=t_ns)


def refuse_undurable(command: Command, desk: Desk) -> None:
    """Raise WireError for a command that cannot be carried out now.

    Whatever opens work or silences belongs into the trail, and a text into its file.
    """
    if desk.not_durable and (command.keeps_quiet or isinstance(command.body, Text)):
        why = (
            f"this gateway is not durable: {desk.not_durable}; what opens work, silences or is to"
            " be kept is not taken until the disk works again"
        )
        raise WireError(why, reason="command_not_durable", topic=command.topic)


def _begin(
    why: str,
    by: int,
    *,
    assets: Mapping[str, Asset],
    desk: Desk,
    state: EngineState,
    t_ns: int,
) -> None:
    if desk.not_durable and by in (0, state.leap):  # told again, as when another part is left
        desk.not_durable = state.not_durable = why or desk.not_durable
        return
    before, desk.not_durable = desk.not_durable, why or "the disk fails"
    state.not_durable, state.leap = desk.not_durable, by
    if before:  # another one goes on, which a process before us may have lived through
        settle(state)
    leap(state, by)
    if before:
        settle(state)
    for asset in assets.values():
        asset.doubt(t_ns)


def _end(*, desk: Desk, state: EngineState) -> None:
    desk.not_durable = state.not_durable = ""
    state.leap = 0
    land(state)


def _cross(
    hole: JournalHole,
    *,
    assets: Mapping[str, Asset],
    desk: Desk,
    state: EngineState,
    t_ns: int,
) -> None:
    """What lies in the hole was lived through, or this is a replay that knows nothing of it.

    The replay goes on behind whatever was said in it.
    """
    _count(state, "journal_holes")
    _count(state, "stimuli_not_journaled", hole.stimuli)
    if state.leap != hole.leap:
        why = f"{hole.stimuli} stimuli stand in no journal: {hole.because}"
        _begin(why, 2 * hole.leap, assets=assets, desk=desk, state=state, t_ns=t_ns)
        settle(state)
    desk.note(
        "journal_hole",
        level="warning",
        from_ns=hole.from_ns,
        to_ns=hole.to_ns,
        stimuli=hole.stimuli,
        because=hole.because,
    )


def _count(state: EngineState, name: str, by: int = 1) -> None:
    state.counts[name] = state.counts.get(name, 0) + by
