"""Routes: where the messages of a topic go, looked up once.

A message of a topic and a form that were seen before goes straight to its places among the values
that wait; everything else goes the long way through `Arrivals.take`, which says what it means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.caps import TAG_CHARS_MAX, TOPICS_KNOWN_MAX
from edge.samples.sparkplug_routes import speaker_of
from edge.wire import quick, topics

if TYPE_CHECKING:
    from edge.samples.align import Aligner
    from edge.samples.gather import Gather
    from edge.samples.layouts import AssetLayout
    from edge.samples.sparkplug import Sparkplug
    from edge.samples.sparkplug_routes import Speaker
    from edge.settings import GatewaySettings
    from edge.wire.quick import Form, Quick

TOPIC_CHARS_MAX: Final = 256  # of such a topic, as of those that may be set aside
FORMS_MAX: Final = 16  # of one topic
# Messages of a topic of which none could be learnt from: then only one in so many is tried.
VAIN_MAX: Final = 16


class Route:
    """One topic of one asset of ours. forms: seen on it, with the places of what they bring."""

    __slots__ = ("asset", "form", "forms", "layout", "places", "speaker", "told", "topic")

    def __init__(self, topic: str, asset: str, layout: AssetLayout, told: dict[str, int]) -> None:
        self.topic, self.asset, self.layout = topic, asset, layout
        self.told = told  # tag -> place
        self.forms: dict[frozenset[str], Form] = {}
        self.form: Form | None = None  # the newest that fitted
        self.places: tuple[int, ...] | None = None  # of all its tags; None: not all have one
        self.speaker: Speaker | None = None  # of Sparkplug B; None: it sends something else

    def choose(self, form: Form) -> None:
        """From here on messages are thought to be of this form."""
        self.form = form
        found = [self.told[tag] for tag in form.tags if tag in self.told]
        self.places = tuple(found) if len(found) == len(form.tags) else None

    def brings_channels(self, tags: tuple[str, ...]) -> bool:
        """Whether any of these tags is one of its asset's channels."""
        columns, none = self.layout.columns, self.layout.channels
        return any(columns.get(tag, none) < none for tag in tags)


class Routes:
    """Routes of all topics of plant values."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        aligner: Aligner,
        gather: Gather,
        sparkplug: Sparkplug,
    ) -> None:
        self._sources, self._sparkplug = settings.source, sparkplug
        self._any_other = any(one.format != "json" for one in settings.source)
        # who sends waveforms has speeds among its values, which are noted one by one
        self._apart = {asset.id for asset in settings.asset if asset.waveform}
        self._aligner, self._place_of = aligner, gather.place_of
        self._forms = quick.Forms()
        self._told: dict[int, dict[str, int]] = {}  # of each asset: tag -> place
        self.known: dict[str, Route] = {}
        self.any_single = False  # whether a form of one value a message was seen
        self._vain: dict[str, int] = {}  # messages of which nothing could be learnt, by topic

    def learn(self, topic: str, payload: bytes) -> None:
        """Remember how a message that took the long way could have gone."""
        if len(topic) > TOPIC_CHARS_MAX:
            return
        if self._any_other and self._learn_other(topic, payload):
            return
        vain = self._vain.get(topic, 0)
        # to look at the keys is to decode it once more
        if (vain < VAIN_MAX or vain % VAIN_MAX == 0) and self._learnt(topic, payload):
            self._vain.pop(topic, None)
            return
        if len(self._vain) >= TOPICS_KNOWN_MAX:
            self._vain.clear()
        self._vain[topic] = vain + 1

    def _learnt(self, topic: str, payload: bytes) -> bool:
        """Whether something new could be."""
        form = self._forms.of(payload)
        route = None if form is None else self._found(topic)
        if form is None or route is None:
            return False
        columns = [route.layout.columns[tag] for tag in form.tags if tag in route.layout.columns]
        if len(set(columns)) < len(columns):
            return False  # which of two tags of one channel comes first is not known here
        if len(route.forms) >= FORMS_MAX:
            route.forms.clear()
        new = route.forms.get(form.keys) is not form
        route.forms[form.keys] = form
        self.any_single |= form.single
        route.choose(form)
        return new

    def _found(self, topic: str) -> Route | None:
        """The route of a topic, kept; None as of `_route`."""
        if self._forms.dropped >= quick.FORMS_MAX:  # so many are held by routes alone at most
            self.known.clear()
            self._forms.dropped = 0
        route = self.known.get(topic) or self._route(topic)
        if route is not None and topic not in self.known:
            if len(self.known) >= TOPICS_KNOWN_MAX:
                self.known.clear()
            self.known[topic] = route
        return route

    def read(self, route: Route, payload: bytes, *, topic: str) -> Quick | None:
        """One message of a route; None: it has to take the long way."""
        if route.speaker is not None:
            return route.speaker.read(route, payload)
        if route.form is None:
            return None
        found = quick.read(payload, route.form, topic=topic)
        if found is not None or len(route.forms) == 1:
            return found
        form = self._forms.of(payload)
        if form is None or form is route.form or form.keys not in route.forms:
            return None
        route.choose(form)
        return quick.read(payload, form, topic=topic)

    def _learn_other(self, topic: str, payload: bytes) -> bool:
        """The same where it is no JSON of ours; of Sparkplug B alone there is something to learn.

        False: it is.
        """
        found = topics.match_source(topic, self._sources)
        if found is None or found[0].format == "json":
            return False
        if found[0].format != "sparkplug":
            return True
        speaker = speaker_of(topic, self._sparkplug)
        route = self._found(topic) if speaker is not None else None
        if route is not None:
            route.speaker = route.speaker or speaker
            self._sparkplug.layouts.learn(payload)
        return True

    def _route(self, topic: str) -> Route | None:
        """The route of a topic; None: its messages do not say by it whose they are, or not ours."""
        found = topics.match_source(topic, self._sources)
        asset = found[1] if found is not None else ""
        number = self._aligner.number_of(asset)
        if number is None or asset in self._apart or not topics.is_asset_id(asset):
            return None
        layout = self._aligner.layout_of(number)
        if number not in self._told:
            short = {tag: at for tag, at in layout.columns.items() if 0 < len(tag) <= TAG_CHARS_MAX}
            self._told[number] = {tag: self._place_of(number, at) for tag, at in short.items()}
        return Route(topic, asset, layout, self._told[number])
