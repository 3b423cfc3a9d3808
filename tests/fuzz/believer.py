"""Who believes what Sparkplug B says, slowly: the oracle of which value belongs to which name.

Births and deaths as the specification has them, one metric after another, with nothing that is
remembered of layouts or columns. What `edge.samples.sparkplug` says has to be the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.caps import TAG_CHARS_MAX
from edge.wire.sparkplug import BIRTHS, DATA, DEATHS, SESSION, parse_topic, read_payload, signed

if TYPE_CHECKING:
    from collections.abc import Container

    from edge.batches import Readings
    from edge.wire.sparkplug import Metric, Payload, Topic

Value = dict[tuple[str, int], float]  # by name and time, ns


@dataclass(slots=True)
class Known:
    """What a birth has said. session: None: it named none."""

    by_alias: dict[int, tuple[str, int]] = field(default_factory=dict)
    by_name: dict[str, int] = field(default_factory=dict)
    session: int | None = None


class Believer:
    """What is known of each device that is alive, by `Topic.key`."""

    def __init__(self) -> None:
        self.known: dict[str, Known] = {}

    def hear(self, payload: bytes, *, topic: str, asset: str, received_ns: int) -> Value:
        """The numbers that a message says of its asset. Raises WireError for what is none."""
        told = parse_topic(topic)
        if told is None or told.kind not in (*BIRTHS, *DATA, *DEATHS):
            return {}
        said = read_payload(payload, topic=topic)
        if told.kind in DEATHS:
            self._dies(told, said)
            return {}
        if told.kind in BIRTHS:
            self._born(told, said, mine=bool(asset))
        return self._values(told, said, received_ns) if asset else {}

    def forget_others(self, alive: Container[str]) -> None:
        """What was given up for lack of room means nothing until it is born again."""
        for key in [key for key in self.known if key not in alive]:
            del self.known[key]

    def _born(self, told: Topic, said: Payload, *, mine: bool) -> None:
        born, before = Known(), self.known.get(told.key)
        if told.key == told.node:
            born.session = _session(said)
            goes_on = before is not None and born.session is not None
            if not (goes_on and before is not None and before.session == born.session):
                self._end(told.node)
        twice: set[int] = set()
        for one in said.metrics if mine else ():
            name = one.name if len(one.name) <= TAG_CHARS_MAX else ""
            if one.name:
                born.by_name[name] = one.datatype
            if one.name and one.alias is not None:
                if born.by_alias.get(one.alias, (name, 0))[0] != name:
                    twice.add(one.alias)
                born.by_alias[one.alias] = name, one.datatype
        for alias in twice:  # it could be either's
            del born.by_alias[alias]
        self.known[told.key] = born

    def _dies(self, told: Topic, said: Payload) -> None:
        before, session = self.known.get(told.key), _session(said)
        if before is not None and None not in (before.session, session):
            assert before.session is not None
            assert session is not None
            if 0 < (before.session - session) % 256 < 128:
                return  # of an earlier session: late news
        self._end(told.key)

    def _end(self, key: str) -> None:
        for one in [one for one in self.known if one == key or one.startswith(f"{key}/")]:
            del self.known[one]

    def _values(self, told: Topic, said: Payload, received_ns: int) -> Value:
        known, found = self.known.get(told.key, Known()), Value()
        for one in said.metrics:
            name, born = one.name, known.by_name.get(one.name, 0)
            if not name and one.alias in known.by_alias:
                name, born = known.by_alias[one.alias]
            if not 0 < len(name) <= TAG_CHARS_MAX or one.historical or one.field > 15:
                continue
            t_ms = one.t_ms if one.t_ms is not None else said.t_ms
            t_ns = received_ns if t_ms is None else t_ms * 10**6
            found.setdefault((name, t_ns), _number(one, one.datatype or born))
        return {key: value for key, value in found.items() if not math.isnan(value)}


def told_of(readings: tuple[Readings, ...]) -> Value:
    """The numbers of readings of one asset."""
    return {
        (tag, t_ns): value
        for one in readings
        for t_ns, row in zip(one.t_ns.tolist(), one.values.tolist(), strict=True)
        for tag, value in zip(one.tags, row, strict=True)
        if not math.isnan(value)
    }


def _number(metric: Metric, datatype: int) -> float:
    value = metric.value
    if value is None or isinstance(value, str) or not metric.good:
        return math.nan
    return float(signed(value, datatype))


def _session(said: Payload) -> int | None:
    for one in said.metrics:
        if one.name == SESSION and one.field in (10, 11) and isinstance(one.value, int | float):
            return int(one.value)
    return None
