"""What a link needs of MQTT; the module `edge.brokers.mqtt` is one, a simulation has another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from edge.brokers.endpoint import Endpoint
    from edge.brokers.inbox import Incoming


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker says for us when we are gone."""

    topic: str
    payload: bytes


class Transport(Protocol):
    """What a link needs of MQTT; the module `edge.brokers.mqtt` is one.

    Clients are as paho has them: their callbacks run one after another, beside the loop. Each has
    `reasons`, a `edge.brokers.failures.Reasons`, and what `edge.brokers.read_ahead` adds to one.
    """

    def new_client(self, endpoint: Endpoint, *, persistent: bool, manual_ack: bool = False) -> Any:  # noqa: ANN401
        """A client that is not connected yet. Raises BrokerError."""

    def start(self, client: Any, endpoint: Endpoint) -> None:  # noqa: ANN401
        """Connect in the background, again and again until it works."""

    def stop(self, client: Any) -> None:  # noqa: ANN401
        """Disconnect; returns when no callback runs any more."""

    def was_taken(self, info: Any, *, qos: int) -> bool:  # noqa: ANN401
        """Whether a publication will reach the broker as far as the client can help it."""

    def is_alive(self, client: Any) -> bool:  # noqa: ANN401
        """Whether a started client goes on working."""

    def incoming(self, m: Any, connection: int = 0, link: str = "") -> Incoming:  # noqa: ANN401
        """A message as we keep it."""
