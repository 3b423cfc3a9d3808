"""Handover sheet and month report on the operator page: to look at, to print, as files.

`Mount("/", ...)` these beside the page. What is asked of a disk runs beside the loop.
"""

from __future__ import annotations

import asyncio
from html import escape
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from edge.errors import AndonError, ConfigError
from edge.reports.html import fragment, html_page, style_file
from edge.reports.making import Making, moment_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from edge.configuration.config import GatewayConfig
    from edge.reports.document import Document
    from edge.reports.handover import Now

STYLE: Final = "/report.css"
MEDIA: Final = {".html": "text/html; charset=utf-8", ".pdf": "application/pdf"}


def report_routes(config: GatewayConfig, now: Callable[[], Now | None]) -> list[Route]:
    """`/handover`, `/report/month` and their files. now: what the page has heard, None nothing.

    `?at=2026-10-31T14:00`, `?month=2026-10`, `?language=de`; `?part=1`: the report by itself, for
    another page.
    """
    pages = _Reports(config, now)
    return [
        Route("/handover", pages.handover),
        Route("/handover{form}", pages.handover),
        Route("/report/month", pages.month),
        Route("/report/month{form}", pages.month),
        Route(STYLE, pages.style),
    ]


class _Reports:
    """Answers."""

    def __init__(self, config: GatewayConfig, now: Callable[[], Now | None]) -> None:
        self._config, self._now = config, now
        self._one = asyncio.Semaphore(1)  # a month takes a second, and some memory

    async def handover(self, request: Request) -> Response:
        """The sheet of a shift."""
        asked = request.query_params

        def make(making: Making) -> Document:
            at = asked.get("at", "")
            at_ms = moment_ms(at, making.local) if at else None
            return making.handover(at_ms=at_ms, now=self._now())

        return await self._answer(request, make)

    async def month(self, request: Request) -> Response:
        """The report of a month."""
        name = request.query_params.get("month", "")
        return await self._answer(request, lambda making: making.month(name))

    async def style(self, _request: Request) -> Response:
        """How both look."""
        return Response(style_file(), media_type="text/css")

    async def _answer(self, request: Request, make: Callable[[Making], Document]) -> Response:
        form = request.path_params.get("form", "")
        if form not in ("", *MEDIA):
            return JSONResponse({"error": f"expected one of {', '.join(MEDIA)}"}, 404)
        language = request.query_params.get("language", "")

        def made() -> tuple[Document, bytes]:
            making = Making(self._config, language=language)
            document = make(making)
            return document, making.written(document, form) if form else b""

        try:
            async with self._one:
                document, content = await asyncio.to_thread(made)
        except ConfigError as error:
            return JSONResponse({"error": str(error)}, 400)
        except AndonError as error:
            return JSONResponse({"error": str(error)}, 503)
        if form:
            name = request.url.path.rpartition("/")[2]
            named = {"content-disposition": f'attachment; filename="andon-{name}"'}
            return Response(content, media_type=MEDIA[form], headers=named)
        if request.query_params.get("part"):
            return HTMLResponse(fragment(document))
        return HTMLResponse(html_page(document, style=STYLE, links=_links(request)))


def _links(request: Request) -> str:
    """The same as a file."""
    path, query = request.url.path, request.url.query
    behind = f"?{escape(query)}" if query else ""
    links = (f'<a href="{escape(path)}{form}{behind}">{form[1:].upper()}</a>' for form in MEDIA)
    return f'<nav class="report"><a href="/">Andon</a> {" ".join(links)}</nav>'
