"""The waveforms of a stretch: features of its blocks as they were, and with faults in the blocks.

Features are taken by the very code of the gateway. Of a copy with a fault only the blocks around it
are taken anew, as many before and after as the running median remembers; what is the same in every
copy is taken once, and the copies send features where the plant sends blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.errors import WireError
from edge.samples.waveforms import Waveforms, WaveState, speed_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.batches import Readings
    from edge.recordings.recording import TimedMessage
    from edge.samples.waveform_settings import Waveform
    from edge.samples.waveforms import Told
    from edge.settings import AssetSettings
    from edge.wire.waveform import Sent
    from simulator.wave_faults import WaveFault

    Heard = Sequence[tuple[TimedMessage, tuple[Readings, ...]]]
    Change = Callable[[int, Told, WaveState], Sent | None]

TOGETHER: Final = 16  # blocks that are taken in one pass
NEVER_FUTURE_NS: Final = 2**63 - 1
MILLISECOND_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WaveRecord:
    """One waveform of an asset over a stretch. heard: all that came, with what rows said.

    at, ends_ns, levels: (b,) of the messages with its blocks that were taken, which of `heard` each
    is, when it ends, and its RMS in m/s2 without its mean   features: readings of the blocks
    columns: channels of the bundle that are its features   usual: RMS while the machine ran, NaN:
    not known
    """

    asset: AssetSettings
    form: Waveform
    heard: Heard
    at: NDArray[np.intp]
    ends_ns: NDArray[np.int64]
    levels: NDArray[np.float64]
    features: tuple[Readings, ...]
    columns: tuple[int, ...]
    usual: float = np.nan

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags that its features come under."""
        return tuple(self.form.named.values())

    def while_running(self, ran: NDArray[np.bool_]) -> WaveRecord:
        """The same with its usual RMS. ran: (b,) whether the machine ran as each block ended."""
        levels = self.levels[ran & np.isfinite(self.levels) & (self.levels > 0.0)]
        return replace(self, usual=float(np.median(levels)) if len(levels) else np.nan)

    def with_fault(self, fault: WaveFault, *, running: Callable[[int], bool]) -> WaveInjection:
        """Its features around a fault. running: whether the machine ran at a time, ns."""
        more = self.form.median_blocks + 1
        first = max(int(np.searchsorted(self.ends_ns, fault.begin_ns)) - more, 0)
        end = int(np.searchsorted(self.ends_ns, fault.end_ns, side="right")) + more
        chosen = self.at[first:end]

        def changed(_: int, told: Told, state: WaveState) -> Sent | None:
            rpm = self._rpm(told.sent, state)
            ran = running(told.sent.end_ns)
            return fault.disturbed(told.sent, self.form, rpm=rpm, running=ran)

        window = self._window(first, end)
        found = features_of(self.asset, self.form, window, change=changed)
        told = [one for one in found if int(one.t_ns[0]) > fault.begin_ns]
        return WaveInjection(
            tags=self.tags,
            begin_ns=fault.begin_ns,
            end_ns=fault.end_ns,
            until_ns=int(self.ends_ns[first:end][-1]) if len(chosen) else fault.end_ns,
            t_ns=np.array([int(one.t_ns[0]) for one in told], np.int64),
            values=np.array([one.values[0] for one in told]).reshape(len(told), len(self.tags)),
        )

    def _window(self, first: int, end: int) -> Heard:
        """Its blocks from one to another, and all rows that may tell their speeds."""
        step_ns = float(np.median(np.diff(self.ends_ns))) if len(self.at) > 1 else 1.0
        age_ns = self.form.speed_age_ms_max * MILLISECOND_NS
        beside = 1 + math.ceil(age_ns / max(step_ns, 1.0))
        begin = self.at[max(first - beside, 0)] if len(self.at) else 0
        last = self.at[min(end + beside, len(self.at)) - 1] if len(self.at) else 0
        mine, topic = set(self.at[first:end].tolist()), self.form.topic_of(self.asset.id)
        return [
            self.heard[i]
            for i in range(begin, last + 1)
            if i in mine or self.heard[i][0].topic != topic
        ]

    def _rpm(self, sent: Sent, state: WaveState) -> float:
        """Speed beneath a block; NaN: not known."""
        if np.isfinite(sent.rpm) or not self.form.speed:
            return abs(sent.rpm) if np.isfinite(sent.rpm) else self.form.rpm or np.nan
        age_ns = self.form.speed_age_ms_max * MILLISECOND_NS
        return speed_at(state, (sent.begin_ns + sent.end_ns) // 2, age_ns_max=age_ns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WaveInjection:
    """Features (m, f) at t_ns (m,) that take the place of all after begin_ns and up to until_ns.

    begin_ns, end_ns: of the fault in the blocks.
    """

    tags: tuple[str, ...]
    begin_ns: int
    end_ns: int
    until_ns: int
    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]

    def replaced(
        self, t_ns: NDArray[np.int64], values: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which rows (n,) of its waveform are sent, and with what values (n, f)."""
        inside = (t_ns > self.begin_ns) & (t_ns <= self.until_ns)
        if not inside.any():
            return np.ones(len(t_ns), bool), values
        at = {t: i for i, t in enumerate(self.t_ns.tolist())}
        found = np.array([at.get(t, -1) for t in t_ns.tolist()], np.intp)
        put = inside & (found >= 0)
        values = values.copy()
        values[put] = self.values[found[put]]
        return ~inside | put, values


def features_of(
    asset: AssetSettings, form: Waveform, heard: Heard, *, change: Change | None = None
) -> list[Readings]:
    """Features of the blocks of one waveform among messages in order, a reading a block.

    heard: each message with what it says in rows   change: what the message of that number holds
    instead, None: it never came
    """
    state: dict[str, WaveState] = {}
    alone = msgspec.structs.replace(asset, waveform=(form,))
    waves = Waveforms([alone], state=state, counts={})
    (own,) = state.values()
    found: list[Readings] = []
    newest_ns = 0
    for i, (message, readings) in enumerate(heard):
        if not waves.carries(message.topic):
            for one in readings:
                waves.heard(one, future_ns=NEVER_FUTURE_NS)
            continue
        try:
            for told in waves.read(
                message.payload,
                topic=message.topic,
                received_ns=message.t_ns,
                retain=message.retain,
            ):
                newest_ns = max(newest_ns, told.sent.end_ns)
                sent = told.sent if change is None else change(i, told, own)
                if sent is not None:
                    waves.put(told._replace(sent=sent), future_ns=NEVER_FUTURE_NS)
        except WireError:  # the engine counts it
            continue
        if len(own.waiting) >= TOGETHER:
            overdue_ns = newest_ns - form.speed_age_ms_max * MILLISECOND_NS
            found += waves.settle(until_ns=overdue_ns)
    return found + waves.settle(until_ns=None, final=True)


def records_of(
    asset: AssetSettings, heard: Heard, columns: dict[str, int]
) -> tuple[WaveRecord, ...]:
    """The waveforms of an asset that sent blocks. columns: of the bundle, by tag."""
    records = []
    for form in asset.waveform:
        told: list[tuple[int, int, float]] = []

        def noted(
            i: int, one: Told, _: WaveState, kept: list[tuple[int, int, float]] = told
        ) -> Sent:
            if not kept or one.sent.end_ns > kept[-1][1]:  # late ones are counted, not taken
                kept.append((i, one.sent.end_ns, float(one.sent.values.std(dtype=np.float64))))
            return one.sent

        features = features_of(asset, form, heard, change=noted)
        if not told:
            continue
        at, ends_ns, levels = zip(*told, strict=True)
        records.append(
            WaveRecord(
                asset=asset,
                form=form,
                heard=heard,
                at=np.array(at, np.intp),
                ends_ns=np.array(ends_ns, np.int64),
                levels=np.array(levels),
                features=tuple(features),
                columns=tuple(columns[tag] for tag in form.named.values() if tag in columns),
            )
        )
    return tuple(records)
