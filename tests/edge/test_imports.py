"""Exports of Kepware and Ignition: nothing is lost, nothing is guessed, what is written is read."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import andon
from edge.configuration.config import load
from edge.errors import ConfigError
from edge.imports.ignition import read_ignition, read_json
from edge.imports.kepware import decoded, read_kepware
from edge.imports.sorting import sorted_out
from edge.imports.tags import Level, Tag
from edge.imports.written import FILES
from edge.samples.decoders import Decoders
from edge.samples.sparkplug import Sparkplug
from edge.wire.topics import match_source
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from tests.edge.exports import BOUND, configured, folder, kepware, kepware_csv, opc, row

if TYPE_CHECKING:
    from pathlib import Path

    from edge.imports.tags import Export

PRESS = [
    row("Cell4.Press.PT_101", Eng_Units="bar", Scaling="Linear", Scaled_Low="0", Scaled_High="250",
        Clamp_High="1", Scaled_Data_Type="Double"),
    row("Cell4.Press.TT_102", "Word", Eng_Units="°C"),
    row("Cell4.Press.Running", "Boolean"),
    row("Cell4.Press.Mode", "Short"),
    row("Cell4.Press.Lot", "String"),
    row("Cell4.Press.Force[3]", "Float Array"),
    row("Cell4.Press.PT_101"),
    row("Reset.Cmd", "Float", Client_Access="WO"),
    row("Oil_temp", "Float"),
    row("Made", "Date"),
]  # fmt: skip


def whys(export: Export) -> dict[str, str]:
    """Why each tag was left out, by its name."""
    return {one.name: one.why for one in sorted_out(export).export.left_out}


def test_a_press_of_kepware(tmp_path: Path) -> None:
    """Numbers are channels, states are context, and the rest is told with its reason."""
    config = configured(kepware(PRESS), tmp_path)
    assets = {one.id: one for one in config.asset}
    press = assets["D1.Cell4.Press"]
    assert press.tags == {"PT_101": "PT_101", "TT_102": "TT_102"}
    assert press.units == {"PT_101": "bar", "TT_102": "°C"}
    assert {tag.tag: tag.role for tag in press.context} == {"Running": "info", "Mode": "info"}
    assert set(press.on_change) == {"PT_101", "TT_102"}
    assert assets["D1"].tags == {"Oil_temp": "Oil_temp"}
    assert assets["D1"].units == {}, "no unit is guessed"
    assert config.commissioning is not None
    assert config.commissioning.period_s == 0.5
    assert whys(kepware(PRESS)) == {
        "Cell4.Press.Lot": "a text",
        "Cell4.Press.Force[3]": "an array is not one number",
        "Cell4.Press.PT_101": "its name comes twice, before at line 2",
        "Reset.Cmd": "it can only be written",
        "Made": "a date",
    }
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    for name in ("Lot", r"Force\[3\]", "Cmd", "Made", r"Oil\_temp"):
        assert name in report
    assert "guess: degC" in report


def test_what_the_gateway_then_hears_is_the_assets(tmp_path: Path) -> None:
    """Ids of the IoT Gateway lead to the assets and tags of the tables."""
    config = configured(kepware(PRESS), tmp_path)
    payload = {
        "timestamp": 1_760_000_000_000,
        "values": [
            {"id": f"C.D1.{name}", "v": value, "q": True, "t": 1_760_000_000_000}
            for name, value in (("Cell4.Press.PT_101", 7.5), ("Oil_temp", 40))
        ],
    }
    match = match_source("iotgateway", config.source)
    assert match is not None
    heard = Decoders({}, sparkplug=Sparkplug({}, {}), points={}).take(
        json.dumps(payload).encode(),
        topic="iotgateway",
        source=match[0],
        asset=match[1],
        received_ns=10**18,
    )
    told = {(readings.asset, tag) for readings in heard for tag in readings.tags}
    assert told == {("D1.Cell4.Press", "PT_101"), ("D1", "Oil_temp")}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_kepware_in_other_countries(encoding: str, delimiter: str) -> None:
    """Encodings, separators and decimal commas; a comma elsewhere is told."""
    rows = [row("Öl.Temp", Eng_Units="°C", Scaling="Linear", Scaled_Low="-1,5", Clamp_Low="1")]
    content = kepware_csv(rows, delimiter=delimiter).encode(encoding)
    export = read_kepware(decoded(content, name="x"), name="x", device="D", topic="t")
    (tag,) = export.tags
    assert (tag.asset, tag.tag, tag.unit) == ("D.Öl", "Temp", "°C")
    if delimiter == ";":
        assert [level.value for level in tag.levels] == [-1.5]
    else:
        assert not tag.levels
        assert [one.why for one in export.remarks] == ["Scaled Low is '-1,5', and no number"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "it is empty"),
        ("a,b\n1,2\n", "line 1: expected the header"),
        ("Tag Name,Data Type\na,Float,x\n", "line 2: 3 cells"),
        ('Tag Name,Data Type\n"a,Float\n', "line 2"),
        ("Tag Name,Data Type\na\0,Float\n", "zero bytes"),
    ],
)
def test_a_broken_csv_says_where(text: str, where: str) -> None:
    """File and line."""
    with pytest.raises(ConfigError, match=where):
        read_kepware(text, name="x.csv", device="D", topic="t")


MOTOR = folder(
    "Motor",
    opc("Amps", engUnit="A", alarms=[{"name": "hi", "mode": "AboveValue", "setpointA": 30.0}]),
    opc("Speed", engUnit=BOUND),
    opc("Serial", "String"),
    kind="UdtType",
)
LINE = folder(
    "",
    folder("_types_", MOTOR),
    folder(
        "Plant2",
        folder(
            "Line3",
            folder(
                "Press",
                folder("M1", {"name": "Amps", "tagType": "AtomicTag", "enabled": False},
                       kind="UdtInstance", typeId="_types_/Motor"),
                folder("M2", kind="UdtInstance", typeId="[default]_types_/Motor"),
                folder("M3", {"name": "Amps", "tagType": "AtomicTag"},
                       kind="UdtInstance", typeId="Pump"),
                opc("Force", "Float8", engUnit="kN", engLow=-5, engHigh=400.0),
                opc("Running", "Boolean"),
                opc("Setting", valueSource="memory"),
                opc("Path", valueSource=BOUND),
            ),
            opc("Load", "Int4", engUnit="%"),
        ),
    ),
    kind="Provider",
)  # fmt: skip


def test_a_line_of_ignition(tmp_path: Path) -> None:
    """Types, overrides, states, nodes and devices."""
    export = read_ignition(LINE, name="x.json")
    config = configured(export, tmp_path)
    assets = {one.id: one for one in config.asset}
    assert set(assets) == {"Press", "Line3"}
    assert set(assets["Press"].tags) == {"M1/Speed", "M2/Amps", "M2/Speed", "Force"}
    assert assets["Press"].units == {"M2/Amps": "A", "Force": "kN"}
    assert [tag.tag for tag in assets["Press"].context] == ["Running"]
    assert {one.topic: one.asset for one in config.source} == {
        "spBv1.0/Plant2/+/Line3": "Line3",
        "spBv1.0/Plant2/+/Line3/{asset}": "",
    }
    left = whys(export)
    assert left["Plant2/Line3/Press/M1/Amps"] == "disabled"
    assert left["Plant2/Line3/Press/M2/Serial"] == "a text"
    assert "--types" in left["Plant2/Line3/Press/M3/Amps"]
    assert left["Plant2/Line3/Press/Setting"].startswith("a memory tag")
    assert left["Plant2/Line3/Press/Path"] == "`valueSource` is bound"
    assert left["_types_/Motor/Amps"] == "of a type, not of an instance"
    limits = {one["channel"]: one for one in sorted_out(export).limits}
    assert limits["M2/Amps"]["high"] == "30.0"
    assert (limits["Force"]["low"], limits["Force"]["high"]) == ("-5.0", "400.0")
    assert set(limits) == {"M2/Amps", "Force"}


def test_types_of_another_export_and_levels_that_folders_lack() -> None:
    """Definitions are a second export, and folders may begin lower."""
    press = folder("Press", folder("M2", kind="UdtInstance", typeId="Motor"))
    export = read_ignition(press, name="x", below="G/N", types=folder("_types_", MOTOR))
    assert {(tag.asset, tag.tag) for tag in export.tags} == {
        ("Press", "M2/Amps"),
        ("Press", "M2/Speed"),
    }
    export = read_ignition(press, name="x", root="Other", types=folder("_types_", MOTOR))
    assert {one.why for one in export.left_out if one.name.startswith("Press/M2/A")} == {
        "it is not below Other"
    }


def test_devices_of_one_name_get_ids_of_their_own(tmp_path: Path) -> None:
    """With the levels before them."""
    tree = folder(
        "", *(folder("G", folder(node, folder("Press", opc("P")))) for node in ("N1", "N2"))
    )
    config = configured(read_ignition(tree, name="x"), tmp_path)
    assert {one.asset: one.topic for one in config.source} == {
        "N1-Press": "spBv1.0/G/+/N1/Press",
        "N2-Press": "spBv1.0/G/+/N2/Press",
    }


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"tags": [\n', "line 2"),
        ("[1]", r"\$\.tags\[0\]"),
        ("3", r"\$"),
        ('{"tags": [{"name": "a", "tags": [{"nome": 1}]}]}', r"\$\.tags\[0\]\.tags\[0\]"),
        ('{"tags": [{"name": "a", "tags": 7}]}', r"\$\.tags\[0\]\.tags"),
        ("[" * 100_000, "x.json"),
    ],
)
def test_a_broken_tree_says_where(text: str, where: str) -> None:
    """File and JSON path."""
    with pytest.raises(ConfigError, match=where):
        read_ignition(read_json(text.encode(), name="x.json"), name="x.json")


def test_types_within_themselves_end() -> None:
    """A definition that is its own parent is not known."""
    loop = folder("A", folder("x", kind="UdtInstance", typeId="A"), kind="UdtType", typeId="A")
    tree = folder("", folder("_types_", loop), folder("i", kind="UdtInstance", typeId="A"))
    assert not read_ignition(tree, name="x").tags


def test_setpoints_become_levels_from_the_inside_outwards() -> None:
    """And alarms go before ranges."""

    def level(side: str, value: float, sure: float = 0.8) -> Level:
        return Level(side=side, value=value, why=f"{side} {value}", where="$", sure=sure)

    def limits(*levels: Level) -> tuple[dict[str, str], ...]:
        tag = Tag(where="$", name="t", asset="a", tag="t", unit="bar", levels=levels)
        export = read_ignition(folder("", opc("t")), name="x")
        sides = ("low_low", "low", "high", "high_high")
        found = sorted_out(type(export)(**{**_fields(export), "tags": (tag,)})).limits
        return tuple({key: one[key] for key in sides if key in one} for one in found)

    both = limits(level("high", 9), level("high", 7), level("low", 2), level("low", 1))
    assert both == ({"low_low": "1", "low": "2", "high": "7", "high_high": "9"},)
    assert limits(level("high", 9), level("high", 7, 0.3)) == ({"high": "9"},)
    assert limits(level("high", 1), level("low", 2)) == (), "low is not below high"


def _fields(export: Export) -> dict[str, Any]:
    return {name: getattr(export, name) for name in type(export).__dataclass_fields__}


def test_no_limit_counts_until_a_person_approves_it(tmp_path: Path) -> None:
    """The reader of the knowledge base refuses each row, and takes it once it is signed."""
    configured(read_ignition(LINE, name="x"), tmp_path / "out")
    texts = tmp_path / "docs"
    texts.mkdir()
    proposed = (tmp_path / "out" / "limits-proposed.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(proposed)))
    signed = {"approved_by": "A. Engineer", "approved_at": "2026-01-05T10:00:00Z"}
    counted: list[set[tuple[str, str, float | None]]] = []
    for more in ({}, signed):
        file = io.StringIO()
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([{**one, **more} for one in rows])
        (texts / "limits.csv").write_text(file.getvalue(), encoding="utf-8")
        out = tmp_path / f"snapshot{len(counted)}"
        build(texts, out, now_ns=10**18)
        with Snapshot.open(out) as snapshot:
            counted.append({(one.asset, one.channel, one.high) for one in snapshot.limits()})
    assert counted == [set(), {("Press", "M2/Amps", 30.0), ("Press", "Force", 400.0)}]


def test_the_command_writes_what_can_be_read(tmp_path: Path) -> None:
    """And keeps what is there."""
    export, out = tmp_path / "press.csv", tmp_path / "out"
    export.write_text(kepware_csv(PRESS), encoding="utf-8-sig")
    arguments = ["wire", "import", "kepware", str(export), "-o", str(out)]
    run = CliRunner().invoke
    assert "--device" in run(andon.app, arguments).output
    done = run(andon.app, [*arguments, "--device", "C.D1"])
    assert done.exit_code == 0, done.output
    assert "left out: 5 tags" in done.output
    assert {path.name for path in out.iterdir()} == set(FILES)
    again = run(andon.app, [*arguments, "--device", "C.D1"])
    assert isinstance(again.exception, ConfigError)
    assert "is there already" in str(again.exception)
    assert run(andon.app, [*arguments, "--device", "C.D1", "--force"]).exit_code == 0
    assert {one.id for one in load(out / "gateway.toml").asset} == {"D1.Cell4.Press", "D1"}


def test_an_export_without_numbers_writes_nothing(tmp_path: Path) -> None:
    """And says what it has."""
    export, out = tmp_path / "tags.json", tmp_path / "out"
    export.write_text(json.dumps(folder("G", opc("a", "String"))), encoding="utf-8")
    done = CliRunner().invoke(
        andon.app, ["wire", "import", "ignition", str(export), "-o", str(out)]
    )
    assert done.exit_code == 1
    assert "a text" in done.output
    assert not out.exists()
