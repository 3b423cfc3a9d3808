"""`andon wire diff` beside a plant that renames and rescales tags, and over a recording of it."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from edge.records import MessageReceived
from edge.storage.journal_writer import JournalWriter
from models.bundles.store import save
from tests.edge.rewired_plants import ASSET, Plant, bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

CONFIG = """
site = "s"
[mqtt]
port = {port}
[model]
bundle = "bundle"
[[source]]
topic = "plant/{{asset}}"
[[asset]]
id = "{asset}"
context = [{{ tag = "Running", role = "run" }}]
"""


def changed() -> Plant:
    """A rename, a change of unit that nobody says, and a tag that became text."""
    plant = Plant(seed=9)
    plant.names["PT_101"] = "PT101_PV"
    plant.change["PT_102"] = lambda value: value * 100.0
    plant.change["FT_201"] = lambda value: f"{value:.1f}"
    return plant


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with its bundle, of a broker that is not there."""
    save(bundle(), tmp_path / "bundle")
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(port=1, asset=ASSET))
    return path


@pytest.fixture
def live(mosquitto: Mosquitto, config: Path) -> Iterator[Path]:
    """The same, of a plant that speaks in the background."""
    config.write_text(CONFIG.format(port=mosquitto.port, asset=ASSET))
    over = threading.Event()

    def speak() -> None:
        with Publisher(Endpoint(port=mosquitto.port, client_id="plant")) as publisher:
            for topic, payload, _ in changed().messages(100_000):
                publisher.publish(topic, payload)
                time.sleep(0.001)
                if over.is_set():
                    return

    thread = threading.Thread(target=speak)
    thread.start()
    yield config
    over.set()
    thread.join(30)


def differ(config: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and findings of the command."""
    told = CliRunner().invoke(andon.app, ["wire", "diff", str(config), "--json", *options])
    assert told.stdout, told.output
    return told.exit_code, msgspec.json.decode(told.stdout)


def record(plant: Plant, folder: Path) -> None:
    """A recording of two minutes."""
    with contextlib.closing(JournalWriter(folder)) as journal:
        journal.append(
            [
                (at_ns, MessageReceived(topic=topic, payload=payload, received_ns=at_ns))
                for topic, payload, at_ns in plant.messages(120)
            ]
        )


def kinds(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """What became of each tag."""
    return {one["tag"]: (one["kind"], one["to"]) for one in found["differences"]}


EXPECTED = {
    "PT_101": ("renamed", "PT101_PV"),
    "PT_102": ("rescaled", "x100: bar -> kPa?"),
    "FT_201": ("retyped", ""),
}


def test_a_live_plant_is_compared(live: Path) -> None:
    """Through the broker of the configuration, with a client id of its own."""
    before = live.read_text()
    code, found = differ(live, "--seconds", "4")
    assert code == 1
    assert kinds(found) == EXPECTED
    assert found["bundle"] == bundle().sha256
    assert found["messages"] > 200
    assert live.read_text() == before


def test_a_recording_is_compared(config: Path, tmp_path: Path) -> None:
    """The same without a broker; of an unchanged plant nothing, with exit code 0."""
    record(changed(), tmp_path / "changed")
    record(Plant(seed=9), tmp_path / "same")
    code, found = differ(config, "--recording", str(tmp_path / "changed"))
    assert (code, kinds(found)) == (1, EXPECTED)
    assert found["seconds"] == 119.0
    code, found = differ(config, "--recording", str(tmp_path / "same"))
    assert (code, found["differences"]) == (0, [])


def test_a_table_says_what_to_write(config: Path, tmp_path: Path) -> None:
    """For people, with what was found and what to do."""
    record(changed(), tmp_path / "changed")
    command = ["wire", "diff", str(config), "--recording", str(tmp_path / "changed")]
    told = CliRunner().invoke(andon.app, command, env={"COLUMNS": "250"})
    assert told.exit_code == 1
    assert "PT_101 -> PT101_PV, same statistics" in told.output
    assert "x100: bar -> kPa?" in told.output
    assert '"PT101_PV" = "PT_101"' in told.output
    assert "3 differences in" in told.output


def test_without_a_bundle_names_alone_are_compared(config: Path, tmp_path: Path) -> None:
    """And that is said; a directory without a recording is refused with what to do."""
    text = config.read_text().replace('[model]\nbundle = "bundle"', "[commissioning]")
    config.write_text(text + 'tags = { "PT_101" = "Pressure" }\n')
    record(changed(), tmp_path / "changed")
    command = ["wire", "diff", str(config), "--recording", str(tmp_path / "changed")]
    told = CliRunner().invoke(andon.app, command, env={"COLUMNS": "250"})
    assert "names only were compared" in told.output
    assert "PT_101 -> PT101_PV, by its name alone" in told.output
    (tmp_path / "empty").mkdir()
    told = CliRunner().invoke(
        andon.app, ["wire", "diff", str(config), "--recording", str(tmp_path / "empty")]
    )
    assert "andon record" in str(told.exception)
