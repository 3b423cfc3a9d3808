"""Sparkplug B through a real broker: births, then data by alias, to an alert inside the fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.records import MessageReceived
from edge.storage.journal import read_journal
from tests.broker.skab_all import run_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.conftest import Mosquitto


def test_a_replay_as_sparkplug_rings_inside_the_fault(
    mosquitto: Mosquitto, data_dir: Path, tmp_path: Path
) -> None:
    """By the command line alone; what was journaled are its bytes, the birth first."""
    source = data_dir / "skab" / "valve1" / "0.csv"
    assert run_file(source, tmp_path / "skab", port=mosquitto.port, sparkplug=True)
    journal = [entry.stimulus for entry in read_journal(tmp_path / "skab" / "state" / "journal")]
    heard = [one.topic for one in journal if isinstance(one, MessageReceived)]
    kinds = [topic.split("/")[2] for topic in heard if topic.startswith("spBv1.0/")]
    assert kinds[0] == "DBIRTH"
    assert set(kinds[1:]) == {"DDATA"}
