"""A candidate in the shadow: the same samples, its own alerts, and nothing that leaves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import andon
from edge.assessment.assess import Episode
from edge.bundles.probation import scorable
from edge.bundles.shadow import NEAR_NS, Shadow, ShadowReport, Side, matches
from edge.errors import ConfigError
from edge.records import BundleSwapped, Publish
from edge.samples.ring import AssetRing
from edge.storage.checkpoint import Checkpoint, save
from edge.storage.journal import read_journal
from edge.storage.journal_writer import JournalWriter
from edge.storage.restore import started
from tests.edge.app_broker import BEGIN_NS
from tests.edge.test_bundle_watch import S, Site, first, jumpy, second

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundles.bundle import Bundle

FAULTS: Final = (range(300, 340), range(600, 620), range(900, 960))  # seconds
END: Final = 1200
GATEWAY: Final = """\
site = "s"
clock = "plant"
[model]
bundle = "first"
[engine]
clear_samples = 5
"""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A gateway that saw three faults; its journal and a checkpoint at half of it are kept."""
    site = Site(tmp_path_factory.mktemp("lived") / "site")
    for fault in FAULTS:
        site.values[fault.start : fault.stop, 1] += 20 * site.values[:, 1].std()
    writer = JournalWriter(site.folder / "state" / "journal")
    writer.append([(BEGIN_NS, started(site.assembly))])
    for until in (500, END):
        site.run(until - site.row, look=False)
        at = writer.append(site.sent)
        site.sent.clear()
        if until < END:
            state, fingerprint = site.assembly.engine.state, site.assembly.fingerprint
            save(
                site.folder / "half", Checkpoint(position=at, fingerprint=fingerprint, state=state)
            )
    writer.close()
    for bundle in (second(), jumpy()):
        site.promote(bundle)
    site.store.point(first().sha256, by="ann", because="", what="rolled_back")
    return site


def shadow(site: Site, candidate: Bundle) -> Shadow:
    """A candidate behind the journal of a site."""
    return Shadow(site.config, site.store, candidate.sha256)


def told(report: ShadowReport) -> dict[str, Any]:
    """A report without its cost, which is of the machine."""
    fields: dict[str, Any] = msgspec.to_builtins(report)
    for name in ("current", "candidate"):
        assert 0 < fields[name].pop("us_per_sample") < 1e5
    return fields


def test_both_ring_for_the_faults_and_agree(lived: Site) -> None:
    """Three faults, three alerts each, of the same events; rates are of plant time."""
    one = shadow(lived, second())
    assert one.turn() > 0
    report = one.report()
    assert (report.current.bundle_sha256, report.candidate.bundle_sha256) == (
        first().sha256,
        second().sha256,
    )
    assert report.current.alerts == report.candidate.alerts == report.both == len(FAULTS)
    assert report.agreement == 1.0
    assert abs(report.delay_s_median) <= 5
    assert report.samples == END - 1, "the newest waits for the next"
    days = (END - 1) / 86_400
    assert report.hours == pytest.approx(days * 24, rel=0.02)
    assert report.current.alerts_per_day == pytest.approx(len(FAULTS) / days, rel=0.02)
    assert 0 <= report.candidate.unscored_share < 0.2
    assert one.turn() == 0, "nothing more has come"


def test_a_candidate_that_rings_too_often_shows_it(lived: Site) -> None:
    """It finds all that the other finds, and is worse."""
    one = shadow(lived, jumpy())
    one.turn()
    report = one.report()
    assert report.candidate.alerts > 2 * report.current.alerts
    assert report.agreement < 0.5
    assert any("alerts a day" in why for why in report.worse_because())


@pytest.mark.parametrize("cut", [5, 200, 431])
@pytest.mark.not_counted
def test_a_journal_that_grows_gives_the_same_report(lived: Site, tmp_path: Path, cut: int) -> None:
    """Turn by turn or in one: it goes on where it was."""
    entries = [(e.now_ns, e.stimulus) for e in read_journal(lived.folder / "state" / "journal")]
    growing = Site(tmp_path / "site")
    for bundle in (second(), first()):
        growing.promote(bundle)
    writer = JournalWriter(growing.folder / "state" / "journal")
    writer.append(entries[:cut])
    one = shadow(growing, second())
    assert one.turn() == cut
    writer.append(entries[cut:])
    assert one.turn() == len(entries) - cut
    writer.close()
    whole = shadow(lived, second())
    whole.turn()
    assert told(one.report()) == told(whole.report())


def test_it_begins_at_the_newest_checkpoint_with_warm_rows(lived: Site) -> None:
    """Only what comes behind counts; the candidate takes over there, and warms from the ring."""
    half, place = lived.folder / "half", lived.folder / "state" / "checkpoints"
    place.symlink_to(half)
    try:
        one = shadow(lived, second())
        one.turn()
    finally:
        place.unlink()
    report = one.report()
    assert report.current.alerts == report.candidate.alerts == 2
    assert report.samples == END - 500, "one waited at either end"
    assert report.candidate.unscored_share == report.current.unscored_share == 0.0


def test_a_promotion_in_the_journal_moves_the_current_side_only(
    lived: Site, tmp_path: Path
) -> None:
    """The candidate stays what it is; whoever compares is told that it is with another one now."""
    entries = [(e.now_ns, e.stimulus) for e in read_journal(lived.folder / "state" / "journal")]
    site = Site(tmp_path / "site")
    for bundle in (second(), jumpy(), first()):
        site.promote(bundle)
    writer = JournalWriter(site.folder / "state" / "journal")
    swapped = (entries[200][0], BundleSwapped(bundle_sha256=second().sha256))
    writer.append([*entries[:200], swapped, *entries[200:]])
    writer.close()
    one = shadow(site, jumpy())
    one.turn()
    assert one.moved_on
    report = one.report()
    assert report.current.bundle_sha256 == second().sha256
    assert report.candidate.bundle_sha256 == jumpy().sha256


