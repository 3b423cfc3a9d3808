"""Plans of the weld cell: the mix in every seed, times, sizes, exact ids."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest

from kb.records import WorkKind
from simulator.cells.weld_plan import Plan, Profile, plan
from simulator.faults import FaultKind, PlannedFault

if TYPE_CHECKING:
    from simulator.jobs import PlannedJob

SHIFT_S = 8 * 3600
SEEDS = range(60)


class Span(NamedTuple):
    """What faults and jobs have in common."""

    begin_s: int
    end_s: int
    robot: int
    size: float


def _spans(found: Plan) -> list[Span]:
    jobs = [Span(job.begin_s, job.end_s, job.robot, job.size) for job in found.jobs]
    faults = [Span(f.begin_s, f.end_s, f.robot, f.size) for f in found.faults]
    return sorted(jobs + faults)


@pytest.fixture(scope="module")
def plans() -> dict[int, Plan]:
    """One shift of four robots for many seeds."""
    return {seed: plan(seed, robots=4, n=SHIFT_S) for seed in SEEDS}


def _of(found: Plan, situation: str) -> list[PlannedFault]:
    return [fault for fault in found.faults if fault.situation == situation]


def _job_over(found: Plan, fault: PlannedFault) -> PlannedJob:
    jobs = [
        job
        for job in found.jobs
        if job.robot == fault.robot
        and not job.cancelled_by
        and job.begin_s <= fault.begin_s < job.end_s
    ]
    assert len(jobs) == 1
    return jobs[0]


def test_every_seed_has_the_whole_mix(plans: dict[int, Plan]) -> None:
    """Six faults in every situation, seven or eight jobs with every witness and kind of work."""
    for found in plans.values():
        assert len(found.faults) == 6
        assert len(found.jobs) in (7, 8)
        counts = Counter(fault.situation for fault in found.faults)
        assert counts == {"alone": 2, "during_job": 2, "neighbour": 1, "after_cancelled": 1}
        done = [job for job in found.jobs if not job.cancelled_by]
        assert {job.witness for job in done} == {"plant", "person", "order", ""}
        assert {job.work.kind for job in done} >= {
            WorkKind.CALIBRATION,
            WorkKind.VERIFICATION,
            WorkKind.REPLACEMENT,
            WorkKind.CLEANING,
        }
        assert len({fault.kind for fault in found.faults}) >= 3


def test_over_seeds_everything_occurs(plans: dict[int, Plan]) -> None:
    """All kinds of fault, cancellations both ways, both cases of a fault during a job's witness."""
    faults = [fault for found in plans.values() for fault in found.faults]
    assert {fault.kind for fault in faults} == set(FaultKind)
    assert any(fault.marks[0].zero for fault in faults)
    cancelled = [job for found in plans.values() for job in found.jobs if job.cancelled_by]
    assert {job.cancelled_by for job in cancelled} == {"order", "person"}
    hidden_by = {
        _job_over(found, f).witness for found in plans.values() for f in _of(found, "during_job")
    }
    assert hidden_by >= {"plant", "person", "order"}


def test_one_fault_during_a_calibration_is_masked_whole_and_one_not_at_all(
    plans: dict[int, Plan],
) -> None:
    """A hidden fault lies within the scope and outlasts job and settling.

    The other lies outside.
    """
    for found in plans.values():
        inside = outside = 0
        for fault in _of(found, "during_job"):
            job = _job_over(found, fault)
            assert job.work.kind is WorkKind.CALIBRATION
            assert fault.begin_s > job.marks[0].begin_s
            channels = set(fault.channels)
            if channels <= set(job.work.channels):
                inside += 1
                assert fault.end_s >= job.end_s + job.work.settle_s + 8 * 60
                signs = {mark.channel: mark.size > 0 for mark in fault.marks}
                lasting = dict(job.lasting)
                assert all(lasting[name] * (1 if up else -1) >= 0 for name, up in signs.items())
            else:
                outside += 1
                assert not channels & set(job.work.channels)
        assert (inside, outside) == (1, 1)


def test_neighbour_and_cancelled_faults_stand_where_a_careless_rule_would_hide_them(
    plans: dict[int, Plan],
) -> None:
    """On the very channels, at the very time, of work next door, or of work that was called off."""
    for found in plans.values():
        (neighbour,) = _of(found, "neighbour")
        (job,) = [
            job
            for job in found.jobs
            if abs(job.robot - neighbour.robot) == 1
            and job.begin_s <= neighbour.begin_s < job.end_s
            and job.job_id == found.twins[0]  # type: ignore[index]
        ]
        assert set(neighbour.channels) <= set(job.work.channels)
        (after,) = _of(found, "after_cancelled")
        (cancelled,) = [job for job in found.jobs if job.cancelled_by]
        assert cancelled.robot == after.robot
        assert set(after.channels) <= set(cancelled.work.channels)
        assert cancelled.told_s < cancelled.begin_s <= after.begin_s < cancelled.end_s
        assert cancelled.approved_s < cancelled.told_s or cancelled.cancelled_by == "person"
        assert not cancelled.marks


