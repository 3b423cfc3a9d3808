"""News: an event that rings already gets worse, so it rings again, whoever has acknowledged it.

Another channel fails, a channel passes an engineering limit that was not said of it yet, or the
score is twice what was said and another channel carries it: what began as one thing is another by
now, and whoever looked at the first would not see the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.alerts.alerts import CLASSES
from edge.records import Clause, Track, Verdict
from edge.samples.limits import level_name, newest_limits
from edge.settings import samples_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.alerts.alerts import AlertRecord, Contribution
    from edge.desk import Desk
    from edge.records import Decision
    from edge.state import AssetState
    from edge.verdicts.aftermath import Voice
    from edge.verdicts.facts import FactFinder

WORSE: Final = 2.0  # times the score that was said last
LOOK_SAMPLES_MIN: Final = 3  # slow samples cost little
LOOK_SAMPLES: Final = 30  # between two looks at what carries a score: it costs as much as scoring


class News:
    """Tells on one asset's alerts what became worse. Times are plant time, ns."""

    def __init__(
        self,
        channels: Sequence[str],
        *,
        period_ns: int,
        state: AssetState,
        desk: Desk,
        facts: FactFinder,
        voice: Voice,
    ) -> None:
        self._channels = channels
        self._look_ns = samples_in(LOOK_SAMPLES, period_ns, least=LOOK_SAMPLES_MIN) * period_ns
        self._state = state
        self._desk = desk
        self._facts = facts
        self._voice = voice

    def tell(
        self,
        record: AlertRecord,
        parts: tuple[Contribution, ...],
        *,
        decision: Decision,
        t_ns: int,
        reason: str,
    ) -> None:
        """Ring again with other contributions; what was considered before still stands."""
        considered = tuple(one for one in record.sentences if one.role == "considered")
        record.contributions, record.klass = parts, CLASSES[record.track]
        record.ring(decision)
        record.score = max(record.score, self._state.tracks[record.track].peak)
        said = self._voice.sentences(record, None, t_ns=t_ns)
        happened = tuple(one for one in said if one.role == "happened")
        others = tuple(one for one in said if one.role not in ("happened", "considered"))
        record.sentences, record.explained = (*happened, *considered, *others), False
        self._voice.publish(record, t_ns=t_ns, reason=reason)
        self._desk.ask(record)

    def stranger(self, score: float, shares: Callable[[], np.ndarray], *, t_ns: int) -> None:
        """What the score of an open event is now; shares: each channel's part (c,), if asked for.

        What a job may disturb is no news while it is open.
        """
        record = self._state.alerts[Track.PROCESS]
        said = max(record.score, record.threshold)
        if not record.active or record.suppressed or record.excused_by or not score >= WORSE * said:
            return
        if record.decision is None or not record.contributions:
            return
        if t_ns < record.looked_ns + self._look_ns:
            return
        record.looked_ns = t_ns
        found = shares()
        top = self._channels[int(found.argmax())]
        hidden = {name for run in self._state.runs if run.live for name in self._facts.masked(run)}
        if top == record.contributions[0].channel or top in hidden:
            return
        parts = self._voice.contributions(found, record.begin_ns, t_ns)
        reason = f"{score / said:.1f} times as strange as it was said, and now of {top}"
        self.tell(record, parts, decision=record.decision, t_ns=t_ns, reason=reason)

    def beyond(
        self, excess: np.ndarray, values: np.ndarray, *, t_ns: int, rang_before: bool
    ) -> None:
        """How far channels are beyond their limits while an event is open, and what they show.

        excess, values: (c,), as `LimitWatch.excess` says it. A level that was not said of a channel
        yet is news, once an event; an annotation does not hold any more then. rang_before: it rang
        before this sample; else it has just said all.
        """
        record = self._state.alerts[Track.PROCESS]
        if not record.active or record.decision is None:
            return
        explained = self._explained(record)
        levels = {self._channels[i]: int(excess[i]) for i in np.flatnonzero(excess).tolist()}
        passed = {
            name: level
            for name, level in levels.items()
            if level > record.beyond.get(name, 0) and name not in explained
        }
        if not passed:
            return
        record.beyond = {**record.beyond, **passed}
        if rang_before or record.shadow:  # no shadow falls on an approved limit
            shown = {name: float(values[self._channels.index(name)]) for name in passed}
            self._tell_passed(record, shown, t_ns=t_ns)

    def _tell_passed(self, record: AlertRecord, shown: dict[str, float], *, t_ns: int) -> None:
        """shown: the value of each channel that has passed a limit."""
        decision = record.decision
        assert decision is not None, "what rings was decided"
        limits = newest_limits(self._desk.limits_of(record.asset), now_ns=t_ns)
        told = []
        for name, value in shown.items():
            level = level_name(limits.get(name, ()), value)
            told.append(f"{name} has passed its limit{f' {level[0]}' if level else ''}")
        reason = ", ".join(told)
        if decision.verdict is Verdict.ANNOTATED:
            clause = Clause(name="limit_passed", outcome=False, detail=reason)
            clauses = (*decision.clauses, clause)
            decision = msgspec.structs.replace(decision, verdict=Verdict.ALERT, clauses=clauses)
        parts = self._with_passed(record, shown, t_ns=t_ns)
        self.tell(record, parts, decision=decision, t_ns=t_ns, reason=reason)

    def _with_passed(
        self, record: AlertRecord, shown: dict[str, float], *, t_ns: int
    ) -> tuple[Contribution, ...]:
        """Those that passed a limit come first, as they are now; half of the shares is theirs."""
        shares = np.zeros(len(self._channels))
        for part in record.contributions:
            shares[self._channels.index(part.channel)] = part.share
        more = (shares.sum() or 1.0) / len(shown)
        for name in shown:
            shares[self._channels.index(name)] += more
        parts = [
            _as_now(part, shown.get(part.channel))
            for part in self._voice.contributions(shares / shares.sum(), record.begin_ns, t_ns)
        ]
        return tuple(sorted(parts, key=lambda part: part.channel not in shown))

    def _explained(self, record: AlertRecord) -> set[str]:
        """Channels of a job that explains what rang: their limits do not count, as under a mask."""
        runs = [run for run in self._state.runs if run.job.job_id == record.excused_by != ""]
        return self._facts.masked(runs[0]) if runs else set()


def _as_now(part: Contribution, value: float | None) -> Contribution:
    if value is None:
        return part
    high, low = value > part.usual_high, value < part.usual_low
    direction = "high" if high else "low" if low else "within"
    return msgspec.structs.replace(part, value=value, direction=direction)
