"""Citations: spans that stand where they say, steps one by one, and text that hides nothing."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kb.retrieval.cite import (
    QUOTE_CHARS_MAX,
    cite,
    cite_words,
    holds,
    plain,
    says_what_to_do,
    steps_of,
)
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = ("DOC", "1", 7)
PROCEDURE = """\
Do this first:

1. Check in the job.
2. Put the test meter on the cup
   and compare at 50 percent.
3) Take it off.

A closing word.
"""
TABLE = """\
| symptom | channel | cause | check first |
|---|---|---|---|
| Flow low | Flow | Filter clogged | Inlet filter, then the gauge |
| Flow high | Flow | Leak | - |
"""


def quotes(text: str, start: int = 0, end: int | None = None, *, listed: bool = True) -> list[str]:
    """What the steps of a stretch say."""
    end = len(text.rstrip()) if end is None else end
    return [one.quote for one in steps_of(text, start, end, listed=listed, source=SOURCE)]


def test_numbered_items_are_steps_without_their_marks() -> None:
    """An item goes on over its line, and ends at an empty one."""
    said = quotes(PROCEDURE, listed=False)
    assert said == [
        "Check in the job.",
        "Put the test meter on the cup\n   and compare at 50 percent.",
        "Take it off.",
    ]


def test_bullets_are_steps_only_where_steps_are_promised() -> None:
    """A list of weights and sizes is nothing to do."""
    text = "- Weight 5 kg\n- Height 2 m\n"
    assert quotes(text, listed=False) == []
    assert quotes(text, listed=True) == ["Weight 5 kg", "Height 2 m"]
    assert says_what_to_do("Pump > Troubleshooting")
    assert not says_what_to_do("Pump > Technical data")


def test_a_row_gives_the_cell_below_its_column_of_checks() -> None:
    """And nothing where that cell is empty, or the row has lost its header."""
    rows = TABLE.splitlines(keepends=True)
    first = len(rows[0]) + len(rows[1])
    assert quotes(TABLE, first, first + len(rows[2]) - 1) == ["Inlet filter, then the gauge"]
    second = first + len(rows[2])
    assert quotes(TABLE, second, len(TABLE) - 1) == []
    assert quotes(rows[2], 0, len(rows[2]) - 1) == []


def test_a_row_with_other_cells_than_its_header_gives_nothing() -> None:
    """Which column a cell belongs to would be a guess."""
    text = "| symptom | check first |\n|---|---|\n| a | b | c |\n"
    start = text.rindex("| a")
    assert quotes(text, start, len(text) - 1) == []


@given(st.text(alphabet="ab 1.)-|\n*", max_size=400), st.data())
def test_every_step_stands_word_for_word_in_its_passage(text: str, data: st.DataObject) -> None:
    """Whatever the text: spans inside the passage, whole, capped, in order."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    at = start
    for one in steps_of(text, start, end, listed=True, source=SOURCE):
        assert at <= one.start < one.end <= end
        assert text[one.start : one.end] == one.quote
        assert holds(one)
        at = one.end


@given(st.text(max_size=600))
def test_plain_text_hides_nothing_and_stays_so(text: str) -> None:
    """One line, capped, no control, direction or zero-width marks; said twice, the same."""
    said = plain(text)
    assert len(said) <= QUOTE_CHARS_MAX
    assert not [c for c in said if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co"}]
    assert plain(said) == said


def test_a_changed_quote_does_not_hold() -> None:
    """One letter is enough."""
    one = cite("pressure low", 0, 8, doc_id="d", revision="1", chunk_id=1)
    assert holds(one)
    assert not holds(msgspec.structs.replace(one, quote="Pressure"))
    assert not holds(msgspec.structs.replace(one, end=9))


def test_words_of_a_row_are_cited_apart_where_they_stand() -> None:
    """The last of several, and nothing where the file writes them otherwise."""
    text = "a,b,look,look\n"
    whole = cite(text, 0, len(text) - 1, doc_id="d", revision="1", chunk_id=1)
    found = cite_words(text, 0, len(text), "look", whole=whole)
    assert found is not None
    assert [found.start, found.end, found.quote, found.doc_id] == [9, 13, "look", "d"]
    assert cite_words(text, 0, len(text), '"look"', whole=whole) is None
    assert cite_words(text, 0, len(text), "", whole=whole) is None


def test_an_action_behind_a_long_row_is_still_cited(tmp_path: Path) -> None:
    """A row of many channels does not fit into one quote; its action does."""
    channels = "; ".join(f"a channel with a long name {i}:any" for i in range(12))
    rows = f"mode,asset,channels,cause,action\ndrift,,{channels},Ageing,Read it by hand\n"
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "modes.csv").write_text(rows, encoding="utf-8")
    build(tmp_path / "texts", tmp_path / "kb", now_ns=10**18)
    with Snapshot.open(tmp_path / "kb") as snapshot:
        (mode,) = snapshot.failure_modes()
        assert "Read it" not in mode.citation.quote
        assert mode.advice is not None
        assert holds(mode.advice)
        text = snapshot.text(mode.advice.doc_id, mode.advice.revision)
        assert text[mode.advice.start : mode.advice.end] == "Read it by hand"
