"""Orders in doubt are not approved, default times are not real, odd assets are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from kb.errors import KnowledgeError
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from simulator.cells.weld import simulate
from tests.kb.conftest import NOW_NS

if TYPE_CHECKING:
    from pathlib import Path

    from kb.manifest import Manifest
    from kb.records import Proposal, ScopeRow

HEAD: Final = (
    "order_id,asset,kind,instrument,status,start,end,recorded_at,approved_by,description\n"
)
SCOPE_HEAD: Final = (
    "kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,"
    "approved_at\n"
)
EARLY: Final = "2026-03-01T06:00:00+01:00"
LATER: Final = "2026-03-01T09:00:00+01:00"


def _row(
    order_id: str,
    status: str = "APPR",
    *,
    asset: str = "r1",
    kind: str = "calibration",
    start: str = "2026-03-02T06:00:00+01:00",
    end: str = "2026-03-02T06:37:00+01:00",
    recorded: str = EARLY,
    description: str = "gas flow cal",
) -> str:
    cells = (order_id, asset, kind, "gas_flow", status, start, end, recorded, "PL", description)
    return ",".join(cells) + "\n"


def _scope(channels: str = "Flow;Pressure", *, asset: str = "r1", effect: str = "0.5") -> str:
    return f"calibration,{asset},gas_flow,{channels},{effect},60,180,ENG,{EARLY}\n"


def _built(
    tmp_path: Path, files: dict[str, str | bytes]
) -> tuple[Manifest, tuple[Proposal, ...], tuple[ScopeRow, ...]]:
    source = tmp_path / "texts"
    for name, stored in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored.encode() if isinstance(stored, str) else stored)
    manifest = build(source, tmp_path / "out", now_ns=NOW_NS)
    with Snapshot.open(tmp_path / "out") as opened:
        return manifest, opened.proposals(), opened.scope_rows()


def _witnesses(proposals: tuple[Proposal, ...]) -> list[str]:
    return [p.proposal_id for p in proposals if p.approved and p.real_times and not p.cancelled]


def _said(manifest: Manifest) -> str:
    return "\n".join(f"{q.path}:{q.line} {q.cause}" for q in manifest.quarantined)


# --- default times ---


def test_a_duration_that_many_share_is_a_default(tmp_path: Path) -> None:
    """Twenty orders of exactly one hour only propose; one of 37 minutes is meant."""
    rows = [
        _row(
            f"W{i}", start=f"2026-03-{i:02d}T07:{i:02d}:00Z", end=f"2026-03-{i:02d}T08:{i:02d}:00Z"
        )
        for i in range(1, 21)
    ]
    manifest, proposals, _ = _built(tmp_path, {"orders.csv": HEAD + "".join(rows) + _row("OWN")})
    assert _witnesses(proposals) == ["OWN"]
    assert "W7 only proposes: many orders share its duration" in _said(manifest)


def test_an_end_that_many_share_is_a_default(tmp_path: Path) -> None:
    """Orders that all finish at 15:30 only propose, spread over files and kinds too."""
    kinds = ("calibration", "cleaning")
    files: dict[str, str | bytes] = {
        f"{kind}.csv": HEAD
        + "".join(
            _row(
                f"{kind}-{i}",
                kind=kind,
                start=f"2026-03-{i:02d}T07:{i:02d}:00+01:00",
                end=f"2026-03-{i:02d}T15:30:00+01:00",
            )
            for i in range(1, 4)
        )
        for kind in kinds
    }
    manifest, proposals, _ = _built(tmp_path, files)
    assert _witnesses(proposals) == []
    assert "the hour of its end" in _said(manifest)


def test_a_few_equal_times_are_chance(tmp_path: Path) -> None:
    """Four orders of one duration stay real; rows of one order count once."""
    rows = [_row(f"W{i}", end="2026-03-02T06:30:00+01:00") for i in range(4)]
    again = [_row("W0", end="2026-03-02T06:30:00+01:00", recorded=LATER)]
    _, proposals, _ = _built(tmp_path, {"orders.csv": HEAD + "".join(rows + again)})
    assert sorted(_witnesses(proposals)) == ["W0", "W0", "W1", "W2", "W3"]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-02T00:00:00+01:00", "2026-03-03T00:00:00+01:00"),
        ("2026-03-02T00:00:00+01:00", "2026-03-02T23:59:00+01:00"),
        ("2026-03-02T00:00:00+01:00", "2026-03-02T23:59:59+01:00"),
        ("2026-03-02T06:00:00+01:00", "2026-03-02T06:00:00+01:00"),
        ("", "2026-03-02T06:00:00+01:00"),
    ],
)
def test_whole_days_and_missing_times_are_not_real(tmp_path: Path, start: str, end: str) -> None:
    """What a system fills in for a date says nothing about the hour."""
    _, proposals, _ = _built(tmp_path, {"o.csv": HEAD + _row("W1", start=start, end=end)})
    assert [p.real_times for p in proposals] == [False]


def test_honest_orders_of_the_weld_cell_stay_real(tmp_path: Path) -> None:
    """Over seeds and sizes, every approved order with times remains a witness."""
    for seed, robots in ((1, 4), (2, 4), (3, 8)):
        cell = simulate(seed=seed, robots=robots)
        wanted = sum(job.witness == "order" and not job.cancelled for job in cell.truth.jobs)
        place = tmp_path / str(seed)
        _, proposals, _ = _built(place, {"orders.csv": cell.texts["orders.csv"]})
        called_off = {p.proposal_id for p in proposals if p.cancelled}
        timed = [p for p in proposals if p.valid_from_ns is not None]
        assert all(p.real_times for p in timed)
        assert len(set(_witnesses(proposals)) - called_off) == wanted > 0


# --- doubt ---


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (_row("W1", "CAN", end="n/a", recorded=LATER), "line 4"),
        (_row("W1", "CAN", recorded=LATER, description="called off, no gauge"), "line 4"),
        (_row("W1", "CAN", recorded="n/a"), "line 4"),
        (_row("W1", "CAN", asset="r*", recorded=LATER), "line 4"),
        (_row("w1", "CAN", recorded=LATER), "different ways"),
        (_row("W1", "CAN"), "same time"),
        (_row("W1", asset="r2"), "different assets"),
        (_row("W1", asset="r2", recorded=LATER), "different assets"),
        (_row("W1", "CAN", kind="inspection", recorded=LATER), "no bounded work"),
        ("W1 CAN\n", "line 4"),
    ],
)
def test_a_row_in_doubt_withdraws_its_order(tmp_path: Path, bad: str, cause: str) -> None:
    """An older approval does not stand beside a row that may have called it off."""
    text = HEAD + _row("W1") + _row("W2", description="see W11") + bad
    manifest, proposals, _ = _built(tmp_path, {"orders.csv": text})
    assert _witnesses(proposals) == ["W2"]
    said = _said(manifest)
    assert "orders.csv:2 order W1 is not approved" in said
    assert cause in said


def test_a_row_that_names_no_order_withdraws_all_of_its_file(tmp_path: Path) -> None:
    """Nobody knows which order it was; orders of other files stand."""
    bad = ",r1,calibration,gas_flow,CAN\n"
    files: dict[str, str | bytes] = {
        "a.csv": HEAD + _row("A1") + _row("A2") + bad,
        "b.csv": HEAD + _row("B1"),
    }
    assert _witnesses(_built(tmp_path, files)[1]) == ["B1"]


def test_a_broken_line_of_json_withdraws_the_order_in_it(tmp_path: Path) -> None:
    """The id is looked for in what cannot be parsed, as a whole word."""
    one = (
        '{"order_id": "%s", "asset": "r1", "kind": "calibration", "status": "APPR",'
        ' "start": "2026-03-02T06:00:00Z", "end": "2026-03-02T06:37:00Z", "recorded_at": "%s"}\n'
    )
    text = one % ("W1", EARLY) + one % ("W11", EARLY) + '{"order_id": "W1", "status": "CAN",\n'
    assert _witnesses(_built(tmp_path, {"o.jsonl": text})[1]) == ["W11"]
    lacking = one % ("W1", EARLY) + one % ("W11", EARLY) + '{"order_id": "W11"}\n'
    assert _witnesses(_built(tmp_path / "b", {"o.jsonl": lacking})[1]) == ["W1"]


@pytest.mark.parametrize(
    "broken",
    [
        (HEAD + _row("A1", "CAN", recorded=LATER)).encode() + b"\xff\n",
        (HEAD + _row("A1", "CAN", description='"called off')).encode(),
        b"order_id,asset\nA1,r1\n",
    ],
)
def test_a_broken_file_withdraws_the_orders_that_it_names(tmp_path: Path, broken: bytes) -> None:
    """A table that cannot be read may hold a cancellation."""
    files: dict[str, str | bytes] = {"a.csv": HEAD + _row("A1") + _row("A2"), "b.csv": broken}
    manifest, proposals, _ = _built(tmp_path, files)
    assert _witnesses(proposals) == ["A2"]
    assert "cannot be read (b.csv)" in _said(manifest)


def test_a_table_that_nobody_can_open_withdraws_every_order(tmp_path: Path) -> None:
    """A dangling link may stand for any table."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "more.csv").symlink_to(tmp_path / "nowhere.csv")
    assert _witnesses(_built(tmp_path, {"a.csv": HEAD + _row("A1")})[1]) == []


