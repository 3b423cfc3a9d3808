"""Before every request of the page: whether it is meant for us, whose it is, whether they may.

Plain ASGI, so that what streams goes on streaming. Whatever the page does behind it finds
`request.user`, a `SignedIn`, and its name and role in `request.state`. Nothing behind it is reached
by a request that fails here.
"""

from __future__ import annotations

import asyncio
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response

from edge.errors import ConfigError
from edge.page.access import is_named
from edge.page.gate import LOG
from edge.page.roles import OWN_PATHS, is_open, may, needed
from edge.page.sessions import is_token

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from edge.page.gate import Gate
    from edge.page.sessions import SignedIn

SESSION: Final = "andon.session"  # the id that a request came with, in its scope
TOKEN_HEADER: Final = "x-andon-token"  # noqa: S105 - the header's name
TOKEN_FIELD: Final = "token"  # noqa: S105 - of a form without script
BODY_BYTES_MAX: Final = 16_384
BODY_S_MAX: Final = 10.0
TOO_LARGE: Final = f"a body may have {BODY_BYTES_MAX} B"
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # with no-referrer a form of our own would be sent with the origin "null"
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_FORM: Final = "application/x-www-form-urlencoded"


class _StreamOverError(OSError):
    """A session has ended while something was sent."""


class _RefusedError(Exception):
    """A request is answered here, with status and words, or sent to the sign-in."""

    def __init__(self, status: int, why: str, *, to: str = "") -> None:
        super().__init__(why)
        self.status, self.why, self.to = status, why, to

    @property
    def answer(self) -> Response:
        """The answer."""
        if self.to:
            return RedirectResponse(self.to, self.status)
        return JSONResponse({"error": self.why}, self.status, headers={"connection": "close"})


class Guard:
    """The page behind its gate."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded = _with_headers(scope, send)
        try:
            body = await self._admitted(scope, receive)
        except _RefusedError as refused:
            await refused.answer(scope, receive, guarded)
            return
        await self._served(scope, _replayed(body, receive), guarded)

    async def _admitted(self, scope: Scope, receive: Receive) -> bytes:
        """The body of a request that may be served. Raises _RefusedError."""
        headers = Headers(scope=scope)
        _check_host(headers, scope, self._gate)
        _check_form(headers, scope)
        _check_origin(headers, scope)
        body = await _body(scope, receive)
        scope[SESSION] = session_id(headers, self._gate.cookie)
        try:
            who = self._gate.who(scope[SESSION])
        except ConfigError as error:
            LOG.exception("users_unreadable")
            why = "the users file cannot be used; see the log of the page"
            raise _RefusedError(503, why) from error
        if who is not None:
            scope["user"] = who
            scope["state"] = {**scope.get("state", {}), "user": who.name, "role": str(who.role)}
        if not is_open(scope["method"], scope["path"]):
            _check_rights(headers, scope, who, body)
        return body

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page's answer; a stream ends with its session, and keeps it in use until then."""
        ended = False

        async def sent(message: Message) -> None:
            nonlocal ended
            goes_on = message["type"] == "http.response.body" and message.get("more_body")
            if goes_on and not self._stands(scope):
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                raise _StreamOverError
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except (_StreamOverError, ClientDisconnect, BaseExceptionGroup):
            if not ended:
                raise

    def _stands(self, scope: Scope) -> bool:
        if "user" not in scope or is_open(scope["method"], scope["path"]):
            return True
        try:
            who: SignedIn = scope["user"]
            return self._gate.who(scope[SESSION]) == who
        except ConfigError:
            return False


def session_id(headers: Headers, cookie: str) -> str:
    """The session id of a request; "" for none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(cookie)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def address_of(scope: Scope) -> str:
    """From where a request comes, as the connection says."""
    client = scope.get("client")
    return str(client[0]) if client else "?"


def _check_host(headers: Headers, scope: Scope, gate: Gate) -> None:
    """Refuse a name that is not ours: it may belong to a page whose name was turned to us."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not is_named(hosts[0], gate.names):
        LOG.warning("host_refused", extra={"fields": {"address": address_of(scope)}})
        raise _RefusedError(421, "this page has another name; list it in [page] hosts")


