"""Arrivals: values of the plant as messages bring them, with what they say about their clock.

One bad clock is suspect alone: an asset whose values come from the future, or from too long ago,
until it shows a time that can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.batches import Readings
from edge.errors import WireError
from edge.samples.decoders import Decoders
from edge.samples.gather import Gather
from edge.samples.many import Singles
from edge.samples.pending import count
from edge.samples.routes import Routes
from edge.samples.sparkplug import Sparkplug
from edge.samples.sparkplug_news import SparkplugNews
from edge.samples.waveforms import Waveforms
from edge.state import seen_topic
from edge.wire import topics
from edge.wire.readings import only_tags
from edge.wire.topics import CLOCK_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from edge.desk import Desk
    from edge.records import MessageReceived
    from edge.samples.align import Aligner
    from edge.samples.clock import PlantClock
    from edge.samples.own_clock import OwnClock
    from edge.samples.routes import Route
    from edge.settings import GatewaySettings
    from edge.state import EngineState
    from models.bundles.bundle import AssetModel

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
BATCH_NS_MAX: Final = 3_600 * SECOND_NS  # plant time that one message of a replay may span
MANY_MIN: Final = 32  # messages that are tried to be taken together


class Arrivals:
    """Takes plant messages. `now(wall_ns)` is the engine's idea of now; `assets` are ours.

    desk: told whose state is about to change, and has.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        assets: Container[str],
        aligner: Aligner,
        clock: PlantClock,
        own: OwnClock,
        state: EngineState,
        now: Callable[[int], int],
        desk: Desk,
    ) -> None:
        self._settings, self._before = settings, desk.before
        self._assets = assets
        self._push, self._brings_channels = aligner.push, aligner.brings_channels
        self._gather = Gather(aligner)
        self._sparkplug = Sparkplug(
            state.births,
            state.counts,
            assets=assets,
            nodes=state.nodes,
            sources=settings.source,
            dead=(name for name, one in state.assets.items() if one.dead_ns),
        )
        self._news = SparkplugNews(self._sparkplug, state.assets, desk=desk)
        self._decoders = Decoders(state.counts, sparkplug=self._sparkplug, points=state.points)
        self._routes = Routes(
            settings, aligner=aligner, gather=self._gather, sparkplug=self._sparkplug
        )
        self._aligner = aligner
        self._waves = Waveforms(settings.asset, state=state.waves, counts=state.counts)
        self._clock, self._own = clock, own
        self._state = state
        self._now = now
        # On plant time a source may be ahead by the length of its batches, or behind; it is alone
        # in that, not wrong.
        engine = settings.engine
        self._by_plant = plant = settings.clock == "plant"
        self.ahead_ns = BATCH_NS_MAX if plant else engine.future_ms_max * MILLISECOND_NS
        self._late_ns = engine.late_ms_max * MILLISECOND_NS
        self._behind_ns = engine.behind_ms_max * MILLISECOND_NS + (BATCH_NS_MAX if plant else 0)
        self._singles = Singles(
            self._routes,
            gather=self._gather,
            own=own,
            state=state,
            now=now,
            behind_ns=self._behind_ns,
            ahead_ns=self.ahead_ns,
        )

    def settle(self) -> None:
        """Hand on everything that waits to be aligned."""
        self._gather.settle()

    def settle_blocks(self, *, now_ns: int, final: bool) -> None:
        """Hand on the features of the blocks that are due, behind all that waits."""
        told = self._waves.settle(until_ns=now_ns - self._late_ns, final=final)
        for readings in told:  # each was not later than its own bound
            self._push(readings, future_ns=int(readings.t_ns[0]))

    def take(self, message: MessageReceived, *, now_ns: int) -> None:
        """Take one message of the plant; now_ns: the wall clock. Raises WireError."""
        if self._waves.carries(message.topic):
            self._take_block(message, now_ns=now_ns)
            return
        source = topics.match_source(message.topic, self._settings.source)
        if source is None:
            raise WireError(
                "no source in the configuration matches", reason="no_source", topic=message.topic
            )
        received_ns = self._received_ns(message, now_ns=now_ns)
        told = self._decoders.take(
            message.payload,
            topic=message.topic,
            source=source[0],
            asset=source[1],
            received_ns=received_ns,
            live=not (message.retain or message.dup),
        )
        if self._sparkplug.news:
            self._news.take(source[0], t_ns=self._now(now_ns))
        for readings in told:
            known = readings.asset in self._assets  # whoever else speaks has no say on time
            newest_ns = int(readings.t_ns.max()) if len(readings.t_ns) else None
            if known and newest_ns is not None and not (message.retain and not self._by_plant):
                timed = newest_ns != received_ns
                self._observe(readings.asset, newest_ns, timed=timed, wall_ns=now_ns)
            at_ns = self._now(now_ns)
            self._place(message, readings, newest_ns, received_ns=received_ns, at_ns=at_ns)

    def take_group(
        self,
        messages: Sequence[MessageReceived],
        other: Callable[[MessageReceived, int], None],
        each: Callable[[Iterable[MessageReceived]], Iterator[MessageReceived]],
        *,
        now_ns: int,
    ) -> None:
        """Take messages, at least one, one after another; `other` takes those that are not usual.

        The outcome is that of `other` for each of them. each: notes which one is taken now; of many
        that are taken together, the first.
        """
        taken, size = 0, len(messages)
        if size >= MANY_MIN and self._routes.any_single and not self._by_plant:
            next(each(messages))
            taken = self._singles.take(messages, now_ns=now_ns)
            count(self._state.counts, "messages", taken)
            if not taken and size >= 2 * MANY_MIN:
                for half in (messages[: size // 2], messages[size // 2 :]):
                    self.take_group(half, other, each, now_ns=now_ns)
                return
        self._one_by_one(each(messages[taken:]), other, now_ns=now_ns)

    def _one_by_one(
        self,
        messages: Iterable[MessageReceived],
        other: Callable[[MessageReceived, int], None],
        *,
        now_ns: int,
    ) -> None:
        routes, taken = self._routes, 0
        for message in messages:
            route = routes.known.get(message.topic)
            if route is not None and self._quickly(message, route, now_ns=now_ns):
                taken += 1
                continue
            other(message, now_ns)
            if not (message.retain or self._is_other(message.topic)):
                routes.learn(message.topic, message.payload)
        count(self._state.counts, "messages", taken)

    def _is_other(self, topic: str) -> bool:
        """Whether the messages of a topic are no values: blocks, commands or a clock's."""
        head = f"{self._settings.prefix}/{self._settings.site}/cmd/"
        return self._waves.carries(topic) or topic == CLOCK_TOPIC or topic.startswith(head)

    def _quickly(self, message: MessageReceived, route: Route, *, now_ns: int) -> bool:
        """Take a message of a form that was seen before; False: nothing of it is taken."""
        topic, asset, state = message.topic, route.asset, self._state
        again = message.dup and route.speaker is not None  # it was counted already
        if message.retain or again or topic in state.topic_errors:
            return False
        found = self._routes.read(route, message.payload, topic=topic)
        if found is None:
            return False
        tags, values, t_ns = found
        received_ns = self._received_ns(message, now_ns=now_ns)
        if t_ns is None:
            t_ns = received_ns
        if self._by_plant:
            self._clock.observe(asset, t_ns)
            at_ns = self._now(now_ns)
        elif t_ns == received_ns or self._own.says_the_same(asset, t_ns, wall_ns=now_ns):
            at_ns = state.now_ns
        else:
            self._own.heard(asset, t_ns, wall_ns=now_ns)
            at_ns = self._now(now_ns)
        if (
            not at_ns - self._behind_ns <= t_ns <= at_ns + self.ahead_ns
            or (state.suspects and asset in state.suspects)
            or (topic not in state.assets[asset].topics and route.brings_channels(tags))
        ):
            readings = Readings(
                asset=asset,
                tags=tags,
                t_ns=np.array([t_ns], np.int64),
                values=np.array([values], np.float64),
            )
            self._place(message, readings, t_ns, received_ns=received_ns, at_ns=at_ns)
            return True
        if route.places:  # all of a wide message
            self._gather.one(route.places, values, t_ns=t_ns)
            return True
        places = [place for tag in tags if (place := route.told.get(tag)) is not None]
        if len(places) < len(tags):
            known = [tag in route.told for tag in tags]
            lost = sum(v is not None for v, told in zip(values, known, strict=True) if not told)
            count(self._aligner.counts, "unknown_tag", lost)
            values = tuple(v for v, told in zip(values, known, strict=True) if told)
        if places:
            self._gather.one(places, values, t_ns=t_ns)
        return True

    def _place(
        self,
        message: MessageReceived,
        readings: Readings,
        newest_ns: int | None,
        *,
        received_ns: int,
        at_ns: int,
    ) -> None:
        """Set readings waiting to be aligned, and note what their times say about their sender."""
        known = readings.asset in self._assets
        taken = readings
        if message.retain and (readings.t_ns == received_ns).all():
            taken = self._of_unknown_age(readings)
        if known and message.topic not in self._state.assets[readings.asset].topics:
            self._came_on(message, taken)
        self._gather.take(taken, future_ns=at_ns + self.ahead_ns, retain=message.retain)
        self._waves.heard(taken, future_ns=at_ns + self.ahead_ns)
        if known and newest_ns is not None:
            behind = not message.retain and newest_ns < at_ns - self._behind_ns
            self._suspect(readings.asset, wrong=behind or newest_ns > at_ns + self.ahead_ns)

    def _came_on(self, message: MessageReceived, taken: Readings) -> None:
        """Remember which topics bring an asset's channels: their silence is the asset's."""
        if self._brings_channels(taken):
            self._before((taken.asset,))
            state = self._state.assets[taken.asset]
            seen_topic(state, message.topic, t_ns=message.received_ns)

    def _take_block(self, message: MessageReceived, *, now_ns: int) -> None:
        """Blocks of a fast waveform; their end says as much about a clock as a value's time."""
        for told in self._waves.read(
            message.payload,
            topic=message.topic,
            received_ns=self._received_ns(message, now_ns=now_ns),
            retain=message.retain,
        ):
            speaks = told.asset in self._assets and not message.retain
            if speaks:
                self._before((told.asset,))
                state = self._state.assets[told.asset]
                seen_topic(state, message.topic, t_ns=message.received_ns)
            end_ns = told.sent.end_ns
            if speaks:
                self._observe(told.asset, end_ns, timed=told.sent.timed, wall_ns=now_ns)
            at_ns = self._now(now_ns)
            self._waves.put(told, future_ns=at_ns + self.ahead_ns)
            if speaks:
                behind = end_ns < at_ns - self._behind_ns
                self._suspect(told.asset, wrong=behind or end_ns > at_ns + self.ahead_ns)

    def _received_ns(self, message: MessageReceived, *, now_ns: int) -> int:
        """When a message came, by what our clock should have shown."""
        if self._by_plant:
            return message.received_ns
        if now_ns != self._own.state.wall_ns:
            self._now(now_ns)  # our clock may have been set meanwhile
        return message.received_ns + self._own.state.offset_ns

    def _observe(self, asset: str, t_ns: int, *, timed: bool, wall_ns: int) -> None:
        """An asset shows a time; timed: of its own, else it is our clock's."""
        if self._by_plant:
            self._clock.observe(asset, t_ns)
        elif timed:
            self._own.heard(asset, t_ns, wall_ns=wall_ns)

    def _of_unknown_age(self, readings: Readings) -> Readings:
        """Retained, without a time of its own: it may be of last year. Context is held anyway."""
        context = {tag.tag for tag in self._settings.of_asset(readings.asset).context}
        kept = only_tags(readings, context)
        lost = len(readings.tags) - len(kept.tags)
        self._state.counts["retained_untimed"] = (
            self._state.counts.get("retained_untimed", 0) + lost
        )
        return kept

    def _suspect(self, asset: str, *, wrong: bool) -> None:
        suspects = self._state.suspects
        if wrong and asset not in suspects:
            suspects.append(asset)
        elif not wrong and asset in suspects:
            suspects.remove(asset)


def gap_ns(settings: GatewaySettings, model: AssetModel) -> int:
    """Silence that is a comms gap: beyond the source's declared interval, else the default, ns."""
    source = topics.source_of(model.asset, settings.source)
    declared_ns = source.interval_ms_max * 1_000_000 if source is not None else 0
    return declared_ns or max(settings.engine.comms_gap_s * 1_000_000_000, 5 * model.period_ns)
