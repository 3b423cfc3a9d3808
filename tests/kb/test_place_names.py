"""Names of machines that orders give away, in folders as plants have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from kb.reading.documents import read_folder
from kb.retrieval.passages import site_of
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from kb.times import iso_ns

if TYPE_CHECKING:
    from pathlib import Path

NOW_NS: Final = 1_800_000_000_000_000_000
SCOPE: Final = (
    "kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,"
    "approved_by,approved_at\n"
) + "".join(
    f"calibration,m{n},probe,Z,0.5,60,120,engineer,2026-01-15T06:00:00+01:00\n" for n in (1, 2, 3)
)
EXPORT: Final = "wonum,assetnum,location,worktype,status,description,changedate\n"


def _site(folder: Path, *orders: str) -> dict[str, str]:
    (folder / "scope.csv").write_text(SCOPE, encoding="utf-8")
    body = "".join(f"WO-{i},{row},2026-03-01T10:00:00Z\n" for i, row in enumerate(orders))
    (folder / "export.csv").write_text(EXPORT + body, encoding="utf-8")
    return dict(site_of(read_folder(folder, now_ns=NOW_NS).documents).assets)


def test_one_place_shows_how_the_others_are_written(tmp_path: Path) -> None:
    """The place of one machine names its sisters, and its word with their numbers does too."""
    names = _site(tmp_path, "m2,MS1-MILL2,PM,COMP,guides oiled")
    assert names["ms1-mill3"] == "m3"
    assert names["mill 1"] == "m1"
    assert "ms1-mill4" not in names


def test_a_place_that_two_machines_claim_is_of_none(tmp_path: Path) -> None:
    """Orders of two machines give the same place; a row that contradicts itself gives nothing."""
    names = _site(
        tmp_path, "m2,MS1-MILL2,PM,COMP,guides oiled", "m1,MS1-MILL2,PM,COMP,guides oiled"
    )
    assert not any("mill" in name for name in names)
    names = _site(tmp_path, "m1,MS1-MILL2,PM,COMP,guides oiled M2")
    assert not any("mill" in name for name in names)


@pytest.mark.parametrize("cell", ["M2", "m02", "MS1-MILL2"])
def test_another_spelling_in_an_order_makes_no_machine(cell: str, tmp_path: Path) -> None:
    """An order's typed name neither shadows the machine nor becomes one."""
    names = _site(tmp_path, f"{cell},,PM,COMP,guides oiled M2", "m3,MS1-MILL3,PM,COMP,oiled")
    assert names["m2"] == "m2"
    assert names["m 2"] == "m2"
    assert set(names.values()) == {"m1", "m2", "m3"}


@pytest.mark.parametrize(
    ("said", "begin", "end"),
    [
        # clocks go back at 03:00 summer time on 2026-10-25
        ("m1 probe cal done 01:50-02:10", "2026-10-25T01:50+02:00", "2026-10-25T02:10+02:00"),
        ("m1 probe cal done 02:50-03:10", "2026-10-25T02:50+01:00", "2026-10-25T03:10+01:00"),
        ("m1 probe cal done 02:10-02:40", "2026-10-25T02:10+01:00", "2026-10-25T02:40+01:00"),
        ("m1 probe cal done 01:30-03:30", "2026-10-25T01:30+02:00", "2026-10-25T03:30+01:00"),
        ("m1 probe cal done 02:40-02:10", None, None),
    ],
)
def test_work_in_the_hour_that_happens_twice_keeps_its_length(
    said: str, begin: str | None, end: str | None, tmp_path: Path
) -> None:
    """A span lasts as long as the clock on the wall says, or where it cannot, as it was."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "scope.csv").write_text(SCOPE, encoding="utf-8")
    text = f"# zone: Europe/Berlin\n2026-10-25 04:00 {said}\n"
    (folder / "night.log").write_text(text, encoding="utf-8")
    build(folder, tmp_path / "kb", now_ns=NOW_NS)
    with Snapshot.open(tmp_path / "kb") as snapshot:
        found = snapshot.proposals()
    assert [(one.asset, one.valid_from_ns) for one in found] == [
        ("m1", begin if begin is None else iso_ns(begin))
    ]
    if end is not None:
        assert found[0].valid_to_ns == iso_ns(end)
