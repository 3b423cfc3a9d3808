"""Backtests: the engine's own messages, read back as episodes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.recordings.recording import TimedMessage
from edge.records import MessageReceived, RetrievalDone, Retrieve, TickDue
from edge.replays.backtest import STEP_NS, Backtest, episodes_of, with_ticks
from tests.edge.rig import START, Rig, S
from tests.edge.test_engine import story


def recorded(t_ns: int) -> TimedMessage:
    """A message at a time."""
    return TimedMessage(t_ns=t_ns, topic="plant/r1", payload=b"{}", qos=1, retain=False)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
def test_ticks_come_at_each_step_and_never_without_end(seconds: list[int]) -> None:
    """Time never goes back, every message is there, and a long gap costs two ticks."""
    times = [START + second * S for second in seconds]
    entries = list(with_ticks([recorded(t) for t in times]))
    clock = [now_ns for now_ns, _ in entries]
    assert sum(isinstance(s, MessageReceived) for _, s in entries) == len(times)
    assert clock[-1] == max(times)
    assert sum(isinstance(s, TickDue) for _, s in entries) <= 3 * len(times) + 2
    last = entries[-1][1]
    assert isinstance(last, TickDue)
    assert last.final


def test_a_steady_recording_has_a_tick_each_step() -> None:
    """One for each ten seconds."""
    entries = list(with_ticks([recorded(START + i * S) for i in range(100)]))
    ticks = [now_ns for now_ns, s in entries if isinstance(s, TickDue)]
    assert ticks[:3] == [START + k * STEP_NS for k in (1, 2, 3)]


def test_nothing_recorded_is_nothing_to_do() -> None:
    """Not even a tick."""
    assert list(with_ticks([])) == []


def test_episodes_are_the_live_run_read_back() -> None:
    """The same stimuli through a backtest: the same revisions, folded into events."""
    live = story()
    backtest = Backtest(Rig(known=live.known).engine)
    backtest.run(live.sent)
    assert backtest.published == [p for p in live.published if p.key is not None]
    episodes = backtest.episodes()
    hidden = [e for e in episodes if e.suppressed]
    assert {e.asset for e in episodes if e.rang} == {"r1", "r11"}
    assert all(e.job_id for e in hidden)
    assert all(e.begin_ns <= e.opened_ns <= (e.rang_ns or e.opened_ns) for e in episodes)
    assert hidden[0].top_channel


def test_questions_are_answered_before_the_next_stimulus() -> None:
    """As of plant time, so that nothing is known that was not known then."""
    live = story()
    asked: list[int] = []

    def lookup(question: Retrieve, now_ns: int) -> RetrievalDone:
        asked.append(now_ns)
        return RetrievalDone(alert_id=question.alert_id, hits=())

    backtest = Backtest(Rig(known=live.known).engine, lookup=lookup)
    backtest.run(live.sent)
    assert asked == sorted(asked)
    assert all(t_ns <= live.now_ns for t_ns in asked)
    explained = [event for event in backtest.revisions if event["explained"]]
    assert len({event["id"] for event in explained}) >= 2


def test_a_recurrence_is_an_episode_of_its_own() -> None:
    """One id, two counts, two events."""
    rig = Rig()
    rig.run(300)
    for _ in range(2):
        rig.run(10, {"c1": 8})
        rig.run(120)
    first, second = episodes_of(rig.events())
    assert first.alert_id == second.alert_id
    assert (first.count, second.count) == (1, 2)
    assert first.ended_ns < second.begin_ns
    assert first.rang
    assert second.rang


def test_what_rings_again_for_news_is_a_ring() -> None:
    """Each time; a new revision of what rings anyway is none, nor is one that is shelved."""
    said = ((1, 1), (1, 1), (1, 2), (0, 3), (1, 3), (1, 4), (0, 4))  # active, rings
    common = {
        "id": "a", "count": 1, "asset": "r1", "track": "process", "begin_ms": 0, "top_channel": "",
        "contributions": [], "message": "", "decision": "ALERT", "class": "", "job_id": "",
        "suppressed": 0, "state": "ACTIVE_UNACK",
    }  # fmt: skip
    (episode,) = episodes_of(
        {**common, "ts_ms": 1000 * (t + 1), "rings": rings, "active": active}
        for t, (active, rings) in enumerate(said)
    )
    assert (episode.rang_ns, episode.rang_again_ns) == (S, (3 * S, 6 * S))
