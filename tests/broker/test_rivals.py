"""Two clients with one client id: seen as what it is, said once, and backed off from."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from edge.brokers import rivals
from edge.brokers.endpoint import Endpoint
from edge.brokers.link import Link
from edge.brokers.rivals import OVER_S, TAKEN_MIN, WITHIN_S, Rivals
from edge.gateway.faults import Faults
from edge.storage.outbox import Outbox
from edge.storage.patience import NoPatience
from edge.storage.standby import StandbyOutbox
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.broker.conftest import Mosquitto


def link_to(broker: Mosquitto) -> Link:
    """One of the two."""
    link = Link(
        Endpoint(port=broker.port, client_id="andon"),
        filters=["plant/#"],
        queue_messages_max=10,
        will=None,
        on_connected=lambda: None,
        wake=threading.Event(),
    )
    link.start()
    return link


def test_two_gateways_with_one_client_id_are_told_and_back_off(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both say it, with the id; a broker that is restarted meanwhile is not mistaken for it."""
    one, other = link_to(mosquitto), link_to(mosquitto)
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=NoPatience())
    try:
        wait_until(lambda: one.rival or other.rival, seconds_max=60, what="the quarrel")
        loser = one if one.rival else other
        told = {fault.name: fault.detail for fault in Faults().look(loser, outbox, checkpoint="")}
        assert "client_id 'andon'" in told["client_id_shared"]
        assert "second gateway" in told["client_id_shared"]
        assert loser._client._reconnect_min_delay == rivals.WAIT_S
        (other if loser is one else one).stop()
        monkeypatch.setattr(rivals, "OVER_S", 0.0)  # five minutes later
        assert not loser.rival
    finally:
        one.stop()
        other.stop()
        outbox.close()


def test_a_broker_that_is_restarted_is_no_rival(mosquitto: Mosquitto) -> None:
    """Its absence in between tells them apart, however often it happens."""
    link = link_to(mosquitto)
    for _ in range(TAKEN_MIN):
        wait_until(lambda: link.connected, what="the connection")
        mosquitto.stop()
        wait_until(lambda: link.cause.startswith("nothing listens"), what="its absence")
        mosquitto.start()
    assert not link.rival
    link.stop()


@given(
    steps=st.lists(st.tuples(st.floats(0.1, 2 * WITHIN_S), st.booleans()), max_size=40),
)
def test_a_quarrel_is_so_many_closings_in_so_short_a_time(steps: list[tuple[float, bool]]) -> None:
    """Against a slow twin that keeps everything."""
    found, now_s, history = Rivals(), 0.0, list[tuple[float, bool]]()
    seen: list[float] = []
    for wait_s, closed in steps:
        now_s += wait_s
        history.append((now_s, closed))
        if closed:
            found.closed(now_s)
            since = max((i + 1 for i, (_, was) in enumerate(history) if not was), default=0)
            run = [t for t, _ in history[since:]][-TAKEN_MIN:]
            many = len(run) == TAKEN_MIN and run[-1] - run[0] <= WITHIN_S
            if many or (seen and now_s - seen[-1] < OVER_S):
                seen.append(now_s)
        else:
            found.away()
        assert found.fighting(now_s) == bool(seen and now_s - seen[-1] < OVER_S)
