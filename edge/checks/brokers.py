"""What `andon check` finds out about brokers: who lets us in, what proves it, who may read."""

from __future__ import annotations

import stat
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge.brokers.links import endpoint_of
from edge.brokers.mqtt import Collector
from edge.brokers.rights import command_filters, own_filters, sensor_filters
from edge.brokers.tls import spans_of_files
from edge.configuration.config import brokers
from edge.errors import AndonError
from edge.wire.sparkplug_node import node_filters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.brokers.tls import Span
    from edge.configuration.config import GatewayConfig
    from edge.configuration.output_settings import OutputsConfig
    from edge.configuration.sections import BrokerConfig, LdapConfig

OTHERS: Final = stat.S_IROTH | stat.S_IWOTH
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

Finding = tuple[str, bool, str]  # what, fine, detail


def broker_findings(config: GatewayConfig) -> Iterator[Finding]:
    """What is there of each broker and of the files that it takes, with what to do."""
    sections = brokers(config)
    for where, broker in sections:
        name = "broker" if len(sections) == 1 else _name(where)
        yield from _secrets(config, broker, where)
        alone = len(sections) == 1
        filters = _filters(config, where, alone=alone)
        yield from _connection(config, broker, name, where, filters)
    yield from _secrets(config, config.output, "[output.alertmanager]")
    if config.page.ldap is not None:
        yield from _secrets(config, config.page.ldap, "[page.ldap]")
    node = config.output.sparkplug
    if node is not None and node.broker is not None:
        where = "[output.sparkplug.broker]"
        yield from _secrets(config, node.broker, where)
        told = node_filters(node.group, node.node)
        yield from _connection(config, node.broker, "broker of Sparkplug B", where, told)


def _name(where: str) -> str:
    return "output broker" if "output" in where else "input broker"


def _secrets(
    config: GatewayConfig, broker: BrokerConfig | OutputsConfig | LdapConfig, where: str
) -> Iterator[Finding]:
    for name in broker.secret_files:
        path = config.path(name)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:  # told where it is read
            continue
        if mode & OTHERS:
            hint = f"{where} {path} can be read or changed by everybody here (mode {mode:04o})"
            yield "secret", False, f"{hint}; chmod 600 {path}"


def _filters(config: GatewayConfig, where: str, *, alone: bool) -> list[str]:
    """What the gateway subscribes to on one of its brokers."""
    sensors = sensor_filters(config)
    # with those on which all waits: a gateway that may not hear `fence` never speaks
    people = command_filters(config) + own_filters(config)
    return people if "output" in where else sensors + people * alone


def _connection(
    config: GatewayConfig, broker: BrokerConfig, name: str, where: str, filters: list[str]
) -> Iterator[Finding]:
    spans: list[Span] = []
    try:
        given = endpoint_of(config, broker)
        spans = spans_of_files(given.tls) if given.tls is not None else []
        # Without our client id: a gateway that runs must not be thrown out by a look.
        with Collector(replace(given, client_id=""), filters, patient=False) as collector:
            spans = collector.spans
            secured = " over TLS" if given.tls is not None else ""
            told = f"{given}{secured} grants {', '.join(filters)}"
        if given.tls is None and given.username and given.host not in LOOPBACK:
            told += f"; the password crosses the network in plain text: set {where} tls_ca_file"
        yield name, True, told
    except AndonError as error:
        yield name, False, f"{where}: {error}"
    now_s = time.time()
    for span in spans:
        said = span.trouble(now_s)
        days = f"{span.what} holds for {span.days_left(now_s):.0f} days"
        yield "certificate", not said, f"{name}: {said or days}"
