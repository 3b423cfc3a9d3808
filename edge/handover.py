"""The state of an engine, as it is to be read with other settings.

What is remembered by tag goes to where that tag is now, and is forgotten where the tag, or what it
means, has changed: an edge or a mode that another tag told says nothing. Events, alerts, jobs,
silences, history and health stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edge.samples.pending import NEVER, AlignState, AssetAlign, count
from edge.settings import AssetSettings

if TYPE_CHECKING:
    from edge.settings import GatewaySettings
    from edge.state import AssetState, EngineState


def handed_over(state: EngineState, before: GatewaySettings, after: GatewaySettings) -> EngineState:
    """The same state for other settings; the one given stays whole where it can be read again."""
    counts = dict(state.align.counts)
    olds, news = _by_id(before), _by_id(after)
    none = AssetSettings(id="")
    aligned = {}
    for name, align in state.align.assets.items():
        old, new = olds.get(name, none), news.get(name, none)
        same = old.context == new.context
        aligned[name] = align if same else _recolumned(align, old, new, counts)
    assets = {
        name: _told(one, olds.get(name, none), news.get(name, none))
        for name, one in state.assets.items()
    }
    was, is_now = _streams(before), _streams(after)
    waves = {
        key: wave
        for key, wave in state.waves.items()
        if key in is_now and is_now[key] == was.get(key)
    }
    kept = AlignState(assets=aligned, counts=counts)
    return msgspec.structs.replace(state, align=kept, assets=assets, waves=waves)


def _by_id(settings: GatewaySettings) -> dict[str, AssetSettings]:
    return {one.id: one for one in settings.asset}


def _streams(settings: GatewaySettings) -> dict[str, object]:
    """Waveforms by the key of what is remembered of them."""
    return {f"{one.id}/{wave.tag}": wave for one in settings.asset for wave in one.waveform}


def _told(state: AssetState, old: AssetSettings, new: AssetSettings) -> AssetState:
    """An asset without what tags told that are not there any more, or mean something else now."""
    if old.context == new.context:
        return state
    stay = {tag.tag for tag in new.context if tag in old.context}
    mode_before = [tag for tag in old.context if tag.role == "mode"]
    mode_after = [tag for tag in new.context if tag.role == "mode"]
    return msgspec.structs.replace(
        state,
        beats={tag: seen for tag, seen in state.beats.items() if tag in stay},
        edges_ns={tag: seen for tag, seen in state.edges_ns.items() if tag in stay},
        context={tag: seen for tag, seen in state.context.items() if tag in stay},
        modes_unseen=state.modes_unseen if mode_before == mode_after else [],
    )


def _recolumned(
    align: AssetAlign, old: AssetSettings, new: AssetSettings, counts: dict[str, int]
) -> AssetAlign:
    """Rows that wait, and what is held, with context tags where they are now; what left counts."""
    channels = align.values.shape[1] - len(old.context)
    places = {tag: channels + i for i, tag in enumerate(new.context)}
    to = {i: i for i in range(channels)}
    to |= {channels + i: places[tag] for i, tag in enumerate(old.context) if tag in places}
    source, target = np.array([*to], int), np.array([*to.values()], int)
    lost = np.delete(align.values, source, axis=1)
    asides = [aside for aside in align.asides if aside.column in to]
    count(counts, "context_left", int((~np.isnan(lost)).sum()) + len(align.asides) - len(asides))
    rows, width = len(align.t_ns), channels + len(new.context)
    moved = AssetAlign.empty(width)
    moved.t_ns, moved.spoken, moved.closed_ns = align.t_ns, align.spoken, align.closed_ns
    moved.values = np.full((rows, width), np.nan)
    moved.value_t_ns = np.full((rows, width), NEVER, np.int64)
    moved.retained = np.zeros((rows, width), bool)
    for name in ("values", "value_t_ns", "retained"):
        getattr(moved, name)[:, target] = getattr(align, name)[:, source]
    for name in ("newest_ns", "held", "held_ns", "told"):
        getattr(moved, name)[target] = getattr(align, name)[source]
    moved.asides = [msgspec.structs.replace(aside, column=to[aside.column]) for aside in asides]
    return moved
