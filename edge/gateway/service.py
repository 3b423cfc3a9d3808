"""A gateway as a process: its log, its signals, its exit code."""

from __future__ import annotations

import gc
import logging
import signal
from typing import TYPE_CHECKING

from edge import logs
from edge.boxes.identity import FENCED_EXIT, Fenced
from edge.gateway.app import Gateway
from edge.gateway.reloading import Reloading
from edge.records import Note

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.configuration.config import GatewayConfig


def run(
    config: GatewayConfig,
    *,
    log_level: str = "info",
    log_json: bool = False,
    read: Callable[[], GatewayConfig] | None = None,
) -> int:
    """Run a gateway until SIGTERM or SIGINT. Returns the exit code.

    read: the configuration as its file has it now, for SIGHUP to take over. Raises AndonError,
    ModelError or KnowledgeError where it cannot begin.
    """
    logs.configure(level=log_level, as_json=log_json)
    reloading = Reloading(config, read)
    gateway: Gateway | None = None
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True
        if gateway is not None:
            gateway.stop()

    def reload(*_: object) -> None:
        reloading.ask()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, reload)
    while True:
        try:
            gateway = Gateway(reloading.config)
        except Fenced as error:
            note = Note(name="fenced", level="error", fields={"cause": str(error)})
            logs.write(logging.getLogger("andon"), note)
            return FENCED_EXIT
        if asked:
            gateway.stop()
        reloading.serves(gateway)
        code = gateway.run()
        if asked or code or not reloading.taken():
            return code
        gateway = None
        gc.unfreeze()  # what a start has frozen would stay for ever
        gc.collect()
