"""Overload: when it is said, what may wait meanwhile, and that it is over by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from edge.brokers.inbox import Inbox, Incoming
from edge.brokers.lanes import Lanes, Rank
from edge.gateway.faults import Faults
from edge.gateway.overload import OVER_S, TURN_S, Overload, aside_words
from edge.records import Publish, Shed, ShellFault, TickDue
from edge.settings import AssetSettings, ContextTag, GatewaySettings, Source
from edge.verdicts.decide import decide
from edge.wire.topics import CLOCK_TOPIC
from tests.edge.rig import START, Rig, S, settings
from tests.edge.test_decide import EXPECTED

if TYPE_CHECKING:
    from edge.engine import Engine

SEVERITIES: Final = {"low": 100, "mid": 500, "high": 700, "top": 900}


def site(**more: Any) -> GatewaySettings:  # noqa: ANN401
    """Four assets of all importances."""
    context = (ContextTag(tag="run", role="run"), ContextTag(tag="cal", role="info"))
    assets = tuple(
        AssetSettings(id=name, severity=severity, context=context if name == "low" else ())
        for name, severity in SEVERITIES.items()
    )
    return GatewaySettings(site="s", asset=assets, **more)


def sent(topic: str, payload: bytes = b"{}", *, at_ns: int = START) -> Incoming:
    """A message as it came."""
    return Incoming(topic, payload, 1, False, False, 1, at_ns)  # noqa: FBT003 - as paho tells


class Gate:
    """Inbox, lanes and judge of a gateway, without the loop around them: `second` is one of it."""

    def __init__(self, *, messages_max: int = 100_000, wall: bool = True) -> None:
        self.rig = Rig(without_knowledge=True)
        self.lanes = Lanes(site(), known=("r1", "r11"))
        self.inbox = Inbox(messages_max=messages_max, lane_of=self.lanes.of)
        self.faults = Faults()
        self.overload = Overload(self.inbox, self.lanes, queue_ms_max=1_000, wall=wall)
        self.at, self.leap_s = 0, 0.0
        self.told: list[Shed | ShellFault] = []
        self.second()

    @property
    def engine(self) -> Engine:
        """The engine whose state is looked at."""
        return self.rig.engine

    def come(self, count: int, topic: str = "plant/low", *, age_s: float = 0.0) -> None:
        """So many messages, that came a while ago."""
        for _ in range(count):
            at_s = self.at + self.leap_s - age_s
            self.inbox.put([sent(topic, at_ns=START + round(at_s * S))])

    def second(self, *, take: int = 0, idle_s: float = 0.0, lag_s: float | None = None) -> None:
        """Take messages, rest, and look; lag_s: how old the plant's newest sample is."""
        self.at += 1
        while take and (taken := self.inbox.take(min(take, 1_000))):
            take -= len(taken)
            self.overload.turned(len(taken), TURN_S / 2)
        self.overload.waited(idle_s)
        if lag_s is not None:
            for asset in self.engine.state.assets.values():
                asset.last_t_ns = START + round((self.at - lag_s) * S)
        self.told += self.overload.look(
            float(self.at),
            wall_ns=START + round((self.at + self.leap_s) * S),
            state=self.engine.state,
            faults=self.faults,
        )

    def faults_told(self) -> list[tuple[int, str]]:
        """What the alert said."""
        return [(int(f.active), f.detail) for f in self.told if isinstance(f, ShellFault)]

    def gaps(self) -> list[dict[str, int]]:
        """What the engine was told of gaps."""
        return [told.messages for told in self.told if isinstance(told, Shed)]


def test_calm_says_nothing_and_bounds_nothing() -> None:
    """Bursts that are taken in time are no overload."""
    gate = Gate()
    for _ in range(30):
        gate.come(900)
        gate.second(take=900, idle_s=0.8, lag_s=0.5)
    assert gate.told == []
    assert gate.inbox.limit == 100_000


