"""Prometheus and Alertmanager have what rings, with its reasons, by deploy/prometheus."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import expect

from tests.broker.conftest import free_port
from tests.broker.gateways import online
from tests.clients.install import ROOT
from tests.clients.plant import OVER_S, RINGING_S
from tests.clients.screens import picture, screen
from tests.clients.services import Service, program
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.clients.plant import Plant

DEPLOY: Final = ROOT / "deploy" / "prometheus"
R1: Final = {"asset": "r1", "track": "process", "severity": "HIGH", "site": "weldcell"}
OUTPUTS: Final = """
[output.alertmanager]
url = "http://127.0.0.1:{alertmanager}"
resend_s = 1.0

[output.prometheus]
listen = "127.0.0.1:{metrics}"
"""


def shipped(name: str, folder: Path, **instead: str) -> Path:
    """A file as it is shipped, but for addresses and pauses: what stands there, and what instead.

    Names are of no meaning, values are `old -> new`.
    """
    text = (DEPLOY / name).read_text(encoding="utf-8")
    for change in instead.values():
        old, _, new = change.partition(" -> ")
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


class Receiver:
    """Where Alertmanager sends to: alerts with their status, by the path they came on."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        got = self.got

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                got.extend((self.path, one) for one in body["alerts"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: what came is kept."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        """Take what comes, on a thread."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(10)

    def told(self, status: str, **labels: str) -> list[dict[str, Any]]:
        """What came at the operators' path with these labels."""
        return [
            alert
            for path, alert in self.got
            if path == "/operators"
            and alert["status"] == status
            and labels.items() <= alert["labels"].items()
        ]


@contextmanager
def alertmanager(folder: Path, port: int, receiver: Receiver) -> Iterator[Service]:
    """Alertmanager with our routes, on the loopback and alone."""
    found = program("prometheus-alertmanager")
    config = shipped(
        "alertmanager.yml",
        folder,
        address=f"127.0.0.1:9095 -> 127.0.0.1:{receiver.port}",
        wait="group_wait: 5s -> group_wait: 1s",
        interval="group_interval: 1m -> group_interval: 1s",
    )
    command: list[str | Path] = [
        found,
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://127.0.0.1:{port}"
    with Service(command, folder=folder, url=url, log=folder / "alertmanager.log") as service:
        service.ready("/-/ready")
        yield service


@contextmanager
def prometheus(folder: Path, port: int, metrics: int) -> Iterator[Service]:
    """Prometheus with our rules, on the loopback."""
    found, own = program("prometheus"), free_port()
    shipped("andon-rules.yml", folder, gone="for: 1m -> for: 0s")
    config = shipped(
        "prometheus.yml",
        folder,
        often="15s -> 1s",
        alertmanager=f"127.0.0.1:9093 -> 127.0.0.1:{port}",
        gateway=f"127.0.0.1:9464 -> 127.0.0.1:{metrics}",
        site="site: plant1 -> site: weldcell",
    )
    command: list[str | Path] = [
        found,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    url = f"http://127.0.0.1:{own}"
    with Service(command, folder=folder, url=url, log=folder / "prometheus.log") as service:
        service.ready("/-/ready")
        yield service


def rules_firing(service: Service, name: str, **labels: str) -> list[dict[str, Any]]:
    """Alerts of our rules that Prometheus has firing."""
    found = (service.json("/api/v1/alerts") or {"data": {"alerts": []}})["data"]["alerts"]
    wanted = {"alertname": name, **labels}.items()
    return [a for a in found if a["state"] == "firing" and wanted <= a["labels"].items()]


def managed(service: Service, name: str, **labels: str) -> list[dict[str, Any]]:
    """Alerts that Alertmanager has, also those that it keeps quiet."""
    found: list[dict[str, Any]] = service.json("/api/v2/alerts") or []
    wanted = {"alertname": name, **labels}.items()
    return [alert for alert in found if wanted <= alert["labels"].items()]


def test_prometheus_and_alertmanager_have_what_rings(plant: Plant, tmp_path: Path) -> None:
    """Severity and reasons arrive, once; a gateway that is gone is told; the end is told."""
    port, metrics, receiver = free_port(), free_port(), Receiver()
    with plant.cell.config.open("a", encoding="utf-8") as config:
        config.write(OUTPUTS.format(alertmanager=port, metrics=metrics))
    with (
        receiver.listening(),
        alertmanager(tmp_path, port, receiver) as manager,
        prometheus(tmp_path, port, metrics) as reader,
        plant.cell.gateway(plant.broker, tmp_path / "state") as gateway,
        screen(height=760) as page,
    ):
        gateway.start()
        online(plant.heard, gateway)
        plant.until(RINGING_S)
        rings = plant.alert(state="ACTIVE_UNACK", active=1)
        expected = (rings["message"], rings["advice"], rings["source"], rings["id"])

        def happens(condition: Callable[[], object], what: str) -> None:
            wait_until(condition, seconds_max=60.0, what=what)

        def explained() -> bool:
            found = receiver.told("firing", alertname="AndonProcess", **R1)
            notes = found[-1]["annotations"] if found else {}
            return tuple(notes.get(k) for k in ("summary", "action", "source", "id")) == expected

        happens(explained, "the alert with its reasons at the operators' receiver")
        happens(lambda: rules_firing(reader, "AndonRings", **R1), "the rule over metrics")
        happens(
            lambda: [a for a in managed(manager, "AndonRings", **R1) if a["status"]["inhibitedBy"]],
            "the rule being kept quiet by the gateway's own word",
        )
        page.goto(f"{reader.url}/classic/alerts")  # Debian ships the page without the new one
        page.locator("tr.alert_header").filter(has_text="AndonRings").click()
        page.get_by_role("button", name="Show annotations").click()
        expect(page.get_by_text('severity="HIGH"', exact=False).first).to_be_visible()
        expect(page.get_by_text("r1: HIGH alert of the process track", exact=False)).to_be_visible()
        picture(page, "prometheus-rings")

        gateway.kill()
        happens(lambda: rules_firing(reader, "AndonGatewayGone", site="weldcell"), "its absence")
        happens(lambda: not managed(manager, "AndonProcess", **R1), "the end of what it had said")
        # who rings again before that end was passed on is no news to Alertmanager
        happens(lambda: receiver.told("resolved", alertname="AndonProcess", **R1), "its end, told")
        before = len(receiver.told("firing", alertname="AndonProcess", **R1))
        ended = len(receiver.told("resolved", alertname="AndonProcess", **R1))
        gateway.start()
        online(plant.heard, gateway, times=2)
        happens(
            lambda: len(receiver.told("firing", alertname="AndonProcess", **R1)) > before,
            "the alert again",
        )
        assert explained()
        happens(lambda: not rules_firing(reader, "AndonGatewayGone"), "its return")

        plant.until(OVER_S)
        plant.alert(active=0, state="CLEARED_UNACK")
        happens(lambda: not managed(manager, "AndonProcess", **R1), "the end")
        happens(
            lambda: len(receiver.told("resolved", alertname="AndonProcess", **R1)) > ended,
            "the all-clear",
        )
        happens(lambda: not rules_firing(reader, "AndonRings", **R1), "the end of the rule")
        assert gateway.stop() == 0
