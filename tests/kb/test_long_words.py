"""Words that no word of ours is near, however long: nobody makes every shorter one of them."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from kb.wording import wording

if TYPE_CHECKING:
    import pytest


def test_of_a_long_word_no_shorter_ones_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are as many as the square of its letters, each as long as it."""
    assert wording.meant("calibrationn") == wording.meant("calibration")
    made: list[str] = []
    shortened = wording._shortened

    def noted(word: str, letters: int) -> set[str]:
        made.append(word)
        return shortened(word, letters)

    monkeypatch.setattr(wording, "_shortened", noted)
    long = string.ascii_lowercase * 4
    assert wording.meant(long) == long
    assert made == []
    assert wording.meant("qualibrationnn") == "qualibrationnn"
    assert made == ["qualibrationnn"]


def test_the_longest_known_word_is_still_known_with_slips() -> None:
    """Letters put in make a word longer than any that is known."""
    word = max(wording._by_shortened(), key=len)
    slipped = f"{word[:4]}{word[3]}{word[4:8]}{word[7]}{word[8:]}"
    assert wording.meant(slipped) == wording.meant(word)