def test_what_waits_too_long_is_overload_and_less_may_wait_then() -> None:
    """Half of what can be taken in the time; told once with its end, which counts everything."""
    gate = Gate()
    for _ in range(20):
        gate.come(2_000)
        gate.come(100, "plant/top")
        gate.second(take=500)
    assert gate.inbox.limit == 250
    assert len(gate.inbox) <= 250
    begun = gate.faults_told()
    assert [active for active, _ in begun] == [1]
    assert "more comes than can be taken (what comes waits for" in begun[0][1]
    assert sum(gap.get("low", 0) for gap in gate.gaps()) == gate.lanes.shed()["low", Rank.LOW]
    assert not any("top" in gap for gap in gate.gaps()), "a critical asset keeps everything"
    for _ in range(int(OVER_S) + 3):
        gate.second(take=500, idle_s=0.5)
    assert not gate.overload.active
    assert gate.inbox.limit == 100_000
    (over,) = gate.faults_told()[1:]
    lost = gate.lanes.shed()["low", Rank.LOW]
    assert over[0] == 0
    assert f"{lost} messages given up by their importance (LOW {lost}) of 1 assets" in over[1]
    assert "most of low" in over[1]


def test_a_fast_replay_keeps_each_tick_of_its_clock() -> None:
    """Samples close by them; only a flood of nothing else goes."""
    gate = Gate(wall=False)
    gate.come(5_000, CLOCK_TOPIC)
    gate.second(take=100)
    assert gate.told == []
    assert gate.lanes.shed() == {}
    gate.come(10_000, CLOCK_TOPIC)
    assert gate.lanes.shed() == {("", Rank.CLOCK): 4_900}


def test_a_flood_of_clock_tags_leaves_a_small_queue_to_values() -> None:
    """They count more than any value, and would fill it."""
    gate = Gate(messages_max=50, wall=False)
    for _ in range(100):
        gate.come(3)
        gate.come(2, CLOCK_TOPIC)
    waiting = [m.topic for m in gate.inbox.take(100)]
    assert waiting.count(CLOCK_TOPIC) == 5
    assert waiting.count("plant/low") > 40


@pytest.mark.parametrize("wall", [True, False])
def test_a_backlog_is_taken_whole_however_long_it_waits(wall: bool) -> None:  # noqa: FBT001
    """After a restart the broker brings what it kept; a replay comes as fast as it can."""
    gate = Gate(wall=wall)
    gate.come(6_000)
    for i in range(12):
        gate.second(take=500, lag_s=600.0 - (50.0 * i if wall else 0.0))
    assert gate.told == []
    assert len(gate.inbox) == 0


def test_a_long_overload_is_told_again_each_minute() -> None:
    """With what was given up by then; and others that last are not taken from the topic."""
    gate = Gate(messages_max=100)
    for _ in range(130):
        gate.come(300)
        gate.second(take=100)
    assert [active for active, _ in gate.faults_told()] == [1, 1, 1]
    assert gate.faults_told()[0][1] != gate.faults_told()[1][1]


def test_a_wide_window_is_divided_by_importance() -> None:
    """LOW gives first; a critical asset may fill half of it, and of a thousand that is plenty."""
    gate = Gate()
    for i in range(15):
        gate.come(1_000)
        gate.second(take=1_000, lag_s=0.5 + 0.5 * i)
    assert gate.inbox.limit == 62
    gate.come(400, "plant/top")
    gate.come(600)
    lanes = list(gate.inbox._plant._busy)
    assert {lane.name: len(lane) for lane in lanes} in ({"top": 400}, {"top": 400, "low": 1})


def test_behind_a_narrow_window_the_plant_falls_behind() -> None:
    """The broker keeps what the window does not let through: nothing waits long with us."""
    gate = Gate()
    for i in range(15):
        gate.come(20)
        gate.second(take=20, lag_s=0.5 + 0.5 * i)
    assert gate.overload.active
    assert "the plant's times fall behind" in gate.faults_told()[0][1]
    assert gate.inbox.limit == 10, "half of the window, so that the broker sends on"
    assert isinstance(gate.told[0], ShellFault), "until then nothing was given up"


@pytest.mark.parametrize(
    ("idle_s", "lag_step_s"), [(0.5, 0.5), (0.0, -0.5), (0.0, 0.0)],
    ids=["a slow replay", "catching up", "steady"],
)  # fmt: skip
def test_what_only_looks_like_falling_behind_is_none(idle_s: float, lag_step_s: float) -> None:
    """A loop that rests is not the cause, and a backlog that shrinks is to be taken, not shed."""
    gate = Gate()
    for i in range(60):
        gate.come(20)
        gate.second(take=20, idle_s=idle_s, lag_s=100.0 + lag_step_s * i)
    assert gate.told == []


