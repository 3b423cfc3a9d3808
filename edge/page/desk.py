"""The process behind the page: messages of the broker into the picture, commands out of it.

Everything runs on one event loop; what reads files runs beside it, in threads.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec

from edge.brokers.conversation import Conversation
from edge.errors import WireError
from edge.page.feed import Feed, Pulse
from edge.page.papers import Papers
from edge.page.past import Past
from edge.page.picture import Picture
from edge.page.sayings import Sayings
from edge.wire.outgoing import ResultPayload
from edge.wire.readings import decode_clock
from edge.wire.topics import CLOCK_TOPIC, Topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from edge.brokers.endpoint import Endpoint
    from edge.configuration.config import GatewayConfig

SWEEP_S: Final = 10.0  # after a connection everything that is retained has come
LOOK_S: Final = 1.0  # between two looks at the clock and at our own state
KNOWLEDGE_LOOK_S: Final = 5.0
TURN_MAX: Final = 2_000  # messages after which others have their turn
OUTBOX: Final = "outbox.sqlite"


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """What the page says of itself."""

    site: str
    clock: str
    connected: bool
    cause: str
    refused: tuple[str, ...]  # topics that the broker does not let us hear
    now_ms: int  # plant time when that was said
    assets: int
    unusable: int  # messages that could not be used
    left_out: int  # messages for which there was no room
    knowledge_ms: int | None  # when the snapshot was made; null: there is none
    documents: int


class Desk:
    """Picture, past, papers and commands of one gateway, as they are served."""

    def __init__(
        self, config: GatewayConfig, endpoint: Endpoint, *, filters: Sequence[str]
    ) -> None:
        topics = self.topics = Topics(config.prefix, config.site)
        engine = config.engine
        self.config = config
        self.picture = Picture(topics, shift_s=engine.shift_s, shift_start_s=engine.shift_start_s)
        self.past = Past(config.path(config.journal.dir) / OUTBOX, topics)
        self.papers = Papers(config.path(config.kb.snapshot) if config.kb.snapshot else None)
        self.pulse = Pulse()
        self.feed = Feed(self.picture.board, self.pulse, epoch=secrets.token_hex(4))
        self._woken = asyncio.Event()
        self._endpoint, self._filters = endpoint, filters
        self._loop: asyncio.AbstractEventLoop | None = None
        self._conversation = Conversation(endpoint, filters=filters, wake=self._wake)
        self.sayings = Sayings(topics, self._conversation.say)
        self._knowledge: tuple[int | None, int] = (None, 0)
        self._dropped = 0
        self._clock_ms = 0
        self.heard_ms = 0  # plant time when broker and gateway were there last

    @property
    def now_ms(self) -> int:
        """Plant time."""
        if self.config.clock == "plant":
            return max(self.picture.plant_ms, self._clock_ms)
        return time.time_ns() // 1_000_000

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Hear and answer while this is open."""
        self._loop = asyncio.get_running_loop()
        with self._conversation:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(work()) for work in (self._listen, self._look, self._read)
                ]
                try:
                    yield
                finally:
                    self.feed.stopping = True
                    self.pulse.beat()
                    for task in tasks:
                        task.cancel()

    def _wake(self) -> None:
        """Called on the network thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    async def _listen(self) -> None:
        """Messages into the picture, some thousand a turn."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            came = self._conversation.take()
            for begin in range(0, len(came), TURN_MAX):
                for generation, message in came[begin : begin + TURN_MAX]:
                    self._take(message.topic, message.payload, generation)
                self.pulse.beat()
                await asyncio.sleep(0)
            if self._conversation.dropped_total != self._dropped:
                self._dropped = self._conversation.dropped_total
                self._conversation.ask_again()  # what of it is retained is said again
            self._tell_own()
            self.pulse.beat()

    def _take(self, topic: str, payload: bytes, generation: int) -> None:
        if topic == CLOCK_TOPIC:
            with suppress(WireError):
                self._clock_ms = decode_clock(payload, topic=topic) // 1_000_000
            return
        said = self.picture.take(topic, payload, generation=generation)
        if isinstance(said, ResultPayload):
            self.sayings.heard(topic, said)

    async def _look(self) -> None:
        """The clock goes on, and what is said of a connection comes to an end."""
        swept, since_s = 0, time.monotonic()
        known = 0
        while True:
            generation, now_s = self._conversation.generation, time.monotonic()
            if generation != known:
                known, since_s = generation, now_s
            if swept != known and self._conversation.connected and now_s > since_s + SWEEP_S:
                swept = known
                self.picture.sweep(known)
            if now_ms := self.now_ms:
                self.picture.pass_to(now_ms)
            if self._conversation.connected and self.picture.online:
                self.heard_ms = now_ms
            self._tell_own()
            self.pulse.beat()
            await asyncio.sleep(LOOK_S)

    async def _read(self) -> None:
        """Files: the shift so far, again after each lost connection; how old the knowledge is.

        Events are not retained: what began and ended while nobody listened is on the disk alone.
        """
        talk = self._conversation
        counted: tuple[int, int] | None = None
        while True:
            begin_ms, mark = self.picture.spikes.begin_ms, (talk.generation, talk.dropped_total)
            if begin_ms and mark != counted and (talk.connected or counted is None):
                counted = mark  # before it looks: what is lost meanwhile is looked for again
                for said in await asyncio.to_thread(self.past.events_since, begin_ms):
                    self.picture.see_past(said)
            manifest = await asyncio.to_thread(self.papers.manifest)
            if manifest is not None:
                self._knowledge = (manifest.created_ns // 1_000_000, manifest.counts.documents)
            await asyncio.sleep(KNOWLEDGE_LOOK_S if counted is not None else LOOK_S)

    def _tell_own(self) -> None:
        talk = self._conversation
        own = Own(
            site=self.config.site,
            clock=self.config.clock,
            connected=talk.connected,
            cause="" if talk.connected else talk.cause,
            refused=talk.refused,
            now_ms=self.now_ms // 1_000 * 1_000,
            assets=len(self.picture.assets),
            unusable=sum(self.picture.refused.values()),
            left_out=talk.dropped_total,
            knowledge_ms=self._knowledge[0],
            documents=self._knowledge[1],
        )
        self.picture.tell("page", own)
