"""Where the page connects to, and as whom."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from edge.brokers.links import endpoint_of
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.brokers.endpoint import Endpoint
    from edge.configuration.config import GatewayConfig


def page_endpoint(config: GatewayConfig) -> Endpoint:
    """The broker of [mqtt.output], else of [mqtt], under the page's own name.

    A client id of each process: two pages never throw each other out. Raises ConfigError where the
    broker asks who somebody is, and the page has no account of its own.
    """
    broker, page = config.mqtt.output or config.mqtt, config.page
    named = bool(broker.username and not page.broker_username)
    if named or (broker.tls_cert_file and not page.broker_cert_file):
        raise ConfigError(
            "the page needs an account of its own on the broker: set [page] broker_username and"
            " broker_password_file (or broker_cert_file and broker_key_file) and make the access"
            " list again with `andon broker`; the gateway's rights are not for it"
        )
    own = msgspec.structs.replace(
        broker,
        username=page.broker_username,
        password_file=page.broker_password_file,
        tls_cert_file=page.broker_cert_file,
        tls_key_file=page.broker_key_file,
        tls_key_password_file=page.broker_key_password_file,
    )
    client_id = f"andon-page-{secrets.token_hex(6)}"
    return replace(endpoint_of(config, own), client_id=client_id)
