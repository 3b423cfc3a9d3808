"""A simulated operator: sees what Andon proposes, and confirms it late, sometimes wrongly.

He knows what really goes on, never what Andon will decide. A proposal of work that is really done
is confirmed a while after both have come, the proposal and the work, and checked out a while after
the work is over; one of work that nobody does is confirmed at a stated rate.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.recording import TimedMessage
from edge.records import Publish

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge.records import Effect
    from edge.truth import TrueJob, Truth

SECOND_NS: Final = 1_000_000_000
MILLISECOND_NS: Final = 1_000_000
NAME: Final = "op-sim"
EARLY_NS: Final = 3_600 * SECOND_NS  # a proposal may speak of work this long before it is done
LATE_NS: Final = 12 * 3_600 * SECOND_NS  # and this long after: the log of the shift


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How an operator taps. delay_s: from seeing to tapping; wrong_rate: of proposals without work.

    check_out: whether he says when the work is over; else the fuse ends the job.
    """

    delay_s: float = 120.0
    wrong_rate: float = 0.02
    check_out: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tap:
    """Something that he is about to send: a confirmation, or the command in `body`."""

    proposal_id: str
    job: TrueJob | None
    body: dict[str, Any] | None = None


@dataclass(slots=True)
class Operator:
    """Answers proposals of one run. `taps` are the ids that he confirmed, `wrong` without work."""

    truth: Truth
    site: str
    seed: int
    habits: Habits = field(default_factory=Habits)
    prefix: str = "andon"
    taps: dict[str, str] = field(default_factory=dict)  # proposal -> true job, "" where wrong
    _seen: set[str] = field(default_factory=set)
    _jobs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # as last listed
    _due: list[tuple[int, int, _Tap]] = field(default_factory=list)
    _answered: set[str] = field(default_factory=set)  # true jobs
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def wrong(self) -> int:
        """Proposals confirmed though nobody did the work."""
        return sum(not job for job in self.taps.values())

    def saw(self, effect: Effect, now_ns: int) -> None:
        """Look at a list of jobs and proposals as it is published."""
        head = f"{self.prefix}/{self.site}/job/"
        if not isinstance(effect, Publish) or not effect.topic.startswith(head):
            return
        listed = msgspec.json.decode(effect.payload)
        self._jobs[listed["asset"]] = listed["jobs"]
        for proposal in listed["proposals"]:
            if proposal["job_id"] not in self._seen:
                self._seen.add(proposal["job_id"])
                self._consider(listed["asset"], proposal, now_ns)

    def _consider(self, asset: str, proposal: dict[str, Any], now_ns: int) -> None:
        delay_ns = int(self.habits.delay_s * SECOND_NS)
        begin_ms = proposal["valid_from_ms"]
        about_ns = now_ns if begin_ms is None else begin_ms * MILLISECOND_NS
        job = self._meant(asset, proposal, about_ns)
        if job is not None:
            if job.job_id in self._answered:
                return
            self._answered.add(job.job_id)
            at_ns = max(now_ns, job.begin_ns) + delay_ns
            self._tap(proposal["job_id"], job, at_ns)
            return
        draw = random.Random(f"{self.seed}/{proposal['job_id']}")  # noqa: S311 - simulation
        if draw.random() < self.habits.wrong_rate:
            self._tap(proposal["job_id"], None, max(now_ns, about_ns) + delay_ns)

    def _meant(self, asset: str, proposal: dict[str, Any], about_ns: int) -> TrueJob | None:
        """The work that a proposal speaks of, if somebody does it."""
        fits = [
            job
            for job in self.truth.jobs
            if job.asset == asset
            and not job.cancelled
            and job.kind == proposal["kind"]
            and proposal["instrument"] in ("", job.instrument)
            and job.begin_ns - EARLY_NS <= about_ns <= job.end_ns + LATE_NS
        ]
        return min(fits, key=lambda job: abs(job.begin_ns - about_ns), default=None)

    def _tap(self, proposal_id: str, job: TrueJob | None, at_ns: int) -> None:
        tap = _Tap(proposal_id=proposal_id, job=job)
        heapq.heappush(self._due, (at_ns, next(self._numbers), tap))

    def among(self, messages: Iterable[TimedMessage]) -> Iterator[TimedMessage]:
        """The messages of a plant with his commands among them, each at its time."""
        for message in messages:
            while self._due and self._due[0][0] <= message.t_ns:
                t_ns, _, tap = heapq.heappop(self._due)
                yield from self._told(tap, t_ns)
            yield message

    def _told(self, tap: _Tap, t_ns: int) -> Iterator[TimedMessage]:
        """What he sends at one moment; nothing where the list says that it is known already."""
        job, body = tap.job, tap.body
        if body is None:
            if job is not None and self._listed(job):
                return
            self.taps[tap.proposal_id] = job.job_id if job is not None else ""
            said: dict[str, Any] = {"proposal_id": tap.proposal_id}
            if job is not None:  # he knows what they work on, and since when
                begin_ms = min(job.begin_ns, t_ns) // MILLISECOND_NS
                said |= {"instrument": job.instrument, "valid_from": begin_ms}
            yield self._command("confirm", said, t_ns)
            if job is not None and self.habits.check_out:
                done = {"action": "check_out", "job_id": tap.proposal_id}
                at_ns = max(job.end_ns, t_ns) + int(self.habits.delay_s * SECOND_NS)
                later = _Tap(proposal_id=tap.proposal_id, job=job, body=done)
                heapq.heappush(self._due, (at_ns, next(self._numbers), later))
            return
        yield self._command("job", body, t_ns)

    def _listed(self, job: TrueJob) -> bool:
        """Whether the list shows this work as open, or planned with a witness."""
        return any(
            one["kind"] == job.kind
            and one["instrument"] in ("", job.instrument)
            and one["state"] in ("scheduled", "open")
            for one in self._jobs.get(job.asset, ())
        )

    def _command(self, name: str, body: dict[str, Any], t_ns: int) -> TimedMessage:
        payload = msgspec.json.encode({"ts": t_ns // MILLISECOND_NS, **body})
        topic = f"{self.prefix}/{self.site}/cmd/{NAME}/{name}"
        return TimedMessage(t_ns=t_ns, topic=topic, payload=payload)