def test_what_counts_cannot_be_its_own_candidate(lived: Site) -> None:
    """Nor what is not there."""
    for sha256 in (first().sha256, "f" * 64):
        with pytest.raises(ConfigError, match="candidate"):
            Shadow(lived.config, lived.store, sha256)


def test_the_command_keeps_a_report_and_says_what_is_not_better(lived: Site) -> None:
    """And `off` ends what somebody else began."""
    config = lived.folder / "gateway.toml"
    config.write_text(GATEWAY)
    short = second().sha256[:8]

    def run(*arguments: str) -> Any:  # noqa: ANN401 - click's result
        return CliRunner().invoke(
            andon.app, ["model", *arguments, "--config", str(config)], catch_exceptions=False
        )

    done = run("shadow", short, "--once", "--by", "ann")
    assert "both rang 3: agreement 100%" in done.stdout
    assert "0.332 h seen, 24 needed" in done.stdout
    stored = lived.store.report(second().sha256)
    assert stored is not None
    assert msgspec.json.decode(stored, type=ShadowReport).both == 3
    acts = [(act.what, act.by) for act in lived.store.history()[-2:]]
    assert acts == [("shadowed", "ann"), ("unshadowed", "ann")]
    lived.store.note("shadowed", second().sha256, by="ann")
    listed = msgspec.json.decode(run("list", "--json").stdout)
    assert {row["sha256"]: row["state"] for row in listed}[second().sha256] == "shadow"
    assert second().sha256[:12] in run("shadow", "off").stdout
    assert "none" in run("shadow", "off").stdout
    assert run("promote", short, "--if-better").exit_code == 1


def test_nothing_of_it_leaves(lived: Site) -> None:
    """It has neither broker nor outbox; the gateway's files are as they were, but for the store."""
    state = lived.folder / "state"
    before = {path.name for path in state.iterdir()}
    one = shadow(lived, second())
    published: list[Publish] = []
    one._new.backtest._watch = lambda effect, _: (
        published.append(effect) if isinstance(effect, Publish) else None
    )
    one.turn()
    assert published, "the candidate's engine decides, and its effects end there"
    assert not one._new.backtest.published
    assert {path.name for path in state.iterdir()} == before


# --- matching ---


def episode(begin_s: int, length_s: int = 10, *, asset: str = "r1", delay_s: int = 2) -> Episode:
    """One that rang."""
    return Episode(
        alert_id=f"{asset}-{begin_s}",
        count=1,
        asset=asset,
        track="process",
        begin_ns=begin_s * S,
        opened_ns=(begin_s + delay_s) * S,
        rang_ns=(begin_s + delay_s) * S,
        ended_ns=(begin_s + length_s) * S,
    )


EPISODES = st.lists(
    st.builds(
        episode, st.integers(0, 5000), st.integers(1, 50), asset=st.sampled_from(["r1", "r2"])
    ),
    max_size=8,
)


@given(EPISODES)
def test_a_run_matches_itself_without_delay(found: list[Episode]) -> None:
    """Each event once."""
    assert matches(found, found) == [0] * len(found)


@given(EPISODES, EPISODES)
def test_a_match_is_of_one_asset_and_takes_one_of_each(
    old: list[Episode], new: list[Episode]
) -> None:
    """No more pairs than either asset has on either side."""
    pairs = 0
    for asset in ("r1", "r2"):
        sides = [sum(one.asset == asset for one in side) for side in (old, new)]
        pairs += min(sides)
    assert len(matches(old, new)) <= pairs


def test_an_alert_far_from_any_other_matches_none() -> None:
    """Near is a minute from end to begin."""
    near_s = NEAR_NS // S
    assert matches([episode(100)], [episode(110 + near_s, delay_s=5)]) == [(13 + near_s) * S]
    assert matches([episode(100)], [episode(111 + near_s)]) == []
    assert matches([episode(100)], [episode(100, asset="r2")]) == []


def test_a_share_of_no_samples_is_no_verdict() -> None:
    """Where neither had a sample to look at, nothing is said of scores; more without one is."""

    def said(now: float, then: float) -> list[str]:
        sides = [
            Side(
                bundle_sha256="x",
                alerts=0,
                alerts_per_day=0.0,
                unscored_share=share,
                us_per_sample=1.0,
            )
            for share in (now, then)
        ]
        return ShadowReport(
            current=sides[0],
            candidate=sides[1],
            begin_ns=0,
            end_ns=2 * 86_400 * 10**9,
            samples=10,
            period_s=1.0,
            budget_per_day=6.0,
            both=0,
            agreement=math.nan,
            delay_s_median=math.nan,
        ).worse_because()

    assert said(math.nan, math.nan) == said(math.nan, 0.1) == []
    assert any("no score for" in why for why in said(0.0, 0.9))


def test_only_a_mode_that_is_told_excuses_a_missing_score() -> None:
    """A guess keeps no sample from being scored."""
    ring = AssetRing(
        t_ns=np.arange(2),
        values=np.ones((2, 1), np.float32),
        running=np.ones(2, bool),
        written=2,
        mode=np.ones(2),
    )
    assert not scorable(ring)
    assert scorable(ring, guessed=True)
