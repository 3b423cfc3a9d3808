"""The usual case: samples of many assets for which nothing happens, taken together.

What `quality`, `looks`, `limits`, `ring` and `drift` do with one asset's samples is done here with
those of all assets of a slab at once, with the same operations in the same order, so that not a bit
differs. It is done on trial: an asset at which something is found, a code, a value near a limit, a
score over its threshold, is left as it was, for whoever takes assets one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.samples.columns import by_value
from edge.samples.looks import (
    APART_STAYS,
    CROWD_SHARE,
    FAINT_STILL,
    HELD,
    MEDIAN_REACH,
    NOISE_HIGH,
    NOISE_LOW,
    SPARSE,
)
from edge.samples.row_flags import rows_scored
from edge.samples.scoring import Stack
from edge.samples.slab import ALIKE_MIN
from models.fitting.health import WINDOW, Looks, look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.batches import Sheaf
    from edge.records import RowsScored
    from edge.samples.scoring import F32, Mask, Parts, Request
    from edge.samples.slab import Slab

    Rows = NDArray[np.intp]
    I64 = NDArray[np.int64]

SAMPLES_MAX: Final = 512  # of each asset at once, so that what is pending is still in the history
PENDING_MAX: Final = 2 * SAMPLES_MAX
LOOKED_TOGETHER: Final = 64  # windows: fewer cost more calls than they save in the cache


@dataclass(slots=True, eq=False)
class Trial:
    """Samples of assets of a slab on trial. rows: (k,) of the slab, in rising order.

    ran: (k,) whether all samples of an asset are of running, else none is. alive: (k,) assets at
    which nothing was found. value, equal, absent, repeats: as the states of health will be.
    """

    slab: Slab
    rows: Rows
    sheaf: Sheaf
    ran: Mask
    alive: Mask
    value: F32 = field(init=False)
    equal: I64 = field(init=False)
    absent: I64 = field(init=False)
    repeats: I64 = field(init=False)
    found: Found | None = None  # None: no look was due
    scored: Rows = field(init=False)  # (j,) among the assets on trial
    asked: tuple[tuple[Rows, Stack], ...] = ()  # of which of those scored
    scores: F32 = field(init=False)  # (j, n)

    def look(self) -> None:
        """Look at sensors and limits; whose samples say anything is no longer alive."""
        slab, rows, values = self.slab, self.rows, self.sheaf.values
        lasting = self._runs()
        near = (values < slab.clear[0, rows, None]).any(axis=(1, 2))
        near |= (values > slab.clear[1, rows, None]).any(axis=(1, 2))
        self.alive &= ~(near & self.ran)  # what stands still is not watched
        low, high = slab.span[0, rows, None], slab.span[1, rows, None]
        if not np.isnan(low).all():
            self.alive &= ~((values < low) | (values > high)).any(axis=(1, 2))
        self._look(lasting)

    # --- values that last, values that lack ---

    def _runs(self) -> I64 | None:
        """How long each value has lasted (k, n, c) or (k, 1, c); None: every value is new."""
        slab, rows, values = self.slab, self.rows, self.sheaf.values
        finite = np.isfinite(values)
        shown = np.concatenate([slab.value[rows, None], values], axis=1)
        if finite.all():
            same = shown[:, 1:] == shown[:, :-1]
            if not same.any():  # the usual tick: every value is new
                self.value = shown[:, -1]
                self.equal = self.absent = np.zeros(self.value.shape, np.int64)
                self.repeats = np.zeros(len(rows), np.int64)
                return None
            self.value = shown[:, -1]
            return self._some_last(same)
        shown = _carried(shown)
        same = (shown[:, 1:] == shown[:, :-1]) & finite
        new = finite & ~same
        lasts = same & self.ran[:, None, None]
        equal = _lengths(slab.equal[rows], grows=lasts, resets=new)
        moved = new.any(axis=2)
        told = same.any(axis=2) & ~moved & self.ran[:, None]
        repeats = _lengths(slab.repeats[rows], grows=told, resets=moved)
        wrong = (equal >= slab.stuck[rows, None]).any(axis=(1, 2))
        wrong |= (repeats >= slab.stale[rows, None]).any(axis=1)
        lacks = ~finite & self.ran[:, None, None]
        absent = _lengths(slab.absent[rows], grows=lacks, resets=finite)
        wrong |= (absent >= slab.gone[rows, None]).any(axis=(1, 2))
        self.absent = absent[:, -1]
        self.alive &= ~wrong
        self.value, self.equal, self.repeats = shown[:, -1], equal[:, -1], repeats[:, -1]
        return equal

    def _some_last(self, same: Mask) -> I64:
        """`_runs` (k, n, c) where every value is there; same: (k, n, c) it is the one before."""
        slab, rows, (k, n, c) = self.slab, self.rows, same.shape
        at, stuck = np.flatnonzero(same), slab.stuck[rows]
        holds = np.zeros((k, c), bool)  # what shows a value twice: a sensor that moves rarely does
        holds[at // (n * c), at % c] = True
        of, j = np.nonzero(holds)
        again = same[of, :, j]
        lasts = _lengths(slab.equal[rows[of], j], grows=again & self.ran[of, None], resets=~again)
        self.equal = np.zeros((k, c), np.int64)
        self.equal[of, j] = lasts[:, -1]
        wrong: Mask = np.asarray((stuck <= 0).any(axis=1))
        wrong[of[(lasts >= stuck[of, j][:, None]).any(axis=1)]] = True
        if holds.all(axis=1).any():  # else one channel moves with every sample
            moved: Mask = np.asarray(~same.all(axis=2))
            told = ~moved & self.ran[:, None]
            repeats = _lengths(slab.repeats[rows], grows=told, resets=moved)
        else:
            repeats = np.zeros((k, 1), np.int64)
        self.repeats = repeats[:, -1]
        wrong |= (repeats >= slab.stale[rows, None]).any(axis=1)
        self.absent = np.zeros((k, c), np.int64)
        wrong |= (self.absent >= slab.gone[rows]).any(axis=1)
        self.alive &= ~wrong
        equal = np.zeros(same.shape, np.int64)
        equal[of, :, j] = lasts
        return equal

    # --- windows ---

    def _look(self, lasting: I64 | None) -> None:
        """Take the looks that are due, each over the newest WINDOW samples up to it.

        All at once, wherever in its samples each falls: their calls cost more than their values.
        """
        of, seen, turns = self._due()
        for alike, _ in by_value(self.slab.pairs[self.rows[of]]):
            for first in range(0, len(alike), LOOKED_TOGETHER):
                few = alike[first : first + LOOKED_TOGETHER]
                few = few[self.alive[of[few]]]
                if len(few):
                    self._look_at(of[few], seen[few], turns[few], lasting)

    def _due(self) -> tuple[Rows, I64, I64]:
        """Looks that are due: at which asset on trial, behind how many samples, which of its own.

        (l,) each, by turn: all first looks, then all second ones.
        """
        slab, n = self.slab, self.sheaf.values.shape[1]
        before, hop = slab.looked[self.rows], slab.hop[self.rows]
        turns = before // hop + np.arange(1, n // int(hop.min()) + 2)[:, None]  # (turns, k)
        count = turns * hop
        due = (count <= before + n) & (count >= WINDOW)
        due &= self.alive & self.ran & slab.looks[self.rows]
        self.alive &= ~due.any(axis=0) | slab.judged[self.rows]  # the first settles what it is of
        turn, of = np.nonzero(due & self.alive)
        return of, (count - before)[turn, of], turn

    def _look_at(self, of: Rows, seen: I64, turns: I64, lasting: I64 | None) -> None:
        """Looks at some assets (j,) on trial, behind so many of their samples (j,), by turn."""
        slab, rows = self.slab, self.rows[of]
        if self.found is None:
            self.found = Found.before(slab, self.rows)
        looks = look(*self._windows(of, seen), slab.bounds[int(rows[0])].pairs)
        lasts = None if lasting is None else lasting[of, seen - 1]
        for turn, _ in by_value(turns):
            part = turn[self.alive[of[turn]]]  # an earlier look may have found something
            found = Looks(*(_of(one, part) for one in looks))
            mine = None if lasts is None else lasts[part]
            calm = self.found.judge(slab, rows[part], of[part], found, mine)
            self.alive[of[part[~calm]]] = False

    def _windows(self, of: Rows, seen: I64) -> tuple[F32, Mask]:
        """The windows of looks (j, WINDOW, c), and which of their samples ran."""
        slab, rows, values = self.slab, self.rows[of], self.sheaf.values
        shifts = by_value(seen * PENDING_MAX + slab.pending[rows])
        window = np.empty((len(of), WINDOW, slab.channels), np.float32)
        ran = np.empty((len(of), WINDOW), bool)
        for part, shift in shifts:
            behind, pending = divmod(shift, PENDING_MAX)
            if len(part) < ALIKE_MIN:
                for j, k, i in zip(
                    part.tolist(), of[part].tolist(), rows[part].tolist(), strict=True
                ):
                    slab.shift_one(window[j], ran[j], i, pending, values[k, :behind])
                continue
            window[part], ran[part] = slab.shifted(rows[part], pending, values[of[part], :behind])
        return window, ran

    # --- scores ---

    def ask(self, parts: Parts) -> tuple[Stack, ...]:
        """What is to be scored of the assets that are alive, a stack a part and kind of row."""
        self.scored = at = np.flatnonzero(self.alive)
        if not len(at):
            return ()
        values = _of(self.sheaf.values, at)
        rows, width = self.rows[at], parts.width
        x = values
        if values.shape[2] != width:
            x = np.full((*values.shape[:2], width), np.nan, np.float32)
            x[:, :, : values.shape[2]] = values
        valid, ran = np.isfinite(x), self.ran[at]
        asked = []
        for index, sees in (self.slab.running_row[rows], ran), (self.slab.stopped_row[rows], ~ran):
            number = np.where(index != -1, parts.numbers_of[index], -1)
            for of, part in by_value(number):
                if part != -1:
                    seen = _of(valid, of) & sees[of, None, None]
                    asked.append((of, Stack(x=_of(x, of), valid=seen, index=index[of])))
        self.asked = tuple(asked)
        return tuple(stack for _, stack in asked)

    def judge(self) -> None:
        """See what was scored; whose scores are not all known and calm is no longer alive."""
        rows, ran = self.rows[self.scored], self.ran[self.scored]
        counts = np.where(ran, self.slab.running_row[rows], self.slab.stopped_row[rows])
        scores = np.full((len(self.scored), self.sheaf.t_ns.shape[1]), np.nan, np.float32)
        for of, stack in self.asked:
            mine = counts[of] == stack.index
            if stack.scores is not None:
                scores[of[mine]] = stack.scores[mine]
        calm = scores < self.slab.threshold[rows, None]  # not so of NaN
        calm |= (counts == -1)[:, None]  # nothing tells what is normal while it stands
        self.scores = scores
        self.alive[self.scored[~calm.all(axis=1)]] = False

    def answer(self, request: Request, k: int) -> None:
        """Tell a request of one of the assets, the k-th, what came of its row."""
        at = int(np.searchsorted(self.scored, k))
        for of, stack in self.asked:
            place = int(np.searchsorted(of, at))
            if place < len(of) and of[place] == at and stack.index[place] == request.index:
                stack.answer(request, place)

    # --- what stays ---

    def commit(self) -> dict[int, Mask]:
        """Take the samples of who is still alive; returns what has begun or ended to drift.

        By row of the slab, (m,) each.
        """
        slab, sheaf, of = self.slab, self.sheaf, np.flatnonzero(self.alive)
        if not len(of):
            return {}
        rows, n = self.rows[of], sheaf.t_ns.shape[1]
        slab.before(rows)
        values, t_ns = _of(sheaf.values, of), _of(sheaf.t_ns, of)
        ran = self.ran[of]
        slab.append(rows, t_ns, values, ran)
        slab.value[rows], slab.equal[rows] = _of(self.value, of), _of(self.equal, of)
        slab.absent[rows], slab.repeats[rows] = _of(self.absent, of), _of(self.repeats, of)
        slab.looked[rows] += np.where(ran, n, 0)
        slab.pending[rows] += np.where(ran & slab.looks[rows], n, 0)
        slab.ran_last[rows] = ran
        if self.found is not None:
            slab.fill(rows[ran & self.found.looked[of]])
            self.found.keep(slab, self.rows, of)
        scores = self.scores[self.alive[self.scored]]
        slab.last_t_ns[rows], slab.last_score[rows] = t_ns[:, -1], scores[:, -1]
        slab.ahead[rows] = True
        for i in rows[slab.beats[rows]].tolist():
            slab.assets[i].forget_beats(int(slab.last_t_ns[i]))
        if ran.all():
            return slab.drift.count(rows, t_ns, scores, values)
        slab.drift.leave_out(rows[~ran], n)
        return slab.drift.count(rows[ran], t_ns[ran], scores[ran], values[ran])

    def told(self) -> Iterator[tuple[int, RowsScored]]:
        """What became of the samples that were taken, by row of the slab."""
        n = self.sheaf.t_ns.shape[1]
        for at, k in enumerate(self.scored.tolist()):
            if self.alive[k]:
                i = int(self.rows[k])
                model, batch = self.slab.assets[i].model, self.sheaf.batch(k)
                rows = np.full(n, model.row_running if self.ran[k] else model.row_stopped)
                yield i, rows_scored(model, batch, self.scores[at].copy(), rows, None, ())


@dataclass(slots=True, eq=False)
class Found:
    """What the newest looks found of all assets on trial (k,). looked: (k,) whether there was one.

    noise, suspects: (k, c)   apart: by asset that has pairs, as its state holds it
    """

    looked: Mask
    noise: NDArray[np.float64]
    suspects: NDArray[np.uint8]
    apart: dict[int, tuple[NDArray[np.float64], Mask, Mask]]

    @classmethod
    def before(cls, slab: Slab, rows: Rows) -> Found:
        """As the looks before left it."""
        apart = {}
        for k in np.flatnonzero(slab.paired[rows]).tolist():
            windows = slab.assets[rows[k]].state.health.windows
            if windows is not None and windows.apart_near is not None:
                apart[k] = windows.apart, windows.apart_once, windows.apart_near
        return cls(np.zeros(len(rows), bool), slab.noise[rows], slab.suspects[rows], apart)

    def judge(self, slab: Slab, rows: Rows, of: Rows, found: Looks, lasting: I64 | None) -> Mask:
        """Move on by a look at some of the assets (j,); which of them it finds nothing of.

        rows: theirs in the slab   lasting: (j, c) as `looks` takes it
        """
        usual = {name: column[rows] for name, column in slab.usual.items()}
        with np.errstate(invalid="ignore"):
            loud, faint = found.noise > usual["noise_high"], found.noise < usual["noise_low"]
            near = found.level >= usual["level_low"]
            near &= found.level <= usual["level_high"]
            spread = MEDIAN_REACH * found.noise
            calm = found.level >= usual["calm_low"] - spread
            calm &= found.level <= usual["calm_high"] + spread
            sparse = found.present < usual["present"] * SPARSE
        if lasting is not None:
            faint &= lasting < HELD
        faint &= found.still <= FAINT_STILL
        new = ((loud & calm) * NOISE_HIGH | (faint & near) * NOISE_LOW).astype(np.uint8)
        crowd = np.count_nonzero(new, axis=1) > np.maximum(1.0, CROWD_SHARE * slab.watched[rows])
        new[crowd] = 0
        strange: Mask = ((new & self.suspects[of]) != 0).any(axis=1) | sparse.any(axis=1)
        if found.apart.shape[1]:
            strange |= self._apart(slab, rows, of, found)
        self.noise[of], self.suspects[of], self.looked[of] = found.noise, new, True
        return ~strange

    def _apart(self, slab: Slab, rows: Rows, of: Rows, found: Looks) -> Mask:
        """The same of distances between channels; which assets (j,) they say something of."""
        bounds = [slab.bounds[i] for i in rows.tolist()]
        low, high = np.stack([one.apart for one in bounds], axis=1)
        reach = np.stack([one.reach for one in bounds])
        with np.errstate(invalid="ignore"):
            apart = found.apart
            out = (apart < low - reach) | (apart > high + reach)
            stays = APART_STAYS * reach
            known = np.isfinite(apart)
            agree = known & ~((apart < low - stays) | (apart > high + stays))
        once, agreed = (np.stack([self.apart[k][j] for k in of.tolist()]) for j in (1, 2))
        near = np.where(known, agree, agreed)
        for j, k in enumerate(of.tolist()):
            self.apart[k] = apart[j].copy(), out[j].copy(), near[j].copy()
        found_apart: Mask = (out & once).any(axis=1)
        return found_apart

    def keep(self, slab: Slab, rows: Rows, of: Rows) -> None:
        """Put what was found of some of the assets (j,) where it stays."""
        of = of[self.looked[of]]
        slab.noise[rows[of]], slab.suspects[rows[of]] = self.noise[of], self.suspects[of]
        for k in of.tolist() if self.apart else ():
            windows = slab.assets[rows[k]].state.health.windows
            if windows is not None and k in self.apart:
                windows.apart, windows.apart_once, windows.apart_near = self.apart[k]


def _of(array: NDArray[Any], of: Rows) -> NDArray[Any]:
    """Some of an array (k, ...), by rising places (j,); itself, where they are all."""
    return array if len(of) == len(array) else array[of]


def _carried(values: F32) -> F32:
    """Each NaN replaced by the newest finite value before it (k, n, c)."""
    n = np.arange(values.shape[1])[None, :, None]
    newest = np.maximum.accumulate(np.where(np.isfinite(values), n, 0), axis=1)
    found: F32 = np.take_along_axis(values, newest, axis=1)
    return found


def _lengths(start: I64, *, grows: Mask, resets: Mask) -> I64:
    """`run_lengths` of many assets: start (k, ...), grows, resets and lengths (k, n, ...)."""
    steady = resets.all(axis=1)  # (k, ...) where nothing ever lasts, as of a sensor that moves
    lengths: I64 = np.zeros(grows.shape, np.int64)
    if steady.all():
        return lengths
    some = np.nonzero(~steady)
    of: Any = (some[0], slice(None), *some[1:])
    total = start[some][:, None] + np.cumsum(grows[of], axis=1)
    base = np.maximum.accumulate(np.where(resets[of], total, 0), axis=1)
    lengths[of] = total - base
    return lengths
