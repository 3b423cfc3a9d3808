"""What a gateway reads and writes on its brokers: the one list that all who ask for it use.

`andon check` prints it, `andon broker` makes access lists of it, tests hold the gateway to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.alerts.annunciate import known_causes
from edge.alerts.causes import topic_of
from edge.boxes.retirement import retired_topics
from edge.outputs.on_broker import output_filters, output_topics
from edge.samples.waveforms import block_topics
from edge.wire.topics import CLOCK_TOPIC, Topics, rebirth_topics, subscriptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.configuration.config import GatewayConfig

BROKER_DROPS: Final = "$SYS/broker/publish/messages/dropped"  # what the broker says of itself


def sensor_filters(config: GatewayConfig) -> list[str]:
    """Topic filters of everything that comes from machines; on the input broker."""
    told = [topic for source in config.source for topic in subscriptions(source)]
    filters = list(dict.fromkeys(told))
    filters += block_topics(config.asset)
    if config.clock == "plant":
        filters.append(CLOCK_TOPIC)
    if config.mqtt.watch_broker_drops:
        filters.append(BROKER_DROPS)
    return filters


def command_filters(config: GatewayConfig) -> list[str]:
    """Topic filters of what people say; on the output broker."""
    return [Topics(config.prefix, config.site).command_filter]


def own_filters(config: GatewayConfig) -> list[str]:
    """Topic filters of what we hear of our own; output.

    Who speaks, which alerts stand, and what a node of Sparkplug B is told that we are.
    """
    topics = Topics(config.prefix, config.site)
    return [topics.fence, f"{topics.alerts}#", topics.group("#"), *output_filters(config)]


def page_filters(config: GatewayConfig) -> list[str]:
    """Topic filters of the operator's page: what we publish but what only gateways read; output."""
    topics = Topics(config.prefix, config.site)
    kinds = ("alert", "group", "event", "suppressed", "job", "score", "commissioning")
    filters = [topics.status, topics.health, *(f"{topics.root}/{kind}/#" for kind in kinds)]
    filters.append(topics.command_result("+"))
    if config.clock == "plant" and config.mqtt.output is None:
        filters.append(CLOCK_TOPIC)
    return filters


def page_writes(config: GatewayConfig) -> list[str]:
    """What the operator's page publishes: commands, for whoever is signed in there; output."""
    return command_filters(config)


def published_topics(config: GatewayConfig, assets: Sequence[str]) -> list[str]:
    """Every topic that a gateway with these assets publishes, and of those that were retired.

    An operator's level is `+`, and that of a node of Sparkplug B which any may be.
    """
    topics = Topics(config.prefix, config.site)
    causes = [topic_of(cause) for cause in known_causes(config.asset, assets)]
    learning = config.commissioning
    own = [topics.commissioning(a) for a in assets if learning is not None and learning.covers(a)]
    own += retired_topics(config.path(config.journal.dir), topics)
    own += output_topics(config, assets)
    own += rebirth_topics(config.source)
    return list(dict.fromkeys([*topics.published(assets, causes), *own]))
