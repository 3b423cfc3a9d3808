"""Alertmanager: what rings now, by its API of version 2, from a thread of its own.

Every alert that rings by itself is posted, again before it would end there, and ended when it
rings no more. What is wanted and what may be there are compared, so that nothing depends on which
request or answer was lost. An alert whose gateway is gone ends by itself.
"""

from __future__ import annotations

import http.client
import secrets
import ssl
import threading
from collections import deque
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from edge.configuration.config import read_secret
from edge.errors import UNREADABLE, ConfigError
from edge.outputs.firing import Fired, fired_of, head_of, posted
from edge.outputs.output import Tally
from edge.storage.disk import CLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from edge.outputs.firing import Labels
    from edge.records import Publish
    from edge.storage.disk import Clock

TOPICS_MAX: Final = 50_000  # 10,000 assets, groups besides
AT_ONCE: Final = 500  # alerts a request: half a megabyte
ENDS_TIMES: Final = 4  # of resend_s, as Prometheus does: three requests may be lost
BACKOFF_S: Final = (1.0, 60.0)  # first and longest
ANSWER_BYTES_MAX: Final = 4_096
STOP_S_MAX: Final = 1.0
_RANDOM: Final = secrets.SystemRandom()


class RefusedError(Exception):
    """Alertmanager did not take it."""


class Poster:
    """Posts to one Alertmanager."""

    def __init__(self, config: GatewayConfig) -> None:
        """Nothing is opened yet."""
        told = config.output.alertmanager
        assert told is not None
        self._parts = urlsplit(told.url)
        self._timeout_s = told.timeout_s
        self._ca = str(config.path(told.ca_file)) if told.ca_file else None
        self._token: Path | None = config.path(told.token_file) if told.token_file else None

    def post(self, body: bytes) -> None:
        """Post some alerts. Raises RefusedError, OSError, HTTPException or ConfigError."""
        headers = {"Content-Type": "application/json"}
        if self._token is not None:  # read each time: tokens are renewed
            headers["Authorization"] = f"Bearer {_token(self._token)}"
        connection = self._connection()
        try:
            path = f"{self._parts.path.rstrip('/')}/api/v2/alerts"
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise RefusedError(f"{answer.status} {answer.reason}: {' '.join(text.split())[:120]}")

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        context = ssl.create_default_context(cafile=self._ca)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=context)


def _token(path: Path) -> str:
    """A bearer token. Raises ConfigError: what a header refuses, its own error would show."""
    token = read_secret(path)
    if not token or not token.isascii() or not token.isprintable():
        raise ConfigError(f"{path}: expected one line of printable ASCII, the bearer token alone")
    return token


