"""A box whose own clock is wrong: what the sources agree on counts, until it is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.records import MessageReceived, Started, TickDue
from edge.samples.own_clock import ALIKE_MIN, LIVE_NS, OwnClock, OwnClockState, zone_like
from tests.edge.rig import START, Rig, S, knowledge, order, scope, settings
from tests.edge.test_rulings import at_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.records import Stimulus

BOOT: Final = 40 * S  # of 1970
YEARS: Final = START - BOOT


class Box(Rig):
    """A rig whose own clock may be off by `off_ns` from the plant's."""

    off_ns = 0

    def give(self, stimulus: Stimulus, *, now_ns: int | None = None) -> None:
        """Hand the engine one stimulus, at what its own clock shows."""
        now_ns = (self.now_ns if now_ns is None else now_ns) + self.off_ns
        if isinstance(stimulus, MessageReceived):
            stimulus = msgspec.structs.replace(stimulus, received_ns=now_ns - 10_000_000)
        super().give(stimulus, now_ns=now_ns)

    def starts(self) -> None:
        """A process begins."""
        self.restart()
        self.give(STARTED)


STARTED: Final = Started(version="1", bundle_sha256="", snapshot_sha256="kb", settings_sha256="")


def box(off_ns: int, **more: object) -> Box:
    """One that has run for two minutes with a clock that is off."""
    made = Box(**more)  # type: ignore[arg-type]
    made.off_ns = off_ns
    made.give(STARTED)
    made.run(120, step=1)
    return made


def unknown(rig: Rig) -> bool:
    """Whether nobody has said what time it is."""
    return rig.engine.state.own_clock.unknown


def test_a_box_that_starts_in_1970_scores_by_the_plant() -> None:
    """But for the first messages, in which nobody had a say yet."""
    rig = box(-YEARS)
    assert rig.engine.now_ns == rig.now_ns
    own = rig.engine.state.own_clock
    assert (own.doubted, own.agree, own.of) == (True, 2, 2)
    assert rig.engine.state.suspects == []
    assert rig.engine.counts()["future"] <= 2 * ALIKE_MIN * 6
    assert rig.engine.state.assets["r1"].last_t_ns >= rig.now_ns - 2 * S
    rig.run(20, {"c2": 9}, step=1)
    assert rig.said() == ["ALERT"]


def test_its_clock_is_set_by_56_years_and_nothing_happens() -> None:
    """No flood, no job or silence that ends, no silence of the plant, no step of time."""
    rig = box(-YEARS)
    at_work(rig)
    rig.run(10, {"c1": 6}, step=1)
    assert rig.said() == ["suppressed"], "a witness of the plant speaks in the plant's time"
    done = rig.command("oos", asset="r11", minutes=10, reason="belt")["done"]
    assert done
    said, now_ns = len(rig.published), rig.engine.now_ns
    counts = {n: c for n, c in rig.engine.counts().items() if "clock" in n}
    rig.off_ns = 0
    rig.give(TickDue())
    assert rig.engine.now_ns - now_ns < S
    rig.run(10, {"c1": 6}, step=1)
    assert not rig.engine.state.own_clock.doubted
    assert rig.said() == ["suppressed"]
    assert any(run.live for run in rig.runs)
    assert rig.engine.state.assets["r11"].silences[-1].ended_by == ""
    assert rig.said(track="comms") == rig.said("r11", track="comms") == []
    assert {n: c for n, c in rig.engine.counts().items() if "clock" in n} == counts
    assert len([p for p in rig.published[said:] if "/alert/" in p.topic]) == 0


def test_it_starts_again_in_1970_with_what_it_remembers() -> None:
    """Time does not go back behind what was known: jobs and silences go on."""
    rig = box(0)
    at_work(rig)
    rig.run(10, {"c1": 6}, step=1)
    assert rig.said() == ["suppressed"]
    rig.off_ns = -YEARS
    rig.starts()
    assert unknown(rig)
    assert rig.engine.now_ns >= rig.now_ns - S
    rig.run(20, {"c1": 6}, step=1)
    assert not unknown(rig)
    assert rig.said() == ["suppressed"]
    assert any(run.live for run in rig.runs)


