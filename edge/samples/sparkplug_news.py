"""What births, deaths and gaps of Sparkplug B mean for an asset, and the one thing we may ask.

A death makes its asset silent at once. Values that no birth names, and aliases in doubt, are noted
with the asset: the first is told, the second keeps anything from being suppressed. Where a source
says so (`rebirth`), the node is asked for its births: the only command that Andon ever sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.records import Publish
from edge.samples.sparkplug import BORN, DIED, MISSED, NO_NAMES, SPEAKS
from edge.wire.sparkplug_writing import encode_rebirth, rebirth_topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.desk import Desk
    from edge.samples.sparkplug import News, Sparkplug
    from edge.settings import Source
    from edge.state import AssetState

MILLISECOND_NS: Final = 1_000_000


class SparkplugNews:
    """Tells the states of assets, and the desk whose changes."""

    def __init__(
        self, sparkplug: Sparkplug, states: Mapping[str, AssetState], *, desk: Desk
    ) -> None:
        self._sparkplug, self._states, self._desk = sparkplug, states, desk

    def take(self, source: Source, *, t_ns: int) -> None:
        """Take what the newest message has brought; t_ns: the engine's now."""
        for news in self._sparkplug.news:
            self._take_one(news, t_ns=t_ns)
            if source.rebirth and news.what in (MISSED, NO_NAMES):
                self._ask(news.node, t_ns=t_ns)

    def _take_one(self, news: News, *, t_ns: int) -> None:
        state = self._states[news.asset]
        known = state.dead_ns, state.nameless_ns, state.doubted_ns
        dead_ns, nameless_ns, doubted_ns = known
        if news.what == BORN:
            dead_ns = nameless_ns = doubted_ns = 0
        elif news.what == SPEAKS:
            dead_ns = 0
        elif news.what == DIED:
            dead_ns, nameless_ns, doubted_ns = t_ns, 0, 0
        elif news.what == NO_NAMES:
            nameless_ns = nameless_ns or t_ns
        elif news.what == MISSED:
            doubted_ns = t_ns
        if (dead_ns, nameless_ns, doubted_ns) != known:
            self._desk.before((news.asset,))
            state.dead_ns, state.nameless_ns, state.doubted_ns = dead_ns, nameless_ns, doubted_ns
            self._desk.stirred.add(news.asset)

    def _ask(self, node: str, *, t_ns: int) -> None:
        if self._sparkplug.nodes.may_ask(node, now_ns=t_ns):
            payload = encode_rebirth(t_ms=t_ns // MILLISECOND_NS)
            topic = rebirth_topic(node)
            asked = Publish(topic=topic, payload=payload, qos=0, retain=False)
            self._desk.effects.append(asked)