class Alertmanager:
    """For one loop."""

    name = "alertmanager"

    def __init__(self, config: GatewayConfig, *, clock: Clock = CLOCK) -> None:
        """Start the thread."""
        told = config.output.alertmanager
        assert told is not None
        self.tally = Tally()
        self.owed: deque[Publish] = deque()
        self._poster, self._resend_s, self._clock = Poster(config), told.resend_s, clock
        self._head, self._site = head_of(config), config.site
        self._plant_clock = config.clock == "plant"
        self._lock, self._wake = threading.Lock(), threading.Event()
        self._news: dict[str, bytes] = {}  # newest words that the thread has not seen, by topic
        self._stopping = threading.Event()
        self._firing: dict[str, Fired] = {}  # by topic; of the thread, as what follows
        self._accepted: dict[Labels, Fired] = {}
        self._tried: dict[Labels, Fired] = {}  # may be there too: of some only the answer was lost
        self._begins_ms: dict[Labels, int] = {}
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def said(self, topic: str, payload: bytes) -> None:
        """Keep the newest word of an alert for the thread."""
        if not topic.startswith(self._head):
            return
        with self._lock:
            if topic not in self._news and len(self._news) >= TOPICS_MAX:
                self.tally.dropped += 1
                return
            self._news[topic] = payload
        self._wake.set()

    def connected(self) -> None:
        """The broker has no part in this."""

    def away(self) -> None:
        """The broker has no part in this."""

    def turn(self) -> None:
        """The thread does it."""

    def close(self) -> None:
        """End the thread; what rings goes on ringing, since we may be back soon."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(STOP_S_MAX)

    # --- on the thread ---

    def _run(self) -> None:
        now_s = self._clock.monotonic_s
        all_due_s, failures = now_s() + self._resend_s, 0
        while not self._stopping.is_set():
            self._wake.wait(max(0.0, all_due_s - now_s()))
            self._wake.clear()
            self._take()
            whole = now_s() >= all_due_s
            while not self._stopping.is_set() and not self._say(whole=whole):
                failures += 1
                self._rest(failures)
                self._take()
            failures = 0
            if whole:
                all_due_s = now_s() + self._resend_s

    def _rest(self, failures: int) -> None:
        """Full jitter under a doubling bound, so that many gateways do not come back at once."""
        first_s, longest_s = BACKOFF_S
        until_s = self._clock.monotonic_s() + _RANDOM.uniform(
            first_s / 2, min(longest_s, first_s * 2.0 ** min(failures, 10))
        )
        # what is new waits as well: it would be refused too
        self._stopping.wait(max(0.0, until_s - self._clock.monotonic_s()))

    def _take(self) -> None:
        with self._lock:
            news, self._news = self._news, {}
        for topic, payload in news.items():
            try:
                fired = fired_of(payload, site=self._site)
            except UNREADABLE as error:
                self.tally.failed += 1
                self.tally.cause = f"{topic}: {error}"
                continue
            if fired is None:
                self._firing.pop(topic, None)
            elif topic in self._firing or len(self._firing) < TOPICS_MAX:
                self._firing[topic] = fired
            else:
                self.tally.dropped += 1

    def _say(self, *, whole: bool) -> bool:
        """Post what is not accepted yet, or all that rings; False: not all of it was taken."""
        wanted = {fired.labels: fired for fired in self._firing.values()}
        there = {**self._tried, **self._accepted}
        ended = [fired for labels, fired in there.items() if labels not in wanted]
        going = [one for labels, one in wanted.items() if whole or labels not in self._accepted]
        waiting = [(fired, False) for fired in ended] + [(fired, True) for fired in going]
        self.tally.waiting = len(waiting)
        while waiting:
            some, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
            if not self._post(some):
                self._tried |= {fired.labels: fired for fired, rings in some if rings}
                return False
            for fired, rings in some:
                self._tried.pop(fired.labels, None)
                if rings:
                    self._accepted[fired.labels] = fired
                else:
                    self._accepted.pop(fired.labels, None)
                    self._begins_ms.pop(fired.labels, None)
            self.tally.waiting = len(waiting)
        return True

    def _post(self, some: Sequence[tuple[Fired, bool]]) -> bool:
        now_ms = self._clock.wall_ns() // 1_000_000
        lasts_ms = int(1e3 * ENDS_TIMES * self._resend_s)
        body = msgspec.json.encode(
            [
                posted(
                    fired,
                    begin_ms=self._begin_ms(fired, now_ms),
                    now_ms=now_ms,
                    end_ms=now_ms + lasts_ms if rings else now_ms,
                )
                for fired, rings in some
            ]
        )
        try:
            self._poster.post(body)
        except (RefusedError, OSError, http.client.HTTPException, ConfigError, ValueError) as error:
            self.tally.failed += 1
            self.tally.cause = f"{type(error).__name__}: {error}"
            return False
        self.tally.sent += len(some)
        self.tally.cause = ""
        return True

    def _begin_ms(self, fired: Fired, now_ms: int) -> int:
        """When it began, by a clock on the wall; plant time may be of another year."""
        begin_ms = now_ms if self._plant_clock else fired.begin_ms
        return self._begins_ms.setdefault(fired.labels, begin_ms)
