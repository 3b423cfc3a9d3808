"""What the page answers to a browser: files, one stream of changes, questions and commands."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edge.errors import UNREADABLE
from edge.page.sayings import SayingError
from edge.page.sessions import SignedIn
from edge.wire.outgoing import EventPayload
from edge.wire.reread import reread
from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from starlette.requests import Request

    from edge.page.desk import Desk

STATIC: Final = Path(__file__).resolve().parent / "static"
BODY_BYTES_MAX: Final = 8 << 10
ASSETS_ASKED_MAX: Final = 200
SIMILAR_COUNT: Final = 6


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, for who asked."""

    error: str


def make_app(desk: Desk) -> Starlette:
    """The page of a desk; who asks the guard before it says, as `request.user`."""
    routes = Questions(desk)
    return Starlette(
        routes=[
            Route("/", routes.index),
            Route("/stream", routes.stream),
            Route("/api/me", routes.me),
            Route("/api/assets", routes.assets),
            Route("/api/scores", routes.scores),
            Route("/api/trend/{asset}", routes.trend),
            Route("/api/event/{asset}/{id}", routes.event),
            Route("/api/similar/{asset}/{id}", routes.similar),
            Route("/api/document", routes.document),
            Route("/api/search", routes.search),
            Route("/api/scopes/{asset}", routes.scopes),
            Route("/api/say/{command}", routes.command, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
    )


class Questions:
    """Routes, each with what it answers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def index(self, _request: Request) -> Response:
        """The page."""
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    async def stream(self, request: Request) -> Response:
        """Changes as server-sent events; `Last-Event-ID` resumes."""
        if self._desk.feed.full:
            return _json(Answer(error="too many streams are open"), 503)
        last = request.headers.get("last-event-id", "")
        return StreamingResponse(
            self._desk.feed.stream(last),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def me(self, request: Request) -> Response:
        """Who asks, and what they may say."""
        who = _who(request)
        said = {"user": who.name, "role": who.role, "may": who.rights, "token": who.token}
        return _json(said | {"open": who.open})

    async def assets(self, _request: Request) -> Response:
        """Ids of all assets."""
        return _json(sorted(self._desk.picture.assets))

    async def scores(self, request: Request) -> Response:
        """The newest score of the assets that are asked for: those in view."""
        asked = request.query_params.getlist("asset")[:ASSETS_ASKED_MAX]
        trends = self._desk.picture.trends
        return _json({asset: trends.newest(asset) for asset in asked})

    async def trend(self, request: Request) -> Response:
        """Scores of an asset after a time."""
        since = request.query_params.get("since", "0")
        after_ms = int(since) if since.isdecimal() and len(since) < 16 else 0
        return _json(self._desk.picture.trends.since(request.path_params["asset"], after_ms))

    async def event(self, request: Request) -> Response:
        """The newest event of an alert in full."""
        found = await self._event(request)
        if found is None:
            return _json(Answer(error="no event of this alert is kept"), 404)
        return Response(found, media_type="application/json")

    async def similar(self, request: Request) -> Response:
        """Events of before that look like one."""
        found, past = await self._event(request), self._desk.past
        topic = self._desk.topics.event(request.path_params["asset"])
        said = found and reread(found, topic=topic, topics=self._desk.topics)
        if not isinstance(said, EventPayload):
            return _json([])
        return _json(await asyncio.to_thread(past.similar, said, count=SIMILAR_COUNT))

    async def document(self, request: Request) -> Response:
        """A document with its stored text, which citations point into."""
        asked = request.query_params
        found = await asyncio.to_thread(
            self._desk.papers.paper, asked.get("doc", ""), asked.get("revision", "")
        )
        if found is None:
            return _json(Answer(error="this revision of the document is in no snapshot here"), 404)
        return _json(found)

    async def search(self, request: Request) -> Response:
        """Passages of the knowledge that answer a question."""
        asked, now_ns = request.query_params, self._desk.now_ms * 1_000_000
        try:
            found = await asyncio.to_thread(
                self._desk.papers.search,
                asked.get("q", ""),
                asset=asked.get("asset", ""),
                now_ns=now_ns,
            )
        except KnowledgeError as error:
            return _json(Answer(error=str(error)), 503)
        return _json(found)

    async def scopes(self, request: Request) -> Response:
        """Work that approved tables know for an asset."""
        asset, now_ns = request.path_params["asset"], self._desk.now_ms * 1_000_000
        return _json(await asyncio.to_thread(self._desk.papers.scopes, asset, now_ns=now_ns))

    async def command(self, request: Request) -> Response:
        """A command of who asks; the gateway's answer."""
        try:
            body = await _body(request)
            said = await self._desk.sayings.say(
                _who(request).name, request.path_params["command"], body, now_ms=self._desk.now_ms
            )
        except SayingError as error:
            return _json(Answer(error=str(error)), error.status)
        return _json(said)

    async def _event(self, request: Request) -> bytes | None:
        asset, alert_id = request.path_params["asset"], request.path_params["id"]
        picture = self._desk.picture
        found = picture.detail(alert_id)
        if found is not None and not picture.is_behind(alert_id):
            return found
        return await asyncio.to_thread(self._desk.past.event, asset, alert_id) or found


def _who(request: Request) -> SignedIn:
    """Who asks: no request comes here without the guard's knowing."""
    who = request.user
    assert isinstance(who, SignedIn), "the page is served behind its guard"
    return who


async def _body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise SayingError("expected content-type application/json", status=415)
    sent = b""
    async for part in request.stream():
        sent += part
        if len(sent) > BODY_BYTES_MAX:
            raise SayingError(f"over {BODY_BYTES_MAX} B", status=413)
    try:
        return msgspec.json.decode(sent, type=dict[str, Any])
    except UNREADABLE as error:
        raise SayingError(f"{error}; expected one JSON object", status=400) from error


def _json(value: object, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(value),
        status,
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )
