"""Times of the samples in histories, and whether the machine ran: two bytes a sample.

Most samples come some milliseconds behind the one before. So of each the step is kept, with a bit
for whether the machine ran, and of each asset the time of the newest; from there the steps lead
back. A step that is no whole number of milliseconds, or too long, is kept beside them. An asset
with many of those has a clock that does not count in milliseconds: its times are kept as they are.

    codes     ran | step  ran | step  ran | FAR  ran | step <- newest_ns
    far                               place: step, ns
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.intp]
    I64 = NDArray[np.int64]
    Mask = NDArray[np.bool_]

MILLISECOND_NS: Final = 1_000_000
FAR: Final = 0x7FFF  # a step that is kept beside; shorter ones are 32 s at most
RAN: Final = 0x8000
FAR_MAX: Final = 32  # of an asset; its dict would soon be as large as the times themselves
CUT: Final = 64  # newest samples that are cut out of some histories at once:
CUT_TOGETHER: Final = 64  # of so many assets, one behind the other
WIDE_MORE: Final = 16  # assets that room is made for at once


class Times:
    """Of histories of some assets (a,), each a ring of `capacity` places, R.

    Whoever writes goes through the places one after the other, and around.
    """

    def __init__(self, assets: int, capacity: int) -> None:
        self.capacity = capacity
        self._codes = np.zeros((assets, capacity), np.uint16)
        self._newest_ns = np.zeros(assets, np.int64)
        self._next = np.zeros(assets, np.intp)  # place of the next sample
        self._held = np.zeros(assets, np.intp)
        self._far: dict[int, dict[int, int]] = {}  # of an asset, by place
        self._wide = np.empty((0, capacity), np.int64)  # times of assets as they are
        self._wide_at = np.full(assets, -1, np.intp)  # in which row of these
        self._wides = 0
        # until the next sample: newest times (k, CUT) of some assets, by the number of their block,
        # with the next place of each and how many it holds
        self._decoded: dict[int, tuple[I64, list[tuple[int, int]]]] = {}
        self._whole = -1, np.empty(0, np.int64)  # likewise times of one asset, by place

    # --- in ---

    def write(self, rows: Rows, at: Rows, t_ns: I64, ran: Mask) -> None:
        """Samples of some assets (k,), each once: places and times (k, n), whether each ran.

        ran: (k, n), or what stands for it.
        """
        newest = slice(-self.capacity, None)
        at, t_ns, ran = at[:, newest], t_ns[:, newest], ran[:, newest]
        step = np.empty_like(t_ns)
        np.subtract(t_ns[:, 1:], t_ns[:, :-1], out=step[:, 1:])
        step[:, 0] = np.where(self._held[rows] > 0, t_ns[:, 0] - self._newest_ns[rows], 0)
        code = step // MILLISECOND_NS
        far = (code * MILLISECOND_NS != step) | (code.view(np.uint64) >= FAR)
        wide = self._wide_at[rows]
        if self._wides and (wide >= 0).any():
            some = np.flatnonzero(wide >= 0)
            self._wide[wide[some, None], at[some]] = t_ns[some]
            far[some], code[some] = False, 0
        place = rows[:, None], at
        odd = far | (self._codes[place] & FAR == FAR) if self._far else far
        self._codes[place] = np.where(far, FAR, code) | (ran * np.uint16(RAN))
        self._newest_ns[rows] = t_ns[:, -1]
        self._next[rows] = (at[:, -1] + 1) % self.capacity
        self._held[rows] = np.minimum(self._held[rows] + at.shape[1], self.capacity)
        self._forget()
        for k in np.flatnonzero(odd.any(axis=1)).tolist():
            self._beside(int(rows[k]), at[k], step[k], far[k])

    def write_one(self, row: int, at: Rows, t_ns: I64, ran: Mask) -> None:
        """The same of one asset (n,), at most as many as there are places."""
        if row in self._far or self._wide_at[row] >= 0:
            self.write(np.array([row]), at[None], t_ns[None], ran[None])
            return
        held = int(self._held[row])
        step = t_ns.copy()
        step[1:] -= t_ns[:-1]
        step[0] -= self._newest_ns[row] if held else t_ns[0]
        code = step // MILLISECOND_NS
        far = (code * MILLISECOND_NS != step) | (code.view(np.uint64) >= FAR)
        odd = far.any()
        if odd:
            code[far] = FAR
        self._codes[row, at] = code + ran * RAN
        self._newest_ns[row] = t_ns[-1]
        self._next[row] = (int(at[-1]) + 1) % self.capacity
        self._held[row] = min(held + len(at), self.capacity)
        self._forget()
        if odd:
            self._beside(row, at, step, far)

    def _forget(self) -> None:
        """What was decoded is not all any more."""
        if self._decoded:
            self._decoded.clear()
            self._whole = -1, np.empty(0, np.int64)

    def _beside(self, row: int, at: Rows, step: I64, far: Mask) -> None:
        """Keep steps that have no code, and let those go whose place another sample took."""
        kept = self._far.setdefault(row, {})
        for place, one, keep in zip(at.tolist(), step.tolist(), far.tolist(), strict=True):
            kept.pop(place, None)
            if keep:
                kept[place] = one
        if len(kept) > FAR_MAX:
            self._widen(row)
        elif not kept:
            del self._far[row]

    def _widen(self, row: int) -> None:
        """From here on keep the times of an asset as they are."""
        times = self.of(row)
        if self._wides == len(self._wide):
            more = np.zeros((max(WIDE_MORE, len(self._wide) // 8), self.capacity), np.int64)
            self._wide = np.concatenate([self._wide, more])
        self._wide[self._wides] = times
        self._wide_at[row] = self._wides
        self._codes[row] &= RAN
        self._wides += 1
        del self._far[row]

    # --- out ---

    def of(self, row: int) -> I64:
        """Times of an asset by place (R,); 0 where there is no sample yet."""
        if self._wide_at[row] >= 0:
            wide: I64 = self._wide[self._wide_at[row]].copy()
            return wide
        step = (self._codes[row] & FAR).astype(np.int64)
        step *= MILLISECOND_NS
        for place, one in self._far.get(row, {}).items():
            step[place] = one
        behind = int(self._next[row])  # the newest stands before it, what stands here is oldest
        found = np.cumsum(step)
        around = found[-1]
        found += self._newest_ns[row] - found[behind - 1]
        if behind:
            found[behind:] -= around
        found[int(self._held[row]) :] = 0
        return found

    def cut(self, row: int, begin: int, end: int) -> I64:
        """Times at places from `begin` to `end`: of some assets at once, where it is of the newest.

        Whoever copies what is new of each asset asks for one behind the other, and for some of them
        before the next sample.
        """
        block, k = divmod(row, CUT_TOGETHER)
        known = self._decoded.get(block)
        if known is None:
            rows = np.arange(row - k, min(row - k + CUT_TOGETHER, len(self._codes)))
            ends = zip(self._next[rows].tolist(), self._held[rows].tolist(), strict=True)
            known = self._newest(rows, min(CUT, self.capacity)), list(ends)
            self._decoded[block] = known
        decoded, (at, held) = known[0], known[1][k]
        back, columns = (at - begin) % self.capacity or self.capacity, decoded.shape[1]
        if end - begin <= back <= min(held, columns):
            return decoded[k, columns - back : columns - back + end - begin]
        if self._whole[0] != row:  # it may lie around the end, in two cuts
            self._whole = row, self.of(row)
        return self._whole[1][begin:end]

    def ran(self, row: int) -> Mask:
        """Whether the machine ran, by place (R,); False where there is no sample yet."""
        found: Mask = self._codes[row] >= RAN
        return found

    def ran_at(self, row: int, key: Any) -> Any:  # noqa: ANN401 - what arrays are asked for
        """The same at some places."""
        return self._codes[row, key] >= RAN

    def _newest(self, rows: Rows, n: int) -> I64:
        """The newest n times of some assets (k, n), oldest first; nothing where there are fewer."""
        at = (self._next[rows, None] - n + np.arange(n)) % self.capacity
        step = (self._codes[rows[:, None], at] & FAR).astype(np.int64)
        if self._far:
            far = step == FAR
            step *= MILLISECOND_NS
            for k, j in np.argwhere(far).tolist():
                step[k, j] = self._far.get(int(rows[k]), {}).get(int(at[k, j]), 0)
        else:
            step *= MILLISECOND_NS
        later = np.cumsum(step[:, :0:-1], axis=1)[:, ::-1]  # (k, n - 1) from the next one on
        found = np.empty(step.shape, np.int64)
        found[:, -1] = self._newest_ns[rows]
        np.subtract(found[:, -1:], later, out=found[:, :-1])
        wide = np.flatnonzero(self._wide_at[rows] >= 0)
        if len(wide):
            found[wide] = self._wide[self._wide_at[rows[wide], None], at[wide]]
        return found


class Column:
    """What an asset's history shows as one of its arrays (R,): read as one, written by `Times`."""

    __slots__ = ("_row", "times")
    dtype: np.dtype[Any]

    def __init__(self, times: Times, row: int) -> None:
        self.times, self._row = times, row

    def __len__(self) -> int:
        return self.times.capacity

    @property
    def shape(self) -> tuple[int]:
        """Of the array that it stands for."""
        return (self.times.capacity,)

    def lies_in(self, times: Times, row: int) -> bool:
        """Whether it is of this asset there."""
        return self.times is times and self._row == row


