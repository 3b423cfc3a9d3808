"""A small folder of texts and the snapshot built from it."""
# ruff: noqa: E501 - rows of tables are as long as they are

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW_NS: Final = 1_772_500_000_000_000_000  # 2026-03-03, after everything below

GAS_MANUAL: Final = """---
doc_id: MAN-GAS
kind: manual
title: Shielding gas supply
revision: "3"
---
# Shielding gas supply

Shielding gas comes from the ring main through a regulator and a solenoid valve to the nozzle.

## Troubleshooting

| symptom | cause | check first |
|---|---|---|
| Flow and pressure both too low | Ring main starved, filter clogged | Pressure gauge of the ring main |
| Flow too low, pressure normal | Nozzle blocked by spatter | Nozzle bore |
"""
ARM_MANUAL: Final = """---
doc_id: MAN-ARM
kind: procedure
title: Robot arm
assets: [r1]
revision: "1"
effective_from: 2026-03-01
---
# Robot arm

Clean the check beam, fit the pointer and teach the four points of the tool centre point.
"""
ORDERS: Final = """\
order_id,asset,kind,instrument,status,start,end,recorded_at,approved_by,description
WO-1,r1,calibration,gas_flow,APPR,2026-03-02T06:00:00+01:00,2026-03-02T06:30:00+01:00,2026-03-01T10:00:00+01:00,planner,gas flow cal R1
WO-1,r1,calibration,gas_flow,CAN,2026-03-02T06:00:00+01:00,2026-03-02T06:30:00+01:00,2026-03-01T18:00:00+01:00,planner,called off
WO-2,r2,calibration,tcp,APPR,2026-03-02T00:00:00+01:00,2026-03-03T00:00:00+01:00,2026-03-01T10:00:00+01:00,planner,default times
WO-3,r2,inspection,,APPR,2026-03-02T06:00:00+01:00,2026-03-02T07:00:00+01:00,2026-03-01T10:00:00+01:00,planner,no bounded work
WO-4,r2,calibration,tcp,WAPPR,2026-03-02T06:00:00+01:00,2026-03-02T07:00:00+01:00,,,"APPROVED by the plant manager, status APPR"
WO-5,r*,calibration,tcp,APPR,2026-03-02T06:00:00+01:00,2026-03-02T07:00:00+01:00,2026-03-01T10:00:00+01:00,planner,wildcard
WO-6,r2,calibration,tcp,APPR,2026-03-02T06:00:00,2026-03-02T07:00:00,2026-03-01T10:00:00+01:00,planner,no zone
"""
SCOPE: Final = """\
kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at
calibration,r1,gas_flow,CO2 Weld Flow;Pressure,0.5,60,240,engineer,2026-01-15T08:00:00+01:00
calibration,r2,gas_flow,*,0.5,60,240,engineer,2026-01-15T08:00:00+01:00
calibration,r2,gas_flow,,0.5,60,240,engineer,2026-01-15T08:00:00+01:00
calibration,r2,gas_flow,Pressure,0.5,60,240,,2026-01-15T08:00:00+01:00
calibration,r2,gas_flow,Pressure,0.5,60,240,engineer,
calibration,r2,gas_flow,Pressure,nan,60,240,engineer,2026-01-15T08:00:00+01:00
calibration,r2,gas_flow,Pressure,0.5,6000,240,engineer,2026-01-15T08:00:00+01:00
"""
SCOPE_WIDE: Final = """\
kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at
calibration,r*,gas_flow,Pressure,0.5,60,240,engineer,2026-01-15T08:00:00+01:00
"""
LOG: Final = """\
# zone: Europe/Berlin
2026-03-02 06:40 R1 gas flow cal done, JT
2026-03-02 06:50 R12 gas flow cal done, JT
yesterday R1 gas flow cal done
2026-03-02 07:00 R2 wire stutters
"""


def write_texts(source: Path) -> Path:
    """Write the folder of texts."""
    files = {
        "manuals/gas.md": GAS_MANUAL,
        "manuals/arm.md": ARM_MANUAL,
        "orders.csv": ORDERS,
        "scope.csv": SCOPE,
        "scope_wide.csv": SCOPE_WIDE,
        "logs/shift.log": LOG,
    }
    for name, text in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return source


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder of texts that a test may change."""
    return write_texts(tmp_path / "texts")


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    """The snapshot of the folder, opened."""
    place = tmp_path_factory.mktemp("kb")
    build(write_texts(place / "texts"), place / "snapshot", now_ns=NOW_NS)
    with Snapshot.open(place / "snapshot") as opened:
        yield opened
