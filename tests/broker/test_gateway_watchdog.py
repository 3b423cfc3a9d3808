"""The watchdog of a real gateway is fed while bytes, ticks and broker are alive, and only then."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Final

from tests.broker.gateways import GatewayProcess, publish
from tests.broker.supervisor import FED, Supervisor
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto

RUNNING: Final = "STATUS=running"
NOT_FED: Final = "STATUS=not fed"
WAIT_S: Final = 60.0
PATCH: Final = """\
import os, pathlib, sys, time
if "run" in sys.argv:
    from edge.engine import Engine
    from edge.brokers.link import Link
    from edge.brokers.mqtt import Client
    marks = pathlib.Path(os.environ["MARKS"])
    handle, message, pong = Engine.handle_group, Link._message, Client._handle_pingresp

    def wedged(self, stimuli, *, now_ns):
        given = list(stimuli)
        if any(getattr(stimulus, "payload", b"") == b"wedge" for stimulus in given):
            (marks / "begun").touch()
            time.sleep(5)
            (marks / "over").touch()
        return handle(self, given, now_ns=now_ns)

    def blocked(self, client, data, received):
        if received.payload == b"block" and not (marks / "blocked").exists():
            (marks / "blocked").touch()  # once: it is not acknowledged, and comes again
            time.sleep(12)
        return message(self, client, data, received)

    def ending(self):
        if (marks / "end the thread").exists():
            raise SystemExit
        return pong(self)

    Engine.handle_group, Link._message, Client._handle_pingresp = wedged, blocked, ending
"""


def patched(folder: Path) -> dict[str, str]:
    """The environment of a gateway that can be told to hang."""
    (folder / "sitecustomize.py").write_text(PATCH, encoding="utf-8")
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": paths, "MARKS": str(folder), "ANDON__MQTT__KEEPALIVE_S": "2"}


def fed_again(supervisor: Supervisor, times: int = 3) -> None:
    """Wait until it is fed so many times more."""
    before = supervisor.fed()
    wait_until(lambda: supervisor.fed() >= before + times, what="feeding", seconds_max=WAIT_S)


def starved_and_back(supervisor: Supervisor) -> None:
    """It says that it is fed again, and was not in between."""
    wait_until(lambda: RUNNING in supervisor.after(NOT_FED), what="its end", seconds_max=WAIT_S)
    since = supervisor.after(NOT_FED)
    assert FED not in since[: since.index(RUNNING)]
    fed_again(supervisor)


def test_a_hanging_broker_and_a_stopped_gateway_end_the_feeding(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A plant that says nothing does not: an answered ping is a sign of life."""
    with (
        Supervisor(watchdog_s=2.0) as supervisor,
        cell.gateway(
            mosquitto,
            tmp_path / "state",
            ANDON__MQTT__KEEPALIVE_S="2",
            **supervisor.environment,
        ) as gateway,
    ):
        gateway.start()
        wait_until(lambda: "READY=1" in supervisor.heard(), what="ready", seconds_max=WAIT_S)
        wait_until(lambda: RUNNING in supervisor.heard(), what="running", seconds_max=WAIT_S)
        fed_again(supervisor, times=20)  # far beyond keepalive, and not a sample came
        assert not [line for line in supervisor.after(RUNNING) if line.startswith(NOT_FED)]
        mosquitto.signal(signal.SIGSTOP)
        wait_until(
            lambda: (
                supervisor.after(RUNNING)[-1:] != [RUNNING]
                and [x for x in supervisor.after(RUNNING) if x.startswith(NOT_FED)]
            ),
            what="hunger",
            seconds_max=WAIT_S,
        )
        threading.Event().wait(2.5)  # another few looks; a wait, no bound
        mosquitto.signal(signal.SIGCONT)
        starved_and_back(supervisor)
        signal_to(gateway, signal.SIGSTOP)
        supervisor.heard()
        threading.Event().wait(0.5)  # what it had sent
        before = supervisor.fed()
        threading.Event().wait(1.5)
        assert supervisor.fed() == before
        signal_to(gateway, signal.SIGCONT)
        fed_again(supervisor)
        assert gateway.stop() == 0
        assert FED not in supervisor.after("STOPPING=1")
        assert supervisor.after("STOPPING=1")


def signal_to(gateway: GatewayProcess, number: signal.Signals) -> None:
    """Send a gateway a signal."""
    assert gateway._process is not None
    gateway._process.send_signal(number)


def test_a_blocked_network_thread_a_wedged_loop_and_a_dead_thread_end_the_feeding(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The client calls itself connected in all of these; what comes back is fed again."""
    marks = tmp_path / "marks"
    marks.mkdir()
    with (
        Supervisor(watchdog_s=2.0) as supervisor,
        cell.gateway(
            mosquitto, tmp_path / "state", **patched(marks), **supervisor.environment
        ) as gateway,
    ):
        gateway.start()
        wait_until(lambda: supervisor.fed() > 2, what="feeding", seconds_max=WAIT_S)
        publish(mosquitto.port, [("plant/r1", b"block")])
        wait_until(lambda: supervisor.after(NOT_FED), what="hunger", seconds_max=WAIT_S)
        starved_and_back(supervisor)
        publish(mosquitto.port, [("plant/r1", b"wedge")])
        wait_until((marks / "begun").exists, what="the wedge", seconds_max=WAIT_S)
        threading.Event().wait(1.0)  # what it had sent
        before = supervisor.fed()
        while not (marks / "over").exists():
            heard = supervisor.fed()
            assert heard == before or (marks / "over").exists()
            threading.Event().wait(0.05)
        fed_again(supervisor)
        (marks / "end the thread").touch()
        assert gateway.wait(60) == 70, "a supervisor restarts it"
        told = gateway.log.read_text(encoding="utf-8", errors="replace")
        assert "network thread has ended" in told
