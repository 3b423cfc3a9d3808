"""`andon kb propose-...`: tables for an engineer, and what the commands refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from typer.testing import CliRunner

import andon

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

CHANNELS: Final = "channel,unit,aliases,asset\nflow_a,l/min,gas flow,r1\ncurrent_a,A,,r2\n"
MANUAL: Final = """# Gas flow calibration

Instrument: gas_flow. It takes 20 minutes.

Gas flow is held. Two minutes after the end it is back within half a spread.

# Limits

Gas flow must not exceed 18 l/min.

| code | alarm | action |
|---|---|---|
| E7 | gas flow low | Open the valve |
"""


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """A folder with one manual, and a table of channels beside it."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "gas.md").write_text(MANUAL, encoding="utf-8")
    (tmp_path / "channels.csv").write_text(CHANNELS, encoding="utf-8")
    return tmp_path


def _called(plant: Path, command: str, *more: str) -> Result:
    docs, out = str(plant / "docs"), str(plant / "out.csv")
    return CliRunner().invoke(andon.app, ["kb", command, docs, "-o", out, *more])


def test_tables_are_proposed_for_each_asset(plant: Path) -> None:
    """A text of no asset is of all that are known; `--asset` names some."""
    known = ("--channels", str(plant / "channels.csv"))
    result = _called(plant, "propose-scope", *known)
    assert result.exit_code == 0, result.output
    assert "1 kinds of work proposed, 2 rows" in result.output
    lines = (plant / "out.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("calibration,r1,gas_flow,flow_a,0.5,20,120,,,gas.md@#")
    (plant / "out.csv").unlink()
    modes = plant / "modes.csv"
    result = _called(plant, "propose-limits", *known, "--asset", "r1", "--modes", str(modes))
    assert result.exit_code == 0, result.output
    lines = (plant / "out.csv").read_text(encoding="utf-8").splitlines()
    assert [line[: line.index(",gas.md")] for line in lines[1:]] == ["r1,flow_a,l/min,,,18,,,,"]
    assert "E7: gas flow low,,flow_a,,Open the valve,," in modes.read_text(encoding="utf-8")


def test_a_table_that_stands_is_not_written_over(plant: Path) -> None:
    """Somebody may have approved it."""
    (plant / "out.csv").write_text("mine", encoding="utf-8")
    for command in ("propose-scope", "propose-limits"):
        result = _called(plant, command, "--channels", str(plant / "channels.csv"))
        assert result.exit_code == 2
        assert (plant / "out.csv").read_text(encoding="utf-8") == "mine"


def test_without_channels_nothing_is_guessed(plant: Path) -> None:
    """The command says what it needs."""
    result = _called(plant, "propose-scope")
    assert result.exit_code == 2
    assert not (plant / "out.csv").exists()
    (plant / "channels.csv").write_text("channel,unit\nflow_a,l/min\n", encoding="utf-8")
    result = _called(plant, "propose-scope", "--channels", str(plant / "channels.csv"))
    assert result.exit_code == 2


def test_limits_that_contradict_each_other_are_told(plant: Path) -> None:
    """On the console, and in the rows."""
    (plant / "docs" / "other.md").write_text("# B\n\nGas flow must not exceed 16 l/min.\n")
    known = ("--channels", str(plant / "channels.csv"), "--asset", "r1")
    result = _called(plant, "propose-limits", *known)
    assert result.exit_code == 0, result.output
    assert "2 of them contradict each other" in result.output
    told = (plant / "out.csv").read_text(encoding="utf-8")
    assert "high 16 in other.md@#" in told
    assert "high 18 in gas.md@#" in told
