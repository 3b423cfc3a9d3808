"""Figures of `andon bench speed`: their units, what they mean, and when one is reached."""

from __future__ import annotations

import ast
import importlib
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from andon.speed_report import curve_rows
from benchmarks import speed
from benchmarks.speed import gateway, intake, sparkplug
from benchmarks.speed.figure import UNITS, Curve, Figure, Measured
from benchmarks.speed.machine import look
from benchmarks.speed.meanings import MEANINGS, WORDS, name_of
from benchmarks.speed.parts import IDS
from benchmarks.speed.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(speed.__file__).parent
PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def figure(called: str = "f", /, **told: object) -> Figure:
    """A figure with what is told of it."""
    given = {"id": called, "figure": 2.0, "unit": "values/s", "ratio": 0.5, "against": "x", **told}
    return msgspec.convert(given, Figure)


def made() -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Every place of the benchmark that makes a figure: its module, and what it is given."""
    for file in sorted(FOLDER.rglob("*.py")):
        where = ".".join(("benchmarks", "speed", *file.relative_to(FOLDER).with_suffix("").parts))
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Figure":
                yield where, {one.arg: one.value for one in node.keywords if one.arg}


def id_pattern(where: str, given: ast.expr) -> str | None:
    """The ids that such an expression gives, as a pattern; None: its caller says."""
    if isinstance(given, ast.Constant):
        return re.escape(str(given.value))
    if isinstance(given, ast.JoinedStr):
        return "".join(
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+"
            for part in given.values
        )
    found = getattr(importlib.import_module(where), ast.unparse(given), None)
    return None if found is None else re.escape(found)


def test_every_figure_with_a_target_is_owed_by_its_part() -> None:
    """So that a part which fails names it."""
    patterns = [
        id_pattern(where, given["id"])
        for where, given in made()
        if {"at_least", "at_most"} & set(given)
    ]
    known = [one for one in patterns if one is not None]
    assert len(known) > 10
    assert [one for one in known if not any(re.fullmatch(one, owed) for owed in IDS)] == []


def test_every_figure_that_is_owed_has_a_name_and_a_meaning() -> None:
    """For whoever has a plant; no meaning outlives its figure."""
    assert [one for one in IDS if not all(MEANINGS.get(one, ("", "")))] == []
    text = "".join(
        file.read_text("utf-8") for file in FOLDER.rglob("*.py") if file.stem != "meanings"
    )
    patterns = [id_pattern(where, given["id"]) for where, given in made()]
    named = [one for one in patterns if one is not None]
    gone = [
        one
        for one in MEANINGS
        if one not in IDS
        and f'"{one}"' not in text
        and not any(re.fullmatch(pattern, one) for pattern in named)
    ]
    assert gone == []


def test_a_rate_a_share_and_a_time_have_one_spelling_each() -> None:
    """Whoever reads the JSON need not know which part has told it."""
    told = {given["unit"].value for _, given in made() if isinstance(given["unit"], ast.Constant)}
    assert len(told) > 8
    assert told <= set(UNITS)
    assert all(isinstance(given["unit"], ast.Constant) for _, given in made())


def test_a_share_has_its_fraction_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Percent for people, a fraction of one core for whoever reads the ratio."""
    monkeypatch.setattr(sparkplug, "FORMS", ())
    monkeypatch.setattr(intake, "SHAPES", [one for one in intake.SHAPES if one.rows == 16])
    told = [one for one in intake.figures(rounds=1) if one.unit == "% of a core"]
    assert told
    assert all(one.ratio == pytest.approx(one.figure / 100) for one in told)
    assert {one.against for one in told} == {"one core"}
    assert not [
        given["id"]
        for _, given in made()
        if "%" in ast.unparse(given["unit"]) and "ratio" not in given
    ]


def test_json_has_null_where_nothing_stands_beside_a_figure() -> None:
    """Never NaN, which is no JSON."""
    told = Run(machine=look(), seconds=0.0, quick=True, figures=[figure(ratio=math.nan)])
    assert b'"ratio":null' in msgspec.json.encode(told.rows())


