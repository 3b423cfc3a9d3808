"""Who is signed in: sessions by random id, in memory, so that a restart signs everybody out.

That costs a sign-in after an update, and there is no file of keys to the page that a backup or
another process could read. A session ends when its page is closed for long, when it is old, when
its user signs out, and when the users file says anything else of that user.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.page.roles import RIGHTS, Role, may

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.page.accounts import User

ID_BYTES: Final = 32
SESSIONS_MAX: Final = 1_000
OF_USER_MAX: Final = 10  # screens of one user; the one unused for longest ends


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Whoever makes a request. token: what its changes have to carry; open: there is no sign-in."""

    name: str
    role: Role
    token: str
    open: bool = False

    @property
    def rights(self) -> tuple[str, ...]:
        """What the role allows, by name."""
        return tuple(sorted(RIGHTS[self.role]))

    def may(self, right: str) -> bool:
        """Whether the role allows it."""
        return may(self.role, right)


@dataclass(slots=True, kw_only=True)
class _Session:
    """Who it is, since when, and when it was last used."""

    who: SignedIn
    stamp: str
    begun_s: float
    used_s: float


class Sessions:
    """Sessions by the hash of their id. Used by one thread."""

    def __init__(self, *, idle_s: float, longest_s: float, clock_s: Callable[[], float]) -> None:
        """idle_s: without a request or an open stream; longest_s: whatever is done."""
        self._idle_s, self._longest_s, self._clock_s = idle_s, longest_s, clock_s
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()  # used last at the end

    def begin(self, user: User) -> tuple[str, SignedIn]:
        """A session of a user who has just given the password: its new id, and who that is."""
        now_s = self._clock_s()
        self._drop_ended(now_s)
        theirs = [key for key, one in self._sessions.items() if one.who.name == user.name]
        for key in theirs[: max(0, len(theirs) + 1 - OF_USER_MAX)]:
            del self._sessions[key]
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.popitem(last=False)
        name = secrets.token_urlsafe(ID_BYTES)
        who = SignedIn(name=user.name, role=user.role, token=secrets.token_urlsafe(ID_BYTES))
        self._sessions[_key(name)] = _Session(
            who=who, stamp=user.stamp, begun_s=now_s, used_s=now_s
        )
        return name, who

    def of(self, name: str, stands: Callable[[str, str], bool]) -> SignedIn | None:
        """Who a session is, which counts as use of it; None: it is unknown or over.

        stands: whether a user's name still has this stamp.
        """
        key, now_s = _key(name), self._clock_s()
        found = self._sessions.get(key)
        if found is None:
            return None
        if self._over(found, now_s) or not stands(found.who.name, found.stamp):
            del self._sessions[key]
            return None
        found.used_s = now_s
        self._sessions.move_to_end(key)
        return found.who

    def end(self, name: str) -> None:
        """Somebody signs out."""
        self._sessions.pop(_key(name), None)

    def end_all_of(self, user: str) -> None:
        """All sessions of a user end."""
        for key in [key for key, one in self._sessions.items() if one.who.name == user]:
            del self._sessions[key]

    def __len__(self) -> int:
        return len(self._sessions)

    def _drop_ended(self, now_s: float) -> None:
        for key in [key for key, one in self._sessions.items() if self._over(one, now_s)]:
            del self._sessions[key]

    def _over(self, session: _Session, now_s: float) -> bool:
        return now_s - session.used_s >= self._idle_s or now_s - session.begun_s >= self._longest_s


def is_token(who: SignedIn, given: str) -> bool:
    """Whether a request carries the token of its session; takes as long for either answer."""
    return hmac.compare_digest(who.token.encode(), given.encode("utf-8", "replace"))


def _key(name: str) -> bytes:
    """What is looked up is a hash: how long that takes tells nothing about the ids there are."""
    return hashlib.sha256(name.encode("utf-8", "replace")).digest()
