"""Row flags: every row once, with what the detector alone says of it, whatever rings."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from rich.console import Console

from edge.batches import Batch
from edge.errors import RecordingError
from edge.records import RowsScored
from edge.replays.backtest_command import BacktestRequest, backtest_command
from edge.replays.row_table import RowTable
from edge.samples.looks import STUCK
from edge.samples.quality import Findings
from edge.samples.row_flags import rows_scored
from models.bundles.assemble import make_bundle
from models.bundles.store import load
from models.detector import detector_of
from models.fitting.thresholds import FLAG_SCORE
from tests.edge.test_backtest_command import FIT_ROWS, MARK, WORK
from tests.edge.test_backtest_command import folder as folder  # noqa: PLC0414 - a fixture
from tests.models.plants import fitted

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundles.bundle import AssetModel

S: Final = 10**9
NOON: Final = 1_772_451_457 * S  # 2026-03-02 11:37:37 UTC


@pytest.fixture(scope="module")
def model() -> AssetModel:
    """An asset of two channels."""
    (one,) = make_bundle([fitted(c=2)]).assets
    return msgspec.structs.replace(one, threshold_on=5.0)


def batch(values: np.ndarray | None = None, running: np.ndarray | None = None) -> Batch:
    """Nine samples a second apart, all running."""
    return Batch(
        asset="r1",
        t_ns=NOON + np.arange(9, dtype=np.int64) * S,
        values=np.ones((9, 2), np.float32) if values is None else values,
        running=np.ones(9, bool) if running is None else running,
    )


GOLDEN: Final = """\
time,asset,score,threshold,flag,class
2026-03-02T11:37:37.000000Z,r1,0.2500,5.0000,0,normal
2026-03-02T11:37:38.000000Z,r1,3.0000,5.0000,1,process anomaly
2026-03-02T11:37:39.000000Z,r1,9.5000,5.0000,1,expected
2026-03-02T11:37:40.000000Z,r1,,5.0000,,warm-up
2026-03-02T11:37:41.000000Z,r1,,5.0000,,unknown mode
2026-03-02T11:37:42.000000Z,r1,4.0000,5.0000,1,sensor fault
2026-03-02T11:37:43.000000Z,r1,,5.0000,,comms gap
2026-03-02T11:37:44.000000Z,r1,,5.0000,,not running
2026-03-02T11:37:45.000000Z,r1,0.5000,5.0000,0,not running
"""


def test_golden_rows_of_every_class(model: AssetModel, tmp_path: Path) -> None:
    """One of each; a flag is there where there is a score, whatever the class."""
    values = np.ones((9, 2), np.float32)
    values[6:8] = np.nan
    codes = np.zeros((9, 2), np.uint8)
    codes[5, 1] = codes[7, 0] = STUCK
    nan = np.nan
    told = rows_scored(
        model,
        batch(values=values, running=np.arange(9) < 7),
        np.array([0.25, 3.0, 9.5, nan, nan, 4.0, nan, nan, 0.5], np.float32),
        np.array([0, 0, 0, 0, -1, 0, 0, -1, 1]),
        Findings(codes, ()),
        [np.array([0.1, 2.9, 0.2, nan, nan, nan, nan, nan, nan], np.float32)],
    )
    with RowTable(tmp_path / "rows.csv") as table:
        table.take(told, 0)
        assert not (tmp_path / "rows.csv").exists(), "not before it is whole"
    assert (tmp_path / "rows.csv").read_text() == GOLDEN
    assert (table.rows, table.flagged) == (9, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_the_flag_is_that_of_the_trend(model: AssetModel) -> None:
    """A score of 2.6 as a number of 64 bits, as `score/{asset}` compares it."""
    edge = np.nextafter(np.float32(FLAG_SCORE), [np.float32(0.0), np.float32(9.0)])
    scores = np.concatenate([edge, np.zeros(7)]).astype(np.float32)
    told = rows_scored(model, batch(), scores, np.zeros(9, np.intp), None, [])
    assert told.flags.tolist() == [float(score) >= FLAG_SCORE for score in scores]
    assert told.flags[:2].tolist() == [False, True]


def test_what_is_broken_off_never_passes_for_whole(model: AssetModel, tmp_path: Path) -> None:
    """Half a table is a part, and one of an earlier run stands until another is whole."""
    (tmp_path / "rows.csv").write_text("before")
    told = rows_scored(model, batch(), np.zeros(9, np.float32), np.zeros(9, np.intp), None, [])

    def broken_off() -> None:
        with RowTable(tmp_path / "rows.csv") as table:
            table.take(told, 0)
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert (tmp_path / "rows.csv").read_text() == "before"
    assert len((tmp_path / "rows.csv.part").read_text().splitlines()) == 10


def test_asset_ids_with_commas_stay_one_cell(model: AssetModel, tmp_path: Path) -> None:
    """A table is read again by others."""
    odd = msgspec.structs.replace(model, asset='press, "old"')
    told = rows_scored(odd, batch(), np.zeros(9, np.float32), np.zeros(9, np.intp), None, [])
    with RowTable(tmp_path / "rows.csv") as table:
        table.take(told, 0)
    with (tmp_path / "rows.csv").open() as file:
        assert {row["asset"] for row in csv.DictReader(file)} == {'press, "old"'}


def flagged(folder: Path, *, kb: Path | None = None) -> list[dict[str, str]]:
    """The rows behind those that were fitted, as `andon backtest --row-flags` writes them."""
    request = BacktestRequest(
        recording=folder / "line.csv",
        bundle=folder / "bundle",
        rows=f"{FIT_ROWS}:",
        mapping=folder / "line.toml",
        row_flags=folder / "rows.csv",
        kb=kb,
    )
    console = Console(file=io.StringIO(), width=200)
    backtest_command(request, console=console)
    assert isinstance(console.file, io.StringIO)
    with (folder / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = f"{len(rows)} rows, {sum(row['flag'] == '1' for row in rows)} of them flagged"
    assert told in console.file.getvalue()
    return rows


def test_a_backtest_writes_every_row_as_the_detector_alone_scores_it(folder: Path) -> None:
    """The slow twin: the graph over the table in one call, no engine."""
    rows = flagged(folder)
    bundle = load(folder / "bundle")
    values = np.loadtxt(folder / "line.csv", delimiter=",", skiprows=1)[FIT_ROWS:, :4]
    part, detector = bundle.only, detector_of(bundle.only.graph)
    x = values.astype(np.float32)[None]
    row = {name: value[:1] for name, value in part.parameters.items()}
    score, _ = detector.score(x, np.ones(x.shape, bool), detector.initial_state(1), row)
    assert len(rows) == len(values)
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    found = np.array([float(row["score"] or "nan") for row in rows])
    np.testing.assert_allclose(found, score[0], atol=2e-4)
    ready = np.isfinite(score[0])
    assert [row["class"] == "warm-up" for row in rows] == (~ready).tolist()
    clear = ready & (np.abs(score[0] - FLAG_SCORE) > 1e-3)
    assert (np.array([row["flag"] for row in rows])[clear] == "1").tolist() == (
        score[0][clear] >= FLAG_SCORE
    ).tolist()
    assert {row["threshold"] for row in rows} == {f"{bundle.assets[0].threshold_on:.4f}"}


def test_work_explains_rows_only_where_it_may(folder: Path) -> None:
    """With the approved scope the marked rows are expected; flags and scores are the same."""
    mark = slice(MARK.start - FIT_ROWS, MARK.stop - FIT_ROWS)
    alone, known = flagged(folder), flagged(folder, kb=folder / "kb")
    assert {row["class"] for row in alone[mark]} == {"process anomaly"}
    assert {row["class"] for row in known[mark]} == {"expected"}
    while_open = slice(0, WORK.stop - FIT_ROWS)  # then rows begin anew, without what they heard
    plain, same = (
        [[row[name] for name in ("time", "score", "flag")] for row in rows[while_open]]
        for rows in (alone, known)
    )
    assert plain == same
    outside = [r["class"] for r in known[: mark.start] + known[mark.stop + 400 :]]
    assert "expected" not in outside


def test_a_place_that_cannot_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    """A run is long."""
    with pytest.raises(RecordingError, match="--row-flags needs a file in a directory"):
        RowTable(tmp_path / "no" / "rows.csv")
    with pytest.raises(RecordingError, match="is a directory; --row-flags needs the name"):
        RowTable(tmp_path)


def test_nothing_of_rows_is_held_while_they_are_written(tmp_path: Path) -> None:
    """Months fit in memory: the table forgets what it has written."""
    table = RowTable(tmp_path / "rows.csv")
    told = RowsScored(
        asset="r1",
        t_ns=NOON + np.arange(1000, dtype=np.int64) * S,
        scores=np.zeros(1000, np.float32),
        threshold=5.0,
        flags=np.zeros(1000, bool),
        classes=np.full(1000, "normal"),
    )
    with table:
        for _ in range(30):
            table.take(told, 0)
        assert (tmp_path / "rows.csv.part").stat().st_size > 1_000_000, "on disk, not in memory"
