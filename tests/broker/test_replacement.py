"""A box is replaced: old and new with one mosquitto, and never two contents under one key."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.alerts.numbering import REVISIONS_A_BOX
from edge.boxes import backup
from edge.boxes.identity import FENCED_EXIT, read_box
from edge.boxes.replacement import Request, restore_box
from edge.configuration.config import load
from edge.wire.topics import Topics
from tests.broker.cells import listener
from tests.broker.gateways import GatewayProcess, finished, online, publish
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto
    from tests.broker.gateways import Heard, Subscriber

KEYED: Final = ("alert", "event", "suppressed", "group")
RETAINED: Final = ("alert", "group")
PLANT: Final = ("probe", "cmd", "cmd_result")  # topics that others write, or are one an operator
Key = tuple[str, str, int]  # topic, id, revision


def backed_up(cell: Cell, state: Path, out: Path) -> Path:
    """A backup of the gateway of a cell with its state in a directory."""
    request = backup.Request(config=cell.config, out=out)
    backup.back_up(request, environment={"ANDON__JOURNAL__DIR": str(state)})
    return out


def replacement(file: Path, out: Path, broker: Mosquitto) -> GatewayProcess:
    """A gateway in a directory of its own, made of a backup."""
    restored = restore_box(Request(file=file, out=out))
    assert not restored.bad, restored.findings
    return GatewayProcess(restored.config, port=broker.port, state=out / restored.manifest.state)


def keyed(messages: Sequence[Heard]) -> list[tuple[Key, bytes]]:
    """What was heard under a topic, id and revision, in order."""
    found = []
    for message in messages:
        if message.kind in KEYED and message.payload:
            body: Any = msgspec.json.decode(message.payload)
            if "revision" in body:
                found.append(((message.topic, body["id"], body["revision"]), message.payload))
    return found


def doubled(heard: Subscriber) -> list[Key]:
    """Keys with two contents."""
    contents: dict[Key, set[bytes]] = {}
    for key, payload in keyed(heard.all()):
        contents.setdefault(key, set()).add(payload)
    return [key for key, some in contents.items() if len(some) > 1]


def generations(messages: Sequence[Heard]) -> list[int]:
    """What boxes claimed, in order."""
    return [message.body["generation"] for message in messages if message.kind == "fence"]


def forge_a_claim(mosquitto: Mosquitto, heard: Subscriber) -> None:
    """Somebody who never had the disk or a backup says that a third box has taken over."""
    stands = heard.of("fence")[-1]
    forged = {**stands.body, "box": "f" * 16, "generation": 3}
    publish(mosquitto.port, [(stands.topic, msgspec.json.encode(forged))])
    wait_until(lambda: "fence_forged" in faults(heard), what="it is told")


def only_claimed(heard: Subscriber, said: int) -> None:
    """From a number of messages on an old box said no more than that it waits for an answer."""
    wait_until(lambda: generations(heard.all()[said:])[-1:] == [2], what="the last claim")
    known = {key for key, _ in keyed(heard.all()[:said])}
    assert {key for key, _ in keyed(heard.all()[said:])} <= known, "the old box said nothing"


def faults(heard: Subscriber) -> list[str]:
    """What the gateways said of themselves, by name."""
    return [m.body["name"] for m in heard.of("alert") if m.topic.endswith("/_gateway/system")]


def unlisted(cell: Cell, heard: Subscriber) -> set[str]:
    """Topics of ours that `andon check` does not name."""
    config = load(cell.config, environment={})
    assets = [one.asset for one in cell.assembly().bundle.assets]
    named = set(Topics(config.prefix, config.site).published(assets))
    return {one.topic for one in heard.all() if one.kind not in PLANT} - named


def test_a_replacement_goes_on_and_the_old_box_is_fenced(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Both hear the same hour, so both decide the same events: each under numbers of its own."""
    with (
        listener(mosquitto, tmp_path / "heard") as heard,
        cell.gateway(mosquitto, tmp_path / "state") as old,
    ):
        old.start()
        online(heard, old)
        half = cell.opening + 3
        publish(mosquitto.port, cell.messages[:half])
        wait_until(lambda: old.outbox() and not old.outbox(delivered=False), what="an alert")
        file = backed_up(cell, tmp_path / "state", tmp_path / "backup.zip")
        in_backup = {key[:3] for key in old.outbox()}
        publish(mosquitto.port, cell.messages[half:])  # what the backup knows nothing of
        finished(heard, cell.end_ns)
        old.kill()
        shutil.copytree(tmp_path / "state", tmp_path / "copy")  # of the old box before it is told
        said = len(heard.all())
        with replacement(file, tmp_path / "new", mosquitto) as new:
            new.start()
            online(heard, new, times=2)
            publish(mosquitto.port, cell.messages[half:])  # as a plant that stores and forwards
            wait_until(
                lambda: any(one.kind == "health" for one in heard.all()[said:]),
                what="the new box's health",
            )
            finished(heard, cell.end_ns)
            forge_a_claim(mosquitto, heard)
            before = keyed(heard.all()[:said])
            ours = [one for one in keyed(heard.all()[said:]) if one not in before]
            assert ours, "the new box decides as well"
            assert min(revision for (_, _, revision), _ in ours) > REVISIONS_A_BOX
            again = {key for key, _ in keyed(heard.all()[said:])} & {key for key, _ in before}
            stood = {key[0]: key for key, _ in before if key[0].split("/")[2] in RETAINED}
            assert again <= set(stood.values()), "but the last words, which it has from the broker"
            assert not in_backup & again - set(stood.values()), "old alerts are not said again"
            old.start()
            assert old.wait(60) == FENCED_EXIT
            assert old.said("fenced") == 1
            box = read_box(tmp_path / "state")
            assert box is not None
            assert box.fenced_by is not None
            old.start()  # it knows by itself now, whatever the broker remembers
            assert old.wait(60) == FENCED_EXIT

            said = len(heard.all())
            mosquitto.stop()
            mosquitto.forget()
            with cell.gateway(mosquitto, tmp_path / "copy") as untold:
                mosquitto.start()
                untold.start()  # and here the broker knows nothing of either
                assert untold.wait(90) == FENCED_EXIT
            wait_until(lambda: heard.of("status")[-1].body["online"], what="the new box is there")
            only_claimed(heard, said)
            assert new.stop() == 0
    assert not doubled(heard)
    assert not unlisted(cell, heard)
    assert generations(heard.all())[0] == 1
