"""What a question asks for, and which sentences have it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.retrieval.questions import Asked, asked_by, holds, leans, subject_of

OFTEN = "How often is the filter changed?"
LONG = "how long does a wash take"
WHEN = "When is the canteen open?"
AMOUNT = "How many visitors may stay?"
STEPS = "How do I change the filter?"


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        (OFTEN, Asked.OFTEN),
        ("what is the service interval of the fan", Asked.OFTEN),
        ("Wie oft wird der Filter gewechselt?", Asked.OFTEN),
        (LONG, Asked.LONG),
        ("how many hours does a bulb last", Asked.LONG),
        (WHEN, Asked.WHEN),
        (AMOUNT, Asked.AMOUNT),
        ("what torque do the bolts get", Asked.AMOUNT),
        ("how hot may the oil get", Asked.AMOUNT),
        (STEPS, Asked.STEPS),
        ("how to bleed a brake", Asked.STEPS),
        ("steps for changing a nozzle", Asked.STEPS),
        ("how is the sensor calibrated", Asked.STEPS),
        ("How does the pump work?", Asked.OTHER),
        ("why is the flow low", Asked.OTHER),
        ("", Asked.OTHER),
    ],
)
def test_a_question_asks_for_one_thing(question: str, asked: Asked) -> None:
    """By its own words."""
    assert asked_by(question) is asked


@pytest.mark.parametrize(
    ("question", "has", "has_not"),
    [
        (OFTEN, "Change it every 500 hours.", "Turn the cap a quarter turn."),
        (OFTEN, "It is renewed once a year.", "It takes 12 minutes."),
        (OFTEN, "Interval: monthly.", "Duration: 12 to 40 minutes."),
        (OFTEN, "Once every second shift the tray is emptied.", "Write it down three times."),
        (LONG, "A wash lasts 12 to 40 minutes.", "It is done daily."),
        (LONG, "Visitors may stay until eight.", "It is back five minutes after the end."),
        (WHEN, "It opens at 11:30.", "The canteen is large."),
        (WHEN, "Call the guard as soon as it rings.", "Call the guard."),
        (AMOUNT, "At most two visitors may stay.", "Visitors may stay."),
    ],
)
def test_a_sentence_has_what_was_asked_for(question: str, has: str, has_not: str) -> None:
    """Or does not."""
    asked = asked_by(question)
    assert holds(asked, has) > 0
    assert holds(asked, has_not) == 0


def test_a_label_says_more() -> None:
    """A line of a data sheet is made for the question."""
    assert holds(Asked.OFTEN, "Interval: weekly.") > holds(Asked.OFTEN, "Look at it weekly.")


def test_asking_words_are_no_subject() -> None:
    """Only what it is about may count as known or unknown to the documents."""
    assert subject_of("how often is it cleaned").split() == ["is", "it", "cleaned"]
    assert "mean" not in subject_of("what does E12 mean?")
    assert "mean" in subject_of("what mean value is used")


def test_some_sentences_lean_on_others() -> None:
    """They go on from the one before, or point elsewhere."""
    assert leans("It is back after a minute.")
    assert leans("See Wire feeder.")
    assert not leans("Italian grease is used.")


@given(st.text(max_size=200))
def test_any_text_may_be_asked(text: str) -> None:
    """Nothing that somebody types breaks it."""
    assert 0.0 <= holds(asked_by(text), text) <= 1.0
    subject_of(text)
