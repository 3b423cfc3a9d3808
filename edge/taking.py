"""Taking: closed samples move the assets on, and time does; those of whom nothing is told together.

A tick mostly brings samples of many assets for which nothing happens. These are taken by columns
(`usual`), the others one by one (`Asset`), each cut where something happens to it; all are scored
in the same calls. What an asset says, and in which order, is as if each had been taken by itself.

What waits for time alone is looked up, not walked through: a quiet asset costs a tick a few
comparisons of whole columns.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.samples.clock import allowed_ns
from edge.samples.scoring import score_rows
from edge.samples.slab import Slab
from edge.samples.usual import SAMPLES_MAX, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge.asset import Asset
    from edge.batches import Batch, Sheaf
    from edge.desk import Desk
    from edge.records import RowsScored
    from edge.samples.scoring import Mask
    from edge.state import EngineState
    from edge.work.commission import Commissioning

FEW: Final = 4  # fewer assets are sooner taken one by one


class Taking:
    """One for all assets. together: whether those for which nothing happens go by columns."""

    def __init__(
        self,
        assets: Mapping[str, Asset],
        *,
        desk: Desk,
        state: EngineState,
        commissioning: Commissioning,
        gaps_ns: Mapping[str, int],
        together: bool = True,
    ) -> None:
        self._assets = tuple(assets.values())
        self._desk = desk
        self._state = state
        self._commissioning = commissioning
        self._together = together
        self._gaps_ns = np.array([gaps_ns[name] for name in assets], np.int64)
        self._number = {name: i for i, name in enumerate(assets)}
        widths = [len(asset.channels) for asset in self._assets]
        self._slabs: dict[int, Slab] = {}
        for c in dict.fromkeys(widths):
            mine = [i for i, width in enumerate(widths) if width == c]
            self._slabs[c] = Slab([self._assets[i] for i in mine], desk, np.array(mine))
        self._place = [
            (self._slabs[len(asset.channels)], self._slabs[len(asset.channels)].row[name])
            for name, asset in assets.items()
        ]
        self._rows: dict[int, tuple[tuple[str, ...], NDArray[np.intp]]] = {}

    # --- who reads states ---

    def settle_states(self) -> None:
        """Let every state say all that is known."""
        for slab in self._slabs.values():
            slab.settle_all()

    def stir(self) -> None:
        """Somebody may change states: let them say all, and look at all of them anew."""
        for slab in self._slabs.values():
            slab.settle_all()
            slab.known[:] = slab.timed[:] = False

    def stir_one(self, name: str) -> None:
        """The same of one asset."""
        slab, i = self._place[self._number[name]]
        slab.settle(i)
        slab.known[i] = slab.timed[i] = False

    def _stirred(self) -> list[int]:
        """Whose states somebody else has changed meanwhile, by number."""
        if not self._desk.stirred:
            return []
        found = [self._number[name] for name in self._desk.stirred if name in self._number]
        self._desk.stirred.clear()
        for number in found:
            slab, i = self._place[number]
            slab.settle(i)
            slab.known[i] = slab.timed[i] = False
        return found

    # --- samples ---

    def take(self, sheaves: Sequence[Sheaf]) -> None:
        """Take samples that are closed, in the order of the bundle's assets."""
        self._stirred()
        trials, single = [], []
        for sheaf in sheaves:
            trial, others = self._tried(sheaf)
            trials += [trial] if trial is not None else []
            single += [(self._number[sheaf.assets[k]], sheaf.batch(k)) for k in others]
        while trials or single:
            single = self._step(trials, single)
            trials = []

    def _tried(self, sheaf: Sheaf) -> tuple[Trial | None, list[int]]:
        """Those of a sheaf that may go by columns, and who goes one by one, by place in it."""
        k, n = sheaf.t_ns.shape
        slab = self._slabs[sheaf.values.shape[2]]
        if k < FEW or n > SAMPLES_MAX or sheaf.mode is not None or not self._together:
            return None, list(range(k))
        rows = self._rows_of(slab, sheaf.assets)
        for i in rows[~slab.known[rows]].tolist():
            slab.read(i)
        first_ns, last_ns = sheaf.t_ns[:, 0], sheaf.t_ns[:, -1]
        ran = sheaf.running[:, 0]
        alive = np.where(ran, slab.plain[rows], slab.still[rows]) & (slab.due_ns[rows] > last_ns)
        alive &= (sheaf.running == ran[:, None]).all(axis=1)
        alive &= (slab.clear_ns[0, rows] <= first_ns) & (last_ns < slab.clear_ns[1, rows])
        if sheaf.heard is not None:
            alive &= sheaf.heard.all(axis=1)
        if np.count_nonzero(alive) < FEW:
            return None, list(range(k))
        trial = Trial(slab, rows, sheaf, ran, alive)
        trial.look()
        return trial, np.flatnonzero(~trial.alive).tolist()

    def _rows_of(self, slab: Slab, assets: tuple[str, ...]) -> NDArray[np.intp]:
        known = self._rows.get(slab.channels)
        if known is None or known[0] is not assets:
            rows = np.fromiter(map(slab.row.__getitem__, assets), np.intp, len(assets))
            assert (rows[1:] > rows[:-1]).all(), "a sheaf is in the order of the bundle"
            known = self._rows[slab.channels] = (assets, rows)
        return known[1]

    def _step(
        self, trials: Sequence[Trial], single: Sequence[tuple[int, Batch]]
    ) -> list[tuple[int, Batch]]:
        """Take samples up to where something happens; returns what is left of who goes alone."""
        desk = self._desk
        cuts = self._cut(trials, single)
        takes = {i: segment for i, segment, _ in cuts}
        requests = [r for i, segment in takes.items() for r in self._assets[i].requests(segment)]
        stacks = [stack for trial in trials for stack in trial.ask(desk.parts)]
        score_rows(requests, parts=desk.parts, state=desk.state, stacks=stacks)
        drifts: dict[int, Mask] = {}
        told: dict[int, RowsScored] = {}
        for trial in trials:
            trial.judge()
            for k in trial.scored[~trial.alive[trial.scored]].tolist():
                takes |= self._alone(trial, k)
            of = trial.slab.numbers
            drifts |= {int(of[i]): changed for i, changed in trial.commit().items()}
            if desk.tells_rows:
                told |= {int(of[i]): one for i, one in trial.told()}
        for i in sorted({*takes, *drifts, *told}):
            slab, row = self._place[i]
            if i in takes:
                self._assets[i].take(takes[i])
                self._commissioning.took(self._assets[i].model.asset, takes[i])
                slab.read(row)
                slab.timed[row] = False
            if i in drifts:
                self._assets[i].drift.tell(drifts[i])
            if i in told:
                desk.effects.append(told[i])
        return [(i, rest) for i, _, rest in cuts if rest is not None]

    def _cut(
        self, trials: Sequence[Trial], single: Sequence[tuple[int, Batch]]
    ) -> list[tuple[int, Batch, Batch | None]]:
        """Segments of who goes alone, and their rests; who is stirred by one goes alone too."""
        waiting = sorted(single, key=lambda one: one[0])
        cuts: list[tuple[int, Batch, Batch | None]] = []
        while waiting:
            number, batch = heapq.heappop(waiting)
            slab, i = self._place[number]
            slab.settle(i)
            slab.known[i] = False
            cuts.append((number, *self._assets[number].cut(batch)))
            for other in self._stirred():
                if (found := self._off_trial(trials, other)) is not None:
                    heapq.heappush(waiting, (other, found))
        return cuts

    def _off_trial(self, trials: Sequence[Trial], number: int) -> Batch | None:
        slab, i = self._place[number]
        for trial in trials:
            k = int(np.searchsorted(trial.rows, i))
            here = trial.slab is slab and k < len(trial.rows) and trial.rows[k] == i
            if here and trial.alive[k]:
                trial.alive[k] = False
                return trial.sheaf.batch(k)
        return None

    def _alone(self, trial: Trial, k: int) -> dict[int, Batch]:
        """One that was scored with the others and goes alone from here on."""
        slab, i = trial.slab, int(trial.rows[k])
        slab.settle(i)
        asset, number = slab.assets[i], int(slab.numbers[i])
        segment, rest = asset.cut(trial.sheaf.batch(k))
        assert rest is None, "nothing happens to it by itself"
        for request in asset.requests(segment):
            trial.answer(request, k)
        return {number: segment}

    # --- time ---

    def settle(self, now_ns: int, until_ns: int, ahead_ns: int, *, tells: bool) -> None:
        """What time alone brings: boundaries up to `until_ns`, fuses, silences.

        tells: the newest score of every asset is told too.
        """
        self._stirred()
        due: list[int] = []
        for slab in self._slabs.values():
            gaps_ns = self._gaps_ns[slab.numbers]
            due += slab.numbers[slab.visits(now_ns, until_ns, gaps_ns, ahead_ns)].tolist()
        due.sort()
        told = 0  # assets whose score was told
        while due:
            number = heapq.heappop(due)
            if tells:
                self._tell_scores(told, number)
                told = number
            self._visit(number, now_ns, until_ns=until_ns, ahead_ns=ahead_ns)
            for other in self._stirred():
                if other > number and other not in due:
                    heapq.heappush(due, other)
        if tells:
            self._tell_scores(told, len(self._assets))

    def _visit(self, number: int, now_ns: int, *, until_ns: int, ahead_ns: int) -> None:
        asset, (slab, i) = self._assets[number], self._place[number]
        slab.settle(i)
        asset.advance(until_ns)
        limit_ns = allowed_ns(asset.state, int(self._gaps_ns[number]), self._state)
        asset.silent(now_ns=now_ns, limit_ns=limit_ns, ahead_ns=ahead_ns)
        slab.known[i] = False
        slab.read_times(i)

    def _tell_scores(self, first: int, last: int) -> None:
        """Publish the newest scores of some assets, for trends."""
        for number in range(first, last):
            asset, (slab, i) = self._assets[number], self._place[number]
            slab.settle(i)
            self._desk.score(asset.model, asset.state.last_score, t_ns=asset.state.last_t_ns)
