"""What the outputs that a configuration asks for publish and hear on the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.outputs.home_assistant import discovery_topics, is_owed
from edge.wire.sparkplug_node import node_filters, node_topics
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.configuration.config import GatewayConfig
    from edge.configuration.output_settings import SparkplugConfig


def output_topics(config: GatewayConfig, assets: Sequence[str]) -> list[str]:
    """Every topic that outputs publish besides those of the gateway."""
    found = discovery_topics(config, assets) if is_owed(config) else []
    if config.output.cloudevents is not None:
        topics = Topics(config.prefix, config.site)
        found += [topics.cloudevent(asset) for asset in assets]
    node = _node_here(config)
    return found + (node_topics(node.group, node.node, assets) if node is not None else [])


def output_filters(config: GatewayConfig) -> list[str]:
    """Topic filters of what outputs are told on the broker of our own topics."""
    node = _node_here(config)
    return node_filters(node.group, node.node) if node is not None else []


def _node_here(config: GatewayConfig) -> SparkplugConfig | None:
    """The node of Sparkplug B that speaks on the broker of our own topics; None: none does."""
    node = config.output.sparkplug
    return node if node is not None and node.broker is None else None
