"""A journal read as a table: the samples of one asset, as the engine would see them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from edge.errors import RecordingError
from edge.recordings.recording import accepted_rows, journal_messages, read_table, table_messages
from edge.records import MessageReceived, TickDue
from edge.settings import AssetSettings, ContextTag, Source
from edge.storage.journal_table import journal_table, readings_by_asset, sends_numbers
from edge.storage.journal_writer import JournalWriter
from edge.wire.topics import CLOCK_TOPIC
from models.bundles.bundle import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SECOND = 10**9
START = 1_700_000_000 * SECOND


def journal_of(path: Path, messages: Sequence[tuple[int, str, object]]) -> Path:
    """Write a journal of (received_ns, topic, JSON body), with ticks between as a live one has."""
    writer = JournalWriter(path)
    for t_ns, topic, body in messages:
        payload = body if isinstance(body, bytes) else msgspec.json.encode(body)
        received = MessageReceived(topic=topic, payload=payload, received_ns=t_ns)
        writer.append([(t_ns, received), (t_ns, TickDue())])
    writer.close()
    return path


def test_a_replayed_table_comes_back_as_it_was(data_dir: Path, tmp_path: Path) -> None:
    """Table, messages, journal, table: same times, values (as float32) and running state."""
    table = read_table(data_dir / "cnc_mill/experiment_04.csv")
    assert table.mapping is not None
    path = journal_of(
        tmp_path / "j",
        [
            (m.t_ns, m.topic, m.payload)
            for m in table_messages(table, shape="columnar", batch_rows=7)
        ],
    )
    again = journal_table(path, table.mapping.asset_settings(table.asset))
    assert again.t_ns.tolist() == table.t_ns.tolist()
    np.testing.assert_array_equal(again.values, table.values.astype(np.float32))
    assert [channel.name for channel in again.channels] == [c.name for c in table.channels]
    assert again.channels[0].unit == table.channels[0].unit
    assert again.running is not None
    assert table.running is not None
    np.testing.assert_array_equal(again.running, table.running)
    assert again.period_ns == table.period_ns
    part = journal_table(path, table.mapping.asset_settings(table.asset), rows=(100, 400))
    np.testing.assert_array_equal(part.t_ns, table.t_ns[100:400])


def test_tags_that_speak_apart_are_put_on_a_grid(tmp_path: Path) -> None:
    """Single values half a second apart become samples a second apart."""
    messages: list[tuple[int, str, object]] = []
    for i in range(20):
        t = START + i * SECOND
        messages.append((t, "plant/r1", {"ts": t, "tag": "a", "value": i}))
        later = t + SECOND // 2
        messages.append((later, "plant/r1", {"ts": later, "tag": "b", "value": -i}))
    table = journal_table(journal_of(tmp_path / "j", messages), AssetSettings(id="r1"))
    assert table.period_ns == SECOND
    assert set(np.diff(table.t_ns).tolist()) == {SECOND}
    assert table.t_ns[0] % SECOND == 0
    inner = table.values[2:-2]
    assert (np.diff(inner, axis=0) == [1, -1]).all()


def test_other_assets_commands_and_broken_payloads_are_left_out(tmp_path: Path) -> None:
    """Only what can be read and names the asset counts; context tags are not channels."""
    path = journal_of(
        tmp_path / "j",
        [
            (START, "plant/r1", {"ts": START, "a": 1.5, "run": 0}),
            (START, "plant/r2", {"ts": START, "a": 9}),
            (START, "andon/s/cmd/joe/ack", {"ts": START, "alert_id": "x"}),
            (START, "plant/r1", b"{"),
            (START + SECOND, "plant/r1", {"ts": START + SECOND, "a": 2.5, "run": 1}),
        ],
    )
    run = ContextTag(tag="run", role="run")
    table = journal_table(path, AssetSettings(id="r1", context=(run,), units={"a": "bar"}))
    assert table.values.tolist() == [[1.5], [2.5]]
    assert table.running is not None
    assert table.running.tolist() == [False, True]
    assert table.channels == (Channel(name="a", unit="bar"),)
    segment = next(path.iterdir())
    assert table.sha256 == hashlib.sha256(segment.read_bytes()).hexdigest()


def test_channels_and_assets_that_never_spoke_are_named(tmp_path: Path) -> None:
    """The message lists what there is."""
    path = journal_of(tmp_path / "j", [(START, "plant/r1", {"ts": START, "a": 1})])
    with pytest.raises(RecordingError, match="never sent 'b'; it sent a"):
        journal_table(path, AssetSettings(id="r1"), channels=(Channel(name="b", unit=""),))
    with pytest.raises(RecordingError, match="'r9'"):
        journal_table(path, AssetSettings(id="r9"))


def test_rows_that_alignment_keeps_are_known_before(tmp_path: Path) -> None:
    """Repeated and backward rows are the ones that a gateway would count as late."""
    stamps = [0, 10, 10, 5, 20, 15, 30]
    table = tmp_path / "t.csv"
    lines = [f"2024-01-01 00:00:{s:02d},{i}" for i, s in enumerate(stamps)]
    table.write_text("\n".join(["timestamp,value", *lines]), encoding="utf-8")
    assert accepted_rows(read_table(table)).tolist() == [0, 1, 4, 6]


def test_the_clock_of_a_replay_and_our_own_topics_are_no_assets(tmp_path: Path) -> None:
    """A listener of `#` gets them too; what cannot be read is kept with its cause."""
    path = journal_of(
        tmp_path / "j",
        [
            (START, CLOCK_TOPIC, {"ts": START}),
            (START, "plant/r1", {"ts": START, "a": 1.5}),
            (START, "plant/r1", b"{"),
            (START, "plant/notes", b"shift begins"),
            (START, "andon/s/cmd/joe/job", {"asset": "r1", "minutes": 30}),
        ],
    )
    sources = (Source(topic="+/{asset}"), Source(topic="#"))
    heard = readings_by_asset(journal_messages(path), sources=sources, root="andon/s", assets=())
    assert list(heard.readings) == ["r1"]
    assert heard.topics == {"r1": {"plant/r1"}}
    assert list(heard.unread) == ["plant/notes"]
    assert "not JSON" in heard.unread["plant/notes"]


def test_an_asset_without_numbers_is_told_from_the_others(tmp_path: Path) -> None:
    """Texts, nulls and context tags are nothing to fit; asked for alone it is an error."""
    bodies = [{"ts": START, "note": "all well"}, {"ts": START, "a": None}, {"ts": START, "run": 1}]
    path = journal_of(tmp_path / "j", [(START, "plant/r1", body) for body in bodies])
    readings = readings_by_asset(journal_messages(path), assets=()).readings["r1"]
    asset = AssetSettings(id="r1", context=(ContextTag(tag="run", role="run"),))
    assert not sends_numbers(readings, asset)
    assert sends_numbers(readings, AssetSettings(id="r1"))
    with pytest.raises(RecordingError, match="no numbers"):
        journal_table(path, asset)
