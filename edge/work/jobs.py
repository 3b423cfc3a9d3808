"""Jobs: what work is open on an asset, what opened it, which channels it may disturb, until when.

A job is opened by a witness and by nothing else. While it is open its asset has a second, masked
row; when it closes, a fresh row starts and the job settles; then it is judged. The fuse ends it
whatever happens. Times are int ns, UTC, plant time.
"""

from __future__ import annotations

import hashlib
import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.records import Job, JobState, Witness
from edge.samples.scoring import Row
from edge.verdicts.events import TrackState
from kb.records import WorkKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.settings import EngineSettings
    from kb.records import Proposal, ScopeRow

SECOND_NS: Final = 1_000_000_000
WAITING_RUNS_MAX: Final = 256  # jobs of an asset that are not over; one more is refused
WAITING_ORDERS_MAX: Final = 200  # of these by orders: whoever stands at the machine finds room
LIVE_RUNS_MAX: Final = 32  # each brings rows of its own to score; one more masks nothing
DONE_RUNS_MAX: Final = 32  # finished jobs that stay listed
QUOTE_CHARS_MAX: Final = 240
EXTENSIONS_MAX: Final = 16  # of one job; who needs more takes the asset out of service
HIDDEN_MAX: Final = 64  # alerts of one job that are named if it is cancelled
ENDED_ORDERS_MAX: Final = 1024  # of an asset, over before their planned end
# fewer say nothing about a level: the standard error is above 0.2 sigma
LEVEL_SAMPLES_MIN: Final = 20
LEVEL_MARGIN_SIGMA: Final = 0.5  # slow wear and autocorrelation between before and after


class Stage(StrEnum):
    """Where a job stands for its asset. OPEN and SETTLING suppress; the others never do.

    OWED: it has settled, but nothing was seen of its channels since; judged when there is.
    """

    SCHEDULED = "scheduled"
    OPEN = "open"
    SETTLING = "settling"
    OWED = "owed"
    DONE = "done"


class Ending(StrEnum):
    """Why a job stopped: a normal close is judged after it settled, the others at once."""

    CLOSED = "closed"
    FUSE = "fuse"
    CANCELLED = "cancelled"


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """A person lets a job go on until a later time, plant time, ns."""

    operator: str
    t_ns: int
    until_ns: int
    reason: str


class JobRun(msgspec.Struct, kw_only=True):
    """A job and what the gateway keeps while it matters.

    told_ns: plant time at which it became known; extensions: what persons added to it.
    mask: (c,) bool, channels it hides, safety-listed ones never among them.
    before: (c,) mean of each channel before the job, NaN unknown; found: the same as the job found
    it, disturbed by other work or not; after_*: sums over the settling time.
    masked, fresh: a row for each baseline of the asset, [] when there is none now.
    track: phases of the rest of the asset, scored without the mask; fresh_track: of the fresh rows.
    rest_ready: the rest had a score at the newest sample at which the whole asset had one.
    planned_to_ns: when its order would be over by itself. hid: ids of alerts that it kept quiet.
    """

    job: Job
    stage: Stage
    mask: np.ndarray
    told_ns: int = 0
    planned_to_ns: int = 0
    hid: list[str] = []
    extensions: tuple[Extension, ...] = ()
    fuse_end_ns: int = 0
    close_ns: int = 0
    ended_ns: int = 0  # nothing is suppressed from here on
    settle_end_ns: int = 0
    masked: list[Row] = []
    track: TrackState = msgspec.field(default_factory=TrackState)
    rest_ready: bool = False
    rest_score: float = math.nan  # the newest
    fresh: list[Row] = []
    fresh_track: TrackState = msgspec.field(default_factory=TrackState)
    fresh_ready: bool = False  # a fresh row has given a score
    before: np.ndarray | None = None
    found: np.ndarray | None = None
    after_sum: np.ndarray | None = None
    after_count: np.ndarray | None = None

    @property
    def live(self) -> bool:
        """Whether it may suppress."""
        return self.stage in (Stage.OPEN, Stage.SETTLING)

    @property
    def unjudged(self) -> bool:
        """Whether it has yet to be judged, and brings rows of its own for that."""
        return self.live or self.stage is Stage.OWED

    @property
    def masks(self) -> bool:
        """Whether it hides anything at all."""
        return bool(self.mask.any())

    @property
    def late(self) -> bool:
        """Whether it became known after it had begun, so that something may have rung before."""
        return self.job.valid_from_ns < self.told_ns

    def began_by_ns(self) -> int:
        """Before this time, and not before its begin, what rang may be of a job told later."""
        end_ns = self.told_ns if self.job.valid_to_ns is None else self.job.valid_to_ns
        return min(self.told_ns, end_ns, self.job.valid_from_ns + self.job.fuse_s * SECOND_NS)

    def over_by_ns(self) -> int:
        """When the job cannot suppress any more, had it opened as soon as it could."""
        start = max(self.job.valid_from_ns, self.job.recorded_at_ns)
        fuse_end = start + self.job.fuse_s * SECOND_NS
        end = self.job.valid_to_ns
        return fuse_end if end is None else min(end, fuse_end)

    def hides(self, alert_id: str) -> None:
        """Note that it keeps an alert quiet."""
        if alert_id not in self.hid:
            self.hid = [*self.hid, alert_id][-HIDDEN_MAX:]

    def boundary_ns(self) -> int | None:
        """The next time at which the job changes by itself; None: never."""
        if self.stage is Stage.SCHEDULED:
            return max(self.job.valid_from_ns, self.job.recorded_at_ns)
        if self.stage is Stage.OPEN:
            end = self.job.valid_to_ns
            return self.fuse_end_ns if end is None else min(end, self.fuse_end_ns)
        return self.settle_end_ns if self.unjudged else None


