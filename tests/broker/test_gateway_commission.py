"""From a configuration alone into service, over a real broker: learn, shadow, accept, ring."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from edge.records import CommissionTold
from edge.storage.journal import read_journal
from edge.wire.readings import encode_rows
from edge.wire.topics import CLOCK_TOPIC
from tests.broker.cells import listener
from tests.broker.gateways import GatewayProcess, newest_health, online
from tests.models.plants import plant
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.conftest import Mosquitto
    from tests.broker.gateways import Subscriber

BEGIN_MS: Final = 1_772_427_600_000
LEARN_ROWS: Final = 900
CONFIG: Final = """
site = "s"
clock = "plant"
[engine]
clear_samples = 5
[commissioning]
learn_minutes = 12
[[asset]]
id = "r1"
consequence = "scrap"
cause = "any"
action = "look"
units = { c0 = "bar", c1 = "bar", c2 = "bar", c3 = "bar" }
"""


class Plant:
    """What the plant sends, a row a second, as fast as it goes."""

    def __init__(self, port: int) -> None:
        self._port, self.row = port, 0
        self._values = plant(4000, seed=5)

    def run(self, rows: int, shift: float = 0.0) -> None:
        """Send some rows, shifted by so many standard deviations."""
        with Publisher(Endpoint(port=self._port)) as publisher:
            for _ in range(0, rows, 10):
                t_ns = [(BEGIN_MS + (self.row + i) * 1000) * 10**6 for i in range(10)]
                values = self._values[self.row : self.row + 10]
                values = values + shift * self._values.std(axis=0)
                self.row += 10
                for payload in encode_rows(
                    ["c0", "c1", "c2", "c3"], t_ns, values.tolist(), shape="columnar"
                ):
                    publisher.publish("plant/r1", payload)
                now = msgspec.json.encode({"ts": BEGIN_MS + self.row * 1000})
                publisher.publish(CLOCK_TOPIC, now)
            publisher.drain()


def stage(heard: Subscriber, wanted: str) -> Any:  # noqa: ANN401 - a decoded payload
    """Wait for a stage; returns what the topic said then."""
    wait_until(
        lambda: [m.body["stage"] for m in heard.of("commissioning")][-1:] == [wanted],
        what=wanted,
        seconds_max=60.0,
    )
    return heard.of("commissioning")[-1].body


def taken(heard: Subscriber, one: Plant) -> None:
    """Wait until the gateway has taken what was sent."""
    newest_health(
        heard,
        lambda h: h["plant_ms"] >= BEGIN_MS + one.row * 1000 and not h["outbox_pending"],
        what="what was sent",
    )


def accepted(gateway: GatewayProcess, config: Path) -> bool:
    """Let ann accept it; False: the newest checkpoint does not know it in the shadow yet."""
    command = [sys.executable, "-m", "andon", "accept", "--config", str(config), "--asset", "r1"]
    said = subprocess.run(
        [*command, "--by", "ann", "--because", "seen", "--yes"],
        env=gateway._environment,
        capture_output=True,
        check=False,
    )
    return said.returncode == 0


def test_from_nothing_into_service(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """No alert while it learns, engineers alone in the shadow, a ring after the word and a kill."""
    config = tmp_path / "gateway.toml"
    config.write_text(CONFIG, encoding="utf-8")
    often = {"ANDON__JOURNAL__CHECKPOINT_S": "1"}
    gateway = GatewayProcess(config, port=mosquitto.port, state=tmp_path / "state", **often)
    one = Plant(mosquitto.port)
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        one.run(400)
        one.run(20, shift=25.0)
        assert stage(heard, "LEARNING")["trouble"] == ""
        one.run(LEARN_ROWS - 420)
        told = stage(heard, "SHADOW")
        assert (told["stage_num"], told["by"]) == (1, "")
        assert not heard.of("event"), "zero alerts until calibrated"
        one.run(60)
        one.run(30, shift=25.0)
        taken(heard, one)
        shadow = [message.body for message in heard.of("event")]
        assert shadow
        assert {(e["shadow"], e["annunciate"], e["audience"]) for e in shadow} == {
            (1, 0, "engineer")
        }
        wait_until(lambda: accepted(gateway, config), what="its checkpoint, and the word")
        assert stage(heard, "IN_SERVICE")["by"] == "ann"
        one.run(60)
        gateway.kill()
        gateway.start()
        online(heard, gateway, times=2)
        one.run(60)
        one.run(30, shift=25.0)
        taken(heard, one)
        rang = heard.of("event")[-1].body
        assert (rang["shadow"], rang["annunciate"], rang["audience"]) == (0, 1, "operator")
        health = heard.of("health")[-1].body
        assert (health["learning"], health["in_shadow"]) == (0, 0)
        gateway.stop()
    entries = [entry.stimulus for entry in read_journal(tmp_path / "state" / "journal")]
    words = [one for one in entries if isinstance(one, CommissionTold)]
    assert words, "and told again at the start after the kill"
    assert {(word.what, word.asset, word.by) for word in words} == {("accepted", "r1", "ann")}
    audited = "".join(p.read_text("utf-8") for p in (tmp_path / "state" / "audit").rglob("*.jsonl"))
    assert audited.count('"what":"accepted"') == 1
