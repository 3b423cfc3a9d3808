"""The page's picture: whatever order messages come in, and however often, it is the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge.page import board as board_module
from edge.page import spikes as spikes_module
from edge.page.board import Board
from edge.page.trends import POINTS_MAX
from edge.wire.outgoing import ScorePayload
from tests.page.said import (
    SHIFT_S,
    T0_MS,
    TOPICS,
    alert,
    event_of,
    health,
    jobs,
    message,
    picture,
    quiet,
)

if TYPE_CHECKING:
    import random

    import pytest

    from edge.page.picture import Picture
    from edge.wire.outgoing import AlertPayload

END = {"state": "CLEARED_UNACK", "active": 0}
OVER = {"state": "NORMAL", "active": 0, "suppressed": 0, "suppressed_or_shelved": 0}


def _story() -> list[tuple[str, bytes]]:
    """A shift of two assets: what rang, what was quiet, what was both, what came again."""
    told: list[AlertPayload] = [
        alert("r1", number=1),
        alert("r1", number=1, revision=2, score=9.0),
        alert("r1", number=1, revision=3, **END),
        alert("r1", number=1, revision=4, count=2),
        quiet("r2", number=2),
        quiet("r2", number=2, revision=2, **OVER),
        quiet("r2", number=5),
        alert("r2", number=5, revision=2),
        alert("r2", number=9),
    ]
    story = [message(one) for one in told] + [message(event_of(one)) for one in told]
    scores = [
        ScorePayload(asset="r1", ts_ms=T0_MS + i * 1_000, score=float(i), threshold=5.0)
        for i in range(5)
    ]
    return story + [message(one) for one in (*scores, jobs("r1", proposals=2), health())]


def _seen(shown: Picture) -> dict[str, object]:
    """Everything that a picture shows."""
    return {
        "rows": {key: msgspec.json.decode(body) for key, body in shown.board.rows().items()},
        "trend": msgspec.to_builtins(shown.trends.since("r1", 0)),
        "details": [shown.detail(f"{a}-process-{n}") for a, n in (("r1", 1), ("r2", 9))],
        "headline": msgspec.to_builtins(shown.spikes.headline()),
    }


@given(st.randoms(use_true_random=False), st.integers(1, 3))
def test_any_order_of_delivery_gives_the_same_picture(chance: random.Random, times: int) -> None:
    """Revisions may overtake each other, and come again after a reconnection."""
    told = picture()
    for topic, payload in _story():
        told.take(topic, payload)
    mixed, story = picture(), _story() * times
    chance.shuffle(story)
    for i, (topic, payload) in enumerate(story):
        mixed.take(topic, payload, generation=i % 3)
    assert _seen(mixed) == _seen(told)


def test_the_headline_counts_what_rang_and_what_records_kept_quiet() -> None:
    """Of five occurrences one stayed quiet; one was quiet first and rang all the same."""
    shown = picture()
    for topic, payload in _story():
        shown.take(topic, payload)
    headline = shown.spikes.headline()
    assert (headline.without, headline.with_, headline.quiet) == (5, 4, 2)


def test_what_is_retained_no_more_goes_after_a_reconnection() -> None:
    """An asset that was retired while the page was away is not shown for ever."""
    shown = picture()
    for one in (alert("r1"), alert("r2"), jobs("r2", proposals=1)):
        shown.take(*message(one), generation=1)
    shown.take(*message(alert("r1")), generation=2)
    shown.sweep(2)
    rows = shown.board.rows()
    assert "alert/r1/process" in rows
    assert not {"alert/r2/process", "job/r2"} & set(rows)


def test_an_empty_retained_message_takes_the_alert_off() -> None:
    """That is how a retired asset's topics are cleared."""
    shown = picture()
    topic, payload = message(alert("r1"))
    shown.take(topic, payload)
    shown.take(topic, b"")
    assert "alert/r1/process" not in shown.board.rows()


def test_another_shift_begins_with_nothing() -> None:
    """What rang before it stays listed while it stands, and counts for the shift before."""
    shown = picture()
    shown.take(*message(alert("r1")))
    shown.pass_to(T0_MS + SHIFT_S * 1_000)
    headline = shown.spikes.headline()
    assert (headline.without, headline.begin_ms) == (0, T0_MS + SHIFT_S * 1_000)
    assert "alert/r1/process" in shown.board.rows()
    assert not [key for key in shown.board.rows() if key.startswith("spike/")]


@given(
    st.binary(max_size=80), st.sampled_from(["alert/r1/process", "event/r1", "health", "job/r1"])
)
def test_what_cannot_be_read_is_counted_and_changes_nothing(payload: bytes, below: str) -> None:
    """Whoever writes on our topics does not break the page."""
    shown = picture()
    shown.take(*message(alert("r1")))
    before = _seen(shown)
    if payload:
        shown.take(f"{TOPICS.root}/{below}", payload)
        assert sum(shown.refused.values()) == 1
    assert _seen(shown) == before


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=60), st.data())
def test_changes_since_any_version_lead_to_what_stands(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    """A reader that takes changes at any times has the rows of one who is told everything."""
    board, held = Board(), dict[str, bytes]()
    version: int | None = None
    for key, value in steps:
        if value:
            board.put(str(key), str(value).encode())
        else:
            board.remove(str(key))
        if data.draw(st.booleans()):
            changes = board.since(version)
            held = dict(changes.rows) if changes.whole else held | changes.rows
            held = {name: body for name, body in held.items() if name not in changes.gone}
            version = changes.version
            assert held == board.rows()


def test_a_reader_that_was_away_for_too_long_gets_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Removals are remembered up to a bound, and what they were no reader has to guess."""
    monkeypatch.setattr(board_module, "GONE_MAX", 2)
    board = Board()
    for i in range(5):
        board.put(str(i), b"1")
    seen = board.version
    for i in range(4):
        board.remove(str(i))
    changes = board.since(seen)
    assert changes.whole
    assert changes.rows == {"4": b"1"}
    assert not board.since(board.version - 1).whole


def test_spikes_and_trends_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest spikes go, are counted, and leave the board too; a trend keeps its newest."""
    monkeypatch.setattr(spikes_module, "SPIKES_MAX", 3)
    shown = picture()
    for number in range(1, 6):
        shown.take(*message(alert("r1", number=number)))
    assert len(shown.spikes) == 3
    assert shown.spikes.headline().left_out == 2
    assert len([key for key in shown.board.rows() if key.startswith("spike/")]) == 3
    for i in range(POINTS_MAX + 50):
        said = ScorePayload(asset="r1", ts_ms=T0_MS + i, score=None, threshold=5.0)
        shown.take(*message(said))
    trend = shown.trends.since("r1", 0)
    assert len(trend.t_ms) == POINTS_MAX
    assert trend.t_ms[-1] == T0_MS + POINTS_MAX + 49
    assert trend.score[-1] is None
