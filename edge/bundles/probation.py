"""Probation: a bundle that was just promoted is watched, and says itself when it misbehaves.

Three measures, each against what is stated for it; none of them says that a detector is good, each
that something is plainly wrong with it. What is judged is what the engine has already done.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.records import Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.engine import Engine
    from edge.gateway.telemetry import Telemetry
    from edge.samples.ring import AssetRing

DAY_NS: Final = 86_400 * 10**9
ALERTS_MIN: Final = 5  # so few say nothing about a rate, and one incident touches several assets
TICKS_MIN: Final = 100  # ten seconds by default
TICKS_FEW_MIN: Final = 5  # where they take as long together as so many of the slowest allowed
TICK_QUANTILE: Final = 0.95  # most ticks have nothing to score at 1 Hz
TICK_TIMES: Final = 2.0  # of what the same ticks took before
UNSCORED_SHARE_MAX: Final = 0.2
LOOKS_MIN: Final = 60  # at assets that sent a sample since; a minute of one asset at 1 Hz


class Probation:
    """Watches one engine from the moment at which a bundle took over."""

    def __init__(
        self,
        engine: Engine,
        telemetry: Telemetry,
        *,
        alerts_per_day: float,
        alert_times: float,
        tick_ms: float,
    ) -> None:
        """Begin. alerts_per_day: budget of the bundle, of which `alert_times` as many are too many.

        tick_ms: what a tick may take at any rate.
        """
        self._rate_max = alerts_per_day * alert_times
        self.begin_ns = engine.now_ns  # plant time from which on alerts count
        self._heard: set[tuple[str, str, int]] = set()
        self._tick_ms_max = max(tick_ms, TICK_TIMES * _slow(telemetry.ticks_ms))
        telemetry.ticks_ms.clear()
        self._seen = {
            name: one.last_t_ns
            for name, one in engine.state.assets.items()
            if math.isfinite(one.last_score)
        }
        self._looks = self._unscored = 0

    def judge(self, engine: Engine, telemetry: Telemetry) -> str:
        """What is wrong with the bundle that scores, whatever it rings; "" nothing so far."""
        return self._ticks(telemetry.ticks_ms) or self._gaps(engine)

    def loud(self, engine: Engine) -> str:
        """How it rings too often, "" it does not so far; the plant may be what is wrong."""
        for record in engine.alerts():
            began = record.track is not Track.COMMS and record.begin_ns >= self.begin_ns
            asked = record.rung and not record.shadow  # as operators are asked
            if began and asked and not record.suppressed and not record.excused_by:
                self._heard.add((record.asset, record.track, record.begin_ns))
        days = (engine.now_ns - self.begin_ns) / DAY_NS
        allowed = max(float(ALERTS_MIN), self._rate_max * days)
        if len(self._heard) <= allowed:
            return ""
        hours = days * 24
        return (
            f"{len(self._heard)} alerts in {hours:.2g} h of plant time, at most {allowed:.3g}"
            f" expected: {self._rate_max:g} a day, and no fewer than {ALERTS_MIN}"
        )

    def heard(self) -> list[str]:
        """Assets that rang, whose newest alert began last first."""
        newest: dict[str, int] = {}
        for asset, _, begin_ns in self._heard:
            newest[asset] = max(begin_ns, newest.get(asset, 0))
        return sorted(newest, key=lambda asset: (-newest[asset], asset))

    def excuse(self, engine: Engine) -> None:
        """What rang so far is not the bundle's fault: count anew from here on."""
        self.begin_ns = engine.now_ns
        self._heard.clear()

    def _ticks(self, ticks_ms: Sequence[float]) -> str:
        if len(ticks_ms) < TICKS_MIN:
            return self._few_ticks(ticks_ms)
        slow = _slow(ticks_ms)
        if slow <= self._tick_ms_max:
            return ""
        return (
            f"one tick in twenty takes {slow:.3g} ms or more of {len(ticks_ms)} since, at most"
            f" {self._tick_ms_max:.3g} ms expected"
        )

    def _few_ticks(self, ticks_ms: Sequence[float]) -> str:
        """A detector that takes seconds must not have minutes until it is judged."""
        spent_ms = sum(ticks_ms)
        if len(ticks_ms) < TICKS_FEW_MIN or spent_ms < TICKS_MIN * self._tick_ms_max:
            return ""
        usual = float(np.median(list(ticks_ms)))  # one may have waited for a disk
        if usual <= self._tick_ms_max:
            return ""
        return (
            f"every other tick takes {usual:.3g} ms or more of {len(ticks_ms)} since, at most"
            f" {self._tick_ms_max:.3g} ms expected"
        )

    def _gaps(self, engine: Engine) -> str:
        """Samples of assets that were scored before, and that it gives no score."""
        state = engine.state
        for name, seen_ns in self._seen.items():
            asset = state.assets.get(name)
            if asset is None or asset.last_t_ns == seen_ns:
                continue
            self._seen[name] = asset.last_t_ns
            if scorable(state.ring.assets[name], guessed=name in engine.guessed):
                self._looks += 1
                self._unscored += math.isnan(asset.last_score)
        if self._looks < LOOKS_MIN or self._unscored <= UNSCORED_SHARE_MAX * self._looks:
            return ""
        return (
            f"no score for {self._unscored} of {self._looks} samples looked at, of assets that had"
            f" one before; at most {UNSCORED_SHARE_MAX:.0%} expected"
        )


def _slow(ticks_ms: Sequence[float]) -> float:
    """What the slowest twentieth takes, 0 of none."""
    return float(np.quantile(list(ticks_ms), TICK_QUANTILE)) if len(ticks_ms) else 0.0


def scorable(ring: AssetRing, *, guessed: bool = False) -> bool:
    """Whether the newest sample is of a running machine and has all its values, all measured.

    Of a machine that tells a mode nothing is asked: one never seen has no score, rightly. guessed:
    the modes are guesses, which keep no sample from being scored.
    """
    if not ring.written:
        return False
    newest = (ring.written - 1) % len(ring.t_ns)
    unsound = ring.unsound is not None and bool(ring.unsound[newest].any())
    told = ring.mode is not None and not guessed and bool(np.isfinite(ring.mode[newest]))
    if unsound or told:
        return False
    return bool(ring.running[newest] and np.isfinite(ring.values[newest]).all())
