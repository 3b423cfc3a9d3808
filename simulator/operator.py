"""A simulated operator: sees what Andon proposes, and confirms it late, sometimes wrongly.

He knows what really goes on and what is planned, never what Andon will decide. A proposal of work
that is really done is confirmed a while after he has seen it: beforehand where it tells the plan
about right, else once the work has begun, with its times; it is checked out a while after it is
over, and extended where it would end before. One of work that nobody does is confirmed at a stated
rate. What rang is acknowledged.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.recordings.recording import TimedMessage
from edge.records import Publish

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge.assessment.truth import TrueJob, Truth
    from edge.records import Effect

SECOND_NS: Final = 1_000_000_000
MILLISECOND_NS: Final = 1_000_000
NAME: Final = "op-sim"
EARLY_NS: Final = 3_600 * SECOND_NS  # a proposal may speak of work this long before it is done
LATE_NS: Final = 12 * 3_600 * SECOND_NS  # and this long after: the log of the shift
NEAR_NS: Final = 240 * SECOND_NS  # a plan this near to what is done is right enough
SOON_NS: Final = 600 * SECOND_NS  # work that is said to go on, and begins in earnest this soon
EXTEND_NS: Final = 60 * SECOND_NS  # before a job would end, if the work is not over


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How an operator taps. delay_s: from seeing to tapping; wrong_rate: of proposals without work.

    check_out: whether he says when the work is over, or not yet; else the fuse ends the job.
    acknowledge_s: from a ring to its acknowledgement.
    """

    delay_s: float = 120.0
    wrong_rate: float = 0.02
    check_out: bool = True
    acknowledge_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tap:
    """Something that he is about to send: a confirmation, or `body` as the command `name`."""

    proposal_id: str = ""
    job: TrueJob | None = None
    name: str = ""
    body: dict[str, Any] | None = None


@dataclass(slots=True)
class Operator:
    """Answers proposals of one run. `taps` are the ids that he confirmed, `wrong` without work.

    confirms: whether he looks at proposals at all.
    """

    truth: Truth
    site: str
    seed: int
    habits: Habits = field(default_factory=Habits)
    confirms: bool = True
    prefix: str = "andon"
    taps: dict[str, str] = field(default_factory=dict)  # proposal -> true job, "" where wrong
    _seen: set[str] = field(default_factory=set)
    _jobs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # as last listed
    _due: list[tuple[int, int, _Tap]] = field(default_factory=list)
    _answered: set[str] = field(default_factory=set)  # true jobs
    _extended: set[tuple[str, int]] = field(default_factory=set)  # job and the end that it had
    _heard: set[tuple[str, int]] = field(default_factory=set)  # events that he acknowledges
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def wrong(self) -> int:
        """Proposals confirmed though nobody did the work."""
        return sum(not job for job in self.taps.values())

    def saw(self, effect: Effect, now_ns: int) -> None:
        """Look at an alert or at a list of jobs and proposals as it is published."""
        if not isinstance(effect, Publish):
            return
        head = f"{self.prefix}/{self.site}"
        if effect.topic.startswith(f"{head}/event/"):
            self._hear(msgspec.json.decode(effect.payload), now_ns)
        elif self.confirms and effect.topic.startswith(f"{head}/job/"):
            listed = msgspec.json.decode(effect.payload)
            self._jobs[listed["asset"]] = listed["jobs"]
            for job in listed["jobs"]:
                self._prolong(job)
            for proposal in listed["proposals"]:
                if proposal["job_id"] not in self._seen:
                    self._seen.add(proposal["job_id"])
                    self._consider(listed["asset"], proposal, now_ns)

    def _hear(self, event: dict[str, Any], now_ns: int) -> None:
        heard = event["id"], event["count"]
        if event["state"] == "ACTIVE_UNACK" and heard not in self._heard:
            self._heard.add(heard)
            tap = _Tap(name="ack", body={"alert_id": event["id"]})
            self._tap(tap, now_ns + int(self.habits.acknowledge_s * SECOND_NS))

    def _prolong(self, listed: dict[str, Any]) -> None:
        """Say in time that work which he has confirmed takes longer than its job would."""
        done = [job for job in self.truth.jobs if job.job_id == self.taps.get(listed["job_id"])]
        if not done or not self.habits.check_out or listed["state"] != "open":
            return
        ends = [listed[name] for name in ("valid_to_ms", "fuse_ms") if listed[name] is not None]
        end_ns = min(ends) * MILLISECOND_NS
        until_ns = done[0].end_ns + 2 * int(self.habits.delay_s * SECOND_NS)
        if end_ns < until_ns and (listed["job_id"], end_ns) not in self._extended:
            self._extended.add((listed["job_id"], end_ns))
            body = {"action": "extend", "job_id": listed["job_id"]}
            body["valid_to"] = until_ns // MILLISECOND_NS
            self._tap(_Tap(name="job", body=body), end_ns - EXTEND_NS)

    def _consider(self, asset: str, proposal: dict[str, Any], now_ns: int) -> None:
        delay_ns = int(self.habits.delay_s * SECOND_NS)
        begin_ms = proposal["valid_from_ms"]
        about_ns = now_ns if begin_ms is None else begin_ms * MILLISECOND_NS
        job = self._meant(asset, proposal, about_ns)
        if job is not None:
            if job.job_id in self._answered:
                return
            self._answered.add(job.job_id)
            begun = about_ns <= now_ns and job.begin_ns - now_ns <= SOON_NS
            planned = begun or abs(about_ns - job.begin_ns) <= NEAR_NS
            seen_ns = now_ns if planned else max(now_ns, job.begin_ns)
            self._tap(_Tap(proposal_id=proposal["job_id"], job=job), seen_ns + delay_ns)
            return
        draw = random.Random(f"{self.seed}/{proposal['job_id']}")  # noqa: S311 - simulation
        if draw.random() < self.habits.wrong_rate:
            self._tap(_Tap(proposal_id=proposal["job_id"]), max(now_ns, about_ns) + delay_ns)

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

    def _tap(self, tap: _Tap, at_ns: int) -> None:
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
        job = tap.job
        if tap.body is not None:
            yield self._command(tap.name, tap.body, t_ns)
            return
        if job is not None and self._listed(job):
            return
        self.taps[tap.proposal_id] = job.job_id if job is not None else ""
        said: dict[str, Any] = {"proposal_id": tap.proposal_id, "reason": "it is listed"}
        if job is not None:  # he knows what they work on, and since when, once they do
            said["instrument"] = job.instrument
            if job.begin_ns <= t_ns:
                said["valid_from"] = job.begin_ns // MILLISECOND_NS
        yield self._command("confirm", said, t_ns)
        if job is not None and self.habits.check_out:
            at_ns = max(job.end_ns, t_ns) + int(self.habits.delay_s * SECOND_NS)
            done = {"action": "check_out", "job_id": tap.proposal_id}
            self._tap(_Tap(name="job", body=done), at_ns)

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
