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

from edge.batches import Batch
from edge.records import Reading
from edge.samples.limits import Starts, Watchman
from edge.samples.mode_rows import given, of_baseline, rows_at
from edge.samples.quality import HealthState
from edge.samples.scoring import Parts, blocks
from edge.samples.sensor_faults import SensorWatch, unsound
from edge.takeover import kinship
from edge.verdicts.events import TrackState
from edge.verdicts.lookback import step_score
from models.bundles.bundle import is_unfitted
from models.fitting.mode_track import ModeTrack, tell_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.desk import Knowledge
    from edge.samples.quality import Findings
    from edge.samples.ring import AssetRing
    from edge.samples.scoring import F32, Mask
    from edge.settings import GatewaySettings
    from edge.state import AssetState, EngineState
    from edge.takeover import Fitted
    from models.bundles.bundle import AssetModel

ASSETS_MAX: Final = 16  # looked at, each for some 60 ms of a detector fitted here
ALIKE_SHARE: Final = 2 / 3  # of its events: a bundle that opens as many opens about as many
SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Events that two bundles open in the same samples. assets, rows: that were looked at.

    left_out: assets of which the one before knows other channels, so that it cannot be asked.
    rest: assets that could have been asked, beyond the most that are, or when time was over.
    """

    now: int
    before: int
    assets: int
    rows: int
    left_out: int = 0
    rest: int = 0

    @property
    def alike(self) -> bool:
        """Whether the one before opens about as many; without any event nothing says so."""
        return self.now > 0 and self.before >= ALIKE_SHARE * self.now

    def __str__(self) -> str:
        said = (
            f"in the newest {self.rows} samples of {self.assets} assets it opens {self.now}"
            f" events, the one before {self.before}"
        )
        if not self.now:
            said += ", so that nothing speaks for it"
        if self.left_out:
            said += f"; {self.left_out} had other channels"
        return f"{said}; {self.rest} more were not asked" if self.rest else said


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What is asked of one asset, with both bundles.

    since_ns: plant time from which on events count   guessed: the modes in the ring are guesses
    go_on: whether there is time left
    """

    since_ns: int
    guessed: bool
    go_on: Callable[[], bool]


class SecondLook:
    """Two bundles over one engine's ring. Reads the state, and changes nothing of it."""

    def __init__(
        self, settings: GatewaySettings, state: EngineState, knowledge: Knowledge | None
    ) -> None:
        self._settings, self._state = settings, state
        self._sensors = knowledge.sensors if knowledge is not None else ()
        self._limits = knowledge.limits if knowledge is not None else ()

    def compare(
        self,
        now: Fitted,
        before: Fitted,
        assets: Sequence[str],
        *,
        since_ns: int,
        go_on: Callable[[], bool],
    ) -> Comparison:
        """Events that began since a plant time at some assets; of more than a cap, the first few.

        now: what scores. An asset that the one before does not know opens none with it.
        go_on: whether there is time left, asked before each block that is scored; an asset that is
        not through by then counts for neither.
        """
        kin = kinship(before.bundle, now.bundle)
        asked = [name for name in assets if name in (*kin.same, *kin.come)]
        left_out = sum(name in kin.changed for name in assets)
        models = {model.asset: model for model in now.bundle.assets}
        former = {one.asset: one for one in before.bundle.assets if one.asset in kin.same}
        parts, former_parts = (Parts(one.bundle, one.detectors) for one in (now, before))
        counts, rows, through = [0, 0], 0, 0
        for name in asked[:ASSETS_MAX]:
            look = _Look(since_ns=since_ns, guessed=models[name].found is not None, go_on=go_on)
            mine = self._opened(models[name], parts, look)
            if mine is None:
                break
            other = self._opened(former[name], former_parts, look) if name in former else 0
            if other is None:
                break
            counts, through = [counts[0] + mine, counts[1] + other], through + 1
            rows += min(self._ring(name).written, len(self._ring(name).t_ns))
        return Comparison(
            now=counts[0],
            before=counts[1],
            assets=through,
            rows=rows,
            left_out=left_out,
            rest=len(asked) - through,
        )

    def _ring(self, asset: str) -> AssetRing:
        return self._state.ring.assets[asset]

    def _opened(self, model: AssetModel, parts: Parts, look: _Look) -> int | None:
        """Events of one asset by one bundle; None: time was over."""
        past = _past(self._ring(model.asset), guessed=look.guessed)
        if not len(past.t_ns):
            return 0
        state, engine = self._state.assets[model.asset], self._settings.engine
        settings = self._settings.of_asset(model.asset)
        stuck_min = engine.stuck_after(model.period_ns)
        watch = SensorWatch(model, settings, stuck_min=stuck_min)
        findings = watch.check(HealthState.empty(len(model.channels)), past, self._sensors)
        told = _scores(model, parts, past, unsound(findings), go_on=look.go_on)
        if told is None:
            return None
        scores = self._limited(told, model, past)
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
        return sum(t_ns >= look.since_ns and not _masked(state, t_ns) for t_ns in began)

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


def _scores(
    model: AssetModel,
    parts: Parts,
    past: Batch,
    hidden: Mask | None,
    *,
    go_on: Callable[[], bool],
) -> F32 | None:
    """One score a sample (n,) from rows that begin with nothing; None: time was over.

    hidden: (n, c) values that are no measurements; None: none.
    """
    values = past.values
    sound = values if hidden is None else np.where(hidden, np.float32(np.nan), values)
    mode = past.mode
    if model.found is not None:
        mode = tell_modes(ModeTrack(), model.found, sound, past.running)
    at = rows_at(model, past.running, mode)
    scores = []
    for row, x, valid in given(model, sound, past.t_ns, at, width=parts.width):
        part, told = parts.of(row), []
        state, parameters = part.detector.initial_state(1), part.stack([row])
        for block in blocks(len(x)):
            if not go_on():
                return None
            score, state = part.score(x[None, block], valid[None, block], state, parameters)
            told.append(score[0])
        scores.append(np.concatenate(told))
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
