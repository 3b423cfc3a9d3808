"""Replay through a real mosquitto: what a subscriber gets is what was recorded."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final

import pytest
from rich.console import Console

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import BrokerError, Collector, Publisher
from edge.records import MessageReceived
from edge.storage.journal_writer import JournalWriter
from simulator.replay import Played, ReplayOptions, replay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOSQUITTO: Final = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
WAIT_S: Final = 20.0
START: Final = 1_700_000_000 * 10**9

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto")


@pytest.fixture
def broker_port() -> Iterator[int]:
    """Start mosquitto on a free port of the loopback."""
    assert MOSQUITTO is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [MOSQUITTO, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        answered = False
        while not answered:
            assert process.poll() is None, "mosquitto ended"
            with socket.socket() as probe:
                answered = probe.connect_ex(("127.0.0.1", port)) == 0
        yield port
    finally:
        process.terminate()
        process.wait(WAIT_S)


def received(listener: Collector, count: int) -> list[tuple[str, bytes]]:
    """Return what the listener has got once there are `count` messages."""
    deadline_s = time.monotonic() + WAIT_S
    while len(listener.queue) < count:
        assert time.monotonic() < deadline_s, f"{len(listener.queue)} of {count} arrived"
        listener.arrived.wait(0.1)
        listener.arrived.clear()
    return [(message.topic, message.payload) for message in listener.queue]


def run(path: Path, port: int, options: ReplayOptions) -> Played:
    """Replay over the real network."""
    _, played = replay(
        path,
        options,
        connect=lambda: Publisher(Endpoint(port=port)),
        console=Console(file=io.StringIO()),
    )
    return played


def test_a_journal_is_replayed_byte_for_byte(tmp_path: Path, broker_port: int) -> None:
    """Topics, payloads and order survive: spacing in JSON, binary, empty and large ones alike."""
    payloads = [b'{ "ts": 1700000000123, "a":0.10 }', b"", bytes(range(256)), b"x" * 100_000]
    sent = [(f"plant/r{i % 3}", payloads[i % 4]) for i in range(200)]
    writer = JournalWriter(tmp_path / "j", segment_bytes_max=1 << 20)
    entries = [
        (
            START + i * 10**6,
            MessageReceived(topic=topic, payload=payload, received_ns=START + i * 10**6, qos=1),
        )
        for i, (topic, payload) in enumerate(sent)
    ]
    writer.append(entries)
    writer.close()
    with Collector(Endpoint(port=broker_port), ["#"]) as listener:
        played = run(tmp_path / "j", broker_port, ReplayOptions(speed=math.inf, clock_topic=""))
        assert received(listener, 200) == sent
    assert played.messages == 200


def test_a_table_crosses_the_broker_exactly(data_dir: Path, broker_port: int) -> None:
    """Every value of a real recording arrives bit for bit, in order, with the plant's clock."""
    path = data_dir / "weld/good_weld_02-16-23-0081-00.csv"
    options = ReplayOptions(speed=math.inf, rows=(0, 100), batch_rows=10)
    with Collector(Endpoint(port=broker_port), ["plant/#"]) as listener:
        played = run(path, broker_port, options)
        got = received(listener, 10 + played.clock_tags)
    assert played.messages == 10
    rows = [row for topic, p in got if topic == "plant/weld" for row in json.loads(p)["v"]]
    lines = path.read_text(encoding="utf-8").splitlines()[1:101]
    assert rows == [[float(cell) for cell in line.split(",")] for line in lines]
    clock = [json.loads(payload)["ts"] for topic, payload in got if topic == "plant/_clock"]
    assert clock == sorted(clock)
    assert len(clock) == played.clock_tags > 10


def test_a_broker_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which broker did not answer."""
    monkeypatch.setattr("edge.brokers.mqtt.CONNECT_S_MAX", 0.5)
    path = tmp_path / "t.csv"
    path.write_text("Pressure,CO2 Weld Flow,Feed,Primary Weld Current,Wire Consumed,")
    with path.open("a", encoding="utf-8") as file:
        file.write("Secondary Weld Voltage\n1,2,3,4,5,6\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = int(taken.getsockname()[1])
        with pytest.raises(BrokerError, match=f"127.0.0.1:{port}"):
            run(path, port, ReplayOptions())
