"""Who is let in where: whether a page may listen at an address, by which names it is called."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any, Final

from edge.configuration.addresses import is_loopback
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.configuration.sections import PageConfig

CONNECTIONS_MAX: Final = 500  # open at once; a browser holds up to six
HEADER_BYTES_MAX: Final = 16_384


def check_access(page: PageConfig, host: str, *, users: bool, users_file: Path) -> list[str]:
    """What to warn of before the page listens.

    Raises ConfigError where it must not: strangers could command it.
    """
    if page.ldap is not None and not users:
        others = check_access(page, host, users=True, users_file=users_file)
        why = (
            f"when {page.ldap.url} is down nobody signs in: {users_file} has no users; add one with"
            " `andon users add NAME --role engineer`"
        )
        return [why, *others]
    if is_loopback(host):
        if users:
            return []
        why = (
            f"nobody has to sign in: {users_file} has no users, and only this machine reaches"
            f" {host}; whoever works on it may do all, as {page.user!r}; `andon users add`"
            " makes the page ask"
        )
        return [why]
    if not users:
        raise ConfigError(
            f"--listen {host}: others reach that address, and {users_file} has no users: the"
            " page will not open to everybody; add one with `andon users add NAME --role engineer"
            " --config gateway.toml`, or listen at 127.0.0.1"
        )
    if page.tls_cert_file:
        return []
    why = (
        f"passwords cross the network readable: the page listens at {host} without TLS; set"
        " [page] tls_cert_file and tls_key_file"
    )
    return [why]


def host_names(page: PageConfig, host: str) -> frozenset[str]:
    """Names by which the page may be called, in small letters; addresses are always good.

    A page of an attacker whose name was turned to point here carries that name, and is refused.
    """
    own = {"localhost", host.lower(), *(name.lower() for name in page.hosts)}
    if not is_loopback(host):
        own |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(own - {""})


def is_named(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header names this page: one of its names, or an address."""
    name = host.strip().lower()
    if name.startswith("["):
        name, found, port = name[1:].partition("]")
        port = port.removeprefix(":") if found else "?"
    else:
        name, _, port = name.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.removesuffix(".") in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def serving(page: PageConfig, base: Path) -> dict[str, Any]:
    """What uvicorn is to be told beside host and port.

    No header says who asks: whoever is before the page could say anything.
    """
    options: dict[str, Any] = {
        "proxy_headers": False,
        "server_header": False,
        "limit_concurrency": CONNECTIONS_MAX,
        "h11_max_incomplete_event_size": HEADER_BYTES_MAX,
        "timeout_keep_alive": 15,
        "timeout_graceful_shutdown": 3,
        "http": "h11",
        "ws": "none",
    }
    if page.tls_cert_file:
        options["ssl_certfile"] = str(base / page.tls_cert_file)
        options["ssl_keyfile"] = str(base / page.tls_key_file)
    return options
