"""Mappings: strictness, the ones that ship, and the draft that an unknown table gets."""

from __future__ import annotations

import csv
import string
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import RecordingError
from edge.recordings.mapping import (
    asset_id,
    find_mapping,
    load_mapping,
    parse_mapping,
    shipped_mappings,
)
from edge.recordings.recording import read_table

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL: Final = """
asset = "press-07"
[time]
rate_hz = 4
[channels]
p = { unit = "bar" }
"""

FOLDERS: Final = {
    "skab/valve1/*.csv": "skab",
    "skab/anomaly-free/*.csv": "skab_unlabelled",
    "nab/data/*/*.csv": "nab",
    "tep/*.dat": "tep",
    "cnc_mill/experiment_*.csv": "cnc_mill",
    "weld/*.csv": "weld",
    "ur3/*.csv": "ur3",
}


def drafted(error: RecordingError) -> str:
    """Return the mapping that an error message shows."""
    return str(error).split("\n\n", 1)[1]


def test_a_minimal_mapping_reads() -> None:
    """Asset, time and one channel are enough."""
    mapping = parse_mapping(MINIMAL, where="here", name="press")
    assert mapping.name == "press"
    assert mapping.time.period_ns == 250_000_000
    assert mapping.columns == {"p"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("rate_hz = 4", "rate_hertz = 4"), "'rate_hz'"),
        (("asset", "aset"), "'asset'"),
        (("unit", "units"), "'unit'"),
        (("rate_hz = 4", 'rate_hz = 4\ncolumn = "t"'), "exactly one"),
        (("rate_hz = 4", ""), "exactly one"),
        (("rate_hz = 4", "rate_hz = 0"), "0.000001"),
        (("rate_hz = 4", 'column = "t"\nformat = "ISO"'), "'ISO'"),
        (("rate_hz = 4", 'column = "t"\nzone = "Mars/Crater"'), "Mars/Crater"),
        (("rate_hz = 4", 'column = "p"'), "two meanings"),
        (('p = { unit = "bar" }', ""), "at least one channel"),
        (("p = {", 'p = { channel = "ts",'), "key of the payload"),
        (('"bar" }', '"bar" }\nq = { channel = "p" }'), "two columns"),
        (('"press-07"', '"press 07"'), "press 07"),
        (('"press-07"', '"a/+/#"'), "1 to 64 of A-Z"),
        (('"press-07"', f'"{"a" * 65}"'), "1 to 64 of A-Z"),
        (('"bar" }', '"bar" }\n[labels]\na = "wrong"'), "'fault' or 'mark'"),
        (('"bar" }', '"bar" }\n[context]\nm = { role = "boss" }'), "'boss'"),
        (('"bar" }', '"bar" }\n[context]\nm = { role = "witness" }'), "calibration"),
        (('asset = "press-07"', 'asset = "a"\ncolumn_count = 1\n'), "'1' to '1'"),
        (('asset = "press-07"', 'asset = "a"\ndecimal = ";"\n'), "decimal"),
    ],
)
def test_a_wrong_mapping_says_what_was_expected(change: tuple[str, str], complaint: str) -> None:
    """Each error names the place and the nearest thing that would be right."""
    with pytest.raises(RecordingError, match=r"here: |time zone") as caught:
        parse_mapping(MINIMAL.replace(*change), where="here")
    assert complaint in str(caught.value)


@given(text=st.text(max_size=100))
def test_any_text_makes_a_valid_asset_id(text: str) -> None:
    """Asset ids are short, never empty, and safe in a topic."""
    made = asset_id(text)
    assert 0 < len(made) <= 64
    assert set(made) <= set(string.ascii_letters + string.digits + "._-")
    assert asset_id(made) == made


@pytest.mark.parametrize(("pattern", "name"), FOLDERS.items())
@pytest.mark.not_counted
def test_every_data_folder_has_its_mapping(data_dir: Path, pattern: str, name: str) -> None:
    """Every recording is matched by the mapping of its folder and by no other."""
    paths = sorted(data_dir.glob(pattern))
    assert paths
    assert {find_mapping(path).name for path in paths} == {name}


