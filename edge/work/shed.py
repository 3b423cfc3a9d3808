"""Shed: messages that the gateway gave up, and what follows from a gap that is its own fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.records import Shed
    from edge.state import AssetState, EngineState

SECOND_NS: Final = 1_000_000_000
# After the newest message that was given up, so long what an asset does is in doubt: samples of the
# gap are missing in its lags and levels.
DOUBT_NS: Final = 60 * SECOND_NS


def shed(told: Shed, state: EngineState, *, t_ns: int) -> list[str]:
    """Mark the assets of which messages were given up, all of them where none was named.

    Returns them.
    """
    unnamed = "" in told.messages
    marked = [name for name in state.assets if unnamed or name in told.messages]
    for name in marked:
        state.assets[name].shed_ns = max(state.assets[name].shed_ns, t_ns)
    state.counts["shed"] = state.counts.get("shed", 0) + sum(told.messages.values())
    return marked


def unread(asset: str, topic: str, *, state: EngineState) -> None:
    """A message of an asset came and was not read, as its topic is set aside; "": of nobody known.

    Nobody knows what it would have shown. It excuses a silence only where the topic has brought
    values of the asset before: rubbish on one beside it says nothing of the plant. Of a topic that
    names no asset nobody is marked: the silence of all would go untold.
    """
    if asset in state.assets:
        one = state.assets[asset]
        one.unread_ns = max(one.unread_ns, state.now_ns)
        if topic in one.topics:
            one.shed_ns = max(one.shed_ns, state.now_ns)


def has_gap(state: AssetState, *, begin_ns: int, now_ns: int) -> bool:
    """Whether messages of an asset were given up, or not read, shortly before an event or since.

    Then nobody can say what they would have shown.
    """
    gap_ns = max(state.shed_ns, state.unread_ns)
    return gap_ns > 0 and gap_ns >= min(begin_ns, now_ns) - DOUBT_NS


def silence_of(state: AssetState) -> str:
    """What an asset's source said before its silence; "" nothing, or nobody knows."""
    if state.dead_ns:
        return "its source said that it is gone (Sparkplug B death); it waits for its birth"
    if state.nameless_ns:
        return "what its source sends has no names; it waits for its birth (Sparkplug B)"
    return ""
