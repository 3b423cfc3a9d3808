"""The handover sheet: what the next shift has to know.

Pure. Times are plant time, ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.reports.life import events_of, states_at
from edge.reports.transitions import GROUP_ASSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.reports.life import Event
    from edge.reports.transitions import Transition
    from edge.wire.outgoing import JobPayload, JobsPayload, SilencePayload


GOES_ON: Final = ("scheduled", "open", "settling", "owed")  # stages of a job that is not over


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An alert on the sheet. rang_ms: its first horn, None: none of its own."""

    asset: str
    track: str
    id: str
    state: str
    severity: str
    priority: int
    begin_ms: int
    rang_ms: int | None
    rings: int
    acked: bool
    message: str
    job_id: str = ""
    rings_again_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """What an operator keeps quiet by hand."""

    asset: str
    track: str
    operator: str
    owner: str
    reason: str
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """Where Andon sees nothing, or not all, and why."""

    asset: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job that is open, or a proposal that somebody has to confirm."""

    asset: str
    id: str
    kind: str
    instrument: str
    state: str
    begin_ms: int | None
    end_ms: int | None
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What only a running gateway says, and when that was; None where nobody was asked."""

    t_ms: int
    jobs: tuple[JobsPayload, ...] = ()
    blind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """The sheet of a shift. now_ms: when jobs, silences and blind assets were asked, 0: not."""

    begin_ms: int
    end_ms: int
    since_ms: int
    now_ms: int
    new: tuple[Line, ...]
    standing: tuple[Line, ...]
    suppressed: tuple[Line, ...]
    shelved: tuple[Line, ...]
    out_of_service: tuple[Line, ...]
    silences: tuple[Quiet, ...]
    services: tuple[Quiet, ...]
    blind: tuple[Blind, ...]
    confirm: tuple[Work, ...]
    open_jobs: tuple[Work, ...]
    rang: int  # events that rang in the shift
    avoided: int  # events that began in it and that a job kept quiet until now, or to their end


def handover(
    transitions: Sequence[Transition],
    *,
    begin_ms: int,
    end_ms: int,
    since_ms: int = 0,
    now: Now | None = None,
) -> Handover:
    """The sheet of a shift; transitions in the order of decisions, also from before."""
    known = [one for one in transitions if one.t_ms <= end_ms and not one.shadow]
    every = events_of(known)
    newest = {(one.asset, one.track): one for one in every}
    states = states_at(known, end_ms)
    new = [e for e in every if _asked_ms(e) >= begin_ms]
    fresh = {id(e) for e in new}
    standing = [
        e
        for e in newest.values()
        if e.rang_ms is not None and _waits(e.last) and id(e) not in fresh
    ]
    by_state = {
        name: [
            _line(newest[topic])
            for topic, one in sorted(states.items())
            if getattr(one, name) and one.state.startswith("ACTIVE")
        ]
        for name in ("suppressed", "shelved", "out_of_service")
    }
    return Handover(
        begin_ms=begin_ms,
        end_ms=end_ms,
        since_ms=max(begin_ms, since_ms),
        now_ms=0 if now is None else now.t_ms,
        new=_sorted(new),
        standing=_sorted(standing),
        suppressed=tuple(by_state["suppressed"]),
        shelved=tuple(by_state["shelved"]),
        out_of_service=tuple(by_state["out_of_service"]),
        silences=_silences(now, "shelved"),
        services=_silences(now, "out_of_service"),
        blind=_blind(states.values(), now),
        confirm=_work(now, proposals=True),
        open_jobs=_work(now, proposals=False),
        rang=sum(e.asset != GROUP_ASSET for e in new),
        avoided=sum(e.first_ms >= begin_ms and e.avoided for e in every if e.asset != GROUP_ASSET),
    )


def _asked_ms(event: Event) -> int:
    """When it first asked for somebody: by itself, else through its group; -1: never."""
    asked = event.horns_ms[0] if event.horns_ms else event.rang_ms
    return -1 if asked is None else asked


def _waits(one: Transition) -> bool:
    """Whether somebody still has to do with it: it is active and rings, or nobody has seen it."""
    quiet = one.suppressed or one.shelved or one.out_of_service
    return not quiet and (one.state.startswith("ACTIVE") or one.state == "CLEARED_UNACK")


def _sorted(events: Iterable[Event]) -> tuple[Line, ...]:
    """Whatever needs somebody first: active, not seen, of high priority, old."""
    lines = [_line(one) for one in events]
    return tuple(
        sorted(
            lines,
            key=lambda one: (
                not one.state.startswith("ACTIVE"),
                one.acked,
                one.priority or 9,
                one.begin_ms,
                one.asset,
                one.track,
            ),
        )
    )


def _line(event: Event) -> Line:
    one = event.last
    return Line(
        asset=one.asset,
        track=one.track,
        id=one.id,
        state=one.state,
        severity=one.severity,
        priority=one.priority,
        begin_ms=one.begin_ms,
        rang_ms=event.horns_ms[0] if event.horns_ms else None,
        rings=len(event.horns_ms),
        acked=bool(one.acked),
        message=one.message,
        job_id=one.job_id,
        rings_again_ms=one.rings_again_ms,
    )


def _silences(now: Now | None, kind: str) -> tuple[Quiet, ...]:
    found = [
        (jobs.asset, one)
        for jobs in (now.jobs if now is not None else ())
        for one in jobs.silences
        if one.kind == kind
    ]
    return tuple(_quiet(asset, one) for asset, one in sorted(found, key=lambda each: each[0]))


def _quiet(asset: str, one: SilencePayload) -> Quiet:
    return Quiet(
        asset=asset,
        track=one.track,
        operator=one.operator,
        owner=one.owner,
        reason=one.reason,
        end_ms=one.end_ms,
    )


def _blind(states: Iterable[Transition], now: Now | None) -> tuple[Blind, ...]:
    """Broken sensors and silent sources by their alerts, and assets without a score."""
    found = [
        Blind(asset=one.asset, why=one.message or one.sensor_class or one.track)
        for one in states
        if one.track in ("sensor", "comms") and one.state.startswith("ACTIVE")
    ]
    told = {one.asset for one in found}
    rest = [asset for asset in (now.blind if now is not None else ()) if asset not in told]
    found += [Blind(asset=asset, why="") for asset in rest]
    return tuple(sorted(found, key=lambda one: (one.asset, one.why)))


def _work(now: Now | None, *, proposals: bool) -> tuple[Work, ...]:
    found = [
        _one_work(jobs.asset, one)
        for jobs in (now.jobs if now is not None else ())
        for one in (jobs.proposals if proposals else jobs.jobs)
        if proposals or one.state in GOES_ON
    ]
    return tuple(sorted(found, key=lambda one: (one.begin_ms or 0, one.asset, one.id)))


def _one_work(asset: str, one: JobPayload) -> Work:
    return Work(
        asset=asset,
        id=one.job_id,
        kind=one.kind,
        instrument=one.instrument,
        state=one.state,
        begin_ms=one.valid_from_ms,
        end_ms=one.valid_to_ms,
        quote=one.quotes[0] if one.quotes else "",
    )
