"""Terse lines of strangers at three cells: what is proposed is right, in time and instrument too.

The machines' instruments and what their channels are called come from tables, as in a plant.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from kb.reading.documents import read_folder
from kb.wording.asset_names import AssetWords, asset_words
from kb.wording.instrument_words import Gauges, gauges_of
from kb.wording.shopfloor import Said, work_said

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES: Final = Path(__file__).parent / "lines" / "strangers.txt"
DAY: Final = datetime(2026, 3, 10)  # noqa: DTZ001 - a wall clock, as lines have it
RECALL_MIN: Final = 0.9
TIMES_MIN: Final = 0.95
SCOPE: Final = (
    "kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,"
    "approved_by,approved_at"
)
APPROVED: Final = "0.5,60,180,engineer,2026-01-15T06:00:00+01:00"
WORKS: Final = {
    "r": (
        "calibration tcp TCP Deviation",
        "calibration gas_flow CO2 Weld Flow;Pressure",
        "calibration arc_meter Secondary Weld Voltage;Primary Weld Current",
        "calibration wire_feed Wire Consumed;Feed",
        "verification joint_temp Joint Temperature",
        "verification gas_flow CO2 Weld Flow;Pressure",
        "replacement contact_tip Primary Weld Current",
        "cleaning torch CO2 Weld Flow;Pressure",
    ),
    "m": (
        "calibration spindle_meter Spindle Load",
        "calibration coolant_flow Coolant Flow;Coolant Temperature",
        "calibration probe Z Following Error",
        "verification axes X Following Error;Y Following Error",
        "verification spindle_temp Spindle Temperature",
        "function_test spindle Spindle Vibration;Spindle Temperature",
        "replacement tool Spindle Load",
        "cleaning chip_tray Coolant Flow",
    ),
    "p": (
        "calibration flow_a Flow A",
        "calibration pressure Suction Pressure;Discharge Pressure",
        "verification flow_b Flow B",
        "verification vibration Pump Vibration;Motor Vibration",
        "verification motor_temp Motor Temperature",
        "function_test valve Valve Position;Discharge Pressure",
        "cleaning strainer Suction Pressure;Flow A",
        "planned_stop pump Flow A;Flow B",
    ),
}
CALLED: Final = {
    "r": (
        "Pressure,gas pressure",
        "CO2 Weld Flow,gas flow; shielding gas",
        "Feed,wire feed speed; WFS",
        "Primary Weld Current,amps",
        "Wire Consumed,wire usage",
        "Secondary Weld Voltage,arc voltage; volts",
        "Joint Temperature,J2 temp; joint temp",
        "TCP Deviation,tcp",
    ),
    "m": (
        "Spindle Load,load; spindle power",
        "Coolant Flow,coolant",
        "Coolant Temperature,coolant temp",
        "Spindle Temperature,spindle temp; head temp",
        "Spindle Vibration,vib",
        "X Following Error,X lag",
    ),
    "p": (
        "Suction Pressure,PT-1; inlet pressure",
        "Discharge Pressure,PT-2",
        "Flow A,FT-A; feed flow",
        "Flow B,FT-B; return flow",
        "Motor Temperature,winding temp",
        "Pump Vibration,pump vib",
        "Motor Vibration,vib NDE",
        "Valve Position,CV; valve",
    ),
}
PREFIX: Final = {"weld": "r", "cnc": "m", "pump": "p"}
NOUN: Final = {"r": "robot", "m": "mill", "p": "pump"}


class _Told(msgspec.Struct, frozen=True):
    """One label."""

    asset: str
    kind: str
    stage: str
    span: str
    instrument: str = "?"


class _Line(msgspec.Struct, frozen=True):
    """One line with its labels."""

    cell: str
    written: datetime
    said: str
    told: tuple[_Told, ...]
    judged: bool


def _lines() -> Iterator[_Line]:
    for line in LINES.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        cell, written, said, labels = line.split(" | ")
        told = () if labels in ("-", "~") else (_Told(*labels.split()),)
        at = _clock(written)
        assert at is not None
        yield _Line(cell, at, said, told, labels != "~")


def _clock(text: str) -> datetime | None:
    if text in ("", "?"):
        return None
    hour, minute = text.lstrip("*").split(":")
    return DAY + timedelta(days=text.startswith("*"), hours=int(hour), minutes=int(minute))


@pytest.fixture(scope="module")
def gauges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Gauges]:
    """What tables of scope and of sensors say of the instruments of all machines."""
    folder = tmp_path_factory.mktemp("tables")
    scopes, sensors = [SCOPE], ["asset,channel,unit,low,high,aliases"]
    for prefix, works in WORKS.items():
        for number in range(1, 5):
            for work in works:
                kind, instrument, channels = work.split(" ", 2)
                scopes.append(f"{kind},{prefix}{number},{instrument},{channels},{APPROVED}")
            for row in CALLED[prefix]:
                channel, aliases = row.split(",")
                sensors.append(f"{prefix}{number},{channel},1,0,9,{aliases}")
    (folder / "scope.csv").write_text("\n".join(scopes) + "\n", encoding="utf-8")
    (folder / "sensors.csv").write_text("\n".join(sensors) + "\n", encoding="utf-8")
    return gauges_of(read_folder(folder, now_ns=0).documents)


def _words(prefix: str) -> AssetWords:
    names = [f"{prefix}{number}" for number in range(1, 5)]
    return asset_words(names, {name: {f"{NOUN[prefix]} {name[1:]}"} for name in names})


def _read(line: _Line, gauges: dict[str, Gauges]) -> list[Said]:
    prefix = PREFIX[line.cell]
    names = {
        asset: [row.name for row in one.rows] for asset, one in gauges.items() if asset[0] == prefix
    }
    return work_said(
        line.said, assets=_words(prefix), instruments=names, gauges=gauges, written=line.written
    )


def test_lines_of_strangers_are_read_right(gauges: dict[str, Gauges]) -> None:
    """Nothing wrong is proposed; most of the rest is, with the time and the instrument told."""
    wrong: list[tuple[str, Said]] = []
    wanted = right = timed = times = 0
    for line in _lines():
        read = _read(line, gauges)
        for told in line.told:
            wanted += 1
            found = [one for one in read if (one.asset, one.kind) == (told.asset, told.kind)]
            read = [one for one in read if one not in found]
            if not found:
                continue
            right += 1
            said = found[0]
            assert said.stage == told.stage, line.said
            assert said.instrument in ("", told.instrument) or told.instrument == "?", line.said
            begin, _, end = told.span.partition("-")
            if _clock(begin) or _clock(end):
                timed += 1
                same = (said.begin in (_clock(begin), None), said.end in (_clock(end), None))
                times += all(same) and (said.begin or said.end) is not None
        if line.judged:
            wrong += [(line.said, one) for one in read]
    assert wrong == []
    assert right >= RECALL_MIN * wanted
    assert times >= TIMES_MIN * timed


@pytest.mark.parametrize(
    ("said", "instrument"),
    [
        ("R1 gas meter cal done", "gas_flow"),
        ("R1 gas analyser cal done", ""),
        ("R1 cal done", ""),
        ("R1 gas flow and tcp cal done", ""),
        ("R1 J2 temp verified", "joint_temp"),
        ("R1 torch cleaned", "torch"),
        ("R1 hose cleaned", ""),
        ("R1 clean done", "torch"),
        ("P1 flow A cal done", "flow_a"),
        ("P1 flow B cal done", ""),
        ("P1 PTs zeroed", "pressure"),
        ("M1 temp probe verified", "spindle_temp"),
        ("M1 spindle temp verified", "spindle_temp"),
        ("M1 new inserts done", "tool"),
    ],
)
def test_only_the_instrument_that_words_fit_is_meant(
    said: str, instrument: str, gauges: dict[str, Gauges]
) -> None:
    """One row of the kind; none where the words fit two, or name a thing beside."""
    cell = {"R": "weld", "M": "cnc", "P": "pump"}[said[0]]
    read = _read(_Line(cell, DAY, said, (), judged=True), gauges)
    assert [one.instrument for one in read] == [instrument]
