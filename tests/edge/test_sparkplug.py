"""Sparkplug B payloads: read as protobuf reads them, the same with and without a layout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import WireError
from edge.wire.sparkplug import (
    BOOLEAN,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    OTHER_VALUES,
    T_MS_MAX,
    Metric,
    Payload,
    read_payload,
    signed,
)
from edge.wire.sparkplug_layouts import (
    LEARN_COST,
    Found,
    Layouts,
    alias_of,
    whole_of,
)
from edge.wire.sparkplug_walk import walk
from edge.wire.sparkplug_writing import (
    bytes_field,
    encode_data,
    encode_metric,
    encode_payload,
    number_field,
    varint,
)
from tests.edge.tahu import payload_type

T_MS = 1_760_000_000_123
TIMES = st.one_of(st.integers(T_MS, T_MS + 3), st.integers(0, T_MS_MAX))
FLOATS = st.floats(width=32)
VALUES = st.one_of(
    st.tuples(st.just("int_value"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("long_value"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("float_value"), FLOATS),
    st.tuples(st.just("double_value"), st.floats()),
    st.tuples(st.just("boolean_value"), st.booleans()),
)
ODD_VALUES = st.one_of(
    st.tuples(st.just("string_value"), st.text(max_size=5)),
    st.tuples(st.just("bytes_value"), st.binary(max_size=5)),
)
FIELDS = {
    name: number
    for number, name in enumerate(
        ["int_value", "long_value", "float_value", "double_value", "boolean_value"], 10
    )
} | {"string_value": 15, "bytes_value": 16}


@st.composite
def metrics(draw: st.DrawFn, *, usual: bool) -> Any:  # noqa: ANN401 - protobuf's
    """One metric; usual: nothing that no layout knows."""
    metric = payload_type()().metrics.add()
    if draw(st.booleans()):
        metric.name = draw(st.text(min_size=1, max_size=4))
    else:
        metric.alias = draw(st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1)))
    if draw(st.booleans()):
        metric.datatype = draw(st.integers(0, 21))
    field, value = draw(VALUES if usual else st.one_of(VALUES, ODD_VALUES))
    setattr(metric, field, value)
    if not usual:
        for name in ("is_historical", "is_transient", "is_null"):
            if draw(st.booleans()):
                setattr(metric, name, draw(st.booleans()))
        if draw(st.booleans()):
            metric.properties.keys.extend(["engUnit", "Quality"][: draw(st.integers(1, 2))])
            metric.properties.values.add(type=3, string_value="bar")
            if draw(st.booleans()):
                metric.properties.values.add(type=3, int_value=draw(st.integers(0, 600)))
    return metric


@st.composite
def payloads(draw: st.DrawFn, *, usual: bool) -> Any:  # noqa: ANN401 - protobuf's
    """One message."""
    made = payload_type()()
    if draw(st.booleans()):
        made.timestamp = draw(TIMES)
    timed = draw(st.booleans())
    for metric in draw(st.lists(metrics(usual=usual), min_size=usual, max_size=6)):
        if timed:
            metric.timestamp = draw(TIMES)
        made.metrics.append(metric)
    if draw(st.booleans()):
        made.seq = draw(st.integers(0, 255))
    if not usual and draw(st.booleans()):
        made.uuid = draw(st.text(max_size=3))
    return made


def expected(made: Any) -> Payload:  # noqa: ANN401 - protobuf's
    """What our reader should say of it."""
    told = []
    for one in made.metrics:
        field = one.WhichOneof("value")
        value = getattr(one, field) if field else None
        odd = one.is_null or (field and FIELDS[field] in OTHER_VALUES)
        told.append(
            Metric(
                one.name,
                one.alias if one.HasField("alias") else None,
                one.timestamp if one.HasField("timestamp") else None,
                one.datatype,
                FIELDS[field] if field else 0,
                None if odd else value,
                one.is_historical,
                _good(one),
            )
        )
    return Payload(
        made.timestamp if made.HasField("timestamp") else None,
        made.seq if made.HasField("seq") else None,
        tuple(told),
    )


def _good(one: Any) -> bool:  # noqa: ANN401 - protobuf's
    keys = list(one.properties.keys)
    if "Quality" not in keys:
        return True
    place = keys.index("Quality")
    told = one.properties.values
    return place < len(told) and 192 <= told[place].int_value < 256


def as_told(payload: Payload) -> Any:  # noqa: ANN401
    """The same with NaN as a text, which is like itself."""
    return payload._replace(
        metrics=tuple(
            m._replace(
                value="NaN" if isinstance(m.value, float) and m.value != m.value else m.value
            )
            for m in payload.metrics
        )
    )


@given(made=payloads(usual=False))
def test_it_is_read_as_protobuf_reads_it(made: Any) -> None:  # noqa: ANN401 - protobuf's
    """All fields that count, of any message."""
    found = read_payload(made.SerializeToString(), topic="t")
    assert as_told(found) == as_told(expected(made))


def as_payload(found: Found, long: Payload) -> Payload:
    """What a layout found, in the words of the long way; what it does not tell is taken over."""
    idents = iter(found.idents)
    names, values = found.layout.names, list(found.values)
    for place, field, _ in found.layout.whole:
        values[place] = whole_of(values[place], field)
    each = found.t_ms if len(found.t_ms) == len(names) else found.t_ms * len(names)
    return long._replace(
        metrics=tuple(
            one._replace(
                name=names[i],
                alias=None if names[i] else alias_of(next(idents)),
                t_ms=each[i] if each and one.t_ms is not None else None,
                value=values[i],
            )
            for i, one in enumerate(long.metrics)
        )
    )


@given(first=payloads(usual=True), data=st.data())
def test_a_layout_says_what_the_long_way_says(first: Any, data: st.DataObject) -> None:  # noqa: ANN401
    """Of the message that it was learned from, and of others that fit it."""
    layouts = Layouts()
    layouts.learn(first.SerializeToString())
    found = layouts.read(first.SerializeToString())
    assert found is not None
    assert as_told(as_payload(found, expected(first))) == as_told(expected(first))
    for one in first.metrics:  # the same bytes but for what is free to change
        if not one.name:
            one.alias = _alike(data, one.alias)
        for field in FIELDS:
            if one.HasField(field) and field != "boolean_value":
                value = getattr(one, field)
                whole = isinstance(value, int)
                setattr(one, field, _alike(data, value) if whole else data.draw(FLOATS))
    found = layouts.read(first.SerializeToString())
    assert found is not None
    assert as_told(as_payload(found, expected(first))) == as_told(expected(first))


def _alike(data: st.DataObject, number: int) -> int:
    """Another number of as many bytes, but for those of ten, which have but one bit more."""
    size = len(varint(number))
    low, high = (1 << 7 * (size - 1)) if size > 1 else 0, (1 << 7 * size) - 1
    return data.draw(st.integers(low, min(high, 2**64 - 1 if number >= 2**32 else 2**32 - 1)))


@given(made=st.booleans().flatmap(lambda usual: payloads(usual=usual)), data=st.data())
def test_what_is_garbled_is_refused_and_nothing_else(made: Any, data: st.DataObject) -> None:  # noqa: ANN401
    """Cut, or with a byte changed: a WireError, or a message, and the same by its layout."""
    payload = made.SerializeToString()
    layouts = Layouts()
    layouts.learn(payload)
    if not payload:
        return
    at = data.draw(st.integers(0, len(payload) - 1))
    bits = data.draw(st.sampled_from([0x80, 0x01, 0xFF]))
    garbled = payload[:at]
    if data.draw(st.booleans()):
        garbled += bytes([payload[at] ^ bits]) + payload[at + 1 :]
    quick = layouts.read(garbled)
    try:
        found = read_payload(garbled, topic="t")
    except WireError:
        assert quick is None
    else:
        assert quick is None or as_told(as_payload(quick, found)) == as_told(found)
    layouts.learn(garbled)


@pytest.mark.parametrize("fields", [[FLOAT], [FLOAT, DOUBLE, INT, LONG, BOOLEAN, INT]])
def test_no_flipped_bit_is_read_otherwise_by_a_layout_or_a_walk(fields: list[int]) -> None:
    """Each of a message with every kind of value: refused, left to the long way, or the same."""
    whole = encode_payload(
        [
            encode_metric(alias=100 + 20 * i, t_ms=T_MS, datatype=i % 2, field=field, value=99.0**i)
            for i, field in enumerate(fields)
        ],
        t_ms=T_MS,
        seq=200,
    )
    layouts, quickly = Layouts(), 0
    layouts.learn(whole)
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        quick, walked = layouts.read(bytes(flipped)), walk(bytes(flipped))
        try:
            long = read_payload(bytes(flipped), topic="t")
        except WireError:
            assert quick is None
            assert walked is None
            continue
        if quick is not None:
            quickly += 1
            assert as_told(as_payload(quick, long)) == as_told(long)
        if walked is not None:
            assert walked.aliases == [one.alias for one in long.metrics]
            told = [one.value for one in long.metrics]
            np.testing.assert_array_equal(walked.values, told)
    assert quickly > 40 * len(fields)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x08", "not_sparkplug"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "not_sparkplug"),
        (b"\x12\x05\x08", "not_sparkplug"),
        (b"\x0b\x0c", "not_sparkplug"),
        (b"\x00\x01", "not_sparkplug"),
        (b"\x0d\x00\x00", "not_sparkplug"),
        (bytes_field(2, bytes_field(1, b"\xff")), "not_sparkplug"),
        (number_field(1, T_MS_MAX + 1) + bytes_field(2, b""), "bad_time"),
        (bytes_field(2, number_field(3, T_MS_MAX + 1)), "bad_time"),
        (bytes_field(2, b"") * 20_001, "oversize"),
        (b"\x08\x01" * (1 << 20), "oversize"),
        (b"\x08\x01" * 200_001, "oversize"),
        (bytes_field(2, bytes_field(9, b"\x0a\x00" * 200_000)), "oversize"),
    ],
)
def test_what_is_no_payload_is_refused(payload: bytes, reason: str) -> None:
    """By its reason, whatever is wrong."""
    with pytest.raises(WireError) as error:
        read_payload(payload, topic="t")
    assert error.value.reason == reason


def test_a_time_that_is_not_needed_may_be_any() -> None:
    """Of the payload, where every metric has its own: with a layout or without."""
    metric = encode_metric(alias=1, t_ms=T_MS, value=1.0)
    payload, layouts = encode_payload([metric], t_ms=T_MS_MAX + 1, seq=1), Layouts()
    layouts.learn(payload)
    assert layouts.read(payload) is not None
    assert read_payload(payload, topic="t").metrics[0].t_ms == T_MS


def test_negative_numbers_are_as_wide_as_their_datatype() -> None:
    """However far a sender extends their sign."""
    for datatype, bits in ((1, 8), (2, 16), (3, 32), (4, 64)):
        for wide in {bits, 64}:
            for value in (-1, -(1 << bits - 1), (1 << bits - 1) - 1, 0):
                assert signed(value & (1 << wide) - 1, datatype) == value
    assert signed(255, 5) == 255
    assert signed(1.5, 3) == 1.5


def test_absent_values_are_null_and_doubles_come_back_exactly() -> None:
    """As a replay sends them."""
    found = read_payload(encode_data([0.1, math.nan, 3.0], t_ms=T_MS, seq=7), topic="t")
    told = [(m.alias, m.value, m.t_ms) for m in found.metrics]
    assert told == [(0, 0.1, T_MS), (1, None, T_MS), (2, 3.0, T_MS)]
    assert (found.t_ms, found.seq) == (T_MS, 7)


@given(made=payloads(usual=True), data=st.data())
def test_a_walk_says_what_the_long_way_says(made: Any, data: st.DataObject) -> None:  # noqa: ANN401
    """Of every message that it takes, whole, cut or garbled."""
    usual = data.draw(st.booleans())
    for i, one in enumerate(made.metrics):
        if usual:
            one.ClearField("name")
            one.alias = (i * 97) % 300
            one.timestamp = T_MS
    if usual:
        made.timestamp = T_MS
    payload = bytearray(made.SerializeToString())
    assert (walk(bytes(payload)) is not None) or not usual or _odd(made)
    if payload and data.draw(st.booleans()):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    garbled = bytes(payload[: data.draw(st.integers(0, len(payload)))])
    for told in (made.SerializeToString(), garbled):
        found = walk(told)
        if found is None:
            continue
        long = read_payload(told, topic="t").metrics
        assert found.aliases == [one.alias for one in long]
        assert {found.t_ms} == {one.t_ms for one in long}
        np.testing.assert_array_equal(found.values, [one.value for one in long])
        places = [(i, one.datatype) for i, one in enumerate(long) if one.field in (INT, LONG)]
        assert found.whole == places
        assert not any(one.name or one.historical or not one.good for one in long)


def _odd(made: Any) -> bool:  # noqa: ANN401 - protobuf's
    """Whether a field is longer than a walk expects it."""
    return any(one.HasField("datatype") and one.datatype > 127 for one in made.metrics)


def test_layouts_do_not_fill_the_memory() -> None:
    """Messages that are never alike are hardly learned, and make room for one that comes again."""
    layouts, learned = Layouts(), 0
    for alias in range(3_000):
        name = f"n{alias:05d}"
        metric = encode_metric(name=name, t_ms=T_MS, field=INT, value=1.0)
        payload = encode_payload([metric], t_ms=T_MS, seq=1)
        layouts.learn(payload)
        learned += layouts.read(payload) is not None
    assert learned < 100
    assert sum(map(len, layouts.known.values())) <= 8
    payload = encode_data([1.0] * 3, t_ms=T_MS, seq=1)
    for _ in range(LEARN_COST):
        layouts.learn(payload)
    assert layouts.read(payload) is not None


def test_layouts_of_large_messages_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more bytes are kept than may be, however long messages are."""
    monkeypatch.setattr("edge.wire.sparkplug_layouts.KEPT_BYTES_MAX", 20_000)
    layouts = Layouts()
    for k in range(100, 500, 10):
        payload = encode_data([1.0] * k, t_ms=T_MS, seq=1)
        for _ in range(LEARN_COST):
            layouts.learn(payload)
        assert layouts.read(payload) is not None
        assert sum(n * len(some) for n, some in layouts.known.items()) <= 20_000
