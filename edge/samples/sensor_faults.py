"""Sensor faults of one asset: checked as its samples come, named for whoever reads the alert."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.samples.looks import (
    DISAGREES,
    DRIFT,
    MISSING,
    NOISE_HIGH,
    NOISE_LOW,
    OUT_OF_RANGE,
    STALE,
    STUCK,
    UNSOUND,
    bounds_of,
)
from edge.samples.quality import ON_CHANGE_PATIENCE, check_health

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.alerts.alerts import Contribution
    from edge.batches import Batch
    from edge.samples.looks import Bounds, Measured
    from edge.samples.quality import Findings, HealthState
    from edge.samples.ring import History
    from edge.samples.scoring import Mask
    from edge.settings import AssetSettings
    from kb.records import Sensor
    from models.bundles.bundle import AssetModel

    F64 = np.ndarray

# As a channel's `direction` says it; of several the first that holds.
DIRECTIONS: Final = (
    (STALE, "stale"),
    (STUCK, "stuck"),
    (MISSING, "missing"),
    (OUT_OF_RANGE, "out_of_range"),
    (DRIFT, "drift"),
    (DISAGREES, "disagrees"),
    (NOISE_HIGH, "noise_high"),
    (NOISE_LOW, "noise_low"),
)
# As an alert's `sensor_class` says it.
SENSOR_CLASSES: Final = {
    "stale": "stale_clock",
    "stuck": "stuck",
    "missing": "missing",
    "out_of_range": "out_of_range",
    "drift": "drift",
    "disagrees": "drift",
    "noise_high": "noise",
    "noise_low": "noise",
}
# What a transmitter shows beyond its range before it is broken, in shares of it: NAMUR NE 43 takes
# 3.6 mA and less, 21 mA and more, of 4 to 20 mA for a failure.
BELOW_SHARE: Final = 0.4 / 16.0
ABOVE_SHARE: Final = 1.0 / 16.0


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a channel. value, low, high: what it is told by and its usual, NaN: none.

    direction: as in `DIRECTIONS`; partner: the channel that it differs from most.
    """

    channel: int
    direction: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    partner: str = ""


class SensorWatch:
    """Watches the sensors of one asset along plant time."""

    def __init__(self, model: AssetModel, settings: AssetSettings, *, stuck_min: int) -> None:
        self._model = model
        self._names = tuple(channel.name for channel in model.channels)
        stuck = np.maximum(model.stuck_samples_max, stuck_min)
        on_change = np.array([name in settings.on_change for name in self._names], bool)
        stuck = np.where(on_change, stuck * ON_CHANGE_PATIENCE, stuck).astype(np.int64)
        groups = [[self._names.index(n) for n in g if n in self._names] for g in settings.redundant]
        self._bounds = bounds_of(
            model.health,
            stuck=stuck,
            usual=(model.usual_low, model.usual_high),
            redundant=groups,
            # what is held because nobody says otherwise repeats, however alive its source is
            repeats_min=stuck_min * (ON_CHANGE_PATIENCE if on_change.any() else 1),
            period_ns=model.period_ns,
        )
        self._sensors: Sequence[Sensor] = ()
        self._span: tuple[F64, F64] | None = None

    def check(self, state: HealthState, segment: Batch, sensors: Sequence[Sensor]) -> Findings:
        """What is wrong at each sample of a segment; sensors: rows of the sensor tables."""
        return check_health(state, segment, self._bounds, span=self.span(sensors))

    @property
    def bounds(self) -> Bounds:
        """What is usual of the sensors, and what is beyond."""
        return self._bounds

    def span(self, sensors: Sequence[Sensor]) -> tuple[F64, F64] | None:
        """What each instrument can show at all (c,), (c,), NaN: not known; None: of none."""
        if sensors is not self._sensors:
            self._sensors, self._span = sensors, _span(sensors, self._model)
        return self._span

    def wrong(self, codes: np.ndarray, measured: Measured | None) -> tuple[Wrong, ...]:
        """What is wrong with each channel that is, by their codes (c,)."""
        return tuple(
            self._wrong(i, int(codes[i]), measured) for i in np.flatnonzero(codes).tolist()
        )

    def _wrong(self, i: int, code: int, measured: Measured | None) -> Wrong:
        direction = next(name for bit, name in DIRECTIONS if code & bit)
        plain = Wrong(channel=i, direction=direction)
        bounds = self._bounds
        if measured is None or bounds.usual is None:
            return self._with_span(plain)
        if direction.startswith("noise"):
            return Wrong(
                channel=i,
                direction=direction,
                value=float(measured.noise[i]),
                low=float(bounds.usual.noise_low[i]),
                high=float(bounds.usual.noise_high[i]),
            )
        if direction in ("drift", "disagrees"):
            return self._apart(plain, measured)
        return self._with_span(plain)

    def _with_span(self, wrong: Wrong) -> Wrong:
        """With what its instrument can show, where that is what it is told by."""
        if wrong.direction != "out_of_range" or self._span is None:
            return wrong
        low, high = (float(side[wrong.channel]) for side in self._span)
        reach = (high - low) / (1.0 + BELOW_SHARE + ABOVE_SHARE)
        low, high = low + BELOW_SHARE * reach, high - ABOVE_SHARE * reach
        return msgspec.structs.replace(wrong, low=low, high=high)

    def _apart(self, wrong: Wrong, measured: Measured) -> Wrong:
        """Against the partner that it is furthest from, for what is usual between them."""
        low, high = self._bounds.apart
        with np.errstate(invalid="ignore", divide="ignore"):
            beyond = np.fmax(low - measured.apart, measured.apart - high)
        worst, found = -math.inf, wrong
        for k, (i, j) in enumerate(self._bounds.pairs.tolist()):
            if wrong.channel not in (i, j) or not beyond[k] > worst:
                continue
            worst = float(beyond[k])
            mine = i == wrong.channel
            at = (float(measured.apart[k]), float(low[k]), float(high[k]))
            value, least, most = at if mine else (-at[0], -at[2], -at[1])
            found = msgspec.structs.replace(
                wrong, value=value, low=least, high=most, partner=self._names[j if mine else i]
            )
        return found


