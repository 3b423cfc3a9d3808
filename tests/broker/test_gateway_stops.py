"""SIGTERM: what came is kept and what was decided is not lost, whatever hangs meanwhile.

How long a stop takes is printed by `make chaos` (`stop_s_max`); the bounds here are generous.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.records import MessageReceived
from edge.storage.checkpoint import newest
from edge.storage.journal import read_journal
from tests.broker.cells import listener
from tests.broker.gateways import GatewayProcess, finished, online, publish
from tests.broker.test_gateway_commission import CONFIG, LEARN_ROWS, Plant
from tests.broker.test_gateway_live import keyed_heard, replayed
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto

SOME: Final = 1_500  # messages, some of them behind the first alert
STOP_S_MAX: Final = 20.0  # four times what is promised: a shared machine may stall
RESTORES_S: Final = 60.0  # of a restart that the patch makes slow
PATCH: Final = """\
import os, pathlib, sys, time
if "run" in sys.argv:
    from edge.engine import Engine
    from edge.storage.disk import Disk
    from kb.snapshots.snapshot import Snapshot
    marks, hangs = pathlib.Path(os.environ["MARKS"]), os.environ["HANGS"]
    handle, sync = Engine.handle_group, Disk.sync

    def slow_handle(self, stimuli, *, now_ns):
        (marks / "taking").touch()
        time.sleep(0.05 * len(stimuli))
        return handle(self, stimuli, now_ns=now_ns)

    def slow_sync(self, file):
        time.sleep(0.3)
        return sync(self, file)

    def hung_search(self, query, *, now_ns):
        (marks / "searching").touch()
        time.sleep(600)

    if "engine" in hangs:
        Engine.handle_group = slow_handle
    if "disk" in hangs:
        Disk.sync = slow_sync
    if "search" in hangs:
        Snapshot.search = hung_search
"""


def hanging(folder: Path, *, what: str) -> dict[str, str]:
    """The environment of a gateway of which something hangs."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(PATCH, encoding="utf-8")
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": paths, "MARKS": str(folder), "HANGS": what}


def asked_to_stop(gateway: GatewayProcess, *, times: int = 1) -> int:
    """Send SIGTERM so many times; returns the exit code."""
    process = gateway._process
    assert process is not None
    begin_s = time.monotonic()
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
    code = gateway.wait(STOP_S_MAX)
    assert time.monotonic() - begin_s < STOP_S_MAX
    return code