def test_versions_over_time_stay_apart(tmp_path: Path) -> None:
    """A later row changes an order; an equal row changes nothing; both versions are kept."""
    text = HEAD + _row("W1") + _row("W1") + _row("W1", "CAN", recorded=LATER)
    manifest, proposals, _ = _built(tmp_path, {"orders.csv": text})
    assert [(p.approved, p.cancelled) for p in proposals][-1] == (False, True)
    assert {p.recorded_at_ns for p in proposals if p.approved} == {proposals[0].recorded_at_ns}
    assert proposals[0].recorded_at_ns < proposals[-1].recorded_at_ns
    assert manifest.quarantined == ()


@pytest.mark.parametrize(
    ("kind", "description"),
    [
        ("repair", "gas hose"),
        ("calibration", "corrective: flow sensor recalibrated"),
        ("replacement", "unplanned tip change"),
        ("replacement", "tip change after breakdown"),
    ],
)
def test_corrective_orders_are_no_witnesses(tmp_path: Path, kind: str, description: str) -> None:
    """Work that follows a failure must never excuse it."""
    text = HEAD + _row("W1", kind=kind, description=description)
    assert [p.approved for p in _built(tmp_path, {"orders.csv": text})[1]] == [False]


# --- assets, scope rows, delimiters ---


