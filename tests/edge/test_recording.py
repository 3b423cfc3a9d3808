"""Tables read as recordings, checked against an independent, slower reading of the same files."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import RecordingError
from edge.recordings.mapping import parse_mapping
from edge.recordings.recording import parse_rows, read_table

if TYPE_CHECKING:
    from pathlib import Path

PLAIN: Final = """
asset = "a"
[time]
period_s = 1
[channels]
x = { unit = "bar" }
y = {}
"""
STAMPED: Final = PLAIN.replace("period_s = 1", 'column = "t"\nzone = "UTC"')


def rows_of(path: Path, delimiter: str) -> list[dict[str, str]]:
    """Read a table with the standard library alone."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def labelled_runs(flags: list[bool]) -> int:
    """Count unbroken runs of True, one by one."""
    return sum(flag and not before for before, flag in zip([False, *flags], flags, strict=False))


def test_skab_is_read_cell_by_cell(data_dir: Path) -> None:
    """Every number, stamp and label of every valve file equals what the csv module reads."""
    for path in sorted((data_dir / "skab/valve1").glob("*.csv")):
        table, rows = read_table(path), rows_of(path, ";")
        names = [channel.name for channel in table.channels]
        assert table.values.tolist() == [[float(row[name]) for name in names] for row in rows]
        stamps = [datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC) for row in rows]
        assert table.t_ns.tolist() == [int(stamp.timestamp()) * 10**9 for stamp in stamps]
        flags = [float(row["anomaly"]) > 0 for row in rows]
        assert (table.labels["anomaly"] > 0).tolist() == flags
        assert table.truth is not None
        assert len(table.truth.faults) == labelled_runs(flags) > 0
        inside = [
            any(fault.begin_ns <= t < fault.end_ns for fault in table.truth.faults)
            for t in table.t_ns.tolist()
        ]
        assert inside == flags
        assert {channel.unit for channel in table.channels} == {
            "g",
            "A",
            "bar",
            "degC",
            "V",
            "l/min",
        }
        assert (table.asset, table.period_ns, table.has_time) == ("skab", 10**9, True)


def test_skab_without_labels_has_no_truth(data_dir: Path) -> None:
    """Where nobody labelled, nothing is claimed."""
    table = read_table(data_dir / "skab/anomaly-free/anomaly-free.csv")
    assert table.values.shape == (9405, 8)
    assert table.truth is None
    assert table.labels == {}


def test_ur3_decimal_commas_equal_an_independent_parse(data_dir: Path) -> None:
    """Decimal commas, a header with a blank in it, and trailing empty columns."""
    path = data_dir / "ur3/dataset_02052023.csv"
    table, rows = read_table(path), rows_of(path, ";")
    names = [channel.name for channel in table.channels]
    expected = [
        [float(row[name].replace(",", ".")) if row[name] else math.nan for name in names]
        for row in rows
    ]
    np.testing.assert_array_equal(table.values, np.array(expected))
    assert table.values.shape == (7409, 19)
    assert table.absent_cells == sum(not row[name] for row in rows for name in names) > 0
    assert table.bad_cells == 0
    assert table.context["cycle"].tolist() == [float(row["cycle "]) for row in rows]
    for label in ("Robot_ProtectiveStop", "grip_lost"):
        assert (table.labels[label] == 1).tolist() == [row[label] == "True" for row in rows]
    stamps = [datetime.fromisoformat(row["Timestamp"]) for row in rows]
    assert table.t_ns.tolist() == [round(s.timestamp() * 1000) * 10**6 for s in stamps]


def test_nab_labels_come_from_the_windows_file(data_dir: Path) -> None:
    """Rows inside a window, both ends included, are labelled; every file is its own asset."""
    windows = json.loads((data_dir / "nab/combined_windows.json").read_text(encoding="utf-8"))
    for path in sorted((data_dir / "nab/data").glob("*/*.csv")):
        table, rows = read_table(path), rows_of(path, ",")
        assert table.values[:, 0].tolist() == [float(row["value"]) for row in rows]
        stretches = [
            [datetime.fromisoformat(stamp) for stamp in pair]
            for pair in windows[f"{path.parent.name}/{path.name}"]
        ]
        stamps = [datetime.fromisoformat(row["timestamp"]) for row in rows]
        expected = [any(first <= s <= last for first, last in stretches) for s in stamps]
        assert (table.labels["label_windows"] > 0).tolist() == expected
        assert table.repeated_times == sum(a == b for a, b in itertools.pairwise(stamps))
        assert table.asset == path.stem


