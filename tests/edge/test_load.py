"""Alarm load: figures against counting by hand and by a slow twin; chattering and stale alerts."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from edge.alerts.alerts import AlertRecord, AlertState
from edge.alerts.load import Ask, Figures, Frequent, Load, LoadState, figures_of, load_of
from edge.records import Track
from edge.settings import EngineSettings
from edge.storage.checkpoint import pack, unpack

S: Final = 1_000_000_000
SHIFT_S: Final = 28_800
T0: Final = 60_000 * SHIFT_S * S  # a shift begins


def ask(second: float, asset: str = "r1", *, position: str = "", again: bool = False) -> Ask:
    """An alert asks for attention at a second of the shift."""
    return Ask(
        t_ns=T0 + round(second * S),
        position=position,
        asset=asset,
        track="process",
        alert_id=f"{asset}-1",
        again=again,
    )


def counted(asks: list[Ask]) -> Load:
    """A load that has heard them."""
    load = Load(EngineSettings(), state=LoadState(since_ns=T0))
    for one in asks:
        load.heard(one)
    return load


def test_figures_by_hand() -> None:
    """Half an hour: 11 rings, none, 1. A third of the time in flood, 4 in ten minutes."""
    found = figures_of({0: 11, 2: 1}, position="p", begin_ns=T0, end_ns=T0 + 1800 * S)
    assert found == Figures(
        position="p", begin_ns=T0, rings=12, per_10_min=4.0, peak_10_min=11, flood_share=0.3333
    )


def test_ten_in_ten_minutes_are_no_flood() -> None:
    """More than ten are."""
    for rings, share in ((10, 0.0), (11, 1.0)):
        load = counted([ask(50.0 * i, f"r{i}") for i in range(rings)])
        assert load.report(now_ns=T0 + 600 * S).load[0].flood_share == share


def test_positions_and_shifts_are_apart() -> None:
    """Two shifts are kept; what is older is forgotten."""
    asks = [
        *[ask(i * 30, position="west") for i in range(3)],
        ask(20, position="east"),
        ask(SHIFT_S + 5, position="west"),
    ]
    now_ns = T0 + (SHIFT_S + 30) * S
    found = counted(asks).report(now_ns=now_ns)
    assert [(one.position, one.begin_ns, one.rings) for one in found.load] == [
        ("east", T0, 1),
        ("west", T0, 3),
        ("west", T0 + SHIFT_S * S, 1),
    ]
    later = counted([*asks, ask(2 * SHIFT_S + 5)])
    assert len(later.report(now_ns=now_ns + SHIFT_S * S).load) == 2
    quiet = counted(asks).report(now_ns=now_ns + 9 * SHIFT_S * S)
    assert quiet.load == ()
    assert quiet.frequent == ()


def test_the_ten_that_ring_most_come_first() -> None:
    """Of equals by name."""
    asks = [ask(i, f"r{k:02}") for k in range(12) for i in range(1 + (k == 7))]
    found = counted(asks).report(now_ns=T0 + 60 * S).frequent
    assert found[0] == Frequent(asset="r07", track="process", rings=2)
    assert [one.asset for one in found[1:4]] == ["r00", "r01", "r02"]
    assert len(found) == 10


ASKS: Final = st.lists(
    st.tuples(st.integers(0, 3 * 3600 - 1), st.integers(0, 4), st.sampled_from(["a", "b"])),
    max_size=80,
)


@given(ASKS, st.randoms(use_true_random=False))
def test_the_load_is_that_of_a_slow_count_in_any_order(
    drawn: list[tuple[int, int, str]], rng: object
) -> None:
    """Interval by interval, for each position, also after a restart, and over a whole run."""
    asks = [ask(second, f"r{k}", position=position) for second, k, position in drawn]
    shuffled = list(asks)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    load = counted(shuffled)
    state: LoadState = unpack(pack(load._state), LoadState)
    end_ns = T0 + 3 * 3600 * S
    found = Load(EngineSettings(), state=state).report(now_ns=end_ns)
    assert found == load.report(now_ns=end_ns)
    expected = []
    for position in sorted({one.position for one in asks}):
        counts = [
            sum(
                one.position == position and k * 600 <= (one.t_ns - T0) / S < (k + 1) * 600
                for one in asks
            )
            for k in range(18)
        ]
        intervals = 18
        expected.append(
            (
                sum(counts),
                max(counts),
                round(sum(counts) / intervals, 3),
                round(sum(count > 10 for count in counts) / intervals, 4),
            )
        )
    said = [(f.rings, f.peak_10_min, f.per_10_min, f.flood_share) for f in found.load]
    assert said == expected
    run = load_of(shuffled, EngineSettings(), begin_ns=T0, end_ns=end_ns)
    assert (run.load, run.frequent) == (found.load, found.frequent)


@given(
    st.lists(st.integers(1, 400), max_size=30),
    st.integers(2, 5),
    st.integers(10, 600),
)
def test_chattering_is_told_once_a_stretch(gaps: list[int], rings: int, window_s: int) -> None:
    """As a look back over all rings says it: enough of them within the window."""
    load = Load(EngineSettings(chatter_rings=rings, chatter_window_s=window_s), state=LoadState())
    times, told, at = [], 0, 0
    chatters = False
    for gap in gaps:
        at += gap
        if gap > window_s:
            chatters = False
        times.append(at)
        enough = sum(at - window_s <= each for each in times) >= rings
        news = load.rang("r1", "process", "x", t_ns=T0 + at * S)
        assert news == (enough and not chatters)
        chatters = chatters or enough
        told += news
        listed = load.report(now_ns=T0 + at * S).chattering
        assert listed == (("x",) if chatters else ())
    assert load.report(now_ns=T0 + (at + window_s + 1) * S).chattering == ()
    run = [
        Ask(t_ns=T0 + sum(gaps[: i + 1]) * S, position="", asset="r", track="t", alert_id=f"{i}")
        for i in range(len(gaps))
    ]
    engine = EngineSettings(chatter_rings=rings, chatter_window_s=window_s)
    assert len(load_of(run, engine, begin_ns=T0, end_ns=T0 + S).chattering) == told


def test_zero_rings_look_for_no_chattering() -> None:
    """It can be turned off."""
    load = Load(EngineSettings(chatter_rings=0), state=LoadState())
    assert not any(load.rang("r1", "process", "x", t_ns=T0 + i * S) for i in range(20))


def test_what_rings_again_for_news_does_not_chatter() -> None:
    """It is one event that grows."""
    run = [ask(i, again=i > 0) for i in range(10)]
    found = load_of(run, EngineSettings(), begin_ns=T0, end_ns=T0 + 600 * S)
    assert (found.chattering, found.load[0].rings) == ((), 10)


def test_stale_is_what_is_active_longer_than_a_day_acknowledged_or_not() -> None:
    """Told once each, listed while it stands."""
    day_ns = 86_400 * S
    records = [
        AlertRecord(
            asset=f"r{i}", track=Track.PROCESS, alert_id=f"r{i}-1", begin_ns=T0, state=state
        )
        for i, state in enumerate(AlertState)
    ]
    load = Load(EngineSettings(), state=LoadState())
    assert load.look(records, now_ns=T0 + day_ns) == []
    assert {one.state for one in load.look(records, now_ns=T0 + day_ns + 1)} == {
        AlertState.ACTIVE_UNACK,
        AlertState.ACTIVE_ACK,
    }
    assert load.look(records, now_ns=T0 + 2 * day_ns) == []
    assert load.report(now_ns=T0 + 2 * day_ns).stale == ("r1-1", "r2-1")
    for record in records:
        record.clear(t_ns=T0)
    assert load.look(records, now_ns=T0 + 3 * day_ns) == []
    assert load.report(now_ns=T0 + 3 * day_ns).stale == ()
