"""A real gateway that is a node of Sparkplug B, heard by our own host behind a real broker."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final

from edge.boxes import backup
from edge.boxes.identity import FENCED_EXIT
from edge.boxes.replacement import Request, restore_box
from edge.outputs.sparkplug_metrics import FOLDERS, KINDS
from edge.wire.sparkplug import SESSION, read_payload
from edge.wire.sparkplug_node import Message
from edge.wire.sparkplug_writing import encode_metric, encode_payload, encode_rebirth
from tests.broker.gateways import (
    GatewayProcess,
    Subscriber,
    finished,
    newest_health,
    online,
    publish,
)
from tests.broker.test_gateway_outputs import ASSETS, rings_after, with_outputs
from tests.edge.sparkplug_host import Host
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto
    from tests.broker.gateways import Heard

NODE: Final = "Plant1/Andon"
TABLE: Final = "[output.sparkplug]\ngroup = 'Plant1'\nnode = 'Andon'\nscore_every_s = 0.2\n"
NAMES: Final = [kind.name for kind in KINDS]


def said(heard: Subscriber, kind: str = "") -> list[Heard]:
    """What the node has said, of one kind or all."""
    found = []
    for message in heard.all():
        namespace, *levels = message.topic.split("/")
        if namespace == "spBv1.0" and not levels[1].endswith("CMD"):
            found += [message] if kind in ("", levels[1]) else []
    return found


def sessions(heard: Subscriber, kind: str) -> list[int]:
    """Numbers that births or deaths of the node have named, in order."""
    found = []
    for message in said(heard, kind):
        metrics = {m.name: m.value for m in read_payload(message.payload, topic="").metrics}
        found.append(int(float(metrics[SESSION] or 0)))
    return found


def host_of(messages: list[Heard]) -> Host:
    """A host that has heard all of it; rules that are broken fail at once."""
    host = Host(NODE, ASSETS, NAMES)
    for number, message in enumerate(messages):
        host.hear(Message(message.topic, message.payload), number)
    assert host.counts.get("sparkplug_gaps", 0) == 0
    assert host.counts.get("waiting_for_birth", 0) == 0
    return host


def stands(heard: Subscriber) -> dict[str, dict[str, Any]]:
    """What the flat alert topics hold of each asset, as the node's metrics should."""
    last = {m.topic: m.body for m in heard.of("alert") if "/_" not in m.topic}
    found: dict[str, dict[str, Any]] = {}
    for body in last.values():
        folder = FOLDERS[body["track"]]
        found.setdefault(body["asset"], {}).update(
            {
                f"{folder}/Active": float(body["active"]),
                f"{folder}/State": body["state"],
                f"{folder}/Severity": body["severity_num"],
                f"{folder}/Reason": body["message"],
                f"{folder}/AlertId": body["id"],
                f"{folder}/Acknowledged": float(body["acked"]),
                f"{folder}/Suppressed": float(body["suppressed"]),
            }
        )
    return found


def agrees(heard: Subscriber) -> bool:
    """Whether a host that heard all of the node knows what stands on the alert topics."""
    picture = host_of(said(heard)).picture
    return all(
        asset in picture and told.items() <= picture[asset].items()
        for asset, told in stands(heard).items()
    )


