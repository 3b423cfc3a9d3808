"""Places of Sparkplug B as assets: their ids, and the sources that say so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from edge.discovery.findings import FoundSource
from edge.wire.formats import SPARKPLUG
from edge.wire.sparkplug import NAMESPACE
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Mapping

Place: TypeAlias = tuple[str, ...]  # group, node, and device if it has one


def named(places: set[Place]) -> dict[Place, str]:
    """An id for each: its last level, with levels before it where two share; none if none fits."""
    depth = dict.fromkeys(sorted(places), 1)
    found: dict[Place, str] = {}
    for _ in range(3):
        found = {place: "-".join(place[-depth[place] :]) for place in depth}
        often = Counter(found.values())
        for place, one in found.items():
            if often[one] > 1:
                depth[place] = min(depth[place] + 1, len(place))
    often = Counter(found.values())
    return {
        place: one
        for place, one in found.items()
        if often[one] == 1 and is_asset_id(one) and not one.startswith("_")
    }


def sources_of(ids: Mapping[Place, str]) -> tuple[FoundSource, ...]:
    """The fewest sources; those of one place alone come first, as the first that matches counts."""
    exact, wide = [], {}
    for place, asset in ids.items():
        group, node, *device = place
        if device == [asset]:
            topic = f"{NAMESPACE}/{group}/+/{node}/{{asset}}"
            wide[topic] = FoundSource(topic=topic, asset="", form=SPARKPLUG)
            continue
        topic = "/".join([NAMESPACE, group, "+", node, *device])
        exact.append(FoundSource(topic=topic, asset=asset, form=SPARKPLUG))
    return (*exact, *wide.values())
