"""Drift of an asset: its samples of normal operation counted, what has moved told; nothing follows.

What happens during events and jobs, while it stands or before it has a score is no normal
operation: it is counted apart. So a fault that rings for good keeps what was said of drift before,
and one that does not ring stays drift for as long as it stays; only a child bundle that is fitted,
shadowed and promoted makes it normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.caps import DRIFT_CHANNELS_MAX
from edge.records import Track
from edge.samples.mode_rows import of_own, within_mode
from edge.wire.drifting import DriftingChannelPayload, DriftPayload
from edge.work.silencing import SilenceKind, covered
from models.fitting.drift import LEVELS, DriftState
from models.fitting.drift_live import count_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.batches import Batch
    from edge.desk import Desk
    from edge.samples.scoring import F32, Mask
    from edge.state import AssetState
    from models.bundles.bundle import AssetModel
    from models.fitting.drift import DriftReference

AUDIENCE: Final = "engineer"
STOPPED: Final = "stopped"  # why samples of a machine that stands still do not count


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftingChannel:
    """A channel that has moved. sigmas, share, share_usual NaN: not known; times: of its spread.

    confidence: -log10 p, the larger of level and spread.
    """

    channel: str
    kinds: tuple[str, ...]  # level | spread
    sigmas: float
    times: float
    share: float
    share_usual: float
    confidence: float
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifting:
    """How an asset stands to its fit. since_ns: since when something drifts, 0: nothing does.

    known: whether that can be said; it takes some blocks of normal operation.
    drift_score: -log10 p of the shares of high scores, NaN: not known; scores_since_ns: 0, they do
    not drift.
    channels: those that drift, the surest first. left_out: samples that did not count, by reason.
    """

    asset: str
    known: bool
    since_ns: int
    drift_score: float
    scores_since_ns: int
    channels: tuple[DriftingChannel, ...]
    left_out: dict[str, int]


class DriftWatch:
    """Watches whether normal operation of one asset has moved since its fit."""

    def __init__(self, model: AssetModel, *, state: AssetState, desk: Desk) -> None:
        self._model = model
        self._desk = desk
        self._state = state
        self.mark = model.drift.mark if model.drift is not None else 0  # of our reference

    def take(
        self,
        segment: Batch,
        scores: F32,
        *,
        rows: np.ndarray,
        unsound: Mask | None,
        ringing: Mask | None,
        working: bool,
    ) -> None:
        """Count a scored segment; scores: (n,) of the detector alone, rows: (n,) they are of.

        unsound: (n, c) values that are no measurements; ringing: (n,) samples of an event, None:
        none. working: work goes on at the asset, or is not judged yet.
        """
        reference = self._model.drift
        if reference is None:
            return
        state = self._current(reference)
        counts = segment.running & np.isfinite(scores)
        alike = of_own(self._model, rows)
        silences, first_ns = self._state.silences, int(segment.t_ns[0])
        off = working or covered(silences, SilenceKind.OUT_OF_SERVICE, Track.PROCESS, first_ns)
        if off or ringing is not None or alike is not None or not counts.all():
            reasons = {
                STOPPED: ~segment.running,
                "not_ready": segment.running & ~counts,
                "mode": counts & (False if alike is None else ~alike),
                "event": counts & (False if ringing is None else ringing),
                "job" if working else "out_of_service": np.full(len(counts), off),
            }
            counts = self._normal(state, reasons)
        if not counts.any():
            return
        t_ns = segment.t_ns
        values = within_mode(self._model, self._desk.parts, segment.values, rows)
        if unsound is not None:
            values = np.where(unsound, np.float32(np.nan), values)
        if not counts.all():
            t_ns, scores, values = t_ns[counts], scores[counts], values[counts]
        changed = count_samples(state, reference, t_ns=t_ns, scores=scores, values=values)
        if changed is not None:
            self.tell(changed)

    @staticmethod
    def _normal(state: DriftState, reasons: Mapping[str, Mask]) -> Mask:
        """Samples (n,) that no reason leaves out; the others are counted by their reasons."""
        for reason, off in reasons.items():
            if off.any():
                before = state.left_out.get(reason, 0)
                state.left_out[reason] = before + int(np.count_nonzero(off))
        counts: Mask = ~np.logical_or.reduce(list(reasons.values()))
        return counts

    def _current(self, reference: DriftReference) -> DriftState:
        """The state for this reference: another bundle's says nothing of this one."""
        state = self._state.drift
        if state is None or state.mark != self.mark:
            state = self._state.drift = DriftState.empty(reference)
        return state

    def tell(self, changed: Mask) -> None:
        """One log line when an asset begins to drift, and one when nothing of it does any more.

        changed: (m,) what has begun or ended to drift.
        """
        state = self._state.drift
        assert state is not None, "it has changed"
        drifted_before = bool((state.drifts ^ changed).any())
        if drifted_before == bool(state.drifts.any()):
            return
        asset, now = self._model.asset, self.report()
        if now is None or not now.since_ns:
            self._desk.note("drift_over", asset=asset)
            return
        self._desk.note(
            "drift_began",
            level="warning",
            asset=asset,
            channels=", ".join(one.channel for one in now.channels[:DRIFT_CHANNELS_MAX]),
            scores=int(now.scores_since_ns > 0),
            since_ms=now.since_ns // 1_000_000,
        )

    def report(self) -> Drifting | None:
        """How the asset stands to its fit; None: nothing was learned, or nothing seen since."""
        reference, state = self._model.drift, self._state.drift
        if reference is None or state is None or state.mark != self.mark:
            return None
        since = state.since_ns[state.drifts]
        scores_since = state.since_ns[:LEVELS][state.drifts[:LEVELS]]
        over = state.score[:LEVELS]
        return Drifting(
            asset=self._model.asset,
            known=bool(state.drifts.any() or np.isfinite(state.score).any()),
            since_ns=int(since.min()) if len(since) else 0,
            drift_score=float(np.fmax.reduce(over)),
            scores_since_ns=int(scores_since.min()) if len(scores_since) else 0,
            channels=self._channels(state, reference),
            left_out=dict(state.left_out),
        )

    def _channels(
        self, state: DriftState, reference: DriftReference
    ) -> tuple[DriftingChannel, ...]:
        if not state.drifts[LEVELS:].any():  # as nearly always
            return ()
        names = [channel.name for channel in self._model.channels]
        drifts, score, since, shift, usual = (
            part[LEVELS:].reshape(2, len(names))  # level, spread
            for part in (state.drifts, state.score, state.since_ns, state.shift, reference.mean)
        )
        spread = usual[1] + shift[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares, shares_usual = (part / np.nansum(part) for part in (spread, usual[1]))
            times = spread / usual[1]
        found = [
            DriftingChannel(
                channel=names[i],
                kinds=tuple(
                    kind
                    for kind, is_so in zip(("level", "spread"), drifts[:, i], strict=True)
                    if is_so
                ),
                sigmas=float(shift[0, i]),
                times=float(times[i]),
                share=float(shares[i]),
                share_usual=float(shares_usual[i]),
                confidence=float(np.nan_to_num(score[drifts[:, i], i]).max()),
                since_ns=int(since[drifts[:, i], i].min()),
            )
            for i in np.flatnonzero(drifts.any(axis=0)).tolist()
        ]
        return tuple(sorted(found, key=lambda one: (-one.confidence, -abs(one.sigmas))))


def surest(found: Drifting) -> tuple[float, str]:
    """Sorts what drifts, the surest first."""
    parts = [one.confidence for one in found.channels]
    if found.scores_since_ns:
        parts.append(float(np.nan_to_num(found.drift_score)))
    return -max(parts, default=0.0), found.asset


def drift_payload(found: Drifting) -> DriftPayload:
    """What health tells of an asset that drifts."""
    return DriftPayload(
        asset=found.asset,
        audience=AUDIENCE,
        since_ms=found.since_ns // 1_000_000,
        drift_score=round(found.drift_score, 2),
        scores_since_ms=found.scores_since_ns // 1_000_000 or None,
        channels=tuple(_channel_payload(one) for one in found.channels[:DRIFT_CHANNELS_MAX]),
        channels_total=len(found.channels),
        left_out=found.left_out,
    )


def _channel_payload(one: DriftingChannel) -> DriftingChannelPayload:
    """NaN becomes null on the wire."""
    up = one.sigmas > 0 if "level" in one.kinds else one.times > 1
    return DriftingChannelPayload(
        channel=one.channel,
        kinds=one.kinds,
        direction="up" if up else "down",
        sigmas=round(one.sigmas, 3),
        spread_times=round(one.times, 3),
        share=round(one.share, 4),
        share_usual=round(one.share_usual, 4),
        confidence=round(one.confidence, 2),
        since_ms=one.since_ns // 1_000_000,
    )
