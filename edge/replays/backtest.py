"""Backtest: the same engine without a broker, as fast as it goes, over a journal or a table.

A live run's journal holds its own ticks and retrieval answers and is replayed exactly as it was. A
recording of messages alone gets ticks at fixed steps of plant time, and its questions are answered
at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.alerts.explain import NAMED_SHARE_MIN
from edge.alerts.load import Ask, load_of
from edge.assessment.assess import Episode
from edge.records import MessageReceived, Publish, RetrievalDone, Retrieve, TickDue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge.alerts.load import LoadReport
    from edge.engine import Engine
    from edge.recordings.recording import TimedMessage
    from edge.records import Effect, Stimulus
    from edge.settings import GatewaySettings

STEP_NS: Final = 10_000_000_000  # plant time between ticks where a recording has none of its own
SECOND_NS: Final = 1_000_000_000


class Backtest:
    """Drives an engine and keeps what it published. `revisions` are event payloads in order."""

    def __init__(
        self,
        engine: Engine,
        *,
        lookup: Callable[[Retrieve, int], RetrievalDone] | None = None,
        watch: Callable[[Effect, int], None] | None = None,
    ) -> None:
        """Drive an engine. `watch` sees every effect with the time of its stimulus, ns."""
        self._engine = engine
        self._lookup = lookup
        self._watch = watch
        self._event_prefix = f"{engine.settings.prefix}/{engine.settings.site}/event/"
        self.revisions: list[dict[str, Any]] = []
        self.published: list[Publish] = []

    def run(self, entries: Iterable[tuple[int, Stimulus]]) -> None:
        """Take every stimulus in order; questions are answered before the next one."""
        for now_ns, stimulus in entries:
            self._take(stimulus, now_ns)

    def _take(self, stimulus: Stimulus, now_ns: int) -> None:
        """Carry out all effects of a stimulus, in order, and then answer what they ask."""
        effects = list(self._engine.handle(stimulus, now_ns=now_ns))
        for effect in effects:
            self._carry_out(effect, now_ns)
        for effect in effects:
            if isinstance(effect, Retrieve) and self._lookup is not None:
                self._take(self._lookup(effect, self._engine.now_ns), now_ns)

    def _carry_out(self, effect: Effect, now_ns: int) -> None:
        if self._watch is not None:
            self._watch(effect, now_ns)
        if isinstance(effect, Publish) and effect.key is not None:
            self.published.append(effect)
            if effect.topic.startswith(self._event_prefix):
                self.revisions.append(msgspec.json.decode(effect.payload))

    def groups(self) -> list[dict[str, Any]]:
        """Revisions of group alerts as they were published, flat, in order."""
        head = self._event_prefix.removesuffix("event/") + "alert/_group/"
        of_groups = (one for one in self.published if one.topic.startswith(head))
        return [msgspec.json.decode(one.payload) for one in of_groups]

    def load(self) -> LoadReport:
        """The alarm load of the run, from its first revision to its end."""
        settings = self._engine.settings
        asks = [*asks_of(self.revisions, settings), *asks_of_groups(self.groups(), settings)]
        begin_ns = min((ask.t_ns for ask in asks), default=0)
        end_ns = max(self._engine.now_ns, begin_ns)
        return load_of(asks, settings.engine, begin_ns=begin_ns, end_ns=end_ns)

    def episodes(self) -> list[Episode]:
        """One episode for each event, from its published revisions."""
        return episodes_of(self.revisions)


def with_ticks(
    messages: Iterable[TimedMessage], *, step_ns: int = STEP_NS
) -> Iterator[tuple[int, Stimulus]]:
    """Stimuli of a recording.

    Every message at its own time, a tick each step, a final one at the end.
    """
    now_ns = next_ns = 0
    for message in messages:
        now_ns = max(now_ns, message.t_ns)
        if next_ns == 0:
            next_ns = now_ns + step_ns
        while now_ns >= next_ns:
            yield next_ns, TickDue()
            # a long gap needs no tick for every step in it, only one on each side
            next_ns = max(next_ns + step_ns, now_ns - now_ns % step_ns)
        yield (
            now_ns,
            MessageReceived(
                topic=message.topic,
                payload=message.payload,
                received_ns=now_ns,
                qos=message.qos,
                retain=message.retain,
            ),
        )
    if now_ns:
        yield now_ns, TickDue()
        yield now_ns, TickDue(final=True)


def episodes_of(revisions: Iterable[dict[str, Any]]) -> list[Episode]:
    """Fold event revisions into episodes, one for each alert id and count."""
    episodes: dict[tuple[str, int], Episode] = {}
    for event in revisions:
        key = (event["id"], event["count"])
        episode = episodes.get(key)
        if episode is None:
            episode = episodes[key] = Episode(
                alert_id=event["id"],
                count=event["count"],
                asset=event["asset"],
                track=event["track"],
                begin_ns=event["begin_ms"] * 1_000_000,
                opened_ns=event["ts_ms"] * 1_000_000,
            )
        _fold(episode, event)
    return sorted(episodes.values(), key=lambda e: (e.opened_ns, e.alert_id, e.count))


def asks_of(revisions: Iterable[dict[str, Any]], settings: GatewaySettings) -> list[Ask]:
    """Each time that an alert asked for attention by itself, from its published revisions."""
    asks = []
    asked: dict[tuple[str, int], int] = {}
    for event in revisions:
        key = (event["id"], event["count"])
        if event["annunciate"] and event["rings"] > asked.get(key, 0):
            again = key in asked
            asked[key] = event["rings"]
            asks.append(_ask(event, settings.of_asset(event["asset"]).position, again=again))
    return asks


def asks_of_groups(revisions: Iterable[dict[str, Any]], settings: GatewaySettings) -> list[Ask]:
    """The same of group alerts, for the position of what was first out."""
    asked: dict[tuple[str, int], dict[str, Any]] = {}
    for group in revisions:
        asked.setdefault((group["id"], group["count"]), group)
    return [
        _ask(group, settings.of_asset(group["first_out_asset"]).position, again=False)
        for group in asked.values()
    ]


def _ask(said: dict[str, Any], position: str, *, again: bool) -> Ask:
    return Ask(
        t_ns=said["ts_ms"] * 1_000_000,
        position=position,
        asset=said["asset"],
        track=said["track"],
        alert_id=said["id"],
        again=again,
    )


def _fold(episode: Episode, event: dict[str, Any]) -> None:
    t_ns = event["ts_ms"] * 1_000_000
    episode.top_channel = event["top_channel"] or episode.top_channel
    named = (part["channel"] for part in event["contributions"] if part["share"] >= NAMED_SHARE_MIN)
    episode.channels = tuple(dict.fromkeys((*episode.channels, *named)))
    episode.message = event["message"]
    episode.decision, episode.klass = event["decision"], event["class"]
    episode.job_id = event["job_id"] or episode.job_id
    if event["suppressed"] and not episode.suppressed:
        episode.suppressed, episode.suppressed_channel = True, event["top_channel"]
    if event["active"] and not episode.rang:
        episode.rang_ns = t_ns
    elif event["active"] and event["rings"] > episode.rings:
        episode.rang_again_ns = (*episode.rang_again_ns, t_ns)
    episode.rings = event["rings"]
    there = event["suppressed"] or event["state"].startswith("ACTIVE")  # silenced by hand or not
    if not there and not episode.ended_ns:
        episode.ended_ns = t_ns
