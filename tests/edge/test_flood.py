"""Floods: what becomes a group, against a slow reading of the rule, in any order and cut."""

from __future__ import annotations

import itertools
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.alerts.alerts import AlertState
from edge.alerts.causes import causes_of, topic_of
from edge.alerts.flood import GRACE_NS, STEP_NS, WINDOW_NS, Flood, FloodState
from edge.alerts.group import Group, Join, Notice, Ring
from edge.storage.checkpoint import pack, unpack

S: Final = 1_000_000_000
T0: Final = 1_760_000_000 * S
DELAY: Final = 2 * STEP_NS
LATE: Final = T0 + 100_000 * S
AIR, WATER = ("utility", "air-2"), ("utility", "water")


def ring(asset: str, second: float, *, severity: int = 500, begin: float | None = None) -> Ring:
    """An alert of an asset that begins to ring at a second."""
    t_ns = T0 + round(second * S)
    begin_ns = t_ns - S if begin is None else T0 + round(begin * S)
    return Ring(
        t_ns=t_ns,
        asset=asset,
        track="process",
        alert_id=f"{asset}@{second:g}",
        count=1,
        begin_ns=begin_ns,
        channel="c1",
        severity=severity,
        respond_min=int(asset[1:]) + 5,
    )


def rang(*args: float | str, **more: int | float) -> Notice:  # noqa: PYI041
    """The notice of it."""
    one = ring(str(args[0]), float(args[1]), **more)  # type: ignore[arg-type]
    return Notice(t_ns=one.t_ns, asset=one.asset, track=one.track, ring=one)


def over(asset: str, second: float) -> Notice:
    """It does not ring any more."""
    return Notice(t_ns=T0 + round(second * S), asset=asset, track="process")


def flood_of(
    utilities: dict[str, tuple[str, ...]], *, state: FloodState | None = None
) -> tuple[Flood, FloodState]:
    """A flood watch over assets with their utilities."""
    state = state or FloodState()
    causes = causes_of((asset, of, "", "") for asset, of in utilities.items())
    return Flood(causes, state=state, delay_ns=DELAY), state


def assets(first: int, last: int) -> list[str]:
    """Ids a10 .. a24, so that their order is that of their numbers."""
    return [f"a{i}" for i in range(first, last)]


FED: Final = {
    **dict.fromkeys(assets(10, 25), ("air-2",)),
    **dict.fromkeys(assets(25, 40), ("water",)),
    **dict.fromkeys(assets(40, 60), ()),
}


def told(changes: list[Group]) -> list[tuple[str, int, str, int]]:
    """Changes of groups in short."""
    return [(one.group_id, one.revision, one.state.value, len(one.members)) for one in changes]


@pytest.mark.parametrize(("count", "groups"), [(9, 0), (10, 0), (11, 1), (14, 1)])
def test_eleven_assets_are_a_flood_and_ten_are_none(count: int, groups: int) -> None:
    """More than ten in ten minutes that are fed from one utility."""
    flood, _ = flood_of(FED)
    for i, asset in enumerate(assets(10, 10 + count)):
        flood.note(rang(asset, 30 * i))
    changes, joins = flood.fold(LATE)
    assert len({one.group_id for one in changes}) == groups
    assert {join.asset for join in joins} == (set(assets(10, 10 + count)) if groups else set())
    if groups:
        assert (changes[0].kind, changes[0].name) == AIR
        assert changes[-1].first_out.asset == "a10"


@pytest.mark.parametrize(("last", "groups"), [(599.0, 1), (605.0, 0)])
def test_they_have_ten_minutes(last: float, groups: int) -> None:
    """One that comes later finds the first forgotten."""
    flood, _ = flood_of(FED)
    for i, asset in enumerate(assets(10, 20)):
        flood.note(rang(asset, 0.5 + i))
    flood.note(rang("a20", last))
    changes, _ = flood.fold(LATE)
    assert len({one.group_id for one in changes}) == groups


