"""Figures of retrieval: right by hand, floors on small and on public manuals, stable."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import andon
from kb.errors import KnowledgeError
from kb.evaluation import gauges
from kb.evaluation.evaluate import evaluate
from kb.evaluation.judgements import (
    Item,
    Judged,
    Place,
    folded_title,
    known_items,
    plain_title,
    read_judgements,
)
from kb.evaluation.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kb.evaluation.evaluate import Run

KEYS: Final = (
    "success_at_5", "ndcg_at_10", "mrr_at_10", "filtered_recall", "citations_resolved",
    "citation_precision", "citation_recall",
)  # fmt: skip
MANUALS: Final = {
    "pump.md": {
        "Bearing lubrication": "Grease the bearing of the pump every 500 hours with lithium grease."
        " Too much grease overheats the bearing, too little lets it seize within a week of work.",
        "Mechanical seal leakage": "A seal that leaks drips below the shaft. Stop the pump, let the"
        " pressure out of the casing, and fit a new seal with its spring facing the impeller.",
        "Cavitation noise": "Noise like gravel means cavitation: the suction pressure is too low."
        " Open the suction valve wholly and clean the strainer in front of the pump inlet.",
        "Overview": "This text is about pumps of the plant in general, and names who to call when"
        " something is unclear or missing, and where the other texts about pumps are kept.",
    },
    "mill.md": {
        "Spindle warm-up": "After a night the spindle has to warm up for fifteen minutes at 3000"
        " revolutions before the first part, or the parts come out too long by some hundredths.",
        "Coolant concentration": "Measure the concentration of the coolant each Monday with the"
        " refractometer, and keep it between six and eight per cent by adding emulsion.",
        "Tool length calibration": "Touch the tool length sensor with every new tool: the length is"
        " measured twice, and a difference over ten micrometres calls for a calibration.",
    },
    "press.md": {
        "Hydraulic oil temperature": "The hydraulic oil of the press stays below sixty degrees;"
        " above, check the cooler for dust, and the temperature sensor against a hand probe.",
        "Light curtain test": "Test the light curtain at the start of each shift: put the test rod"
        " in the beam, and the press has to stop. A curtain that fails is locked out at once.",
    },
}  # fmt: skip


def _write(place: Path) -> Path:
    place.mkdir()
    for name, sections in MANUALS.items():
        contents = "\n".join(f"- [{title}](#x)" for title in sections)
        body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
        title = name.removesuffix(".md").title()
        (place / name).write_text(f"# {title} manual\n\n{contents}\n\n{body}\n", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small manuals with a table of contents each."""
    return _write(tmp_path_factory.mktemp("manuals") / "texts")


