"""Observed: all that was heard on a broker, by topic and tag, in bounded memory.

What does not fit any more is counted. Whatever commands others is not looked at, and Andon's own
words are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.discovery.messages import MANY_TAGS, RAW, Naming, Reader, Told, Unread
from edge.discovery.offset import Lags
from edge.discovery.series import Series
from edge.wire.formats import JSON, SPARKPLUG
from edge.wire.sparkplug import BIRTHS, DATA, DEATHS, NAMESPACE
from edge.wire.topics import CLOCK_TOPIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.batches import Readings

STREAMS_MAX: Final = 20_000  # topics, and whose values they bring; 1 KiB each
SERIES_MAX: Final = 40_000  # tags of all of them; 3 KiB each, so 120 MB
ROWS_MAX: Final = 256  # newest times of one message that are looked at, as of a tag's times
REASONS_MAX: Final = 64  # topics that cannot be read and are shown
EXAMPLE_BYTES: Final = 48  # of a payload that cannot be read
BIRTH, METADATA = "birth", "metadata"
COMMANDS: Final = frozenset(["set", "cmd", "command", "commands", "write", "ncmd", "dcmd", "rpc"])


class Key(NamedTuple):
    """What brings values. whose: an asset that the payload names, "" where the topic has to.

    Of Sparkplug B the topic is that of births and data alike.
    """

    topic: str
    form: str
    whose: str


@dataclass(slots=True)
class Stream:
    """What one topic brings of one asset."""

    key: Key
    shape: str
    naming: Naming
    messages: int = 0
    retained: int = 0
    series: dict[str, Series] = field(default_factory=dict)
    lags: Lags = field(default_factory=Lags)


@dataclass(slots=True)
class Refused:
    """Messages of one topic that could not be read."""

    reason: str
    why: str
    begins: str
    count: int = 0


@dataclass(slots=True)
class Counts:
    """How many messages there were of each kind; their sum is what was heard."""

    values: int = 0
    own: int = 0  # below Andon's prefix
    commands: int = 0  # of others, to machines
    other: int = 0  # deaths and the like, which bring no values
    unread: int = 0
    beyond: int = 0  # of topics for which there was no place


class Observed:
    """Takes messages. prefix: of Andon's own topics."""

    def __init__(
        self, *, prefix: str, streams_max: int = STREAMS_MAX, series_max: int = SERIES_MAX
    ) -> None:
        self._prefix = prefix
        self._streams_max, self._series_max = streams_max, series_max
        self._reader = Reader()
        self.streams: dict[Key, Stream] = {}
        self.refused: dict[str, Refused] = {}
        self.counts = Counts()
        self.series = 0
        self.tags_beyond = 0  # values of tags for which there was no place
        self.from_ns = self.to_ns = 0

    def take(self, topic: str, payload: bytes, *, received_ns: int, retained: bool) -> None:
        """Take one message."""
        self.from_ns = self.from_ns or received_ns
        self.to_ns = max(self.to_ns, received_ns)
        counts = self.counts
        levels = topic.split("/")
        if levels[0] == self._prefix or topic == CLOCK_TOPIC:
            counts.own += 1
            return
        if is_command(levels):
            counts.commands += 1
            return
        told = self._reader.read(topic, payload, received_ns=received_ns)
        if told is None:
            counts.other += 1
        elif isinstance(told, Unread):
            counts.unread += 1
            if told.reason == MANY_TAGS:  # what was taken for one tag is several
                gone = self.streams.pop(Key(topic, RAW, ""), None)
                self.series -= len(gone.series) if gone is not None else 0
            self._refuse(topic, payload, told)
        else:
            self._note(topic, told, received_ns=received_ns, retained=retained)

    @property
    def nameless(self) -> dict[str, int]:
        """Values without names, by what would have told them."""
        counts = self._reader.counts
        return {
            what: counts[name]
            for name, what in (("waiting_for_birth", BIRTH), ("waiting_for_metadata", METADATA))
            if counts.get(name)
        }

    def says(self) -> str:
        """What has come so far."""
        unread = f", {self.counts.unread} not read" if self.counts.unread else ""
        return f"{self.counts.values} messages, {self.series} tags{unread}"

    def _refuse(self, topic: str, payload: bytes, told: Unread) -> None:
        known = self.refused.get(topic)
        if known is None:
            if len(self.refused) >= REASONS_MAX:
                return
            begins = repr(payload[:EXAMPLE_BYTES])[1:]
            known = self.refused[topic] = Refused(told.reason, told.why, begins)
        known.count += 1

    def _note(self, topic: str, told: Told, *, received_ns: int, retained: bool) -> None:
        """Note the values of each asset that a message is about; without any place it is beyond."""
        born = told.form == SPARKPLUG and topic.split("/")[2] in BIRTHS
        topic, noted = _topic_of(topic, told), False
        for whose, readings in _by_asset(told).items():
            stream = self._stream(Key(topic, told.form, whose), told)
            if stream is None:
                continue
            noted = True
            stream.messages += 1
            stream.retained += retained
            for one in readings:
                self._note_values(stream, one, timed=told.timed, retained=retained or born)
            if retained or born:
                continue
            newest = max((int(one.t_ns.max()) for one in readings if len(one.t_ns)), default=0)
            if told.timed and newest:
                stream.lags.take(newest_ns=newest, received_ns=received_ns)
            else:
                stream.lags.untimed += 1
        self.counts.values += noted
        self.counts.beyond += not noted

    def _stream(self, key: Key, told: Told) -> Stream | None:
        stream = self.streams.get(key)
        if stream is None and len(self.streams) < self._streams_max:
            stream = self.streams[key] = Stream(key, told.shape, told.naming)
        return stream

    def _note_values(
        self, stream: Stream, readings: Readings, *, timed: bool, retained: bool
    ) -> None:
        texts = {(tag, t_ns): text for tag, t_ns, text in readings.texts}
        times = readings.t_ns[-ROWS_MAX:].tolist()
        rows = readings.values[-ROWS_MAX:].tolist()
        sparse = len(times) > 1 and stream.key.form != JSON
        for i, tag in enumerate(readings.tags):
            series = self._series(stream, tag)
            if series is None:
                self.tags_beyond += len(times)
                continue
            if readings.units and tag in readings.units:
                series.unit = readings.units[tag]
            for t_ns, row in zip(times, rows, strict=True):
                value: float | str | None = row[i]
                if value != value:  # noqa: PLR0124 - NaN
                    value = texts.get((tag, t_ns))
                    if value is None and sparse:
                        continue  # another metric's time
                series.take(value, t_ns=t_ns, timed=timed, retained=retained)

    def _series(self, stream: Stream, tag: str) -> Series | None:
        series = stream.series.get(tag)
        if series is None and self.series < self._series_max:
            series = stream.series[tag] = Series()
            self.series += 1
        return series


def is_command(levels: Sequence[str]) -> bool:
    """Whether a topic by its levels tells machines what to do: that is not for us."""
    if levels[0] == NAMESPACE:
        return len(levels) > 2 and levels[2] not in (*BIRTHS, *DATA, *DEATHS)
    return levels[-1].lower() in COMMANDS


def _topic_of(topic: str, told: Told) -> str:
    """The topic by which values are known: births and data of a device are of one stream."""
    if told.form != SPARKPLUG:
        return topic
    levels = topic.split("/")
    return "/".join([*levels[:2], "+", *levels[3:]])


def _by_asset(told: Told) -> dict[str, list[Readings]]:
    """Readings by the asset that the payload names, "" where it names none."""
    found: dict[str, list[Readings]] = {}
    for readings in told.readings:
        if readings.tags:
            found.setdefault(readings.asset if told.named else "", []).append(readings)
    return found
