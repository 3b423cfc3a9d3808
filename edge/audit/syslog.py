"""Lines to a syslog server: UDP, framed as RFC 5424 says, never in the way of the loop."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
from datetime import UTC, datetime
from typing import Final

from edge.errors import ConfigError

PORT: Final = 514
WAITING_MAX: Final = 1_000  # lines; beyond, they are counted and left out
PRIORITY: Final = 13 * 8 + 5  # log audit, notice
BYTES_MAX: Final = 8_192  # of a datagram; longer ones are cut
RESOLVE_AGAIN_LINES: Final = 100  # a server that moved is found again
STOP_S_MAX: Final = 1.0


class Syslog:
    """Sends lines from a thread of its own. `failures_total`: lines that did not leave.

    UDP confirms nothing: what left may still be lost on the way.
    """

    def __init__(self, server: str) -> None:
        """server: `host` or `host:port`. Raises ConfigError."""
        self._host, self._port = server_of(server)
        self._waiting: queue.Queue[bytes | None] = queue.Queue(maxsize=WAITING_MAX)
        self._name = socket.gethostname() or "-"
        self.failures_total = 0
        self.sent_total = 0
        self._thread = threading.Thread(target=self._run, name="syslog", daemon=True)
        self._thread.start()

    def send(self, kind: str, line: str, *, t_ns: int) -> None:
        """Queue one line; returns at once. t_ns: when it was written, our clock."""
        framed = frame(kind, line, t_ns=t_ns, host=self._name, process=os.getpid())
        try:
            self._waiting.put_nowait(framed)
        except queue.Full:
            self.failures_total += 1

    def close(self) -> None:
        """Send what waits, for a moment."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(STOP_S_MAX)

    def _run(self) -> None:
        address: tuple[socket.AddressFamily, tuple[str, int]] | None = None
        sockets: dict[socket.AddressFamily, socket.socket] = {}
        taken = 0
        while (framed := self._waiting.get()) is not None:
            try:
                if address is None or taken % RESOLVE_AGAIN_LINES == 0:
                    address = self._resolved()
                family, to = address
                if family not in sockets:
                    sockets[family] = socket.socket(family, socket.SOCK_DGRAM)
                sockets[family].sendto(framed, to)
                self.sent_total += 1
            except OSError:  # no name, no route, no buffer: the trail on disk has it
                self.failures_total += 1
                address = None
            taken += 1
        for one in sockets.values():
            one.close()

    def _resolved(self) -> tuple[socket.AddressFamily, tuple[str, int]]:
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        family, _, _, _, to = found[0]
        return family, (str(to[0]), int(to[1]))


def server_of(server: str) -> tuple[str, int]:
    """Host and port of `host`, `host:port` or `[v6]:port`. Raises ConfigError."""
    host, colon, port = server.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        host, port = server, str(PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise ConfigError(f'[audit] syslog is {server!r}, expected "host:514"')
    return host, int(port)


def frame(kind: str, line: str, *, t_ns: int, host: str, process: int) -> bytes:
    """One message: priority, version, time, host, application, process, kind, no structured data.

    The byte order mark says that the rest is UTF-8.
    """
    at = datetime.fromtimestamp(t_ns // 10**9, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    micros = t_ns % 10**9 // 1_000
    word = "".join(c for c in kind if "!" <= c <= "~")[:32] or "-"
    head = f"<{PRIORITY}>1 {at}.{micros:06d}Z {host[:255]} andon {process} {word} - "
    return (head.encode("ascii", "replace") + b"\xef\xbb\xbf" + line.encode())[:BYTES_MAX]
