"""Words search; syntax does not come through."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.retrieval import lexical

HOSTILE = (
    '"', '""', "' OR 1=1 --", "NEAR(a b)", "a AND", "NOT", "OR OR", "words:flow", "-flow", "fl*",
    "^flow",
    "{words}: x", "(", ")", "a + b", "\x00", 'flow" OR "x', "AND NOT flow",
    ";DROP TABLE passage", "%s",
)  # fmt: skip


def _connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute(lexical.CREATE)
    rows = [(1, "gas flow calibration"), (2, "calibrated wire feed"), (3, "contact tip")]
    connection.executemany(lexical.INSERT, [(i, "", body) for i, body in rows])
    return connection


@pytest.mark.parametrize("text", HOSTILE)
def test_syntax_of_the_query_language_is_only_text(text: str) -> None:
    """Strings that mean something to FTS5 neither fail nor change what is looked for."""
    found = lexical.search(_connection(), lexical.words_of([text]), among={1, 2, 3}, count=9)
    assert set(found) <= {1}  # only those with the word flow


@given(text=st.text(max_size=200))
def test_any_text_can_be_searched(text: str) -> None:
    """No text makes the search fail, and never more than twelve words are looked for."""
    words = lexical.words_of([text])
    assert len(words) <= lexical.TERMS_MAX
    lexical.search(_connection(), words, among={1, 2, 3}, count=9)


def test_stems_meet_and_stop_words_do_not() -> None:
    """`calibrating` finds both forms; words such as `the` find nothing."""
    connection = _connection()
    words = lexical.words_of(["the calibrating of"])
    assert words == ["calibrating"]
    assert set(lexical.search(connection, words, among={1, 2, 3}, count=9)) == {1, 2}
    assert lexical.search(connection, words, among={2}, count=9) == [2]
    assert lexical.search(connection, lexical.words_of(["the of"]), among={1}, count=9) == []


def test_pairs_tell_apart_what_single_words_cannot() -> None:
    """Directions belong to their own word; the opposite one is a contradiction."""
    pairs = lexical.pairs_of("CO2 Weld Flow too low; Pressure too low")
    right = lexical.agreement(pairs, "| Flow and pressure both too low | CO2 Weld Flow; Pressure |")
    leak = lexical.agreement(pairs, "| Flow too high, pressure too low | CO2 Weld Flow; Pressure |")
    assert (right, leak) == (1.0, -1.0)
    assert lexical.agreement(pairs, "| Flow drops, pressure falls | |") == 0.5
    assert lexical.agreement(pairs, "the spool is empty") == 0.0
    assert lexical.agreement(frozenset(), "flow too low") == 0.0


@given(text=st.text(max_size=200), other=st.text(max_size=200))
def test_agreement_is_bounded(text: str, other: str) -> None:
    """Whatever the texts, agreement lies between -1 and 1; a clause agrees with itself."""
    assert -1 <= lexical.agreement(lexical.pairs_of(text), other) <= 1
    assert lexical.agreement(lexical.pairs_of("feed too high"), "feed is too high") == 1


def test_stems_are_rough_but_keep_short_words_apart() -> None:
    """Plurals meet; gas, loss and low stay what they are."""
    stems = [lexical.stem(w) for w in ("flows", "gas", "loss", "low", "calibrated", "calibration")]
    assert stems == ["flow", "gas", "loss", "low", "calib", "calib"]


TEXT = (
    "flow flows flowing gas too low lower high rises loss the of Pressure pressures set_payload "
    "calibrated calibration tip; worn, . | up down : drops"
)
WORDS = st.sampled_from(TEXT.split())


@given(said=st.lists(WORDS, max_size=30), asked=st.lists(WORDS, max_size=8))
def test_shortcuts_say_what_the_long_way_says(said: list[str], asked: list[str]) -> None:
    """Stems that a text shares, and its agreement, are those of stemming every word of it."""
    text, query = " ".join(said), " ".join(asked)
    stems = lexical.stems_of(query)
    assert lexical.shared_stems(stems, text) == stems & lexical.stems_of(text)
    pairs = lexical.pairs_of(query)
    assert lexical.agreement(pairs, text) == _agreement_slowly(pairs, text)


def _agreement_slowly(pairs: frozenset[tuple[str, str]], text: str) -> float:
    clauses = [
        {lexical._sense(w) for w in lexical._WORD.findall(clause)}
        for clause in lexical._CLAUSE.split(text.lower())
    ]
    together = {(a, b) for clause in clauses for a in clause for b in clause}
    met = pairs & together
    against = {(a, b) for a, b in pairs - met if (a, lexical.OPPOSITE.get(b, "")) in together}
    if against:
        return -1.0
    return len(met) / len(pairs) if pairs else 0.0


def test_names_of_programs_are_found_by_their_words() -> None:
    """`set_payload` and `SetPayload` are a set and a payload; plain words stay as they are."""
    assert lexical.spread("set_payload SetPayload HTTPServer gas flow R1 CO2") == (
        "set payload Set Payload HTTP Server gas flow R1 CO2"
    )
    connection = _connection()
    connection.execute(lexical.INSERT, lexical.row(4, "", "call set_payload, or FreedriveMode"))
    for text in ("payload", "set_payload", "freedrive", "SetPayload"):
        assert lexical.search(connection, lexical.words_of([text]), among={4}, count=9) == [4]


def test_common_words_give_way_to_telling_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rarest words are looked for while there is time; two at least, however common."""
    connection = sqlite3.connect(":memory:")
    connection.execute(lexical.CREATE)
    bodies = ["pump seal" if i < 3 else "pump" for i in range(40)] + ["bearing pump", "grease"]
    connection.executemany(lexical.INSERT, [(i, "", body) for i, body in enumerate(bodies)])
    words = lexical.Words(connection)
    assert [words.frequency(w) for w in ("pump", "seal", "bearing", "x")] == [41, 3, 1, 0]
    everything = range(len(bodies))
    asked = ["pump", "seal", "bearing"]
    assert len(words.search(asked, among=everything, count=99)) == 41
    monkeypatch.setattr(lexical, "MATCHED_MAX", 10)
    assert set(words.search(asked, among=everything, count=99)) == {0, 1, 2, 40}
    assert len(words.search(["pump"], among=everything, count=99)) == 41


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("test", ("tests", "tested", "testing")),
        ("heat", ("heats", "heated", "heating")),
        ("weld", ("welds", "welded", "welding")),
        ("close", ("closes", "closed")),
        ("exceed", ("exceeds", "exceeded", "exceeding")),
        ("need", ("needs", "needed")),
        ("calibrate", ("calibrates", "calibrated", "calibrating")),
    ],
)
def test_forms_of_short_verbs_meet_too(word: str, forms: tuple[str, ...]) -> None:
    """A valve is tested by a valve test."""
    assert {lexical.stem(form) for form in forms} == {lexical.stem(word)}