def test_one_asset_that_rings_often_is_no_flood() -> None:
    """Assets are counted, not rings."""
    flood, _ = flood_of(FED)
    for i in range(40):
        flood.note(rang("a10", 4 * i))
        flood.note(over("a10", 4 * i + 2))
    assert flood.fold(LATE) == ([], [])


def test_the_first_out_is_whose_event_began_first() -> None:
    """Not who rang first: a slow detector may need longer to say so."""
    flood, _ = flood_of(FED)
    for i, asset in enumerate(assets(10, 22)):
        begin = 2.0 if asset == "a17" else 5.0 + i
        flood.note(rang(asset, 10 + i, begin=begin, severity=300 + 10 * i))
    changes, _ = flood.fold(LATE)
    group = changes[-1]
    assert (group.first_out.asset, group.first_out.channel) == ("a17", "c1")
    assert (group.severity, group.respond_min) == (410, 15)


def test_two_floods_at_one_time_are_two_groups() -> None:
    """Interleaved, each with its own cause, and no third of the time they share."""
    flood, _ = flood_of(FED)
    for i, (air, water) in enumerate(zip(assets(10, 23), assets(25, 38), strict=True)):
        flood.note(rang(air, 2 * i))
        flood.note(rang(water, 2 * i + 1))
    changes, joins = flood.fold(LATE)
    last = {one.name: one for one in changes}
    assert set(last) == {"air-2", "water"}
    assert {m.ring.asset for m in last["air-2"].members} == set(assets(10, 23))
    assert {m.ring.asset for m in last["water"].members} == set(assets(25, 38))
    assert len(joins) == 26


def test_time_alone_is_named_as_such_a_minute_later_and_keeps_nothing_quiet() -> None:
    """It says when, not why."""
    flood, _ = flood_of(FED)
    for i, asset in enumerate(assets(40, 52)):
        flood.note(rang(asset, i))
    changes, joins = flood.fold(T0 + 60 * S)
    assert not changes
    changes, joins = flood.fold(LATE)
    assert (changes[0].kind, changes[0].name, len(changes[0].members)) == ("time", "", 12)
    assert changes[0].changed_ns == T0 + 12 * S + GRACE_NS
    assert not any(join.quiet for join in joins)
    assert topic_of(changes[0].cause) == "time"


def test_a_plant_may_let_time_alone_ring_for_its_members() -> None:
    """It is asked for by a setting."""
    flood = Flood({}, state=FloodState(), delay_ns=DELAY, time_quiets=True)
    for i, asset in enumerate(assets(40, 52)):
        flood.note(rang(asset, i))
    changes, joins = flood.fold(LATE)
    assert all(join.quiet for join in joins)
    assert flood.rings_for(ring("a59", 90)) == changes[0].group_id


