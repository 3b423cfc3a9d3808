"""What a fence hears of its own box's former processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.boxes.identity import new_box
from tests.edge.test_fencing import TOPICS, Broker, Client, client

if TYPE_CHECKING:
    from pathlib import Path


def test_a_word_of_the_process_before_behind_our_own_is_no_copy(tmp_path: Path) -> None:
    """It comes twice on a slow line; and a broker that was killed may hold it once more."""
    broker = Broker()
    one = client(broker, tmp_path, new_box())
    one.connect()
    one.settle()
    before = broker.retained[TOPICS.fence]
    again, blind = Client(broker, one.state), Client(broker, one.state)
    again.connect()
    again.settle()
    again.fence.take(TOPICS.fence, before)
    again.turn()
    broker.retained[TOPICS.fence] = before
    again.connect()
    again.settle()
    assert again.fence.open
    # who was not let to hear it, and whose own word was lost with the connection
    del broker.retained[TOPICS.fence]
    blind.connect()
    blind.settle()
    broker.retained[TOPICS.fence] = before
    blind.connect()
    blind.settle()
    assert blind.fence.open
