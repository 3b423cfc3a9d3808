"""Engineering limits: what an approved table says a channel must never be, sample by sample.

Limits need no fit: they ring from the first sample on. Between two levels of one side the outer one
counts more. A limit in another unit than the channel's cannot be compared, and is reported.

While an asset stands still its limits do not count, nor until it has settled after a start: a
pressure that was off passes through what is forbidden. Channels of the safety list count from the
first running sample on.

What came back within a limit by less than a deadband keeps an event open, and opens none: a value
that hovers around its limit rings once (ISA-18.2, EEMUA 191).

Of a channel the rows count that were recorded last. Where several were recorded at one time, each
counts: what is beyond the stricter one is beyond.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from kb.records import Limit
from models.bundles.bundle import is_unfitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.batches import Batch
    from models.bundles.bundle import AssetModel, Channel

OUTER: Final = 2  # beyond LL or HH
INNER: Final = 1  # beyond L or H
FOREVER_NS: Final = 2**63 - 1
DEADBAND_SHARE: Final = 0.05  # of the way between a channel's inner limits, EEMUA 191 for flow


class Levels(NamedTuple):
    """Levels of one channel, in its unit; None: none on that side."""

    low_low: float | None
    low: float | None
    high: float | None
    high_high: float | None


class LimitWatch(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one asset's channels as they stand. Arrays (4, c): LL, L, H, HH; inf: none."""

    levels: np.ndarray
    unlike: tuple[Limit, ...] = ()  # of another unit

    def excess(self, values: NDArray[np.float32]) -> NDArray[np.int8]:
        """How far values (n, c) are beyond: 0 within or unknown, INNER, OUTER."""
        low_low, low, high, high_high = self.levels
        inner = (values < low) | (values > high)
        outer = (values < low_low) | (values > high_high)
        found: NDArray[np.int8] = np.where(outer, OUTER, np.where(inner, INNER, 0)).astype(np.int8)
        return found

    def near(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which values (n, c) are not further within their inner limits than the deadband.

        Of a channel with one limit there is no way to tell how wide that is: none.
        """
        low, high = self.well_within
        found: NDArray[np.bool_] = (values < low) | (values > high)
        return found

    @property
    def well_within(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Between which values (c,), (c,) nothing is near a limit; inf: there is none."""
        low_low, low, high, high_high = self.levels
        low, high = np.maximum(low, low_low), np.minimum(high, high_high)
        with np.errstate(invalid="ignore"):
            band = np.where(np.isfinite(high - low), DEADBAND_SHARE * (high - low), 0.0)
        return low + band, high - band


class Beyond(NamedTuple):
    """What limits say of samples (n, c): how far beyond, and whether not yet well within."""

    excess: NDArray[np.int8]
    near: NDArray[np.bool_]


class Clear(NamedTuple):
    """Between which values (c,) limits say nothing, for samples from a time to another, ns."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    from_ns: int
    to_ns: int


def limited(
    scores: NDArray[np.float32],
    segment: Batch,
    beyond: Beyond,
    *,
    model: AssetModel,
    hidden: NDArray[np.bool_] | None,
) -> NDArray[np.float32]:
    """Scores (n,) of a segment that also count what is beyond a limit; hidden: channels (c,).

    Of an asset of which nothing was learned yet, what is within its limits is not strange.
    """
    excess = beyond.excess if hidden is None else np.where(hidden, 0, beyond.excess)
    near = beyond.near if hidden is None else beyond.near & ~hidden
    worst = excess.max(axis=1)
    if is_unfitted(model.metrics):
        values = segment.values if hidden is None else np.where(hidden, np.nan, segment.values)
        seen = np.isfinite(values).any(axis=1) & segment.running
        scores = np.where(seen & np.isnan(scores), np.float32(0.0), scores)
    on, off = np.float32(model.threshold_on), np.float32(model.threshold_off)
    scores = np.where(near.any(axis=1) & (off < on), np.fmax(scores, off), scores)
    return np.where(worst > 0, np.fmax(scores, on + worst), scores)


def newest_limits(limits: Sequence[Limit], *, now_ns: int) -> dict[str, tuple[Limit, ...]]:
    """The newest approved limits by channel, of those known by now.

    More than one row of a channel where they were recorded at the same time: none of them wins, so
    each counts.
    """
    newest: dict[str, tuple[Limit, ...]] = {}
    for limit in sorted(limits, key=lambda one: (one.recorded_at_ns, one.limit_id)):
        if limit.recorded_at_ns <= now_ns:
            rows = newest.get(limit.channel, ())
            same = tuple(row for row in rows if row.recorded_at_ns == limit.recorded_at_ns)
            newest[limit.channel] = (*same, limit)
    return newest


def strictest(rows: Sequence[Limit]) -> Levels:
    """What rows of one unit say together: of each level the one that is passed first."""
    return Levels(
        low_low=max((row.low_low for row in rows if row.low_low is not None), default=None),
        low=max((row.low for row in rows if row.low is not None), default=None),
        high=min((row.high for row in rows if row.high is not None), default=None),
        high_high=min((row.high_high for row in rows if row.high_high is not None), default=None),
    )


def watch_of(
    limits: Sequence[Limit], *, channels: Sequence[Channel], now_ns: int
) -> LimitWatch | None:
    """The newest approved limits of one asset known by now; None: there are none."""
    newest = newest_limits(limits, now_ns=now_ns)
    mine = [newest.get(channel.name, ()) for channel in channels]
    if not any(mine):
        return None
    unlike = tuple(
        limit
        for rows, channel in zip(mine, channels, strict=True)
        for limit in rows
        if limit.unit not in ("", channel.unit)
    )
    # as wide as a sample: a value that stands exactly at a level is not beyond it
    bare = np.array([[-np.inf], [-np.inf], [np.inf], [np.inf]], np.float32)
    levels = np.tile(bare, len(channels))
    for k, rows in enumerate(mine):
        for i, level in enumerate(strictest([row for row in rows if row not in unlike])):
            if level is not None:
                levels[i, k] = level
    return LimitWatch(levels=levels, unlike=unlike)


class Starts(msgspec.Struct, kw_only=True):
    """Since when an asset stands still, 0: it runs; until when it settles. Plant time, ns."""

    stopped_ns: int = 0
    settled_ns: int = 0

    def settling(
        self, t_ns: NDArray[np.int64], running: NDArray[np.bool_], *, settle_ns: int
    ) -> NDArray[np.bool_]:
        """Which samples (n,) lie in the settling after a start; moves on. t_ns, running: (n,).

        It settles for `settle_ns`, but never longer than it had stood still: a run tag that
        flickers must not keep limits from counting. What was not seen to stand still has not
        started.
        """
        found = np.zeros(len(t_ns), bool)
        turns = np.flatnonzero(running[1:] != running[:-1]) + 1
        for begin, end in itertools.pairwise([0, *turns.tolist(), len(t_ns)]):
            at_ns = int(t_ns[begin])
            if not running[begin]:
                self.stopped_ns = self.stopped_ns or at_ns
                continue
            if self.stopped_ns:
                self.settled_ns = at_ns + min(settle_ns, at_ns - self.stopped_ns)
                self.stopped_ns = 0
            found[begin:end] = t_ns[begin:end] < self.settled_ns
        return found


class Watchman:
    """Watches one asset's limits along plant time, whichever are known when."""

    def __init__(self, channels: Sequence[Channel], *, safety: Sequence[str] = ()) -> None:
        self._channels = channels
        self._safety = np.array([channel.name in safety for channel in channels], bool)
        self._limits: Sequence[Limit] = ()
        self._watch: LimitWatch | None = None
        self._from_ns = self._to_ns = 0
        self._unsaid: tuple[Limit, ...] = ()
        self._said: frozenset[str] = frozenset()

    def beyond(
        self,
        limits: Sequence[Limit],
        *,
        t_ns: NDArray[np.int64],
        values: NDArray[np.float32],
        running: NDArray[np.bool_],
        settling: NDArray[np.bool_] | None,
    ) -> Beyond | None:
        """How far values (n, c) are beyond the limits of their time t_ns (n,); None: no limits.

        limits: all of the asset, whenever they become known. running, settling: (n,); what stands
        still is not watched, and of what settles only the safety list; None: nothing settles.
        """
        if not limits:
            return None
        found = Beyond(np.zeros(values.shape, np.int8), np.zeros(values.shape, bool))
        first = 0
        while first < len(t_ns):
            watch = self.at(limits, int(t_ns[first]))
            last = int(np.searchsorted(t_ns, self._to_ns, side="left"))
            if watch is not None:
                found.excess[first:last] = watch.excess(values[first:last])
                found.near[first:last] = watch.near(values[first:last])
            first = last
        counts = np.broadcast_to(running[:, None], values.shape)
        if settling is not None:
            counts = counts & ~(settling[:, None] & ~self._safety)
        found.excess[~counts], found.near[~counts] = 0, False
        return found

    def at(self, limits: Sequence[Limit], t_ns: int) -> LimitWatch | None:
        """The limits that stand at a time."""
        if limits is not self._limits or not self._from_ns <= t_ns < self._to_ns:
            times = sorted(limit.recorded_at_ns for limit in limits)
            self._limits = limits
            self._from_ns = max((t for t in times if t <= t_ns), default=-FOREVER_NS)
            self._to_ns = min((t for t in times if t > t_ns), default=FOREVER_NS)
            self._watch = watch_of(limits, channels=self._channels, now_ns=t_ns)
            unlike = self._watch.unlike if self._watch is not None else ()
            news = [limit for limit in unlike if limit.limit_id not in self._said]
            self._unsaid = (*self._unsaid, *news)
            self._said |= {limit.limit_id for limit in news}
        return self._watch

    def clear(self, limits: Sequence[Limit]) -> Clear | None:
        """What is clear of the limits that stood at the newest sample; None: not looked at yet.

        limits: as `beyond` takes them.
        """
        if limits and (limits is not self._limits or self._unsaid):
            return None
        span = (self._from_ns, self._to_ns) if limits else (-FOREVER_NS, FOREVER_NS)
        if not limits or self._watch is None:
            none = np.full(len(self._channels), np.inf, np.float32)
            return Clear(-none, none, *span)
        return Clear(*self._watch.well_within, *span)

    def news(self) -> tuple[Limit, ...]:
        """Limits of another unit than their channel's, each once."""
        unsaid, self._unsaid = self._unsaid, ()
        return unsaid


def level_name(rows: Sequence[Limit], value: float) -> tuple[str, float, Limit] | None:
    """The outermost level that a value is beyond, as (name, level, row); None: within.

    Of rows that say it alike the strictest; rows have the value's unit.
    """
    levels = strictest(rows)
    for name, level, field in (
        ("HH", levels.high_high, "high_high"),
        ("H", levels.high, "high"),
        ("LL", levels.low_low, "low_low"),
        ("L", levels.low, "low"),
    ):
        beyond = level is not None and (value > level if "H" in name else value < level)
        if level is not None and beyond:
            row = next(row for row in rows if getattr(row, field) == level)
            return name, level, row
    return None
