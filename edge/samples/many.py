"""Many messages of one value each, taken together: the usual group of a plant that sends so.

What one message costs by itself is mostly looking things up that are the same for its neighbours.
Here a group is decoded in one piece and looked at by columns. As soon as anything of it is not as
usual, none of it is taken, and `Arrivals` goes on with smaller parts of it, down to one by one.
The outcome is the same, to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from edge.wire.quick import read_many

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.records import MessageReceived
    from edge.samples.gather import Gather
    from edge.samples.own_clock import OwnClock
    from edge.samples.routes import Route, Routes
    from edge.state import EngineState
    from edge.wire.quick import Form, Many


class Singles:
    """Takes such groups, on wall time. `now(wall_ns)` is the engine's idea of now.

    A time is usual that is behind it by no more than behind_ns, or ahead by ahead_ns.
    """

    def __init__(
        self,
        routes: Routes,
        *,
        gather: Gather,
        own: OwnClock,
        state: EngineState,
        now: Callable[[int], int],
        behind_ns: int,
        ahead_ns: int,
    ) -> None:
        self._routes, self._gather, self._own, self._state = routes, gather, own, state
        self._now, self._behind_ns, self._ahead_ns = now, behind_ns, ahead_ns

    def take(self, messages: Sequence[MessageReceived], *, now_ns: int) -> int:
        """Take messages up to where it becomes another time for us; returns how many, mostly all.

        0: one of them is not as usual; none is taken.
        """
        topics = [m.topic for m in messages]
        routes = [*map(self._routes.known.get, topics)]
        distinct = set(routes)
        if None in distinct:
            return 0
        known, each = cast("list[Route]", routes), cast("set[Route]", distinct)
        form = self._form(messages, each, topics)
        many = None if form is None else read_many([m.payload for m in messages], form)
        if many is None or (places := self._places(known, each, many)) is None:
            return 0
        if now_ns != self._own.state.wall_ns:
            self._now(now_ns)  # our clock may have been set meanwhile
        at_ns, t_ns = self._state.now_ns, many.t_ns
        if t_ns.min() < at_ns - self._behind_ns or t_ns.max() > at_ns + self._ahead_ns:
            return 0
        count = self._heard(messages, known, places, t_ns, now_ns=now_ns)
        self._gather.many(places[:count], many.values[:count], t_ns[:count])
        return count

    def _form(
        self, messages: Sequence[MessageReceived], routes: set[Route], topics: Sequence[str]
    ) -> Form | None:
        """The form that all of them are expected to have; None: something of them is not usual."""
        state, forms = self._state, {route.form for route in routes}
        if len(forms) > 1:
            return None
        if any([m.retain for m in messages]):  # noqa: C419 - a list is made twice as fast
            return None
        refused, suspects = state.topic_errors, state.suspects
        if refused and not refused.keys().isdisjoint(topics):
            return None
        if suspects and any(route.asset in suspects for route in routes):
            return None
        return forms.pop()

    def _places(
        self, routes: Sequence[Route], distinct: set[Route], many: Many
    ) -> NDArray[np.intp] | None:
        """Where their values go (n,); None: one goes nowhere, or comes on a topic for the first."""
        assets, tags = self._state.assets, many.tags
        places = [route.told.get(tag) for route, tag in zip(routes, tags, strict=True)]
        if None in places:
            return None
        new = {route for route in distinct if route.topic not in assets[route.asset].topics}
        pairs = zip(routes, tags, strict=True) if new else ()
        if any(route in new and route.brings_channels((tag,)) for route, tag in pairs):
            return None
        return np.array(places, np.intp)

    def _heard(
        self,
        messages: Sequence[MessageReceived],
        routes: Sequence[Route],
        places: NDArray[np.intp],
        t_ns: NDArray[np.int64],
        *,
        now_ns: int,
    ) -> int:
        """Note the times (n,) that sources show; returns how many until that changes ours.

        A time is looked at where it is another than the one before of its source.
        """
        own, at_ns, offset_ns = self._own, self._state.now_ns, self._own.state.offset_ns
        asset = places // self._gather.columns
        news = np.ones(len(asset), bool)
        news[1:] = (asset[1:] != asset[:-1]) | (t_ns[1:] != t_ns[:-1])
        if 2 * np.count_nonzero(news) > len(news):  # sources take turns
            order = np.argsort(asset, kind="stable")
            asset, times = asset[order], t_ns[order]
            news[order[1:]] = (asset[1:] != asset[:-1]) | (times[1:] != times[:-1])
        received = [m.received_ns for m in messages]
        # Who shows the time at which it came shows none of its own: then each is looked at.
        shown = not {one + offset_ns for one in set(received)}.isdisjoint(t_ns[news].tolist())
        of = np.arange(len(t_ns)) if shown else np.flatnonzero(news)
        for k, shown_ns in zip(of.tolist(), t_ns[of].tolist(), strict=True):
            source = routes[k].asset
            if shown_ns == received[k] + offset_ns:
                continue
            if own.says_the_same(source, shown_ns, wall_ns=now_ns):
                continue
            own.heard(source, shown_ns, wall_ns=now_ns)
            if self._now(now_ns) != at_ns or own.state.offset_ns != offset_ns:
                return k
        return len(t_ns)
