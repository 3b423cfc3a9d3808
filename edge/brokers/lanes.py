"""Lanes: whose message one is, and how much it counts, read from its topic alone.

Decided on the network thread for each message, so what was found out of a topic is remembered.

    COMMAND   of operators, a lane for each; they wait apart and are taken first
    CLOCK     plant time of a replay; only the newest wait
    WATCHED   of assets with an open event or job, messages that tell a context tag alone, and
              births and deaths of Sparkplug B: what comes after them has no meaning without
    CRITICAL .. LOW   by the asset's `severity`; topics without an asset count as MEDIUM
    STRANGER  of assets that neither bundle nor configuration knows
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from edge.alerts.announce import SEVERITIES
from edge.brokers.inbox import Lane
from edge.caps import TOPICS_KNOWN_MAX
from edge.samples.waveforms import block_topics
from edge.wire import topics
from edge.wire.sparkplug import BIRTHS, DEATHS, parse_topic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.brokers.inbox import Incoming
    from edge.settings import AssetSettings, GatewaySettings

TOPIC_CHARS_MAX: Final = 256  # of one that is remembered
OPERATORS_MAX: Final = 256  # with a lane of their own; the others share one
# Of the queue, for clock tags: a flood of them leaves room for values. A fast replay, of which the
# broker's window lets a thousand messages through, keeps each in a queue of the usual size:
# samples close by them.
CLOCKS_SHARE: Final = 0.1
NODES_SHARE: Final = 0.1  # likewise, for births and deaths of nodes that are no assets of ours
CONTEXT_BYTES_MAX: Final = 512  # of a message that may tell a context tag alone


class Rank(IntEnum):
    """How much a message counts; what counts least is shed first."""

    STRANGER = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4
    WATCHED = 5
    CLOCK = 6
    COMMAND = 7


class Lanes:
    """Finds the lane of a message. `known` are the assets of the bundle, beside the configured."""

    def __init__(self, settings: GatewaySettings, *, known: Iterable[str]) -> None:
        self._sources = settings.source
        self._command_head = f"{topics.Topics(settings.prefix, settings.site).root}/cmd/"
        self._settings = {asset.id: asset for asset in settings.asset}
        self._default = settings.of_asset
        self._blocks: dict[str, str] = {}
        for asset in settings.asset:
            self._blocks |= dict.fromkeys(block_topics([asset]), asset.id)
        self._assets: dict[str, Lane] = {}
        self._context: dict[str, tuple[Lane, tuple[bytes, ...]]] = {}
        self._births: dict[str, Lane] = {}  # with the deaths
        self._nodes = Lane("", Rank.WATCHED, NODES_SHARE)
        self._ranks: dict[str, Rank] = {}
        self._strangers = Lane("", Rank.STRANGER)
        self._unnamed = Lane("", Rank.MEDIUM)
        self._clock = Lane("", Rank.CLOCK, CLOCKS_SHARE)
        self._operators: dict[str, Lane] = {}
        self._other_operators = Lane("", Rank.COMMAND)
        self._of_topic: dict[str, tuple[Lane, bool]] = {}
        self._watched: frozenset[str] = frozenset()
        self.know([*self._settings, *known])

    def know(self, assets: Iterable[str]) -> None:
        """These are assets of ours from now on; safe while messages come."""
        for name in assets:
            if name in self._assets:
                continue
            found = self._settings.get(name) or self._default(name)
            self._ranks[name] = rank_of(found)
            tags = tuple(f'"{tag.tag}"'.encode() for tag in found.context)
            if tags:
                self._context[name] = Lane(name, Rank.WATCHED), tags
            self._assets[name] = Lane(name, self._ranks[name])
            self._of_topic = {}  # what was a stranger may be known now

    def watch(self, assets: Iterable[str]) -> None:
        """These have an open event or job now, and no others; safe while messages come."""
        watched = frozenset(assets)
        for name in watched - self._watched:
            if name in self._assets:
                self._assets[name].rank = Rank.WATCHED
        for name in self._watched - watched:
            if name in self._assets:
                self._assets[name].rank = self._ranks[name]
        self._watched = watched

    def of(self, message: Incoming) -> tuple[Lane, bool]:
        """The lane of a message, and whether it is a command."""
        found = self._of_topic.get(message.topic)
        if found is None:
            found = self._find(message.topic)
        lane, command = found
        context = None if command else self._context.get(lane.name)
        if context is not None and tells_one_of(message.payload, context[1]):
            return context[0], False
        return found

    def shed(self) -> dict[tuple[str, Rank], int]:
        """Messages shed so far, by asset ("": none was named) and its own rank."""
        found: dict[tuple[str, Rank], int] = {}

        def add(name: str, rank: Rank, lane: Lane) -> None:
            if lane.shed:
                found[name, rank] = found.get((name, rank), 0) + lane.shed

        add("", Rank.STRANGER, self._strangers)
        add("", Rank.MEDIUM, self._unnamed)
        add("", Rank.CLOCK, self._clock)
        for name, lane in list(self._assets.items()):
            add(name, self._ranks[name], lane)
        for name, (lane, _) in list(self._context.items()):
            add(name, self._ranks[name], lane)
        for name, lane in list(self._births.items()):
            add(name, self._ranks[name], lane)
        add("", Rank.WATCHED, self._nodes)
        for lane in [self._other_operators, *list(self._operators.values())]:
            add("", Rank.COMMAND, lane)
        return found

    def _find(self, topic: str) -> tuple[Lane, bool]:
        if topic.startswith(self._command_head):
            operator = topic.removeprefix(self._command_head).partition("/")[0]
            lane = self._operators.get(operator)
            if lane is None:
                lane = self._other_operators
                if len(self._operators) < OPERATORS_MAX and len(operator) <= TOPIC_CHARS_MAX:
                    lane = self._operators[operator] = Lane(operator, Rank.COMMAND)
            return self._remember(topic, (lane, True))
        if topic == topics.CLOCK_TOPIC:
            return self._remember(topic, (self._clock, False))
        asset = self._blocks.get(topic)
        if asset is None:
            source = topics.match_source(topic, self._sources)
            asset = source[1] if source is not None else None
            if source is not None and source[0].format == "sparkplug" and _is_news(topic):
                return self._remember(topic, (self._of_births(source[1]), False))
        if asset is None:
            return self._strangers, False
        if not asset:
            return self._remember(topic, (self._unnamed, False))
        return self._remember(topic, (self._assets.get(asset, self._strangers), False))

    def _of_births(self, asset: str) -> Lane:
        """The lane of the births and deaths of an asset of ours, of a stranger, or of a node."""
        if not asset:
            return self._nodes
        if asset not in self._assets:
            return self._strangers
        return self._births.setdefault(asset, Lane(asset, Rank.WATCHED))

    def _remember(self, topic: str, found: tuple[Lane, bool]) -> tuple[Lane, bool]:
        if len(topic) <= TOPIC_CHARS_MAX:
            if len(self._of_topic) >= TOPICS_KNOWN_MAX:
                self._of_topic = {}
            self._of_topic[topic] = found
        return found


def rank_of(asset: AssetSettings) -> Rank:
    """How much an asset's messages count, by the class of its severity."""
    name = next(word for least, word, _ in SEVERITIES if asset.severity >= least)
    return Rank[name]


def _is_news(topic: str) -> bool:
    """Whether a topic of Sparkplug B brings a birth or death."""
    told = parse_topic(topic)
    return told is not None and told.kind in (*BIRTHS, *DEATHS)


def tells_one_of(payload: bytes, tags: tuple[bytes, ...]) -> bool:
    """Whether a small message of one tag names one of these (in quotes): it may hold an edge.

    What comes with all values comes again with the next; an edge that is sent once does not.
    """
    return (
        len(payload) <= CONTEXT_BYTES_MAX
        and b'"tag"' in payload
        and any(tag in payload for tag in tags)
    )
