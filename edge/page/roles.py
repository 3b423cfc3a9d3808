"""Who may do what on the page: the one table of rights and roles, and of what a request needs.

What a role allows is asked before a command leaves the page. The gateway asks again, with what
`[[operator]]` and `[trust]` of its own configuration say of that name: both have to allow it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE
from edge.trust import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(StrEnum):
    """What a person is to the page."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"


VIEW: Final = "view"
_VIEWER: Final = frozenset({VIEW})
_OPERATOR: Final = _VIEWER | {
    "ack",
    "shelve",
    "feedback",
    "confirm",
    "text",
    "job.check_in",
    "job.check_out",
    "job.cancel",  # what it kept quiet rings
}
RIGHTS: Final[Mapping[Role, frozenset[str]]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ENGINEER: _OPERATOR | {"oos", "job.extend"},
}
EVERY_RIGHT: Final = frozenset().union(*RIGHTS.values())

COMMAND_PATH: Final = "/api/say/"  # with the name of a command behind it, as on `cmd/{operator}/`
OPEN_PATHS: Final = ("/sign-in", "/sign-in.css", "/favicon.ico")  # what somebody sees before
OPEN_BELOW: Final = ("/static/",)  # scripts and styles, nothing of a plant
OWN_PATHS: Final = ("/sign-out", "/password")  # of whoever is signed in, whichever the role


class _Acts(msgspec.Struct):
    """Of a command only what it does."""

    action: str = ""


def is_open(method: str, path: str) -> bool:
    """Whether a request needs nobody to be signed in."""
    if path in OPEN_PATHS:
        return method in ("GET", "HEAD") or path == "/sign-in"
    return method in ("GET", "HEAD") and path.startswith(OPEN_BELOW)


def needed(method: str, path: str, body: bytes) -> str | None:
    """The right that a request needs; None: nobody may, as nothing here changes anything.

    What only reads needs to see. Everything else is refused but a command, and what is one's own.
    """
    if method in ("GET", "HEAD") or path in OWN_PATHS:
        return VIEW
    name = path.removeprefix(COMMAND_PATH)
    if not path.startswith(COMMAND_PATH) or name not in COMMANDS:
        return None
    if name != "job":
        return name
    try:
        right = f"job.{msgspec.json.decode(body, type=_Acts).action}"
    except UNREADABLE:
        return None
    return right if right in EVERY_RIGHT else None


def may(role: Role, right: str | None) -> bool:
    """Whether a role has a right."""
    return right is not None and right in RIGHTS[role]
