"""A second look: what another bundle would have opened in the samples that are still there.

A plant that fails rings under every detector. Before a bundle is blamed for many alerts, both are
taken from nothing over the same rows of the ring, and their events are counted alike: by scores,
limits and sensors, against the thresholds of each. What began while work was masked counts for
neither: a job would have hidden it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.records import Batch, Reading
from edge.samples.limits import Starts, Watchman
from edge.samples.mode_rows import baselines, of_baseline, rows_at, sees
from edge.samples.quality import HealthState
from edge.samples.scoring import Parts, fresh_row, pad, pad_valid, replay_row
from edge.samples.sensor_faults import SensorWatch, unsound
from edge.takeover import kinship
from edge.verdicts.events import TrackState
from edge.verdicts.lookback import step_score
from models.bundles.bundle import is_unfitted
from models.fitting.mode_track import ModeTrack, tell_modes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.desk import Knowledge
    from edge.samples.quality import Findings
    from edge.samples.ring import AssetRing
    from edge.samples.scoring import F32, Mask
    from edge.settings import GatewaySettings
    from edge.state import AssetState, EngineState
    from edge.takeover import Fitted
    from models.bundles.bundle import AssetModel

ASSETS_MAX: Final = 16  # looked at, each for some 60 ms: the loop waits for no more than a second
ALIKE_SHARE: Final = 2 / 3  # of its events: a bundle that opens as many opens about as many
SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Events that two bundles open in the same samples. assets, rows: that were looked at.

    left_out: assets of which the one before knows other channels, so that it cannot be asked.
    """

    now: int
    before: int
    assets: int
    rows: int
    left_out: int = 0

    @property
    def louder(self) -> bool:
        """Whether the bundle opens more than the one before: by half and more."""
        return self.before < ALIKE_SHARE * self.now

    def __str__(self) -> str:
        said = (
            f"in the newest {self.rows} samples of {self.assets} assets it opens {self.now}"
            f" events, the one before {self.before}"
        )
        return f"{said}; {self.left_out} had other channels" if self.left_out else said


