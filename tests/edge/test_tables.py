"""Cells, times and labels at their edges: what is guessed, what is refused, what becomes NaN."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edge.configuration.tables import sniff_decimal, sniff_delimiter
from edge.errors import RecordingError
from edge.recordings.columns import numbers
from edge.recordings.mapping import parse_mapping
from edge.recordings.recording import read_table
from edge.samples.timestamps import parse_times

if TYPE_CHECKING:
    from pathlib import Path

ONE = 'asset = "a"\n{top}\n[time]\n{time}\n[channels]\nx = {{}}\n'


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["a;b", "1,5;2,5", "1,5;2,5"], ";"),
        (["a,b", '"1,5","2,5"'], ","),
        (["1.5  2.5   3.5", " 4.5 5.5 6.5"], "whitespace"),
        (["t;v", "2020-03-09 10:14:33;1", "2020-03-09 10:14:34;2"], ";"),
        (["v", "1.5", "2.5"], ","),
        (["a\tb c", "1\t2"], "\t"),
        (["time\ta\tb", *["2024-01-01 00:00:01\t1.5\t2.5"] * 40], "\t"),
        (["time\ta\tb", *["2024-01-01 00:00:01\t1,5\t2,5"] * 40], "\t"),
        (["time,a,n", *["2024-01-01T00:00:01,1.5,Part 7"] * 40], ","),
        (["time,a,n", *["2024-01-01T00:00:01,1.5,note 12"] * 40], ","),
        (["2024-01-01T00:00:01,1.5,note 12", "2024-01-01T00:00:02,2.5,note 12"], ","),
        (["1,5 2,5", "3,5 4,5"], "whitespace"),
        (["a b", "1,5 2", "3,5 4"], "whitespace"),
        (["Druck [bar]", "1,5", "2,5"], ";"),
        (["a;b;;", "1,5;2", "3,5;4"], ";"),
    ],
)
def test_delimiters_are_told_by_what_they_leave(lines: list[str], delimiter: str) -> None:
    """The cut that leaves even rows of cells that look like data wins."""
    assert sniff_delimiter(lines) == delimiter


@pytest.mark.parametrize(
    ("row", "delimiter", "decimal"),
    [
        (["1,234"], ";", ","),  # three decimals are common, thousands in such files are not
        (["1,234", "12,345,678"], ",", "."),  # quoted, in a file cut at commas: may be thousands
        (["1,23", "1,234"], ",", ","),
        (["1.5", "2,5", "3,5"], ";", ","),
        (["1", "2"], ";", "."),
    ],
)
def test_decimal_marks_are_told_by_the_cells(row: list[str], delimiter: str, decimal: str) -> None:
    """Where it cannot be told, the point is taken, and commas are counted as bad cells."""
    assert sniff_decimal([row], delimiter) == decimal


def test_points_in_decimal_comma_files_are_thousands_or_nothing() -> None:
    """1.234,5 is 1234.5; 1.5 in such a file is not guessed at."""
    values, odd = numbers(["1.234,5", "1.5", "-1.234.567", ",5"], decimal=",")
    np.testing.assert_array_equal(values, [1234.5, math.nan, -1234567, 0.5])
    assert odd.tolist() == [1]


def test_texts_without_a_number_are_absent_and_named(tmp_path: Path) -> None:
    """A state that the mapping does not know is NaN, noted, and leaves the run state as it was."""
    path = tmp_path / "states.csv"
    path.write_text("x,S\n1,\n2,RUN\n3,lunch\n4,stop\n5,\n", encoding="utf-8")
    context = '[context]\nS = { tag = "run", role = "run", values = { run = 1, stop = 0 } }\n'
    text = ONE.format(top="", time="period_s = 1") + context
    table = read_table(path, mapping=parse_mapping(text, where="m"))
    np.testing.assert_array_equal(table.context["run"], [math.nan, 1, math.nan, 0, math.nan])
    assert table.running is not None
    assert table.running.tolist() == [True, True, True, False, False]
    assert any("'lunch'" in note for note in table.notes)


def test_a_table_of_another_width_is_refused(tmp_path: Path) -> None:
    """A mapping by column count says how many it wanted."""
    path = tmp_path / "three.dat"
    path.write_text("1 2 3\n4 5 6\n", encoding="utf-8")
    text = 'asset = "a"\ncolumn_count = 2\n[time]\nperiod_s = 1\n[channels]\n1 = {}\n'
    with pytest.raises(RecordingError, match=r"has 3 columns, mapping .* expects 2"):
        read_table(path, mapping=parse_mapping(text, where="m"))


@pytest.mark.parametrize(
    ("column", "form"),
    [
        ([1_700_000_000, 1_700_000_001, 1_700_000_002], "epoch_s"),
        ([1_700_000_000.0, math.nan, 1_700_000_002.0], "epoch_s"),
        ([1_700_000_000_000, 1_700_000_001_000, -5], "epoch_ms"),
    ],
)
def test_parquet_numbers_are_times_by_their_format(
    tmp_path: Path, column: list[float], form: str
) -> None:
    """Typed epoch columns are exact; what is out of range is a row without a time."""
    pq.write_table(pa.table({"t": column, "x": [1.0, 2.0, 3.0]}), tmp_path / "t.parquet")
    text = ONE.format(top="", time=f'column = "t"\nformat = "{form}"')
    table = read_table(tmp_path / "t.parquet", mapping=parse_mapping(text, where="m"))
    assert table.t_ns[0] == 1_700_000_000 * 10**9
    assert table.bad_times == sum(not value > 0 for value in column)
    assert table.t_ns.size == 3 - table.bad_times


def test_an_hour_that_clocks_repeat_is_its_first_occurrence() -> None:
    """On the last Sunday of October 02:30 comes twice; the way of reading cannot matter."""
    cells = ["2024-10-27 01:30:00", "2024-10-27 02:30:00", "2024-10-27 03:30:00"]
    fast, ok = parse_times(cells, time_format="iso", zone="Europe/Berlin")
    slow, _ = parse_times(cells, time_format="%Y-%m-%d %H:%M:%S", zone="Europe/Berlin")
    assert ok.all()
    assert fast.tolist() == slow.tolist()
    assert (np.diff(fast) // 10**9).tolist() == [3600, 7200]


@pytest.mark.parametrize("cell", ["", "2024-13-01 00:00:00", "1899-01-01 00:00:00", "9999-01-01"])
def test_impossible_times_are_not_ok(cell: str) -> None:
    """Nothing before 1970 or after 2200 is a plant's time."""
    t_ns, ok = parse_times([cell, "2024-01-01 00:00:00"], time_format="iso", zone="UTC")
    assert ok.tolist() == [False, True]
    assert t_ns.tolist() == [0, 1_704_067_200 * 10**9]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "expected"),
        ("{", "expected"),
        ('{"w/t.csv": [["2024-01-01", "soon"]]}', "cannot be read"),
        ('{"w/t.csv": [["2024-01-01"]]}', "expected"),
    ],
)
def test_label_windows_that_cannot_be_read_are_an_error(
    tmp_path: Path, text: str, complaint: str
) -> None:
    """A broken labels file is named, never taken for no labels."""
    (tmp_path / "w").mkdir()
    path = tmp_path / "w" / "t.csv"
    path.write_text("x\n1\n2\n", encoding="utf-8")
    (tmp_path / "labels.json").write_text(text, encoding="utf-8")
    mapping = ONE.format(top="", time='period_s = 1\nzone = "UTC"')
    mapping += '[label_windows]\nfile = "../labels.json"\n'
    with pytest.raises(RecordingError, match=f"labels.json.*{complaint}"):
        read_table(path, mapping=parse_mapping(mapping, where="m"))
    (tmp_path / "labels.json").unlink()
    assert read_table(path, mapping=parse_mapping(mapping, where="m")).truth is None
