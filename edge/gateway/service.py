"""A gateway as a process: its log, its signals, its exit code."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

from edge import logs
from edge.boxes.identity import FENCED_EXIT, Fenced
from edge.gateway.app import Gateway
from edge.records import Note

if TYPE_CHECKING:
    from edge.configuration.config import GatewayConfig


def run(config: GatewayConfig, *, log_level: str = "info", log_json: bool = False) -> int:
    """Run a gateway until SIGTERM or SIGINT. Returns the exit code.

    Raises AndonError, ModelError or KnowledgeError where it cannot begin.
    """
    logs.configure(level=log_level, as_json=log_json)
    gateway: Gateway | None = None
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True
        if gateway is not None:
            gateway.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        gateway = Gateway(config)
    except Fenced as error:
        note = Note(name="fenced", level="error", fields={"cause": str(error)})
        logs.write(logging.getLogger("andon"), note)
        return FENCED_EXIT
    if asked:
        gateway.stop()
    return gateway.run()
