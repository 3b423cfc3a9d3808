"""What guard and sign-in share: users, sessions, attempts, and the one thread that hashes."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from edge.configuration.addresses import is_loopback
from edge.logs import shown
from edge.page.access import host_names
from edge.page.attempts import Attempts
from edge.page.directory import Directory, DirectoryError
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
    """Who knows users and is asked first: the users file."""

    def has_users(self) -> bool:
        """Whether anybody could sign in. Raises ConfigError."""
        ...

    def verified(self, name: str, password: str) -> User | None:
        """The user whose password this is; None: nobody. May take a while; raises ConfigError."""
        ...

    def claims(self, name: str) -> bool:
        """Whether a name, in whichever case, is for it alone to judge. Raises ConfigError."""
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
        directory: Directory | None = None,
    ) -> None:
        """host: where the page listens. clock_s: seconds, never backwards.

        directory: asked about names that the authenticator does not have.
        """
        self.authenticator = authenticator
        self.directory = directory
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
        found = self.sessions.of(session, self._stands) if session else None
        if found is None and self._local and not self.authenticator.has_users():
            return self._anybody if self.directory is None else None
        return found

    async def sign_in(
        self, name: str, password: str, address: str, *, before: str = ""
    ) -> tuple[str, SignedIn] | float:
        """A new session, or for how many seconds to wait before trying again; 0.0: wrong.

        before: the session id that the browser came with, which ends. Raises ConfigError, and
        DirectoryError where the directory was to be asked and said neither yes nor no.
        """
        at, counted = _network(address), _counted(name)
        if self._waiting >= WAITING_MAX:
            return 1.0
        wait_s = self.attempts.begin(counted, at)
        if wait_s > 0.0:
            self._told("sign_in_refused", name, address, wait_s=round(wait_s))
            return wait_s
        user: User | str | None = await self._verified(name, password)
        if user is None and self.directory is not None and not self.authenticator.claims(name):
            try:
                user = self._apart(await self.directory.asked(name, password))
            except DirectoryError as error:
                self.attempts.untried(counted, at, sent=error.sent)
                self._told("directory_down", name, address, why=str(error))
                raise
        if user is None or isinstance(user, str):
            why = {"why": user} if user else {}
            self._told("sign_in_failed", name, address, **why)
            return 0.0
        self.attempts.succeeded(counted, at)
        self.sessions.end(before)
        self._told("signed_in", name, address, role=str(user.role))
        return self.sessions.begin(user)

    async def is_own(self, who: SignedIn, password: str, address: str) -> bool | float:
        """Whether it is the password of who is signed in; or for how long to wait."""
        at, counted = _network(address), _counted(who.name)
        wait_s = self.attempts.begin(counted, at)
        if wait_s > 0.0 or self._waiting >= WAITING_MAX:
            return wait_s or 1.0
        user = await self._verified(who.name, password)
        if user is None:
            self._told("password_wrong", who.name, address)
            return False
        self.attempts.succeeded(counted, at)
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
        if self.directory is not None:
            self.directory.close()

    def _stands(self, name: str, stamp: str) -> bool:
        """Whether a session's user is as at the sign-in; the users file has its names alone."""
        if self.directory is not None and stamp == self.directory.stamp:
            return not self.authenticator.claims(name)
        return self.authenticator.stands(name, stamp)

    def _apart(self, found: User | str) -> User | str:
        """Whom the directory names, unless the users file has that name."""
        if isinstance(found, str) or not self.authenticator.claims(found.name):
            return found
        return "the users file has a user of that name"

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


def _counted(name: str) -> str:
    """A name as attempts count it: to a directory `Ann` and `ann` are one person."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


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