def test_members_beyond_the_cap_ring_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted, and those that are in it stay in it."""
    monkeypatch.setattr("edge.alerts.group.GROUP_MEMBERS_MAX", 12)
    flood, state = flood_of(FED)
    for i, asset in enumerate(assets(10, 25)):
        flood.note(rang(asset, 10 * i))
    changes, joins = flood.fold(LATE)
    assert len(changes[-1].members) == 12
    assert state.groups[topic_of(AIR)].lost == 3
    assert {join.asset for join in joins} == set(assets(10, 22))


def test_a_clock_that_stepped_back_forgets_what_is_ahead() -> None:
    """The group stays until its members clear, and takes no more."""
    flood, state = flood_of(FED)
    for i, asset in enumerate(assets(10, 21)):
        flood.note(rang(asset, i))
    flood.fold(LATE)
    flood.clock_stepped_back()
    flood.note(rang("a22", -5_000))
    changes, _ = flood.fold(LATE)
    assert (changes, len(state.groups[topic_of(AIR)].members)) == ([], 11)
    for asset in assets(10, 21):
        flood.note(over(asset, -4_000))
    changes, _ = flood.fold(LATE)
    assert changes[-1].state is AlertState.CLEARED_UNACK


def test_a_named_cause_takes_its_own_from_time_alone() -> None:
    """Slow to show, it explains eleven of twelve; the other one stays."""
    flood, _ = flood_of(FED)
    for i, asset in enumerate([*assets(10, 20), "a40"]):
        flood.note(rang(asset, i))
    flood.note(rang("a20", 200))
    changes, _ = flood.fold(LATE)
    kinds = [(one.kind, len(one.members), one.active) for one in changes]
    assert kinds == [("time", 11, True), ("time", 1, True), ("utility", 11, True)]
    assert changes[1].members[0].ring.asset == "a40"


def test_all_explained_time_alone_is_over() -> None:
    """Nothing is left of it but its history."""
    flood, state = flood_of(FED)
    for i, asset in enumerate(assets(10, 20)):
        flood.note(rang(asset, i))
    flood.note(rang("a99", 10))
    flood.note(over("a99", 12))
    flood.fold(T0 + 100 * S)
    assert state.groups["time"].active
    flood.note(rang("a20", 300))
    flood.note(rang("a21", 300))
    changes, _ = flood.fold(T0 + 302 * S)
    assert {one.kind: one.active for one in changes} == {"time": False, "utility": True}


def test_it_ends_when_all_have_cleared_and_a_recurrence_counts() -> None:
    """Unseen it keeps its id, as any alert; seen and cleared it is another one."""
    flood, state = flood_of(FED)

    def wave(second: int) -> list[Group]:
        for asset in assets(10, 21):
            flood.note(rang(asset, second))
            flood.note(over(asset, second + 100))
        changes, _ = flood.fold(T0 + (second + 200) * S)
        return changes

    first = wave(0)
    assert told(first)[-1][1:] == (2, "CLEARED_UNACK", 11)
    second = wave(2_000)
    assert [one.group_id for one in second] == [first[0].group_id] * 2
    assert (second[0].count, second[0].revision) == (2, 3)
    assert next(iter(state.groups.values())).acknowledge()
    third = wave(4_000)
    assert third[0].group_id != first[0].group_id
    assert (third[0].count, third[0].revision) == (1, 1)


def test_a_new_member_is_quiet_from_when_the_group_counts() -> None:
    """But not one of a higher severity, of another cause, or after its ten minutes."""
    flood, state = flood_of(FED)
    for i, asset in enumerate(assets(10, 21)):
        flood.note(rang(asset, i))
    changes, _ = flood.fold(LATE)
    group_id, end_ns = changes[0].group_id, changes[0].changed_ns
    known = (end_ns + DELAY - T0) / S
    assert flood.rings_for(ring("a22", known)) == group_id
    assert flood.rings_for(ring("a22", known - 0.1)) == ""
    assert flood.rings_for(ring("a22", known, severity=501)) == ""
    assert flood.rings_for(ring("a30", known)) == ""
    past = (end_ns + WINDOW_NS - T0) / S + 0.1
    assert flood.rings_for(ring("a22", past)) == ""
    assert flood.rings_for(ring("a22", past), kept=group_id) == group_id
    assert state.groups[topic_of(AIR)].state is AlertState.ACTIVE_UNACK


def test_the_cause_that_most_of_its_assets_share_is_named() -> None:
    """Eleven of a line of eleven, though a utility of forty feeds them too."""
    causes = causes_of(
        (f"a{i}", ("power",), f"P1-L{i // 20}-R{i}" if i < 31 else "", "hall")
        for i in range(10, 60)
    )
    assert ("line", "P1-L1") not in causes["a12"]  # ten assets are no flood
    assert ("line", "P1-L1-R12") not in causes["a12"]
    flood = Flood(causes, state=FloodState(), delay_ns=DELAY)
    for i, asset in enumerate(assets(20, 31)):
        flood.note(rang(asset, i))
    changes, _ = flood.fold(LATE)
    assert changes[0].cause == ("line", "P1-L1")


@given(st.text(max_size=12), st.text(max_size=12))
def test_topics_of_causes_are_one_level_and_differ(one: str, other: str) -> None:
    """Whatever names a plant has."""
    first, second = topic_of(("utility", one)), topic_of(("utility", other))
    assert not set(first) & set("/+#\0")
    assert (first == second) == (one == other)


SCRIPT = st.lists(
    st.tuples(
        st.integers(10, 44),  # asset
        st.integers(0, 1500),  # tenths of a second
        st.integers(1, 9000),  # for how long it rings, tenths
        st.sampled_from([400, 500, 600]),
    ),
    max_size=60,
)


def notices_of(script: list[tuple[int, int, int, int]]) -> list[Notice]:
    """Rings and their ends, no alert ringing twice at a time."""
    found: list[Notice] = []
    busy: dict[str, int] = {}
    for number, begin, lasts, severity in sorted(script):
        asset = f"a{number}"
        if begin > busy.get(asset, -1):
            found += [
                rang(asset, begin / 10, severity=severity),
                over(asset, (begin + lasts) / 10),
            ]
            busy[asset] = begin + lasts
    return sorted(found, key=lambda each: each.order)


def play(
    notices: list[Notice], cuts: list[int], *, restart: bool = False
) -> tuple[list[Group], list[Join], FloodState]:
    """Give notices in parts, folding what is certain after each, as ticks do."""
    flood, state = flood_of(FED)
    changes, joins = list[Group](), list[Join]()
    bounds = [0, *sorted(min(cut, len(notices)) for cut in cuts), len(notices)]
    for begin, end in itertools.pairwise(bounds):
        for notice in reversed(notices[begin:end]):  # assets come one after another
            flood.note(notice)
        if end < len(notices):
            changed, joined = flood.fold(notices[end].t_ns)
            changes, joins = changes + changed, joins + joined
        if restart:
            flood, state = flood_of(FED, state=unpack(pack(state), FloodState))
    changed, joined = flood.fold(LATE)
    return changes + changed, joins + joined, state


@given(script=SCRIPT, cuts=st.lists(st.integers(0, 120), max_size=8), restart=st.booleans())
def test_order_cut_and_restart_change_nothing(
    script: list[tuple[int, int, int, int]], cuts: list[int], *, restart: bool
) -> None:
    """The same groups, revision by revision, and the same end."""
    notices = notices_of(script)
    whole = play(notices, [])
    assert play(notices, cuts, restart=restart) == whole


@given(script=SCRIPT)
def test_no_member_is_lost_and_no_flood_rings_twice(
    script: list[tuple[int, int, int, int]],
) -> None:
    """Against the rule said slowly: who rang within ten minutes, and what they share."""
    notices = notices_of(script)
    changes, joins, state = play(notices, [])
    keys = [(one.group_id, one.revision) for one in changes]
    assert len(set(keys)) == len(keys), "one id and revision has one content"
    begun = [(one.group_id, one.count) for one in changes if one.began]
    assert len(set(begun)) == len(begun), "a group begins to ring once"
    for name, fed in (("air-2", assets(10, 25)), ("water", assets(25, 40))):
        rings = [n.ring for n in notices if n.ring is not None and n.asset in fed]
        crowded = len({one.asset for one in rings}) > 10  # the script is shorter than ten minutes
        group = state.groups.get(topic_of(("utility", name)))
        assert (group is not None) == crowded
        if group is not None:
            listed = {member.ring.asset for member in group.members}
            joined = {join.asset for join in joins if join.group_id.startswith("_group-utility")}
            assert listed <= {one.asset for one in rings} <= joined
    for one in changes:
        assert one.active == any(not member.over_ns for member in one.members)
        assert one.severity == max(m.ring.severity for m in one.members)
        assert one.first_out.begin_ns == min(m.ring.begin_ns for m in one.members)
    for group in state.groups.values():
        assert msgspec.structs.asdict(group)["lost"] == 0
