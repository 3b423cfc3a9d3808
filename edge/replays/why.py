"""Why there was no alert, or which one: what the engine saw of one asset around one time.

Looks are taken while a journal is replayed; the answer is made of them. Times are plant time, ns.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.alerts.explain import clause_text, clock_text, number
from edge.records import Phase, Track, Verdict
from edge.samples.mode_rows import given, of_baseline, rows_at
from edge.samples.scoring import Request, contributions, fresh_row, score_rows
from edge.work.commission import stage_text
from edge.work.silencing import SilenceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.alerts.alerts import AlertRecord
    from edge.asset import Asset
    from edge.desk import Desk
    from edge.engine import Engine
    from edge.work.silencing import Silence

SECOND_NS: Final = 1_000_000_000
AROUND_S: Final = 300  # what is drawn, before and after
NEAR_S: Final = 60  # what counts as "at that time"
LAG_S: Final = 5  # our clock may be so far ahead of a sample that it belongs to
SETTLE_SAMPLES: Final = 256  # a row taken anew over the history is as it was after so many
CHANNELS_SHOWN: Final = 5
TAKEN: Final = frozenset({"messages", "commands", "starts"})  # counters of what was accepted


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was open or settling, and how the asset stood without its channels."""

    job_id: str
    kind: str
    opened_by: str
    masked: tuple[str, ...]
    rest_over: bool | None  # without them over threshold; None: could not be scored