class SecondLook:
    """Two bundles over one engine's ring. Reads the state, and changes nothing of it."""

    def __init__(
        self, settings: GatewaySettings, state: EngineState, knowledge: Knowledge | None
    ) -> None:
        self._settings, self._state = settings, state
        self._sensors = knowledge.sensors if knowledge is not None else ()
        self._limits = knowledge.limits if knowledge is not None else ()

    def compare(
        self, now: Fitted, before: Fitted, assets: Sequence[str], *, since_ns: int
    ) -> Comparison:
        """Events that began since a plant time at some assets; of more than a cap, the first few.

        now: what scores. An asset that the one before does not know opens none with it.
        """
        kin = kinship(before.bundle, now.bundle)
        asked = [name for name in assets if name in (*kin.same, *kin.come)][:ASSETS_MAX]
        left_out = sum(name in kin.changed for name in assets)
        models = {model.asset: model for model in now.bundle.assets}
        former = {model.asset: model for model in before.bundle.assets}
        parts, former_parts = (Parts(one.bundle, one.detectors) for one in (now, before))
        counts, rows = [0, 0], 0
        for name in asked:
            guessed = models[name].found is not None
            rows += min(self._ring(name).written, len(self._ring(name).t_ns))
            counts[0] += self._opened(models[name], parts, since_ns=since_ns, guessed=guessed)
            if name in kin.same:
                model = former[name]
                counts[1] += self._opened(model, former_parts, since_ns=since_ns, guessed=guessed)
        return Comparison(
            now=counts[0], before=counts[1], assets=len(asked), rows=rows, left_out=left_out
        )

    def _ring(self, asset: str) -> AssetRing:
        return self._state.ring.assets[asset]

    def _opened(self, model: AssetModel, parts: Parts, *, since_ns: int, guessed: bool) -> int:
        """Events of one asset by one bundle. guessed: the modes in the ring are guesses."""
        past = _past(self._ring(model.asset), guessed=guessed)
        if not len(past.t_ns):
            return 0
        state, engine = self._state.assets[model.asset], self._settings.engine
        settings = self._settings.of_asset(model.asset)
        stuck_min = engine.stuck_after(model.period_ns)
        watch = SensorWatch(model, settings, stuck_min=stuck_min)
        findings = watch.check(HealthState.empty(len(model.channels)), past, self._sensors)
        scores = self._limited(_scores(model, parts, past, unsound(findings)), model, past)
        process, sensor = TrackState(), TrackState()
        began: list[int] = []
        wrong = _wrong(findings, len(past.t_ns))
        for t_ns, score, bad in zip(
            past.t_ns.tolist(), scores.tolist(), wrong.tolist(), strict=True
        ):
            active = process.active, sensor.active
            step_score(process, score, t_ns, model=model, engine=engine)
            reading = Reading.OVER if bad else Reading.UNDER
            sensor.step(reading, t_ns=t_ns, score=0.0, open_after=1, clear_after=1)
            for track, was_active in zip((process, sensor), active, strict=True):
                if track.active and not was_active:
                    began.append(track.begin_ns)
        return sum(t_ns >= since_ns and not _masked(state, t_ns) for t_ns in began)

    def _limited(self, scores: F32, model: AssetModel, past: Batch) -> F32:
        """Scores (n,) that also count what is beyond an approved limit."""
        if is_unfitted(model.metrics):  # what is within its limits is not strange
            scores = np.where(np.isnan(scores) & past.running, np.float32(0.0), scores)
        limits = [limit for limit in self._limits if limit.asset == model.asset]
        settings = self._settings.of_asset(model.asset)
        settle_ns = self._settings.engine.start_settle_s * SECOND_NS
        settling = Starts().settling(past.t_ns, past.running, settle_ns=settle_ns)
        beyond = Watchman(model.channels, safety=settings.safety).beyond(
            limits,
            t_ns=past.t_ns,
            values=past.values,
            running=past.running,
            settling=settling if any(tag.role == "run" for tag in settings.context) else None,
        )
        if beyond is None:
            return scores
        worst = beyond.excess.max(axis=1)
        strange = np.float32(model.threshold_on) + worst
        return np.where(worst > 0, np.fmax(scores, strange), scores)


def _past(ring: AssetRing, *, guessed: bool) -> Batch:
    """What is still there of one asset, oldest first; its modes only where they were told."""
    kept = min(ring.written, len(ring.t_ns))
    at = (ring.written - kept + np.arange(kept)) % len(ring.t_ns)
    return Batch(
        asset="",
        t_ns=ring.t_ns[at],
        values=ring.values[at],
        running=ring.running[at],
        mode=None if guessed or ring.mode is None else ring.mode[at],
    )


def _scores(model: AssetModel, parts: Parts, past: Batch, hidden: Mask | None) -> F32:
    """One score a sample (n,) from rows that begin with nothing; hidden: (n, c) no measurements."""
    values = past.values
    sound = values if hidden is None else np.where(hidden, np.float32(np.nan), values)
    mode = past.mode
    if model.found is not None:
        mode = tell_modes(ModeTrack(), model.found, sound, past.running)
    at = rows_at(model, past.running, mode)
    everything = np.ones(parts.width, bool)
    scores = []
    for row in baselines(model):
        part = parts.of(row)
        valid = pad_valid(sound, sees(model, row, at), parts.width)
        x = pad(values, parts.width)
        fresh = fresh_row(part, everything)
        scores.append(replay_row(fresh, part.stack([row]), x, valid, part=part))
    return of_baseline(scores, at, model=model)


def _wrong(findings: Findings, n: int) -> Mask:
    """Samples (n,) at which a sensor is wrong."""
    if findings.codes is None:
        return np.zeros(n, bool)
    wrong: Mask = findings.codes.max(axis=1) > 0
    return wrong


def _masked(state: AssetState, t_ns: int) -> bool:
    """Whether a job that masks channels was open at a plant time."""
    return any(
        run.job.opened_at_ns <= t_ns and (not run.ended_ns or t_ns < run.ended_ns)
        for run in state.runs
        if run.masks and run.fuse_end_ns
    )