@pytest.fixture(scope="module")
def trial(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The manuals without their titles."""
    with Trial.of(folder, tmp_path_factory.mktemp("trial"), titles=False) as opened:
        yield opened


def test_figures_of_a_ranking_by_hand() -> None:
    """Second of three with grade 2, fifth with grade 1."""
    grades = {"b": 2.0, "e": 1.0}
    ranked = ["a", "b", "c", "d", "e", "f"]
    assert gauges.success_at(ranked, grades, 5) == 1.0
    assert gauges.success_at(ranked, grades, 1) == 0.0
    assert gauges.reciprocal_rank_at(ranked, grades, 10) == 0.5
    ideal = 2.0 + 1.0 / math.log2(3)
    found = 2.0 / math.log2(3) + 1.0 / math.log2(6)
    assert gauges.ndcg_at(ranked, grades, 10) == pytest.approx(found / ideal)
    assert gauges.ndcg_at(ranked, {}, 10) == 0.0
    assert gauges.reciprocal_rank_at(ranked, {"x": 1.0}, 10) == 0.0


@given(
    ranked=st.permutations(list("abcdefgh")),
    grades=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3)),
)
def test_figures_are_bounded_and_the_best_order_is_best(
    ranked: list[str], grades: dict[str, int]
) -> None:
    """The gain of the ideal order is 1, and no order is above it."""
    value = gauges.ndcg_at(ranked, grades, 10)
    assert 0.0 <= value <= 1.0 + 1e-9
    best = sorted(ranked, key=lambda item: -grades.get(item, 0))
    relevant = any(grades.values())
    assert gauges.ndcg_at(best, grades, 10) == pytest.approx(1.0 if relevant else 0.0)
    assert gauges.success_at(ranked, grades, 8) == float(relevant)


def test_an_interval_holds_its_mean_and_tells_a_difference() -> None:
    """Of equal values it has no width; of a clear gain it stays above 0; the same each time."""
    same = gauges.interval([0.25] * 9)
    assert (same.low, same.mean, same.high) == (0.25, 0.25, 0.25)
    gain = np.random.default_rng(5).normal(0.3, 0.2, 200)
    found = gauges.interval(gain)
    assert 0.2 < found.low < found.mean < found.high < 0.4
    assert gauges.interval(gain) == found
    assert math.isnan(gauges.interval([]).mean)


def test_titles_are_asked_as_a_reader_says_them() -> None:
    """Numbers, links and asides go; a line of a contents is the title that it points to."""
    for heading, title in (
        ("A.1.2 Unix Installation", "Unix Installation"),
        ("3.1. Wire feed", "Wire feed"),
        ("[Gas supply](gas.md#top)", "Gas supply"),
        ("quit (`std_srvs/Trigger <http://x>`_)", "quit"),
        ("Use of ``ur_robot``", "Use of ur_robot"),
        ("24 V supply", "V supply"),
    ):
        assert plain_title(heading) == title
    for line in ("- [Wire feed](#wire-feed)", "* Wire feed", "3.1 Wire Feed ........ 12"):
        assert folded_title(line) == "wire feed"


def test_ambiguous_and_empty_titles_are_not_asked(trial: Trial) -> None:
    """Neither "Overview" nor a title that another one contains; each of the rest once."""
    asked = {one.query for one in known_items(trial.text_of())}
    named = {title for sections in MANUALS.values() for title in sections} - {"Overview"}
    assert asked - {"Pump manual", "Mill manual", "Press manual"} == named
    place = Place("a", ("Manual", "Gas filter"), 1)
    other = Place("a", ("Manual", "Gas filter change"), 2)
    text = "gas filter " * 20
    queries = [one.query for one in known_items({place: text, other: text})]
    assert queries == ["Gas filter change"]


def test_titles_and_contents_leave_the_index(trial: Trial) -> None:
    """No indexed text has a title as a line, and no passage is found by a title alone."""
    titles = {folded_title(title) for sections in MANUALS.values() for title in sections}
    for text in trial.text_of().values():
        assert not titles & {folded_title(line) for line in text.split("\n")}
    assert trial.ranked("Overview")["fts5"] == []


def test_passages_count_once_for_what_they_are_judged_by() -> None:
    """By documents, sections with what is below them, or passages; the narrowest first."""
    places = [Place("a", ("M", "S", "T"), 1), Place("a", ("M", "S"), 2), Place("b", ("M",), 3)]
    section = Judged(query="q", grades={Item("a", ("M", "S")): 1.0})
    assert section.items(places) == [Item("a", ("M", "S")), Item("b", ("M",))]
    document = Judged(query="q", grades={Item("b"): 1.0})
    assert document.items(places) == [Item("a"), Item("b")]
    passage = Judged(query="q", grades={Item("a", (), 2): 1.0})
    assert passage.items(places) == [Item("a", (), 1), Item("a", (), 2), Item("b", (), 3)]


def _check(run: Run, *, success: float, ndcg: float) -> None:
    found = run.evaluation
    assert found.success_at_5 >= success
    assert found.ndcg_at_10 >= ndcg
    assert found.filtered_recall == 1.0
    assert found.citations_resolved == 1.0
    assert found.citation_precision >= 0.95
    assert found.citation_recall >= 0.95


def test_small_manuals_reach_the_floors(folder: Path) -> None:
    """The same figures on each run, above the floors."""
    run = evaluate(folder)
    _check(run, success=0.85, ndcg=0.70)
    assert run.evaluation == evaluate(folder).evaluation


@pytest.mark.not_counted
def test_public_manuals_reach_the_floors(data_dir: Path) -> None:
    """Robot manuals; and the two rankings together find more than each by itself."""
    run = evaluate(data_dir / "text" / "ur_docs")
    _check(run, success=0.83, ndcg=0.70)
    singles = run.evaluation.singles
    hybrid = singles["hybrid"]["ndcg_at_10"].mean
    assert all(hybrid >= singles[way]["ndcg_at_10"].mean for way in ("fts5", "dense"))


QUESTIONS: Final = (
    '{"query": "how warm may the oil get", "relevant": ["press.md"]}\n\n'
    '{"query": "gravel", "relevant": [{"doc_id": "pump.md", "section": "cavitation noise"}]}\n'
    '{"query": "how much emulsion", "relevant": {"mill.md": 2, "pump.md": 0}}\n'
)


def test_questions_of_a_file_are_asked(folder: Path, tmp_path: Path) -> None:
    """Documents, sections and grades; then titles stay in the index."""
    file = tmp_path / "qrels.jsonl"
    file.write_text(QUESTIONS, encoding="utf-8")
    found = evaluate(folder, queries=file).evaluation
    assert (found.queries, found.queries_from, found.success_at_5) == (3, "qrels.jsonl", 1.0)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("nonsense", "line 1"),
        ('{"query": "x", "relevant": ["no.md"]}', "'no.md' is no document"),
        ('{"query": "x", "relevant": [17]}', "17 is no document and no passage"),
        ('{"query": "x", "relevant": []}', "nothing is relevant"),
        ('{"question": "x"}', "expected"),
        ('{"query": "x", "relevant": [{"doc_id": "pump.md", "section": "no"}]}', "0 sections"),
        ("", "no queries"),
    ],
)
def test_a_wrong_line_is_named(folder: Path, tmp_path: Path, line: str, cause: str) -> None:
    """With the file, the line, and what is wrong."""
    file = tmp_path / "qrels.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(KnowledgeError, match=cause):
        evaluate(folder, queries=file)


def test_a_folder_without_texts_says_so(tmp_path: Path) -> None:
    """Nothing to read is no figure of 0."""
    with pytest.raises(KnowledgeError, match="no passage"):
        evaluate(tmp_path)


def test_the_command_writes_json_alone_and_a_report(folder: Path, tmp_path: Path) -> None:
    """The keys that others read, and the same figures in the report."""
    html = tmp_path / "report.html"
    done = CliRunner().invoke(andon.app, ["kb", "eval", str(folder), "--json", "--html", str(html)])
    assert done.exit_code == 0, done.output
    body = msgspec.json.decode(done.stdout)
    assert all(0.0 <= body[key] <= 1.0 for key in KEYS)
    cells = [c.get_text() for c in BeautifulSoup(html.read_text("utf-8"), "html.parser")("td")]
    assert "words alone" in cells
    assert f"{body['ndcg_at_10']:.3f}".rstrip("0").rstrip(".") in cells
    shown = CliRunner().invoke(andon.app, ["kb", "eval", str(folder)])
    assert "sense alone" in shown.output


def test_judgements_name_documents_by_id_or_by_path(tmp_path: Path) -> None:
    """A path in the folder is what people have at hand; one that is not there is refused."""
    places = [Place("MAN-1", ("M",), 1)]
    file = tmp_path / "q.jsonl"
    for name in ("MAN-1", "manuals/pump.md"):
        file.write_text(f'{{"query": "q", "relevant": {{"{name}": 2}}}}\n', encoding="utf-8")
        judged = read_judgements(file, places, paths={"manuals/pump.md": "MAN-1"})
        assert judged[0].grades == {Item("MAN-1"): 2.0}
    with pytest.raises(KnowledgeError, match="no document"):
        read_judgements(file, places, paths={})
