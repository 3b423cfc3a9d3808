"""`andon fit --limits`: a bundle before anything was recorded, or an error that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from typer.testing import CliRunner

import andon
from models.bundles.bundle import is_unfitted
from models.bundles.store import load, save
from tests.edge.rig import bundle

if TYPE_CHECKING:
    from pathlib import Path

LIMITS: Final = """\
asset,channel,unit,low_low,low,high,high_high,approved_by,approved_at
p1,Flow,l/min,8,10,16,,process engineer,2026-01-10T08:00:00Z
p1,Pressure,bar,,,,2.5,process engineer,2026-01-10T08:00:00Z
p2,Level,m,,1,3,,process engineer,2026-01-10T08:00:00Z
"""


def fit(tmp_path: Path, *more: str, limits: str = LIMITS, name: str = "limits.csv") -> str:
    """What the command says, or the error that it ends with; its code before it."""
    table = tmp_path / name
    table.write_text(limits, encoding="utf-8")
    told = ("fit", "--limits", str(table), "-o", str(tmp_path / "out"), *more)
    result = CliRunner().invoke(andon.app, [*told])
    return f"{result.exit_code} {result.output} {result.exception or ''}"


def test_a_table_of_limits_makes_a_bundle(tmp_path: Path) -> None:
    """Channels, units and what is usual come from the table; the rate from the command."""
    assert fit(tmp_path, "--period", "2").startswith("0 ")
    made = load(tmp_path / "out")
    first, second = made.assets
    assert [(c.name, c.unit) for c in first.channels] == [("Flow", "l/min"), ("Pressure", "bar")]
    assert [c.name for c in second.channels] == ["Level"]
    assert {m.period_ns for m in made.assets} == {2_000_000_000}
    assert all(is_unfitted(m.metrics) for m in made.assets)
    assert (first.usual_low[0], first.usual_high[1]) == (10.0, 2.5)


def test_assets_join_a_bundle_and_replace_nothing_that_was_learned(tmp_path: Path) -> None:
    """A learned detector is not thrown away by a table."""
    save(bundle(), tmp_path / "parent")
    into = ("--period", "1", "--into", str(tmp_path / "parent"))
    assert fit(tmp_path, *into).startswith("0 ")
    joined = load(tmp_path / "out")
    assert {m.asset for m in joined.assets} == {"p1", "p2", "r1", "r11"}
    assert joined.parent == bundle().sha256
    said = fit(tmp_path, *into, limits=LIMITS.replace("p2", "r1"))
    assert "r1 was learned already" in said


@pytest.mark.parametrize(
    ("more", "change", "expected"),
    [
        ((), ("", ""), "--period is 0 s"),
        (("--period", "nan"), ("", ""), "--period is nan s"),
        (("--period", "1", "--asset", "p1"), ("", ""), "learns nothing"),
        (("--period", "1"), ("16,,", "9,,"), "line 2: levels fall"),
        (("--period", "1"), ("bar,,,,2.5", "bar,,,,"), "line 3: no level is given"),
        (("--period", "1"), ("approved_by", "by"), "approved_by"),
        (("--period", "1"), (LIMITS.partition("\n")[2], ""), "propose-limits"),
    ],
)
def test_what_cannot_be_used_says_where_and_what_to_do(
    tmp_path: Path, more: tuple[str, ...], change: tuple[str, str], expected: str
) -> None:
    """And writes no bundle."""
    limits = LIMITS.replace(*change) if change[0] else LIMITS
    said = fit(tmp_path, *more, limits=limits)
    assert not said.startswith("0 ")
    assert expected in " ".join(said.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_a_recording_and_a_table_are_one_too_many_and_none_is_too_few(tmp_path: Path) -> None:
    """Each has its own way."""
    assert "one of the two" in " ".join(
        CliRunner().invoke(andon.app, ["fit", "-o", str(tmp_path / "out")]).output.split()
    )