class Stood(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as it stood."""

    alert_id: str
    track: str
    decision: str
    state: str
    active: bool
    suppressed: bool
    job_id: str
    begin_ns: int
    score: float
    failed: tuple[str, ...]  # clauses that did not hold
    channels: tuple[str, ...]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One asset after one step of the replay. t_ns: of its newest sample; 0 none yet."""

    t_ns: int
    now_ns: int
    score: float
    phase: int
    over_samples: int  # in a row, while it rises
    comms_open: bool
    suspect: bool
    jobs: tuple[Job, ...]
    alerts: tuple[Stood, ...]
    counts: dict[str, int]
    silences: tuple[str, ...] = ()  # by hand, as sentences


class Nearest(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's part in the highest score near the time. value in its unit."""

    channel: str
    unit: str
    share: float
    value: float
    usual_low: float
    usual_high: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Samples around the time: NaN scores were not ready."""

    t_ns: tuple[int, ...]
    score: tuple[float, ...]
    running: tuple[bool, ...]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One reason. name: a stable word; text: for a reader."""

    name: str
    text: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. findings: the one that decided comes first."""

    asset: str
    at: str
    at_ns: int
    threshold: float
    score_max: float  # near the time; NaN: none
    findings: tuple[Finding, ...]
    nearest: tuple[Nearest, ...]
    alerts: tuple[Stood, ...]
    series: Series
    notes: tuple[str, ...] = ()


def look_at(engine: Engine, asset: Asset) -> Look:
    """What the engine holds of an asset now."""
    state = asset.state
    track = state.tracks[Track.PROCESS]
    return Look(
        t_ns=state.last_t_ns,
        now_ns=engine.now_ns,
        score=state.last_score,
        phase=int(track.phase),
        over_samples=track.count if track.phase is Phase.RISING else 0,
        comms_open=state.tracks[Track.COMMS].active,
        suspect=asset.model.asset in engine.state.suspects,
        jobs=tuple(
            Job(
                job_id=run.job.job_id,
                kind=run.job.kind,
                opened_by=run.job.opened_by,
                masked=tuple(np.array(asset.channels)[run.mask].tolist()),
                rest_over=run.track.active if run.masked and run.rest_ready else None,
            )
            for run in state.runs
            if run.live
        ),
        alerts=tuple(_stood(record) for record in state.alerts.values() if record.alert_id),
        counts=engine.counts(),
        silences=(*(_by_hand(one) for one in state.silences if one.begun), *stage_text(state)),
    )


def _by_hand(one: Silence) -> str:
    shelved = one.kind is SilenceKind.SHELVED
    what = f"Shelved, {one.track or 'all of it'}," if shelved else "Out of service"
    return f"{what} until {clock_text(one.end_ns)}, by {one.owner}: {one.reason}."


def _stood(record: AlertRecord) -> Stood:
    decision = record.decision
    clauses = decision.clauses if decision is not None else ()
    return Stood(
        alert_id=record.alert_id,
        track=record.track,
        decision=decision.verdict if decision is not None else "",
        state=record.state,
        active=record.active,
        suppressed=record.suppressed,
        job_id=record.job_id,
        begin_ns=record.begin_ns,
        score=record.score,
        failed=tuple(clause_text(clause) for clause in clauses if clause.outcome is not True),
        channels=tuple(part.channel for part in record.contributions[:3]),
    )


def rescored(
    asset: Asset, desk: Desk, *, from_ns: int, until_ns: int
) -> tuple[Series, tuple[Nearest, ...]]:
    """Every sample's score from `from_ns` to `until_ns`, and what carried the highest near the mid.

    The rows of the asset are taken anew over the history that the engine keeps, with no job's mask:
    what it would have said without any job. The first SETTLE_SAMPLES of it are not told.
    """
    model = asset.model
    times, values, running = desk.ring.since(model.asset, 0)
    requests = []
    at = rows_at(model, running, desk.ring.modes(model.asset, times))
    for index, x, valid in given(model, values, times, at, width=desk.width):
        part = desk.parts.of(index)
        row = fresh_row(part, np.ones(desk.width, bool))
        own = part.stack([index])
        requests.append(Request(x=x, valid=valid, index=index, row=row, parameters=own))
    score_rows(requests, parts=desk.parts, state=desk.state)
    found = [r.scores for r in requests if r.scores is not None]
    scores = of_baseline(found, at, model=model).astype(np.float64)
    scores[: min(SETTLE_SAMPLES, len(scores))] = np.nan
    shown = (times >= from_ns) & (times <= until_ns)
    series = Series(
        t_ns=tuple(times[shown].tolist()),
        score=tuple(scores[shown].tolist()),
        running=tuple(running[shown].tolist()),
    )
    middle_ns = (from_ns + until_ns) // 2
    near = np.abs(times - middle_ns) <= NEAR_S * SECOND_NS
    ready = np.flatnonzero(near & np.isfinite(scores))
    if not len(ready):
        return series, ()
    top = int(ready[np.argmax(scores[ready])])
    request = requests[int(np.argmax([np.nan_to_num(each[top], nan=-1.0) for each in found]))]
    shares = contributions(request, parts=desk.parts)[top]
    order = np.argsort(-np.nan_to_num(shares[: len(model.channels)]), kind="stable")
    return series, tuple(
        Nearest(
            channel=model.channels[i].name,
            unit=model.channels[i].unit,
            share=float(np.nan_to_num(shares[i])),
            value=float(values[top, i]),
            usual_low=float(model.usual_low[i]),
            usual_high=float(model.usual_high[i]),
        )
        for i in order[:CHANNELS_SHOWN].tolist()
    )


def findings_of(
    looks: Sequence[Look], *, at_ns: int, threshold: float, needed: int, series: Series
) -> tuple[Finding, ...]:
    """Why nothing rang at a time, or what did; the reason that decides comes first.

    looks: of the replay, oldest first, some before and some after the time. needed: samples over
    threshold in a row that open an event.
    """
    before = [look for look in looks if look.t_ns <= at_ns] or list(looks[:1])
    then = [look for look in before if look.now_ns <= at_ns + LAG_S * SECOND_NS] or before[:1]
    now = then[-1]
    found = [_alert(stood, threshold) for stood in now.alerts if stood.active or stood.suppressed]
    found += _unseen(now, at_ns, series)
    known = series if near(series, at_ns) else told(looks)
    found += _score(now, known, threshold, at_ns=at_ns, needed=needed, rang=bool(found))
    found += _later(now, [look for look in looks if at_ns < look.t_ns], at_ns, threshold)
    found += [_job(job) for job in now.jobs]
    found += [Finding(name="silenced", text=text) for text in now.silences]
    if now.suspect:
        text = "Its clock ran ahead of all others: no suppression, and times are in doubt."
        found.append(Finding(name="clock", text=text))
    found += _lost(looks, at_ns)
    return tuple(found)


def _later(now: Look, after: Sequence[Look], at_ns: int, threshold: float) -> list[Finding]:
    """What began to ring, or would have, shortly after the time."""
    known = {(stood.alert_id, stood.begin_ns) for stood in now.alerts}
    found = []
    for look in after:
        for stood in look.alerts:
            key = (stood.alert_id, stood.begin_ns)
            late = stood.begin_ns > at_ns + NEAR_S * SECOND_NS
            if key in known or late or not (stood.active or stood.suppressed):
                continue
            known.add(key)
            text = f"Within {NEAR_S} s after it: {_alert(stood, threshold).text}"
            found.append(Finding(name="later", text=text))
    return found


def told(looks: Sequence[Look]) -> Series:
    """Scores as the engine had them at each look, for where its history does not reach back."""
    seen = {look.t_ns: look.score for look in looks if look.t_ns}
    return Series(t_ns=tuple(seen), score=tuple(seen.values()), running=tuple(True for _ in seen))


def near(series: Series, at_ns: int) -> list[tuple[int, float]]:
    """(t_ns, score) of the samples near the time that could be scored."""
    return [
        (t, score)
        for t, score in zip(series.t_ns, series.score, strict=True)
        if abs(t - at_ns) <= NEAR_S * SECOND_NS and not math.isnan(score)
    ]


def _alert(stood: Stood, threshold: float) -> Finding:
    what = f"{stood.alert_id}, since {clock_text(stood.begin_ns)}"
    what += f", of {', '.join(stood.channels)}" if stood.channels else ""
    if stood.suppressed:
        text = (
            f"Suppressed, not silent: {what}. Job {stood.job_id} expects it; without the job it"
            f" would have rung (score {number(stood.score)}, threshold {number(threshold)})."
        )
        return Finding(name="suppressed", text=text)
    name = "annotated" if stood.decision == Verdict.ANNOTATED else "alert"
    failed = f" Not suppressed: {'; '.join(stood.failed)}." if stood.failed else ""
    text = f"An alert: {what}; {stood.decision}, {stood.state}.{failed}"
    return Finding(name=name, text=text)


def _unseen(now: Look, at_ns: int, series: Series) -> list[Finding]:
    """Stale, silent, stopped or blind: nothing could be said of the asset."""
    gap_s = (at_ns - now.t_ns) // SECOND_NS
    if now.t_ns == 0:
        text = "No sample of this asset had come yet: nothing could be scored."
        return [Finding(name="no_samples", text=text)]
    if now.comms_open or gap_s > NEAR_S:
        text = f"Stale: its newest sample was {gap_s} s old ({clock_text(now.t_ns)})."
        return [Finding(name="stale", text=text)]
    states = [run for t, run in zip(series.t_ns, series.running, strict=True) if t <= at_ns]
    found = []
    if states and not states[-1]:
        text = "Not running: stopped samples are judged by their own baseline, if there is one."
        found.append(Finding(name="not_running", text=text))
    if math.isnan(now.score):
        text = (
            "Blind: the newest samples could not be scored (warming up after a start or a gap, or"
            " a state of operation without a baseline)."
        )
        found.append(Finding(name="blind", text=text))
    return found


def _score(
    now: Look, series: Series, threshold: float, *, at_ns: int, needed: int, rang: bool
) -> list[Finding]:
    scores = near(series, at_ns)
    if not scores:
        return []
    t_ns, top = max(scores, key=lambda pair: pair[1])
    said = f"within {NEAR_S} s of that time it was {number(top)} at most, at {clock_text(t_ns)}"
    if top < threshold:
        quiet = "The score was" if rang else "Nothing was strange: the score stayed"
        share = f"{top / threshold:.0%} of the {number(threshold)} that it takes"
        text = f"{quiet} under its threshold; {said}, {share}."
        return [Finding(name="under_threshold", text=text)]
    run = longest_over([score for _, score in series_run(series, at_ns, threshold)], threshold)
    rows = "1 sample" if run == 1 else f"{run} samples in a row"
    text = f"The score was over its threshold of {number(threshold)}; {said}, for {rows}"
    if run < needed:
        return [Finding(name="too_short", text=f"{text}: too short, {needed} open an event.")]
    phase = Phase(now.phase).name.lower()
    return [Finding(name="over_threshold", text=f"{text}. Phase at that time: {phase}.")]


def series_run(series: Series, at_ns: int, threshold: float) -> list[tuple[int, float]]:
    """(t_ns, score) near the time, and of what goes over its edges all that is over threshold.

    So a stretch is as long as it was, wherever in it somebody asks.
    """
    pairs = list(zip(series.t_ns, series.score, strict=True))
    inside = [i for i, (t, _) in enumerate(pairs) if abs(t - at_ns) <= NEAR_S * SECOND_NS]
    if not inside:
        return []
    first, last = inside[0], inside[-1]
    while first > 0 and pairs[first][1] >= threshold and pairs[first - 1][1] >= threshold:
        first -= 1
    while last < len(pairs) - 1 and min(pairs[last][1], pairs[last + 1][1]) >= threshold:
        last += 1
    return [(t, score) for t, score in pairs[first : last + 1] if not math.isnan(score)]


def longest_over(scores: Sequence[float], threshold: float) -> int:
    """The longest run of scores at or over the threshold."""
    longest = run = 0
    for score in scores:
        run = run + 1 if score >= threshold else 0
        longest = max(longest, run)
    return longest


def _job(job: Job) -> Finding:
    masked = ", ".join(job.masked) or "nothing: no approved scope row for this work"
    rest = {
        True: "over threshold",
        False: "below threshold",
        None: "not to be scored",
    }[job.rest_over]
    text = (
        f"{job.kind} {job.job_id} was open (by {job.opened_by}). It masks {masked}; the rest of"
        f" the asset was {rest}."
    )
    return Finding(name="job", text=text)


def _lost(looks: Sequence[Look], at_ns: int) -> list[Finding]:
    """What was counted as not accepted around the time, over all assets."""
    near_ns = NEAR_S * SECOND_NS
    around = [look for look in looks if abs(look.t_ns - at_ns) <= near_ns]
    if len(around) < 2:
        return []
    grown = {
        name: count - around[0].counts.get(name, 0)
        for name, count in around[-1].counts.items()
        if name not in TAKEN and count > around[0].counts.get(name, 0)
    }
    if not grown:
        return []
    told = ", ".join(f"{count} {name}" for name, count in sorted(grown.items()))
    text = f"Not accepted within {NEAR_S} s, over all assets: {told}."
    return [Finding(name="not_accepted", text=text)]
