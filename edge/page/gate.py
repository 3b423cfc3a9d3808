"""What guard and sign-in share: users, sessions, attempts, and the one thread that hashes."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from edge.logs import shown
from edge.page.access import host_names, is_loopback
from edge.page.attempts import Attempts
from edge.page.roles import Role
from edge.page.sessions import Sessions, SignedIn

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.configuration.sections import PageConfig
    from edge.page.accounts import User

LOG: Final = logging.getLogger("andon.page")
WAITING_MAX: Final = 8  # passwords to be looked at; each takes some tenths of a second
NAME_CHARS_SHOWN: Final = 64


class Authenticator(Protocol):
    """Who knows users: a file, or a directory service."""

    def has_users(self) -> bool:
        """Whether anybody could sign in. Raises ConfigError."""
        ...

    def verified(self, name: str, password: str) -> User | None:
        """The user whose password this is; None: nobody. May take a while; raises ConfigError."""
        ...

    def stands(self, name: str, stamp: str) -> bool:
        """Whether nothing was changed of a user since. Raises ConfigError."""
        ...


class Gate:
    """Who is in, and who gets in. Used in one event loop; hashing has a thread."""

    def __init__(
        self,
        page: PageConfig,
        authenticator: Authenticator,
        *,
        host: str,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """host: where the page listens. clock_s: seconds, never backwards."""
        self.authenticator = authenticator
        self.names = host_names(page, host)
        self.secure = bool(page.tls_cert_file)
        # with the prefix a browser takes it from this host alone, and over TLS
        self.cookie = "__Host-andon" if self.secure else "andon_session"
        self.sessions = Sessions(
            idle_s=page.idle_minutes * 60.0,
            longest_s=page.session_hours * 3_600.0,
            clock_s=clock_s,
        )
        self.attempts = Attempts(clock_s)
        self._local = is_loopback(host)
        token = secrets.token_urlsafe(32)
        self._anybody = SignedIn(name=page.user, role=Role.ENGINEER, token=token, open=True)
        self._hasher = ThreadPoolExecutor(1, "passwords")
        self._waiting = 0

    def who(self, session: str) -> SignedIn | None:
        """Who makes a request with this session id, "" for none. Raises ConfigError."""
        found = self.sessions.of(session, self.authenticator.stands) if session else None
        if found is None and self._local and not self.authenticator.has_users():
            return self._anybody
        return found

    async def sign_in(
        self, name: str, password: str, address: str, *, before: str = ""
    ) -> tuple[str, SignedIn] | float:
        """A new session, or for how many seconds to wait before trying again; 0.0: wrong.

        before: the session id that the browser came with, which ends. Raises ConfigError.
        """
        at = _network(address)
        if self._waiting >= WAITING_MAX:
            return 1.0
        wait_s = self.attempts.begin(name, at)
        if wait_s > 0.0:
            self._told("sign_in_refused", name, address, wait_s=round(wait_s))
            return wait_s
        user = await self._verified(name, password)
        if user is None:
            self._told("sign_in_failed", name, address)
            return 0.0
        self.attempts.succeeded(name, at)
        self.sessions.end(before)
        self._told("signed_in", name, address, role=str(user.role))
        return self.sessions.begin(user)

    async def is_own(self, who: SignedIn, password: str, address: str) -> bool | float:
        """Whether it is the password of who is signed in; or for how long to wait."""
        wait_s = self.attempts.begin(who.name, _network(address))
        if wait_s > 0.0 or self._waiting >= WAITING_MAX:
            return wait_s or 1.0
        user = await self._verified(who.name, password)
        if user is None:
            self._told("password_wrong", who.name, address)
            return False
        self.attempts.succeeded(who.name, _network(address))
        return True

    async def in_thread(self, what: Callable[[], None]) -> None:
        """Something that takes as long as a hash, beside the loop."""
        await asyncio.get_running_loop().run_in_executor(self._hasher, what)

    def signed_out(self, session: str, who: SignedIn, address: str) -> None:
        """Somebody has signed out."""
        self.sessions.end(session)
        self._told("signed_out", who.name, address)

    def close(self) -> None:
        """End the thread."""
        self._hasher.shutdown(wait=False, cancel_futures=True)

    async def _verified(self, name: str, password: str) -> User | None:
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._hasher, self.authenticator.verified, name, password
            )
        finally:
            self._waiting -= 1

    @staticmethod
    def _told(event: str, name: str, address: str, **more: object) -> None:
        fields = {"user": shown(name[:NAME_CHARS_SHOWN]), "address": address, **more}
        level = logging.INFO if event in ("signed_in", "signed_out") else logging.WARNING
        LOG.log(level, event, extra={"fields": fields})


def _network(address: str) -> str:
    """An address as attempts count it: of IPv6 the network, in which one machine has them all."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or ipaddress.ip_network((found, 64), strict=False))
