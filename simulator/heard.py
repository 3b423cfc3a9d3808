"""What a gateway heard of one asset, and when by the clock that it went by.

A replay at 400 times the plant's pace brings hours within a minute: on plant time they are hours.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from edge.errors import WireError
from edge.samples.clock import PlantClock, PlantClockState
from edge.samples.waveforms import Waveforms
from edge.wire.readings import decode_readings
from edge.wire.topics import CLOCK_TOPIC, Topics, match_source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.batches import Readings
    from edge.recordings.recording import TimedMessage
    from edge.settings import GatewaySettings
    from models.bundles.bundle import AssetModel
    from simulator.wave_stretch import Heard

ROWS_MAX: Final = 500_000  # of one asset: the newest are taken, so that a run is bounded
WAVE_BYTES_MAX: Final = 512 << 20  # likewise of its waveforms: 2.7 h of 12.8 kHz in float32
HOUR_NS: Final = 3_600 * 10**9


class HeardAt:
    """Tells when messages of one asset were heard: at their receipt or, on plant time, by it.

    Plant time is what the asset itself shows, as for an engine that knows it alone.
    """

    def __init__(self, settings: GatewaySettings, asset: str) -> None:
        self._asset, self._plant = asset, settings.clock == "plant"
        self._clock = PlantClock(settings.engine.future_ms_max, state=PlantClockState())
        self._waves = Waveforms([settings.of_asset(asset)], state={}, counts={})

    def carries(self, message: TimedMessage) -> bool:
        """Whether it brings blocks of a waveform."""
        return self._waves.carries(message.topic)

    def of(self, message: TimedMessage, said: Iterable[Readings]) -> int:
        """When a message was heard, ns; said: its rows. 0: on plant time, before any was told."""
        if not self._plant:
            return message.t_ns
        for one in said:
            if len(one.t_ns):
                self._clock.observe(self._asset, int(one.t_ns.max()))
        if self.carries(message) and not message.retain:
            self._take_block(message)
        return self._clock.now_ns

    def _take_block(self, message: TimedMessage) -> None:
        try:
            for told in self._waves.read(
                message.payload, topic=message.topic, received_ns=message.t_ns
            ):
                self._clock.observe(self._asset, told.sent.end_ns)
        except WireError:  # the engine counts it
            return


def newest_of(
    messages: Iterable[TimedMessage], settings: GatewaySettings, model: AssetModel, *, hours: float
) -> tuple[Heard, tuple[int, ...], bool]:
    """The newest messages of one asset with what they say, and when each was heard, ns.

    And whether there was more than is ever taken.
    """
    root = f"{Topics(settings.prefix, settings.site).root}/"
    heard_at = HeardAt(settings, model.asset)
    kept: deque[tuple[TimedMessage, tuple[Readings, ...]]] = deque()
    times: deque[int] = deque()
    rows, held, cut = 0, 0, False
    for message in messages:
        block = heard_at.carries(message)
        source = match_source(message.topic, settings.source)
        ours = message.topic.startswith(root) or message.topic == CLOCK_TOPIC
        mine: tuple[Readings, ...] | None = ()
        if not block:
            if source is None or ours or (source[1] and source[1] != model.asset):
                continue
            mine = _said_of(message, source[1], model)
        if mine is None:
            continue
        at_ns = heard_at.of(message, mine)
        kept.append((message, mine))
        times.append(at_ns)
        rows, held = rows + _rows(mine), held + block * len(message.payload)
        while kept and (
            times[0] < at_ns - hours * HOUR_NS
            or ((rows > ROWS_MAX or held > WAVE_BYTES_MAX) and len(kept) > 1)
        ):
            cut |= rows > ROWS_MAX or held > WAVE_BYTES_MAX
            times.popleft()
            first, said = kept.popleft()
            rows -= _rows(said)
            held -= heard_at.carries(first) * len(first.payload)
    found = bool(rows or held)
    return (list(kept) if found else []), (tuple(times) if found else ()), cut


def _said_of(message: TimedMessage, asset: str, model: AssetModel) -> tuple[Readings, ...] | None:
    """What a message says of the model's asset; asset: as its topic says; None: of others alone."""
    try:
        heard = decode_readings(
            message.payload, topic=message.topic, asset=asset, received_ns=message.t_ns
        )
    except WireError:  # the engine counts it, where it is this asset's
        return () if asset else None
    mine = tuple(one for one in heard if one.asset == model.asset)
    return mine if mine or not heard else None


def _rows(readings: Iterable[Readings]) -> int:
    return sum(len(one.t_ns) for one in readings)
