"""Anew: a process began, or another snapshot counts; what is kept quiet is judged by what is known.

At the first tick behind it, when all has happened that was due meanwhile, and without waiting for a
sample: an asset may send none. What lost its reason rings, what did not goes on without a word.
Plant time stands still until a source speaks, so by that clock it is judged in the time in which
the process before ended. Two clauses wait for what only sources can tell: a heart that nobody could
hear has not stopped, and a clock that nobody knows yet is not wrong. Of these the next sample
decides, or the silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.asset import Asset
    from edge.desk import Desk
    from edge.state import EngineState
    from edge.verdicts.proposed import Proposed

SCADA: Final = "the SCADA ([engine] ack_owner)"  # whoever it was there
UNHEARD: Final = frozenset({"heartbeat"})
UNTIMED: Final = UNHEARD | {"clock"}


def known(
    assets: Mapping[str, Asset], state: EngineState, lists: Sequence[Proposed], *, t_ns: int
) -> None:
    """Judge at the next tick, and publish lists of jobs: they are retained, but a broker forgets.

    lists: what was proposed before, and what is now.
    """
    state.anew = True
    for name, asset in assets.items():
        told = asset.state.listed or asset.state.runs or asset.state.silences
        if told or any(p.listed(name, now_ns=t_ns) for p in lists):
            asset.proposals_changed(t_ns)


def judge(assets: Mapping[str, Asset], desk: Desk, state: EngineState, *, t_ns: int) -> None:
    """Judge what is kept quiet once; t_ns: up to when jobs, fuses and silences were taken."""
    if not state.anew:
        return
    if desk.settings.engine.scada_acks:
        _leave_acks(assets, desk, t_ns=t_ns)
    unknown = desk.own_clock.unknown
    for asset in assets.values():
        latest_ns = max(t_ns, asset.state.last_t_ns)
        asset.doubt(latest_ns, but=UNTIMED if unknown else UNHEARD)
    state.anew = unknown


def _leave_acks(assets: Mapping[str, Asset], desk: Desk, *, t_ns: int) -> None:
    """What waited for an acknowledgement before these settings counted waits for none any more."""
    for group in desk.annunciator.groups().values():
        if group is not None and group.state.seen is not group.state:
            desk.annunciator.acknowledge(group.group_id, operator=SCADA, t_ns=t_ns)
    for asset in assets.values():
        for record in tuple(asset.state.alerts.values()):
            if record.alert_id and record.state.seen is not record.state:
                at_ns = max(t_ns, asset.state.last_t_ns)
                asset.acknowledge(record.alert_id, operator=SCADA, t_ns=at_ns)
