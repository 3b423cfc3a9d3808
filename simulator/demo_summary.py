"""The demo's summary: every figure of a run in a sentence, from its alerts and the truth. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

import msgspec

from edge.alerts.explain import number
from edge.assessment.assess import assess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.assessment.assess import Episode, Figures
    from edge.assessment.truth import Fault, TrueJob, Truth
    from simulator.scenario import Scenario

SHOWN_HOURS, SHOWN_ROBOTS = 8, 4  # from here on a shift has every situation
SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS


def headline_of(figures: Figures, missed: int, total: int) -> str:
    """The one line that sells it, computed from the run."""
    return (
        f"This shift: {figures.alerts_without_kb} alerts without records, "
        f"{figures.alerts_with_kb} with. Faults missed: {missed} of {total}."
    )


def summary_lines(figures: Figures, episodes: Sequence[Episode], scenario: Scenario) -> list[str]:
    """Every figure of the run in a sentence."""
    truth = scenario.truth
    lines = [_alerts_line(episodes, truth), *_fault_lines(figures, episodes, truth)]
    lines += _job_lines(figures, truth)
    wrong = figures.wrong_suppressions
    if figures.suppressions:
        lines.append(f"Wrong suppressions: {wrong or 'none'} of {figures.suppressions}.")
    if truth.faults and truth.jobs and scenario.twins is not None:
        return lines
    hours = (truth.end_ns - truth.begin_ns) / (3600 * SECOND_NS)
    more = [f"--hours {SHOWN_HOURS}"] if hours < SHOWN_HOURS else []
    more += [f"--robots {SHOWN_ROBOTS}"] if len(scenario.assets) < SHOWN_ROBOTS else []
    lacking = "no calibration and fault that look alike were in it"
    if not truth.faults or not truth.jobs:
        things = [name for name, seen in (("fault", truth.faults), ("job", truth.jobs)) if not seen]
        lacking = f"no {' and no '.join(things)} fell into it, so there was little to show"
    if not truth.faults and not truth.jobs:
        lacking = "nothing happened that could be shown: no fault and no job fell into it"
    hint = f" Try {' '.join(more)}." if more else ""
    return [*lines, f"This was a short or small shift; {lacking}.{hint}"]


def _alerts_line(episodes: Sequence[Episode], truth: Truth) -> str:
    """What every alert that rang was about."""
    rung = [episode for episode in episodes if episode.rang]
    touched: set[str] = set()
    of_faults = announced = unannounced = others = 0
    for episode in rung:
        about = {fault.fault_id for fault in truth.faults if _is_about(episode, fault, truth)}
        touched |= about
        if about:
            of_faults += 1
        elif assess([episode], truth).calibration_false_alarms_with_kb:
            announced += 1
        elif any(_is_unannounced(job, episode) for job in truth.jobs):
            unannounced += 1
        else:
            others += 1
    some = "" if len(touched) == len(truth.faults) else f"{len(touched)} of "
    days = max(truth.end_ns - truth.begin_ns, 1) / DAY_NS
    parts = [
        f"{of_faults} about {some}the {count_of(len(truth.faults), 'fault')}" if of_faults else "",
        f"{unannounced} of work that nobody announced" if unannounced else "",
        f"{announced} of announced work" if announced else "",
        f"{count_of(others, 'other')} ({number(others / days)} a day for the whole cell)"
        if others
        else "",
    ]
    told = ", ".join(part for part in parts if part)
    return f"{count_of(len(rung), 'alert')}: {told}." if rung else "Nothing rang."


def _is_about(episode: Episode, fault: Fault, truth: Truth) -> bool:
    """Whether a ring is no false alarm because of this fault, its aftermath included."""
    alone = msgspec.structs.replace(truth, faults=(fault,))
    return assess([episode], alone).false_alarms_per_day == 0


def _is_unannounced(job: TrueJob, episode: Episode) -> bool:
    """Whether an event began in work, or its settling, of which nobody told the gateway."""
    silent = not job.witness and not job.cancelled and job.asset == episode.asset
    return silent and job.begin_ns <= episode.begin_ns <= _settled_ns(job)


def _fault_lines(figures: Figures, episodes: Sequence[Episode], truth: Truth) -> list[str]:
    """How soon faults were found, which were hidden at first, and which were lost."""
    if not truth.faults:
        return []
    found = [outcome for outcome in figures.faults if outcome.outcome == "found"]
    delays = [outcome.delay_s for outcome in found]
    quick = ""
    if len(delays) == 1:
        quick = f", {_lasts(delays[0])} after it began"
    elif delays:
        median, longest = _lasts(statistics.median(delays)), _lasts(max(delays))
        quick = f", after {median} in the median and {longest} at the longest"
    total = count_of(figures.faults_total, "fault")
    lines = [f"{total} happened; Andon rang for {len(found)}{quick}."]
    by_id = {fault.fault_id: fault for fault in truth.faults}
    hidden = []
    for outcome in found:
        fault = by_id[outcome.fault_id]
        rang_ns = fault.begin_ns + round(outcome.delay_s * SECOND_NS)
        job = _hiding_job(fault, rang_ns, episodes, truth)
        if job is not None:
            hidden.append((outcome.delay_s, rang_ns, job))
    lines += _hidden_lines(hidden)
    if figures.faults_missed or figures.faults_undetected:
        lines.append(
            f"Faults that stayed hidden: {figures.faults_missed}; "
            f"not seen at all: {figures.faults_undetected}."
        )
    return lines


def _hidden_lines(hidden: Sequence[tuple[float, int, TrueJob]]) -> list[str]:
    """What was found late because work hid it: delay in seconds, time of the ring, the work."""
    if not hidden:
        return []
    settled = all(rang_ns >= _settled_ns(job) for _, rang_ns, job in hidden)
    ended = f"had ended{' and settled' if settled else ''}"
    longest = _lasts(max(delay_s for delay_s, _, _ in hidden))
    if len(hidden) > 1:
        many = f"{len(hidden)} of them were hidden by work and rang when that {ended}"
        return [f"{many}, at the latest {longest} after they began."]
    kind, asset = hidden[0][2].kind.replace("_", " "), hidden[0][2].asset
    one = f"One was hidden by a {kind} of {asset} and rang {longest} after it began"
    return [f"{one}, when that work {ended}."]


def _hiding_job(
    fault: Fault, rang_ns: int, episodes: Sequence[Episode], truth: Truth
) -> TrueJob | None:
    """The job that kept a fault's event quiet and ended before the fault rang."""
    quiet = [
        e
        for e in episodes
        if e.suppressed
        and e.asset == fault.asset
        and set(e.channels) & set(fault.channels)
        and (not e.ended_ns or e.ended_ns >= fault.begin_ns)
    ]
    for job in truth.jobs:
        beside = job.asset == fault.asset and not job.cancelled and job.begin_ns <= fault.end_ns
        held = any(job.begin_ns <= e.begin_ns <= _settled_ns(job) for e in quiet)
        if beside and held and fault.begin_ns <= job.end_ns < rang_ns:
            return job
    return None


def _job_lines(figures: Figures, truth: Truth) -> list[str]:
    """Which work was announced, and what that was worth."""
    if not truth.jobs:
        return []
    cancelled = sum(job.cancelled for job in truth.jobs)
    silent = len(truth.jobs) - cancelled - figures.jobs_witnessed
    parts = [f"{figures.jobs_witnessed} announced"]
    parts += [f"{silent} that nobody announced"] if silent else []
    parts += [f"{cancelled} cancelled"] if cancelled else []
    lines = [f"{count_of(figures.jobs_total, 'job')}: {', '.join(parts)}."]
    without = figures.calibration_false_alarms_without_kb
    quiet = without - figures.calibration_false_alarms_with_kb
    if without:
        often = "once" if without == 1 else f"{without} times"
        kept = "it" if quiet == without == 1 else f"{quiet if quiet < without else 'all'} of these"
        lines.append(
            f"Announced work would have rung {often}; {kept} stayed quiet, listed as expected."
        )
    return lines


def _settled_ns(job: TrueJob) -> int:
    return job.end_ns + job.settle_s * SECOND_NS


def count_of(n: int, thing: str) -> str:
    """A number of things."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def _lasts(seconds: float) -> str:
    """A length of time as one says it."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
