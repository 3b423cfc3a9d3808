"""The slab: what is remembered of assets with as many channels, side by side.

Arrays of the assets' states are views of its rows, so whoever moves one asset on and whoever moves
all of them on work on the same memory. Numbers are kept in columns here, and brought into the
states before anybody reads them there: `settle`. A look needs the newest samples in order; those
that came since the last one are read from the history when it is due.

Who moves one asset on may put other arrays into its state: `read` brings them home.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.records import Track
from edge.samples.columns import by_value, home
from edge.samples.drift_columns import DriftColumns
from edge.samples.looks import Bounds
from edge.work.shed import DOUBT_NS
from models.fitting.health import WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.asset import Asset
    from edge.desk import Desk
    from edge.samples.looks import F32
    from edge.samples.ring import AssetRing
    from edge.samples.scoring import Mask

    Rows = NDArray[np.intp]

NEVER_NS: Final = 2**62
ALIKE_MIN: Final = 8  # assets: fewer are shifted sooner one by one
USUAL: Final = tuple(
    name for name in Bounds._fields if name.startswith(("noise", "level", "calm", "present"))
)


class Slab:
    """Assets with c channels, a row each (a,). Times are plant time, ns.

    known: whether the columns hold what the states say; ahead: whether they say more. plain: that
    nothing goes on at an asset that runs, so its next samples may be taken with those of others;
    still: the same of one that stands. ran_last: whether the newest sample of looks ran. timed:
    whether these are known: due_ns, when something happens to it by itself; doubt_ns, until when a
    gap casts doubt on what is kept quiet; restless, a silence that goes on. pending: newest samples
    that are in the history and not yet in the window of looks.
    """

    def __init__(self, assets: Sequence[Asset], desk: Desk, numbers: Rows) -> None:
        """`numbers`: (a,) of the assets in the bundle, in rising order."""
        self.assets, self._desk, ring = assets, desk, desk.ring
        self.numbers = numbers
        self.row = {asset.model.asset: i for i, asset in enumerate(assets)}
        a, c = len(assets), len(assets[0].channels)
        self.channels = c
        self.history = ring.homes[c]
        self.rings: list[AssetRing] = [ring.state.assets[one.model.asset] for one in assets]
        self.value = np.empty((a, c), np.float32)
        self.equal, self.absent = np.empty((a, c), np.int64), np.empty((a, c), np.int64)
        self.window = np.empty((a, WINDOW, c), np.float32)
        self.ran = np.empty((a, WINDOW), bool)
        self.noise, self.suspects = np.empty((a, c)), np.empty((a, c), np.uint8)
        self.drift = DriftColumns(assets)
        columns = np.zeros((7, a), np.int64)
        self.repeats, self.looked, self.pending, self.written = columns[:4]
        self.last_t_ns, self.due_ns, self.doubt_ns = columns[4:]
        self.last_score = np.full(a, np.nan)
        self.known, self.timed, self.ahead, self.plain = (np.zeros(a, bool) for _ in range(4))
        self.restless, self.still, self.ran_last = (np.zeros(a, bool) for _ in range(3))
        self.looks, self.marred, self.beats = (np.zeros(a, bool) for _ in range(3))
        self.judged = np.zeros(a, bool)  # whether a look has been before
        self._fixed(assets)

    def _fixed(self, assets: Sequence[Asset]) -> None:
        """What bundle and settings say, which no sample changes."""
        bounds = [one.sensors.bounds for one in assets]
        models = [one.model for one in assets]
        self.bounds = bounds
        self.stuck = np.stack([one.stuck for one in bounds])
        self.gone = np.stack([one.absent for one in bounds])
        self.stale = np.array([one.repeats for one in bounds], np.int64)
        self.hop = np.array([one.hop for one in bounds], np.int64)
        self.usual = {name: np.stack([getattr(one, name) for one in bounds]) for name in USUAL}
        self.watched = np.isfinite(self.usual["noise_low"]).sum(axis=1)
        kinds = {one.pairs.tobytes(): k for k, one in enumerate(bounds)}
        self.paired = np.array([len(one.pairs) > 0 for one in bounds], bool)
        self.pairs = np.array([kinds[one.pairs.tobytes()] for one in bounds], np.intp)
        self.threshold = np.array([one.threshold_on for one in models], np.float32)
        self.running_row = np.array([one.row_running for one in models], np.intp)
        self.stopped_row = np.array([one.row_stopped for one in models], np.intp)
        a, c = len(assets), self.channels
        self.span = np.full((2, a, c), np.nan)
        self.clear = np.empty((2, a, c), np.float32)
        self.clear_ns = np.empty((2, a), np.int64)

    # --- states to columns ---

    def read(self, i: int) -> None:
        """Take over what the state of an asset says; its arrays lie here from then on."""
        self.settle(i)  # what is known here and not there yet goes first
        asset, ring = self.assets[i], self.rings[i]
        state, health = asset.state, asset.state.health
        home(health, "value", self.value, i)
        home(health, "equal", self.equal, i)
        home(health, "absent", self.absent, i)
        self.repeats[i] = health.repeats
        self.last_t_ns[i], self.last_score[i] = state.last_t_ns, state.last_score
        self.written[i], self.marred[i] = ring.written, ring.unsound is not None
        self.beats[i] = bool(state.beats)
        lies = ring.values.base is self.history.values and ring.mode is None
        sensors = asset.sensors.span(self._desk.sensors)
        clear = asset.watchman.clear(self._desk.limits_of(state.asset))
        self.span[:, i] = np.nan if sensors is None else sensors
        if clear is not None:
            self.clear[:, i], self.clear_ns[:, i] = clear[:2], clear[2:]
        known = self._read_window(i) and self.drift.read(i)
        plain, stands = lies and clear is not None and known, state.starts.stopped_ns > 0
        self.plain[i] = plain and asset.plain and not stands
        self.still[i] = plain and asset.plain and stands and not self.ran_last[i]
        self.read_times(i)
        self.known[i], self.ahead[i] = True, False

    def read_times(self, i: int) -> None:
        """Take over from a state when something happens to the asset by time alone."""
        asset = self.assets[i]
        state, boundary_ns = asset.state, asset.boundary_ns()
        self.due_ns[i] = NEVER_NS if boundary_ns is None else boundary_ns
        gap_ns = max(state.shed_ns, state.unread_ns, state.doubted_ns)
        # only what is kept quiet is judged again: a gap in the samples of a thousand assets, of
        # which nothing is, must not make each tick so dear that the next messages are given up too
        kept = gap_ns and any(one.suppressed or one.excused_by for one in state.alerts.values())
        self.doubt_ns[i] = gap_ns + DOUBT_NS if kept else -NEVER_NS
        self.restless[i] = state.dead_ns > 0 or not state.tracks[Track.COMMS].at_rest
        self.last_t_ns[i], self.timed[i] = state.last_t_ns, True

    def visits(self, now_ns: int, until_ns: int, gaps_ns: NDArray[np.int64], ahead_ns: int) -> Mask:
        """To whom (a,) time alone may do something; gaps_ns: (a,) silence that may be one."""
        quiet_ns = now_ns - self.last_t_ns
        silent = (quiet_ns > gaps_ns) | (-quiet_ns > ahead_ns + gaps_ns)
        due = (self.due_ns <= until_ns) | (self.doubt_ns >= now_ns) | self.restless | ~self.timed
        found: Mask = due | (silent & (self.last_t_ns != 0))
        return found

    def _read_window(self, i: int) -> bool:
        """Whether looks can be taken here, or there are none."""
        bounds, windows = self.bounds[i], self.assets[i].state.health.windows
        self.looks[i], self.pending[i], self.ran_last[i] = bounds.usual is not None, 0, False
        if bounds.usual is None:
            return True
        if windows is None or windows.pairs is not bounds.pairs:
            return False
        if windows.codes.any() or windows.apart_now.any():
            return False
        home(windows, "values", self.window, i)
        home(windows, "ran", self.ran, i)
        home(windows, "noise", self.noise, i)
        home(windows, "suspects", self.suspects, i)
        self.looked[i], self.judged[i] = windows.samples, windows.apart_near is not None
        self.ran_last[i] = windows.ran_last
        return True

    # --- columns to states ---

    def settle(self, i: int) -> None:
        """Let the state of an asset say all that is known of it, before somebody changes it."""
        if self._desk.copying is not None:
            self._desk.before((self.assets[i].model.asset,))
        if self.ahead[i]:
            self._settle(np.array([i], np.intp))

    def settle_some(self, rows: Rows) -> None:
        """Let the states of some assets (k,) say it, for somebody who only reads."""
        rows = rows[self.ahead[rows]]
        if len(rows):
            self._settle(rows)

    def settle_times(self) -> None:
        """Let all states say how new they are, and how much was written: no more of them."""
        rows = np.flatnonzero(self.ahead)
        told = self.last_t_ns[rows].tolist(), self.written[rows].tolist()
        for i, t_ns, written in zip(rows.tolist(), *told, strict=True):
            self.assets[i].state.last_t_ns, self.rings[i].written = t_ns, written

    def before(self, rows: Rows) -> None:
        """Some assets (k,) are about to move on."""
        if self._desk.copying is not None:
            self._desk.before([self.assets[i].model.asset for i in rows.tolist()])

    def _settle(self, rows: Rows) -> None:
        self.fill(rows)
        self.drift.settle(rows)
        columns = (
            self.last_t_ns[rows], self.last_score[rows], self.repeats[rows], self.written[rows],
            self.looked[rows],
        )  # fmt: skip
        for i, t_ns, score, repeats, written, looked in zip(
            rows.tolist(), *(column.tolist() for column in columns), strict=True
        ):
            state, self.rings[i].written = self.assets[i].state, written
            state.last_t_ns, state.last_score, state.health.repeats = t_ns, score, repeats
            if self.looks[i] and state.health.windows is not None:
                state.health.windows.samples = looked
                state.health.windows.ran_last = bool(self.ran_last[i])
        self.ahead[rows] = False

    def newest(self, i: int) -> tuple[float, int]:
        """Score and time of the newest sample of an asset."""
        if self.ahead[i]:
            return float(self.last_score[i]), int(self.last_t_ns[i])
        state = self.assets[i].state
        return state.last_score, state.last_t_ns

    def fill(self, rows: Rows) -> None:
        """Bring what is pending of some assets (k,) into their windows."""
        rows = rows[self.pending[rows] > 0]
        for part, shift in by_value(self.pending[rows]):
            some = rows[part]
            if len(some) < ALIKE_MIN:
                for i in some.tolist():
                    self.shift_one(self.window[i], self.ran[i], i, shift)
            else:
                self.window[some], self.ran[some] = self.shifted(some, shift)
        self.pending[rows] = 0

    def append(self, rows: Rows, t_ns: NDArray[np.int64], values: F32, ran: Mask) -> None:
        """Write samples (k, n), (k, n, c) of some assets (k,), which ran, into their histories."""
        n, capacity = t_ns.shape[1], self.history.values.shape[1]
        at = (self.written[rows, None] + np.arange(n)) % capacity
        place = (rows[:, None] * capacity + at).reshape(-1)
        self.history.times.write(rows, at, t_ns, ran[:, None])
        flat = self.history.values.reshape(-1, self.channels)
        flat[place] = values.reshape(-1, self.channels)
        for k in np.flatnonzero(self.marred[rows]).tolist():
            unsound = self.rings[rows[k]].unsound
            if unsound is not None:
                unsound[at[k]] = False
        self.written[rows] += n

    def shifted(self, rows: Rows, pending: int, values: F32 | None = None) -> tuple[F32, Any]:
        """Windows (k, WINDOW, c) of assets with so many pending samples, and which of them ran.

        values: (k, p, c) samples behind them that are not in the history yet.
        """
        more = 0 if values is None else values.shape[1]
        kept = max(WINDOW - pending - more, 0)
        read = min(pending, max(WINDOW - more, 0))
        window = np.empty((len(rows), WINDOW, self.channels), np.float32)
        ran = np.ones((len(rows), WINDOW), bool)
        window[:, :kept] = self.window[rows, WINDOW - kept :]
        ran[:, :kept] = self.ran[rows, WINDOW - kept :]
        capacity = self.history.values.shape[1]
        at = (self.written[rows, None] - read + np.arange(read)) % capacity
        window[:, kept : kept + read] = self.history.values[rows[:, None], at]
        if values is not None:
            window[:, kept + read :] = values[:, -WINDOW:]
        return window, ran

    def shift_one(
        self, window: F32, ran: Mask, i: int, pending: int, values: F32 | None = None
    ) -> None:
        """`shifted` of one asset, into window (WINDOW, c) and ran (WINDOW,); these may be here.

        values: (p, c) samples behind those that are pending.
        """
        more = 0 if values is None else len(values)
        kept = max(WINDOW - pending - more, 0)
        read = min(pending, max(WINDOW - more, 0))
        window[:kept], ran[:kept] = self.window[i, WINDOW - kept :], self.ran[i, WINDOW - kept :]
        ran[kept:] = True
        history = self.history.values[i]
        at = (int(self.written[i]) - read) % len(history)
        first = min(read, len(history) - at)
        window[kept : kept + first] = history[at : at + first]
        window[kept + first : kept + read] = history[: read - first]
        if values is not None:
            window[kept + read :] = values[-WINDOW:]
