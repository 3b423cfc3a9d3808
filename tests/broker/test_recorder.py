"""Recording from a real broker: byte for byte there and back, without Andon's own outputs."""

from __future__ import annotations

import io
import math
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from andon.options import Broker
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import BrokerError, Collector, Publisher
from edge.errors import ConfigError, JournalError
from edge.recordings.recorder import is_recorded, record
from edge.records import MessageReceived
from edge.storage.journal import MAGIC, read_journal
from edge.storage.journal_records import RECORD_BYTES_MAX
from simulator.replay import ReplayOptions, replay
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.conftest import Mosquitto


def quiet() -> Console:
    """Make a console that shows nothing here."""
    return Console(file=io.StringIO())


class Recorder:
    """`andon record` in a process of its own, recording from the first probe on."""

    def __init__(self, out: Path, broker: Mosquitto, *options: str) -> None:
        command = [sys.executable, "-m", "andon", "record", str(out), "--port", str(broker.port)]
        self._process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"COLUMNS": "200"},
        )
        with Publisher(Endpoint(port=broker.port)) as publisher:

            def first() -> bool:
                publisher.publish("plant/probe", b"")
                publisher.drain()
                assert self._process.poll() is None, "the recorder ended"
                path = out / "00000001.journal"
                return path.exists() and path.stat().st_size > len(MAGIC)

            wait_until(first, what="the first recorded message")

    def end(self, number: signal.Signals | None) -> str:
        """Send a signal, if any, and wait for the clean end; returns what it printed.

        Ctrl-C is the usual end of a recording, so nothing is interrupted.
        """
        if number is not None:
            self._process.send_signal(number)
        output, _ = self._process.communicate(timeout=30)
        assert self._process.returncode == 0, output
        return output.decode()


def recorded(path: Path) -> list[MessageReceived]:
    """Read a recording."""
    found = []
    for entry in read_journal(path):
        assert isinstance(entry.stimulus, MessageReceived)
        assert entry.now_ns == entry.stimulus.received_ns
        found.append(entry.stimulus)
    return found


@pytest.mark.parametrize(
    ("topic", "kept"),
    [
        ("plant/r1", True),
        ("andon/s/status", False),
        ("andon/s/alert/r1/process", False),
        ("andon/s/cmd/anna/ack", True),
        ("andon/s/cmd", False),
        ("andon/s/cmd_result/anna", False),
        ("andon/cmd/anna/ack", False),
        ("andon", True),
        ("andonx/s/status", True),
        ("plant/andon/s/status", True),
    ],
)
def test_only_our_own_outputs_are_left_out(topic: str, kept: bool) -> None:  # noqa: FBT001
    """Commands are inputs; another prefix is another system's."""
    assert is_recorded(topic, "andon") is kept