def unsound(findings: Findings) -> Mask | None:
    """Values (n, c) that are no measurements, and do not belong into the score; None: none."""
    if findings.codes is None:
        return None
    found: Mask = (findings.codes & UNSOUND) != 0
    return found if found.any() else None


def told(
    parts: Sequence[Contribution], wrong: Sequence[Wrong], *, names: Sequence[str], history: History
) -> tuple[Contribution, ...]:
    """Contributions of a sensor event with what is wrong with each of its channels.

    history: the newest samples up to now; of what is stuck, it says since when.
    """
    by_name = {names[one.channel]: one for one in wrong}
    return tuple(_told(part, by_name[part.channel], history) for part in parts)


def _told(part: Contribution, wrong: Wrong, history: History) -> Contribution:
    since_ns = 0
    if wrong.direction in ("stuck", "stale"):
        since_ns = _since_ns(history, wrong.channel)
    measured = {"value": wrong.value, "usual_low": wrong.low, "usual_high": wrong.high}
    told_by = {name: value for name, value in measured.items() if not math.isnan(value)}
    return msgspec.structs.replace(
        part, direction=wrong.direction, partner=wrong.partner, since_ns=since_ns, **told_by
    )


def _since_ns(history: History, i: int) -> int:
    """Since when channel i shows what it shows; the oldest sample that is there, where longer."""
    times, values, _ = history
    known = np.isfinite(values[:, i])
    times, column = times[known], values[known, i]
    if not len(column):
        return 0
    moved = np.flatnonzero(column[1:] != column[:-1])
    return int(times[moved[-1] + 1 if len(moved) else 0])


def _span(sensors: Sequence[Sensor], model: AssetModel) -> tuple[F64, F64] | None:
    """What each channel's instrument can show at all (c,), (c,); None: no table says of any.

    Of several rows the widest range counts; a row in another unit says nothing.
    """
    low = np.full(len(model.channels), np.nan)
    high = low.copy()
    for i, channel in enumerate(model.channels):
        for row in sensors:
            if row.asset not in ("", model.asset) or row.channel != channel.name:
                continue
            if row.unit not in ("", channel.unit) or row.low is None or row.high is None:
                continue
            if row.low < row.high:
                reach = row.high - row.low
                low[i] = np.fmin(low[i], row.low - BELOW_SHARE * reach)
                high[i] = np.fmax(high[i], row.high + ABOVE_SHARE * reach)
    return None if np.isnan(low).all() else (low, high)