def resolve_scope(
    rows: Sequence[ScopeRow], *, kind: WorkKind, asset: str, instrument: str, now_ns: int
) -> ScopeRow | None:
    """The newest approved row known by now for exactly this work.

    None matches nothing and masks nothing.
    """
    known = [
        row
        for row in rows
        if row.kind == kind
        and row.asset == asset
        and row.instrument == instrument
        and row.recorded_at_ns <= now_ns
    ]
    return max(known, key=lambda row: (row.recorded_at_ns, row.scope_id), default=None)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a witness says about a job. `now_ns`: when it was said, plant time."""

    job_id: str
    kind: WorkKind
    asset: str
    instrument: str
    valid_from_ns: int
    valid_to_ns: int | None
    witness: Witness
    opened_by: str
    now_ns: int
    source: str
    signed: bool = False  # as in Job
    quotes: tuple[str, ...] = ()


def make_job(told: Told, *, scope: ScopeRow | None, settings: EngineSettings) -> Job:
    """A scheduled job; scope, fuse and settling time are its scope row's, else the defaults."""
    job = Job(
        job_id=told.job_id,
        kind=told.kind,
        asset=told.asset,
        functional_location=told.instrument,
        valid_from_ns=told.valid_from_ns,
        valid_to_ns=told.valid_to_ns,
        witness=told.witness,
        opened_by=told.opened_by,
        opened_at_ns=max(told.now_ns, told.valid_from_ns),
        recorded_at_ns=told.now_ns,
        source=told.source,
        scope=(),
        expected_effect=0.0,
        settle_s=min(settings.settle_s, settings.settle_s_max),
        fuse_s=settings.fuse_s,
        state=JobState.SCHEDULED,
        scope_id="",
        signed=told.signed,
        quotes=told.quotes,
    )
    return scoped(job, scope, settings=settings)


def scoped(job: Job, scope: ScopeRow | None, *, settings: EngineSettings) -> Job:
    """The same job as far as a scope row allows it; without one it may disturb nothing."""
    if scope is None:
        return msgspec.structs.replace(job, scope=(), expected_effect=0.0, scope_id="")
    return msgspec.structs.replace(
        job,
        scope=scope.channels,
        expected_effect=scope.expected_effect,
        settle_s=min(scope.settle_s, settings.settle_s_max),
        fuse_s=min(scope.duration_s_max, settings.fuse_s_max),
        scope_id=scope.scope_id,
    )


def job_from_order(order: Proposal, scope: ScopeRow | None, settings: EngineSettings) -> Job | None:
    """An approved order with real start and end is a witness.

    Any other order only proposes (None).
    """
    start, end = order.valid_from_ns, order.valid_to_ns
    witness = order.approved and order.real_times and not order.cancelled
    if not witness or start is None or end is None or end <= start:
        return None
    told = Told(
        job_id=order.proposal_id,
        kind=order.kind,
        asset=order.asset,
        instrument=order.instrument,
        valid_from_ns=start,
        valid_to_ns=end,
        witness=Witness.ORDER,
        opened_by=order.citation.doc_id,
        now_ns=order.recorded_at_ns,
        source=order.source,
        signed=True,  # as far as its snapshot is
        quotes=(order.citation.quote[:QUOTE_CHARS_MAX],),
    )
    return make_job(told, scope=scope, settings=settings)