def test_a_recording_replays_byte_for_byte(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Topics, payloads and order of a plant, its commands included, our outputs not."""
    payloads = [b'{ "ts": 1700000000123, "a":0.10 }', b"", bytes(range(256)), b"x" * 300_000]
    sent = [(f"plant/r{i % 3}", payloads[i % 4]) for i in range(200)]
    sent.append(("andon/s/cmd/anna/ack", b"{}"))
    noise = [("andon/s/status", b"online"), ("andon/s/event/r1", b"{}")]
    out = tmp_path / "out"
    recorder = Recorder(out, mosquitto)
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        for topic, payload in [*sent[:100], *noise, *sent[100:], *noise]:
            publisher.publish(topic, payload)
        publisher.drain()
    wait_until(lambda: len(plain(out)) >= len(sent), what="the recording")
    printed = recorder.end(signal.SIGTERM)
    assert plain(out) == sent
    assert f"{len(recorded(out))} messages recorded" in printed
    with Collector(Endpoint(port=mosquitto.port), ["#"]) as listener:
        _, played = replay(
            out,
            ReplayOptions(speed=math.inf, clock_topic=""),
            connect=lambda: Publisher(Endpoint(port=mosquitto.port)),
            console=quiet(),
        )
        wait_until(lambda: len(listener.queue) >= played.messages, what="the replay")
        heard = [(m.topic, m.payload) for m in listener.queue]
    assert heard == [(m.topic, m.payload) for m in recorded(out)]


def plain(out: Path) -> list[tuple[str, bytes]]:
    """Return what was recorded, probes aside."""
    return [(m.topic, m.payload) for m in recorded(out) if m.topic != "plant/probe"]


def test_retained_messages_are_recorded_as_such(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The flag decides whether an edge may open a job, so a replay needs it."""
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        publisher.publish("plant/r1", b"kept", retain=True)
        publisher.drain()
        out = tmp_path / "out"
        recorder = Recorder(out, mosquitto)
        publisher.publish("plant/r2", b"live", retain=True)
        publisher.drain()
        wait_until(lambda: len(plain(out)) == 2, what="the recording")
    recorder.end(signal.SIGINT)
    assert [(m.payload, m.retain, m.qos) for m in recorded(out) if m.payload] == [
        (b"kept", True, 1),
        (b"live", False, 1),
    ]


def test_a_limit_of_messages_is_exact(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """It ends by itself, with as many as were asked for, of the topics asked for."""
    out = tmp_path / "out"
    recorder = Recorder(out, mosquitto, "--messages", "500", "--topic", "plant/#")
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        for i in range(700):
            publisher.publish("plant/r1", b"%d" % i)
            publisher.publish("other/r1", b"no")
        publisher.drain()
    assert "500 messages recorded" in recorder.end(None)
    assert len(recorded(out)) == 500
    assert all(m.topic.startswith("plant/") for m in recorded(out))


def briefly(out: Path, broker: Mosquitto, topic: str) -> tuple[int, str]:
    """Record for a moment; returns the exit code and what was printed."""
    printed = io.StringIO()
    code = record(
        out,
        Endpoint(port=broker.port),
        filters=(topic,),
        prefix="andon",
        seconds=0.2,
        messages_max=0,
        console=Console(file=printed),
    )
    return code, printed.getvalue()


def test_a_limit_of_time_ends_it(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Where nothing came it says so, and what to look at; the journal is empty of messages."""
    code, printed = briefly(tmp_path / "out", mosquitto, "plant/#")
    assert code == 1
    assert "nothing came on plant/#: check host, port and topic" in printed
    assert recorded(tmp_path / "out") == []


def test_a_recording_of_our_own_outputs_alone_says_so(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The broker and the topic are right, so these would be the wrong things to look at."""
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        publisher.publish("andon/s/status", b"online", retain=True)
        publisher.drain()
    code, printed = briefly(tmp_path / "out", mosquitto, "andon/#")
    assert code == 1
    assert "nothing came on andon/# but Andon's own outputs" in printed


def test_a_recording_that_is_there_is_added_to_and_says_so(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """In silence, two shifts would become one."""
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        publisher.publish("plant/r1", b"kept", retain=True)
        publisher.drain()
    code, printed = briefly(tmp_path / "out", mosquitto, "plant/#")
    assert (code, "adding" in printed) == (0, False)
    code, printed = briefly(tmp_path / "out", mosquitto, "plant/#")
    assert code == 0
    assert "adding to 1 messages that are there" in printed
    assert "1 messages recorded" in printed
    assert len(recorded(tmp_path / "out")) == 2


def test_what_is_too_large_for_a_journal_is_counted(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """It would make the recording unreadable; the rest is recorded."""
    out = tmp_path / "out"
    recorder = Recorder(out, mosquitto)
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        publisher.publish("plant/r1", b"x" * RECORD_BYTES_MAX)
        publisher.publish("plant/r1", b"small")
        publisher.drain()
    wait_until(lambda: plain(out), what="the small message")
    assert "1 too large" in recorder.end(signal.SIGTERM)
    assert plain(out) == [("plant/r1", b"small")]


def test_errors_pass_through(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """No broker, no directory, no password file: each says so, and leaves nothing behind."""

    def attempt(out: Path, *, password_file: Path | None = None) -> None:
        record(
            out,
            Broker(port=mosquitto.port, username="u", password_file=password_file).endpoint(),
            filters=("#",),
            prefix="andon",
            seconds=1.0,
            messages_max=0,
            console=quiet(),
        )

    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.raises(JournalError, match="file"):
        attempt(blocked)
    with pytest.raises(ConfigError, match="none"):
        attempt(tmp_path / "out", password_file=tmp_path / "none")
    mosquitto.stop()
    mosquitto.start(more="allow_anonymous false")
    with pytest.raises(BrokerError, match="refused"):
        attempt(tmp_path / "out")
    assert not (tmp_path / "out").exists()
