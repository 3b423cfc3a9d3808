"""The operator's picture: retained and live messages in, rows of a page out. No IO, no clock.

Of each topic the newest word counts, by revision, else by time; what comes twice, late or again
after a reconnection changes nothing. What a broker retained once and says no more, when it was
asked again, is taken off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import WireError
from edge.page.board import Board
from edge.page.rows import alert_row, health_row, listed
from edge.page.spikes import Spikes
from edge.page.trends import Trends
from edge.wire.outgoing import (
    AlertPayload,
    EventPayload,
    GroupAlertPayload,
    GroupPayload,
    HealthPayload,
    JobsPayload,
    ScorePayload,
    StatusPayload,
    SystemPayload,
)
from edge.wire.reread import Published, reread

if TYPE_CHECKING:
    from edge.wire.outgoing import AlertFields
    from edge.wire.topics import Topics

TOPICS_MAX: Final = 60_000  # of which something is kept: 10,000 assets with all of theirs
DETAIL_BYTES_MAX: Final = 32 << 20  # events in full; the oldest go, and are looked up on disk


class Picture:
    """What is known, as rows of a board, spikes of the shift, trends and events in full."""

    def __init__(self, topics: Topics, *, shift_s: int, shift_start_s: int) -> None:
        self._topics = topics
        self.board, self.trends = Board(), Trends()
        self.spikes = Spikes(shift_s=shift_s, shift_start_s=shift_start_s)
        self.plant_ms = 0  # newest plant time that was heard
        self.assets: set[str] = set()
        self.online = False  # whether the gateway says so, or the broker of it
        self.blind: tuple[str, ...] = ()  # every asset, of which a row names some
        self.refused: dict[str, int] = {}  # messages that could not be used, by reason
        self._order: dict[str, tuple[int, int]] = {}  # topic -> (time, revision) of what counts
        self._ids: dict[str, str] = {}  # topic -> id of the alert that counts
        self._heard_in: dict[str, int] = {}  # retained topic -> generation that said it last
        self._details: dict[str, tuple[int, bytes]] = {}  # id -> revision and event in full
        self._detail_bytes = 0

    def take(self, topic: str, payload: bytes, *, generation: int = 0) -> Published | None:
        """One message. Returns what it said, None for what nobody shows or could be read."""
        if not payload:
            self._forget(topic)  # a retained topic that was cleared: of an asset that is gone
            return None
        try:
            said = reread(payload, topic=topic, topics=self._topics)
        except WireError as error:
            self._refuse(error.reason)
            return None
        if said is None:
            return None
        if topic not in self._heard_in and len(self._heard_in) >= TOPICS_MAX:
            self._refuse("too_many_topics")
            return None
        self._heard_in[topic] = max(generation, self._heard_in.get(topic, 0))
        self._see(topic, said, payload)
        return said

    def sweep(self, generation: int) -> None:
        """What was retained once, and was not said again since a connection, is there no more."""
        retained = ("alert", "job", "group")
        for topic in [t for t, heard in self._heard_in.items() if heard < generation]:
            if topic.removeprefix(f"{self._topics.root}/").split("/")[0] in retained:
                self._forget(topic)

    def tell(self, key: str, row: msgspec.Struct) -> None:
        """A row of the page's own."""
        self.board.put(key, msgspec.json.encode(row))

    def pass_to(self, plant_ms: int) -> None:
        """It is that late; shifts begin and end by it."""
        self.plant_ms = max(self.plant_ms, plant_ms)
        begin_ms = self.spikes.begin_ms
        for key in self.spikes.move_to(self.plant_ms):
            self.board.remove(f"spike/{key}")
        if self.spikes.begin_ms != begin_ms:
            self.tell("shift", self.spikes.headline())

    def detail(self, alert_id: str) -> bytes | None:
        """The newest event of an alert in full, as JSON; None where none is remembered."""
        found = self._details.get(alert_id)
        return None if found is None else found[1]

    def see_past(self, said: EventPayload) -> None:
        """An event of before, from what the gateway keeps: it counts for the shift.

        An older revision of it in full is forgotten: whoever asks finds the newer one there.
        """
        stands = self._details.get(said.id)
        if stands is not None and stands[0] < said.revision:
            self._detail_bytes -= len(self._details.pop(said.id)[1])
        self._spike(said)

    def is_behind(self, alert_id: str) -> bool:
        """Whether an alert has been said in a newer revision than its event in full is of."""
        found = self._details.get(alert_id)
        stands = [topic for topic, said in self._ids.items() if said == alert_id]
        return found is not None and any(found[0] < self._order[topic][1] for topic in stands)

    def _see(self, topic: str, said: Published, payload: bytes) -> None:
        match said:
            case StatusPayload():
                self.online = said.online
                self.tell("status", said)  # its time is the box's, not the plant's
            case HealthPayload():
                self._health(topic, said)
            case AlertPayload() | GroupAlertPayload():
                self._alert(topic, said)
            case EventPayload():
                self._event(said, payload)
            case JobsPayload():
                self._jobs(topic, said)
            case ScorePayload():
                self.trends.take(said)
                self._know(said.asset)
                self.pass_to(said.ts_ms)
            case SystemPayload():
                self._if_newer(topic, said.ts_ms, 0)
                self._show("system", said, there=bool(said.active))
            case GroupPayload():
                if self._if_newer(topic, said.ts_ms, said.revision):
                    self._show(f"group/{said.cause_kind}-{said.cause}", said, there=True)
            case _:
                pass

    def _health(self, topic: str, said: HealthPayload) -> None:
        if self._if_newer(topic, said.ts_ms, 0):
            self.blind = said.blind
            self.tell("health", health_row(said))
            self.pass_to(said.plant_ms)

    def _alert(self, topic: str, said: AlertPayload | GroupAlertPayload) -> None:
        """Within an id the higher revision counts; of two ids the one that spoke later."""
        key, stands = topic.removeprefix(f"{self._topics.root}/"), self._order.get(topic)
        same = self._ids.get(topic) == said.id
        now = (said.ts_ms, said.revision)
        if isinstance(said, AlertPayload):
            self._know(said.asset)
            self._spike(said)
        if stands is not None and (now[1] < stands[1] if same else now < stands):
            return
        self._order[topic], self._ids[topic] = now, said.id
        self._show(key, alert_row(said), there=listed(said))
        self.pass_to(said.ts_ms)

    def _event(self, said: EventPayload, payload: bytes) -> None:
        self._know(said.asset)
        self._spike(said)
        stands = self._details.get(said.id)
        if stands is not None and stands[0] > said.revision:
            return
        if stands is not None:
            del self._details[said.id]
            self._detail_bytes -= len(stands[1])
        self._details[said.id] = (said.revision, payload)
        self._detail_bytes += len(payload)
        while self._detail_bytes > DETAIL_BYTES_MAX and len(self._details) > 1:
            oldest = next(iter(self._details))
            self._detail_bytes -= len(self._details.pop(oldest)[1])

    def _jobs(self, topic: str, said: JobsPayload) -> None:
        if not self._if_newer(topic, said.ts_ms, 0):
            return
        self._know(said.asset)
        there = bool(said.jobs or said.proposals or said.silences)
        self._show(f"job/{said.asset}", said, there=there)
        self.pass_to(said.ts_ms)

    def _spike(self, said: AlertFields) -> None:
        changed = self.spikes.take(said)
        for key in changed:
            spike = self.spikes.get(key)
            if spike is None:
                self.board.remove(f"spike/{key}")
            else:
                self.tell(f"spike/{key}", spike)
        if changed:
            self.tell("shift", self.spikes.headline())

    def _if_newer(self, topic: str, ts_ms: int, revision: int) -> bool:
        """Whether a word takes the place of the one that stands; of one time the later one does.

        Of one topic a broker keeps the order.
        """
        now = (ts_ms, revision)
        if now < self._order.get(topic, now):
            return False
        self._order[topic] = now
        return True

    def _show(self, key: str, row: msgspec.Struct, *, there: bool) -> None:
        if there:
            self.tell(key, row)
        else:
            self.board.remove(key)

    def _know(self, asset: str) -> None:
        self.assets.add(asset)

    def _forget(self, topic: str) -> None:
        self._heard_in.pop(topic, None)
        self._order.pop(topic, None)
        self._ids.pop(topic, None)
        self.board.remove(topic.removeprefix(f"{self._topics.root}/"))

    def _refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1