def test_a_hanging_broker_a_slow_disk_and_a_hung_search_do_not_hold_a_stop_up(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Asked twice, it stops once; the undelivered alert and the question come with the restart."""
    marks = hanging(tmp_path / "marks", what="disk search")
    with listener(mosquitto, tmp_path / "heard") as heard:
        with cell.gateway(mosquitto, tmp_path / "state", **marks) as gateway:
            gateway.start()
            online(heard, gateway)
            publish(mosquitto.port, cell.messages[: cell.opening + 2])
            wait_until(gateway.outbox, what="the decision", seconds_max=60)
            mosquitto.signal(signal.SIGSTOP)
            wait_until((tmp_path / "marks" / "searching").exists, what="the search", seconds_max=60)
            assert asked_to_stop(gateway, times=2) == 0
            mosquitto.signal(signal.SIGCONT)
        with cell.gateway(mosquitto, tmp_path / "state") as gateway:
            gateway.start()
            online(heard, gateway, times=2)
            assert gateway.said("stimuli=0 from_checkpoint=1") == 1, "the checkpoint has all"
            publish(mosquitto.port, cell.messages[cell.opening + 2 : cell.opening + 200])
            finished(heard, cell.messages[cell.opening + 190].t_ns)
            assert asked_to_stop(gateway) == 0
            decided = gateway.outbox()
            expected, _ = replayed(cell, gateway.state)
            assert decided == expected
            assert set(keyed_heard(heard)) == set(decided)
            assert any(b'"explained":true' in payload for *_, payload in decided), "asked again"


def test_what_a_stop_has_no_time_for_is_left_to_the_broker(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It was not acknowledged, so it comes again; and what was journaled counts."""
    slow = hanging(tmp_path / "marks", what="engine")
    with listener(mosquitto, tmp_path / "heard") as heard:
        with cell.gateway(mosquitto, tmp_path / "state", **slow) as gateway:
            gateway.start()
            online(heard, gateway)
            publish(mosquitto.port, cell.messages[:SOME])
            wait_until((tmp_path / "marks" / "taking").exists, what="the first message")
            assert asked_to_stop(gateway) == 0
        assert len(journaled(gateway)) < SOME, "it was asked too late"
        with cell.gateway(mosquitto, tmp_path / "state") as gateway:
            gateway.start()
            online(heard, gateway, times=2)
            finished(heard, cell.messages[SOME - 10].t_ns)
            assert asked_to_stop(gateway) == 0
            # Stable: each once and in order, but commands are taken before values that wait.
            sent = [(m.topic, m.payload) for m in cell.messages[:SOME]]
            assert sorted(journaled(gateway), key=is_command) == sorted(sent, key=is_command)
            expected, assembly = replayed(cell, gateway.state)
            assert gateway.outbox() == expected
            found, troubles = newest(
                gateway.state / "checkpoints", fingerprint=assembly.fingerprint
            )
            assert found is not None
            assert not troubles
            assert found.state.counts == assembly.engine.state.counts


def is_command(message: tuple[str, bytes]) -> bool:
    """Whether an operator said it."""
    return "/cmd/" in message[0]


def journaled(gateway: GatewayProcess) -> list[tuple[str, bytes]]:
    """What was taken of the plant and its operators, in order."""
    stimuli = [entry.stimulus for entry in read_journal(gateway.state / "journal")]
    return [(s.topic, s.payload) for s in stimuli if isinstance(s, MessageReceived)]


def test_a_start_and_a_restoring_are_broken_off(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """At any moment of a start, and in a restoring of minutes; the next start restores it all."""
    never = {"ANDON__JOURNAL__CHECKPOINT_S": "3600", "ANDON__JOURNAL__REPLAY_S": "0"}
    state = tmp_path / "state"
    with (
        listener(mosquitto, tmp_path / "heard") as heard,
        cell.gateway(mosquitto, state, **never) as gateway,
    ):
        gateway.start()
        online(heard, gateway)
        publish(mosquitto.port, cell.messages[:SOME])
        finished(heard, cell.messages[SOME - 10].t_ns)
        gateway.kill()
        decided = gateway.outbox()
    marks = tmp_path / "marks"
    with cell.gateway(mosquitto, state, **never, **hanging(marks, what="engine")) as slow:
        slow.start()
        wait_until((marks / "taking").exists, what="the restoring", seconds_max=RESTORES_S)
        assert asked_to_stop(slow) == 0
        assert slow.said("it was restoring") == 1
    draw = random.Random(7)
    with cell.gateway(mosquitto, state, **never) as gateway:
        for _ in range(2):
            gateway.start()
            threading.Event().wait(draw.uniform(0.0, 2.0))
            assert asked_to_stop(gateway) in {0, -signal.SIGTERM}
        assert gateway.outbox()[: len(decided)] == decided
    expected, _ = replayed(cell, state)
    assert expected[: len(decided)] == decided


def fits() -> list[int]:
    """Process ids of fits of commissioning."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                command = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if b"edge.commissioning.fit" in command:
                found.append(int(place.name))
    return found


def test_a_running_fit_ends_with_the_gateway(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """It is begun again by the next process, and no process is left behind."""
    config = tmp_path / "gateway.toml"
    config.write_text(CONFIG, encoding="utf-8")
    others = set(fits())
    with (
        GatewayProcess(config, port=mosquitto.port, state=tmp_path / "state") as gateway,
        listener(mosquitto, tmp_path / "heard") as heard,
    ):
        gateway.start()
        online(heard, gateway)
        Plant(mosquitto.port).run(LEARN_ROWS)
        wait_until(lambda: set(fits()) - others, what="the fit", seconds_max=60)
        ours = set(fits()) - others
        assert asked_to_stop(gateway) == 0
        assert not ours & set(fits())