def job_id_of(*parts: str | int) -> str:
    """A short id that depends on nothing but the facts that made the job."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()
    return f"job-{digest[:12]}"


def new_run(job: Job, *, channels: Sequence[str], safety: Sequence[str]) -> JobRun:
    """A run for a job.

    Channels that the asset does not have are ignored; safety-listed ones stay visible.
    """
    mask = np.array([name in job.scope and name not in safety for name in channels], bool)
    return JobRun(job=job, stage=Stage.SCHEDULED, mask=mask)


def open_run(run: JobRun, *, t_ns: int, seen_ns: int) -> None:
    """The witness speaks: from here on, and never backwards, the job may suppress.

    seen_ns: newest sample taken; one of an asset whose clock runs ahead is not judged again.
    """
    due_ns = max(t_ns, run.job.valid_from_ns, run.job.recorded_at_ns)
    opened_ns = max(due_ns, seen_ns + 1)
    run.stage = Stage.OPEN
    run.fuse_end_ns = due_ns + run.job.fuse_s * SECOND_NS  # told late, it burns no later
    run.job = msgspec.structs.replace(run.job, state=JobState.OPEN, opened_at_ns=opened_ns)


def extend_run(run: JobRun, extension: Extension) -> None:
    """A person says that the work takes longer: end and fuse move, never to an earlier time."""
    until_ns = extension.until_ns
    run.extensions = (*run.extensions, extension)
    if run.job.valid_to_ns is None:
        run.fuse_end_ns = max(run.fuse_end_ns, until_ns)
        return
    run.job = msgspec.structs.replace(run.job, valid_to_ns=max(run.job.valid_to_ns, until_ns))
    run.fuse_end_ns = max(run.fuse_end_ns, until_ns + 1)  # it closes and settles as planned


def close_run(run: JobRun, *, t_ns: int, settle_ns_min: int) -> None:
    """A normal close: the job settles before it is judged.

    settle_ns_min: what it takes to see a level at all.
    """
    run.stage = Stage.SETTLING
    run.close_ns = t_ns
    run.settle_end_ns = t_ns + max(run.job.settle_s * SECOND_NS, settle_ns_min)
    run.job = msgspec.structs.replace(run.job, state=JobState.CLOSED, valid_to_ns=t_ns)
    # settling is bounded by itself (settle_s_max); a job closed in its last minute still settles
    run.fuse_end_ns = max(run.fuse_end_ns, run.settle_end_ns)


def end_run(run: JobRun, *, t_ns: int, ending: Ending) -> None:
    """Nothing is suppressed by this job any more."""
    state = JobState.CANCELLED if ending is Ending.CANCELLED else JobState.CLOSED
    run.stage, run.ended_ns = Stage.DONE, t_ns
    run.job = msgspec.structs.replace(
        run.job, state=state, valid_to_ns=run.close_ns or max(t_ns, run.job.valid_from_ns)
    )
    run.masked, run.fresh = [], []


def level_reset(run: JobRun, channels: int) -> None:
    """Forget what was collected of the level after the job."""
    run.after_sum, run.after_count = np.zeros(channels), np.zeros(channels)


def level_add(run: JobRun, values: np.ndarray, chosen: np.ndarray) -> None:
    """Collect the level of each channel after the job: values (n, c), NaN left out.

    Chosen (n,) bool.
    """
    if run.after_sum is None or run.after_count is None:
        level_reset(run, values.shape[1])
    usable = np.isfinite(values) & chosen[:, None]
    run.after_sum += np.where(usable, values, 0.0).sum(axis=0, dtype=np.float64)
    run.after_count += usable.sum(axis=0)


def settled_from_ns(run: JobRun) -> int:
    """From when on the level counts.

    In the first third of the settling time the work still rings.
    """
    return run.close_ns + (run.settle_end_ns - run.close_ns) // 3


def lasting_shift(run: JobRun, *, sigma: np.ndarray) -> np.ndarray:
    """Change of each masked channel's mean over the job in sigmas (c,).

    NaN where it is not known.
    """
    if run.before is None or run.after_sum is None or run.after_count is None:
        return np.full(len(run.mask), np.nan)
    mean = np.divide(
        run.after_sum,
        run.after_count,
        out=np.full(len(run.mask), np.nan),
        where=run.after_count >= LEVEL_SAMPLES_MIN,
    )
    shift: np.ndarray = np.abs(mean - run.before) / sigma
    return np.where(run.mask, shift, np.nan)


def level_pending(run: JobRun, *, enough: int) -> bool:
    """Whether a masked channel's level was known before, and too little was seen of it since.

    enough: samples.
    """
    if run.before is None:
        return False
    seen = 0.0 if run.after_count is None else run.after_count
    return bool((run.mask & np.isfinite(run.before) & (seen < enough)).any())


def left_to(run: JobRun, heir: JobRun, *, sigma: np.ndarray) -> bool:
    """Leave the level after a job to work that is still open; False: that cannot answer for it.

    Every channel that is away, or that nothing is known of, must be one that the heir hides too,
    and that it found as it was before the first job: so it has moved since. sigma: (c,).
    """
    if run.before is None or heir.found is None or heir.before is None:
        return False
    bound = run.job.expected_effect + LEVEL_MARGIN_SIGMA
    away = run.mask & ~(lasting_shift(run, sigma=sigma) <= bound)
    moved_since = np.abs(heir.found - run.before) / sigma <= bound
    if (away & ~(heir.mask & moved_since)).any():
        return False
    # what the first job hid cannot tell the heir how the channel was
    heir.before = np.where(away & np.isnan(heir.before), run.before, heir.before)
    return True


def level_abnormal(run: JobRun, *, sigma: np.ndarray) -> bool | None:
    """Whether a masked channel's mean stayed away by more than the scope row expects.

    sigma: (c,) of normal operation; None: not known. A small lasting fault adapts away in the
    score (its residual is gone once the lags hold it); in the level it cannot.
    """
    shift = lasting_shift(run, sigma=sigma)[run.mask]
    expected = run.job.expected_effect if math.isfinite(run.job.expected_effect) else 0.0
    if (shift > expected + LEVEL_MARGIN_SIGMA).any():
        return True
    return None if np.isnan(shift).any() else False
