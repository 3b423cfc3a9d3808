"""Failure modes, limits and sensor schemas: read whole and strictly, or quarantined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from kb.records import Query, Sign
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path

NOW_NS: Final = 1_772_427_600 * 1_000_000_000
MODES: Final = """\
mode,asset,channels,cause,action
gas_flow_loss,,CO2 Weld Flow:low; Pressure:low,hose leaks or bottle empty,check bottle and hose
tip_wear,r1,Secondary Weld Voltage:HIGH;Primary Weld Current,worn contact tip,change the tip
"""
LIMITS: Final = """\
asset,channel,unit,low_low,low,high,high_high,approved_by,approved_at
r1,CO2 Weld Flow,l/min,8,10,16,,process engineer,2026-01-10T08:00:00Z
r1,Pressure,bar,,,,2.5,process engineer,2026-01-10T08:00:00Z
"""
SENSORS: Final = """\
asset,channel,unit,low,high,aliases
,CO2 Weld Flow,l/min,0,30,gas flow; shield gas; gas flow
r1,Pressure,bar,,,
"""


def opened(tmp_path: Path, **files: str) -> Snapshot:
    """A snapshot of tables."""
    source = tmp_path / "kb"
    source.mkdir()
    for name, text in files.items():
        (source / f"{name}.csv").write_text(text, encoding="utf-8")
    build(source, tmp_path / "out", now_ns=NOW_NS)
    return Snapshot.open(tmp_path / "out")


def causes(snapshot: Snapshot) -> list[str]:
    """Why something was not read."""
    return [item.cause for item in snapshot.manifest.quarantined]


def test_a_failure_mode_says_how_it_shows_and_is_found(tmp_path: Path) -> None:
    """Signs with their directions, an exact citation, and words that a search finds."""
    with opened(tmp_path, modes=MODES) as snapshot:
        gas, tip = snapshot.failure_modes()
        assert gas.signs == (
            Sign(channel="CO2 Weld Flow", direction="low"),
            Sign(channel="Pressure", direction="low"),
        )
        assert (gas.asset, tip.asset, gas.name) == ("", "r1", "gas flow loss")
        assert [sign.direction for sign in tip.signs] == ["high", "any"]
        text = snapshot.text("modes.csv", "")
        assert text[tip.citation.start : tip.citation.end] == tip.citation.quote
        kinds = set()
        for asset, found in (("r2", {"gas"}), ("r1", {"gas", "tip"})):
            hits = snapshot.search(
                Query(text="worn contact tip, hose leaks", asset=asset), now_ns=NOW_NS
            )
            assert {hit.citation.quote[:3] for hit in hits} == found
            kinds |= {hit.kind for hit in hits}
        assert kinds == {"failure_mode"}


def test_limits_and_sensors_are_read(tmp_path: Path) -> None:
    """Levels that are not given are none, and no passage of theirs is advice."""
    with opened(tmp_path, limits=LIMITS, sensors=SENSORS) as snapshot:
        flow, pressure = sorted(snapshot.limits(), key=lambda one: one.channel)
        assert (flow.low_low, flow.low, flow.high, flow.high_high) == (8, 10, 16, None)
        assert (pressure.high_high, pressure.low, pressure.unit) == (2.5, None, "bar")
        gas, bar = snapshot.sensors()
        assert gas.aliases == ("gas flow", "shield gas")
        assert (gas.low, gas.high, gas.asset) == (0, 30, "")
        assert (bar.low, bar.aliases, bar.asset) == (None, (), "r1")
        assert not snapshot.search(Query(text="CO2 Weld Flow", asset="r1"), now_ns=NOW_NS)


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("r1,c1,bar,1,,,,TBD,2026-01-10T08:00:00Z", "names nobody"),
        ("r1,c1,bar,1,,,,qa,2026-01-10", "no time zone"),
        ("r1,c1,bar,,,,,qa,2026-01-10T08:00:00Z", "no level"),
        ("r1,c1,bar,3,2,,,qa,2026-01-10T08:00:00Z", "must rise"),
        ("r1,c1,bar,,nan,,,qa,2026-01-10T08:00:00Z", "finite"),
        ("r1,c1,bar,,two,,,qa,2026-01-10T08:00:00Z", "no number"),
        ("r*,c1,bar,1,,,,qa,2026-01-10T08:00:00Z", "no exact id"),
        ("r1,all,bar,1,,,,qa,2026-01-10T08:00:00Z", "no exact name"),
        ("r1,c1,bar,,2,2,,qa,2026-01-10T08:00:00Z", "low equals high"),
    ],
)
def test_a_limit_in_doubt_is_none(tmp_path: Path, row: str, cause: str) -> None:
    """Quarantined with its line; the rows around it stand."""
    with opened(tmp_path, limits=f"{LIMITS}{row}\n") as snapshot:
        assert len(snapshot.limits()) == 2
        assert any(cause in said for said in causes(snapshot))
        assert [item.line for item in snapshot.manifest.quarantined] == [4]


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        (",r1,c1:low,x,y", "mode is empty"),
        ("m,r1,,x,y", "channels is empty"),
        ("m,r1,c1:sideways,x,y", "direction"),
        ("m,r1,c1:low;c1:high,x,y", "stands twice"),
        ("m,all,c1:low,x,y", "no exact id"),
        ("m,r1,*:low,x,y", "no exact name"),
    ],
)
def test_a_failure_mode_in_doubt_is_none(tmp_path: Path, row: str, cause: str) -> None:
    """It could point an operator to the wrong machine."""
    with opened(tmp_path, modes=f"{MODES}{row}\n") as snapshot:
        assert len(snapshot.failure_modes()) == 2
        assert any(cause in said for said in causes(snapshot))