def test_what_is_kept_quiet_waits_until_it_is_known_what_time_it_is() -> None:
    """A start in 1970 rings nothing for the clock alone; then it is judged, without a sample."""
    rig = box(0, known=knowledge(proposals=[order(valid_from_ns=START + 60 * S)]))
    rig.run(20, {"c1": 9}, step=1)
    assert rig.said() == ["suppressed"]
    rig.off_ns = -YEARS
    rig.starts()
    for _ in range(3):
        rig.give(TickDue())
    assert unknown(rig)
    assert rig.said() == ["suppressed"]
    rig.run(10, step=1, silent=("r1",))
    assert not unknown(rig)
    assert rig.said() == ["suppressed", "ALERT"], "an order has times of another clock"
    (clause,) = (c for c in rig.events()[-1]["clauses"] if c["outcome"] is not True)
    assert clause["name"] == "clock"


def test_what_lost_its_reason_rings_before_it_is_known_what_time_it_is() -> None:
    """A scope that is gone is gone at any time."""
    rig = box(0, known=knowledge(proposals=[order(valid_from_ns=START + 60 * S)]))
    rig.run(20, {"c1": 9}, step=1)
    assert rig.said() == ["suppressed"]
    rig.off_ns = -YEARS
    rig.known = knowledge(scopes=[scope(channels=("c2",))])
    rig.starts()
    rig.give(TickDue())
    assert unknown(rig)
    assert rig.said() == ["suppressed", "ALERT"]


