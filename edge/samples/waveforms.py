"""Waveforms: blocks of fast samples become values of the asset's feature channels.

Blocks wait until the speed at their time is known, or can wait no longer; then the features of all
that are due are taken in one pass a specification, and each block's go on to alignment at its end.
What is wrong with a block is counted by reason. A block whose values are not all finite, or that is
flat, measures nothing; of one that is cut off at full scale only what is at least so large is kept,
so that limits still ring.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from statistics import median_low
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from edge.batches import Readings
from edge.caps import BLOCKS_WAITING_SAMPLES_MAX, SPEEDS_MAX
from edge.samples.pending import count
from edge.wire.waveform import decode_block
from models.features.features import LEAST, as_levels, at_speed, condition_features, feature_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from edge.samples.waveform_settings import Waveform
    from edge.settings import AssetSettings
    from edge.wire.waveform import Sent
    from models.features.machine import WaveformSpec

    F64 = NDArray[np.float64]

MILLISECOND_NS: Final = 1_000_000
DAY_S: Final = 86_400
SAMPLE_BYTES: Final = {"int16": 2, "float32": 4, "json": 9}  # of JSON about, as "-0.12345,"
BLOCK_HEAD_BYTES: Final = 150  # topic, times, rate
STEPS_MAX: Final = 9  # a block that came early, or a gap, moves their median little
GAP_STEPS: Final = 1.5  # of the usual time between two blocks: beyond it there is one missing
A_SECOND: Final = ("Hz", "1/s", "s-1", "rps", "rad/s")
FULL_SAMPLES: Final = 3  # at the end of what can be shown: fewer may be a peak that just reached it


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A block that waits. values: (n,) float32 in m/s2. rpm: NaN: not told with it."""

    begin_ns: int
    end_ns: int
    values: np.ndarray
    rpm: float
    full: bool
    first: bool  # nothing came right before it


class WaveState(msgspec.Struct, kw_only=True):
    """All that is remembered of one waveform.

    newest_ns: end of the newest block, 0: none. steps_ns: newest times from one to the next.
    speed_ns, speed: newest speeds as they came, by time, rpm. recent: (k, f) features of the newest
    blocks in a row at speed, or not.
    """

    newest_ns: int = 0
    steps_ns: list[int] = []
    waiting: list[Waiting] = []
    speed_ns: list[int] = []
    speed: list[float] = []
    recent: np.ndarray | None = None
    ran: bool = False  # whether the newest block was at speed


class _Stream:
    """One waveform of one asset, with what follows from its settings."""

    def __init__(self, asset: AssetSettings, form: Waveform) -> None:
        self.asset, self.form, self.spec = asset.id, form, form.spec
        self.key = f"{asset.id}/{form.tag}"
        self.topic = form.topic_of(asset.id)
        names = feature_names(self.spec)
        taken = list(form.named)
        self.columns = [names.index(name) for name in taken]
        self.tags = tuple(form.named.values())
        self.in_db = np.array([name in form.levels for name in taken], bool)
        self.least = np.array([name in LEAST for name in taken], bool)
        self.units = {tag: unit for tag, unit in form.units.items() if unit}
        channel = {name: tag for tag, name in asset.tags.items()}
        self.speed_tags = {form.speed, channel.get(form.speed, form.speed)} - {""}
        self._units = asset.units

    def other_unit(self, tag: str, unit: str) -> bool:
        """Whether a speed is stated in another unit than the configured one; "": it states none.

        Where none is configured, and one is one rpm, it cannot be one turn a second.
        """
        configured = self._units.get(tag, "")
        if not unit or configured:
            return bool(unit) and unit != configured
        return self.form.rpm_per_unit == 1.0 and unit in A_SECOND

    @property
    def step_ns(self) -> int:
        """Time from one block to the next as configured; 0: not."""
        return self.form.every_ms * MILLISECOND_NS


class Told(NamedTuple):
    """What one message tells one waveform of an asset."""

    asset: str
    stream: _Stream
    sent: Sent


class _Due(NamedTuple):
    """A block whose features are to be taken, at a speed in rpm; NaN: not known."""

    stream: _Stream
    block: Waiting
    rpm: float