def test_on_plant_time_nothing_falls_behind() -> None:
    """A replay has its own pace."""
    gate = Gate(wall=False)
    for i in range(60):
        gate.come(20)
        gate.second(take=20, lag_s=1.0 * i)
    assert gate.told == []


def test_bursts_after_an_overload_do_not_keep_it_alive() -> None:
    """While the loop rests, what was meant for the flood does not count."""
    gate = Gate()
    for _ in range(5):
        gate.come(5_000)
        gate.second(take=400)
    lost = gate.lanes.shed()["low", Rank.LOW]
    gate.second(take=400, idle_s=0.2)
    for _ in range(int(OVER_S) + 2):
        gate.come(390)
        gate.second(take=400, idle_s=0.2)
    assert not gate.overload.active
    assert gate.lanes.shed()["low", Rank.LOW] == lost


def test_our_clock_that_is_set_by_years_makes_nothing_wait() -> None:
    """What came before it was set has waited a moment, not 50 years; what really waits is told."""
    gate = Gate()
    for _ in range(12):
        gate.come(10)
        gate.second(take=10, lag_s=0.1)
    gate.come(10)
    gate.leap_s = 1.6e9
    gate.second()
    gate.second(take=10)
    for _ in range(12):
        gate.come(10)
        gate.second(take=10, lag_s=0.1)
    assert gate.faults_told() == []
    gate.come(10)
    gate.second()
    gate.second()
    assert gate.faults_told() != []


def test_a_turn_takes_as_many_as_it_can_in_its_time() -> None:
    """Slow messages make small turns, so that ticks and commands come in between; and back."""
    gate = Gate()
    for _ in range(20):
        gate.overload.turned(gate.overload.turn_max, 5.0)
    assert gate.overload.turn_max == 10
    for _ in range(20):
        gate.overload.turned(gate.overload.turn_max, 0.001)
    assert gate.overload.turn_max == 1_000


def test_a_turn_that_has_little_time_takes_few() -> None:
    """By what messages took; one at least."""
    overload = Gate().overload
    assert 1 <= overload.within(0.001) < overload.turn_max, "nothing is known yet"
    overload.turned(10, 0.010)
    told = [overload.within(s) for s in (1e-6, 0.0051, 10.0)]
    assert told == [1, 8, overload.turn_max]


@pytest.mark.parametrize(
    ("topic", "payload", "lane"),
    [
        ("plant/low", b"{}", ("low", Rank.LOW)),
        ("plant/mid", b"{}", ("mid", Rank.MEDIUM)),
        ("plant/high", b"{}", ("high", Rank.HIGH)),
        ("plant/top", b"{}", ("top", Rank.CRITICAL)),
        ("plant/r1", b"{}", ("r1", Rank.MEDIUM)),
        ("plant/nobody", b"{}", ("", Rank.STRANGER)),
        ("other/x", b"{}", ("", Rank.STRANGER)),
        ("all/x", b"{}", ("", Rank.MEDIUM)),
        ("plant/_clock", b"{}", ("", Rank.CLOCK)),
        ("andon/s/cmd/ann/ack", b"{}", ("ann", Rank.COMMAND)),
        ("andon/s/cmd/low/ack", b'{"tag":"cal"}', ("low", Rank.COMMAND)),
        ("plant/low", b'{"ts":1,"tag":"cal","value":1}', ("low", Rank.WATCHED)),
        ("plant/low", b'{"ts":1,"tag":"c0","value":1}', ("low", Rank.LOW)),
        ("plant/low", b'{"ts":1,"cal":1,"c0":1}', ("low", Rank.LOW)),
        ("plant/mid", b'{"ts":1,"tag":"cal","value":1}', ("mid", Rank.MEDIUM)),
        ("plant/" + "x" * 60_000, b"{}", ("", Rank.STRANGER)),
    ],
)
def test_the_importance_of_a_message(topic: str, payload: bytes, lane: tuple[str, Rank]) -> None:
    """By its topic; a message that tells a context tag alone may hold an edge that comes once."""
    sources = (Source(topic="plant/{asset}"), Source(topic="all/#"))
    lanes = Lanes(site(source=sources), known=("r1",))
    for _ in range(2):  # found, and remembered
        found, command = lanes.of(sent(topic, payload))
        assert (found.name, found.rank) == lane
        assert command is (lane[1] is Rank.COMMAND)
    assert sum(map(len, lanes._of_topic)) < 1_000