class TimeColumn(Column):
    """Times of an asset's samples by place (R,), int64 ns."""

    __slots__ = ()
    dtype = np.dtype(np.int64)

    def write(self, at: Rows, t_ns: I64, ran: Mask) -> None:
        """Samples behind those that there are (n,): places, times, whether each ran."""
        self.times.write_one(self._row, at, t_ns, ran)

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: object = None) -> NDArray[Any]:
        return np.asarray(self.times.of(self._row), dtype)

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - what arrays are asked for
        if isinstance(key, slice) and key.step is None and key.start is not None:
            begin, end, _ = key.indices(self.times.capacity)
            return self.times.cut(self._row, begin, end) if begin < end else np.empty(0, np.int64)
        return self.times.of(self._row)[key]


class RanColumn(Column):
    """Whether the machine ran at an asset's samples, by place (R,) bool."""

    __slots__ = ()
    dtype = np.dtype(np.bool_)

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: object = None) -> NDArray[Any]:
        return np.asarray(self.times.ran(self._row), dtype)

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - what arrays are asked for
        return self.times.ran_at(self._row, key)


def time_column(array: object) -> TimeColumn | None:
    """The column that stands for an array; None: it is an array."""
    return array if isinstance(array, TimeColumn) else None


def columns(times: Times, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and whether it ran of an asset, for whoever reads arrays."""
    return cast("np.ndarray", TimeColumn(times, row)), cast("np.ndarray", RanColumn(times, row))
