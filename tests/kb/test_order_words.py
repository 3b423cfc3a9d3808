"""Descriptions of orders: what speaks against an approval, and what every honest order says."""

from __future__ import annotations

import pytest

from kb.letters import clear, is_disguised
from kb.proposals.order_words import is_corrective, speaks_against


@pytest.mark.parametrize(
    "said",
    [
        "due to low flow", "because flow is too low", "terminated", "stopped",
        "superseded by WO-99", "duplicate of WO-3", "wait for parts", "draft", "tbc", "provisional",
        "maybe", "?", "test entry pls ignore", "other robot", "c a n c e l l e d", "\u0441ancelled",
        "c-a-n-c-e-l-l-e-d", "\uff43ancelled", "can\u200bcelled", "wegen Alarm", "fällt aus",
        "cancled", "postpond to friday", "on the back burner", "flow reads low", "wrong machine",
        "Entwurf", "awaiting gauge", "pushed to tomorrow", "owing to weak arc",
    ],
)  # fmt: skip
def test_words_against_an_approval(said: str) -> None:
    """Denied, put off, doubted, a fault behind it, letters that hide a word."""
    assert speaks_against(f"gas flow cal {said}")


@pytest.mark.parametrize(
    "said",
    [
        "gas flow calibration", "due for calibration", "calibration due",
        "annual cal, due to interval", "High pressure pump calibration",
        "cal of CO\u2082 flow meter 0-25 \u00b5l", "replace tip, 2 % wear",
        "Kalibrierung Gasfluss", "monthly PM: clean nozzle & change tip", "No. 3 nozzle cleaning",
        "clean coolant filter (open-air)", "planned stop", "function test e-stop",
        "Not-Halt Prüfung", "swap tip", "shunt check 10 m\u03a9", "cal w/ master, J.O.",
        "R 1 A V cal",
    ],
)  # fmt: skip
def test_words_of_honest_orders(said: str) -> None:
    """Usual preventive work keeps its approval."""
    assert not speaks_against(said)
    assert not is_corrective(said.replace("wear", ""))


def test_letters() -> None:
    """Blanks between letters are closed, compatible letters are one; units are no disguise."""
    assert clear("c a n c e l l e d") == "cancelled"
    assert clear("can\u200bcelled \uff21") == "cancelled A"
    assert clear("R 1 A V") == "R 1 A V"
    assert is_disguised("\u0430pproved")
    assert not is_disguised("\u03bcm k\u03a9 Prüfung \u043e\u0442\u043c\u0435\u043d\u0430")
