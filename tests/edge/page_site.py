"""A page behind its guard, served by a real uvicorn, and people who ask it."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from edge.configuration.config import GatewayConfig
from edge.configuration.sections import PageConfig
from edge.page.accounts import Accounts
from edge.page.roles import Role
from edge.page.signed import Signed, signed
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.requests import Request

PASSWORD: Final = "seven grey pumps"
PEOPLE: Final = {"vera": Role.VIEWER, "otto": Role.OPERATOR, "enno": Role.ENGINEER}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now_s


class Site:
    """A page that is served. heard: commands that came through to it, as (user, role, name)."""

    def __init__(self, served: Signed, port: int, accounts: Accounts, clock: Clock) -> None:
        self.gate, self.port, self.accounts, self.clock = served.gate, port, accounts, clock
        self.url = f"http://127.0.0.1:{port}"
        self.heard: list[tuple[str, str, str]] = []
        self._browsers: list[httpx.Client] = []
        self._in: dict[str, httpx.Client] = {}

    def stolen(self, client: httpx.Client) -> httpx.Client:
        """Another browser with somebody's cookies."""
        other = self.browser()
        other.cookies.update(client.cookies)
        return other

    def browser(self, **headers: str) -> httpx.Client:
        """A client that tells its origin, as browsers do."""
        client = httpx.Client(
            base_url=self.url, headers={"origin": self.url, **headers}, timeout=30.0
        )
        self._browsers.append(client)
        return client

    def close(self) -> None:
        """Close all browsers."""
        for client in self._browsers:
            client.close()

    def known(self, name: str) -> httpx.Client:
        """Another window of a browser in which somebody has been signed in: no hash, no wait."""
        if name not in self._in:
            self._in[name] = self.signed_in(name)
        client = self.stolen(self._in[name])
        client.headers["x-andon-token"] = self._in[name].headers["x-andon-token"]
        return client

    def signed_in(self, name: str, password: str = PASSWORD) -> httpx.Client:
        """A browser in which somebody is signed in, with the token in its headers."""
        client = self.browser()
        done = client.post("/sign-in", data={"name": name, "password": password})
        assert done.status_code == 303, done.text
        client.headers["x-andon-token"] = client.get("/api/session").json()["token"]
        return client


def _app(heard: list[tuple[str, str, str]], ticks: threading.Event) -> Starlette:
    async def picture(request: Request) -> JSONResponse:
        return JSONResponse({"user": request.user.name})

    async def say(request: Request) -> JSONResponse:
        command = request.path_params["command"]
        heard.append((request.state.user, request.state.role, command))
        return JSONResponse({"size": len(await request.body())})

    async def stream(_request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "data: 0\n\n"
            while True:
                await asyncio.to_thread(ticks.wait)
                ticks.clear()
                yield "data: 1\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")

    return Starlette(
        routes=[
            Route("/", picture),
            Route("/api/picture", picture),
            Route("/api/say/{command}", say, methods=["POST"]),
            Route("/stream", stream),
        ]
    )


@contextmanager
def served(
    base: Path,
    *,
    people: bool = True,
    ticks: threading.Event | None = None,
    site: str = "plant1",
    **page: object,
) -> Iterator[Site]:
    """A site in a directory, until the block ends."""
    clock = Clock()
    config = GatewayConfig(site=site, page=msgspec.convert(page, PageConfig), base=str(base))
    accounts = Accounts(config.path(config.page.users_file))
    if people:
        for name, role in PEOPLE.items():
            accounts.add(name, role, PASSWORD)
    heard: list[tuple[str, str, str]] = []
    ticks = ticks or threading.Event()
    found = signed(_app(heard, ticks), config, host="127.0.0.1", clock_s=clock)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(found.app, log_config=None, lifespan="off", **found.options)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    one = Site(found, port, accounts, clock)
    one.heard = heard
    try:
        wait_until(lambda: server.started, what="the page")
        yield one
    finally:
        one.close()
        server.should_exit = True
        ticks.set()
        thread.join(20)
        listening.close()
        found.gate.close()
    assert not thread.is_alive()