def test_times_leave_room_between_and_at_the_ends(plans: dict[int, Plan]) -> None:
    """A quarter of an hour between two situations of a robot, twenty minutes at the end."""
    for found in plans.values():
        for robot in range(1, 5):
            spans = [span[:2] for span in _spans(found) if span.robot == robot]
            merged = [spans[0]]
            for begin, end in spans[1:]:
                if begin < merged[-1][1]:  # a fault with its own job
                    merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
                else:
                    merged.append((begin, end))
            gaps = [b[0] - a[1] for a, b in pairwise(merged)]
            assert min(gaps, default=900) >= 15 * 60 - 1
            assert merged[0][0] >= 20 * 60
            faults = sorted((f.begin_s, f.end_s) for f in found.faults if f.robot == robot)
            assert all(a[1] < b[0] for a, b in pairwise(faults))
        assert max(span.end_s for span in _spans(found)) <= SHIFT_S - 20 * 60
        for fault in found.faults:
            assert 6 * 60 <= fault.end_s - fault.begin_s <= 131 * 60
        for job in found.jobs:
            assert 10 * 60 <= job.end_s - job.begin_s <= 42 * 60
            if job.marks:
                assert job.begin_s + 20 <= job.marks[0].begin_s
                assert job.marks[0].end_s <= job.end_s - 20


def test_sizes_of_jobs_and_faults_overlap_wholly(plans: dict[int, Plan]) -> None:
    """Nobody can tell work from fault by size: both fill 1.5 to 6 sigma, channel by channel."""
    faults = [f.size for found in plans.values() for f in found.faults]
    jobs = [j.size for found in plans.values() for j in found.jobs if not j.cancelled_by]
    for sizes in (faults, jobs):
        assert min(sizes) >= 1.5
        assert max(sizes) <= 6.0
        assert min(sizes) < 1.8
        assert max(sizes) > 5.7
    marked = {m.channel for found in plans.values() for f in found.faults for m in f.marks}
    worked = {m.channel for found in plans.values() for j in found.jobs for m in j.marks}
    assert marked == worked


def test_every_seed_has_two_nearly_identical_marks(plans: dict[int, Plan]) -> None:
    """A calibration that plant or person witnesses and a fault: channel, shape, size within 5 %."""
    neighbours = 0
    for found in plans.values():
        assert found.twins is not None
        (job,) = [job for job in found.jobs if job.job_id == found.twins[0]]
        (fault,) = [fault for fault in found.faults if fault.fault_id == found.twins[1]]
        assert job.witness in ("plant", "person")
        assert job.work.kind is WorkKind.CALIBRATION
        assert job.robot != fault.robot
        assert [(m.channel, m.shape) for m in job.marks] == [
            (m.channel, m.shape) for m in fault.marks
        ]
        assert fault.marks[0].size == pytest.approx(job.marks[0].size, rel=0.05)
        neighbours += fault.situation == "neighbour"
    assert 10 < neighbours < 50


def test_ids_are_unique_and_belong_to_exactly_one_robot() -> None:
    """With more than nine robots r1 and r10 are near misses; every id names its robot whole."""
    found = plan(3, robots=12, n=2 * SHIFT_S)
    ids = [job.job_id for job in found.jobs] + [fault.fault_id for fault in found.faults]
    assert len(set(ids)) == len(ids)
    orders = [job.order_id for job in found.jobs]
    assert len(set(orders)) == len(orders)
    for item, name in [(job, job.job_id) for job in found.jobs]:
        assert name.split("-")[1] == f"r{item.robot}"
    assert {item.robot for item in found.jobs} == set(range(1, 13))


@pytest.mark.parametrize("robots", [1, 2, 3, 4, 9, 10])
def test_a_robot_more_leaves_the_plans_of_the_others(robots: int) -> None:
    """Plans are drawn whole; robots that are not there only lose their share."""
    small = plan(11, robots=robots, n=SHIFT_S)
    large = plan(11, robots=robots + 1, n=SHIFT_S)
    assert small.jobs == tuple(job for job in large.jobs if job.robot <= robots)
    assert small.faults == tuple(fault for fault in large.faults if fault.robot <= robots)


def test_nights_have_no_work_and_later_shifts_leave_earlier_ones() -> None:
    """Two shifts and a night a day; the first shift is planned alike however many follow."""
    day = plan(5, robots=4, n=3 * SHIFT_S)
    shift = plan(5, robots=4, n=SHIFT_S)
    assert set(shift.faults) <= set(day.faults)
    assert len(day.faults) == 12
    assert max(span.end_s for span in _spans(day)) < 2 * SHIFT_S


def test_a_short_cell_keeps_whole_situations_only() -> None:
    """What does not end twenty minutes before the end is left out with all that belongs to it."""
    for seed in range(10):
        found = plan(seed, robots=4, n=3 * 3600)
        assert all(span.end_s <= 3 * 3600 - 1200 for span in _spans(found))
        for fault in _of(found, "during_job"):
            _job_over(found, fault)


def test_a_profile_bounds_the_sizes() -> None:
    """Smallest and largest mark can be chosen."""
    found = plan(1, robots=4, n=SHIFT_S, profile=Profile(size_sigma_min=3.0, size_sigma_max=4.0))
    sizes = [span.size for span in _spans(found) if span.size]
    assert all(2.9 <= size <= 4.13 for size in sizes)
