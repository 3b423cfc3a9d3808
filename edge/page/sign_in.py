"""Signing in and out, one's own password, and who one is: pages that work without a script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from edge.errors import ConfigError
from edge.page.accounts import Accounts
from edge.page.directory import DirectoryError
from edge.page.guard import SESSION, TOKEN_FIELD, address_of
from edge.page.sign_in_words import STYLE, words_for

if TYPE_CHECKING:
    from starlette.requests import Request

    from edge.page.gate import Gate
    from edge.page.sessions import SignedIn

FIELDS_MAX: Final = 10


def sign_in_routes(gate: Gate) -> list[Route]:
    """The pages, behind the guard."""
    pages = _Pages(gate)
    return [
        Route("/sign-in", pages.form),
        Route("/sign-in", pages.sign_in, methods=["POST"]),
        Route("/sign-in.css", pages.style),
        Route("/sign-out", pages.sign_out, methods=["POST"]),
        Route("/password", pages.password_form),
        Route("/password", pages.set_password, methods=["POST"]),
        Route("/api/session", pages.session),
    ]


class _Pages:
    """Answers, each to one route."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def form(self, request: Request) -> Response:
        """Name and password are asked for; who is in goes on."""
        after = _after(request.query_params.get("next", ""))
        if "user" in request.scope:
            return RedirectResponse(after, 303)
        return _sign_in_page(request, after)

    async def sign_in(self, request: Request) -> Response:
        """A new session, or the form once more; wrong names and wrong passwords look the same."""
        given = await _fields(request)
        name, after = given.get("name", "").strip(), _after(given.get("next", ""))
        words = words_for(request.headers.get("accept-language", ""))
        try:
            done = await self._gate.sign_in(
                name,
                given.get("password", ""),
                address_of(request.scope),
                before=request.scope[SESSION],
            )
        except DirectoryError:
            return _sign_in_page(request, after, wrong=words["directory"], name=name, status=503)
        if isinstance(done, float):
            if done > 0.0:
                return _sign_in_page(
                    request,
                    after,
                    wrong=words["wait"].format(minutes=int(done // 60) + 1),
                    name=name,
                    status=429,
                    wait_s=done,
                )
            return _sign_in_page(request, after, wrong=words["wrong"], name=name, status=403)
        return self._with_cookie(RedirectResponse(after, 303), done[0])

    async def sign_out(self, request: Request) -> Response:
        """The session ends here, not only in the browser."""
        self._gate.signed_out(request.scope[SESSION], request.user, address_of(request.scope))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(
            self._gate.cookie,
            secure=self._gate.secure,
            httponly=True,
            samesite="strict",
        )
        answer.headers["clear-site-data"] = '"cache", "storage"'
        return answer

    async def session(self, request: Request) -> Response:
        """Who asks, what the role allows, and the token that changes have to carry."""
        who: SignedIn = request.user
        return JSONResponse(
            {
                "user": who.name,
                "role": str(who.role),
                "may": who.rights,
                "token": who.token,
                "open": who.open,
            }
        )

    async def style(self, _request: Request) -> Response:
        """How these pages look."""
        return Response(
            STYLE, media_type="text/css", headers={"cache-control": "public, max-age=3600"}
        )

    async def password_form(self, request: Request) -> Response:
        """The old password and the new one are asked for."""
        return self._password_page(request)

    async def set_password(self, request: Request) -> Response:
        """Another password: all sessions of the user end, and this screen gets a new one."""
        who: SignedIn = request.user
        words = words_for(request.headers.get("accept-language", ""))
        accounts = self._gate.authenticator
        given = await _fields(request)
        if who.open or not isinstance(accounts, Accounts) or not accounts.has(who.name):
            return self._password_page(request, wrong=words["elsewhere"], status=409)
        if given.get("new") != given.get("again"):
            return self._password_page(request, wrong=words["differ"], status=400)
        address, new = address_of(request.scope), given.get("new", "")
        own = await self._gate.is_own(who, given.get("password", ""), address)
        if own is not True:
            return self._password_page(request, wrong=words["wrong"], status=403)
        try:
            await self._gate.in_thread(lambda: accounts.set_password(who.name, new))
        except ConfigError as error:
            return self._password_page(request, wrong=str(error), status=400)
        self._gate.sessions.end_all_of(who.name)
        done = await self._gate.sign_in(who.name, new, address)
        if isinstance(done, float):
            return RedirectResponse("/sign-in", 303)
        return self._with_cookie(RedirectResponse("/", 303), done[0])

    def _with_cookie(self, answer: Response, session: str) -> Response:
        answer.set_cookie(
            self._gate.cookie,
            session,
            path="/",
            secure=self._gate.secure,
            httponly=True,
            samesite="strict",
        )
        return answer

    def _password_page(self, request: Request, *, wrong: str = "", status: int = 200) -> Response:
        words = words_for(request.headers.get("accept-language", ""))
        who: SignedIn = request.user
        body = f"""<form method="post" action="/password">
{_alert(wrong)}<input type="hidden" name="{TOKEN_FIELD}" value="{escape(who.token)}">
<input type="hidden" name="username" autocomplete="username" value="{escape(who.name)}">
{_field("password", words["old"], "current-password", focus=True)}
{_field("new", words["new"], "new-password")}
{_field("again", words["again"], "new-password")}
<button>{escape(words["set"])}</button> <a href="/">{escape(words["back"])}</a>
</form>"""
        return _page(words, words["set_title"], body, status)


def _sign_in_page(
    request: Request,
    after: str,
    *,
    wrong: str = "",
    name: str = "",
    status: int = 200,
    wait_s: float = 0.0,
) -> Response:
    words = words_for(request.headers.get("accept-language", ""))
    body = f"""<form method="post" action="/sign-in">
{_alert(wrong)}<input type="hidden" name="next" value="{escape(after)}">
{_field("name", words["name"], "username", kind="text", value=name, focus=not name)}
{_field("password", words["password"], "current-password", focus=bool(name))}
<button>{escape(words["sign_in"])}</button>
</form>"""
    answer = _page(words, words["title"], body, status)
    if wait_s > 0.0:
        answer.headers["retry-after"] = str(int(wait_s) + 1)
    return answer


def _page(words: dict[str, str], title: str, body: str, status: int) -> Response:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="{escape(words["lang"])}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><link rel="stylesheet" href="/sign-in.css"></head>
<body><main><h1>Andon</h1><p>{escape(title)}</p>
{body}
</main></body></html>
""",
        status,
    )


def _field(
    name: str,
    label: str,
    complete: str,
    *,
    kind: str = "password",
    value: str = "",
    focus: bool = False,
) -> str:
    return (
        f'<label for="{name}">{escape(label)}</label>\n<input id="{name}" name="{name}"'
        f' type="{kind}" autocomplete="{complete}" maxlength="1024" required'
        + (f' value="{escape(value)}"' if value else "")
        + " autofocus" * focus
        + ">"
    )


def _alert(text: str) -> str:
    return f'<p role="alert">{escape(text)}</p>\n' if text else ""


async def _fields(request: Request) -> dict[str, str]:
    """Fields of a form; of a body that is none, none."""
    try:
        text = (await request.body()).decode("ascii")
        found = parse_qs(text, max_num_fields=FIELDS_MAX, keep_blank_values=True)
    except ValueError:
        return {}
    return {key: values[0] for key, values in found.items() if len(values) == 1}


def _after(path: str) -> str:
    """Where to go on: a path of this page and nothing else."""
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        return "/"
    found = urlsplit(path)
    return path if not found.scheme and not found.netloc and found.path != "/sign-in" else "/"
