"""Settings of outputs beside our topics, each off until its table stands in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from edge.configuration.sections import BrokerConfig
from edge.configuration.words import out_of_bounds
from edge.errors import ConfigError
from edge.wire.sparkplug import NAMESPACE
from edge.wire.topics import is_asset_id, subscriptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.configuration.sections import MqttConfig
    from edge.settings import EngineSettings, Source

PROMETHEUS_LISTEN: Final = "127.0.0.1:9464"
HOST_STATES: Final = "STATE"  # of Sparkplug: no name of a group, since hosts speak there


class HomeAssistantConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Retained messages by which Home Assistant finds our topics."""

    prefix: str = "homeassistant"


class CloudEventsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each event once more as a CloudEvent, on a topic beside its own."""


class AlertmanagerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where Alertmanager listens, and how we prove who we are there."""

    url: str  # without the path of its API
    resend_s: float = 60.0  # what goes on is said again so often; it ends by itself in four of them
    timeout_s: float = 10.0  # of one request
    ca_file: str = ""  # "": the authorities of the system
    token_file: str = ""  # a bearer token


class PrometheusConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where metrics can be read."""

    listen: str = PROMETHEUS_LISTEN


class SparkplugConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node of Sparkplug B that we are, with a device an asset."""

    group: str
    node: str
    score_every_s: float = 10.0  # a score alone is told so often at most
    broker: BrokerConfig | None = None  # another one than that of all our other topics

    def client_id(self, section: BrokerConfig) -> str:
        """Who the node is on the broker of a section: two connections may not share a name."""
        return f"{section.client_id}-sparkplug"


class OutputsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[output]: what else hears what we publish."""

    home_assistant: HomeAssistantConfig | None = None
    cloudevents: CloudEventsConfig | None = None
    alertmanager: AlertmanagerConfig | None = None
    prometheus: PrometheusConfig | None = None
    sparkplug: SparkplugConfig | None = None

    @property
    def secret_files(self) -> tuple[str, ...]:
        """Files that nobody else may read."""
        named = self.alertmanager.token_file if self.alertmanager is not None else ""
        return (named,) if named else ()


OUTPUT_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "home_assistant": HomeAssistantConfig,
    "cloudevents": CloudEventsConfig,
    "alertmanager": AlertmanagerConfig,
    "prometheus": PrometheusConfig,
    "sparkplug": SparkplugConfig,
    "broker": BrokerConfig,
}


def _check_ack_owner(engine: EngineSettings, path: Path) -> None:
    """Raise ConfigError where something waits for acknowledgements that never come here."""
    if engine.escalate and engine.scada_acks:
        raise ConfigError(
            f"{path}: [engine] escalate waits for acknowledgements, which ack_owner leaves to the"
            " SCADA; let that one escalate, and take escalate out"
        )


def check_outputs(outputs: OutputsConfig, engine: EngineSettings, path: Path) -> None:
    """Raise ConfigError for what a type cannot say."""
    _check_ack_owner(engine, path)
    if outputs.prometheus is not None:
        address_of(outputs.prometheus.listen, path)
    home = outputs.home_assistant
    if home is not None and not all(map(is_asset_id, home.prefix.split("/"))):
        raise ConfigError(
            f"{path}: [output.home_assistant] prefix is {home.prefix!r}, expected a topic without"
            ' + and #, as "homeassistant"'
        )
    told = outputs.alertmanager
    if told is None:
        return
    where = "[output.alertmanager]"
    url = _parts(told.url)
    if url is None or (told.ca_file and url[0] != "https"):
        raise ConfigError(
            f"{path}: {where} url is {told.url!r}, expected http://HOST:9093 or https://HOST:9093"
            " without a user or a query (ca_file needs https)"
        )
    if told.token_file and url[0] != "https" and url[1] not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError(
            f"{path}: {where} token_file over http would show the token to the network; use https"
        )
    for key, value, low, high in (
        ("resend_s", told.resend_s, 1.0, 3_600.0),
        ("timeout_s", told.timeout_s, 0.1, 60.0),
    ):
        if not low <= value <= high:
            raise ConfigError(f"{path}: {out_of_bounds(f'{where} {key}', value, low, high)}")


def check_node(
    outputs: OutputsConfig, mqtt: MqttConfig, sources: Sequence[Source], path: Path
) -> None:
    """Raise ConfigError for a node that cannot be, or that a source of ours would hear."""
    told = outputs.sparkplug
    if told is None:
        return
    where = "[output.sparkplug]"
    for key, name in (("group", told.group), ("node", told.node)):
        if not is_asset_id(name) or name == HOST_STATES:
            raise ConfigError(
                f"{path}: {where} {key} is {name!r}, expected one level of a topic, without / + #"
                f' and not {HOST_STATES}, as "Plant1"'
            )
    bounds: list[tuple[str, float, float, float]] = [
        (f"{where} score_every_s", told.score_every_s, 0.1, 3_600.0)
    ]
    if told.broker is not None:
        bounds.append(("[output.sparkplug.broker] port", told.broker.port, 1, 65_535))
        bounds.append(("[output.sparkplug.broker] keepalive_s", told.broker.keepalive_s, 1, 65_535))
    for name, value, low, high in bounds:
        if not low <= value <= high:
            raise ConfigError(f"{path}: {out_of_bounds(name, value, low, high)}")
    section = told.broker or mqtt.output or mqtt
    if (section.host, section.port) != (mqtt.host, mqtt.port):
        return
    for source in sources:
        if any(_hears(one, told.group, told.node) for one in subscriptions(source)):
            raise ConfigError(
                f"{path}: {where} the source {source.topic!r} hears node {told.node!r} of group"
                f" {told.group!r}, so that our alerts would come back as values; give the node a"
                " group that no source listens to, or name groups or nodes in the source"
            )


def _hears(topic_filter: str, group: str, node: str) -> bool:
    """Whether a topic filter reaches what a node or its devices say."""
    said = (NAMESPACE, group, "", node)  # any kind
    for i, given in enumerate(topic_filter.split("/")[: len(said)]):
        if given == "#":
            return True
        if i != 2 and given not in ("+", said[i]):
            return False
    return len(topic_filter.split("/")) >= len(said)


def _parts(url: str) -> tuple[str, str] | None:
    """Scheme and host of a plain URL; None of any other."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain or port == 0:
        return None
    return (parts.scheme, parts.hostname) if url.isprintable() and " " not in url else None


def address_of(listen: str, path: Path | str = "") -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`. Raises ConfigError."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65_535:
        raise ConfigError(
            f"{path}: [output.prometheus] listen is {listen!r}, expected HOST:PORT,"
            f' as "{PROMETHEUS_LISTEN}"'
        )
    return host, int(port)
