"""`make fuzz-decoders`: each format of payloads as a source in service reads it, with oracles.

What a decoder takes has to be readings that the rest may trust; what it refuses has one of the
reasons that are published. What it remembers of earlier messages stays bounded. Generic JSON says
the same by the quick way; Sparkplug B gives no value to a name that its newest birth does not.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.caps import VALUES_PER_MESSAGE_MAX
from edge.errors import WireError
from edge.samples import decoders
from edge.samples import sparkplug as sparkplug_samples
from edge.samples.decoders import Decoders
from edge.samples.layouts import AssetLayout
from edge.samples.routes import Route
from edge.samples.sparkplug import Birth, Sparkplug
from edge.samples.sparkplug_routes import Speaker, speaker_of
from edge.storage.checkpoint import pack, unpack
from edge.wire import quick
from edge.wire.block import is_block
from edge.wire.databus import Point
from edge.wire.formats import FORMATS, NAMED
from edge.wire.topics import match_source
from tests.fuzz import decoder_inputs, sparkplug_inputs
from tests.fuzz.believer import Believer, Value, told_of
from tests.fuzz.shapes import START, S
from tests.fuzz.target import BYTES, Target
from tests.fuzz.wire_targets import check_readings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.batches import Readings
    from tests.fuzz.target import Read

REASONS: Final = frozenset({
    "oversize", "not_json", "bad_time", "no_asset", "wrong_shape", "wrong_type", "not_sparkplug",
    "not_line_protocol", "no_zone", "no_source",
})  # fmt: skip
# Bounds of what is remembered, so low that a stretch of inputs meets them.
BIRTHS, NAMES, APPLICATIONS, POINTS = 12, 200, 6, 400
LAYOUT: Final = AssetLayout(
    asset="d1", columns={}, units=(), channels=0, context=(), period_ns=S, grid=False,
    on_change=np.zeros(0, np.bool_),
)  # fmt: skip
SPAN: Final = 1_000  # messages of one stream


@contextmanager
def _low_bounds() -> Iterator[None]:
    held = [
        (sparkplug_samples, "SPARKPLUG_BIRTHS_MAX", BIRTHS),
        (sparkplug_samples, "SPARKPLUG_NAMES_MAX", NAMES),
        (decoders, "APPLICATIONS_MAX", APPLICATIONS),
        (decoders, "POINTS_MAX", POINTS),
    ]
    before = [getattr(module, name) for module, name, _ in held]
    for module, name, value in held:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(held, before, strict=True):
            setattr(module, name, value)


class Speakers:
    """The quick way of Sparkplug B, as `edge.samples.routes` has it: a speaker for each topic."""

    def __init__(self, sparkplug: Sparkplug) -> None:
        self._sparkplug = sparkplug
        self._known: dict[str, tuple[Route, Speaker | None]] = {}

    def read(self, payload: bytes, topic: str, asset: str) -> Value | None:
        """The numbers of a message that can go this way; None: it takes the long one."""
        if topic not in self._known:
            places = {name: i for i, name in enumerate(sparkplug_inputs.NAMES)}
            route = Route(topic, asset, LAYOUT, places)
            self._known[topic] = route, speaker_of(topic, self._sparkplug)
        route, speaker = self._known[topic]
        if speaker is None or not asset:
            return None
        due = {node: one.due for node, one in self._sparkplug.nodes.known.items()}
        found = speaker.read(route, payload)
        self._sparkplug.layouts.learn(payload)
        if found is None:
            return None
        for node, number in due.items():  # the long way counts the message, too
            self._sparkplug.nodes.known[node].due = number
        assert route.places is None or len(route.places) == len(found.tags)
        t_ns = START if found.t_ns is None else found.t_ns
        told = zip(found.tags, found.values, strict=True)
        return {(tag, t_ns): value for tag, value in told if value is not None}


class Stream:
    """One stream of messages of a format, with what is remembered of those before."""

    def __init__(self, format_: str) -> None:
        self.format = format_
        self.counts: dict[str, int] = {}
        self.births: dict[str, Birth] = {}
        self.points: dict[str, dict[str, Point]] = {}
        self.sources = decoder_inputs.sources(format_)
        self.sparkplug = Sparkplug(
            self.births, self.counts, assets=sparkplug_inputs.DEVICES, sources=self.sources
        )
        self.decoders = Decoders(self.counts, sparkplug=self.sparkplug, points=self.points)
        self.speakers = Speakers(self.sparkplug)
        self.believer, self.forms = Believer(), quick.Forms()

    def read(self, data: bytes) -> bool:
        """One message: topic, line end, payload."""
        head, _, payload = data.partition(b"\n")
        topic = head.decode("utf-8", "replace")
        match = match_source(topic, self.sources)
        if match is None:
            raise WireError("no source hears it", reason="no_source", topic=topic)
        source, asset = match
        quickly = self.speakers.read(payload, topic, asset) if self.format == "sparkplug" else None
        try:
            with _low_bounds():
                found = self.decoders.take(
                    payload, topic=topic, source=source, asset=asset, received_ns=START
                )
        except WireError as error:
            assert quickly is None, "what is refused is read quickly"
            self._check_refused(error.reason, payload, topic, asset)
            raise
        finally:
            self._check_bounds()
        self._check(found, asset)
        if self.format == "json":
            self._check_quick(payload, topic, found)
        if self.format == "sparkplug":
            expected = self._check_names(payload, topic, asset, found)
            assert quickly is None or quickly == expected, "not what the newest birth says, quickly"
        return True

    def _check(self, found: Sequence[Readings], asset: str) -> None:
        assert sum(one.values.size for one in found) <= 2 * VALUES_PER_MESSAGE_MAX
        for one in found:
            check_readings(one)
            assert not asset or one.asset == asset, "of another asset than its topic says"
            if self.format in NAMED:
                assert not np.isinf(one.values).any()
                assert (np.diff(one.t_ns) > 0).all()

    def _check_bounds(self) -> None:
        newest = next(reversed(self.points.values()), {})
        assert len(self.points) <= APPLICATIONS
        assert sum(map(len, self.points.values())) <= max(POINTS, len(newest))
        assert unpack(pack(self.points), dict[str, dict[str, Point]]) == self.points
        born = next(reversed(self.births.values()), None)
        assert len(self.births) <= BIRTHS
        names = sum(len(one.names) for one in self.births.values())
        assert born is None or names <= max(NAMES, len(born.names))
        assert unpack(pack(self.births), dict[str, Birth]) == self.births

    def _check_quick(self, payload: bytes, topic: str, found: Sequence[Readings]) -> None:
        """What is read by the keys of one before is what is read key by key."""
        form = None if is_block(payload) else self.forms.of(payload)
        told = None if form is None else quick.read(payload, form, topic=topic)
        if told is None:
            return
        (one,) = found
        assert dict(zip(one.tags, one.values[0].tolist(), strict=True)).keys() == set(told.tags)
        assert one.t_ns.tolist() == [START if told.t_ns is None else told.t_ns]
        values = [math.nan if value is None else float(value) for value in told.values]
        mine = [one.values[0, one.tags.index(tag)] for tag in told.tags]
        assert np.array_equal(mine, values, equal_nan=True)

    def _check_refused(self, reason: str, payload: bytes, topic: str, asset: str) -> None:
        """The quick way takes nothing that is refused; a refused birth may still be one."""
        assert reason in REASONS, f"the reason {reason!r} is none of the known ones"
        if self.format == "json" and reason != "no_asset" and not is_block(payload):
            form = self.forms.of(payload)
            assert form is None or quick.read(payload, form, topic=topic) is None
        if self.format == "sparkplug":
            try:
                self.believer.hear(payload, topic=topic, asset=asset, received_ns=START)
            except WireError:
                return
            self.believer.forget_others(self.births)

    def _check_names(
        self, payload: bytes, topic: str, asset: str, found: tuple[Readings, ...]
    ) -> Value:
        expected = self.believer.hear(payload, topic=topic, asset=asset, received_ns=START)
        assert told_of(found) == expected, "not what the newest birth says"
        self.believer.forget_others(self.births)
        assert self.believer.known.keys() == self.births.keys()
        return expected


def _target(format_: str) -> Target:
    def begin(_scratch: Path) -> Read:
        return Stream(format_).read

    return Target(
        name=f"decoder-{format_}",
        count=BYTES,
        begin=begin,
        refusals=(WireError,),
        seeds=lambda: decoder_inputs.seeds(format_),
        mutate=decoder_inputs.mutator(format_),
        span=SPAN,
    )


TARGETS: Final = tuple(map(_target, FORMATS))
