"""The gateway's world: everything outside the loop that is not in its configuration.

Clocks and waiting, the disk, MQTT, and what works beside the loop in threads and processes of its
own. `World` is this machine's. A simulation has another, in which nothing happens by itself.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import secrets
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from edge.boxes.fence_key import fence_key_of
from edge.boxes.fencing import Fence
from edge.boxes.identity import box_here
from edge.brokers import mqtt
from edge.bundles.watch import assembled
from edge.gateway.lapse import drawn_leap
from edge.gateway.upkeep import Upkeep
from edge.gateway.watchdog import Watchdog
from edge.knowledge.retrieve import Retriever
from edge.outputs.asked_for import outputs_of
from edge.storage.disk import CLOCK, DISK
from edge.storage.patience import Patience
from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.assembly.assembly import Assembly
    from edge.brokers.transport import Transport
    from edge.configuration.config import GatewayConfig
    from edge.gateway.telemetry import Telemetry
    from edge.outputs.hub import Outputs
    from edge.records import RetrievalDone
    from edge.storage.disk import Clock, Disk
    from edge.wire.topics import Topics

log = logging.getLogger("andon")

# The text model, and what searches, are made ready when a start is over, or by the first question.
WARM_S: Final = 5.0
WARMING_S_MAX: Final = 0.5  # at the end of the process, for what is just being made ready


# How long a thread that writes a checkpoint or searches may keep the interpreter from a tick that
# is due. With the 5 ms of Python itself, ticks of 1,000 assets at 100 Hz woke up to 11 ms late.
SWITCH_S: Final = 0.0005


class World:
    """The machine that it runs on."""

    def __init__(
        self,
        *,
        clock: Clock = CLOCK,
        disk: Disk = DISK,
        transport: Transport = mqtt,
    ) -> None:
        self.clock, self.disk, self.transport = clock, disk, transport

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Until somebody sets `wake`, at most so long; returns whether it is set."""
        return wake.wait(seconds)

    def sleep(self, seconds: float) -> None:
        """So long, whatever happens."""
        time.sleep(seconds)

    def assembled(self, config: GatewayConfig) -> Assembly:
        """What a configuration names, opened. Raises ModelError, KnowledgeError or ConfigError."""
        return assembled(config)

    def fence(self, config: GatewayConfig, topics: Topics) -> Fence:
        """Who of several boxes speaks. Raises Fenced or ConfigError."""
        state, clock = config.path(config.journal.dir), self.clock
        box = box_here(state, disk=self.disk, clock=clock, token=self.token)
        key = fence_key_of(state, disk=self.disk, token=self.token)
        return Fence(topics, box, state, key, disk=self.disk, clock=clock, token=self.token)

    def retriever(self, assembly: Assembly, answer: Callable[[RetrievalDone], None]) -> Retriever:
        """Who searches in the snapshot, and calls `answer` from a thread of its own."""
        if assembly.snapshot is not None:
            _later(assembly.snapshot.warm)
        return Retriever(assembly.snapshot, answer)

    def upkeep(
        self,
        config: GatewayConfig,
        assembly: Assembly,
        retriever: Retriever,
        telemetry: Telemetry,
    ) -> Upkeep:
        """Who watches for other knowledge and detectors."""
        return Upkeep(
            config, assembly, retriever, telemetry, disk=self.disk, patience=self.patience()
        )

    def outputs(self, config: GatewayConfig, assembly: Assembly) -> Outputs:
        """What else hears what the gateway says; nothing, mostly."""
        return outputs_of(
            config, assembly, transport=self.transport, disk=self.disk, clock=self.clock
        )

    def patience(self) -> Patience:
        """Who does what may block on the disk, and for how long the loop waits for it."""
        return Patience()

    def token(self, size_bytes: int) -> str:
        """A name that no other box or process draws, in hexadecimal digits."""
        return secrets.token_hex(size_bytes)

    def leap(self) -> int:
        """By how much revisions leap in a lapse: a number that no other process draws."""
        return drawn_leap()

    def watchdog(self, config: GatewayConfig) -> Watchdog:
        """The supervisor that started us, or none."""
        return Watchdog.of(
            os.environ,
            keepalive_s=config.mqtt.keepalive_s,
            tick_ms=config.engine.tick_ms,
            clock=self.clock,
        )

    def starts(self) -> None:
        """A start makes much and drops little: no collection looks at it until it is over."""
        gc.disable()

    def settled(self) -> None:
        """The start is over: what is alive now stays, and no collection in mid-tick looks at it."""
        gc.freeze()  # without a collection: it would find that nearly all is in use
        gc.enable()
        sys.setswitchinterval(SWITCH_S)


def _later(warm: Callable[[], None]) -> None:
    """Call it beside the loop, in WARM_S; not while the process ends: libraries are unloaded."""

    def warmed() -> None:
        try:
            warm()
        except KnowledgeError:  # each question tries again, and its alert says so
            log.exception("knowledge_not_ready")

    warming = threading.Timer(WARM_S, warmed)
    warming.daemon = True
    warming.start()

    def over() -> None:
        warming.cancel()
        warming.join(WARMING_S_MAX)

    atexit.register(over)


REAL: World = World()