class Waveforms:
    """Takes blocks, gives readings. `state` and `counts` are moved on."""

    def __init__(
        self,
        assets: Sequence[AssetSettings],
        *,
        state: dict[str, WaveState],
        counts: dict[str, int],
    ) -> None:
        """Waveforms of all assets. Raises ModelError for a machine that cannot be."""
        self._state, self._counts = state, counts
        self._by_topic: dict[str, list[_Stream]] = {}
        self._speeds: dict[str, list[_Stream]] = {}
        self._streams = [_Stream(asset, form) for asset in assets for form in asset.waveform]
        for stream in self._streams:
            self._by_topic.setdefault(stream.topic, []).append(stream)
            if stream.speed_tags:
                self._speeds.setdefault(stream.asset, []).append(stream)
            state.setdefault(stream.key, WaveState())

    def carries(self, topic: str) -> bool:
        """Whether blocks come on a topic."""
        return topic in self._by_topic

    # --- in ---

    def read(
        self, payload: bytes, *, topic: str, received_ns: int, retain: bool = False
    ) -> Iterator[Told]:
        """What one message of a topic that carries blocks tells each waveform on it, to be `put`.

        A retained one of unknown age tells nothing. Raises WireError.
        """
        for stream in self._by_topic[topic]:
            sent = decode_block(payload, stream.form, topic=topic, received_ns=received_ns)
            if retain and not sent.timed:
                count(self._counts, "blocks_retained_untimed", 1)
                continue
            yield Told(stream.asset, stream, sent)

    def put(self, told: Told, *, future_ns: int) -> None:
        """Set the blocks of one message waiting, after what their times say about them.

        Those that end after `future_ns` are of a suspect clock: counted, not taken.
        """
        _, stream, sent = told
        state, n = self._state[stream.key], stream.form.block
        blocks = sent.values.reshape(-1, n)
        full = sent.full.reshape(-1, n).sum(axis=1) >= FULL_SAMPLES
        span_ns = (sent.end_ns - sent.begin_ns) // len(blocks)
        for i, values in enumerate(blocks):
            begin_ns = sent.begin_ns + i * span_ns
            end_ns = sent.end_ns - (len(blocks) - 1 - i) * span_ns
            reason = _refused(state, end_ns, future_ns=future_ns)
            if not reason and (len(state.waiting) + 1) * n > BLOCKS_WAITING_SAMPLES_MAX:
                reason = "blocks_overflow"
            if reason:
                count(self._counts, reason, 1)
                continue
            count(self._counts, "blocks", 1)
            first = self._after_a_gap(state, end_ns, stream)
            state.newest_ns = end_ns
            one = Waiting(
                begin_ns=begin_ns,
                end_ns=end_ns,
                values=values,
                rpm=sent.rpm,
                full=bool(full[i]),
                first=first,
            )
            state.waiting = [*state.waiting, one]

    def _after_a_gap(self, state: WaveState, end_ns: int, stream: _Stream) -> bool:
        """Whether blocks are missing before this one; the first one of all follows nothing."""
        if not state.newest_ns:
            return True
        step_ns = end_ns - state.newest_ns
        usual_ns = stream.step_ns or median_low(state.steps_ns or [step_ns])
        state.steps_ns = [*state.steps_ns, step_ns][-STEPS_MAX:]
        gap = step_ns > GAP_STEPS * usual_ns
        count(self._counts, "blocks_gaps", int(gap))
        return gap

    def heard(self, readings: Readings, *, future_ns: int) -> None:
        """Note the speeds among the values of a message, but for those after `future_ns`.

        Only the newest are kept: one of a year ahead would stand before all that come.
        """
        streams = self._speeds.get(readings.asset)
        if streams is None:
            return
        past = readings.t_ns <= future_ns
        for stream in streams:
            for column, tag in enumerate(readings.tags):
                if tag not in stream.speed_tags:
                    continue
                values = readings.values[:, column]
                if stream.other_unit(tag, (readings.units or {}).get(tag, "")):
                    told = int(np.isfinite(values).sum())
                    count(self._counts, "speeds_wrong_unit", told)
                    continue
                count(self._counts, "speeds_future", int(np.isfinite(values[~past]).sum()))
                self._note(stream, readings.t_ns[past], values[past])

    def _note(self, stream: _Stream, t_ns: NDArray[np.int64], values: F64) -> None:
        state = self._state[stream.key]
        known = dict(zip(state.speed_ns, state.speed, strict=True))
        told = np.isfinite(values)
        rpm = np.abs(values[told]) * stream.form.rpm_per_unit
        known.update(zip(t_ns[told].tolist(), rpm.tolist(), strict=True))
        state.speed_ns = sorted(known)[-SPEEDS_MAX:]
        state.speed = [known[t] for t in state.speed_ns]

    # --- out ---

    def settle(self, *, until_ns: int | None, final: bool = False) -> list[Readings]:
        """Features of every block whose speed is known, or that ended at or before `until_ns`.

        In order of time for each waveform. until_ns: None: none has to go on without its speed.
        final: nothing more will come.
        """
        due = [one for stream in self._streams for one in self._due(stream, until_ns, final=final)]
        by_spec: dict[WaveformSpec, list[_Due]] = {}
        for one in due:
            by_spec.setdefault(one.stream.spec, []).append(one)
        told = [reading for spec, group in by_spec.items() for reading in self._taken(spec, group)]
        return sorted(told, key=lambda readings: int(readings.t_ns[0]))

    def _due(self, stream: _Stream, until_ns: int | None, *, final: bool) -> list[_Due]:
        """Blocks of one waveform that need not, or cannot, wait any longer."""
        state, form = self._state[stream.key], stream.form
        newest_ns = state.speed_ns[-1] if state.speed_ns else 0
        overdue_ns = -1 if until_ns is None else until_ns
        n = 0
        for block in state.waiting:
            known = not form.speed or math.isfinite(block.rpm) or newest_ns >= block.end_ns
            if not (known or final or block.end_ns <= overdue_ns):
                break
            n += 1
        due, state.waiting = state.waiting[:n], state.waiting[n:]
        return [_Due(stream, block, self._rpm(stream, block)) for block in due]

    def _rpm(self, stream: _Stream, block: Waiting) -> float:
        """Speed in the middle of a block: as told with it, fixed, or between those around it."""
        form = stream.form
        if math.isfinite(block.rpm):
            return abs(block.rpm)
        if not form.speed:
            return form.rpm or math.nan
        return speed_at(
            self._state[stream.key],
            (block.begin_ns + block.end_ns) // 2,
            age_ns_max=form.speed_age_ms_max * MILLISECOND_NS,
        )

    def _taken(self, spec: WaveformSpec, group: list[_Due]) -> Iterable[Readings]:
        """Readings of blocks of one specification, taken in one pass."""
        blocks = np.stack([one.block.values for one in group])
        rpm = np.array([one.rpm for one in group])
        features = condition_features(blocks, spec=spec, speed_rpm=rpm)
        flat = np.isfinite(blocks).all(axis=1) & (np.ptp(blocks, axis=1) == 0.0)
        features[flat] = np.nan
        levels = as_levels(features, spec)
        ran = at_speed(rpm, spec)
        count(self._counts, "blocks_flat", int(flat.sum()))
        count(self._counts, "blocks_non_finite", int((~np.isfinite(blocks).all(axis=1)).sum()))
        count(self._counts, "blocks_clipped", sum(one.block.full for one in group))
        count(self._counts, "blocks_speed_missing", int(np.isnan(rpm).sum()))
        count(self._counts, "blocks_speed_beyond", int((~ran & np.isfinite(rpm)).sum()))
        for i, one in enumerate(group):
            stream = one.stream
            chosen = np.where(stream.in_db, levels[i, stream.columns], features[i, stream.columns])
            if one.block.full:
                chosen = np.where(stream.least, chosen, np.nan)
            values = self._steadied(stream, one.block, chosen, ran=bool(ran[i]))
            yield Readings(
                asset=stream.asset,
                tags=stream.tags,
                t_ns=np.array([one.block.end_ns], np.int64),
                values=values[None],
                units=stream.units,
            )

    def _steadied(self, stream: _Stream, block: Waiting, row: F64, *, ran: bool) -> F64:
        """Medians (f,) over the newest blocks of a stretch; what is absent now stays absent.

        A stretch goes on without gaps, at speed or not. Before its begin all was as its first block
        shows it, as a filter that repeats the first value has it.
        """
        k, state = stream.form.median_blocks, self._state[stream.key]
        if k == 1:
            return row
        if state.recent is None or block.first or ran != state.ran:
            state.recent = np.repeat(row[None], k, axis=0)
        else:
            state.recent = np.concatenate([state.recent[1:], row[None]])
        state.ran = ran
        told = np.isfinite(row)
        steady = np.full_like(row, np.nan)
        steady[told] = np.nanmedian(state.recent[:, told], axis=0)
        return steady


