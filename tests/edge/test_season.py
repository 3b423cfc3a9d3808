"""A machine that runs at night as by day: found by the engine, and told by the hour."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from rich.console import Console

from edge.alerts.contributions import contributions_of
from edge.assembly.assembly import Assembly
from edge.bundles.child import ProposalRequest, propose_bundle
from edge.engine import Engine
from edge.recordings.recording import TimedMessage
from edge.records import MessageReceived
from edge.replays.backtest import Backtest, with_ticks
from edge.settings import (
    AssetSettings,
    CommissioningSettings,
    ContextTag,
    GatewaySettings,
    Source,
)
from edge.storage.journal_writer import JournalWriter
from edge.wire.readings import encode_rows
from kb.records import WorkKind
from models.bundles.assemble import make_bundle
from models.bundles.bundle import ModeRow
from models.bundles.rows import without
from models.bundles.store import load, save
from models.detector import detectors_of
from models.fitting.fit import fit_asset
from models.fitting.season import BINS, UTC_CLOCKS, Season, of_no_hour
from tests.edge.rig import knowledge, scope
from tests.models.hours import DAY_ROWS, MONDAY_NS, NIGHT, STEP_S, follows, hourly_samples, times

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

NAMES = ["load", "heat", "pressure"]
AHEAD_NS = 2 * 3600 * 10**9  # what its clocks are ahead of UTC


@cache
def known() -> Bundle:
    """Two weeks of a plant whose clocks are two hours ahead."""
    values = follows(14, seed=1)
    t_ns = times(len(values)) - AHEAD_NS
    return make_bundle([fit_asset(hourly_samples(values, t_ns, zone="Africa/Cairo"))])


def sent(
    values: NDArray[np.float64], first: int, *, names: list[str] = NAMES
) -> Iterator[TimedMessage]:
    """Rows (n, c) from a day on as messages, by the same clocks."""
    t_of = times(len(values), first=first) - AHEAD_NS
    for t_ns, row in zip(t_of.tolist(), values, strict=True):
        for payload in encode_rows(names, [t_ns], [row.tolist()], shape="columnar"):
            yield TimedMessage(t_ns=t_ns, topic="plant/r1", payload=payload, begin_ns=t_ns)


def site(learning: CommissioningSettings | None = None) -> GatewaySettings:
    """A gateway of this plant; learning: its section of commissioning."""
    return GatewaySettings(
        site="hall",
        clock="plant",
        source=(Source(topic="plant/{asset}", interval_ms_max=3_600_000),),
        asset=(AssetSettings(id="r1"),),
        commissioning=learning,
    )


def gateway(learning: CommissioningSettings | None = None) -> Engine:
    """Of this plant."""
    return Assembly(site(learning), bundle=known(), snapshot=None).engine


def run(values: NDArray[np.float64], first: int, *, engine: Engine | None = None) -> Backtest:
    """A gateway on these rows."""
    backtest = Backtest(gateway() if engine is None else engine)
    backtest.run(with_ticks(sent(values, first), step_ns=STEP_S * 10**9))
    return backtest


def test_a_night_like_a_day_rings_and_says_what_is_usual_at_that_hour() -> None:
    """Three calm days beside it do not."""
    live = follows(4, seed=1, first=14, at_night=[2])
    episodes = [one for one in run(live, 14).episodes() if one.track == "process"]
    assert len(episodes) == 1
    begin_ns = times(len(live), first=14)[0] - AHEAD_NS
    at = (episodes[0].opened_ns - begin_ns) // (STEP_S * 10**9)
    assert NIGHT.start - 6 <= at - 2 * DAY_ROWS <= NIGHT.stop
    assert episodes[0].top_channel in NAMES[:2]
    assert "above its usual" in episodes[0].message
    assert "at this hour" in episodes[0].message


GATEWAY = """\
site = "hall"
[model]
bundle = "first"
[kb]
timezone = "Africa/Cairo"
[[source]]
topic = "plant/{asset}"
interval_ms_max = 3600000
[[asset]]
id = "r1"
context = [{ tag = "cal", role = "witness", kind = "calibration" }]
"""


@pytest.mark.not_counted
def test_a_child_learns_the_hours_of_the_gateway(tmp_path: Path) -> None:
    """Its parent knew no hour; eight days after a calibration follow those of Cairo."""
    values = follows(9, seed=1, weekends=False)
    t_ns = times(len(values)) - AHEAD_NS
    parent = make_bundle([fit_asset(hourly_samples(values, None))])
    save(parent, tmp_path / "first")
    (config := tmp_path / "gateway.toml").write_text(GATEWAY, encoding="utf-8")
    writer = JournalWriter(tmp_path / "journal", sync_s=3600.0)
    cal = np.isin(np.arange(len(values)), [20, 21]) + 0.0
    for at, row in zip(t_ns.tolist(), np.column_stack([values, cal]).tolist(), strict=True):
        for payload in encode_rows([*NAMES, "cal"], [at], [row], shape="columnar"):
            sent = MessageReceived(topic="plant/r1", payload=payload, received_ns=at)
            writer.append([(at, sent)])
    writer.close()
    console = Console(file=io.StringIO(), width=200)
    request = ProposalRequest(config=config, journal=tmp_path / "journal", rows_min=800)
    out = propose_bundle(request, console=console)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert out is not None, said
    season = load(out).assets[0].season
    assert season is not None, said
    assert season.clocks.zone == "Africa/Cairo"
    assert "judged by the hour of the day (Africa/Cairo" in said


@pytest.mark.parametrize("case", ["runs", "stands", "another mode"])
def test_the_range_of_the_hour_is_told_of_what_is_judged_by_it(case: str) -> None:
    """A load of a night at noon; nobody judges by the hour what stands, or is of an unseen mode."""
    model = known().assets[0]
    model = msgspec.structs.replace(model, modes=(ModeRow(value=1.0, row=model.row_running),))
    noon = DAY_ROWS // 2 + 1
    values, t_ns = follows(1, seed=1, first=14)[:noon], times(noon, first=14) - AHEAD_NS
    values[-3:] = values[0]
    running, modes = np.ones(noon, bool), np.ones(noon)
    running[-3:], modes[-3:] = case != "stands", 2.0 if case == "another mode" else 1.0
    (load,) = contributions_of(
        model,
        (t_ns, values.astype(np.float32), running),
        np.array([1.0, 0.0, 0.0]),
        span=(int(t_ns[-3]), int(t_ns[-1])),
        runs=(),
        modes=modes,
    )
    assert load.value == pytest.approx(values[0, 0], rel=1e-5)
    assert (load.hourly, load.direction) == ((True, "low") if case == "runs" else (False, "within"))
    if case != "runs":
        assert (load.usual_low, load.usual_high) == (model.usual_low[0], model.usual_high[0])


def after_work_over_the_begin_of_a_shift(stays: float) -> list[str]:
    """How the events of the asset end: a calibration of the load from four until half past six.

    stays: what the work leaves of it for good.
    """
    site = GatewaySettings(
        site="hall",
        clock="plant",
        source=(Source(topic="plant/{asset}", interval_ms_max=3_600_000),),
        asset=(
            AssetSettings(
                id="r1",
                context=(
                    ContextTag(
                        tag="cal", role="witness", kind=WorkKind.CALIBRATION, instrument="x"
                    ),
                ),
            ),
        ),
    )
    row = scope(channels=("load",), duration_s_max=4 * 3600, settle_s=3600)
    engine = Engine(
        site,
        bundle=known(),
        detectors=detectors_of(known()),
        derive=lambda index, keep: without(known(), index, keep),
        knowledge=knowledge(scopes=[row]),
    )
    live = follows(3, seed=1, first=14)
    cal = np.zeros(len(live))
    cal[DAY_ROWS + 24 : DAY_ROWS + 39] = 1.0
    live[DAY_ROWS + 39 :, 0] += stays
    backtest = Backtest(engine)
    messages = sent(np.column_stack([live, cal]), 14, names=[*NAMES, "cal"])
    backtest.run(with_ticks(messages, step_ns=STEP_S * 10**9))
    return [one.message for one in backtest.episodes() if one.track == "process" and one.rang]


def test_work_over_the_begin_of_a_shift_leaves_no_lasting_change() -> None:
    """Its level was that of the night before, and is that of the day after."""
    assert after_work_over_the_begin_of_a_shift(0.0) == []
    assert after_work_over_the_begin_of_a_shift(12.0)


def test_levels_are_compared_as_what_they_are_off_their_hour() -> None:
    """By hand: 8 and 38 are usual; what is not known stays so, what follows no hour as it is."""
    middle, spread = np.zeros((1, BINS, 2)), np.ones((1, BINS, 2))
    middle[0, :24, 0], middle[0, 24:, 0], spread[0, :, 1], spread[0, 40:, 0] = 8.0, 38.0, 0.0, 0.0
    season = Season(clocks=UTC_CLOCKS, days=(0,) * 7, middle=middle, spread=spread)
    t_ns = MONDAY_NS + np.array([3, 15, 15, 22]) * 3600 * 10**9
    values = np.array([[9.0, 5.0], [39.0, 6.0], [np.nan, np.nan], [20.0, 7.0]])
    told = of_no_hour(season, values, t_ns, np.array([20.0, 6.0]))
    np.testing.assert_array_equal(told, [[21.0, 5.0], [21.0, 6.0], [np.nan] * 2, [np.nan, 7.0]])


def test_a_channel_that_follows_no_hour_is_not_blind() -> None:
    """The row of the season leaves it out, and its level is watched as ever."""
    bundle = known()
    model = bundle.assets[0]
    part, at = bundle.place(model.row_season)
    assert part.parameters["present"][at, :3].tolist() == [True, True, False]
    engine = gateway(CommissioningSettings())
    run(follows(1, seed=1, first=14), 14, engine=engine)
    (told,) = engine.commissioning.report()
    assert (told.stage, told.blind) == ("SHADOW", "")
    assert told.rows == DAY_ROWS
