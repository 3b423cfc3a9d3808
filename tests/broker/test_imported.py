"""An import of Kepware in use: it passes the check, hears its IoT Gateway, learns and scores."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import msgspec
from typer.testing import CliRunner

import andon
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from edge.wire.topics import CLOCK_TOPIC
from tests.broker.cells import listener
from tests.broker.gateways import GatewayProcess, online
from tests.broker.test_gateway_commission import stage
from tests.edge.exports import kepware_csv, row
from tests.models.plants import plant
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

BEGIN_MS: Final = 1_772_427_600_000
TAGS: Final = ("PT_101", "TT_102", "FT_103", "LT_104")
LEARN_ROWS: Final = 900


class Gateway:
    """An IoT Gateway with its standard template: a message a second."""

    def __init__(self, port: int) -> None:
        self._port, self._row = port, 0
        self._values = plant(4000, seed=5)

    def run(self, rows: int, shift: float = 0.0) -> None:
        """Send some seconds, shifted by so many standard deviations."""
        scale = self._values.std(axis=0)
        with Publisher(Endpoint(port=self._port)) as publisher:
            for _ in range(rows):
                now = BEGIN_MS + self._row * 1000
                cells = (self._values[self._row] + shift * scale).tolist()
                values = [
                    {"id": f"Channel1.Press4.Cell4.Main.{tag}", "v": value, "q": True, "t": now}
                    for tag, value in zip(TAGS, cells, strict=True)
                ]
                body = {"timestamp": now, "values": values}
                publisher.publish("iotgateway", msgspec.json.encode(body))
                publisher.publish(CLOCK_TOPIC, msgspec.json.encode({"ts": now}))
                self._row += 1
            publisher.drain()


def test_an_import_of_kepware_learns_and_scores(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """From the CSV alone: check, learn, shadow, and an event where the press leaves its usual."""
    export, out = tmp_path / "press.csv", tmp_path / "press4"
    rows = [row(f"Cell4.Main.{tag}", Eng_Units="bar", Scan_Rate="1000") for tag in TAGS]
    export.write_text(kepware_csv(rows), encoding="utf-8-sig")
    arguments = [str(export), "-o", str(out), "--device", "Channel1.Press4", "--site", "s"]
    arguments += ["--port", str(mosquitto.port)]
    done = CliRunner().invoke(andon.app, ["wire", "import", "kepware", *arguments])
    assert done.exit_code == 0, done.output
    config = out / "gateway.toml"
    checked = subprocess.run(
        [sys.executable, "-m", "andon", "check", str(config)],
        capture_output=True,
        check=False,
        env=os.environ,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    plain = {"ANDON__CLOCK": "plant", "ANDON__COMMISSIONING__LEARN_MINUTES": "12"}
    gateway = GatewayProcess(config, port=mosquitto.port, state=tmp_path / "state", **plain)
    press = Gateway(mosquitto.port)
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        press.run(LEARN_ROWS)
        stage(heard, "SHADOW")
        press.run(60)
        press.run(30, shift=25.0)
        wait_until(lambda: bool(heard.of("event")), what="an event of the press", seconds_max=60.0)
        event = heard.of("event")[0].body
        assert event["asset"] == "Press4.Cell4.Main"
        gateway.stop()