def _refused(state: WaveState, end_ns: int, *, future_ns: int) -> str:
    """Why a block that ends then cannot be taken; "": it can."""
    if end_ns > future_ns:
        return "blocks_future"
    if end_ns == state.newest_ns:
        return "blocks_duplicate"
    return "blocks_late" if end_ns < state.newest_ns else ""


def speed_at(state: WaveState, t_ns: int, *, age_ns_max: int) -> float:
    """Speed at a time, rpm: between the two around it, or the newest before it; NaN: none so near.

    A speed counts for `age_ns_max` after its time; two that lie further apart leave a time between
    them to the first one.
    """
    at = bisect_left(state.speed_ns, t_ns)
    if at < len(state.speed_ns) and state.speed_ns[at] == t_ns:
        return state.speed[at]
    if not at or t_ns - state.speed_ns[at - 1] > age_ns_max:
        return math.nan
    before_ns, before = state.speed_ns[at - 1], state.speed[at - 1]
    if at == len(state.speed_ns) or state.speed_ns[at] - before_ns > age_ns_max:
        return before
    share = (t_ns - before_ns) / (state.speed_ns[at] - before_ns)
    return before + share * (state.speed[at] - before)


def block_bytes_per_day(form: Waveform) -> float:
    """Bytes of its blocks a day, as the journal keeps them; without a gap where none is stated."""
    every_s = form.every_ms / 1000.0 or form.block / form.rate_hz
    return DAY_S / every_s * (form.block * SAMPLE_BYTES[form.encoding] + BLOCK_HEAD_BYTES)


def block_topics(assets: Iterable[AssetSettings]) -> tuple[str, ...]:
    """Every topic on which blocks come, each once."""
    return tuple(dict.fromkeys(form.topic_of(a.id) for a in assets for form in a.waveform))
