"""A scope row that cannot be read takes with it what it may have narrowed or withdrawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from tests.kb.conftest import NOW_NS

if TYPE_CHECKING:
    from pathlib import Path

    from kb.manifest import Manifest

HEAD: Final = (
    "kind;asset;instrument;channels;expected_effect;duration_min_max;settle_s;approved_by;"
    "approved_at\n"
)
OLD: Final = "2026-01-15T08:00:00+01:00"
NEW: Final = "2026-02-15T08:00:00+01:00"
LAST: Final = "2026-02-20T08:00:00+01:00"


def _row(
    asset: str = "r1",
    instrument: str = "gas_flow",
    *,
    kind: str = "calibration",
    channels: str = "Flow",
    effect: str = "0.5",
    by: str = "ENG",
    at: str = OLD,
) -> str:
    return f"{kind};{asset};{instrument};{channels};{effect};60;180;{by};{at}\n"


def _standing(tmp_path: Path, files: dict[str, str | bytes]) -> tuple[set[str], Manifest]:
    """Rows in force as "asset/instrument", and the manifest."""
    for name, stored in files.items():
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored.encode() if isinstance(stored, str) else stored)
    manifest = build(tmp_path / "texts", tmp_path / "out", now_ns=NOW_NS)
    with Snapshot.open(tmp_path / "out") as opened:
        return {f"{row.asset}/{row.instrument}" for row in opened.scope_rows()}, manifest


ALL: Final = {"r1/gas_flow", "r1/tcp", "r2/gas_flow"}
GOOD: Final = HEAD + _row() + _row(instrument="tcp") + _row("r2")


@pytest.mark.parametrize(
    ("bad", "left"),
    [
        (_row(effect="0,3", at=NEW), {"r1/tcp", "r2/gas_flow"}),
        (_row(by="", at=NEW), {"r1/tcp", "r2/gas_flow"}),
        (_row(by="TBD", at="soon"), {"r1/tcp", "r2/gas_flow"}),
        (_row(at=NEW).replace("r1", "R1").replace("0.5", "?"), {"r1/tcp", "r2/gas_flow"}),
        (_row(kind="calib", at=NEW), {"r2/gas_flow"}),
        (_row(instrument="*", at=NEW), {"r2/gas_flow"}),
        ("calibration;r1;gas_flow\n", {"r2/gas_flow"}),
        (_row("r*", at=NEW), set()),
        ("calibration;;;;\n", set()),
        (_row(at=NEW) + _row(at=NEW, effect="0.1"), {"r1/tcp", "r2/gas_flow"}),
        (_row(by="", at=NEW) + _row(at=LAST), {"r1/tcp", "r1/gas_flow", "r2/gas_flow"}),
    ],
)
def test_an_older_wider_row_does_not_stand(tmp_path: Path, bad: str, left: set[str]) -> None:
    """Same work, else same asset, else the whole file; a row approved later stands."""
    other = HEAD + _row("r3")
    found, manifest = _standing(tmp_path, {"a.csv": GOOD + bad, "b.csv": other})
    assert found == left | {"r3/gas_flow"}
    causes = {(q.path, q.line): q.cause for q in manifest.quarantined}
    if "r1/gas_flow" not in left:
        assert "calibration gas_flow of r1 is not allowed" in causes["a.csv", 2]
    assert ("b.csv", 2) not in causes


@pytest.mark.parametrize(
    ("name", "stored", "left"),
    [
        ("new.csv", (HEAD + '"' + _row(at=NEW)).encode(), {"r2/gas_flow"}),
        ("new.csv", HEAD.encode("utf-16") + b"\x00", set()),
        ("new.xlsx", b"PK\x03\x04\x00\x00", set()),
        ("new.bak", (HEAD + _row("r2")).encode(), {"r1/gas_flow", "r1/tcp"}),
        ("orders.bak", b"order_id,asset,status\nW1,r1,CAN\n", ALL),
        ("photo.png", b"\x89PNG\x00\x00", ALL),
    ],
)  # fmt: skip
def test_a_file_that_may_be_a_scope_table_counts(
    tmp_path: Path, name: str, stored: bytes, left: set[str]
) -> None:
    """The assets that it names, all rows if nobody can look into it, none if it is no table."""
    assert _standing(tmp_path, {"a.csv": GOOD, name: stored})[0] == left


@pytest.mark.parametrize(
    "channels",
    ["all channels", "Every signal", "pressure|flow", "pressure,flow", "flow and pressure", "n/a"],
)
def test_channels_are_single_names(tmp_path: Path, channels: str) -> None:
    """Words for everything and several names in one are quarantined with the cause."""
    found, manifest = _standing(tmp_path, {"a.csv": HEAD + _row(channels=channels)})
    assert found == set()
    assert repr(channels) in manifest.quarantined[0].cause


@pytest.mark.parametrize("by", ["TBD", "-", "n/a", "?", "t.b.d.", "xxx", ""])
def test_somebody_has_to_approve(tmp_path: Path, by: str) -> None:
    """What fills a cell is no approver."""
    found, manifest = _standing(tmp_path, {"a.csv": HEAD + _row(by=by)})
    assert found == set()
    assert "names nobody" in manifest.quarantined[0].cause


def test_a_channel_that_no_sensor_table_knows_is_noted(tmp_path: Path) -> None:
    """A slip in a name would hide nothing, and nobody would know why; the row stands."""
    sensors = "asset;channel;unit;low;high;aliases\nr1;Flow;l/min;0;30;\n"
    scopes = HEAD + _row(channels="Flw") + _row("r2", channels="Flw")
    rows, manifest = _standing(tmp_path, {"scope.csv": scopes, "sensors.csv": sensors})
    assert rows == {"r1/gas_flow", "r2/gas_flow"}
    (note,) = manifest.quarantined
    assert (note.path, note.line) == ("scope.csv", 2)
    assert "'Flw'" in note.cause
    assert "it has Flow" in note.cause