def test_shipped_mappings_are_all_used() -> None:
    """No shipped mapping is without a folder, and each says what it is for."""
    assert {mapping.name for mapping in shipped_mappings()} == set(FOLDERS.values())
    assert all(mapping.about for mapping in shipped_mappings())


def test_the_error_for_an_unknown_table_shows_a_mapping_that_reads_it(tmp_path: Path) -> None:
    """Pasted as it is, the draft in the message reads the same file, times and labels included."""
    path = tmp_path / "Line 4.csv"
    path.write_text(
        "\ufeffDatum;Uhr;Druck [bar];value;State;anomaly;Remark;empty;;\r\n"
        "01.02.2024;06:00:00;1,5;7;on;0;;;;\r\n"
        "01.02.2024;06:00:01;;8;off;1;late;;;\r\n"
        '01.02.2024;06:00:02;-2,25E-3;9;on;1;"a; b";;;\r\n',
        encoding="utf-8",
    )
    with pytest.raises(RecordingError, match="'Druck \\[bar\\]'") as caught:
        find_mapping(path)
    draft = tmp_path / "draft.toml"
    draft.write_text(drafted(caught.value), encoding="utf-8")
    table = read_table(path, mapping=load_mapping(draft))
    assert table.asset == "Line-4"
    assert [channel.name for channel in table.channels] == ["Druck [bar]", "value_signal"]
    np.testing.assert_array_equal(table.values, [[1.5, 7], [np.nan, 8], [-0.00225, 9]])
    assert table.t_ns[0] == 1_706_767_200 * 10**9
    assert table.period_ns == 10**9
    assert table.context["State"].tolist() == [0, 1, 0]
    assert table.truth is not None
    assert [fault.begin_ns for fault in table.truth.faults] == [int(table.t_ns[1])]


@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=9),
        min_size=2,
        max_size=6,
        unique=True,
    )
)
def test_a_draft_reads_its_table_whatever_columns_are_called(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    """No header, however odd, makes a draft that fails on the table it was drafted from."""
    path = tmp_path_factory.mktemp("odd") / "odd.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerow([f"c {name}" for name in names])
        writer.writerows([[f"{i}.5"] * len(names) for i in (3, 0, 2, 1)])  # "c TS" is no clock
    with pytest.raises(RecordingError) as caught:
        find_mapping(path)
    table = read_table(path, mapping=parse_mapping(drafted(caught.value), where="draft"))
    assert table.values.tolist() == [[i + 0.5] * len(names) for i in (3, 0, 2, 1)]


def test_a_table_without_a_header_drafts_a_mapping_by_column_count(tmp_path: Path) -> None:
    """Header-less tables are told by their number of columns."""
    path = tmp_path / "plain.dat"
    path.write_text("1.5 2 3\n2.5 3 4\n", encoding="utf-8")
    with pytest.raises(RecordingError, match="3 columns and no header") as caught:
        find_mapping(path)
    mapping = parse_mapping(drafted(caught.value), where="draft")
    assert mapping.column_count == 3
    assert read_table(path, mapping=mapping).values.tolist() == [[1.5, 2, 3], [2.5, 3, 4]]


def test_a_table_of_texts_is_no_recording(tmp_path: Path) -> None:
    """Where no column holds numbers, no mapping is suggested."""
    path = tmp_path / "words.csv"
    path.write_text("a,b\nx,y\nz,w\n", encoding="utf-8")
    with pytest.raises(RecordingError, match="no recording"):
        find_mapping(path)


def test_a_mapping_tells_a_gateway_what_it_needs() -> None:
    """Units, run states and channels reported on change go into the asset's settings."""
    mapping = parse_mapping(
        MINIMAL
        + 'q = { channel = "flow", unit = "l/min", on_change = true }\n'
        + '[context]\nS = { tag = "run", role = "run", running = [2] }\n',
        where="here",
    )
    settings = mapping.asset_settings("press-07")
    assert settings.id == "press-07"
    assert settings.units == {"p": "bar", "flow": "l/min"}
    assert settings.on_change == ("flow",)
    assert [(tag.tag, tag.role, tag.running) for tag in settings.context] == [("run", "run", (2,))]
