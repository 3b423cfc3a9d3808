"""Figures against the truth, on cases small enough to judge by hand."""

from __future__ import annotations

import msgspec
import pytest

from edge.assessment.assess import AFTERMATH_S, Episode, assess
from edge.assessment.truth import Fault, TrueJob, Truth
from kb.records import WorkKind

S = 1_000_000_000
HOUR = 3600 * S
FAULT = Fault(
    fault_id="f1",
    kind="gas_flow_loss",
    asset="r1",
    channels=("Flow",),
    begin_ns=1000 * S,
    end_ns=2000 * S,
    size_sigma=3.0,
)
JOB = TrueJob(
    job_id="j1",
    kind=WorkKind.CALIBRATION,
    asset="r1",
    instrument="flow",
    channels=("Flow",),
    begin_ns=900 * S,
    end_ns=1500 * S,
    witness="plant",
)


def episode(begin_s: int, *, rang_s: int = 0, end_s: int = 0, suppressed: bool = False) -> Episode:
    """An event on r1's flow."""
    return Episode(
        alert_id=f"e{begin_s}",
        count=1,
        asset="r1",
        track="process",
        begin_ns=begin_s * S,
        opened_ns=begin_s * S,
        rang_ns=rang_s * S,
        ended_ns=end_s * S,
        suppressed=suppressed,
        suppressed_channel="Flow" if suppressed else "",
        top_channel="Flow",
        channels=("Flow",),
    )


def truth(*, faults: tuple[Fault, ...] = (), jobs: tuple[TrueJob, ...] = ()) -> Truth:
    """A day."""
    return Truth(begin_ns=0, end_ns=24 * HOUR, faults=faults, jobs=jobs)


def test_a_ring_inside_the_fault_finds_it_with_its_delay() -> None:
    """Delay counts from the fault's begin to the ring."""
    figures = assess([episode(1010, rang_s=1012)], truth(faults=(FAULT,)))
    assert (figures.faults_found, figures.delay_median_s) == (1, 12.0)
    assert (figures.false_alarms_per_day, figures.wrong_suppressions) == (0.0, 0)


def test_silence_is_undetected_and_a_hidden_event_is_missed() -> None:
    """No event at all, against one that never rang."""
    assert assess([], truth(faults=(FAULT,))).faults_undetected == 1
    hidden = [episode(1010, end_s=1600, suppressed=True)]
    figures = assess(hidden, truth(faults=(FAULT,), jobs=(JOB,)))
    assert (figures.faults_missed, figures.wrong_suppressions) == (1, 1)


def test_a_masked_fault_may_ring_after_the_job_and_settling() -> None:
    """The fault was hidden until 1500 s; it has until settling and the delay budget are over."""
    long = msgspec.structs.replace(JOB, settle_s=800)
    late = [episode(1010, rang_s=1500 + 800 + 100, suppressed=True)]
    figures = assess(late, truth(faults=(FAULT,), jobs=(long,)))
    assert (figures.faults_found, figures.faults_missed) == (1, 0)
    too_late = [episode(1010, rang_s=1500 + 800 + 200, suppressed=True)]
    figures = assess(too_late, truth(faults=(FAULT,), jobs=(long,)))
    assert (figures.faults_missed, figures.wrong_suppressions) == (1, 1)


def test_a_job_that_hid_nothing_gives_no_more_time() -> None:
    """A ring long after the fault's end is not about it, whatever else went on."""
    late = [episode(1010, rang_s=2000 + 200)]
    assert assess(late, truth(faults=(FAULT,), jobs=(JOB,))).faults_missed == 1
    assert assess(late, truth(faults=(FAULT,), jobs=(JOB,))).wrong_suppressions == 0


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"rang_ns": 900 * S}, "missed"),  # it rang before: nobody hears anything new
        ({"rang_ns": 900 * S, "rang_again_ns": (1200 * S,)}, "found"),  # it had been acknowledged
        ({"rang_ns": 900 * S, "rang_again_ns": (950 * S, 2500 * S)}, "missed"),
        ({"channels": ("Pressure",)}, "undetected"),
        ({"track": "comms"}, "undetected"),
        ({"asset": "r11"}, "undetected"),
        ({"begin_ns": 800 * S, "rang_ns": 1010 * S}, "found"),  # hidden before, heard in the fault
    ],
)
def test_an_event_must_be_about_the_fault_to_find_it(
    change: dict[str, object], outcome: str
) -> None:
    """Not another asset's, not another channel's, and not what rang already."""
    event = msgspec.structs.replace(episode(900, rang_s=1010, end_s=2100), **change)
    figures = assess([event], truth(faults=(FAULT,)))
    assert [fault.outcome for fault in figures.faults] == [outcome]


NEIGHBOUR = msgspec.structs.replace(JOB, asset="r11")
OTHER_CHANNEL = msgspec.structs.replace(JOB, channels=("Pressure",))
CANCELLED = msgspec.structs.replace(JOB, cancelled=True)


@pytest.mark.parametrize("jobs", [(), (NEIGHBOUR,), (OTHER_CHANNEL,), (CANCELLED,)])
def test_a_suppression_without_a_true_job_and_channel_is_wrong(
    jobs: tuple[TrueJob, ...],
) -> None:
    """A neighbour's job, another channel's and a cancelled one excuse nothing."""
    figures = assess([episode(950, end_s=990, suppressed=True)], truth(jobs=jobs))
    assert figures.wrong_suppressions == 1


def test_a_ring_long_after_a_fault_is_a_false_alarm() -> None:
    """The aftermath is bounded."""
    after = 2000 + AFTERMATH_S
    near, far = episode(after - 1, rang_s=after - 1), episode(after + 1, rang_s=after + 1)
    assert assess([near], truth(faults=(FAULT,))).false_alarms_per_day == 0.0
    assert assess([far], truth(faults=(FAULT,))).false_alarms_per_day == 1.0


def test_alarms_of_a_witnessed_job_are_counted_with_and_without_knowledge() -> None:
    """Without: every event around the job, on whatever channel; with: those that rang."""
    short = msgspec.structs.replace(JOB, settle_s=100)
    after = msgspec.structs.replace(episode(1700, rang_s=1701), channels=("Pressure",))
    figures = assess([after, episode(1750, rang_s=1751)], truth(jobs=(short,)))
    assert figures.calibration_false_alarms_with_kb == 1, "until settling and budget are over"
    both = [episode(950, end_s=990, suppressed=True), episode(1100, rang_s=1101, end_s=1200)]
    figures = assess(both, truth(jobs=(JOB,)))
    assert figures.calibration_false_alarms_without_kb == 2
    assert figures.calibration_false_alarms_with_kb == 1
    assert (figures.alerts_without_kb, figures.alerts_with_kb) == (2, 1)
