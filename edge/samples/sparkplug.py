"""Sparkplug B: births say what aliases mean, data bring values by them, deaths end it.

Births are part of what the engine remembers. Until its birth was heard, or after its death, what a
device sends has no names: such values are counted as `waiting_for_birth`, and its silence is a gap.
A device is known by its topic below the group, a node likewise; with the birth of a node its
devices are born anew, unless its session (`bdSeq`) is the known one, and with its death they are
dead. A death that names an earlier session than the newest birth is late news, and counted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec
import numpy as np

from edge.batches import Readings
from edge.caps import (
    OBJECTS_PER_MESSAGE_MAX,
    SPARKPLUG_BIRTHS_MAX,
    SPARKPLUG_NAMES_MAX,
    TAG_CHARS_MAX,
    VALUES_PER_MESSAGE_MAX,
)
from edge.errors import WireError
from edge.samples.pending import count
from edge.wire.sparkplug import (
    BIRTHS,
    DATA,
    DEATHS,
    INT,
    LONG,
    OTHER_VALUES,
    parse_topic,
    read_payload,
    signed,
)
from edge.wire.sparkplug_layouts import Layouts, alias_of, whole_of

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from numpy.typing import NDArray

    from edge.wire.sparkplug import Metric, Topic
    from edge.wire.sparkplug_layouts import Layout

MILLISECOND_NS: Final = 1_000_000
SESSION: Final = "bdSeq"  # the metric that counts the sessions of a node
NO_SESSION: Final = -1  # it was not told
SESSIONS: Final = 256  # behind the last one the count of them begins anew


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """What a birth has said of each metric.

    aliases: -1 where it has none. names: "" of those that are too long.
    """

    names: list[str]
    aliases: list[int]
    datatypes: list[int]
    asset: str = ""  # by its topic
    session: int = NO_SESSION  # of a node


class Meanings(NamedTuple):
    """What a birth says: name and datatype of each alias, datatype of each name."""

    aliases: dict[int, tuple[str, int]]
    names: dict[str, int]

    @classmethod
    def of(cls, birth: Birth) -> Self:
        """Looked up once for each birth."""
        told = zip(birth.aliases, birth.names, birth.datatypes, strict=True)
        return cls(
            {alias: (name, datatype) for alias, name, datatype in told if alias >= 0},
            dict(zip(birth.names, birth.datatypes, strict=True)),
        )


NOTHING: Final = Meanings({}, {})
NAMELESS: Final = "", 0  # of an alias without a birth


class Sparkplug:
    """Takes messages of Sparkplug B. births: by `Topic.key`, changed in place; counts: likewise."""

    def __init__(
        self, births: dict[str, Birth], counts: dict[str, int], *, assets: Container[str] = ()
    ) -> None:
        """Go on with births; of those that are not about `assets` the first ones are forgotten."""
        self.births, self._counts, self._assets = births, counts, assets
        self.layouts = Layouts()
        self._names = sum(len(birth.names) for birth in births.values())
        self._meanings: dict[str, tuple[Birth, Meanings]] = {}

    def take(
        self, payload: bytes, *, topic: str, asset: str, received_ns: int
    ) -> tuple[Readings, ...]:
        """What one message says; asset: by its topic, "" of a node that is none.

        Raises WireError, and only WireError, for anything a sender can do wrong.
        """
        told = parse_topic(topic)
        if told is None or told.kind not in (*BIRTHS, *DATA, *DEATHS):
            count(self._counts, "sparkplug_other", 1)  # commands of others, mostly
            return ()
        quick = self._quick_rows(told, payload, asset) if told.kind in DATA and asset else None
        if quick is not None:
            return (quick,)
        found = read_payload(payload, topic=topic)
        if told.kind in DEATHS:
            self._died(told, found.metrics)
            return ()
        if told.kind in BIRTHS:
            self._born(told, found.metrics, asset=asset)
        if not asset:
            return ()
        sent_ns = received_ns if found.t_ms is None else found.t_ms * MILLISECOND_NS
        cells = self._readings(told, found.metrics, asset=asset, sent_ns=sent_ns)
        return cells.rows(self._counts, topic=topic)

    # --- births and deaths ---

    def _born(self, told: Topic, metrics: Sequence[Metric], *, asset: str) -> None:
        session = _session(metrics) if told.key == told.node else NO_SESSION
        if told.key == told.node and not self._goes_on(told.node, session):
            self._forget(f"{told.node}/")
        self._forget(told.key, exactly=True)
        kept = [m for m in metrics if m.name] if asset else []
        self._make_room(len(kept))
        self.births[told.key] = Birth(
            names=[m.name if len(m.name) <= TAG_CHARS_MAX else "" for m in kept],
            aliases=[-1 if m.alias is None else m.alias for m in kept],
            datatypes=[m.datatype for m in kept],
            asset=asset,
            session=session,
        )
        self._names += len(kept)
        count(self._counts, "sparkplug_births", 1)

    def _goes_on(self, node: str, session: int) -> bool:
        """Whether the session of a node is the known one: told again, it ends none of its devices.

        So it is where the broker has kept the birth, or a connection begins anew.
        """
        known = self.births.get(node)
        return session != NO_SESSION and known is not None and known.session == session

    def _died(self, told: Topic, metrics: Sequence[Metric]) -> None:
        known = self.births.get(told.key)
        died, alive = _session(metrics), known.session if known is not None else NO_SESSION
        if NO_SESSION not in (died, alive) and 0 < (alive - died) % SESSIONS < SESSIONS // 2:
            count(self._counts, "sparkplug_deaths_late", 1)
            return
        if told.key == told.node:
            self._forget(f"{told.node}/")
        self._forget(told.key, exactly=True)
        count(self._counts, "sparkplug_deaths", 1)

    def _forget(self, key: str, *, exactly: bool = False) -> None:
        """Forget one birth, or all whose keys begin so."""
        gone = [key] if exactly else [one for one in self.births if one.startswith(key)]
        for one in gone:
            birth = self.births.pop(one, None)
            self._names -= len(birth.names) if birth is not None else 0
            self._meanings.pop(one, None)

    def _make_room(self, names: int) -> None:
        while self.births and (
            len(self.births) >= SPARKPLUG_BIRTHS_MAX or self._names + names > SPARKPLUG_NAMES_MAX
        ):
            others = (key for key, one in self.births.items() if one.asset not in self._assets)
            self._forget(next(others, next(iter(self.births))), exactly=True)
            count(self._counts, "sparkplug_births_forgotten", 1)

    def meanings(self, key: str) -> Meanings:
        """What aliases and names mean, as the newest birth of a device has them."""
        birth = self.births.get(key)
        if birth is None:
            return NOTHING
        known = self._meanings.get(key)
        if known is None or known[0] is not birth:
            known = birth, Meanings.of(birth)
            self._meanings[key] = known
        return known[1]

    # --- values ---

    def _quick_rows(self, told: Topic, payload: bytes, asset: str) -> Readings | None:
        """Values of a known layout, each of a time of its own; None: they go one by one."""
        found = self.layouts.read(payload)
        if found is None or len(found.t_ms) < 2:
            return None
        aliases, names = self.meanings(told.key)
        rest = iter(found.idents)
        meant = [
            (name, names.get(name, 0)) if name else aliases.get(alias_of(next(rest)), NAMELESS)
            for name in found.layout.names
        ]
        tags = tuple(tag for tag, _ in meant)
        k = len(tags)
        if len(set(tags)) < k or not all(0 < len(tag) <= TAG_CHARS_MAX for tag in tags):
            return None
        t_ns, row = np.unique(np.array(found.t_ms, np.int64) * MILLISECOND_NS, return_inverse=True)
        if len(t_ns) * k > VALUES_PER_MESSAGE_MAX:
            return None
        values = np.full((len(t_ns), k), np.nan)
        values[row, np.arange(k)] = with_whole(
            found.layout, found.values, [kind for _, kind in meant]
        )
        return Readings(asset=asset, tags=tags, t_ns=t_ns, values=values)

    def _readings(
        self, told: Topic, metrics: Sequence[Metric], *, asset: str, sent_ns: int
    ) -> _Cells:
        """Values of one asset with their times; what has none is counted."""
        meanings, kinds = self.meanings(told.key)
        cells = _Cells(asset)
        waiting = historical = others = 0
        for metric in metrics:
            name, datatype = metric.name, metric.datatype
            if name:
                datatype = datatype or kinds.get(name, 0)
            elif metric.alias in meanings:
                name, born = meanings[metric.alias]
                datatype = datatype or born
            else:
                waiting += 1
                continue
            if metric.historical:
                historical += 1
            elif not 0 < len(name) <= TAG_CHARS_MAX or metric.field in OTHER_VALUES:
                others += 1
            else:
                t_ns = sent_ns if metric.t_ms is None else metric.t_ms * MILLISECOND_NS
                cells.put(name, t_ns, metric, datatype)
        count(self._counts, "waiting_for_birth", waiting)
        count(self._counts, "historical", historical)
        count(self._counts, "sparkplug_unusable", others)
        return cells


def with_whole(
    layout: Layout, values: tuple[Any, ...], datatypes: Sequence[int]
) -> tuple[float, ...]:
    """Values (k,) of a layout with whole numbers as their datatypes (k,) have them."""
    if not layout.whole:
        return values
    told = list(values)
    for place, field, datatype in layout.whole:
        told[place] = float(signed(whole_of(values[place], field), datatype or datatypes[place]))
    return tuple(told)


def _session(metrics: Sequence[Metric]) -> int:
    for metric in metrics:
        whole = metric.field in (INT, LONG) and metric.name == SESSION
        if whole and isinstance(metric.value, float | int):
            return int(metric.value)
    return NO_SESSION


class _Cells:
    """Values of one message by tag and time, on their way into rows."""

    def __init__(self, asset: str) -> None:
        self._asset = asset
        self._tags: dict[str, int] = {}  # to their column
        self._columns: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []
        self._texts: list[tuple[str, int, str]] = []
        self._bad = 0

    def put(self, name: str, t_ns: int, metric: Metric, datatype: int) -> None:
        """One metric; null, a text and bad quality make its value absent."""
        value = metric.value
        if isinstance(value, str):
            self._texts.append((name, t_ns, value[:TAG_CHARS_MAX]))
            value = None
        if value is not None and not metric.good:
            self._bad += 1
            value = None
        self._columns.append(self._tags.setdefault(name, len(self._tags)))
        self._times.append(t_ns)
        self._values.append(math.nan if value is None else float(signed(value, datatype)))

    def rows(self, counts: dict[str, int], *, topic: str) -> tuple[Readings, ...]:
        """Rows (n, k) of the times there are; of two values for one place the first counts."""
        if not self._columns:
            return ()
        t_ns, row = np.unique(np.array(self._times, np.int64), return_inverse=True)
        column, values = np.array(self._columns, np.intp), np.array(self._values, np.float64)
        n, k = len(t_ns), len(self._tags)
        place, first = np.unique(row * k + column, return_index=True)
        count(counts, "duplicate", len(values) - len(first))
        tags, values = tuple(self._tags), values[first]
        if n * k <= VALUES_PER_MESSAGE_MAX:
            matrix = np.full(n * k, np.nan)
            matrix[place] = values
            return (self._made(tags, t_ns, matrix.reshape(n, k), first=True),)
        if n > OBJECTS_PER_MESSAGE_MAX:
            message = f"{n} times of {k} metrics, more than {OBJECTS_PER_MESSAGE_MAX}"
            raise WireError(message, reason="oversize", topic=topic)
        ends = np.searchsorted(place, np.arange(1, n + 1) * k).tolist()
        found, begin = [], 0
        for i, end in enumerate(ends):  # a row of its own tags for each time
            mine = tuple(tags[at] for at in (place[begin:end] % k).tolist())
            found.append(self._made(mine, t_ns[i : i + 1], values[None, begin:end], first=not i))
            begin = end
        return tuple(found)

    def _made(
        self, tags: tuple[str, ...], t_ns: NDArray[np.int64], values: NDArray[np.float64],
        *, first: bool,
    ) -> Readings:  # fmt: skip
        return Readings(
            asset=self._asset,
            tags=tags,
            t_ns=t_ns,
            values=values,
            texts=tuple(self._texts) if first else (),
            bad_quality=self._bad if first else 0,
        )
