"""What a broker retains on our alert topics may be of anybody: it ends and moves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from edge.caps import ALERT_ID_CHARS_MAX
from edge.gateway.read_back import PORTION, REVISION_MAX, WAIT_S_MAX, ReadBack, said
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