def goes_on(rig: Box, seconds: int, late_s: float | None) -> None:
    """Both assets send, every 5 s, values that are so late; None: without a time."""
    for _ in range(seconds // 5):
        rig.at += 5
        shown = b"" if late_s is None else b'"ts": %d, ' % ((rig.now_ns - int(late_s * S)) // 10**6)
        for asset in ("r1", "r11"):
            rig.send(f"plant/{asset}", b'{%s"c0": 1.0, "c1": 2.0}' % shown)
        rig.give(TickDue())


@pytest.mark.parametrize("late_s", [None, 0.1, 3, 30, 300])
def test_a_clock_that_was_ahead_and_was_put_right_is_believed_again(late_s: float | None) -> None:
    """A time service was started, and the gateway: what it knew before came of the wrong clock."""
    rig = Box()
    rig.off_ns = 360 * S
    rig.give(STARTED)
    goes_on(rig, 30, None)
    rig.off_ns = 0
    rig.starts()
    assert unknown(rig)
    assert rig.engine.now_ns >= rig.now_ns + 300 * S
    goes_on(rig, LIVE_NS // S - 30, None)
    assert unknown(rig), "whoever sends times may still say otherwise"
    goes_on(rig, 60, late_s)
    assert not rig.engine.state.own_clock.doubted
    assert rig.engine.now_ns == rig.now_ns
    assert rig.command("oos", asset="r11", minutes=10, reason="belt")["done"]


def test_restarts_do_not_keep_a_clock_from_being_believed_again() -> None:
    """What one process has waited the next need not, but for the minute in which sources speak."""
    rig = Box()
    rig.off_ns = 360 * S
    rig.give(STARTED)
    goes_on(rig, 30, None)
    rig.off_ns = 0
    for _ in range(6):
        rig.starts()
        assert unknown(rig)
        goes_on(rig, 120, None)
    assert not rig.engine.state.own_clock.doubted


def test_a_clock_is_not_believed_again_for_a_step_or_while_sources_show_otherwise() -> None:
    """It waits anew from where it was stepped to; two that contradict each other say enough."""
    made = OwnClock(settings(), state=OwnClockState())
    made.begins(START, known_ns=START + 86_400 * S)
    for second in range(0, LIVE_NS // S, 60):
        made.shows(START + (3_600 + second) * S)
        assert made.state.unknown, second
    for second in range(4_200, 6_000, 60):
        at_ns = START + second * S
        for name, ahead_s in (("r1", 5_000), ("r11", 9_000)):
            made.heard(name, at_ns + ahead_s * S, wall_ns=at_ns)
        made.shows(at_ns)
        assert made.state.unknown, second
    made.shows(START + 6_030 * S)
    made.shows(START + 6_030 * S + LIVE_NS)
    made.shows(START + 6_060 * S + LIVE_NS)
    made.shows(START + 6_090 * S + LIVE_NS)
    assert not made.state.doubted, "nobody says anything any more"


def test_a_command_that_is_stale_by_the_time_of_others_is_told_so() -> None:
    """A right panel is refused by the clocks that outvoted a right box: the answer names them."""
    right, rig = box(0), box(-2 * 3_600 * S)
    early_ms = (rig.now_ns - 2 * 3_600 * S) // 10**6
    for one, named in ((right, False), (rig, True)):
        answer = one.command("oos", asset="r11", minutes=10, reason="belt", ts=early_ms)
        assert answer["rule"] == "command_stale"
        assert ("which is not believed (alert clock_wrong)" in answer["detail"]) == named


def test_an_order_suppresses_nothing_while_our_clock_is_doubted() -> None:
    """Its times are another clock's; it counts as soon as ours is believed."""
    known = knowledge(proposals=[order()])
    right, rig = box(0, known=known), box(-YEARS, known=known)
    for one, said in ((right, "suppressed"), (rig, "ANNOTATED")):
        one.run(190, step=5)
        assert [run.live for run in one.runs] == [True] * (one is right)
        one.run(30, {"c1": 6}, step=1)
        assert one.said()[0] == said
    rig.off_ns = 0
    rig.run(2, {"c1": 6}, step=1)
    assert [run.live for run in rig.runs] == [True]


def test_an_order_that_suppresses_does_not_while_our_clock_falls_into_doubt() -> None:
    """It is judged anew, and rings."""
    rig = box(0, known=knowledge(proposals=[order()]))
    rig.run(190, step=5)
    rig.run(20, {"c1": 6}, step=1)
    assert rig.said() == ["suppressed"]
    rig.off_ns = -YEARS
    rig.starts()
    rig.run(20, {"c1": 6}, step=1)
    assert rig.said()[-1] == "ALERT"
    (clock,) = (one for one in rig.events()[-1]["clauses"] if one["name"] == "clock")
    assert clock["outcome"] is None


def test_what_begins_while_our_clock_is_doubted_is_not_suppressed_by_an_order() -> None:
    """Also where its job was open before, and sources have said what time it is."""
    rig = box(0, known=knowledge(proposals=[order()]))
    rig.run(190, step=5)
    rig.off_ns = -YEARS
    rig.starts()
    rig.run(20, step=1)
    assert not unknown(rig)
    assert any(run.live for run in rig.runs)
    rig.run(20, {"c1": 6}, step=1)
    assert rig.said() == ["ALERT"]
    (clock,) = (one for one in rig.events()[-1]["clauses"] if one["name"] == "clock")
    assert clock["outcome"] is None


def test_values_without_a_time_come_at_the_agreed_time() -> None:
    """What our clock stamps is put right as well."""
    rig = box(-YEARS)
    rig.at += 1
    rig.send("plant/r1", b'{"c0": 1.0}')
    rig.at += 1
    rig.give(TickDue())
    assert rig.engine.state.suspects == []
    assert rig.engine.state.assets["r1"].last_t_ns > START


@pytest.mark.parametrize("hours", [-14, -3.5, -1, 1, 2, 5.5, 5.75, 14])
def test_one_device_in_a_wrong_zone_is_suspect_alone(hours: float) -> None:
    """It moves nobody, and the other asset is scored as ever."""
    rig = box(0)
    newest_ns = rig.engine.state.assets["r11"].last_t_ns
    for _ in range(30):
        t_ns = rig.now_ns + round(hours * 3_600) * S
        rig.run(1, silent=["r1"])
        rig.send("plant/r1", b'{"ts": %d, "c0": 1.0}' % (t_ns // 1_000_000))
    assert rig.engine.state.suspects == ["r1"]
    assert not rig.engine.state.own_clock.doubted
    assert rig.engine.now_ns == rig.now_ns
    assert rig.engine.state.assets["r11"].last_t_ns >= newest_ns + 29 * S
    assert zone_like(rig.engine.state.own_clock.sources["r1"].ahead_ns)


@pytest.mark.parametrize(
    ("minutes", "zone"),
    [
        (120, "+02:00"), (119.5, "+02:00"), (-330, "-05:30"), (345, "+05:45"), (765, "+12:45"),
        (840, "+14:00"), (0, ""), (15, ""), (130, ""), (75, ""), (900, ""), (525_600, ""),
    ],
)  # fmt: skip
def test_what_looks_like_a_zone(minutes: float, zone: str) -> None:
    """Within a minute of one that there is."""
    assert zone_like(round(minutes * 60 * S)) == zone


# --- properties ---

AHEAD_S: Final = st.sampled_from([0, 0, 0, -5, 1, 3, 3_600, 3_601, 7_200, 86_400 * 365])


def told(ahead_s: Sequence[int], *, wall_ns: int = START, rounds: int = 5) -> OwnClock:
    """A clock to which sources that are so far ahead spoke, second by second."""
    made = OwnClock(settings(), state=OwnClockState())
    for second in range(rounds):
        made.shows(wall_ns + second * S)
        for i, ahead in enumerate(ahead_s):
            at_ns = wall_ns + second * S
            made.heard(str(i), at_ns + ahead * S, wall_ns=at_ns)
    return made


@given(st.lists(AHEAD_S, max_size=9))
def test_only_a_majority_that_agrees_outvotes_our_clock(ahead_s: list[int]) -> None:
    """More than half of the sources, more than agree with ours, and ours has a word of its own."""
    own = told(ahead_s).state
    ours = sum(one <= 2 for one in ahead_s)
    groups = {one: sum(one - 60 <= o <= one + 2 and o > 2 for o in ahead_s) for one in ahead_s}
    wins = {n for one, n in groups.items() if one > 2 and n > ours + 1 and 2 * n > len(ahead_s)}
    assert own.doubted == bool(wins)
    if own.doubted:
        assert own.offset_ns // S in ahead_s
        assert own.agree <= max(wins)


@pytest.mark.parametrize("wall_s", [-9_000_000_000, 0, 1_760_000_000])
def test_no_clock_is_so_wrong_that_it_cannot_be_judged(wall_s: int) -> None:
    """Also where the difference is more than 64 bits hold, and it comes back all the same."""
    newest_s = 9_000_000_000
    made = told([newest_s - wall_s] * 2, wall_ns=wall_s * S)
    assert made.shows(wall_s * S + 5 * S) == (newest_s + 5) * S


def test_sources_that_are_honest_again_are_believed_as_our_clock_is() -> None:
    """What they agreed on before does not stay for ever."""
    made = told([86_400, 86_400, 86_400])
    assert made.state.doubted
    for second in range(5, 30):
        at_ns = START + second * S
        made.shows(at_ns)
        for name in "012":
            made.heard(name, at_ns - S // 10, wall_ns=at_ns)
    assert not made.state.doubted


@given(st.lists(AHEAD_S, max_size=9), st.integers(-(10**6), 10**9))
def test_while_it_is_doubted_a_step_of_it_is_none_of_time(ahead_s: list[int], by_s: int) -> None:
    """Time goes on where it was, or is what the clock shows once that is not behind it."""
    made = told(ahead_s)
    doubted, before = made.state.doubted, made.shows(START + 5 * S)
    after = made.shows(START + (5 + by_s) * S)
    if doubted and abs(by_s) > 90:
        assert after == max(before, START + (5 + by_s) * S) or abs(after - before) <= S
    else:
        assert after - before == by_s * S or abs(by_s) <= 90
    assert made.state.offset_ns >= 0


@given(st.lists(AHEAD_S, min_size=1, max_size=9))
def test_late_values_of_everybody_move_nothing(ahead_s: list[int]) -> None:
    """A backlog after an outage: nothing comes from the past by its clock alone."""
    made = told(ahead_s)
    offset_ns, at_ns = made.state.offset_ns, START + 5 * S
    for second in range(60):
        made.shows(at_ns + second * S)
        for i, ahead in enumerate(ahead_s):
            shown_ns = at_ns + (ahead - 7_200 + second) * S
            made.heard(str(i), shown_ns, wall_ns=at_ns + second * S)
    if made.state.doubted:
        assert made.state.offset_ns == offset_ns