@pytest.mark.parametrize("asset", ["all", "ANY", "every", "*", "r*", "", "r1;r2"])
def test_assets_are_exact_ids(tmp_path: Path, asset: str) -> None:
    """Words and signs for everything are refused in orders and scope tables."""
    files: dict[str, str | bytes] = {
        "orders.csv": HEAD + _row("W1", asset=asset) + _row("W2"),
        "scope.csv": SCOPE_HEAD + _scope(),
        "bad.csv": SCOPE_HEAD + _scope(asset=asset),
    }
    manifest, proposals, scopes = _built(tmp_path, files)
    assert [p.asset for p in proposals] == ["r1"]
    assert [row.asset for row in scopes] == ["r1"]
    assert _said(manifest).count("no exact id") == 2


def test_scope_rows_that_contradict_each_other_are_both_refused(tmp_path: Path) -> None:
    """Nobody guesses which of two approvals was meant; equal ones agree."""
    files: dict[str, str | bytes] = {
        "a.csv": SCOPE_HEAD + _scope() + _scope(asset="r2") + _scope("Pressure;Flow", asset="r2"),
        "b.csv": SCOPE_HEAD + _scope("Flow;Pressure;Current") + _scope(asset="r3", effect="1"),
        "c.csv": SCOPE_HEAD + _scope(asset="r3", effect="2"),
    }
    manifest, _, scopes = _built(tmp_path, files)
    assert {row.asset for row in scopes} == {"r2"}
    lines = [(q.path, q.line) for q in manifest.quarantined]
    assert lines == [("a.csv", 2), ("b.csv", 2), ("b.csv", 3), ("c.csv", 2)]


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_tables_of_any_delimiter_are_read(tmp_path: Path, delimiter: str) -> None:
    """The header shows what separates the cells."""
    text = (HEAD + _row("W1")).replace(",", delimiter)
    assert _witnesses(_built(tmp_path, {"orders.csv": text})[1]) == ["W1"]


def test_a_folder_without_any_order_is_fine(tmp_path: Path) -> None:
    """Nothing to judge is no error; nothing to read at all neither."""
    manifest, proposals, _ = _built(tmp_path, {"a.md": "# Gas\n\nShort text."})
    assert (manifest.quarantined, proposals) == ((), ())
    with pytest.raises(KnowledgeError):
        build(tmp_path / "nowhere", tmp_path / "x", now_ns=NOW_NS)
