"""Tables as plant messages: every value exactly, at its time, in every shape."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import RecordingError
from edge.recordings.mapping import parse_mapping
from edge.recordings.recording import Table, table_messages
from edge.settings import AssetSettings, Source
from edge.storage.journal_table import readings_by_asset
from models.bundles.bundle import Channel

MAPPING = parse_mapping('asset = "a"\n[time]\nperiod_s = 1\n[channels]\nx = {}\n', where="m")


def table_of(t_ns: list[int], values: list[list[float]], context: list[float]) -> Table:
    """Return a table of one context tag and as many channels as `values` is wide."""
    return Table(
        path=Path("t.csv"),
        sha256="",
        mapping=MAPPING,
        asset="r1",
        channels=tuple(Channel(name=f"c {i}", unit="") for i in range(len(values[0]))),
        t_ns=np.array(t_ns, np.int64),
        values=np.array(values, np.float64),
        running=None,
        context={"run": np.array(context, np.float64)},
        labels={"anomaly": np.ones(len(t_ns))},
        truth=None,
        period_ns=10**9,
        has_time=True,
    )


def time_ns(stamp: float | str) -> int:
    """Read a stamp by the documented rule: its magnitude tells its unit."""
    if isinstance(stamp, str):
        return int(np.datetime64(stamp.removesuffix("Z"), "ns").astype(np.int64))
    assert isinstance(stamp, int)
    for below, unit_ns in ((1e11, 10**9), (1e14, 10**6), (1e17, 10**3)):
        if stamp < below:
            return stamp * unit_ns
    return stamp


def read_back(payloads: list[bytes]) -> dict[tuple[int, str], float]:
    """Return every value by time and tag, by a second, naive reading of the three shapes."""
    found: dict[tuple[int, str], float] = {}

    def take(stamp: float | str, tag: str, value: float | None) -> None:
        key = (time_ns(stamp), tag)
        assert key not in found
        found[key] = math.nan if value is None else value

    for payload in payloads:
        body: dict[str, Any] = json.loads(payload)
        if "v" in body:
            for stamp, row in zip(body["ts"], body["v"], strict=True):
                for tag, value in zip(body["tags"], row, strict=True):
                    take(stamp, tag, value)
        elif "tag" in body:
            take(body["ts"], body["tag"], body["value"])
        else:
            for tag, value in body.items():
                if tag != "ts":
                    take(body["ts"], tag, value)
    return found


@given(
    t_ns=st.lists(st.integers(0, 7 * 10**18), min_size=1, max_size=12, unique=True),
    data=st.data(),
    shape=st.sampled_from(["wide", "columnar", "single"]),
    batch_rows=st.integers(1, 5),
)
def test_messages_carry_every_value_exactly(
    t_ns: list[int], data: st.DataObject, shape: str, batch_rows: int
) -> None:
    """However a table is cut and shaped, reading the messages gives its values bit for bit."""
    number = st.floats(allow_infinity=False)
    n = len(t_ns)
    values = data.draw(st.lists(st.tuples(number, number).map(list), min_size=n, max_size=n))
    run = data.draw(st.lists(number, min_size=n, max_size=n))
    table = table_of(t_ns, values, run)
    messages = list(table_messages(table, shape=shape, batch_rows=batch_rows))
    found = read_back([message.payload for message in messages])
    expected = {
        (t, tag): value
        for t, row, state in zip(t_ns, values, run, strict=True)
        for tag, value in zip(("c 0", "c 1", "run"), (*row, state), strict=True)
    }
    assert found.keys() == expected.keys()
    keys = list(expected)
    np.testing.assert_array_equal([found[k] for k in keys], [expected[k] for k in keys])
    assert {message.topic for message in messages} == {"plant/r1"}
    assert not any(b"anomaly" in message.payload for message in messages)


def test_absent_values_are_null() -> None:
    """NaN goes out as null in every shape, never as a number."""
    table = table_of([10**18], [[math.nan]], [1.0])
    for shape in ("wide", "columnar", "single"):
        payload = b"".join(message.payload for message in table_messages(table, shape=shape))
        assert b"null" in payload
        assert b"NaN" not in payload


#  rows      0s   1s   2s   3s   4s
#  batch 2   [0    1]  [2    3]  [4]
#  sent           ^         ^     ^
def test_a_batch_is_sent_at_the_time_of_its_last_row() -> None:
    """A device that collects rows cannot send them before it has them."""
    start = 1_700_000_000 * 10**9
    table = table_of([start + i * 10**9 for i in range(5)], [[1.0]] * 5, [0.0] * 5)
    for shape, each in (("columnar", 1), ("wide", 2)):
        messages = list(table_messages(table, shape=shape, batch_rows=2))
        sent = [(message.t_ns - start) // 10**9 for message in messages]
        assert sent == [1] * each + [3] * each + [4]
        assert messages[0].begin_ns == start


def test_t0_moves_all_rows_alike() -> None:
    """The first row goes to t0, distances stay."""
    table = table_of([5 * 10**18, 5 * 10**18 + 7], [[1.0], [2.0]], [0.0, 0.0])
    messages = list(table_messages(table, t0_ns=10**18, topic="site/{asset}/raw"))
    assert [message.t_ns for message in messages] == [10**18, 10**18 + 7]
    assert [json.loads(m.payload)["ts"] for m in messages] == [10**12, 10**18 + 7]
    assert messages[0].topic == "site/r1/raw"


@pytest.mark.parametrize(("shape", "batch_rows"), [("tall", 1), ("wide", 0)])
def test_unknown_shapes_and_empty_batches_are_refused(shape: str, batch_rows: int) -> None:
    """The message lists what there is."""
    table = table_of([10**18], [[1.0]], [0.0])
    with pytest.raises(RecordingError, match="expected"):
        next(table_messages(table, shape=shape, batch_rows=batch_rows))


def test_a_table_as_sparkplug_is_read_back_exactly() -> None:
    """A birth, then a message a row by alias; the same rows as those of JSON, nulls included."""
    values = [[0.1, math.nan], [-2.5, 1e300], [math.nan, 3.0]]
    table = table_of([10**18 + i * 10**9 for i in range(3)], values, [1.0, 1.0, 0.0])
    topic = "spBv1.0/g/+/n/{asset}"
    messages = list(table_messages(table, shape="sparkplug", topic=topic))
    assert [message.topic.split("/")[2] for message in messages] == ["DBIRTH", *["DDATA"] * 3]
    assets = (AssetSettings(id=table.asset),)
    told, wanted = (
        readings_by_asset(given, sources=(source,), assets=assets).readings[table.asset]
        for given, source in (
            (messages, Source(topic=topic, format="sparkplug")),
            (table_messages(table), Source()),
        )
    )
    assert len(told) == len(wanted) + 1
    for one, other in zip(told[1:], wanted, strict=True):
        assert one.tags == other.tags
        assert one.t_ns.tolist() == other.t_ns.tolist()
        np.testing.assert_array_equal(one.values, other.values)


def test_sparkplug_needs_a_level_for_its_kinds_and_whole_milliseconds() -> None:
    """Else its births would be nowhere, or its times others."""
    table = table_of([10**18], [[1.0]], [1.0])
    with pytest.raises(RecordingError, match="DBIRTH"):
        list(table_messages(table, shape="sparkplug"))
    table = table_of([10**18 + 1], [[1.0]], [1.0])
    with pytest.raises(RecordingError, match="millisecond"):
        list(table_messages(table, shape="sparkplug", topic="spBv1.0/g/+/n/{asset}"))
