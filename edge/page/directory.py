"""A directory (LDAP) as the place where people and their groups are: one sign-in, one connection.

The only importer of ldap3, which is an extra. An empty password is never sent: a server takes a
bind with a name and without a password as one of nobody, and says yes (RFC 4513, 5.1.2).
"""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import socket
import ssl
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from edge.configuration.config import read_secret
from edge.errors import AndonError, ConfigError
from edge.page.accounts import User
from edge.page.directory_names import Rdn, dn_parts, filled
from edge.page.roles import Role
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.configuration.sections import LdapConfig

AT_ONCE: Final = 4  # sign-ins that a directory is asked for together
ENTRIES_MAX: Final = 1_000  # groups of one person
GRACE_S: Final = 0.5  # for the thread to give up by itself
MISSING: Final = (
    "[page.ldap] needs a package that is not installed: pip install 'andon[ldap]', or of a"
    " wheelhouse: LDAP=yes sh install.sh DIR"
)
# Result codes (RFC 4511, A.1) of a bind that say no to this person, and nothing of the directory:
# wrong, unknown, locked or expired, as servers tell it.
REFUSED: Final = frozenset({19, 32, 49, 50, 53})
NO_SUCH_OBJECT: Final = 32


class DirectoryError(AndonError):
    """The directory did not say yes or no. sent: whether it may have seen somebody's password."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class Directory:
    """Asked in threads of its own, so that whoever is in the users file never waits for it."""

    def __init__(self, settings: LdapConfig, base: Path) -> None:
        """base: directory of the configuration. Raises ConfigError for what cannot work."""
        self.url = settings.url
        self.stamp = f"ldap:{secrets.token_hex(8)}"  # of sessions that it vouches for
        self._settings, self._base = settings, base
        self._roles: dict[tuple[Rdn, ...], Role] = {}
        for role in Role:  # from viewer to engineer: the highest stays
            for group in getattr(settings, str(role)):
                self._roles[dn_parts(group)] = role
        _library()
        self._tls()
        if settings.bind_dn:
            self._secret()
        self._threads = ThreadPoolExecutor(AT_ONCE, "directory")
        self._free = threading.BoundedSemaphore(AT_ONCE)

    async def asked(self, name: str, password: str) -> User | str:
        """The user whose password this is, or why nobody gets in. Raises DirectoryError."""
        if not password or "\0" in password or not is_asset_id(name):
            return "no name or no password that could be one"
        if not self._free.acquire(blocking=False):
            raise DirectoryError(f"{self.url}: {AT_ONCE} sign-ins wait for it already")
        work = self._threads.submit(self._answer, name, password)
        work.add_done_callback(lambda _: self._free.release())
        limit_s = self._settings.timeout_s + GRACE_S
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work), limit_s)
        except TimeoutError:
            late = f"{self.url}: no answer within {self._settings.timeout_s} s"
            raise DirectoryError(late, sent=True) from None

    def close(self) -> None:
        """End the threads; what is asked ends by its time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, name: str, password: str) -> User | str:
        sent = False
        try:
            with self._link() as link:
                if self._settings.user_dn:
                    dn = filled(self._settings.user_dn, user=name)
                    sent = True
                    if (refused := self._bound(link, dn, password)) is not None:
                        return refused
                    entries = self._read(link, dn)
                    if len(entries) != 1:
                        return f"{dn} may not read its own entry"
                    groups = self._groups(link, *entries[0], name)
                else:
                    self._as_ourselves(link)
                    entries = self._searched(link, name)
                    if len(entries) != 1:
                        return f"{len(entries)} entries of that name"
                    groups = self._groups(link, *entries[0], name)
                    sent = True
                    if (refused := self._bound(link, entries[0][0], password)) is not None:
                        return refused
                return self._user(entries[0][1], groups, name)
        except DirectoryError as error:
            raise DirectoryError(str(error), sent=sent) from error
        except ConfigError as error:  # a secret that has gone since
            raise DirectoryError(str(error), sent=sent) from error
        except Exception as error:  # noqa: BLE001 - of ldap3 and what it decodes with; never with a password
            why = f"{self.url}: {type(error).__name__}: {str(error)[:300]}"
            raise DirectoryError(why, sent=sent) from None

    def _user(self, entry: dict[str, list[bytes]], groups: list[str], typed: str) -> User | str:
        """Who that is, by the name that the directory has, whatever case was typed."""
        attribute = self._settings.name_attribute
        names = sorted(one.decode("utf-8", "replace") for one in entry.get(attribute, []))
        names = [one for one in names if one.casefold() == typed.casefold()] or names[:1]
        if not names or not is_asset_id(names[0]):
            return f"the entry has no {attribute} that could be an operator of cmd/{{operator}}/"
        roles = []
        for group in groups:
            with suppress(ConfigError):  # a name that we cannot read is none of ours
                roles.append(self._roles.get(dn_parts(group)))
        ranks = [role for role in Role if role in roles]
        if not ranks:
            return "of no group that has a role"
        return User(name=names[0], role=ranks[-1], hash="", stamp=self.stamp)

    def _groups(self, link: Any, dn: str, entry: dict[str, list[bytes]], name: str) -> list[str]:  # noqa: ANN401 - ldap3 has no types
        settings = self._settings
        if not settings.group_base_dn:
            return [one.decode("utf-8", "replace") for one in entry.get("memberOf", [])]
        wanted = filled(settings.group_filter, dn=dn, user=name)
        found = self._search(link, settings.group_base_dn, wanted, ENTRIES_MAX, ["1.1"])
        return [group for group, _ in found]

    def _searched(self, link: Any, name: str) -> list[tuple[str, dict[str, list[bytes]]]]:  # noqa: ANN401 - likewise
        wanted = filled(self._settings.user_filter, user=name)
        return self._search(link, self._settings.base_dn, wanted, 2, self._attributes)

    def _read(self, link: Any, dn: str) -> list[tuple[str, dict[str, list[bytes]]]]:  # noqa: ANN401 - likewise
        return self._search(link, dn, "(objectClass=*)", 1, self._attributes, scope="BASE")

    @property
    def _attributes(self) -> list[str]:
        return [self._settings.name_attribute, "memberOf"]

    def _search(
        self,
        link: Any,  # noqa: ANN401 - likewise
        base: str,
        wanted: str,
        most: int,
        attributes: list[str],
        *,
        scope: str = "SUBTREE",
    ) -> list[tuple[str, dict[str, list[bytes]]]]:
        """Entries as pairs of DN and attributes. Raises DirectoryError."""
        link.search(
            search_base=base,
            search_filter=wanted,
            search_scope=scope,
            attributes=attributes,
            size_limit=most,
            time_limit=math.ceil(self._settings.timeout_s),
        )
        code = link.result["result"]
        if code == NO_SUCH_OBJECT:
            return []
        found = [
            (str(entry["dn"]), dict(entry["raw_attributes"]))
            for entry in link.response or []
            if entry.get("type") == "searchResEntry"  # a referral is not followed
        ]
        if code != 0 and not (code == 4 and len(found) == most == 2):
            told = link.result["description"]
            raise DirectoryError(f"{self.url}: search below {base!r}: {told} ({code})")
        return found

    def _bound(self, link: Any, dn: str, password: str) -> str | None:  # noqa: ANN401 - likewise
        """None: the directory has said yes; else what it said. Raises DirectoryError."""
        assert password
        link.rebind(user=dn, password=password, authentication="SIMPLE", read_server_info=False)
        code, told = link.result["result"], link.result["description"]
        if code == 0:
            return None
        if code in REFUSED:
            return f"the directory says {told} ({code})"
        raise DirectoryError(f"{self.url}: bind of a person: {told} ({code})")

    def _as_ourselves(self, link: Any) -> None:  # noqa: ANN401 - likewise
        refused = self._bound(link, self._settings.bind_dn, self._secret())
        if refused is not None:
            raise DirectoryError(
                f"{self.url}: {refused} to {self._settings.bind_dn!r}; see [page.ldap] bind_dn"
                " and bind_password_file"
            )

    def _secret(self) -> str:
        """The password of our own account. Raises ConfigError."""
        path = self._base / self._settings.bind_password_file
        found = read_secret(path)
        if path.stat().st_mode & stat.S_IRWXO:
            raise ConfigError(f"{path}: everybody here may read or change it; chmod 600 {path}")
        if not found:
            raise ConfigError(f"{path}: empty; it should hold the password of bind_dn")
        return found

    def _tls(self) -> ssl.SSLContext:
        name = self._settings.ca_file
        path = self._base / name
        try:
            return ssl.create_default_context(cafile=path if name else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"{path}: {error}; [page.ldap] ca_file should hold the certificate of the"
                " authority (PEM)"
            ) from error

    @contextmanager
    def _link(self) -> Iterator[Any]:
        """A connection, encrypted as asked for, that is cut when its time is over."""
        ldap3, settings = _library(), self._settings
        scheme, host, port = settings.place
        cut = _Cut(time.monotonic() + settings.timeout_s)
        tls = self._tls()

        def encrypt(connection: Any, do_handshake: bool) -> None:  # noqa: ANN401, ARG001, FBT001 - ldap3's own
            """With the checks of Python's own library, the name of the host among them."""
            cut.watch(connection.socket)
            connection.socket = tls.wrap_socket(connection.socket, server_hostname=host)

        by_ldap3 = ldap3.Tls()
        by_ldap3.wrap_socket = encrypt
        server = ldap3.Server(
            host,
            port=port,
            use_ssl=scheme == "ldaps",
            tls=by_ldap3,
            get_info=ldap3.NONE,
            connect_timeout=settings.timeout_s,
        )
        link = ldap3.Connection(
            server,
            check_names=False,  # what is escaped stays as it is
            auto_referrals=False,  # no other server is given a password
            receive_timeout=math.ceil(settings.timeout_s),
            read_only=True,
        )
        try:
            link.open(read_server_info=False)
            cut.watch(link.socket)
            if settings.start_tls and not link.start_tls(read_server_info=False):
                raise DirectoryError(f"{self.url}: it does not speak TLS (StartTLS)")
            yield link
        finally:
            with suppress(Exception):
                link.unbind()
            with suppress(Exception):
                link.socket.close()  # it keeps one that it could not connect
            cut.end()


class _Cut:
    """Ends a connection at a time, also where the other side sends a byte now and then."""

    def __init__(self, until_s: float) -> None:
        """until_s: of the monotonic clock."""
        self._until_s = until_s
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def watch(self, connected: socket.socket) -> None:
        """A connection to be cut, in place of the one before.

        It has a descriptor of its own: to shut an SSLSocket from here would take its encryption
        away under whoever writes to it.
        """
        self.end()
        self._socket = socket.socket(fileno=os.dup(connected.fileno()))
        self._timer = threading.Timer(max(0.0, self._until_s - time.monotonic()), self._shut)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """It is over."""
        if self._timer is not None and self._socket is not None:
            self._timer.cancel()
            self._timer.join()
            self._socket.close()
            self._timer = self._socket = None

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _library() -> Any:  # noqa: ANN401 - ldap3 has no types
    """The module. Raises ConfigError where the extra is not installed."""
    try:
        import ldap3  # noqa: PLC0415 - an extra; only pages with a directory have it
    except ImportError as error:
        raise ConfigError(MISSING) from error
    return ldap3