def test_a_header_less_table_is_told_by_its_columns_even_on_its_side(data_dir: Path) -> None:
    """Tennessee Eastman files have 52 columns; d00.dat has 52 lines instead and is turned."""
    for path in sorted((data_dir / "tep").glob("*.dat")):
        table = read_table(path)
        lines = path.read_text(encoding="utf-8").splitlines()
        numbers = [[float(cell) for cell in line.split()] for line in lines]
        lying = len(numbers) == 52
        assert lying == (path.name == "d00.dat")
        assert (
            table.values.tolist()
            == (np.transpose(numbers) if lying else np.array(numbers)).tolist()
        )
        assert table.channels[40].name == "XMEAS41"
        assert table.channels[41].name == "XMV01"
        assert (table.period_ns, table.has_time) == (180 * 10**9, False)


def test_cnc_mill_stages_become_numbers_and_a_run_state(data_dir: Path) -> None:
    """The stage column is context; the tool runs in the layers and nowhere else."""
    for path in sorted((data_dir / "cnc_mill").glob("experiment_*.csv")):
        table, rows = read_table(path), rows_of(path, ",")
        names = [channel.name for channel in table.channels]
        assert table.values.tolist() == [[float(row[name]) for name in names] for row in rows]
        assert table.running is not None
        stages = [row["Machining_Process"] for row in rows]
        assert table.running.tolist() == [stage.startswith("Layer") for stage in stages]
        assert not np.isnan(table.context["machining_process"]).any()
        assert len(names) + len(table.context) == 48
        assert table.period_ns == 10**8


def test_weld_runs_are_read_cell_by_cell(data_dir: Path) -> None:
    """Twelve runs of six signals, without time stamps."""
    paths = sorted((data_dir / "weld").glob("*.csv"))
    assert len(paths) == 12
    for path in paths:
        table, rows = read_table(path), rows_of(path, ",")
        assert table.values.tolist() == [[float(cell) for cell in row.values()] for row in rows]
        assert (table.asset, table.has_time) == ("weld", False)
        assert np.diff(table.t_ns).tolist() == [110_000_000] * (len(rows) - 1)
        assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("0:400", (0, 400)),
        ("400:", (400, None)),
        (":", (None, None)),
        (" -100 : -1 ", (-100, -1)),
    ],
)
def test_rows_are_half_open(text: str, rows: tuple[int | None, int | None]) -> None:
    """Either end may be open or count from the back."""
    assert parse_rows(text) == rows


@pytest.mark.parametrize("text", ["400", "a:b", "1:2:3", "", "1.5:2"])
def test_rows_that_are_no_range_are_refused(text: str) -> None:
    """The message shows how a range is written."""
    with pytest.raises(RecordingError, match="0:400"):
        parse_rows(text)


def test_rows_choose_part_of_a_table(data_dir: Path) -> None:
    """Two ranges that meet hold every row once; truth is cut with them."""
    path = data_dir / "skab/valve1/0.csv"
    whole = read_table(path)
    front, back = read_table(path, rows=(None, 400)), read_table(path, rows=(400, None))
    np.testing.assert_array_equal(np.vstack([front.values, back.values]), whole.values)
    assert front.truth is not None
    assert front.truth.faults == ()
    assert (front.row_first, back.row_first) == (0, 400)
    assert front.sha256 == back.sha256
    with pytest.raises(RecordingError, match="1147 rows"):
        read_table(path, rows=(2000, None))


def test_odd_cells_are_absent_counted_and_named(tmp_path: Path) -> None:
    """Neither text, nor infinity, nor a short line stops the reading, and none becomes a number."""
    path = tmp_path / "odd.csv"
    path.write_text('x,y\n1,NaN\nerr,inf\n1_000,"2"\n4\n\n5,True\n', encoding="utf-8")
    table = read_table(path, mapping=parse_mapping(PLAIN, where="m"))
    nan = math.nan
    np.testing.assert_array_equal(table.values, [[1, nan], [nan, nan], [nan, 2], [4, nan], [5, 1]])
    assert (table.bad_cells, table.absent_cells) == (3, 2)
    assert any("'err' in row 1" in note for note in table.notes)
    assert any("too few cells" in note for note in table.notes)


def test_a_line_with_too_many_cells_is_an_error(tmp_path: Path) -> None:
    """More cells than columns means that the delimiter or the decimal mark is not understood."""
    path = tmp_path / "wide.csv"
    path.write_text("x,y\n1,2\n1,2,3\n", encoding="utf-8")
    with pytest.raises(RecordingError, match="line 3 has 3 cells"):
        read_table(path, mapping=parse_mapping(PLAIN, where="m"))


