"""A proxy on the loopback that cuts, delays and swallows: half-open TCP without root."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Self

READ_BYTES: Final = 65_536
HELD_BYTES_MAX: Final = 1 << 20  # of one direction that is stalled; more stays with its sender
LOOK_S: Final = 0.02
UP: Final = "up"  # from the client to the broker
DOWN: Final = "down"


@dataclass(slots=True, eq=False)
class _Pipe:
    """One direction of a connection, and what it holds back: pieces with when they may leave."""

    source: socket.socket
    sink: socket.socket
    direction: str
    held: deque[tuple[float, bytes]] = field(default_factory=deque)
    held_bytes: int = 0
    ended: bool = False  # the source has said all


class Proxy:
    """Between clients and the broker at `target_port`. A context manager; `port` is its own."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0)
        self.port = int(self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pipes: dict[socket.socket, _Pipe] = {}
        self._stalled: frozenset[str] = frozenset()
        self._delay_s = 0.0
        self._cut = self._stopping = False
        self.refusing = False  # close what comes at once
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(10)

    def cut(self) -> None:
        """Break every connection, with a reset."""
        self._cut = True

    def stall(self, *directions: str) -> None:
        """Let nothing more pass in these directions; connections stay open. None: all flows."""
        self._stalled = frozenset(directions)

    def delay(self, seconds: float) -> None:
        """Hold back everything for so long; 0: nothing."""
        self._delay_s = seconds

    # --- its thread ---

    def _run(self) -> None:
        try:
            while not self._stopping:
                for key, _ in self._selector.select(LOOK_S):
                    if key.fileobj is self._listener:
                        self._accept()
                    else:
                        self._read(key.data)
                if self._cut:
                    self._cut = False
                    self._break()
                for pipe in list(self._pipes.values()):
                    self._pass_on(pipe)
        except BaseException as error:  # the campaign looks, and ends
            self.error = error
            raise
        finally:
            self._break()
            self._selector.close()
            self._listener.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        if self.refusing:
            client.close()
            return
        try:
            broker = socket.create_connection(("127.0.0.1", self._target_port), timeout=2.0)
        except OSError:  # nobody listens there: neither do we
            client.close()
            return
        for source, sink, direction in ((client, broker, UP), (broker, client, DOWN)):
            source.settimeout(0)
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pipe = self._pipes[source] = _Pipe(source, sink, direction)
            self._selector.register(source, selectors.EVENT_READ, pipe)

    def _read(self, pipe: _Pipe) -> None:
        if pipe.source not in self._pipes or pipe.ended:
            return
        if pipe.held_bytes >= HELD_BYTES_MAX:
            time.sleep(0.001)  # it stays readable, and must not keep a core
            return
        try:
            came = pipe.source.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            came = b""
        if not came:
            pipe.ended = True
            self._selector.unregister(pipe.source)
            return
        pipe.held.append((time.monotonic() + self._delay_s, came))
        pipe.held_bytes += len(came)

    def _pass_on(self, pipe: _Pipe) -> None:
        if pipe.source not in self._pipes or pipe.direction in self._stalled:
            return
        while pipe.held and pipe.held[0][0] <= time.monotonic():
            due_s, piece = pipe.held[0]
            try:
                sent = pipe.sink.send(piece)
            except BlockingIOError:
                return
            except OSError:
                self._close(pipe)
                return
            pipe.held_bytes -= sent
            pipe.held.popleft()
            if sent < len(piece):
                pipe.held.appendleft((due_s, piece[sent:]))
                return
        if pipe.ended and not pipe.held:
            self._close(pipe)

    def _break(self) -> None:
        for source in self._pipes:  # no last words: the other side learns of it by a reset
            source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while self._pipes:
            self._close(next(iter(self._pipes.values())))

    def _close(self, pipe: _Pipe) -> None:
        for one in (pipe.source, pipe.sink):
            other = self._pipes.pop(one, None)
            if other is not None and not other.ended:
                self._selector.unregister(one)
            one.close()
