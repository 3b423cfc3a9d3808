"""What only a running gateway says: jobs and silences, which it retains, and what is blind.

A reader of the broker like any other, for some seconds, under no name.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from edge.brokers.links import endpoint_of
from edge.brokers.mqtt import Collector
from edge.errors import UNREADABLE
from edge.reports.handover import Now
from edge.wire.outgoing import JobsPayload
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from edge.configuration.config import GatewayConfig

WAIT_S: Final = 12.0  # a gateway says how it is every ten seconds
MESSAGES_MAX: Final = 200_000


class _Health(msgspec.Struct):
    """Of health only what is blind."""

    blind: tuple[str, ...] = ()


def ask(config: GatewayConfig, *, wait_s: float = WAIT_S) -> Now:
    """Jobs of all assets as they are retained, and what is blind. Raises AndonError."""
    topics = Topics(config.prefix, config.site)
    endpoint = replace(endpoint_of(config, config.mqtt.output), client_id="")
    blind: tuple[str, ...] | None = None
    jobs: dict[str, JobsPayload] = {}
    deadline_s = time.monotonic() + wait_s
    filters = [topics.job("+"), topics.health]
    with Collector(endpoint, filters, queue_max=MESSAGES_MAX, patient=False) as heard:
        while blind is None and time.monotonic() < deadline_s:
            heard.arrived.wait(max(0.0, deadline_s - time.monotonic()))
            heard.arrived.clear()
            while heard.queue:
                came = heard.queue.popleft()
                if came.topic == topics.health:
                    blind = _blind(came.payload)
                else:
                    _take(jobs, came.topic, came.payload)
    return Now(
        t_ms=time.time_ns() // 1_000_000,
        jobs=tuple(jobs[topic] for topic in sorted(jobs)),
        blind=blind or (),
    )


def _take(jobs: dict[str, JobsPayload], topic: str, payload: bytes) -> None:
    if not payload:  # of an asset that was retired
        jobs.pop(topic, None)
        return
    try:
        jobs[topic] = msgspec.json.decode(payload, type=JobsPayload)
    except UNREADABLE:  # of another version: the gateway says it anew
        jobs.pop(topic, None)


def _blind(payload: bytes) -> tuple[str, ...] | None:
    try:
        return msgspec.json.decode(payload, type=_Health).blind
    except UNREADABLE:
        return None
