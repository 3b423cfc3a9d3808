"""Lines of the log: each is JSON of one line, and none is held back without being counted."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import logs
from edge.logs import (
    BURST,
    EVENTS_MAX,
    HELD_BACK,
    OWN,
    PER_S,
    TELL_S,
    JsonLines,
    Limited,
    RateLimit,
)


class Rig:
    """A logger into memory, with a clock of its own."""

    def __init__(self, level: int = logging.DEBUG) -> None:
        self.now_s, self.stream = 0.0, io.StringIO()
        self.handler = Limited(self.stream, limit=RateLimit(lambda: self.now_s))
        self.handler.setFormatter(JsonLines())
        self.log = logging.Logger("andon.test", level)  # noqa: LOG001 - one that nothing else hears
        self.log.addHandler(self.handler)

    def lines(self) -> list[dict[str, Any]]:
        """Each line, read as JSON by the standard alone."""

        def never(word: str) -> None:
            raise AssertionError(word)

        return [
            json.loads(one, parse_constant=never) for one in self.stream.getvalue().splitlines()
        ]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    words=st.text(),
    fields=st.dictionaries(st.text() | st.sampled_from(sorted(OWN)), ANY_JSON, max_size=4),
)
def test_whatever_is_told_is_one_line_of_json(words: str, fields: dict[str, Any]) -> None:
    """Line ends, lone surrogates, NaN, bytes; no field takes the place of what a line needs."""
    rig = Rig()
    rig.log.warning("%s", words, extra={"fields": fields})
    (line,) = rig.lines()
    assert line["event"] == words
    assert line["level"] == "warning"
    assert line["ts"].endswith("Z")
    named = {f"{name}_" if name in OWN else name for name in fields}
    assert set(line) == {*named, "event", "level", "ts"}


def test_an_error_stands_in_its_line() -> None:
    """With its lines of code as one text."""
    rig = Rig()
    try:
        raise ValueError("a\nb")  # noqa: TRY301 - it is to be logged
    except ValueError:
        rig.log.exception("failed")
    (line,) = rig.lines()
    assert line["error"].endswith("ValueError: a\nb")


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_and_what_is_held_back_are_all(seed: int) -> None:
    """Bursts of some events over an hour: each is told whole, as lines and as numbers."""
    chance, rig = np.random.default_rng(seed), Rig()
    names = [f"event {i}" for i in range(4)]
    told = dict.fromkeys(names, 0)
    for _ in range(60):
        rig.now_s += float(chance.exponential(60.0))
        name, many = str(chance.choice(names)), int(chance.integers(1, 400))
        for _ in range(many):
            rig.log.info(name)
        told[name] += many
    rig.handler.close()
    found, shown = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for line in rig.lines():
        name, lines = (
            (line["of"], line["lines"]) if line["event"] == HELD_BACK else (line["event"], 1)
        )
        found[name] += lines
        shown[name] += line["event"] != HELD_BACK
    assert found == told
    assert sum(told.values()) > sum(shown.values()) > 0, "something was held back"
    assert all(count <= BURST + rig.now_s * PER_S for count in shown.values())


def test_a_seldom_event_is_not_held_back_by_a_frequent_one() -> None:
    """Each has room of its own; what is held back is told in a minute, by whatever comes next."""
    rig = Rig()
    for _ in range(BURST + 7):
        rig.log.info("often")
    rig.log.error("once")
    assert [line["event"] for line in rig.lines()] == ["often"] * BURST + ["once"]
    rig.now_s += TELL_S
    rig.log.error("again")
    *_, held, again = rig.lines()
    assert (held["event"], held["of"], held["lines"], held["in_s"]) == (
        HELD_BACK,
        "often",
        7,
        TELL_S,
    )
    assert held["level"] == "info"
    assert again["event"] == "again"


def test_texts_that_vary_are_told_apart_only_so_far() -> None:
    """Whoever puts names into the words cannot fill the memory; still every line is counted."""
    rig = Rig()
    for i in range(EVENTS_MAX + BURST + 9):
        rig.log.info(f"seen {i}")  # noqa: G004 - that is what is tried
    rig.handler.close()
    lines = rig.lines()
    assert len(lines) == EVENTS_MAX + BURST + 1
    assert lines[-1]["lines"] == 9


def test_the_configured_log_is_limited_and_ends_with_its_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a gateway sets it up."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.configure(level="info", as_json=True)
        for _ in range(BURST + 5):
            logging.getLogger("x").info("same")
        logs.configure(level="info", as_json=False)  # closes the one before
    finally:
        root.handlers[:], root.level = before, level
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == BURST + 1
    assert lines[-1]["event"] == HELD_BACK
