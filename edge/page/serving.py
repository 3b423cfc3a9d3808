"""`andon page`: the process, its socket and its end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import uvicorn

from edge.brokers.rights import page_filters
from edge.errors import ConfigError
from edge.page.app import make_app
from edge.page.connection import page_endpoint
from edge.page.desk import Desk
from edge.page.gate import LOG
from edge.page.signed import signed
from edge.reports.heard import heard_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from edge.configuration.config import GatewayConfig

BACKLOG: Final = 128


class Server(uvicorn.Server):
    """Ends its streams first: a browser would hold one for ever."""

    def __init__(self, config: uvicorn.Config, desk: Desk, told: Callable[[], None]) -> None:
        super().__init__(config)
        self._desk, self._told = desk, told

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Say so once it listens."""
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            self._told()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to end."""
        self._desk.feed.stopping = True
        self._desk.pulse.beat()
        super().handle_exit(sig, frame)


def listen_on(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080` or `[::1]:8080`. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigError(f"--listen {text!r}: expected an address and a port, as 127.0.0.1:8080")
    return host, int(port)


def serve(config: GatewayConfig, *, listen: str, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. told: hears where, once it listens. Raises AndonError."""
    host, port = listen_on(listen)
    # The server hands a signal on once it has ended: by then there is nothing left to end.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(config, host, port, told))
    finally:
        signal.signal(signal.SIGTERM, before)


async def _serve(config: GatewayConfig, host: str, port: int, told: Callable[[str], None]) -> None:
    desk = Desk(config, page_endpoint(config), filters=page_filters(config))
    guarded = signed(
        make_app(desk),
        config,
        host=host,
        now=lambda: heard_now(
            desk.picture.board.rows(), blind=desk.picture.blind, t_ms=desk.heard_ms
        ),
    )
    for warning in guarded.warnings:
        LOG.warning(warning)
    scheme = "https" if config.page.tls_cert_file else "http"
    shown = f"[{host}]" if ":" in host else host
    options = uvicorn.Config(
        guarded.app,
        host=host,
        port=port,
        backlog=BACKLOG,
        lifespan="off",
        access_log=False,
        log_config=None,
        **guarded.options,
    )
    try:
        async with desk.open():
            await Server(options, desk, lambda: told(f"{scheme}://{shown}:{port}/")).serve()
    finally:
        guarded.gate.close()
