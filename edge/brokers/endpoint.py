"""Where a broker is, and who we are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.brokers.tls import TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a broker is and who we are there."""

    host: str = "127.0.0.1"
    port: int = 1883
    client_id: str = ""
    username: str = ""
    password: str | None = field(default=None, repr=False)
    keepalive_s: int = 30
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
