"""Rationalisation: what counts by track and channel, whose an alert is, and the table both ways."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

import andon
from edge.alerts.rationale import audience, rationale
from edge.checks.check import check_file
from edge.configuration.config import load
from edge.configuration.rationale_table import (
    COLUMNS,
    PRIORITIES,
    TRACKS,
    lacking,
    read_table,
    written_table,
)
from edge.errors import ConfigError
from edge.settings import AssetSettings, Rationale
from tests.broker.plants import invoke, settings
from tests.edge.rig import Rig
from tests.edge.rig import settings as rig_settings

if TYPE_CHECKING:
    from pathlib import Path

WHOLE: Final = {"cause": "worn", "consequence": "scrap", "action": "stop"}
HEAD: Final = ",".join(COLUMNS)
CELL: Final = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=12)
ROW: Final = st.builds(
    Rationale,
    track=st.sampled_from(["", *TRACKS]),
    channel=st.sampled_from(["", "a", "b;c", 'd"e']),
    cause=CELL,
    consequence=CELL,
    action=CELL,
    respond_min=st.none() | st.integers(0, 999),
    severity=st.none() | st.integers(1, 1000),
)


def test_the_more_special_row_counts_and_an_empty_cell_says_nothing() -> None:
    """Channel before track, track before all, and at last the asset."""
    asset = AssetSettings(
        id="r1",
        cause="asset",
        action="asset",
        rationale=(
            Rationale(track="process", channel="c1", cause="channel", severity=900),
            Rationale(track="process", cause="track", consequence="track", respond_min=5),
            Rationale(cause="all", consequence="all", severity=200),
        ),
    )
    found = rationale(asset, "process", "c1")
    assert (found.cause, found.consequence, found.action) == ("channel", "track", "asset")
    assert (found.severity, found.respond_min) == (900, 5)
    other = rationale(asset, "sensor", "c1")
    assert (other.cause, other.consequence, other.severity, other.respond_min) == (
        *("all", "all", 200),
        asset.respond_min,
    )


@pytest.mark.parametrize("missing", ["", *WHOLE])
def test_what_lacks_a_word_is_the_engineers(missing: str) -> None:
    """And what is whole the operator's, but for an asset that is not in service."""
    said = {name: text for name, text in WHOLE.items() if name != missing}
    found = msgspec.convert(said, Rationale)
    assert audience(found) == ("engineer" if missing else "operator")
    assert audience(found, shadow=True) == "engineer"
    asset = AssetSettings(id="r1", rationale=(found,))
    assert bool(lacking([asset])) == bool(missing)


def test_alerts_of_a_channel_say_what_its_row_says() -> None:
    """Advice, severity, time to respond and audience, from the first revision on."""
    row = {"track": "process", "channel": "c1", **WHOLE, "severity": 850, "respond_min": 3}
    rig = Rig(conf=rig_settings(r1={"rationale": (msgspec.convert(row, Rationale),)}))
    rig.run(100)
    rig.run(40, {"c1": 12.0})
    rig.run(200)
    rig.run(40, {"c3": 12.0})
    fields = ("audience", "severity_num", "respond_min", "advice")
    told = {e["top_channel"]: tuple(e[f] for f in fields) for e in rig.events() if e["active"]}
    assert told["c1"] == ("operator", 850, 3, "stop")
    assert told["c3"][:3] == ("engineer", 500, 60)