@pytest.mark.parametrize(
    ("told", "reached"),
    [
        ({}, None),
        ({"at_least": 0.5}, True),
        ({"at_least": 0.51}, False),
        ({"at_most": 0.5}, True),
        ({"at_most": 0.49}, False),
        ({"at_least": 1.0, "of_figure": True}, True),
        ({"at_least": 3.0, "ratio": float("nan")}, False),
        ({"at_most": 3.0, "ratio": float("nan"), "figure": float("nan")}, False),
        ({"at_most": 0.5, "eased": True}, False),
        ({"eased": True}, None),
    ],
)
def test_a_figure_is_reached_by_its_ratio_unless_it_is_told_otherwise(
    told: dict[str, object], reached: object
) -> None:
    """What could not be measured is not reached, nor what was measured under less."""
    assert figure(**told).reached is reached


@pytest.mark.parametrize(
    ("slower", "took", "dropped", "reached"),
    [
        (1, 0.99, {}, True),
        (4, 0.99, {}, False),
        (1, 0.90, {}, False),
        (1, 0.99, {"shed": 3}, False),
        (4, 0.30, {"shed": 3}, False),
    ],
)
def test_a_share_of_a_core_counts_at_the_full_rate_only(
    monkeypatch: pytest.MonkeyPatch,
    slower: int,
    took: float,
    dropped: dict[str, int],
    *,
    reached: bool,
) -> None:
    """A load that was not taken, or a quarter of it, shows what it cost and reaches nothing."""
    used = gateway.Used(
        share=0.1, parts={"scoring": 0.5}, slower=slower, reached=took, dropped=dropped
    )
    monkeypatch.setattr(gateway, "_all", lambda **_: [used] * len(gateway.WAYS))
    told = gateway.measure(quick=True)
    asked = [one for one in told if one.at_most is not None]
    assert [one.id for one in told if one not in asked] == ["ingest_single_value_qos1"]
    assert {one.reached for one in asked} == {reached}
    assert all(one.eased != reached for one in told)
    assert all(("1/4 of the rate" in one.note) == (slower == 4) for one in told)
    assert all(("not taken" in one.note) != reached for one in told)


@pytest.mark.parametrize("first", [1.0, 0.5])
def test_a_gateway_that_cannot_keep_up_is_measured_at_a_quarter(
    monkeypatch: pytest.MonkeyPatch, first: float
) -> None:
    """And at the full rate where it can."""
    asked = []

    def used_by(*_: object, slower: int = 1, **__: object) -> gateway.Used:
        asked.append(slower)
        took = first if slower == 1 else 1.0
        return gateway.Used(share=0.1, parts={}, slower=slower, reached=took, dropped={})

    monkeypatch.setattr(gateway, "used_by", used_by)
    used = gateway.kept_up(gateway.WAYS[0], seconds=1.0, warm_s=0.0)
    assert asked == ([1] if first == 1.0 else [1, 4])
    assert used.eased == (first < 1.0)


def test_a_figure_beside_another_ratio_is_held_against_its_own_target() -> None:
    """A share of what the core multiplies is no rate: 30 million values a second are asked for."""
    told = Run(machine=look(), seconds=0.0, quick=True)
    told.take(Measured(figures=[figure("default_1000_assets", figure=29.9, ratio=31.0)]))
    told.take(Measured(figures=[figure("default_1000_assets", figure=30.1, ratio=0.1)]))
    told.take(Measured(figures=[figure("lateness_p999", figure=5.1, ratio=2.0)]))
    assert [one.reached for one in told.figures] == [False, True, False]


def test_names_and_sizes_are_written_as_they_are_said() -> None:
    """One sample, one asset, whole assets; and each word of the page's list is used on it."""
    assert name_of("pca_1_asset_n1") == "principal components, 1 asset, 1 sample a call"
    assert name_of("default_1000_assets_n16") == "default detector, 1,000 assets, 16 samples a call"
    assert name_of("f") == "f"
    curve = Curve(title="c", x_name="assets", y_name="ns", x=(1.0, 1e4), series={"a": (1.0, 2.0)})
    assert [row[0] for row in curve_rows(curve)] == ["1", "10,000"]
    page = PAGE.read_text("utf-8")
    assert all(page.count(one) > 1 for word, _ in WORDS for one in word.split(", "))
    assert "1 assets" not in page
    assert "1 samples" not in page
