"""Passages follow the structure and keep their exact spans."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kb.reading.cleaning import clean
from kb.retrieval.chunk import TOKENS_MAX, markdown, plain, restructured, tokens_of

LINES = st.one_of(
    st.sampled_from(
        [
            "", "# Head", "## Sub head ##", "- item one", "2. second item", "| a | code |",
            "|---|---|", "| x \\| y | 12 |", "```", "Title", "=====", "text. More text! And?",
            "   ",
            "word " * 300, "x" * 3000,
        ]
    ),
    st.text(max_size=80),
)  # fmt: skip
TEXTS = st.lists(LINES, max_size=40).map("\n".join).map(clean)


@settings(max_examples=40)  # each is cut three times, and may be 40 lines long
@given(text=TEXTS)
def test_spans_are_exact_ordered_and_lose_no_word(text: str) -> None:
    """Every cutter gives trimmed spans in order, none overlapping, none over the cap."""
    for cut in (markdown, restructured, plain):
        spans = cut(text)
        ends = [0, *(span.end for span in spans)]
        for span, before in zip(spans, ends, strict=False):
            part = text[span.start : span.end]
            assert before <= span.start < span.end
            assert part == part.strip()
            assert tokens_of(part) <= TOKENS_MAX
    kept = "".join(text[s.start : s.end] for s in plain(text) if "|" not in text)
    if "|" not in text:
        assert "".join(kept.split()) == "".join(text.split())


def test_rows_of_a_troubleshooting_table_stand_alone_with_their_column_names() -> None:
    """A row is found by its column names too, and quoted verbatim."""
    text = "# Gas\n\n| symptom | cause |\n|---|---|\n| low flow | leak |\n| high flow | valve |\n"
    spans = markdown(text)
    assert [s.said for s in spans] == [
        "symptom: low flow; cause: leak",
        "symptom: high flow; cause: valve",
    ]
    assert text[spans[0].start : spans[0].end] == "| low flow | leak |"


def test_rows_of_other_tables_stay_together() -> None:
    """A table of limits is one passage with its header."""
    text = "| channel | L | H |\n|---|---|---|\n| flow | 1 | 2 |\n| pressure | 3 | 4 |"
    (span,) = markdown(text)
    assert text[span.start : span.end].startswith("| channel")
    assert span.said.endswith("| 3 | 4 |")


def test_headings_are_kept_apart() -> None:
    """A section names all headings above it; a heading of a higher level ends the lower ones."""
    spans = markdown("intro\n# A\none\n## B\ntwo\n# C\nthree\n```\n# no heading\n```")
    assert [s.section for s in spans] == ["", "A", "A > B", "C"]


def test_underlined_headings() -> None:
    """ReStructuredText nests headings by the order in which underlines first appear."""
    spans = restructured("Top\n===\none\n\nSub\n---\ntwo\n\nNext\n====\nthree")
    assert [s.section for s in spans] == ["Top", "Top > Sub", "Next"]
