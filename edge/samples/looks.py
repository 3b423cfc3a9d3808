"""Looks: what windows of the newest samples say of the sensors, against what a fit has learned.

Noise and distances of redundant channels are looked at once in a hop of running samples, over the
newest WINDOW of them: at the same samples, however the stream is cut. What a look finds holds until
the next one, and what is new must be found twice in a row. So must be that channels agree again.

A hop is HOP samples, as in a fit. Where those take much less than a second it is twice or four
times as many, and never more than a window: every sample is in one.

A sensor fails alone, and noise alone is a sensor's. Where many channels change their noise at once,
or a channel has also left its usual level, it is the process that has changed, and its own score
tells of it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.fitting.health import HOP, STUCK_NEVER, WINDOW, AssetHealth, Looks, compact, look

if TYPE_CHECKING:
    from collections.abc import Sequence


Flags = NDArray[np.bool_]
Codes = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

ABSENT_SAMPLES_MAX: Final = 600  # ten minutes at 1 Hz; longer than any rate that a model can use
NOISE_TIMES: Final = 2.0  # beyond the usual noise floor, where much was seen of it
NOISE_TIMES_FEW: Final = 2.5
WINDOWS_MANY: Final = 32
NOISE_STAYS: Final = 0.8  # of the bound: where noise that was called out ends
FAINT_STILL: Final = 0.3  # of differences that are exactly 0; with more, a value is held or rounded
LEVEL_REACH: Final = 0.5  # of the usual range beyond it: further out it is the process that moved
# deviations that the median of a window of noise has, beyond the usual medians
MEDIAN_REACH: Final = 4.0 * 1.2533 / np.sqrt(WINDOW)
CROWD_SHARE: Final = 0.25  # of channels; where more change their noise at once it is the process
SPARSE: Final = 0.5  # of the least share of values that was usual
SPARSE_STAYS: Final = 0.6
SPARSE_SHARE_MIN: Final = 0.2  # a channel that is rarer anyhow is not looked at
APART_REACH: Final = 1.0  # of the usual range of a distance, beyond it
APART_REACH_FEW: Final = 2.0
APART_STEPS: Final = 2.0  # the least reach, in steps of the two channels' resolution
APART_STAYS: Final = 0.5  # of the reach

# What is wrong with a channel at a sample, as bits of a code.
STUCK: Final = 1
MISSING: Final = 2
OUT_OF_RANGE: Final = 4
DRIFT: Final = 8  # against at least two that agree
DISAGREES: Final = 16  # two that differ, or nobody agrees: one of them is wrong
NOISE_HIGH: Final = 32
NOISE_LOW: Final = 64
STALE: Final = 128
# What is certainly no measurement leaves the score of the process; the rest may be the process.
UNSOUND: Final = STUCK | MISSING | DRIFT | STALE
HELD: Final = 32  # samples of one value: it is about to be called stuck, and not of little noise
# Of plant time between two looks, unless a window is shorter: less than a second, so that a source
# of 32 Hz that stamps in whole milliseconds, or one of 40 Hz, is looked at as it always was.
HOP_NS_MIN: Final = 750_000_000
PLACES: Final = 16  # so that about as many of a thousand assets are looked at as the cache holds


def hop_of(period_ns: int) -> int:
    """How many samples, period_ns apart, lie between two looks: HOP, or twice or four times."""
    hop = HOP
    while hop < WINDOW and hop * period_ns < HOP_NS_MIN:
        hop *= 2
    return hop


def place_of(asset: str, hop: int) -> int:
    """At which of the `hop` samples between two looks those of an asset come, as its name says."""
    return zlib.crc32(asset.encode()) % PLACES * (hop // PLACES)


class WindowState(msgspec.Struct, kw_only=True):
    """What looks need. values (WINDOW, c), ran (WINDOW,): newest samples that ran, blanks between.

    samples: that ran so far, from where its looks are counted; ran_last: whether the newest sample
    did. noise (c,), apart (m,): as the last look found them. codes: (c,) what looks hold; suspects:
    (c,), apart_once, apart_now: (m,) as it was at the last look; apart_near: (m,) whether the two
    agreed at the last look that knew. pairs: (m, 2) channels that these are of, None: likewise.
    """

    values: np.ndarray
    ran: np.ndarray
    samples: int = 0
    ran_last: bool = False
    noise: np.ndarray
    apart: np.ndarray
    codes: np.ndarray
    suspects: np.ndarray
    apart_once: np.ndarray
    apart_now: np.ndarray
    apart_near: np.ndarray | None = None  # None: in a state from before it was kept
    pairs: np.ndarray | None = None

    @classmethod
    def empty(cls, channels: int, pairs: int, *, asset: str = "", hop: int = HOP) -> Self:
        """Nothing seen yet.

        asset: whose it is; those of a plant that begin together are not looked at together.
        hop: samples between two looks.
        """
        return cls(
            samples=-place_of(asset, hop) if asset else 0,
            values=np.full((WINDOW, channels), np.nan, np.float32),
            ran=np.zeros(WINDOW, bool),
            noise=np.full(channels, np.nan),
            apart=np.full(pairs, np.nan),
            codes=np.zeros(channels, np.uint8),
            suspects=np.zeros(channels, np.uint8),
            apart_once=np.zeros(pairs, bool),
            apart_now=np.zeros(pairs, bool),
        )


class Bounds(NamedTuple):
    """What is usual of an asset's sensors, and what is beyond. Vectors (c,), of pairs (m,).

    stuck, absent, repeats: samples; noise_low, noise_high: what is too little and too much, NaN:
    not watched; level_low, level_high: where too little of it speaks of the sensor, calm_low,
    calm_high: where too much does; present: share. apart:
    (2, m) usual, reach: (m,) how far beyond is too far. groups: of redundant channels, the pairs of
    each, as (pair, channel, channel). usual: the record itself, None: there is none. hop: samples
    between two looks.
    """

    stuck: I64
    absent: I64
    repeats: int
    noise_low: F64
    noise_high: F64
    level_low: F64
    level_high: F64
    calm_low: F64
    calm_high: F64
    present: F64
    pairs: I64
    apart: F64
    reach: F64
    groups: tuple[tuple[tuple[int, int, int], ...], ...]
    usual: AssetHealth | None
    hop: int


class Measured(NamedTuple):
    """What a look found: noise (c,), apart (m,) in engineering units, NaN: not known."""

    noise: F64
    apart: F64


def bounds_of(
    health: AssetHealth | None,
    *,
    stuck: I64,
    usual: tuple[F64, F64],
    redundant: Sequence[Sequence[int]] = (),
    repeats_min: int = 0,
    period_ns: int = 1_000_000_000,
) -> Bounds:
    """What is beyond the usual of an asset. health None: only runs are watched.

    stuck: (c,) longest normal run of one value; usual: low and high (c,) of normal running.
    redundant: groups of channels that measure the same, by index. repeats_min: no source is called
    stale before so many samples. period_ns: between two samples.
    """
    reach = LEVEL_REACH * (usual[1] - usual[0])
    known = health if health is not None else _unknown(len(stuck))
    many = known.windows >= WINDOWS_MANY
    times, more = (NOISE_TIMES, APART_REACH) if many else (NOISE_TIMES_FEW, APART_REACH_FEW)
    every = known.pairs.astype(np.int64).reshape(-1, 2)
    kept, groups = _groups(every, redundant)
    pairs = every[kept]
    apart = np.stack([known.apart_low[kept], known.apart_high[kept]])
    steps = APART_STEPS * known.steps[pairs].sum(axis=1)
    rare = known.present_min < SPARSE_SHARE_MIN
    return Bounds(
        stuck=stuck,
        absent=np.minimum(stuck, ABSENT_SAMPLES_MAX),
        repeats=int(max(known.repeats_max, repeats_min)),
        noise_low=known.noise_low / times,
        noise_high=known.noise_high * times,
        level_low=usual[0] - reach,
        level_high=usual[1] + reach,
        calm_low=known.level_low,
        calm_high=known.level_high,
        present=np.where(rare, 0.0, known.present_min),
        pairs=pairs,
        apart=apart,
        reach=np.maximum(more * (apart[1] - apart[0]), steps),
        groups=groups,
        usual=health,
        hop=hop_of(period_ns),
    )


def _unknown(c: int) -> AssetHealth:
    """The record of an asset of which nothing was learned."""
    none, nothing = np.full(c, np.nan), np.empty(0)
    return AssetHealth(
        noise_low=none, noise_high=none, level_low=none, level_high=none,
        present_min=np.zeros(c), repeats_max=STUCK_NEVER, steps=np.zeros(c), pairs=np.empty((0, 2)),
        apart_low=nothing, apart_high=nothing, windows=0,
    )  # fmt: skip


def _groups(
    pairs: I64, redundant: Sequence[Sequence[int]]
) -> tuple[list[int], tuple[tuple[tuple[int, int, int], ...], ...]]:
    """Pairs (m, 2) that lie in a redundant group, and those of each group."""
    kept: list[int] = []
    groups = []
    for members in redundant:
        mine = [k for k, pair in enumerate(pairs.tolist()) if set(pair) <= set(members)]
        kept += [k for k in mine if k not in kept]
        groups.append(tuple((kept.index(k), int(pairs[k, 0]), int(pairs[k, 1])) for k in mine))
    return kept, tuple(group for group in groups if group)


def follow_pairs(state: WindowState, pairs: I64) -> None:
    """Let the state be of these pairs (m, 2): another bundle may compare other channels.

    The window stays, and so does what was found of a pair that both compare. One that is new counts
    as apart where a channel of it was called out, until two looks find that they agree: who drifts
    does not stop because somebody else is asked.
    """
    before, state.pairs = state.pairs, pairs
    if before is pairs or (before is None and len(state.apart) == len(pairs)):
        return
    if before is not None and np.array_equal(before, pairs):
        return
    places = {
        tuple(pair): k for k, pair in enumerate(before.tolist() if before is not None else ())
    }
    at = np.array([places.get(tuple(pair), -1) for pair in pairs.tolist()], np.intp)
    old, called = at >= 0, (state.codes & (DRIFT | DISAGREES)) != 0
    apart, once = np.full(len(pairs), np.nan), np.zeros(len(pairs), bool)
    now = called[pairs].any(axis=1)
    apart[old], once[old] = state.apart[at[old]], state.apart_once[at[old]]
    now[old] = state.apart_now[at[old]]
    state.apart, state.apart_once, state.apart_now, state.apart_near = apart, once, now, None


def take_looks(
    state: WindowState, values: F32, counted: Flags, bounds: Bounds, lasting: I64 | None
) -> tuple[Codes | None, list[tuple[int, Measured]]]:
    """What looks hold at each sample (n, c), None: nothing; and what each found, by its sample.

    values: (n, c); counted: (n,) samples that ran; lasting: (n, c) how long each value has lasted,
    None: none has.
    """
    rows, ran = compact(values, counted, before=state.ran_last)
    rank = np.cumsum(counted)
    count = state.samples + rank
    state.ran_last, state.samples = bool(counted[-1]), int(count[-1])
    rows, ran = np.concatenate([state.values, rows]), np.concatenate([state.ran, ran])
    state.values, state.ran = rows[-WINDOW:], ran[-WINDOW:]
    due = np.flatnonzero(counted & (count % bounds.hop == 0) & (count >= WINDOW))
    if not len(due):
        return (np.tile(state.codes, (len(values), 1)) if state.codes.any() else None), []
    ends = WINDOW + np.flatnonzero(ran[WINDOW:])[rank[due] - 1] + 1
    at = ends[:, None] - WINDOW + np.arange(WINDOW)
    found = look(rows[at], ran[at], bounds.pairs)
    codes = np.tile(state.codes, (len(values), 1))
    looks = []
    for k, i in enumerate(due.tolist()):
        one = Looks(*(part[k] for part in found))
        _judge(state, one, bounds, None if lasting is None else lasting[i])
        codes[i:] = state.codes
        looks.append((i, Measured(one.noise, one.apart)))
    return (codes if codes.any() else None), looks


def _judge(state: WindowState, found: Looks, bounds: Bounds, lasting: I64 | None) -> None:
    """Move what is held on by one look; lasting: (c,)."""
    was = state.codes
    codes = np.zeros_like(was)
    with np.errstate(invalid="ignore"):
        loud, faint = found.noise > bounds.noise_high, found.noise < bounds.noise_low
        near = (found.level >= bounds.level_low) & (found.level <= bounds.level_high)
        spread = MEDIAN_REACH * found.noise
        calm = found.level >= bounds.calm_low - spread
        calm &= found.level <= bounds.calm_high + spread
        still_loud = found.noise > NOISE_STAYS * bounds.noise_high
        still_faint = found.noise < bounds.noise_low / NOISE_STAYS
        sparse = found.present < bounds.present * np.where(was & MISSING, SPARSE_STAYS, SPARSE)
        out = _outside(found.apart, bounds, bounds.reach)
        known = np.isfinite(found.apart)
        agree = known & ~_outside(found.apart, bounds, APART_STAYS * bounds.reach)
    if lasting is not None:
        faint &= lasting < HELD
    faint &= found.still <= FAINT_STILL
    new = ((loud & calm) * NOISE_HIGH | (faint & near) * NOISE_LOW).astype(np.uint8) & ~was
    watched = int(np.isfinite(bounds.noise_low).sum())
    if np.count_nonzero(new) > max(1.0, CROWD_SHARE * watched):
        new[:] = 0
    codes |= new & state.suspects
    codes |= was & (still_loud * NOISE_HIGH | still_faint * NOISE_LOW).astype(np.uint8)
    codes |= (sparse * MISSING).astype(np.uint8)
    agreed = np.zeros_like(agree) if state.apart_near is None else state.apart_near
    # as many looks end it as began it, and one that knows nothing is none
    state.apart_now = (state.apart_now & ~(agree & agreed)) | (out & state.apart_once)
    state.apart_near = np.where(known, agree, agreed)
    for group in bounds.groups if state.apart_now.any() else ():
        _vote(group, found.apart, state.apart_now, codes)
    state.suspects, state.apart_once = new, out
    state.noise, state.apart, state.codes = found.noise, found.apart, codes


def _outside(apart: F64, bounds: Bounds, reach: F64) -> Flags:
    """Which distances (m,) are further than `reach` (m,) beyond the usual; NaN is not."""
    out: Flags = (apart < bounds.apart[0] - reach) | (apart > bounds.apart[1] + reach)
    return out


def _vote(
    group: tuple[tuple[int, int, int], ...], apart: F64, apart_now: Flags, codes: Codes
) -> None:
    """Who of a redundant group is wrong: who disagrees with most, where most agree."""
    asked: dict[int, int] = {}
    against: dict[int, int] = {}
    for pair, i, j in group:
        if np.isfinite(apart[pair]):
            for one in (i, j):
                asked[one] = asked.get(one, 0) + 1
                against[one] = against.get(one, 0) + int(apart_now[pair])
    alone = [one for one, votes in against.items() if votes > asked[one] / 2]
    if alone and len(alone) < len(asked) / 2:
        codes[alone] |= DRIFT
    else:
        codes[[one for one, votes in against.items() if votes]] |= DISAGREES
