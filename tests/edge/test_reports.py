"""Figures of reports against slow oracles, on streams from seeds and from the real engine."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.errors import JournalError
from edge.records import Publish
from edge.reports.handover import Now, handover
from edge.reports.history import history_file, history_of
from edge.reports.html import fragment
from edge.reports.life import horns_of
from edge.reports.making import Making
from edge.reports.month import Rules, month
from edge.reports.reading import read_outbox
from edge.storage.outbox import Outbox
from edge.wire.outgoing import JobPayload, JobsPayload, SilencePayload
from tests.edge.alert_streams import DAY_MS, OCTOBER_MS, Told, alert, keep, month_of, site
from tests.edge.flood_rig import FloodRig, starved

if TYPE_CHECKING:
    from pathlib import Path

    from edge.reports.month import Month
    from edge.reports.transitions import Transition

DAYS = [OCTOBER_MS + n * DAY_MS for n in range(32)]


def transitions(tmp_path: Path, told: list[Told]) -> list[Transition]:
    """As they are read back from an outbox."""
    keep(told, tmp_path / "outbox.sqlite")
    rows = read_outbox(tmp_path / "outbox.sqlite", prefix="andon", site="s")
    return [one for _, one in rows.found]


def figures(found: list[Transition]) -> Month:
    """Figures of October."""
    return month(found, days=DAYS, positions={}, rules=Rules())


# --- oracles: from the payloads themselves, one question at a time ---


def horns_slowly(told: list[Told]) -> list[tuple[int, str, str]]:
    """A horn sounds when `rings` grows and `annunciate` is 1, or when `annunciate` turns 1."""
    found = []
    for i, one in enumerate(told):
        said = one.payload
        same = (t.payload for t in reversed(told[:i]) if t.asset == one.asset)
        before = next(same, None)
        turned = said.annunciate and not (before and before.annunciate)
        grew = before is not None and before.id == said.id and said.rings > before.rings
        another = before is not None and before.id != said.id
        if said.annunciate and (turned or grew or another):
            found.append((one.t_ms, one.asset, one.id))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_what_was_heard_in_a_month(tmp_path: Path, seed: int) -> None:
    """Rings, the peak, floods, days and the worst actors, each counted once more by hand."""
    told = month_of(seed, a_day=8 + 30 * seed)
    found = figures(transitions(tmp_path, told))
    horns = [h for h in horns_slowly(told) if DAYS[0] <= h[0] < DAYS[-1]]
    assert horns
    assert found.everywhere.rings == len(horns)
    assert found.everywhere.per_day == pytest.approx(len(horns) / 31)
    begins = range(DAYS[0], DAYS[-1], 600_000)
    intervals = [0] * len(begins)
    for t, *_ in horns:
        intervals[next(n for n, b in enumerate(begins) if b <= t < b + 600_000)] += 1
    assert found.everywhere.peak_10_min == max(intervals)
    first_peak = DAYS[0] + 600_000 * intervals.index(max(intervals))
    assert found.everywhere.peak_ms == first_peak
    floods = sum(n > 10 for n in intervals)
    assert found.everywhere.flood_share == pytest.approx(floods / len(intervals), abs=1e-4)
    assert [day.rings for day in found.days] == [
        sum(a <= t < b for t, *_ in horns) for a, b in pairwise(DAYS)
    ]
    by_asset: dict[str, int] = {}
    for _, asset, _ in horns:
        by_asset[asset] = by_asset.get(asset, 0) + 1
    most = sorted(by_asset.items(), key=lambda each: (-each[1], each[0]))[:10]
    assert [(one.asset, one.rings) for one in found.actors] == most
    assert sum(found.priorities.values()) == len(horns)


@pytest.mark.parametrize("seed", range(3))
def test_how_events_were_met(tmp_path: Path, seed: int) -> None:
    """Avoided, late, acknowledged and how soon: event by event."""
    told = month_of(seed + 100, a_day=30)
    found = figures(transitions(tmp_path, told))
    horns = horns_slowly(told)
    ids = {one.id: [t.payload for t in told if t.id == one.id] for one in told}
    began = [v for v in ids.values() if DAYS[0] <= v[0].ts_ms < DAYS[-1]]
    waits, unacked, avoided, late = [], 0, 0, 0
    for said in began:
        rang = [t for t, _, name in horns if name == said[0].id and t < DAYS[-1]]
        told_here = [one for one in said if one.ts_ms < DAYS[-1]]
        heard = [i for i, one in enumerate(told_here) if one.active and not one.shadow]
        acked = [one.ts_ms for i, one in enumerate(told_here) if one.acked and heard
                 and i >= heard[0]]  # fmt: skip
        if rang and acked:
            waits.append(max(0, acked[0] - rang[0]))
        unacked += bool(rang) and not acked
        kept = any(one.suppressed for one in told_here)
        others = any(one.active or one.shelved or one.shadow for one in told_here)
        avoided += kept and not others
        late += kept and bool(rang)
    assert found.events == len(began)
    assert (found.acked, found.unacked) == (len(waits), unacked)
    assert (found.avoided, found.late) == (avoided, late)
    assert avoided
    assert late
    waits.sort()
    assert found.ack_median_ms == next(
        w for w in waits if sum(v <= w for v in waits) * 2 >= len(waits)
    )
    assert found.ack_p90_ms == next(
        w for w in waits if sum(v <= w for v in waits) * 10 >= 9 * len(waits)
    )


@pytest.mark.parametrize("seed", range(3))
def test_what_stood_for_long_and_what_chattered(tmp_path: Path, seed: int) -> None:
    """Each by looking at all pairs of times."""
    told = month_of(seed + 200, a_day=30, assets=5)
    found = figures(transitions(tmp_path, told))
    ids = {one.id: [t.payload for t in told if t.id == one.id] for one in told}
    stale = set()
    for name, said in ids.items():
        over = [one.ts_ms for one in said if one.state.startswith("CLEARED")][:1]
        end = min([*over, DAYS[-1]])
        rang = any(one.active and not one.shadow and one.ts_ms < DAYS[-1] for one in said)
        if rang and end - said[0].begin_ms > DAY_MS and end >= DAYS[0]:
            stale.add(name)
    assert {one.id for one in found.stale} == stale
    first: dict[str, list[int]] = {}
    for t, asset, name in horns_slowly(told):
        rings = next(p.rings for p in ids[name] if p.ts_ms == t and p.annunciate)
        if DAYS[0] <= t < DAYS[-1] and rings <= 1:
            first.setdefault(asset, []).append(t)
    chattering = {
        asset
        for asset, times in first.items()
        if any(sum(t <= u <= t + 600_000 for u in times) >= 3 for t in times)
    }
    assert {one.asset for one in found.chattering} == chattering
    assert chattering


def test_the_same_load_as_the_engine_counts(tmp_path: Path) -> None:
    """A flood of the real engine: each position hears what health said it had heard."""
    rig = FloodRig()
    rig.run(900, {**starved(), "p1": (100, 200), "p2": (650, 700)}, step=10)
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outbox.put([e for e in rig.effects if isinstance(e, Publish) and e.key is not None])
    outbox.close()
    rows = read_outbox(tmp_path / "outbox.sqlite", prefix="andon", site="s")
    found = [one for _, one in rows.found]
    groups = [one for one in found if one.asset == "_group"]
    assert groups
    assert len(groups[-1].members) == 14
    positions = {asset: rig.settings.of_asset(asset).position for one in found
                 for asset in (one.asset, *one.members)}  # fmt: skip
    horns = horns_of(found, positions)
    load = rig.engine.load()
    heard = {one.position: one.rings for one in load.load}
    assert {p: sum(h.position == p for h in horns) for p in heard} == heard
    assert set(heard) == {"west", "east"}


# --- the sheet ---


def test_the_sheet_of_a_shift(tmp_path: Path) -> None:
    """New, standing, suppressed, shelved, blind, jobs: each where it belongs, and nowhere else."""
    begin, end = OCTOBER_MS, OCTOBER_MS + DAY_MS // 3
    h = 3_600_000

    def of(asset: str, t_ms: int, state: str, revision: int = 1, **more: int) -> Told:
        track = "sensor" if asset == "blind" else "process"
        began = {"old": -5, "gone": -5, "later": 9}.get(asset, 1)
        return alert(t_ms=t_ms, asset=asset, begin_ms=begin + began * h, revision=revision,
                     state=state, track=track, **more)  # type: ignore[arg-type]  # fmt: skip

    told = [
        of("old", begin - 5 * h, "ACTIVE_UNACK"),
        of("gone", begin - 5 * h, "ACTIVE_UNACK"),
        of("gone", begin - 4 * h, "CLEARED_ACK", 2),
        of("new", begin + h, "ACTIVE_UNACK"),
        of("over", begin + h, "ACTIVE_UNACK"),
        of("over", begin + 2 * h, "CLEARED_ACK", 2),
        of("quiet", begin + h, "ACTIVE_UNACK", rings=0, suppressed=1),
        of("shelf", begin + h, "ACTIVE_UNACK"),
        of("shelf", begin + 2 * h, "ACTIVE_UNACK", 2, shelved=1),
        of("blind", begin + h, "ACTIVE_UNACK"),
        of("shadow", begin + h, "ACTIVE_UNACK", shadow=1),
        of("later", begin + 9 * h, "ACTIVE_UNACK"),
    ]
    proposal = JobPayload(
        job_id="p1", kind="calibration", instrument="FT-1", state="proposed", witness="",
        opened_by="", source="log", valid_from_ms=begin, valid_to_ms=None, fuse_ms=None, scope=(),
        quotes=("FT-1 prüfen",),
    )  # fmt: skip
    silence = SilencePayload(
        kind="out_of_service", track="", operator="ann", owner="bea", reason="overhaul",
        begin_ms=begin, end_ms=end,
    )  # fmt: skip
    jobs = JobsPayload(asset="m1", ts_ms=begin, jobs=(), proposals=(proposal,),
                       silences=(silence,))  # fmt: skip
    found = handover(
        transitions(tmp_path, told),
        begin_ms=begin,
        end_ms=end,
        now=Now(t_ms=end, jobs=(jobs,), blind=("blind", "dark")),
    )
    assert [one.asset for one in found.new] == ["blind", "new", "shelf", "over"]
    assert [one.asset for one in found.standing] == ["old"]
    assert [(one.asset, one.job_id) for one in found.suppressed] == [("quiet", "job-7")]
    assert [one.asset for one in found.shelved] == ["shelf"]
    assert [(one.asset, one.owner) for one in found.services] == [("m1", "bea")]
    assert [one.asset for one in found.blind] == ["blind", "dark"]
    assert [(one.asset, one.id) for one in found.confirm] == [("m1", "p1")]
    assert (found.rang, found.avoided) == (4, 1)


def test_what_a_group_rings_for_is_new_in_the_shift_in_which_it_began(tmp_path: Path) -> None:
    """A member has no horn of its own; it stands from before only where it rang before."""
    begin, end = OCTOBER_MS, OCTOBER_MS + DAY_MS // 3
    told = []
    for asset, t_ms in (("before", begin - 60_000), ("within", begin + 60_000)):
        one = alert(t_ms=t_ms, asset=asset, begin_ms=t_ms, revision=1, state="ACTIVE_UNACK")
        one.payload = msgspec.structs.replace(one.payload, annunciate=0, group_id="g")
        told.append(one)
    found = handover(transitions(tmp_path, told), begin_ms=begin, end_ms=end)
    assert [one.asset for one in found.new] == ["within"]
    assert [one.asset for one in found.standing] == ["before"]
    assert found.rang == 1


def test_what_is_left_of_an_unknown_time_is_not_counted_in_the_known_one(tmp_path: Path) -> None:
    """The newest word of a topic outlives the rest of its time; a day is measured by all."""
    told = month_of(5)
    since_ms = DAYS[20]
    last = {one.asset: one for one in told if one.t_ms < since_ms}
    rest = sorted(last.values(), key=lambda one: one.t_ms)
    rest += [one for one in told if one.t_ms >= since_ms]
    kept = transitions(tmp_path, rest)
    found = month(kept, days=DAYS, positions={}, rules=Rules(), since_ms=since_ms)
    within = [one for one in horns_of(kept, {}) if one.t_ms >= since_ms]
    assert any(one.t_ms < since_ms for one in horns_of(kept, {})), "nothing to tell apart"
    assert found.everywhere.rings == len(within)
    assert sum(day.rings for day in found.days) == len(within)
    assert found.events == len(
        {one.event for one in kept if one.t_ms >= since_ms}
        - {one.event for one in kept if one.t_ms < since_ms}
    )


# --- what is kept ---


def test_the_history_is_kept_when_the_outbox_forgets(tmp_path: Path) -> None:
    """Copied once, it stays; what was forgotten before it was copied is told."""
    told = month_of(3, days=6)
    config = site(tmp_path, told[: len(told) // 2])
    first = history_of(config)
    assert first.since_ms == 0
    assert len(first.transitions) == len(told) // 2
    outbox = config.path("state") / "outbox.sqlite"
    box = Outbox(outbox)
    box.change(lambda db: db.execute("DELETE FROM outbox WHERE row <= 300"))
    box.close()
    keep(told[len(told) // 2 :], outbox)
    both = history_of(config)
    assert [one.id for one in both.transitions] == [one.id for one in told]
    assert both.since_ms == 0
    history_file(config).unlink()
    late = history_of(config)
    assert len(late.transitions) == len(told) - 150
    assert late.since_ms == told[150].t_ms
    assert history_of(config) == late


def test_the_history_has_caps(tmp_path: Path) -> None:
    """Of bytes and days; the newest word of each alert stays, and what is gone is told."""
    told = month_of(4, days=60, a_day=90)
    config = site(tmp_path, told, "bytes_max = 1048576\ndays_max = 40\n")
    kept = history_of(config)
    assert 100 < len(kept.transitions) < len(told)
    assert {one.asset for one in kept.transitions} == {one.asset for one in told}
    size = history_file(config).stat().st_size
    assert size < 3 << 20
    gone = [one.t_ms for one in told if one.t_ms >= kept.since_ms]
    newer = [one for one in kept.transitions if one.t_ms >= kept.since_ms]
    assert len(newer) == len(gone)


def test_a_history_that_cannot_be_written_is_told_and_not_needed(tmp_path: Path) -> None:
    """The report is made of what the outbox has, and says so."""
    told = month_of(5, days=3)
    config = site(tmp_path, told)
    history_file(config).mkdir()
    found = history_of(config)
    assert len(found.transitions) == len(told)
    assert "reports.db" in found.kept
    assert "reports.db" in fragment(Making(config).month("2026-10"))


def test_an_outbox_that_is_none(tmp_path: Path) -> None:
    """Each is refused with words; a file with triggers is not opened."""
    path = tmp_path / "outbox.sqlite"
    with pytest.raises(JournalError, match="has run here"):
        read_outbox(path, prefix="andon", site="s")
    path.write_bytes(b"no database at all, but long enough to look like one" * 40)
    with pytest.raises(JournalError, match="cannot be read"):
        read_outbox(path, prefix="andon", site="s")
