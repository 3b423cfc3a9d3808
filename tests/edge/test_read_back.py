"""What a broker retains on our alert topics may be of anybody: it ends and moves nothing."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.alerts.alerts import AlertRecord, AlertState
from edge.alerts.inherited import inherit
from edge.brokers.read_back import PORTION, REVISION_MAX, WAIT_S_MAX, ReadBack, Word, said, word
from edge.caps import ALERT_ID_CHARS_MAX
from edge.records import AlertStands, Track
from tests.edge.test_app import KEYED, World, bundle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["bundle"]
ALERT: Final = KEYED[0]
HOSTILE: Final = {
    "deep": b'{"id":"x","revision":1,"y":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no UTF-8": b'{"id":"x\xff","revision":1}',
    "beyond SQLite": b'{"id":"x","revision":9223372036854775807}',
    "beyond msgpack": b'{"id":"x","revision":' + b"9" * 40 + b"}",
    "a long id": b'{"id":"' + b"x" * (ALERT_ID_CHARS_MAX + 1) + b'","revision":1}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_retained_payload_of_anybody_ends_no_gateway(
    kind: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts, alerts, and its own word follows, in numbers of its own."""
    world = World(tmp_path, bundle, monkeypatch)
    world.broker.retained[ALERT] = HOSTILE[kind]
    assert said(HOSTILE[kind]) is None
    assert world.live() == 0
    told = world.broker.last(ALERT)
    assert told["active"] == 1
    assert told["id"].startswith("r1-process-")
    assert told["revision"] < 100


@pytest.mark.parametrize("state", ["ACTIVE_UNACK", "CLEARED_UNACK", "ACTIVE_ACK", "NORMAL"])
def test_an_alert_that_nobody_has_seen_stays_to_be_seen(
    state: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process died with all that it knew of it: it is over for us, with its own times."""
    topic = ALERT.replace("process", "comms")
    world = World(tmp_path, bundle, monkeypatch)
    stood = {"id": "gone", "revision": 7, "state": state, "begin_ms": 3_000, "ts_ms": 9_000}
    world.broker.retained[topic] = msgspec.json.encode(stood)
    assert world.live() == 0
    told = world.broker.last(topic)
    assert (told["id"], told["begin_ms"], told["first_seen"]) == (
        "gone", 3_000, "1970-01-01T00:00:03.000Z"
    )  # fmt: skip
    assert told["ts_ms"] >= 9_000
    assert told["revision"] > 7
    assert told["active"] == 0
    assert told["state"] == ("CLEARED_UNACK" if state.endswith("UNACK") else "NORMAL")
    assert "Nothing is known of it any more" in told["message"]


def test_one_that_nobody_has_seen_takes_the_place_of_what_says_nothing_any_more() -> None:
    """And not of one that rings, is kept quiet, or waits to be seen."""
    for state, suppressed, later_ms in itertools.product(AlertState, (False, True), (-1, 1)):
        record = AlertRecord(asset="r1", track=Track.PROCESS, alert_id="ours", state=state)
        record.revision, record.suppressed, record.changed_ns = 4, suppressed, 50_000_000
        stands = AlertStands(
            asset="r1", track=Track.PROCESS, alert_id="gone", revision=9, unseen=True,
            changed_ms=50 + later_ms,
        )  # fmt: skip
        inherit(record, stands, t_ns=1)
        idle = state in (AlertState.NORMAL, AlertState.CLEARED_ACK) and not suppressed
        taken = idle and later_ms > 0
        assert record.alert_id == ("gone" if taken else "ours")
        assert record.revision == (9 if taken else 4)
        assert record.state is (AlertState.CLEARED_UNACK if taken else state)


def test_times_that_cannot_be_true_are_not_taken_over() -> None:
    """Whoever may write to the topic says them."""
    for body in (
        b'{"begin_ms":-1,"ts_ms":5,"state":"ACTIVE_UNACK"}',
        b'{"begin_ms":6,"ts_ms":5,"state":"ACTIVE_UNACK"}',
        b'{"begin_ms":6,"ts_ms":9000000000000000000,"state":"ACTIVE_UNACK"}',
    ):
        assert word(body) == Word(state="ACTIVE_UNACK")
    assert word(b'{"begin_ms":"x"}') == word(b"") == Word()


def test_no_time_is_taken_over_from_the_future() -> None:
    """Whoever says 2099 on the topic has us say no more than now; an earlier time stays its own."""
    now_ns, year_2099_ms = 1_760_000_000_000_000_000, 4_070_908_800_000
    for begin_ms, begin_ns in ((year_2099_ms - 5, now_ns), (3_000, 3_000_000_000)):
        record = AlertRecord(asset="r1", track=Track.PROCESS)
        stands = AlertStands(
            asset="r1", track=Track.PROCESS, alert_id="gone", revision=9, unseen=True,
            begin_ms=begin_ms, changed_ms=year_2099_ms,
        )  # fmt: skip
        assert inherit(record, stands, t_ns=now_ns)[0] == now_ns
        assert (record.alert_id, record.begin_ns, record.cleared_ns) == ("gone", begin_ns, now_ns)


def test_what_is_ours_is_read() -> None:
    """Up to revisions that we may reach, and no further."""
    assert said(b'{"id":"a","revision":3,"more":[]}') == ("a", 3)
    assert said(b'{"id":"a","revision":%d}' % REVISION_MAX) == ("a", REVISION_MAX)
    assert said(b'{"id":"a","revision":%d}' % (REVISION_MAX + 1)) is None
    assert said(b'{"id":"","revision":3}') is None
    assert said(b"") is None


class Silent:
    """A connection on which the first portions are answered and then no more."""

    def __init__(self, *, answers: int) -> None:
        self.connected, self.asked = True, ""
        self.subscribed: set[str] = set()
        self._answers = answers

    def ask(self, filters: Sequence[str]) -> None:
        """Subscribed, and perhaps answered."""
        self.subscribed |= set(filters)
        self._answers -= 1
        self.asked = "asked" if self._answers >= 0 else ""

    def leave(self, filters: Sequence[str]) -> None:
        """No longer subscribed."""
        self.subscribed -= set(filters)
        self.asked = "left"

    def own(self) -> list[tuple[str, bytes]]:
        """Nothing."""
        return []


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_who_is_not_answered_in_time_does_not_go_on_hearing_itself(answers: int) -> None:
    """The session lasts: what stays subscribed would come back as if the plant had sent it."""
    link = Silent(answers=answers)
    back = ReadBack(link, [f"p/s/alert/a{i}/+" for i in range(2 * PORTION)])
    turns = (back.turn(100.0 + i * WAIT_S_MAX / 10) for i in range(20))
    assert any(turns), "it does not wait for ever"
    assert back.late == (answers < 2)
    assert not link.subscribed