def test_a_missing_column_is_named_and_a_spare_one_left_out(tmp_path: Path) -> None:
    """A mapping given by hand needs its columns, and no others."""
    path = tmp_path / "columns.csv"
    path.write_text("x,z\n1,2\n", encoding="utf-8")
    with pytest.raises(RecordingError, match="no column 'y'"):
        read_table(path, mapping=parse_mapping(PLAIN, where="m"))
    path.write_text("x,y,z\n1,2,3\n", encoding="utf-8")
    table = read_table(path, mapping=parse_mapping(PLAIN, where="m"))
    assert table.values.tolist() == [[1, 2]]
    assert table.notes == ("columns left out: 'z'",)


def test_times_that_repeat_or_go_back_keep_their_order(tmp_path: Path) -> None:
    """The file's order stands; what is odd about it is counted."""
    path = tmp_path / "times.csv"
    path.write_text(
        "t,x,y\n"
        "2024-01-01 00:00:00,1,1\n2024-01-01 00:00:10,2,2\n2024-01-01 00:00:10,3,3\n"
        "2024-01-01 00:00:05,4,4\nyesterday,5,5\n2024-01-01 00:00:20,6,6\n",
        encoding="utf-8",
    )
    table = read_table(path, mapping=parse_mapping(STAMPED, where="m"))
    assert table.values[:, 0].tolist() == [1, 2, 3, 4, 6]
    assert (table.repeated_times, table.backward_times, table.bad_times) == (1, 1, 1)
    assert any("'yesterday' in row 4" in note for note in table.notes)


@pytest.mark.parametrize("asset", ["x/+/#", "a/b", "a#", " a", "a\n", "x" * 65])
def test_an_asset_that_is_no_id_is_refused(tmp_path: Path, asset: str) -> None:
    """An asset becomes a level of MQTT topics; what cannot be one is refused before it is sent."""
    path = tmp_path / "plain.csv"
    path.write_text("x,y\n1,2\n", encoding="utf-8")
    mapping = parse_mapping(PLAIN, where="m")
    with pytest.raises(RecordingError, match=r"1 to 64 printable characters without / \+ #"):
        read_table(path, mapping=mapping, asset=asset)
    assert read_table(path, mapping=mapping, asset="Presse 7").asset == "Presse 7"


def test_a_file_that_runs_newest_first_is_turned_round(tmp_path: Path) -> None:
    """Historians export so. Rows, cells and the counting of rows follow the time."""
    path = tmp_path / "newest.csv"
    stamps = [f"2024-01-01 00:00:{59 - i:02}" for i in range(50)]
    text = "".join(f"{stamp},{i},7\n" for i, stamp in enumerate(stamps))
    path.write_text("t,x,y\n" + text, encoding="utf-8")
    table = read_table(path, mapping=parse_mapping(STAMPED, where="m"))
    assert np.diff(table.t_ns).tolist() == [10**9] * 49
    assert table.values[:, 0].tolist() == list(range(49, -1, -1))
    assert table.backward_times == 0
    assert any("newest first" in note for note in table.notes)
    part = read_table(path, mapping=parse_mapping(STAMPED, where="m"), rows=(0, 10))
    assert part.t_ns.tolist() == table.t_ns[:10].tolist()


def test_times_that_cannot_be_read_at_all_are_an_error(tmp_path: Path) -> None:
    """The message shows one of them and the format that was tried."""
    path = tmp_path / "times.csv"
    path.write_text("t,x,y\n1.2.2024 7h,1,1\n", encoding="utf-8")
    with pytest.raises(RecordingError, match=r"not iso, the first is '1\.2\.2024 7h'"):
        read_table(path, mapping=parse_mapping(STAMPED, where="m"))


def test_times_without_a_zone_need_one(tmp_path: Path) -> None:
    """No zone is ever guessed."""
    path = tmp_path / "times.csv"
    path.write_text("t,x,y\n2024-01-01 00:00:00,1,1\n", encoding="utf-8")
    with pytest.raises(RecordingError, match="no time zone"):
        read_table(path, mapping=parse_mapping(STAMPED.replace('zone = "UTC"', ""), where="m"))