@given(rows=st.lists(ROW, max_size=6), delimiter=st.sampled_from([",", ";"]), own=CELL)
def test_what_is_written_is_read_as_what_counts(
    rows: list[Rationale], delimiter: str, own: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands in cells; an asset with the rows of its table is as it was."""
    unique = {(row.track, row.channel): row for row in rows}
    asset = AssetSettings(id="r1", cause=own, rationale=tuple(unique.values()))
    path = tmp_path_factory.getbasetemp() / "table.csv"
    path.write_text(written_table([asset], delimiter=delimiter), encoding="utf-8", newline="")
    said = [msgspec.convert(line.said, Rationale) for line in read_table(path)]
    again = AssetSettings(id="r1", rationale=tuple(said))
    for track in TRACKS:
        for channel in ("", *{row.channel for row in rows}):
            before, after = rationale(asset, track, channel), rationale(again, track, channel)
            assert after == before


def table(folder: Path, text: str | bytes) -> Path:
    """A file with this in it."""
    path = folder / "alarms.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "asset,track,cause\nr1,process,worn\n",
        "\ufeffAsset;Track;Cause\r\nr1;Process;worn\r\n;;\r\n",
        'asset\ttrack\tcause\r\nr1\tprocess\t"worn"\r\n\r\n',
        'cause,track,asset\n"  worn\n",process,r1',
    ],
    ids=["plain", "of a spreadsheet", "tabs", "other order, line break in a cell"],
)
def test_tables_are_read_as_spreadsheets_write_them(tmp_path: Path, text: str) -> None:
    """The same row of each."""
    (line,) = read_table(table(tmp_path, text))
    assert (line.asset, line.said) == ("r1", {"track": "process", "cause": "worn"})


@pytest.mark.parametrize("priority", PRIORITIES)
def test_a_priority_alone_is_the_middle_of_its_class(tmp_path: Path, priority: str) -> None:
    """And agrees with a severity of that class."""
    severity = PRIORITIES[priority]
    text = f"asset,track,priority,severity\nr1,,{priority},\nr2,,{priority},{severity}\n"
    assert [line.said["severity"] for line in read_table(table(tmp_path, text))] == [severity] * 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("asset,trak\nr1,\n", "unknown column 'trak'; did you mean track"),
        ("asset,cause\nr1,x\n", "no column 'track'"),
        ("asset,track,track\nr1,,\n", "column 'track' comes twice"),
        ("asset,track\nr1,motor\n", "line 2, column track: 'motor', expected process"),
        ("asset,track\n,process\n", "line 2, column asset: it is empty"),
        ("asset,track,severity\nr1,,1001\n", "column severity: '1001', expected 1 to 1000"),
        ("asset,track,respond_min\nr1,,soon\n", "column respond_min: 'soon', expected 0"),
        ("asset,track,priority\nr1,,5\n", "column priority: '5', expected 1"),
        ("asset,track,priority,severity\nr1,,1,300\n", "severity of 300 is LOW, priority 4"),
        ("asset,track\nr1,\n\nr1,\n", "line 4: r1 stands in line 2 too"),
        ("asset,track\nr1\n", "line 2: 1 cells, expected 2"),
        (b"asset,track,cause\nr1,,\xfcber\n", "not UTF-8"),
        ('asset,track\nr1,"\n', "not a CSV table"),
    ],
)
def test_mistakes_name_row_and_column(tmp_path: Path, text: str | bytes, expected: str) -> None:
    """With what was expected."""
    with pytest.raises(ConfigError) as found:
        read_table(table(tmp_path, text))
    assert expected in str(found.value)


def plant(folder: Path, **tables: Any) -> Path:  # noqa: ANN401 - as TOML has them
    """Two machines, and where their table is to be."""
    return settings(folder, include={"alarms": "alarms.csv"}, **tables)


def test_a_table_goes_out_and_comes_in_by_command(tmp_path: Path) -> None:
    """Exported, filled in, imported, counted; `andon check` names what lacks until then."""
    config = plant(tmp_path)
    (tmp_path / "alarms.csv").write_text(f"{HEAD}\n", encoding="utf-8")
    out = tmp_path / "out.csv"
    printed = invoke("alarms", "export", config, "-o", out, "--semicolon")
    assert "2 assets, 2 of them not rationalised" in printed
    assert "they lack r1, r2: process (cause, consequence, action); sensor" in finding(config)
    head, *rows = out.read_text(encoding="utf-8-sig").splitlines()
    filled = [head, *(row.replace(";500;;;;", ";500;worn;scrap;stop;") for row in rows)]
    out.write_text("\r\n".join(filled), encoding="utf-8-sig")
    assert "6 rows" in invoke("alarms", "import", out, "--config", config)
    asset = load(config).settings.of_asset("r2")
    assert rationale(asset, "sensor").action == "stop"
    assert "of all 2 assets" in finding(config)


@pytest.mark.parametrize("first", ["export", "import"])
def test_the_first_table_of_a_plant_is_made_by_command(tmp_path: Path, first: str) -> None:
    """Where the file names a table already that nobody has written: what runs still wants it."""
    config, target = plant(tmp_path), tmp_path / "alarms.csv"
    with pytest.raises(ConfigError, match="make it with andon alarms export"):
        load(config)
    if first == "export":
        assert "2 assets" in invoke("alarms", "export", config, "-o", target)
    else:
        filled = tmp_path / "filled.csv"
        filled.write_text(f"{HEAD}\nr1,process,,1,,worn,scrap,stop,15\n", encoding="utf-8")
        assert "1 rows" in invoke("alarms", "import", filled, "--config", config)
        assert rationale(load(config).settings.of_asset("r1"), "process").action == "stop"
    assert target.exists()
    load(config)


def test_assets_that_lack_the_same_are_named_together(tmp_path: Path) -> None:
    """So that a plant of which nothing is known yet fills a line, and no page; 20 are named."""
    assets = [{"id": f"m{i:02d}"} for i in range(25)] + [{"id": "other", "cause": "worn"}]
    said = finding(settings(tmp_path, asset=assets))
    assert said.count("process (cause, consequence, action)") == 1
    assert "m18, m19 and 5 more assets: process (" in said
    assert "; other: process (consequence, action); sensor" in said
    assert "m20" not in said


def finding(config: Path) -> str:
    """What `andon check` says of it."""
    shown = io.StringIO()
    check_file(config, console=Console(file=shown, width=500))
    return next(one for one in shown.getvalue().splitlines() if "rationalisation " in one)


@pytest.mark.parametrize(
    ("row", "expected"),
    [("r3,", "no asset 'r3'; known are r1, r2"), ("r1,,amps", "r1 has no channel 'amps'")],
)
def test_what_is_not_there_is_refused_and_changes_nothing(
    tmp_path: Path, row: str, expected: str
) -> None:
    """A typing error would keep an alert off the list for ever."""
    config = plant(tmp_path)
    kept = tmp_path / "alarms.csv"
    kept.write_text(f"{HEAD}\n", encoding="utf-8")
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(f"asset,track,channel\n{row}{',' * (2 - row.count(','))}\n", encoding="utf-8")
    done = CliRunner().invoke(andon.app, ["alarms", "import", str(wrong), "--config", str(config)])
    assert isinstance(done.exception, ConfigError)
    assert expected in str(done.exception)
    assert kept.read_text(encoding="utf-8") == f"{HEAD}\n"