def test_assets_with_an_open_event_count_more_while_it_lasts() -> None:
    """Its end must be seen; and what becomes known by a new bundle is no stranger any more."""
    gate = Gate()
    gate.engine.state.assets["r1"].tracks["process"].phase = type(
        gate.engine.state.assets["r1"].tracks["process"].phase
    ).OPEN
    gate.second()
    assert gate.lanes.of(sent("plant/r1"))[0].rank is Rank.WATCHED
    gate.engine.state.assets["r1"].tracks["process"].phase = type(
        gate.engine.state.assets["r1"].tracks["process"].phase
    ).QUIET
    gate.second()
    assert gate.lanes.of(sent("plant/r1"))[0].rank is Rank.MEDIUM
    assert gate.lanes.of(sent("plant/new"))[0].rank is Rank.STRANGER
    gate.lanes.know(["new"])
    assert gate.lanes.of(sent("plant/new"))[0].name == "new"


# --- what the engine makes of a gap ---


def test_a_gap_of_ours_is_no_silence_of_the_plant() -> None:
    """It spoke, and we shed it; a source that then really is silent is told as ever."""
    rig = Rig(without_knowledge=True)
    rig.run(60)
    for _ in range(20):
        rig.at += 5
        rig.give(Shed(messages={"r1": 50}))
        rig.give(TickDue())
    said = {(e["asset"], e["track"]) for asset in ("r1", "r11") for e in rig.events(asset, "comms")}
    assert said == {("r11", "comms")}, "nobody gave up messages of r11: it is silent"
    assert rig.engine.counts()["shed"] == 1_000
    for _ in range(10):
        rig.at += 5
        rig.give(TickDue())
    assert rig.events("r1", "comms")


@pytest.mark.parametrize("name", ["r1", ""])
def test_nothing_of_a_gap_suppresses(name: str) -> None:
    """Messages of it were given up, or of nobody knows whom: its event rings, and says why."""
    rig = Rig()
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(10)
    rig.give(Shed(messages={name: 3}))
    rig.run(20, {"c1": 6})
    assert rig.said()[0] == "ALERT"
    (clause,) = [c for c in rig.events()[0]["clauses"] if c["name"] == "source"]
    assert clause["outcome"] is None
    assert "gave up messages of this asset" in clause["detail"]


def test_what_is_suppressed_rings_when_messages_are_given_up() -> None:
    """Nobody can say what they would have shown; a gap of another asset changes nothing."""
    rig = Rig()
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(20, {"c1": 6})
    rig.give(Shed(messages={"r11": 3}))
    rig.run(5, {"c1": 6})
    assert rig.said() == ["suppressed"]
    rig.give(Shed(messages={"r1": 3}))
    rig.run(5, {"c1": 6})
    assert rig.said()[-1] == "ALERT"
    assert "rang_again" in rig.audited()


def test_the_rule_knows_the_gap() -> None:
    """As a doubt, never as a reason to be quiet."""
    assert decide(EXPECTED).verdict == "SUPPRESSED"
    assert decide(msgspec.structs.replace(EXPECTED, gave_up=True)).verdict == "ALERT"


def test_topics_that_are_not_read_are_an_alert_that_names_them() -> None:
    """Told anew when it is another one, and over when all are read."""
    rig = Rig(conf=settings(), without_knowledge=True)
    faults = Faults()
    assert aside_words(rig.engine.state) == ""
    for topic in ("plant/a", "plant/b"):
        for i in range(30):
            rig.at += i % 2
            rig.send(topic, b"{")
        words = aside_words(rig.engine.state)
        (told,) = faults.judge("topics_set_aside", words, anew=True)
        assert topic in told.detail
        assert faults.judge("topics_set_aside", words, anew=True) == []
        rig.give(told)
        system = [e for e in rig.effects if isinstance(e, Publish) and "_gateway" in e.topic]
        assert topic.encode() in system[-1].payload
