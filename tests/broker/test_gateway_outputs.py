"""Outputs of a real gateway: what Home Assistant, Alertmanager and Prometheus get of one shift."""

from __future__ import annotations

import threading
import time
import urllib.request
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.brokers.rights import published_topics
from edge.configuration.config import load
from edge.outputs.home_assistant import BOOK
from edge.records import MessageReceived, Publish, TickDue
from tests.broker.conftest import free_port
from tests.broker.gateways import GatewayProcess, Subscriber, finished, online, publish
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto

ASSETS: Final = ("r1", "r2")


class Alertmanager:
    """A server that takes what Alertmanager takes; a context manager. `down`: it answers 503."""

    def __init__(self) -> None:
        self.port = free_port()
        self.posted: list[tuple[float, dict[str, Any]]] = []  # when it came, and what
        self.refused = 0
        self.down = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.refused += outer.down
                if not outer.down and self.path == "/api/v2/alerts":
                    outer.posted += [(time.time(), one) for one in msgspec.json.decode(body)]
                self.send_response(503 if outer.down else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def metrics(port: int) -> dict[str, list[Any]]:
    """Samples by name, as Prometheus reads them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    found: dict[str, list[Any]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def with_outputs(cell: Cell, folder: Path, text: str) -> Path:
    """The cell's settings with more in them; paths stay those of the cell."""
    config = cell.config.with_name(f"{folder.name}.toml")
    config.write_text(f"{cell.config.read_text(encoding='utf-8')}\n{text}", encoding="utf-8")
    return config


def rings_after(cell: Cell) -> int:
    """How many messages it takes until something rings, found without a broker."""
    engine = cell.assembly().engine
    for number, message in enumerate(cell.messages, start=1):
        stimulus = MessageReceived(
            topic=message.topic, payload=message.payload, received_ns=message.t_ns
        )
        effects = engine.handle(stimulus, now_ns=message.t_ns)
        effects += engine.handle(TickDue(), now_ns=message.t_ns)
        if any(b'"active":1' in e.payload for e in effects if isinstance(e, Publish) and e.key):
            return number
    pytest.fail("nothing rings in this cell; take another seed")


def test_what_rings_is_told_everywhere_and_ends_everywhere(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """One shift: discovery, CloudEvents, alerts that end, metrics; also while one of them fails."""
    port, ringing = free_port(), rings_after(cell)
    with Alertmanager() as receiver:
        config = with_outputs(
            cell,
            tmp_path,
            "[output.home_assistant]\n[output.cloudevents]\n"
            f"[output.alertmanager]\nurl = 'http://127.0.0.1:{receiver.port}'\nresend_s = 1.0\n"
            f"[output.prometheus]\nlisten = '127.0.0.1:{port}'\n",
        )
        gateway = GatewayProcess(config, port=mosquitto.port, state=tmp_path / "state")
        topics = ("andon/#", "homeassistant/#")
        with gateway, Subscriber(mosquitto.port, tmp_path / "heard", *topics) as heard:
            gateway.start()
            online(heard, gateway)
            publish(mosquitto.port, cell.messages[:ringing])
            wait_until(lambda: receiver.refused > 1, what="a request that is repeated")
            receiver.down = False
            wait_until(lambda: receiver.posted, what="what rings at Alertmanager")
            publish(mosquitto.port, cell.messages[ringing:])
            finished(heard, cell.end_ns)
            wait_until(lambda: _settled(heard, receiver), what="the last word at Alertmanager")
            _check_discovery(heard)
            _check_cloudevents(heard)
            _check_metrics(port, heard)
            assert gateway.stop() == 0
    said = {m.topic for m in heard.all() if m.topic.startswith("homeassistant/")}
    assert said <= set(published_topics(load(config), ASSETS))


def _settled(heard: Subscriber, receiver: Alertmanager) -> bool:
    """Whether what rings there is what rings on MQTT, and something that rang has ended."""
    last = {m.topic: m.body for m in heard.of("alert") if "/_" not in m.topic}
    rings = {(b["asset"], b["track"], b["severity"]) for b in last.values() if b["active"]}
    goes_on: dict[tuple[str, str, str], bool] = {}
    for received_s, one in list(receiver.posted):
        if (labels := one["labels"])["asset"] != "_gateway":
            key = labels["asset"], labels["track"], labels["severity"]
            ends_s = datetime.fromisoformat(one["endsAt"]).timestamp()
            goes_on[key] = ends_s > received_s + 1.0
    return not all(goes_on.values()) and {key for key, on in goes_on.items() if on} == rings


def _check_discovery(heard: Subscriber) -> None:
    entities = {m.topic: m.body for m in heard.all() if m.topic.startswith("homeassistant/")}
    problems = [e for e in entities.values() if e.get("device_class") == "problem"]
    said = {m.topic for m in heard.all()}
    for asset in ASSETS:
        assert len([one for one in entities if one.endswith(f"_{asset}/process/config")]) == 1
    assert {e["state_topic"] for e in problems} >= {
        m.topic for m in heard.of("alert") if "_group" not in m.topic
    }
    ids = [e["unique_id"] for e in entities.values()]
    assert len(ids) == len(set(ids))
    assert {e["availability_topic"] for e in problems} <= said


def _check_cloudevents(heard: Subscriber) -> None:
    events = {m.payload for m in heard.of("event")}
    told = [m.body for m in heard.of("cloudevent")]
    assert {msgspec.json.encode(one["data"]) for one in told} == {
        msgspec.json.encode(msgspec.json.decode(payload)) for payload in events
    }
    assert len({(one["source"], one["id"]) for one in told}) == len(events)
    assert {one["specversion"] for one in told} == {"1.0"}


def _check_metrics(port: int, heard: Subscriber) -> None:
    found = metrics(port)
    last = {m.topic: m.body for m in heard.of("alert") if "_gateway" not in m.topic}
    rings = {
        (s.labels["asset"], s.labels["track"]): s.value
        for s in found["andon_alert_active"]
        if s.labels["asset"] != "_gateway"
    }
    assert rings == {(b["asset"], b["track"]): b["active"] for b in last.values()}
    rung = {
        (s.labels["asset"], s.labels["track"]): s.value for s in found["andon_alert_rings_total"]
    }
    events = [m.body for m in heard.of("event")]
    most: dict[str, tuple[str, str, int]] = {}
    for event in events:
        _, _, before = most.get(event["id"], ("", "", 0))
        most[event["id"]] = event["asset"], event["track"], max(before, event["rings"])
    expected: dict[tuple[str, str], float] = dict.fromkeys(rung, 0.0)
    for asset, track, count in most.values():
        expected[asset, track] += count
    assert rung == expected
    assert found["andon_broker_connected"][0].value == 1
    assert found["andon_messages_total"][0].value > 0
    assert {s.labels["asset"] for s in found["andon_score"]} == set(ASSETS)
    failed = {s.labels["output"]: s.value for s in found["andon_output_failed_total"]}
    assert failed["alertmanager"] > 1
    assert failed["home_assistant"] == failed["cloudevents"] == failed["prometheus"] == 0


def test_entities_of_what_is_gone_are_cleared_by_the_next_start(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Also where the whole table left the file; then nothing of it is at the broker."""
    state = tmp_path / "state"
    config = with_outputs(cell, tmp_path, "[output.home_assistant]\n")
    with Subscriber(mosquitto.port, tmp_path / "heard", "andon/#", "homeassistant/#") as heard:

        def entities() -> dict[str, bytes]:
            return {m.topic: m.payload for m in heard.all() if m.topic.startswith("homea")}

        for number, file in enumerate((config, cell.config), start=1):
            with GatewayProcess(file, port=mosquitto.port, state=state) as gateway:
                gateway.start()
                online(heard, gateway, times=number)
                wait_until(
                    lambda: bool(entities()) and any(entities().values()) == (number == 1),  # noqa: B023 - asked now
                    what="entities" if number == 1 else "entities cleared",
                )
                assert gateway.stop() == 0
            assert (state / BOOK).is_file() == (number == 1)
    assert len(entities()) > 10
