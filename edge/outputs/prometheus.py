"""Metrics for Prometheus over HTTP: the only importer of prometheus_client.

The loop keeps the newest payloads as they were said; they are read when somebody asks, by a thread
of the server.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from edge.configuration.output_settings import address_of
from edge.outputs.metrics import Published, event_of, families
from edge.outputs.output import Tally
from edge.storage.disk import CLOCK
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.metrics_core import Metric

    from edge.configuration.config import GatewayConfig
    from edge.records import Publish
    from edge.storage.disk import Clock

TOPICS_MAX: Final = 50_000  # as of Alertmanager
AGAIN_S: Final = 30.0  # between two tries to listen
STOP_S_MAX: Final = 1.0


class Prometheus(Collector):
    """For one loop."""

    name = "prometheus"

    def __init__(
        self,
        config: GatewayConfig,
        *,
        knowledge_s: Callable[[], float | None] = lambda: None,
        clock: Clock = CLOCK,
    ) -> None:
        """Listen, or say on health why not, and try again. knowledge_s: when it was built."""
        told = config.output.prometheus
        assert told is not None
        self.tally = Tally()
        self.owed: deque[Publish] = deque()
        self._address, self._clock, self._knowledge_s = address_of(told.listen), clock, knowledge_s
        self._said, self._lock = Published(), threading.Lock()
        topics = Topics(config.prefix, config.site)
        self._status, self._health = topics.status, topics.health
        self._alerts, self._scores = topics.alerts, topics.score("")
        self._of_events = topics.event("")
        # by asset and track: id of the newest alert, its rings, whether it is suppressed
        self._events: dict[tuple[str, str], tuple[str, int, int]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._server: tuple[WSGIServer, threading.Thread] | None = None
        self._again_s = 0.0
        self.turn()

    def said(self, topic: str, payload: bytes) -> None:
        """Keep the newest."""
        if topic == self._health:
            self._said.health = payload
        elif topic == self._status:
            self._said.status = payload
        elif topic.startswith(self._alerts):
            self._keep(self._said.alerts, topic, payload)
        elif topic.startswith(self._of_events):
            self._count(payload)
        elif topic.startswith(self._scores):
            self._keep(self._said.scores, topic, payload)

    def _keep(self, where: dict[str, bytes], topic: str, payload: bytes) -> None:
        with self._lock:
            if not payload:
                where.pop(topic, None)
            elif topic in where or len(where) < TOPICS_MAX:
                where[topic] = payload
            else:
                self.tally.dropped += 1

    def _count(self, payload: bytes) -> None:
        """What an event adds; of one that began before we heard of it only what comes now."""
        found = event_of(payload)
        if found is None:
            return
        key, now = (found.asset, found.track), (found.id, found.rings, found.suppressed)
        begins = len(found.history) == 1
        if key not in self._events and len(self._events) >= TOPICS_MAX:
            return
        alert_id, rings, quiet = self._events.get(key, ("", 0, 0))
        self._events[key] = now
        if alert_id != found.id:
            rings, quiet = (0, 0) if begins else now[1:]
        with self._lock:
            for counted, more in (
                (self._said.rings, found.rings - rings),
                (self._said.suppressions, found.suppressed - quiet),
            ):
                counted[key] = counted.get(key, 0) + max(0, more)

    def connected(self) -> None:
        """The broker has no part in this."""

    def away(self) -> None:
        """Likewise."""

    def turn(self) -> None:
        """Listen, where that did not work before."""
        if self._server is not None or self._clock.monotonic_s() < self._again_s:
            return
        host, port = self._address
        try:
            self._server = start_http_server(port, addr=host, registry=self._registry)
        except OSError as error:
            self._again_s = self._clock.monotonic_s() + AGAIN_S
            self.tally.failed += 1
            self.tally.cause = f"cannot listen on {host}:{port}: {error.strerror}"
        else:
            self.tally.cause = ""

    def close(self) -> None:
        """Listen no longer."""
        if self._server is None:
            return
        server, thread = self._server
        server.shutdown()
        server.server_close()
        thread.join(STOP_S_MAX)

    # --- on a thread of the server ---

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        kept = self._said
        with self._lock:  # for as long as copies of four tables take; the loop may wait for it
            said = Published(
                kept.status,
                kept.health,
                dict(kept.alerts),
                dict(kept.scores),
                dict(kept.rings),
                dict(kept.suppressions),
            )
        found = families(said, now_s=time.time(), knowledge_s=self._knowledge_s())
        self.tally.sent += 1
        for family in found:
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            metric = kind(family.name, family.text, labels=family.labels)
            for labels, value in family.series:
                metric.add_metric(labels, value)
            yield metric
