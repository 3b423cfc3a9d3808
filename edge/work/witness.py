"""What opens, closes and cancels jobs: edges of plant signals, and orders told again and again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edge.caps import EDGES_MAX, EDGES_S
from edge.records import JobState, Witness
from edge.state import Pending
from edge.work.jobs import Ending, Stage, Told, end_run, job_id_of, make_job, new_run

if TYPE_CHECKING:
    from edge.asset import Asset
    from edge.batches import ContextChange
    from edge.desk import Desk
    from edge.records import Job
    from edge.settings import ContextTag
    from edge.work.jobs import JobRun
    from kb.records import Proposal


SECOND_NS: Final = 1_000_000_000


def plant_edge(asset: Asset, change: ContextChange, *, desk: Desk) -> None:
    """A live edge of a witness tag: rising opens one job at its own time, falling closes it.

    A retained value, the first value ever seen and a change out of the unknown open nothing, and
    are no beat of a heartbeat.
    """
    tag = next((t for t in asset.settings.context if t.tag == change.tag), None)
    if tag is not None and tag.role == "heartbeat" and change.live:
        asset.beat(tag.tag, change.t_ns)
    if tag is None or tag.role != "witness" or tag.kind is None:
        return
    up = change.value != 0.0 and change.previous == 0.0
    down = change.value == 0.0 and not math.isnan(change.previous)
    if up and change.live:
        usual = not _flickers(asset, change, desk=desk)
        if usual and not _open_by_edge(asset, tag, change, desk=desk):
            name = asset.model.asset
            desk.note("job_refused", level="warning", asset=name, tag=tag.tag, t_ns=change.t_ns)
    elif down:
        for run in asset.state.runs:
            if run.job.source == tag.tag:
                end_job(asset, run.job.job_id, action="close", t_ns=change.t_ns)


def _flickers(asset: Asset, change: ContextChange, *, desk: Desk) -> bool:
    """Whether a tag has risen more often of late than work begins; then it opens nothing.

    Told once, with the first edge too many.
    """
    edges = asset.state.edges_ns.setdefault(change.tag, [])
    edges[:] = [t for t in edges if change.t_ns - EDGES_S * SECOND_NS < t <= change.t_ns]
    if len(edges) == EDGES_MAX:
        name = asset.model.asset
        desk.note("witness_flickers", level="warning", asset=name, tag=change.tag, t_ns=change.t_ns)
    if len(edges) <= EDGES_MAX:
        edges.append(change.t_ns)
    return len(edges) > EDGES_MAX


def _open_by_edge(asset: Asset, tag: ContextTag, change: ContextChange, *, desk: Desk) -> bool:
    """False: too many jobs wait."""
    assert tag.kind is not None
    name = asset.model.asset
    scope = desk.scope_of(tag.kind, name, tag.instrument, now_ns=change.t_ns)
    told = Told(
        job_id=job_id_of(name, tag.tag, change.t_ns),
        kind=tag.kind,
        asset=name,
        instrument=tag.instrument,
        valid_from_ns=change.t_ns,
        valid_to_ns=None,
        witness=Witness.PLANT,
        opened_by=tag.tag,
        now_ns=change.t_ns,
        source=tag.tag,
        signed=True,  # a wire has no key; the broker's access list guards it
    )
    return add_job(asset, make_job(told, scope=scope, settings=desk.settings.engine))


def add_job(asset: Asset, job: Job, *, publish: bool = True) -> bool:
    """Give an asset a job; False when it has one of that id, or too many."""
    run = new_run(job, channels=asset.channels, safety=asset.settings.safety)
    done = asset.add_job(run)
    if done and publish:
        asset.proposals_changed(job.recorded_at_ns)
    return done


def order_told(asset: Asset, order: Proposal, job: Job | None, *, desk: Desk) -> bool:
    """An order is told again and again: the newest word counts. job: what it witnesses, or None.

    What was planned follows it. Work that goes on is never lengthened by it: it ends when the order
    now says, at once when the order is no witness any more or speaks of another time. Of two words
    of one moment the one that withdraws counts. False: too many jobs wait to take it.
    """
    told_ns = order.recorded_at_ns
    known = (run for run in asset.state.runs if run.job.job_id == order.proposal_id)
    run = next(known, None)
    if run is None:
        ended = asset.state.ended_orders.get(order.proposal_id)
        if ended is not None and told_ns <= ended.ended_ns:
            return True  # the same word again
        return job is None or add_job(asset, job, publish=False)
    known_ns = max(run.job.recorded_at_ns, 0 if order.cancelled else run.ended_ns)
    if known_ns > told_ns or (known_ns == told_ns and job is not None):
        return True
    if order.cancelled and run.stage is Stage.SCHEDULED:
        end_run(run, t_ns=told_ns, ending=Ending.CANCELLED)
        name, detail = asset.model.asset, f"{order.kind}, was scheduled; told by its order"
        desk.audited("cancelled", asset=name, t_ns=told_ns, job_id=run.job.job_id, detail=detail)
    elif order.cancelled:
        end_job(asset, order.proposal_id, action="cancel", t_ns=told_ns)
    elif run.job.witness is not Witness.ORDER:
        pass  # a person's word stands
    elif run.fuse_end_ns == 0 and job is None and excuses(asset, order.proposal_id):
        end_job(asset, order.proposal_id, action="cancel", t_ns=told_ns)
    elif run.fuse_end_ns == 0:  # it never opened: planned anew
        asset.state.runs.remove(run)
        return job is None or add_job(asset, job, publish=False)
    elif job is None or job.valid_from_ns > told_ns:
        end_job(asset, order.proposal_id, action="cancel", t_ns=told_ns)
    else:
        assert job.valid_to_ns is not None, "an order witnesses a bounded time"
        end_job(asset, order.proposal_id, action="close", t_ns=max(job.valid_to_ns, told_ns))
    return True


def excuses(asset: Asset, job_id: str) -> bool:
    """Whether a job, over or not, explains something that rang before it became known."""
    return any(alert.excused_by == job_id for alert in asset.state.alerts.values())


def end_job(asset: Asset, job_id: str, *, action: str, t_ns: int, operator: str = "") -> bool:
    """Close or cancel a job at a plant time; False when it is not there or over already.

    What is over can still be cancelled while it explains something, or if it kept something quiet.
    Said more than once, the earliest time counts.
    """
    runs = [run for run in asset.state.runs if run.job.job_id == job_id]
    if not any(_can_end(asset, run, action) for run in runs):
        return False
    others = [p for p in asset.state.pending if (p.job_id, p.action) != (job_id, action)]
    same = [p.t_ns for p in asset.state.pending if (p.job_id, p.action) == (job_id, action)]
    pending = Pending(t_ns=min([t_ns, *same]), action=action, job_id=job_id, operator=operator)
    asset.state.pending = [*others, pending]
    return True


def _can_end(asset: Asset, run: JobRun, action: str) -> bool:
    if run.stage not in (Stage.OWED, Stage.DONE):
        return True
    untold = bool(run.hid) and run.job.state is not JobState.CANCELLED
    owed = run.stage is Stage.OWED
    return action == "cancel" and (owed or untold or excuses(asset, run.job.job_id))
