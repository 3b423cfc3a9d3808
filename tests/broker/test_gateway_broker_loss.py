"""A broker that comes back without its store: what is retained stands there again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.broker.cells import listener
from tests.broker.gateways import online, publish
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto
    from tests.broker.gateways import Subscriber


def retained(heard: Subscriber) -> dict[str, bytes]:
    """The last word on each alert and job topic."""
    kinds = ("alert", "job")
    return {message.topic: message.payload for message in heard.all() if message.kind in kinds}


def test_a_broker_that_forgot_everything_is_told_again(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A dashboard that connects afterwards sees the alert that rings, byte for byte."""
    with cell.gateway(mosquitto, tmp_path / "state") as gateway:
        with listener(mosquitto, tmp_path / "before") as heard:
            gateway.start()
            online(heard, gateway)
            publish(mosquitto.port, cell.messages[: cell.opening + 2])
            wait_until(lambda: gateway.outbox(delivered=True), what="the alert")
            wait_until(lambda: not gateway.outbox(delivered=False), what="all of it")
            wait_until(lambda: any(m.kind == "alert" for m in heard.all()), what="it is heard")
            before = retained(heard)
        mosquitto.stop()
        mosquitto.forget()
        mosquitto.start()
        with listener(mosquitto, tmp_path / "after") as heard:
            online(heard, gateway)
            wait_until(lambda: retained(heard) == before, what="every last word", seconds_max=20)
            assert gateway.stop() == 0
