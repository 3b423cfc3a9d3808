"""What of a file of labels stands, what disagrees, and that a file grows by what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.assessment.label_words import (
    WITHDRAWN,
    WORDS,
    Label,
    agree,
    conflicts,
    counts,
    standing,
    undisputed,
)
from edge.assessment.labelled import Span, events_of
from edge.errors import RecordingError
from edge.labels.book import add_labels, read_labels

if TYPE_CHECKING:
    from pathlib import Path

LABELS = st.sampled_from([*WORDS, "worn", "leak"])


def label(**change: Any) -> Label:  # noqa: ANN401
    """One label, with what a test changes."""
    fields: dict[str, Any] = {
        "asset": "r1",
        "begin_ns": 100,
        "end_ns": 200,
        "label": "worn",
        "source": "table",
        "said_by": "ann",
    }
    return Label(**fields | change)


@st.composite
def drawn(draw: st.DrawFn) -> Label:
    """Any label of two assets, three people, and few times."""
    begin = draw(st.integers(0, 30))
    return label(
        asset=draw(st.sampled_from(["r1", "r2"])),
        begin_ns=begin,
        end_ns=begin + draw(st.integers(1, 12)),
        label=draw(LABELS),
        said_by=draw(st.sampled_from(["ann", "bob", ""])),
        reference=draw(st.sampled_from(["", "a 1", "a 2"])),
        recorded_at_ns=draw(st.integers(0, 3)),
    )


@given(first=LABELS, second=LABELS)
def test_agreement_is_symmetric_and_a_label_agrees_with_itself(first: str, second: str) -> None:
    """Who spoke first is no matter."""
    assert agree(first, second) == agree(second, first)
    assert agree(first, first)


@pytest.mark.parametrize(
    ("first", "second", "both_right"),
    [
        ("real", "worn", True),
        ("worn", "leak", False),
        ("nuisance", "expected", True),
        ("nuisance", "normal", True),
        ("expected", "normal", False),
        ("real", "nuisance", False),
        ("real", "sensor", False),
        ("real", "normal", False),
        ("sensor", "worn", False),
    ],
)
def test_what_can_both_be_right(first: str, second: str, *, both_right: bool) -> None:
    """The table of the documentation."""
    assert agree(first, second) is both_right


@given(st.lists(drawn(), max_size=14))
def test_conflicts_are_those_that_comparing_all_pairs_finds(labels: list[Label]) -> None:
    """The slow twin looks at every pair; what is undisputed has no conflict left."""
    stand = standing(labels)
    slow = {
        frozenset((one.label_id, other.label_id))
        for i, one in enumerate(stand)
        for other in stand[i + 1 :]
        if one.asset == other.asset
        and max(one.begin_ns, other.begin_ns) < min(one.end_ns, other.end_ns)
        and not agree(one.label, other.label)
    }
    found = conflicts(stand)
    assert {frozenset((c.first.label_id, c.second.label_id)) for c in found} == slow
    assert len(found) == len(slow)
    left, told = undisputed(labels)
    assert told == found
    assert conflicts(left) == []


@given(st.lists(drawn(), max_size=10))
def test_saying_all_of_it_again_changes_nothing(labels: list[Label]) -> None:
    """A file that holds each line twice says the same."""
    assert standing([*labels, *labels]) == standing(labels)


def test_a_later_word_of_the_same_person_counts_and_another_person_disagrees() -> None:
    """Ann changes her mind; Bob does not, and is listed against her."""
    before = label(reference="a 1", label="nuisance", recorded_at_ns=1)
    after = label(reference="a 1", label="worn", recorded_at_ns=2)
    bob = label(reference="a 1", label="nuisance", said_by="bob", recorded_at_ns=1)
    assert standing([after, before]) == [after]
    assert undisputed([before, after]) == ([after], [])
    left, told = undisputed([before, after, bob])
    assert left == []
    assert [{c.first.said_by, c.second.said_by} for c in told] == [{"ann", "bob"}]


def test_a_withdrawn_label_stands_no_more_and_the_rest_does() -> None:
    """Whatever the order of the lines."""
    wrong, good = label(), label(begin_ns=300, end_ns=400)
    gone = label(label=WITHDRAWN, source="person", reference=wrong.label_id)
    assert standing([wrong, good, gone]) == standing([gone, wrong, good]) == [good]
    assert counts([good]) == {"worn": {"r1": 1}}


def test_a_file_takes_each_label_once_wherever_it_was_read(tmp_path: Path) -> None:
    """The place is no part of what is said."""
    file = tmp_path / "deep" / "labels.jsonl"
    one, again = label(place="a.csv:2"), label(place="b.csv:7")
    assert add_labels(file, [one, again]) == [one]
    stored = file.read_bytes()
    assert add_labels(file, [again]) == []
    assert file.read_bytes() == stored
    add_labels(file, [label(label="leak")])
    assert file.read_bytes().startswith(stored)
    assert [one.label for one in read_labels(file)] == ["worn", "leak"]


@pytest.mark.parametrize("line", ['{"version": 2}\n', "{}\n", '{"asset": "r1"', "\xff\n"])
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str) -> None:
    """Also one that was not written to its end: it may be the one that withdraws."""
    file = tmp_path / "labels.jsonl"
    add_labels(file, [label()])
    with file.open("a", encoding="latin-1") as out:
        out.write(line)
    with pytest.raises(RecordingError, match=r"labels.jsonl:2: no label"):
        read_labels(file)
    with pytest.raises(RecordingError, match=r"labels.jsonl:2: no label"):
        add_labels(file, [label(label="leak")])


def test_what_several_people_said_of_one_event_is_one_event() -> None:
    """`real` joins the mode that somebody else named; alerts of nothing join each other."""
    said = [
        label(label="real", begin_ns=150, end_ns=250, said_by="bob"),
        label(label="worn"),
        label(label="worn", begin_ns=190, end_ns=230, said_by="cat"),
        label(label="nuisance", begin_ns=500, end_ns=600),
        label(label="expected", begin_ns=550, end_ns=650, said_by="bob"),
        label(asset="r9", label="worn"),
    ]
    span = Span(begin_ns=0, end_ns=1000, assets=frozenset({"r1"}))
    events, outside = events_of(undisputed(said)[0], [span])
    assert [(e.label, e.begin_ns, e.end_ns) for e in events] == [
        ("worn", 100, 230),
        ("nuisance", 500, 600),
    ]
    assert [one.asset for one in outside] == ["r9"]


@given(st.integers(1, 40))
def test_the_newest_third_of_a_class_is_held_back_but_never_all_of_it(count: int) -> None:
    """Of a single event none."""
    said = [label(begin_ns=1000 * i, end_ns=1000 * i + 10) for i in range(count)]
    span = Span(begin_ns=0, end_ns=10**9, assets=frozenset({"r1"}))
    events, _ = events_of(said, [span])
    held = [event.held for event in events]
    assert held == sorted(held)
    assert sum(held) == (0 if count == 1 else max(1, count // 3))
