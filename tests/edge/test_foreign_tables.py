"""Tables as loggers, spreadsheets and historians write them: what the draft makes of each."""

from __future__ import annotations

import math
import tomllib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import RecordingError
from edge.recordings.mapping import find_mapping, parse_mapping
from edge.recordings.recording import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.recordings.recording import Table

ROWS: Final = 40
T0: Final = datetime(2024, 2, 28, 22, 15, 7, tzinfo=UTC)
WAVE: Final = [round(20 + 3 * math.sin(i * 1.7), 3) for i in range(ROWS)]
STAMPS: Final = [f"{T0 + timedelta(seconds=i):%Y-%m-%d %H:%M:%S}" for i in range(ROWS)]


def draft_of(path: Path) -> str:
    """Return the mapping that the error for an unknown table shows."""
    with pytest.raises(RecordingError) as caught:
        find_mapping(path)
    assert "--mapping FILE" in str(caught.value), str(caught.value)
    return str(caught.value).split("\n\n", 1)[1]


def read_by_draft(path: Path) -> tuple[Table, str]:
    """Read a table by its own draft, as it is."""
    draft = draft_of(path)
    return read_table(path, mapping=parse_mapping(draft, where="draft")), draft


def written(path: Path, lines: Sequence[str]) -> Path:
    """Write lines; returns the path."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def with_column(path: Path, name: str, cells: Sequence[object]) -> Path:
    """Write a table of one column in question and one measurement."""
    rows = [f"{cell},{wave}" for cell, wave in zip(cells, WAVE, strict=False)]
    return written(path, [f'"{name}",pressure', *rows])


def names_of(table: Table) -> list[str]:
    """Return the names of the channels."""
    return [channel.name for channel in table.channels]


@given(
    dialect=st.sampled_from([",.", ";.", ";,", "\t.", "\t,", "|.", "|,"]),
    form=st.sampled_from(
        [
            *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+00:00"),
            *("%d.%m.%Y %H:%M:%S", "%d.%m.%y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S"),
            *("%m/%d/%Y %I:%M:%S %p", "%d-%b-%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S.%f", "%s", "%s000"),
            *("%s000000", "%s000000000", "pair"),
        ]
    ),
    names=st.sampled_from(
        [("time", "a", "b"), ("Zeit", "Druck [bar]", "T 1"), ("x", " p", "p"), ()]
    ),
    text=st.sampled_from(["", "Part {}", "note 12", "late {} min"]),
    before=st.sampled_from([(), ("Logger 7", "Line: 4"), ("# made by hand",), ("#", "# a b")]),
)
@settings(max_examples=150, deadline=None)
@pytest.mark.not_counted
def test_every_draft_reads_the_table_it_was_drafted_from(
    tmp_path_factory: pytest.TempPathFactory,
    dialect: str,
    form: str,
    names: tuple[str, ...],
    text: str,
    before: tuple[str, ...],
) -> None:
    """Whatever the dialect and the stamps: times, values and channels are those written."""
    delimiter, decimal = dialect[0], dialect[1]
    moments = [T0 + timedelta(seconds=i) for i in range(ROWS)]
    shown = "%d.%m.%Y" + delimiter + "%H:%M:%S" if form == "pair" else form
    header = [*names[:1], *(["Uhr"] if form == "pair" else []), *names[1:], "remark"]
    rows = [
        [
            moment.strftime(shown.replace("%s", str(int(moment.timestamp())))),
            str(wave).replace(".", decimal),
            str(i % 7),
            text.format(i),
        ]
        for i, (moment, wave) in enumerate(zip(moments, WAVE, strict=True))
    ]
    path = tmp_path_factory.mktemp("foreign") / "foreign.txt"
    named = [header] if names else []
    written(path, [*before, *(delimiter.join(row) for row in (*named, *rows))])
    table, draft = read_by_draft(path)
    assert table.t_ns.tolist() == [int(moment.timestamp()) * 10**9 for moment in moments], draft
    assert table.values.tolist() == [[wave, i % 7] for i, wave in enumerate(WAVE)]
    assert (table.bad_cells, table.bad_times, table.backward_times) == (0, 0, 0)


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("header", [["time  p   q"], []])
@pytest.mark.parametrize("gap", [" ", "   "])
def test_a_draft_reads_a_table_cut_at_blanks(
    tmp_path: Path, decimal: str, header: list[str], gap: str
) -> None:
    """Where the stamps have none."""
    lines = [
        f"{stamp.replace(' ', 'T')}{gap}{wave}{gap}{i % 5}".replace(".", decimal)
        for i, (stamp, wave) in enumerate(zip(STAMPS, WAVE, strict=True))
    ]
    table, _ = read_by_draft(written(tmp_path / "blanks.txt", [*header, *lines]))
    assert table.values.tolist() == [[wave, i % 5] for i, wave in enumerate(WAVE)]
    assert table.period_ns == 10**9


def test_short_rows_without_a_header_are_no_preamble(tmp_path: Path) -> None:
    """A row whose last cells were cut off still holds data."""
    rows = [f"{w},{w * 2},{w * 3}" for w in WAVE]
    table, _ = read_by_draft(written(tmp_path / "short.csv", ["1.5", *rows]))
    assert table.values[0].tolist() == pytest.approx([1.5, math.nan, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("name", "step", "start", "period_s"),
    [
        ("Time", 0.1, 0, 0.1),
        ("Time [s]", 0.1, 0, 0.1),
        ("time_ms", 20, 0, 0.02),
        ("ms", 5, 100, 0.005),
        ("sec", 2, 0, 2),
        ("Elapsed (min)", 1, 0, 60),
        ("Zeit/s", 0.25, 7, 0.25),
        ("Date", 1 / 86400, 45_350.5, 1),
    ],
)
def test_a_clock_gives_the_period_and_is_no_channel(
    tmp_path: Path, name: str, step: float, start: float, period_s: float
) -> None:
    """A ramp in the statistic would hide every other deviation."""
    cells = [round(start + step * i, 8) for i in range(ROWS)]
    table, draft = read_by_draft(with_column(tmp_path / "clock.csv", name, cells))
    assert names_of(table) == ["pressure"]
    assert table.period_ns == round(period_s * 1e9)
    assert f"# {name!r}".replace("'", '"') in draft


@pytest.mark.parametrize("name", ["idx", "seq", "#", "Unnamed: 0", "", "A", "Sample No."])
def test_a_count_of_rows_is_no_channel(tmp_path: Path, name: str) -> None:
    """With or without time stamps beside it; the draft says why it is left out."""
    rows = [f"{i},{s},{w}" for i, (s, w) in enumerate(zip(STAMPS, WAVE, strict=True))]
    table, draft = read_by_draft(written(tmp_path / "i.csv", [f"{name},when,p", *rows]))
    assert (names_of(table), table.period_ns) == (["p"], 10**9)
    assert "ignored" in draft
    table, draft = read_by_draft(with_column(tmp_path / "n.csv", name or "n", range(ROWS)))
    assert names_of(table) == ["pressure"]
    assert "say how many seconds" in draft


@pytest.mark.parametrize("name", ["A", "Time", "t"])
@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("step_s", [1, -1])
def test_times_since_1970_are_told_by_their_size(
    tmp_path: Path, name: str, scale: int, step_s: int
) -> None:
    """In any unit, under any name, newest first or last."""
    cells = [(1_709_158_507 + step_s * i) * scale for i in range(ROWS)]
    table, _ = read_by_draft(with_column(tmp_path / "epoch.csv", name, cells))
    assert names_of(table) == ["pressure"]
    assert table.t_ns.tolist() == sorted(cell * (10**9 // scale) for cell in cells)


def test_times_since_1970_in_parquet_are_exact(tmp_path: Path) -> None:
    """Nanoseconds do not pass through floating point."""
    cells = [1_709_158_507_000_000_001 + i * 10**9 for i in range(ROWS)]
    path = tmp_path / "epoch.parquet"
    pq.write_table(pa.table({"A": cells, "p": WAVE}), path)
    assert read_by_draft(path)[0].t_ns.tolist() == cells


def test_what_does_not_run_like_a_clock_stays_a_channel(tmp_path: Path) -> None:
    """A cycle time moves both ways; a counter of large numbers moves unevenly."""
    rows = [
        f"{w},{1_700_000_000 + i**3},{s}" for i, (w, s) in enumerate(zip(WAVE, STAMPS, strict=True))
    ]
    path = written(tmp_path / "not.csv", ["Cycle time [s],total,when", *rows])
    assert names_of(read_by_draft(path)[0]) == ["Cycle time [s]", "total"]
    ramps = [f"{i},{2 * i}" for i in range(ROWS)]
    assert names_of(read_by_draft(written(tmp_path / "r.csv", ["a,b", *ramps]))[0]) == ["a", "b"]


def test_a_clock_that_runs_back_is_said(tmp_path: Path) -> None:
    """Rows without stamps cannot be turned round by us; the draft asks for it."""
    path = with_column(tmp_path / "back.csv", "Time [s]", [ROWS - i for i in range(ROWS)])
    assert "newest first" in draft_of(path)


@pytest.mark.parametrize(
    "before",
    [
        ["sep=;"],
        ["SEP=;"],
        ["Logger 7;;", "Serial 12345;;", "", "Exported by hand;;"],
        ["Logger 7", "begin 2024-02-28"],
        ["#group;false;false", "#datatype;dateTime;double", "#default;_result;"],
        ["sep=;", "# a comment"],
    ],
)
def test_lines_before_the_header_are_no_part_of_the_table(
    tmp_path: Path, before: list[str]
) -> None:
    """They are left out and noted; lines keep their numbers in messages."""
    rows = [
        f"{s};{w};{i % 5}".replace(".", ",")
        for i, (s, w) in enumerate(zip(STAMPS, WAVE, strict=True))
    ]
    path = written(tmp_path / "pre.csv", [*before, "when;p;q", *rows])
    table, _ = read_by_draft(path)
    assert table.values.tolist() == [[w, i % 5] for i, w in enumerate(WAVE)]
    assert (table.bad_times, table.notes != ()) == (0, True)
    written(path, [*before, "when;p;q", *rows, "1;2;3;4"])
    with pytest.raises(RecordingError, match=f"line {len(before) + ROWS + 2} has 4 cells"):
        find_mapping(path)


def test_a_header_behind_a_hash_is_the_header(tmp_path: Path) -> None:
    """Headers of numpy and gnuplot look so."""
    rows = [f"{i * 0.5} {w}" for i, w in enumerate(WAVE)]
    table, _ = read_by_draft(written(tmp_path / "np.txt", ["# saved", "# time flow", *rows]))
    assert (names_of(table), table.period_ns) == (["flow"], 5 * 10**8)
    assert table.values[:, 0].tolist() == WAVE


def test_a_header_with_a_name_too_few_is_an_error(tmp_path: Path) -> None:
    """It is neither a preamble nor padded."""
    path = written(tmp_path / "r.csv", ["x,y", *(f"{i},{w},1" for i, w in enumerate(WAVE))])
    with pytest.raises(RecordingError, match="line 2 has 3 cells, expected 2"):
        find_mapping(path)


def test_one_column_with_decimal_commas_is_one_column(tmp_path: Path) -> None:
    """Also where some of its numbers are whole."""
    cells = [str(w).replace(".", ",") for w in WAVE]
    table, _ = read_by_draft(written(tmp_path / "one.csv", ["Druck", "7", *cells]))
    assert table.values[:, 0].tolist() == [7, *WAVE]
    bare = written(tmp_path / "bare.csv", cells)
    assert 'delimiter = ";", decimal = ","' in draft_of(bare)  # may as well be two columns


@pytest.mark.parametrize("text", ['x,y\n1,"2\n' + "3,4\n" * 50_000, "x,y\n1," + "a" * 140_000])
def test_a_cell_without_end_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    """A quote left open swallows the rest of the file."""
    path = tmp_path / "long.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordingError, match=r"long\.csv: field larger.*quote left open"):
        find_mapping(path)


def test_a_line_longer_than_a_cell_may_be_is_cut(tmp_path: Path) -> None:
    """Delimiters that would leave it whole are only not chosen."""
    names = ",".join(
        f"channel of a rather long name, number {i}".replace(",", "") for i in range(4000)
    )
    path = written(tmp_path / "wide.csv", [names, *(",".join([str(w)] * 4000) for w in WAVE[:3])])
    assert path.read_text(encoding="utf-8").index("\n") > 131_072
    assert len(names_of(read_by_draft(path)[0])) == 4000


@pytest.mark.parametrize(
    ("form", "step_days", "said"),
    [
        ("%d.%m.%y", 1, ""),
        ("%Y-%m-%d", 1, ""),
        ("%m/%d/%Y", 1, ""),
        ("%d/%m/%Y %H:%M:%S", 0, "AMBIGUOUS"),
        ("%d/%m/%Y", 1, "AMBIGUOUS"),
    ],
)
def test_days_and_months_are_told_apart_or_not(
    tmp_path: Path, form: str, step_days: int, said: str
) -> None:
    """By a day over 12, else by the order of rows, else the draft says that it cannot be told."""
    count = 12 if said else ROWS
    moments = [
        datetime(2024, 3, 1, 6, 0, i, tzinfo=UTC) + i * timedelta(days=step_days)
        for i in range(count)
    ]
    cells = [moment.strftime(form) for moment in moments]
    table, draft = read_by_draft(with_column(tmp_path / "days.csv", "Datum", cells))
    assert said in draft
    assert ("#" in draft.partition("[time]")[2].partition("format")[0]) == bool(said)
    if step_days:
        assert np.diff(table.t_ns).tolist() == [86_400 * 10**9] * (count - 1)


def test_rows_that_go_one_way_tell_day_from_month(tmp_path: Path) -> None:
    """From the 12th of March to the 1st of April, no row may go back to January."""
    moments = [datetime(2024, 3, 10 + i, tzinfo=UTC) for i in range(3)]
    moments += [datetime(2024, 4, 1 + i, tzinfo=UTC) for i in range(3)]
    cells = [f"{moment:%d/%m/%Y}" for moment in moments]
    table, draft = read_by_draft(with_column(tmp_path / "days.csv", "day", cells))
    assert "back and forth" in draft
    assert table.t_ns.tolist() == [int(moment.timestamp()) * 10**9 for moment in moments]


def test_a_month_that_shows_late_is_seen(tmp_path: Path) -> None:
    """Stamps are sampled over the whole file: its first thousand rows may all lie on one day."""
    moments = [datetime(2024, 2, 1, tzinfo=UTC) + timedelta(minutes=10 * i) for i in range(3000)]
    rows = [f"{m:%d/%m/%Y %H:%M:%S},{i * i % 17}" for i, m in enumerate(moments)]
    table, draft = read_by_draft(written(tmp_path / "late.csv", ["t,x", *rows]))
    assert "%d/%m/%Y %H:%M:%S" in draft
    assert table.t_ns.tolist() == [int(m.timestamp()) * 10**9 for m in moments]


def test_a_comma_between_date_and_time_is_read(tmp_path: Path) -> None:
    """Browsers export American stamps so."""
    cells = [f'"2/28/2024, 10:00:{i:02} PM"' for i in range(ROWS)]
    table, _ = read_by_draft(with_column(tmp_path / "js.csv", "when", cells))
    assert np.diff(table.t_ns).tolist() == [10**9] * (ROWS - 1)


def test_times_of_day_give_the_distance_of_rows(tmp_path: Path) -> None:
    """Without a date they are no time stamps, over midnight or not."""
    moments = [T0 + timedelta(minutes=5 * i) for i in range(ROWS)]
    cells = [f"{moment:%H:%M:%S}" for moment in moments]
    table, draft = read_by_draft(with_column(tmp_path / "day.csv", "Uhr", cells))
    assert table.period_ns == 300 * 10**9
    assert "has no date" in draft


def test_a_run_state_is_proposed_and_never_decided(tmp_path: Path) -> None:
    """It would switch scoring off, so it stays what it is until someone says so."""
    rows = [
        f"{s},{w},{i % 9 > 2:d},{'on' if i % 9 else 'off'}"
        for i, (s, w) in enumerate(zip(STAMPS, WAVE, strict=True))
    ]
    path = written(tmp_path / "run.csv", ["t,truncated,Running,State", *rows])
    table, draft = read_by_draft(path)
    assert names_of(table) == ["truncated", "Running"]
    assert (table.running, list(table.context)) == (None, ["State"])
    hints = [line for line in draft.splitlines() if 'role = "run"' in line]
    assert [line[0] for line in hints] == ["#", "#"]
    moved = hints[0].partition("[context]: ")[2]
    lines = [line for line in draft.splitlines() if not line.startswith('"Running"')]
    taken = "\n".join(lines).replace("[context] # not scored", f"[context]\n{moved}")
    again = read_table(path, mapping=parse_mapping(taken, where="draft"))
    assert again.running is not None
    assert again.running.tolist() == [i % 9 > 2 for i in range(ROWS)]


@pytest.mark.parametrize(
    "header",
    [
        *("time,tag,value", "_time,_field,_value", "when,where,value", "ts,signal,x"),
        "TimeString,VarName,VarValue",
    ],
)
def test_a_long_table_is_refused_with_the_way_out(tmp_path: Path, header: str) -> None:
    """All signals in one column would be one channel that means nothing."""
    rows = [f"{s},tag {k},{w + k}" for s, w in zip(STAMPS, WAVE, strict=True) for k in range(3)]
    path = written(tmp_path / "long.csv", [header, *rows])
    with pytest.raises(RecordingError, match=r"names 3 signals.*pivot_table"):
        find_mapping(path)


def test_a_wide_table_with_a_state_beside_its_value_is_not_long(tmp_path: Path) -> None:
    """A state changes with time; it does not name the value."""
    rows = [
        f"{s},{'on' if i % 9 else 'off'},{w}"
        for i, (s, w) in enumerate(zip(STAMPS, WAVE, strict=True))
    ]
    table, _ = read_by_draft(written(tmp_path / "state.csv", ["time,state,value", *rows]))
    assert names_of(table) == ["value_signal"]


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Also where a column is already called like the second of them."""
    rows = [f"{w},{-w},{2 * w}" for w in WAVE]
    table, draft = read_by_draft(written(tmp_path / "same.csv", ["a,a (2),a", *rows]))
    assert names_of(table) == ["a", "a (2)", "a (3)"]
    assert table.values[:, 2].tolist() == [2 * w for w in WAVE]
    assert set(tomllib.loads(draft)["channels"]) == {"a", "a (2)", "a (3)"}