def _check_form(headers: Headers, scope: Scope) -> None:
    """Refuse methods, paths and bodies that the page has no use for, before a body is read."""
    path, method, told = scope["path"], scope["method"], headers.get("content-length", "0")
    if method not in ("GET", "HEAD", "POST"):
        raise _RefusedError(405, "expected GET, HEAD or POST")
    if "//" in path or "\\" in path or ".." in path.split("/") or not path.isprintable():
        raise _RefusedError(400, "no path of this page")
    if not (told.isascii() and told.isdigit()):
        raise _RefusedError(400, "content-length is no number")
    if method != "POST" and (told.strip("0") or "transfer-encoding" in headers):
        raise _RefusedError(400, f"{method} has no body here")
    if len(told) > 9 or int(told) > BODY_BYTES_MAX:
        raise _RefusedError(413, TOO_LARGE)


def _check_origin(headers: Headers, scope: Scope) -> None:
    """Refuse what another page made a browser ask; a link from elsewhere may open ours."""
    site, unsafe = headers.get("sec-fetch-site", ""), scope["method"] == "POST"
    opened = (
        not unsafe
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    if site in ("cross-site", "same-site") and not opened:
        raise _RefusedError(403, "asked for by another site")
    if unsafe and site == "none":
        raise _RefusedError(403, "asked for by no page")
    origin = headers.get("origin")
    if origin is None:
        if unsafe and not site:
            raise _RefusedError(403, "neither Origin nor Sec-Fetch-Site says which page asks")
        return
    split = urlsplit(origin)
    if (split.scheme, split.netloc.lower()) != (scope["scheme"], headers["host"].lower()):
        raise _RefusedError(403, "asked for by another origin")


def _check_rights(headers: Headers, scope: Scope, who: SignedIn | None, body: bytes) -> None:
    """Refuse who is not in, what no page of ours has sent, and what is beyond a role."""
    method, path = scope["method"], scope["path"]
    if who is None:
        if method == "GET" and "text/html" in headers.get("accept", ""):
            raise _RefusedError(303, "", to=f"/sign-in?next={quote(path, safe='/')}")
        raise _RefusedError(401, "sign in first")
    if method == "POST" and not is_token(who, _token(headers, body, path)):
        raise _RefusedError(403, f"the header {TOKEN_HEADER} is missing or of another session")
    right = needed(method, path, body)
    if right is None:
        raise _RefusedError(404, f"nothing at {path[:200]} takes this {method}")
    if not may(who.role, right):
        fields = {"user": who.name, "role": str(who.role), "right": right}
        LOG.warning("beyond_role", extra={"fields": fields})
        raise _RefusedError(403, f"{who.name} is {who.role}, which does not allow {right}")


async def _body(scope: Scope, receive: Receive) -> bytes:
    """All of a small body at once, before anything is decided."""
    if scope["method"] != "POST":
        return b""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_S_MAX):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise _RefusedError(400, "the body ended early")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > BODY_BYTES_MAX:
                    raise _RefusedError(413, TOO_LARGE)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        why = f"the body took longer than {BODY_S_MAX:.0f} s"
        raise _RefusedError(408, why) from None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more, and then whatever the connection says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _token(headers: Headers, body: bytes, path: str) -> str:
    """The token of the session as a script sends it, or a form of the page's own."""
    given = headers.get(TOKEN_HEADER, "")
    if given or path not in OWN_PATHS or not headers.get("content-type", "").startswith(_FORM):
        return given
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=10).get(TOKEN_FIELD, [""])[0]
    except ValueError:
        return ""


def _with_headers(scope: Scope, send: Send) -> Send:
    """What every answer says to a browser; what is of a plant or a person is not kept there."""
    kept = is_open("GET", scope["path"]) and scope["path"] != "/sign-in"

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            if not kept or message["status"] >= 400:
                headers["cache-control"] = "no-store"
        await send(message)

    return sent