@pytest.mark.parametrize(
    ("cells", "form", "zone"),
    [
        (("2024-07-01T12:00:00.5Z", "2024-07-01T12:00:01.5Z"), "iso", ""),
        (("2024-07-01T14:00:00.5+02:00", "2024-07-01T12:00:01.500Z"), "iso", ""),
        (("2024-07-01 14:00:00.500", "2024-07-01 14:00:01.500"), "iso", "Europe/Berlin"),
        (("1719835200.5", "1719835201,5"), "epoch_s", ""),
        (("1719835200500", "1719835201500"), "epoch_ms", ""),
        (
            ("01.07.2024 14:00:00.5", "01.07.2024 14:00:01.5"),
            "%d.%m.%Y %H:%M:%S.%f",
            "Europe/Berlin",
        ),
    ],
)
def test_times_are_read_in_every_form(
    tmp_path: Path, cells: tuple[str, ...], form: str, zone: str
) -> None:
    """One moment, written in many ways, is one number of nanoseconds."""
    path = tmp_path / "times.csv"
    path.write_text("t;x;y\n" + "".join(f"{cell};1;2\n" for cell in cells), encoding="utf-8")
    time = f'column = "t"\nformat = "{form}"\nzone = "{zone}"'
    mapping = parse_mapping(PLAIN.replace("period_s = 1", time), where="m")
    table = read_table(path, mapping=mapping)
    first = 1_719_835_200_500_000_000
    assert table.t_ns.tolist() == [first, first + 10**9]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_any_dialect_is_found_out(
    tmp_path: Path, delimiter: str, decimal: str, ending: str, encoding: str
) -> None:
    """Delimiter, decimal mark, line ending and encoding need not be said."""
    values = [[1.25, -0.5], [1e-7, 30.0], [12345.678, 2.0]]
    path = tmp_path / "dialect.csv"
    cells = [["Öl", "y"], *([repr(v).replace(".", decimal) for v in row] for row in values)]
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=ending).writerows(cells)
    mapping = parse_mapping(PLAIN.replace("x =", '"Öl" ='), where="m")
    assert read_table(path, mapping=mapping).values.tolist() == values


@given(
    values=st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_infinity=False)
        ),
        min_size=1,
        max_size=20,
    ),
    decimal=st.sampled_from([".", ","]),
)
def test_numbers_are_exact_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[float, float]], decimal: str
) -> None:
    """What was written as the shortest exact decimal comes back as the same float64."""
    path = tmp_path_factory.mktemp("exact") / "exact.csv"
    lines = [";".join(repr(v).replace(".", decimal) for v in row) for row in values]
    path.write_text("\n".join(["x;y", *lines]), encoding="utf-8")
    mapping = parse_mapping(f'decimal = "{decimal}"\ndelimiter = ";"\n{PLAIN}', where="m")
    np.testing.assert_array_equal(read_table(path, mapping=mapping).values, np.array(values))


def test_parquet_equals_csv(tmp_path: Path) -> None:
    """The same rows from Parquet, typed, and from text."""
    stamps = [datetime(2024, 1, 1, 0, 0, i, 250_000, tzinfo=UTC) for i in range(3)]
    columns = {"t": stamps, "x": [1, 2, 3], "y": [0.1, None, 3.5]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    text = "t,x,y\n" + "".join(
        f"{t.isoformat()},{x},{'' if y is None else y}\n"
        for t, x, y in zip(*columns.values(), strict=True)
    )
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    mapping = parse_mapping(STAMPED, where="m")
    typed = read_table(tmp_path / "a.parquet", mapping=mapping)
    plain = read_table(tmp_path / "a.csv", mapping=mapping)
    np.testing.assert_array_equal(typed.values, plain.values)
    assert typed.t_ns.tolist() == plain.t_ns.tolist()


def test_parquet_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A box without pyarrow is told how to get it."""
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "a.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(RecordingError, match=r"pip install 'andon\[parquet\]'"):
        read_table(tmp_path / "a.parquet")


def test_what_is_not_a_table_is_refused_by_name(tmp_path: Path) -> None:
    """A missing file, an empty one, a directory and a binary are each named."""
    (tmp_path / "empty.csv").write_bytes(b"\n\n")
    (tmp_path / "binary.csv").write_bytes(b"\x7fELF\0\0\0")
    (tmp_path / "fake.parquet").write_bytes(b"PAR1 but no more")
    expected = {
        "missing.csv": "No such file",
        "empty.csv": "is empty",
        "binary.csv": "zero bytes",
        "fake.parquet": "not readable as Parquet",
        ".": "directory",
    }
    for name, complaint in expected.items():
        with pytest.raises(RecordingError, match=complaint):
            read_table(tmp_path / name)
