"""Sparkplug B: births say what aliases mean, data bring values by them, deaths end it.

Births are part of what the engine remembers. Until its birth was heard, or after its death, what a
device sends has no names: such values are counted as `waiting_for_birth`, and its silence is a gap.
A device is known by its topic below the group, a node likewise; with the birth of a node its
devices are born anew, unless its session (`bdSeq`) is the known one, and with its death they are
dead. A death that names an earlier session than the newest birth is late news, and counted. Where
messages of a node are missing (`edge.samples.sparkplug_nodes`), what its aliases mean is in doubt
until it is born again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import msgspec
import numpy as np

from edge.batches import Readings
from edge.caps import (
    SPARKPLUG_BIRTHS_MAX,
    SPARKPLUG_NAMES_MAX,
    TAG_CHARS_MAX,
    VALUES_PER_MESSAGE_MAX,
)
from edge.samples.pending import count
from edge.samples.sparkplug_nodes import NodeCount, Nodes
from edge.wire.cells import Cells
from edge.wire.sparkplug import (
    BIRTHS,
    DATA,
    DEATHS,
    INT,
    LONG,
    NODE_BIRTH,
    OTHER_VALUES,
    SESSION,
    SESSIONS,
    parse_topic,
    read_payload,
    signed,
)
from edge.wire.sparkplug_layouts import Layouts, alias_of, whole_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from edge.settings import Source
    from edge.wire.sparkplug import Metric, Payload, Topic
    from edge.wire.sparkplug_layouts import Found, Layout

MILLISECOND_NS: Final = 1_000_000
NO_SESSION: Final = -1  # it was not told


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
    """What a birth says: name and datatype of each alias, datatype of each name.

    An alias of two names is left out: what comes by it could be either's.
    """

    aliases: dict[int, tuple[str, int]]
    names: dict[str, int]

    @classmethod
    def of(cls, birth: Birth) -> Self:
        """Looked up once for each birth."""
        aliases: dict[int, tuple[str, int]] = {}
        unsure: set[int] = set()
        told = zip(birth.aliases, birth.names, birth.datatypes, strict=True)
        for alias, name, datatype in told:
            if aliases.get(alias, (name, datatype))[0] != name:
                unsure.add(alias)
            if alias >= 0:
                aliases[alias] = name, datatype
        sure = {alias: one for alias, one in aliases.items() if alias not in unsure}
        return cls(sure, dict(zip(birth.names, birth.datatypes, strict=True)))


NOTHING: Final = Meanings({}, {})
NAMELESS: Final = "", 0  # of an alias without a birth


class News(NamedTuple):
    """What a message says of an asset beside its values; node: whose message it was.

    what: BORN, DIED, SPEAKS (though it was dead), NAMELESS (values that no birth names), or MISSED
    (messages of its node, so that its aliases are in doubt).
    """

    what: str
    asset: str
    node: str


BORN, DIED, SPEAKS, NO_NAMES, MISSED = "born", "died", "speaks", "nameless", "missed"


class Sparkplug:
    """Takes messages of Sparkplug B.

    births: by `Topic.key`, changed in place; counts and nodes: likewise. dead: assets of which a
    death has come and nothing since. news: of the message that was taken last.
    """

    def __init__(
        self,
        births: dict[str, Birth],
        counts: dict[str, int],
        *,
        assets: Container[str] = (),
        nodes: dict[str, NodeCount] | None = None,
        sources: Sequence[Source] = (),
        dead: Iterable[str] = (),
    ) -> None:
        """Go on with births; of those that are not about `assets` the first ones are forgotten."""
        self.births, self._counts, self._assets = births, counts, assets
        self.nodes = Nodes({} if nodes is None else nodes, counts, sources=sources)
        self.dead, self.news = set(dead), list[News]()
        self.layouts = Layouts()
        self._names = sum(len(birth.names) for birth in births.values())
        self._meanings: dict[str, tuple[Birth, Meanings]] = {}

    def take(
        self, payload: bytes, *, topic: str, asset: str, received_ns: int, live: bool = True
    ) -> tuple[Readings, ...]:
        """What one message says; asset: by its topic, "" of a node that is none.

        live: it is said now, and neither retained nor told again, so that its number counts. Raises
        WireError, and only WireError, for anything a sender can do wrong.
        """
        self.news.clear()
        told = parse_topic(topic)
        if told is None or told.kind not in (*BIRTHS, *DATA, *DEATHS):
            count(self._counts, "sparkplug_other", 1)  # commands of others, mostly
            return ()
        rows = self._rows(told, payload, topic, asset, received_ns, live=live)
        if rows and asset in self.dead:
            self._tell(SPEAKS, asset, told)
        return rows

    def _rows(
        self, told: Topic, payload: bytes, topic: str, asset: str, received_ns: int, *, live: bool
    ) -> tuple[Readings, ...]:
        data = told.kind in DATA
        known = self.layouts.read(payload) if data and asset else None
        quick = self._quick_rows(told, known, asset) if known is not None else None
        if known is not None and quick is not None:
            self._number(told, known.seq, received_ns, live=live)
            return (quick,)
        found = read_payload(payload, topic=topic)
        if told.kind in DEATHS:
            self._died(told, found, asset, received_ns, live=live)
            return ()
        if live and told.kind == NODE_BIRTH:
            self.nodes.begins(told.node, found.seq)
        else:
            self._number(told, found.seq, received_ns, live=live)
        if not data:
            self._born(told, found.metrics, asset=asset)
        if not asset:
            return ()
        sent_ns = received_ns if found.t_ms is None else found.t_ms * MILLISECOND_NS
        cells = self._readings(told, found.metrics, asset=asset, sent_ns=sent_ns)
        rows = cells.rows(topic=topic)
        count(self._counts, "duplicate", cells.duplicates)
        return rows

    def _number(self, told: Topic, seq: int | None, received_ns: int, *, live: bool) -> None:
        """Take the number of a message; where some before it are missing, aliases are in doubt."""
        if live and self.nodes.misses(told.node, seq, now_ns=received_ns):
            mine = [one for key, one in self.births.items() if self._is_of(key, told.node)]
            for asset in dict.fromkeys(
                one.asset for one in mine if max(one.aliases, default=-1) >= 0
            ):
                self._tell(MISSED, asset, told)

    @staticmethod
    def _is_of(key: str, node: str) -> bool:
        return key == node or key.startswith(f"{node}/")

    def _tell(self, what: str, asset: str, told: Topic) -> None:
        """Note what happened to an asset of ours."""
        if asset not in self._assets:
            return
        self.news.append(News(what, asset, told.node))
        if what == DIED:
            self.dead.add(asset)
        elif what in (BORN, SPEAKS):
            self.dead.discard(asset)

    # --- births and deaths ---

    def _born(self, told: Topic, metrics: Sequence[Metric], *, asset: str) -> None:
        self._tell(BORN, asset, told)
        self.nodes.born(told.node)
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

    def _died(
        self, told: Topic, said: Payload, asset: str, received_ns: int, *, live: bool
    ) -> None:
        known = self.births.get(told.key)
        died, alive = _session(said.metrics), known.session if known is not None else NO_SESSION
        if NO_SESSION not in (died, alive) and 0 < (alive - died) % SESSIONS < SESSIONS // 2:
            count(self._counts, "sparkplug_deaths_late", 1)
            return
        if told.key == told.node:
            self.nodes.ends(told.node)
        else:
            self._number(told, said.seq, received_ns, live=live)
        gone = [key for key in self.births if self._is_of(key, told.key)]
        mine = {self.births[key].asset for key in gone}
        if asset == told.key.rpartition("/")[2]:  # it is the asset, born or not; no name of another
            mine.add(asset)
        if told.key == told.node:
            self._forget(f"{told.node}/")
        self._forget(told.key, exactly=True)
        count(self._counts, "sparkplug_deaths", 1)
        left = {birth.asset for birth in self.births.values()}  # of a node's devices one may live
        for one in sorted(mine - left):
            self._tell(DIED, one, told)

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

    def _quick_rows(self, told: Topic, found: Found, asset: str) -> Readings | None:
        """Values of a known layout, each of a time of its own; None: they go one by one."""
        if len(found.t_ms) < 2:
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
    ) -> Cells:
        """Values of one asset with their times; what has none is counted."""
        meanings, kinds = self.meanings(told.key)
        cells = Cells(asset)
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
                value = metric.value
                if isinstance(value, float | int):
                    value = signed(value, datatype)
                cells.put(name, t_ns, value, good=metric.good)
        count(self._counts, "waiting_for_birth", waiting)
        if waiting and told.key not in self.births:
            self._tell(NO_NAMES, asset, told)
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
