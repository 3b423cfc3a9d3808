"""A machine that runs at night as by day: found by the engine, and told by the hour."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from edge.gateway.assembly import Assembly
from edge.recordings.recording import TimedMessage
from edge.replays.backtest import Backtest, with_ticks
from edge.settings import AssetSettings, CommissioningSettings, GatewaySettings, Source
from edge.wire.readings import encode_rows
from models.bundles.assemble import make_bundle
from models.fitting.fit import fit_asset
from tests.models.hours import DAY_ROWS, NIGHT, STEP_S, follows, hourly_samples, times

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edge.engine import Engine
    from models.bundles.bundle import Bundle

NAMES = ["load", "heat", "pressure"]
AHEAD_NS = 2 * 3600 * 10**9  # what its clocks are ahead of UTC


@cache
def known() -> Bundle:
    """Two weeks of a plant whose clocks are two hours ahead."""
    values = follows(14, seed=1)
    t_ns = times(len(values)) - AHEAD_NS
    return make_bundle([fit_asset(hourly_samples(values, t_ns, zone="Africa/Cairo"))])


def sent(values: NDArray[np.float64], first: int) -> Iterator[TimedMessage]:
    """Rows (n, 3) from a day on as messages, by the same clocks."""
    t_of = times(len(values), first=first) - AHEAD_NS
    for t_ns, row in zip(t_of.tolist(), values, strict=True):
        for payload in encode_rows(NAMES, [t_ns], [row.tolist()], shape="columnar"):
            yield TimedMessage(t_ns=t_ns, topic="plant/r1", payload=payload, begin_ns=t_ns)


def gateway(learning: CommissioningSettings | None = None) -> Engine:
    """Of this plant; learning: its section of commissioning."""
    site = GatewaySettings(
        site="hall",
        clock="plant",
        source=(Source(topic="plant/{asset}", interval_ms_max=3_600_000),),
        asset=(AssetSettings(id="r1"),),
        commissioning=learning,
    )
    return Assembly(site, bundle=known(), snapshot=None).engine


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
