"""Messages: what each says, whatever its format, and why one cannot be read.

Formats are told by topic and payload alone, and so is which part of a payload names the asset:
nothing is configured yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from edge.errors import WireError
from edge.samples.decoders import Decoders
from edge.samples.sparkplug import Sparkplug
from edge.settings import Source
from edge.wire.block import is_block
from edge.wire.formats import DATABUS, JSON, READERS, SPARKPLUG, filled, parts_of
from edge.wire.readings import decode_readings
from edge.wire.recognise import recognise
from edge.wire.sparkplug import BIRTHS, DATA, DEATHS, parse_topic
from edge.wire.told import Message
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.batches import Readings
    from edge.samples.sparkplug import Birth

NOBODY: Final = "_"  # stands for the asset where only the topic can say it
RAW: Final = "raw"
TOPICS_MAX: Final = 40_000  # whose naming is remembered; begun anew where there are more
# Keys by which a payload names its tag itself. A value a topic may have one, as a description;
# where names take turns, the topic brings several tags, and as one they would be mixed.
TAG_KEYS: Final = frozenset(
    [
        *("tagname", "tag_name", "tagName", "TagName", "tag", "name", "Name", "id", "Id", "ID"),
        *("signal", "sensor", "variable", "metric", "point"),
    ]
)
TAGS_TOLD_MAX: Final = 64  # of a topic that are remembered: the first ones come back too
MANY_TAGS: Final = "several_tags"
SHAPES: Final = {
    "kepware": "Kepware IoT Gateway",
    "databus": "Siemens databus",
    "telegraf": "Telegraf JSON",
    "influx": "line protocol",
    "opcua": "OPC UA PubSub JSON",
    "senml": "SenML",
    "neuron": "EMQX Neuron",
    RAW: "a value a topic",
}


class Naming(NamedTuple):
    """Templates of a source: which parts of a value's name are the asset and the tag.

    asset "": the topic names it. tag "": as the format has it.
    """

    asset: str = ""
    tag: str = ""


# Of each format, the surest first; one counts where a value has all of its parts.
MACHINES: Final = ("asset", "machine", "equipment", "device", "host")
FIELD: Final = "{measurement}.{name}"
NAMINGS: Final = {
    "kepware": (Naming("{channel}.{device}", "{name}"), Naming("", "{id}")),
    "telegraf": (*(Naming(f"{{{one}}}", FIELD) for one in MACHINES), Naming("", FIELD)),
    "influx": (*(Naming(f"{{{one}}}", FIELD) for one in MACHINES), Naming("", FIELD)),
    "opcua": (
        Naming("{publisher}.{writer}", "{name}"),
        Naming("{writer}", "{name}"),
        Naming("{publisher}", "{name}"),
        Naming("", "{name}"),
    ),
    "senml": (Naming("{base}", "{name}"), Naming("", "{id}")),
    "neuron": (Naming("{node}", "{group}.{name}"), Naming("{node}", "{name}")),
}


class Told(NamedTuple):
    """What one message says. form: of a source; shape: as people call it.

    named: whether the payload names the assets of its readings; a device of Sparkplug B is named by
    its key. Otherwise the topic has to.
    """

    form: str
    shape: str
    named: bool
    readings: Sequence[Readings]
    timed: bool
    naming: Naming = Naming()


class Unread(NamedTuple):
    """Why a message says nothing. reason: a short stable word."""

    reason: str
    why: str


class Reader:
    """Reads messages; remembers births and metadata, without which values have no names."""

    def __init__(self) -> None:
        self.births: dict[str, Birth] = {}
        self.counts: dict[str, int] = {}
        self._sparkplug = Sparkplug(self.births, self.counts)
        self._decoders = Decoders(self.counts, sparkplug=self._sparkplug, points={})
        self._namings: dict[tuple[str, str], Naming] = {}  # by topic and format
        self._sources: dict[tuple[str, Naming], Source] = {}
        self._named: dict[tuple[str, str], dict[str, None]] = {}  # by topic and key, in order
        self._mixed: dict[str, str] = {}  # topics of several tags, with the key that names them

    def read(self, topic: str, payload: bytes, *, received_ns: int) -> Told | Unread | None:
        """What a message says; None: it is none of values, as a command or a death."""
        form = recognise(topic, payload)
        try:
            if form == SPARKPLUG:
                return self._of_sparkplug(topic, payload, received_ns)
            if form == JSON:
                return _json(topic, payload, received_ns)
            if form:
                return self._of_format(form, topic, payload, received_ns)
        except WireError as error:
            return Unread(error.reason, str(error))
        return Unread("unknown_format", f"{topic}: no format that is known")

    def _of_sparkplug(self, topic: str, payload: bytes, received_ns: int) -> Told | Unread | None:
        told = parse_topic(topic)
        if told is None or told.kind not in (*BIRTHS, *DATA, *DEATHS):
            return None
        before = self.counts.get("waiting_for_birth", 0)
        found = self._sparkplug.take(payload, topic=topic, asset=told.key, received_ns=received_ns)
        if told.kind in DEATHS:
            return None
        if not any(one.tags for one in found):
            waits = self.counts.get("waiting_for_birth", 0) > before
            why = "its metrics have no names before its birth is heard" if waits else "no metrics"
            return Unread("waiting_for_birth" if waits else "no_values", f"{topic}: {why}")
        # a birth tells values as they stand, whatever their rhythm
        timed = told.kind in DATA and _timed(found, received_ns)
        return Told(SPARKPLUG, "Sparkplug B", True, found, timed)  # noqa: FBT003 - named above

    def _of_format(
        self, form: str, topic: str, payload: bytes, received_ns: int
    ) -> Told | Unread | None:
        if form == RAW and (key := self._mixing(topic, payload)):
            why = f'{topic}: its key {key} names several tags; read it with format = "paths"'
            return Unread(MANY_TAGS, why)
        naming = self._naming_of(form, topic, payload)
        source = self._sources.get((form, naming))
        if source is None:
            # of a value a topic, the whole topic is its tag until assets are known
            place = "{tag...}" if form == RAW else "#"
            source = Source(topic=place, format=form, asset_from=naming.asset, tag_from=naming.tag)
            self._sources[form, naming] = source
        named = bool(naming.asset) or form == DATABUS
        before = self.counts.get("waiting_for_metadata", 0)
        found = self._decoders.take(
            payload,
            topic=topic,
            source=source,
            asset="" if named else NOBODY,
            received_ns=received_ns,
        )
        if any(one.tags for one in found):
            return Told(form, SHAPES[form], named, found, _timed(found, received_ns), naming)
        if self.counts.get("waiting_for_metadata", 0) > before:
            why = f"{topic}: its values have no names before metadata are heard"
            return Unread("waiting_for_metadata", why)
        return None if form == DATABUS else Unread("no_values", f"{topic}: no values")

    def _mixing(self, topic: str, payload: bytes) -> str:
        """The key by which payloads of a topic name several tags; "" none is known.

        A name that comes back behind another one tells it: numbers of messages never do.
        """
        if topic in self._mixed:
            return self._mixed[topic]
        try:
            body = Message(payload, topic).json()
        except WireError:  # a word
            return ""
        found = body.items() if isinstance(body, dict) else ()
        told = {str(key): name for key, name in found if isinstance(name, str)}
        for key in sorted(TAG_KEYS & told.keys()):
            name = told[key]
            if (topic, key) not in self._named and len(self._named) >= TOPICS_MAX:
                self._named.clear()
            names = self._named.setdefault((topic, key), {})
            if name in names and next(reversed(names)) != name:
                self._mixed[topic] = key
                return key
            if len(names) < TAGS_TOLD_MAX:
                names[name] = None
        return ""

    def _naming_of(self, form: str, topic: str, payload: bytes) -> Naming:
        """How values of a topic are named: as the first message of it shows."""
        if form not in NAMINGS:
            return Naming()
        known = self._namings.get((topic, form))
        if known is not None:
            return known
        told = READERS[form](Message(payload, topic))
        if not told:
            return NAMINGS[form][-1]
        if len(self._namings) >= TOPICS_MAX:
            self._namings.clear()
        fits = (one for one in NAMINGS[form] if _names(one, told[0].where))
        found = self._namings[topic, form] = next(fits, NAMINGS[form][-1])
        return found


def _names(naming: Naming, parts: Mapping[str, str]) -> bool:
    """Whether templates make an asset and a tag of the parts of a name."""
    if not set(parts_of(naming.asset + naming.tag)) <= set(parts):
        return False
    return not naming.asset or is_asset_id(filled(naming.asset, parts))


def _json(topic: str, payload: bytes, received_ns: int) -> Told | Unread:
    """Generic JSON, or a binary block; the payload may say whose it is."""
    named = True
    try:
        found = decode_readings(payload, topic=topic, asset="", received_ns=received_ns)
    except WireError as error:
        if error.reason != "no_asset":
            raise
        named = False
        found = decode_readings(payload, topic=topic, asset=NOBODY, received_ns=received_ns)
    if not any(one.tags for one in found):
        return Unread("no_values", f"{topic}: an object without values")
    shape = "binary block" if is_block(payload) else _shape(found)
    return Told(JSON, shape, named, found, _timed(found, received_ns))


def _shape(found: Sequence[Readings]) -> str:
    if any(len(one.t_ns) > 1 for one in found):
        return "JSON, columns"
    return "JSON, wide" if any(len(one.tags) > 1 for one in found) else "JSON, single values"


def _timed(found: Sequence[Readings], received_ns: int) -> bool:
    """Whether the sender told a time: what came without one has that of its arrival."""
    return any(len(one.t_ns) and int(one.t_ns[-1]) != received_ns for one in found)
