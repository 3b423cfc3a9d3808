"""What fuzzing found in exports and on strange brokers, input by input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.configuration.config import load
from edge.discovery.judging import judged
from edge.discovery.observed import Observed
from edge.discovery.written import written as discovered
from edge.errors import ConfigError
from edge.imports.ignition import read_ignition, read_json
from edge.imports.kepware import decoded, read_kepware
from edge.imports.sorting import CITED_CHARS_MAX, sorted_out
from tests.edge.exports import configured, folder, kepware, kepware_csv, opc, row
from tests.fuzz.shapes import START

if TYPE_CHECKING:
    from pathlib import Path

    from edge.imports.tags import Export

LONG = "1" * 5_000
SCALED = {"Scaling": "Linear", "Scaled_High": "250", "Clamp_High": "1"}


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_a_cut_export_in_utf_16_is_refused_with_its_place(mark: bytes) -> None:
    """It ended the command with a trace."""
    half = "Tag Name\U0001f600".encode("utf-16-le" if mark == b"\xff\xfe" else "utf-16-be")[:-2]
    with pytest.raises(ConfigError, match=r"x\.csv, byte \d+: it begins as UTF-16"):
        decoded(mark + half, name="x.csv")


def test_a_unit_that_no_table_holds_is_told(tmp_path: Path) -> None:
    """A row of limits of more than 4,000 characters cannot be read; it ended the command."""
    export = kepware([row("A", Eng_Units=LONG, **SCALED), row("B", Eng_Units="bar", **SCALED)])
    config = configured(export, tmp_path)
    assert [one.units for one in config.asset] == [{"B": "bar"}]
    assert [one.why for one in export.remarks] == [
        "its unit has 5000 characters, at most 200 can be used"
    ]


def test_the_same_of_ignition(tmp_path: Path) -> None:
    """With one that cannot be printed."""
    tags = [opc("A", engUnit=LONG, engHigh=9.0), opc("B", engUnit="b\u2028r", engHigh=9.0)]
    export = read_ignition(folder("", folder("P", *tags)), name="x", below="G/N")
    configured(export, tmp_path)
    assert {one.name: one.why.partition(" has ")[2] for one in export.remarks} == {
        "P/A": "5000 characters, at most 200 can be used",
        "P/B": "characters that cannot be printed",
    }


def _ignition_of_long_names() -> Export:
    alarms = [{"name": "\ud800", "mode": "AboveValue", "setpointA": 3.0}]
    atom: Any = opc("A", engUnit="bar", alarms=alarms)
    motor = folder("m" * 3_990, atom, kind="UdtType")
    instance = {"name": "M1", "tagType": "UdtInstance", "typeId": "m" * 3_990}
    tree = folder("", folder("_types_", motor), folder("P", instance), kind="Provider")
    return read_ignition(read_json(json.dumps(tree).encode(), name="x"), name="x", below="G/N")


def _kepware_of_long_numbers() -> Export:
    told = {**SCALED, "Scaled_High": "0." + LONG, "Scaled_Low": "0", "Clamp_Low": "1"}
    text = kepware_csv([row("A", Eng_Units="bar", **told)])
    return read_kepware(text, name="x", device="D", topic="t")


@pytest.mark.parametrize("made", [_ignition_of_long_names, _kepware_of_long_numbers])
def test_where_a_limit_comes_from_fits_in_its_row(made: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """Names and numbers may be as long as a file; half of a character can be written nowhere."""
    imported = sorted_out(made())
    assert imported.limits
    for one in imported.limits:
        assert len(one["citation"]) <= CITED_CHARS_MAX
        assert len(one["quote"]) <= CITED_CHARS_MAX
    configured(made(), tmp_path)


@pytest.mark.parametrize("topic", ["{asset}/{asset}/x", "plant/{r1}", "a}/b"])
def test_a_topic_with_braces_is_left_out_and_told(topic: str, tmp_path: Path) -> None:
    """In a source they name levels: what was written could not be read."""
    observed = Observed(prefix="andon")
    for i in range(20):
        for one in (topic, "plant/r2"):
            observed.take(
                one, b'{"a": %d, "b": 2.5}' % i, received_ns=START + i * 10**9, retained=False
            )
    findings = judged(observed)
    path = tmp_path / "g.toml"
    path.write_text(
        discovered(findings, site="s", prefix="andon", mqtt={"host": "h"}, name="g.toml"), "utf-8"
    )
    assert [one.id for one in load(path, environment={}).asset] == ["r2"]
    assert any(topic in note and "left out" in note for note in findings.notes)
