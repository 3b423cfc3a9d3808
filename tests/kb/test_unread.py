"""Files that cannot be read may call off any order that they name; tables in UTF-16 are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kb.snapshots.build import build
from kb.times import iso_ns
from tests.kb.test_orders import EARLY, HEAD, LATER, _built, _row, _said, _witnesses

if TYPE_CHECKING:
    from pathlib import Path

TABLE = HEAD + _row("WO-1") + _row("WO-2")
OFF = HEAD + _row("WO-1", "CAN", recorded=LATER)
BROKEN = OFF.replace("WO-1,", '"WO-1,')


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("b.csv", BROKEN.encode("utf-16")),
        ("b.csv", BROKEN.encode("utf-16-le")),
        ("b.txt", BROKEN.replace(",", "\t").encode("utf-16")),
        ("b.csv", BROKEN.replace("order_id", "ORDER_ID").encode()),
        ("b.csv", BROKEN.replace("order_id", "Order ID").encode()),
        ("b.csv", b"number,asset\nWO-1,r1\n"),
        ("b.jsonl", b'{"id": "WO-1", "status": "CAN"}\n'),
        ("b.bak", OFF.encode()),
        ("b", OFF.encode()),
        ("b.json", b'[{"id": "WO-1", "status": "CAN"}]'),
        ("b.csv", BROKEN.encode("cp1252").replace(b"cal", b"k\xe4l")),
        ("b.xls", OFF.encode()),
        ("b.md", b"---\nkimd: note\n---\nWO-1 is called off."),
        ("b.log", b"# zone: Mars/Crater\n2026-03-01 06:10 WO-1 cancelled\n"),
        ("b.log", b"yesterday WO-1 cancelled\n"),
        ("b.log", b"yesterday WO-1 cancelled \x00\xff\n"),
    ],
)
def test_what_can_be_seen_withdraws_the_order_that_it_names(
    tmp_path: Path, name: str, stored: bytes
) -> None:
    """However it is stored; other orders stand."""
    _, proposals, _ = _built(tmp_path, {"a.csv": TABLE, name: stored})
    assert _witnesses(proposals) == ["WO-2"]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("b.csv", []),
        ("plan/b.csv", []),
        ("b.xlsx", []),
        ("plan/b.XLS", []),
        ("b.bin", []),
        ("plan/b.bin", ["WO-1"]),
        ("b.zip", []),
        ("plan/b.zip", ["WO-1"]),
        ("b.png", ["WO-1"]),
        ("b.pdf", ["WO-1"]),
        ("~$b.xlsx", ["WO-1"]),
    ],
)
def test_what_nobody_can_look_into(tmp_path: Path, name: str, left: list[str]) -> None:
    """Tables count wherever they lie, unknown files beside tables, pictures and manuals never."""
    blob = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(range(256))
    manifest, proposals, _ = _built(tmp_path, {"a.csv": HEAD + _row("WO-1"), name: blob})
    assert _witnesses(proposals) == left
    assert name in _said(manifest)


def test_prose_that_only_names_an_order_withdraws_nothing(tmp_path: Path) -> None:
    """A text that is not read counts only where it calls something off."""
    files: dict[str, str | bytes] = {"a.csv": HEAD + _row("WO-1"), "b.md": b"---\nx\nsee WO-1"}
    assert _witnesses(_built(tmp_path, files)[1]) == ["WO-1"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_tables_of_excel_are_read(tmp_path: Path, name: str, encoding: str) -> None:
    """Excel's "Unicode text" is UTF-16 between tabs."""
    stored = (HEAD + _row("WO-1")).replace(",", "\t").encode(encoding)
    manifest, proposals, _ = _built(tmp_path, {name: stored})
    assert _witnesses(proposals) == ["WO-1"]
    assert manifest.quarantined == ()


def test_headers_are_matched_however_they_are_written(tmp_path: Path) -> None:
    """Case, blanks, underscores and hyphens of a header do not count."""
    heads = (HEAD.upper(), HEAD.replace("_", " ").title(), HEAD.replace("_", "-"))
    for i, head in enumerate(heads):
        _, proposals, _ = _built(tmp_path / str(i), {"a.csv": head + _row("WO-1")})
        assert [p.recorded_at_ns for p in proposals] == [iso_ns(EARLY)]
        assert _witnesses(proposals) == ["WO-1"]


@pytest.mark.parametrize("name", ["pics/Thumbs.db", "signals/line3.parquet", "old/notes.zip"])
def test_what_lies_elsewhere_and_is_no_spreadsheet_withdraws_nothing(
    tmp_path: Path, name: str
) -> None:
    """A picture cache or a recording in another folder must not switch all suppression off."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "scope.csv").write_text(
        "kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at\n"
        "calibration,r1,x,c1,0.3,10,60,qa,2026-01-01T00:00:00Z\n",
        encoding="utf-8",
    )
    other = tmp_path / "src" / name
    other.parent.mkdir()
    other.write_bytes(bytes(range(256)) * 4)
    manifest = build(tmp_path / "src", tmp_path / "kb", now_ns=0)
    assert manifest.counts.scope_rows == 1
