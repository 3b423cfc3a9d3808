"""One asset: its tracks, alerts and jobs, moved on sample by sample along plant time.

Everything that changes an asset has a plant time (a sample, an edge of a context tag, a command,
the start, end, fuse or settling of a job) and is taken in that order, so nothing depends on how the
stream was cut.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.caps import BEATS_MAX, RING_SAMPLES
from edge.records import Phase, Reading, Track
from edge.samples.drift import DriftWatch
from edge.samples.limits import Watchman, limited
from edge.samples.mode_rows import baselines, given, of_baseline, rows_at, say_unseen, with_mode
from edge.samples.row_flags import rows_scored
from edge.samples.scoring import Request, contributions
from edge.samples.sensor_faults import SensorWatch, unsound
from edge.verdicts.lookback import Lookback, step_score
from edge.verdicts.rulings import Rulings
from edge.verdicts.timeline import Timeline
from edge.work.jobs import JobRun, Stage, level_add, settled_from_ns
from edge.work.shed import has_gap, silence_of
from models.bundles.bundle import is_unfitted

if TYPE_CHECKING:
    from edge.batches import Batch
    from edge.desk import Desk
    from edge.records import AlertStands, RetrievalDone
    from edge.samples.limits import Beyond
    from edge.samples.quality import Findings
    from edge.samples.scoring import F32, Mask, Row
    from edge.settings import AssetSettings
    from edge.state import AssetState
    from edge.verdicts.events import TrackState
    from models.bundles.bundle import AssetModel

# what is looked back on must still be in the history, however long the batch
SEGMENT_SAMPLES_MAX: Final = RING_SAMPLES // 2
SECOND_NS: Final = 1_000_000_000


class Asset:
    """What one asset does with samples; `state` is all that it remembers."""

    def __init__(
        self, model: AssetModel, settings: AssetSettings, *, desk: Desk, state: AssetState
    ) -> None:
        self.model = model
        self.settings = settings
        self.state = state
        self.channels: tuple[str, ...] = tuple(channel.name for channel in model.channels)
        self._desk = desk
        self._lookback = Lookback(model, state=state, desk=desk)
        self._rulings = Rulings(model, settings, state=state, desk=desk, lookback=self._lookback)
        self._timeline = Timeline(
            model, state=state, desk=desk, rulings=self._rulings, lookback=self._lookback
        )
        self.drift = DriftWatch(model, state=state, desk=desk)
        self.watchman = Watchman(model.channels, safety=settings.safety)
        one = baselines(model)[:1] == [model.row_running] and model.row_season == -1
        guessed = model.modes or model.found is not None or is_unfitted(model.metrics)
        self._one_row = one and not guessed and model.row_stopped != model.row_running
        self._tells_stops = any(tag.role == "run" for tag in settings.context)
        self._beyond: Beyond | None = None  # what limits say of the segment
        self._requests: list[Request] = []
        self._rows: np.ndarray = np.empty(0, np.intp)  # (n,) of the segment, of the bundle
        self._lines: list[tuple[JobRun, list[Request], list[Request]]] = []
        stuck_min = desk.settings.engine.stuck_after(model.period_ns)
        self.sensors = SensorWatch(model, settings, stuck_min=stuck_min)
        self._findings: Findings | None = None  # of the segment's sensors
        self._unsound: np.ndarray | None = None  # (n, c) bool of the segment, no measurements

    def advance(self, until_ns: int) -> None:
        """Take everything that happens to jobs up to and at `until_ns`, in time order."""
        self._timeline.advance(until_ns)

    def add_job(self, run: JobRun) -> bool:
        """Take a new job; False when it has one of that id."""
        return self._timeline.add_job(run)

    def clock_stepped_back(self, t_ns: int) -> None:
        """The wall clock went back; t_ns: the newest time before that."""
        self._timeline.clock_stepped_back(t_ns)

    def extended(self, run: JobRun, *, by: str, t_ns: int) -> None:
        """A person lengthened a job: its alerts and the list say so."""
        self._rulings.extended(run, by=by, t_ns=t_ns)
        self._rulings.jobs_changed(t_ns)

    def beat(self, tag: str, t_ns: int) -> None:
        """A heartbeat took another value; times of one tag in their order."""
        beats = self.state.beats.setdefault(tag, [])
        beats.append(max(t_ns, *beats[-1:]) if beats else t_ns)
        del beats[:-BEATS_MAX]  # an asset that sends nothing but beats forgets none by itself

    def proposals_changed(self, t_ns: int) -> None:
        """Texts suggest something new: publish the list."""
        self._rulings.jobs_changed(t_ns)

    def explained(self, done: RetrievalDone, *, t_ns: int) -> bool:
        """The documents answered about one of this asset's alerts; False: not ours."""
        return self._rulings.explained(
            done.hits, alert_id=done.alert_id, reason=done.reason, t_ns=t_ns
        )

    def acknowledge(self, alert_id: str, *, operator: str, t_ns: int) -> bool:
        """An operator has seen an alert; False: not ours, or nothing to acknowledge."""
        return self._rulings.acknowledge(alert_id, operator=operator, t_ns=t_ns)

    def say_again(self, stands: AlertStands, *, t_ns: int) -> None:
        """What stands on an alert's topic is not what we say: publish it as a later revision."""
        self._rulings.say_again(stands, t_ns=t_ns)

    # --- samples ---

    @property
    def plain(self) -> bool:
        """Whether nothing goes on: its samples may be taken with those of others."""
        state, commission = self.state, self.state.commission
        quiet = all(state.tracks[t].phase is Phase.QUIET for t in (Track.PROCESS, Track.SENSOR))
        waits = state.silences or state.health.beyond is not None
        serves = commission is None or commission.in_service
        working = any(run.unjudged for run in state.runs)
        return self._one_row and quiet and serves and not waits and not working

    def boundary_ns(self) -> int | None:
        """When something happens to it by itself; None: nothing waits."""
        return self._timeline.next_boundary_ns()

    def cut(self, batch: Batch) -> tuple[Batch, Batch | None]:
        """The samples before the next boundary with their sensors looked at, and the rest.

        Boundaries up to the first sample are taken first. No row sees what is no measurement.
        """
        self.advance(int(batch.t_ns[0]))
        boundary = self._timeline.next_boundary_ns()
        k = min(len(batch.t_ns), SEGMENT_SAMPLES_MAX)
        if boundary is not None:
            k = min(k, int(np.searchsorted(batch.t_ns, boundary, side="left")))
        whole = k == len(batch.t_ns)
        segment = batch if whole else batch.part(0, k)
        self._findings = self.sensors.check(self.state.health, segment, self._desk.sensors)
        self._unsound = unsound(self._findings)
        segment = with_mode(self.model, self.state, segment, self._unsound)
        return segment, None if whole else batch.part(k, len(batch.t_ns))

    def requests(self, segment: Batch) -> list[Request]:
        """The rows to score over a segment, one for each baseline.

        The bundle's own, for every unjudged job the masked ones, while it settles the fresh ones.
        """
        self._requests, self._lines = [], []
        self._rows = at = rows_at(self.model, segment.running, segment.mode)
        values, t_ns, width = segment.values, segment.t_ns, self._desk.width
        of_rows = given(self.model, values, t_ns, at, width=width)
        for index, x, valid in of_rows:
            if self._unsound is not None:
                valid[:, : len(self.channels)] &= ~self._unsound
            self._requests.append(Request(x=x, valid=valid, index=index))
        for run in self.state.runs:
            if run.unjudged:
                masked = self._own(of_rows, run.masked)
                self._lines.append((run, masked, self._own(of_rows, run.fresh)))
        return self._requests

    def _own(self, of_rows: list[tuple[int, F32, Mask]], own: list[Row]) -> list[Request]:
        """Requests for rows that a job brings, one for each baseline; [] when it brings none."""
        requests = [
            Request(
                x=x,
                valid=valid & row.keep,
                index=index,
                row=row,
                parameters=self._lookback.parameters(index, row.keep),
            )
            for (index, x, valid), row in zip(of_rows, own, strict=False)
        ]
        self._requests += requests
        return requests

    def take(self, segment: Batch) -> None:
        """Move every track over a scored segment."""
        self._desk.ring.append(segment, self._unsound)
        scores = self._by_baseline(self._requests[: len(baselines(self.model))])
        assert scores is not None, "every asset has a row"
        say_unseen(self.model, self.state, self._desk, segment, self._rows)
        self._beyond = self.watchman.beyond(
            self._desk.limits_of(self.model.asset),
            t_ns=segment.t_ns,
            values=segment.values,
            running=segment.running,
            settling=self._settling(segment),
        )
        self._say_unlike()
        raw, scores = scores, self._limited(scores, segment, None)
        assert scores is not None, "likewise"
        unjudged = [run for run in self.state.runs if run.unjudged]
        quiet = self.state.tracks[Track.PROCESS].phase is Phase.QUIET and not unjudged
        watched = not quiet or bool((scores >= self.model.threshold_on).any())
        lines = [
            (
                run,
                self._limited(self._by_baseline(masked), segment, run.mask),
                self._limited(self._by_baseline(fresh), segment, None),
            )
            for run, masked, fresh in self._lines
        ]
        ringing = np.zeros(len(scores), bool)
        bad = self.state.tracks[Track.SENSOR].phase is not Phase.QUIET
        bad |= self._findings is not None and self._findings.codes is not None
        if watched or bad:  # sample by sample: the tracks share a budget
            for i in range(len(scores)):
                if watched:
                    self._sample(segment, scores, i, lines)
                    ringing[i] = self.state.tracks[Track.PROCESS].active
                if bad:
                    self._sensors(i, t_ns=int(segment.t_ns[i]))
        for run in unjudged:
            if run.stage in (Stage.SETTLING, Stage.OWED):
                chosen = segment.running & (segment.t_ns >= settled_from_ns(run))
                alike = self._lookback.comparable(segment.t_ns, segment.values, self._rows)
                level_add(run, alike, chosen)
        self.drift.take(
            segment,
            raw,
            rows=self._rows,
            unsound=self._unsound,
            ringing=ringing if watched else None,
            working=bool(unjudged),
        )
        if self._desk.tells_rows:
            rest = [masked for run, masked, _ in lines if run.live and masked is not None]
            told = rows_scored(self.model, segment, raw, self._rows, self._findings, rest)
            self._desk.effects.append(told)
        self.state.last_t_ns = int(segment.t_ns[-1])
        self.forget_beats(self.state.last_t_ns)
        finite = raw[np.isfinite(raw)]
        self.state.last_score = float(finite[-1]) if len(finite) else math.nan
        self._requests, self._lines = [], []  # the next segment may be long in coming

    def _settling(self, segment: Batch) -> np.ndarray | None:
        """Samples (n,) that lie in the settling after a start; None: nobody tells of any."""
        if not self._tells_stops:
            return None
        settle_ns = self._desk.settings.engine.start_settle_s * SECOND_NS
        starts = self.state.starts
        return starts.settling(segment.t_ns, segment.running, settle_ns=settle_ns)

    def _by_baseline(self, requests: list[Request]) -> F32 | None:
        """One score a sample (n,), of the baseline it belongs to; None without requests."""
        scores = [request.scores for request in requests if request.scores is not None]
        return of_baseline(scores, self._rows, model=self.model) if scores else None

    def _say_unlike(self) -> None:
        """A limit that cannot be compared is not forgotten in silence."""
        for limit in self.watchman.news():
            unit = self.model.channels[self.channels.index(limit.channel)].unit
            self._desk.note(
                "limit_unit_differs",
                level="warning",
                asset=self.model.asset,
                channel=limit.channel,
                limit_unit=limit.unit,
                channel_unit=unit,
            )

    def _limited(self, scores: F32 | None, segment: Batch, hidden: Mask | None) -> F32 | None:
        """Scores (n,) that also count what is beyond a limit; hidden: channels (c,) left out."""
        if scores is None or self._beyond is None:
            return scores
        return limited(scores, segment, self._beyond, model=self.model, hidden=hidden)

    def forget_beats(self, t_ns: int) -> None:
        """Of the beats before the newest sample, at t_ns, only the newest counts."""
        for tag, beats in self.state.beats.items():
            past = bisect_right(beats, t_ns)
            if past > 1:
                self.state.beats[tag] = beats[past - 1 :]

    def _sample(
        self,
        segment: Batch,
        scores: F32,
        i: int,
        lines: list[tuple[JobRun, F32 | None, F32 | None]],
    ) -> None:
        t_ns, score = int(segment.t_ns[i]), float(scores[i])
        strangest = score
        for run, masked, fresh in lines:
            if masked is not None:
                rest = run.rest_score = float(masked[i])
                if not math.isnan(score):
                    run.rest_ready = not math.isnan(rest)
                self._step(run.track, rest, t_ns)
                strangest = rest if math.isnan(strangest) else max(strangest, rest)
            if fresh is not None:
                run.fresh_ready |= not math.isnan(fresh[i])
                self._step(run.fresh_track, float(fresh[i]), t_ns)
        track = self.state.tracks[Track.PROCESS]
        was_active, rang_before = track.active, self.state.alerts[Track.PROCESS].active
        self._step(track, strangest, t_ns)
        rest_shares = partial(self._rest_shares, i=i)
        if track.active and not was_active:
            shares = self._shares(i)
            self._rulings.opened(Track.PROCESS, t_ns=t_ns, shares=shares, rest_shares=rest_shares)
        elif was_active and not track.active:
            self._rulings.cleared(Track.PROCESS, t_ns=t_ns)
        elif track.active:
            self._rulings.recheck(Track.PROCESS, t_ns=t_ns, rest_shares=rest_shares)
            self._rulings.news.stranger(strangest, lambda: self._shares(i), t_ns=t_ns)
        if track.active and self._beyond is not None and self._beyond.excess[i].any():
            beyond, values = self._beyond.excess[i], segment.values[i]
            self._rulings.news.beyond(beyond, values, t_ns=t_ns, rang_before=rang_before)
        self._rulings.naming.look(t_ns)

    def _step(self, track: TrackState, score: float, t_ns: int) -> None:
        engine = self._desk.settings.engine
        step_score(track, score, t_ns, model=self.model, engine=engine)

    def _shares(self, i: int) -> np.ndarray:
        """Each channel's share (c,) of the score of sample i by the row that it is strangest to."""
        return self._shares_among(self._requests, i, None)

    def _rest_shares(self, run: JobRun, i: int) -> np.ndarray | None:
        """The same without the channels of a job; None: it has no masked rows."""
        masked = next((own for line, own, _ in self._lines if line is run), [])
        return self._shares_among(masked, i, run.mask) if masked else None

    def _shares_among(self, requests: list[Request], i: int, hidden: Mask | None) -> np.ndarray:
        best = max(
            requests,
            key=lambda r: (
                -1.0 if r.scores is None or math.isnan(r.scores[i]) else float(r.scores[i])
            ),
        )
        strange = best.scores is not None and best.scores[i] >= self.model.threshold_on
        if self._beyond is not None and not strange:
            excess = self._beyond.excess[i]
            excess = excess if hidden is None else np.where(hidden, 0, excess)
            if excess.any():  # it is the limit that rings
                return np.asarray(excess / excess.sum(), np.float64)
        shares = contributions(best, parts=self._desk.parts)
        return np.nan_to_num(shares[i, : len(self.channels)])

    def _sensors(self, i: int, *, t_ns: int) -> None:
        """What is wrong with sensors at sample i is an event of its own track."""
        assert self._findings is not None, "checked before taken"
        codes = self._findings.codes
        wrong = (
            self.sensors.wrong(codes[i], self._findings.measured(i)) if codes is not None else ()
        )
        track = self.state.tracks[Track.SENSOR]
        was_active = track.active
        reading = Reading.OVER if wrong else Reading.UNDER
        track.step(reading, t_ns=t_ns, score=0.0, open_after=1, clear_after=1)
        if track.active and not was_active:
            self._rulings.sensor_opened(wrong, t_ns=t_ns)
        elif was_active and not track.active:
            self._rulings.cleared(Track.SENSOR, t_ns=t_ns)
        elif track.active:
            self._rulings.sensor_changed(wrong, t_ns=t_ns)

    def silent(self, *, now_ns: int, limit_ns: int, ahead_ns: int) -> None:
        """The comms track: nothing has come for longer than the source declares, or it is gone.

        Samples further ahead of us than `ahead_ns`: our clock was set back, and what comes is late.
        """
        state = self.state
        if state.last_t_ns == 0 or limit_ns <= 0:
            return
        track = state.tracks[Track.COMMS]
        quiet_ns = now_ns - max(state.last_t_ns, state.shed_ns)  # it spoke, and we shed
        unseen = quiet_ns > limit_ns or -quiet_ns > ahead_ns + limit_ns or state.dead_ns > 0
        gaps = state.shed_ns or state.unread_ns or state.doubted_ns
        if not (unseen or gaps) and track.at_rest:  # as nearly always
            return
        was_active = track.active
        reading = Reading.OVER if unseen else Reading.UNDER
        track.step(reading, t_ns=now_ns, score=0.0, open_after=1, clear_after=1)
        if track.active and not was_active:
            track.begin_ns = self.state.last_t_ns
            state.alerts[Track.COMMS].silence = silence_of(state)
            self._rulings.opened(Track.COMMS, t_ns=now_ns, shares=None)
        elif was_active and not track.active:
            self._rulings.cleared(Track.COMMS, t_ns=now_ns)
        if track.active or state.doubted_ns or has_gap(state, begin_ns=now_ns, now_ns=now_ns):
            self.doubt(now_ns)

    def doubt(self, t_ns: int, *, but: frozenset[str] = frozenset()) -> None:
        """Judge again whatever is kept quiet; what only clauses of `but` speak against stays so."""
        for each in Track.PROCESS, Track.SENSOR, Track.COMMS:
            self._rulings.recheck(each, t_ns=t_ns, but=but)
