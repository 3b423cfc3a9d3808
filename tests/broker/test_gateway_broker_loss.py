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
    from tests.broker.gateways import GatewayProcess, Subscriber


def retained(heard: Subscriber) -> dict[str, bytes]:
    """The last word on each alert and job topic."""
    kinds = ("alert", "job")
    return {message.topic: message.payload for message in heard.all() if message.kind in kinds}


def all_heard(heard: Subscriber) -> list[tuple[str, bytes]]:
    """Topics and payloads in order."""
    return [(message.topic, message.payload) for message in heard.all()]


def last_words(gateway: GatewayProcess) -> dict[str, bytes]:
    """What must stand on each topic of an alert."""
    return {topic: payload for topic, *_, payload in gateway.outbox() if "/alert/" in topic}


def test_a_broker_that_forgot_everything_is_told_again(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A dashboard that connects afterwards sees the alert that rings, byte for byte."""
    with cell.gateway(mosquitto, tmp_path / "state") as gateway:
        with listener(mosquitto, tmp_path / "before") as heard:
            gateway.start()
            online(heard, gateway)
            publish(mosquitto.port, cell.messages[: cell.opening + 2])
            wait_until(
                lambda: any(event.body["explained"] for event in heard.of("event")),
                what="the explanation, after which nothing comes",
            )
            wait_until(lambda: not gateway.outbox(delivered=False), what="all of it")
            last = {topic: payload for topic, *_, payload in gateway.outbox()}
            wait_until(lambda: last.items() <= dict(all_heard(heard)).items(), what="it is heard")
            before = retained(heard)
        mosquitto.stop()
        mosquitto.forget()
        mosquitto.start()
        with listener(mosquitto, tmp_path / "after") as heard:
            online(heard, gateway)
            wait_until(lambda: retained(heard) == before, what="every last word", seconds_max=60)
            assert gateway.stop() == 0


def test_a_broker_that_was_killed_is_told_the_last_words_it_lost(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It still has our session and what it saved last: nothing tells us that it lost anything."""
    with cell.gateway(mosquitto, tmp_path / "state") as gateway:
        with listener(mosquitto, tmp_path / "before") as heard:
            gateway.start()
            online(heard, gateway)
            mosquitto.stop()
            mosquitto.start()  # what it saved: our session, and no alert
            online(heard, gateway, times=2)
            publish(mosquitto.port, cell.messages[: cell.opening + 2])
            wait_until(lambda: last_words(gateway), what="the alert", seconds_max=60)
            wait_until(lambda: not gateway.outbox(delivered=False), what="all of it")
        mosquitto.kill()
        mosquitto.start()
        with listener(mosquitto, tmp_path / "after") as heard:
            wait_until(
                lambda: last_words(gateway).items() <= retained(heard).items(),
                what="every last word",
                seconds_max=60,
            )
            assert gateway.stop() == 0