def test_births_data_deaths_and_a_rebirth_of_a_real_gateway(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Over an alert, a kill and a restart; who hears all of it knows what MQTT says."""
    config, ringing = with_outputs(cell, tmp_path, TABLE), rings_after(cell)
    gateway = GatewayProcess(config, port=mosquitto.port, state=tmp_path / "state")
    with gateway, Subscriber(mosquitto.port, tmp_path / "heard", "andon/#", "spBv1.0/#") as heard:
        gateway.start()
        online(heard, gateway)
        wait_until(lambda: len(said(heard, "DBIRTH")) == len(ASSETS), what="all births")
        assert sessions(heard, "NBIRTH") == [0]
        publish(mosquitto.port, cell.messages[:ringing])
        wait_until(lambda: rings(heard), what="an alert in the node's data")
        asks(mosquitto, heard)
        assert sessions(heard, "NBIRTH") == [0, 0]
        gateway.kill()
        wait_until(lambda: sessions(heard, "NDEATH") == [0], what="the broker's word of its death")
        gateway.start()
        online(heard, gateway, times=2)
        wait_until(lambda: sessions(heard, "NBIRTH") == [0, 0, 1], what="another session")
        publish(mosquitto.port, cell.messages[ringing:])
        finished(heard, cell.end_ns)
        wait_until(lambda: agrees(heard), what="a host that knows the truth")
        scores = [host_of(said(heard)).picture[asset]["Anomaly/Score"] for asset in ASSETS]
        assert all(isinstance(score, float) for score in scores)
        assert gateway.stop() == 0
        wait_until(lambda: sessions(heard, "NDEATH") == [0, 1], what="its own word of its death")
        assert host_of(said(heard)).picture == {}


def rings(heard: Subscriber) -> bool:
    """Whether the node says that something rings."""
    picture = host_of(said(heard)).picture
    return any(one["Anomaly/Active"] or one["Sensor/Active"] for one in picture.values())


def asks(mosquitto: Mosquitto, heard: Subscriber) -> None:
    """Ask for births, and for what is refused."""
    other = encode_payload([encode_metric(name="Node Control/Reboot", value=1.0)], t_ms=1)
    publish(
        mosquitto.port,
        [
            ("spBv1.0/Plant1/NCMD/Andon", other),
            (f"spBv1.0/Plant1/DCMD/Andon/{ASSETS[0]}", encode_rebirth(t_ms=1)),
            ("spBv1.0/Plant1/NCMD/Andon", b"no protobuf"),
            ("spBv1.0/Plant1/NCMD/Other", encode_rebirth(t_ms=1)),
            ("spBv1.0/Plant1/NCMD/Andon", encode_rebirth(t_ms=1)),
        ],
    )
    births = 2 * len(ASSETS)
    wait_until(lambda: len(said(heard, "DBIRTH")) == births, what="all births again")
    health = newest_health(heard, lambda h: h["outputs"][0]["refused"] >= 3, what="refusals")
    assert health["outputs"][0]["output"] == "sparkplug"
    assert health["outputs"][0]["refused"] == 3


def test_a_broker_of_its_own_may_come_late_hang_and_go(
    cell: Cell, mosquitto: Mosquitto, mosquitto_of: type[Mosquitto], tmp_path: Path
) -> None:
    """The gateway goes on meanwhile; then everything is born anew, and nothing old is said."""
    folder = tmp_path / "second"
    folder.mkdir()
    second, ringing = mosquitto_of(folder), rings_after(cell)
    table = f"{TABLE}[output.sparkplug.broker]\nport = {second.port}\nkeepalive_s = 2\n"
    config = with_outputs(cell, tmp_path, table)
    gateway = GatewayProcess(config, port=mosquitto.port, state=tmp_path / "state")
    try:
        with gateway, Subscriber(mosquitto.port, tmp_path / "heard", "andon/#") as heard:
            gateway.start()
            online(heard, gateway)
            newest_health(
                heard,
                lambda h: "nothing listens there" in h["outputs"][0]["cause"],
                what="the cause on health",
            )
            publish(mosquitto.port, cell.messages[:ringing])
            second.start()
            with Subscriber(second.port, tmp_path / "node", "spBv1.0/#", "andon/#") as node:
                wait_until(lambda: sessions(node, "NBIRTH"), seconds_max=60, what="its birth")
                first = sessions(node, "NBIRTH")[0]
                assert first == 0, "no number for a broker that was not there"
                wait_until(lambda: rings(node), what="what has rung before it came")
                second.signal(signal.SIGSTOP)
                publish(mosquitto.port, cell.messages[ringing:])
                finished(heard, cell.end_ns)
                second.signal(signal.SIGCONT)
                expected = stands(heard)

                def knows() -> bool:
                    picture = host_of(said(node)).picture
                    return bool(picture) and all(
                        told.items() <= picture.get(asset, {}).items()
                        for asset, told in expected.items()
                    )

                wait_until(knows, seconds_max=60, what="a host that knows the truth")
                before = sessions(node, "NBIRTH")[-1]
                second.kill()
                second.start()
                node.listen_again()
                wait_until(
                    lambda: sessions(node, "NBIRTH")[-1] > before,
                    seconds_max=60,
                    what="births at the broker that came back",
                )
                deaths = len(sessions(node, "NDEATH"))
                mosquitto.stop()  # who speaks for the site is not known without it
                wait_until(lambda: len(sessions(node, "NDEATH")) > deaths, what="its death")
                births = sessions(node, "NBIRTH")
                assert sessions(node, "NDEATH")[-1] == births[-1]
                mosquitto.start()
                wait_until(
                    lambda: sessions(node, "NBIRTH") == [*births, births[-1] + 1],
                    seconds_max=60,
                    what="births once it may speak again",
                )
            assert gateway.stop() == 0
    finally:
        second.overheard.stop()
        second.stop()


def test_of_two_boxes_only_the_one_that_speaks_is_the_node(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """One that was replaced says nothing, and throws nobody out."""
    config, state = with_outputs(cell, tmp_path, TABLE), tmp_path / "state"
    old = GatewayProcess(config, port=mosquitto.port, state=state)
    with old, Subscriber(mosquitto.port, tmp_path / "heard", "andon/#", "spBv1.0/#") as heard:
        old.start()
        online(heard, old)
        wait_until(lambda: len(said(heard, "DBIRTH")) == len(ASSETS), what="births of the old box")
        asked = backup.Request(config=config, out=tmp_path / "box.tar")
        backup.back_up(asked, environment={"ANDON__JOURNAL__DIR": str(state)})
        restored = restore_box(Request(file=asked.out, out=tmp_path / "new"))
        assert not restored.bad, restored.findings
        place = tmp_path / "new" / restored.manifest.state
        with GatewayProcess(restored.config, port=mosquitto.port, state=place) as new:
            new.start()
            assert old.wait(90) == FENCED_EXIT
            wait_until(lambda: len(sessions(heard, "NBIRTH")) >= 2, what="birth of the new box")
            wait_until(
                lambda: set(host_of(said(heard)).picture) == set(ASSETS), what="all that it is"
            )
            before = len(said(heard))
            old.start()
            assert old.wait(90) == FENCED_EXIT
            later = [m for m in said(heard)[before:] if "/DDATA/" not in m.topic]
            assert not later, "births and deaths of nobody"
            assert host_of(said(heard)).picture
            assert new.stop() == 0
