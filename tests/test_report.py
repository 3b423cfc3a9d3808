"""Reports are whole HTML files: what went in can be read out, and nothing else comes along."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from bs4 import BeautifulSoup
from defusedxml.ElementTree import fromstring
from hypothesis import example, given
from hypothesis import strategies as st

from andon.report import Page, Series, shown

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'too' </svg></table>"


def _read(page: Page) -> BeautifulSoup:
    return BeautifulSoup(page.html(), "html.parser")


def test_a_report_says_what_it_was_given(tmp_path: Path) -> None:
    """Title, text, cells and the figures of a chart stand in the file that was written."""
    page = Page("Retrieval", lead="Two sets.").heading("By set").note("Seed 1.").bullets(["one"])
    page.table(["set", "nDCG@10", "queries"], [["pump", 0.71256, 1200], ["mill", None, 3]])
    page.bars(
        ["pump", "mill"],
        [
            Series(name="hybrid", values=[0.71, 0.5], low=[0.6, None], high=[0.8, None]),
            Series(name="words", values=[None, 0.25]),
        ],
        title="nDCG by set",
    )
    page.write(tmp_path / "new" / "report.html")
    soup = BeautifulSoup((tmp_path / "new" / "report.html").read_text("utf-8"), "html.parser")
    assert soup.title is not None
    assert soup.title.string == "Retrieval"
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in soup.select("tbody tr")]
    assert rows == [["pump", "0.713", "1,200"], ["mill", "-", "3"]]
    texts = [t.get_text() for t in soup.select("svg text")]
    assert {"nDCG by set", "pump", "mill", "hybrid", "words", "0.71", "0.5", "0.25", "-"} <= {
        *texts
    }


def test_bars_are_as_long_as_their_values() -> None:
    """Twice the value is twice the length, and a whisker spans its interval."""
    page = Page("t").bars(
        ["a", "b", "c"], [Series(name="s", values=[1, 2, 4], low=[0, 1, 3], high=[2, 3, 5])],
        title="t",
    )  # fmt: skip
    soup = _read(page)
    lengths = [float(str(rect["width"])) for rect in soup.select("svg rect")]
    assert lengths == [pytest.approx(lengths[0] * n, abs=0.2) for n in (1, 2, 4)]
    whiskers = [
        float(str(line["x2"])) - float(str(line["x1"]))
        for line in soup.select('svg line[stroke="#111"]')
        if line["x1"] != line["x2"]
    ]
    assert whiskers == [pytest.approx(2 * lengths[0], abs=0.2)] * 3


def test_a_line_is_broken_where_a_value_is_absent() -> None:
    """Two stretches are two lines, and higher values stand higher."""
    values = [1.0, 2.0, None, 3.0, math.nan, 5.0]
    soup = _read(Page("t").lines(range(6), [Series(name="s", values=values)], title="t"))
    runs = [str(line["points"]).split() for line in soup.find_all("polyline")]
    assert [len(run) for run in runs] == [2, 1, 1]
    heights = [float(point.split(",")[1]) for run in runs for point in run]
    assert heights == sorted(heights, reverse=True)


def test_decades_are_as_wide_as_each_other_and_ticks_plain_numbers() -> None:
    """Ten times as much is the same step on both axes, and the measured sizes are the ticks."""
    series = [Series(name="s", values=[2_000.0, 200.0, None, 20.0, 2.0])]
    sizes = [1, 10, 100, 1_000, 10_000]
    page = Page("t").lines(
        sizes, series, title="t", x_name="assets", y_name="ns a value", decades=True
    )
    soup = _read(page)
    points = [
        [float(at) for at in point.split(",")]
        for line in soup.find_all("polyline")
        for point in str(line["points"]).split()
    ]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points)]
    (right, down) = steps[0]
    assert right > 50
    assert down > 20
    for step, times in zip(steps, (1, 2, 1), strict=True):
        assert step[0] == pytest.approx(times * right, abs=0.2)
        assert step[1] == pytest.approx(down, abs=0.2)
    texts = [t.get_text() for t in soup.select("svg text")]
    assert {"1", "10", "100", "1,000", "10,000", "assets", "ns a value"} <= {*texts}
    with pytest.raises(ValueError, match="begins above 0"):
        Page("t").lines([0, 1], [Series(name="s", values=[1, 2])], title="t", decades=True)


@given(values=st.lists(st.none() | st.floats(1e-9, 1e12), min_size=1, max_size=5))
def test_a_logarithmic_axis_holds_whatever_is_above_nothing(values: list[float | None]) -> None:
    """No point stands outside the picture, and there are ticks, but not many."""
    page = Page("t").lines(
        [2**i for i in range(len(values))],
        [Series(name="s", values=values)],
        title="t",
        decades=True,
    )
    soup = _read(page)
    _, _, width, height = map(float, str(soup.find_all("svg")[0]["viewbox"]).split())
    for dot in soup.find_all("circle"):
        assert 0 < float(str(dot["cx"])) < width
        assert 40 < float(str(dot["cy"])) < height - 40
    assert 2 <= len(soup.select('svg line[stroke="#ddd"]')) <= 24


def test_words_of_a_table_are_not_broken_and_long_names_at_their_joints() -> None:
    """A ratio in two lines is read as two numbers; what was written is read back."""
    soup = _read(Page("t").table(["ratio"], [["0.144"], ["mlp_hop1"], ["0a1b" * 16]]))
    assert [cell.get("class") for cell in soup.find_all(["th", "td"])] == [
        ["whole"], ["whole"], ["whole"], None,
    ]  # fmt: skip
    assert str(soup.find_all("td")[1]).count("<wbr") == 1
    assert soup.find_all("td")[1].get_text() == "mlp_hop1"


def test_text_is_escaped_everywhere() -> None:
    """Whatever text says, no element comes of it, and it is read back as it was."""
    page = Page(HOSTILE, lead=HOSTILE).heading(HOSTILE).note(HOSTILE).bullets([HOSTILE])
    page.table([HOSTILE], [[HOSTILE]], caption=HOSTILE)
    one = [Series(name=HOSTILE, values=[1.0]), Series(name="b", values=[2.0])]
    page.bars([HOSTILE], one, title=HOSTILE)
    page.lines([0.0], one, title=HOSTILE, x_name=HOSTILE, y_name=HOSTILE)
    soup = _read(page)
    assert not soup.find_all("script")
    for tag in ("title", "h1", "h2", "p", "li", "th", "td", "caption"):
        found = soup.find(tag)
        assert found is not None
        assert found.get_text() == HOSTILE


def test_nothing_is_fetched_and_nothing_runs() -> None:
    """No address but the name of SVG's own vocabulary, no script, no event."""
    html = Page("t").bars(["a"], [Series(name="s", values=[1])], title="t").html()
    assert set(re.findall(r"https?://[^\"' ]+", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<script|<link|<img|\bon\w+=|url\(|@import", html)


@given(
    values=st.lists(
        st.none() | st.floats(-1e9, 1e9) | st.just(math.nan) | st.just(math.inf), max_size=6
    ),
    name=st.text(
        st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"),
        max_size=60,
    ),
)
@example(values=[5e-324], name="")
@example(values=[1e9, 1e9 + 2e-7], name="")
def test_any_values_give_well_formed_charts(values: list[float | None], name: str) -> None:
    """Also none at all, equal ones, and those that are absent; no coordinate is NaN."""
    series = [Series(name=name, values=values), Series(name=name, values=values)]
    page = Page(name).bars([name] * len(values), series, title=name)
    page.lines([float(i) for i in range(len(values))], series, title=name)
    for svg in re.findall(r"<svg.*?</svg>", page.html(), re.DOTALL):
        fromstring(svg)
        assert not re.search(r'="-?(?:nan|inf)"', svg)


def test_what_does_not_fit_together_is_refused() -> None:
    """A cell too few or a value too many would shift the rest."""
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        Page("t").table(["a", "b"], [[1]])
    with pytest.raises(ValueError, match="s: 2 values for 1 places"):
        Page("t").bars(["a"], [Series(name="s", values=[1, 2])], title="t")
    with pytest.raises(ValueError, match="s: 1 high for 2 places"):
        Page("t").lines([0, 1], [Series(name="s", values=[1, 2], low=[0, 0], high=[1])], title="t")


def test_figures_are_written_for_readers() -> None:
    """Thousands apart, three decimals at most, words for yes and no."""
    given_ = (True, 1234567, 0.5, 12345.6, 0.12345, None, math.nan, "x")
    assert [shown(value) for value in given_] == [
        "yes", "1,234,567", "0.5", "12,346", "0.123", "-", "-", "x",
    ]  # fmt: skip
