"""Plant payloads: whatever is accepted keeps its promise, everything else is a WireError."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caps import OBJECTS_PER_MESSAGE_MAX, PAYLOAD_BYTES_MAX, VALUES_PER_MESSAGE_MAX
from edge.errors import WireError
from edge.wire.readings import (
    SHAPES,
    T_NS_MAX,
    TIME_KEYS,
    decode_readings,
    encode_rows,
    time_number,
)

if TYPE_CHECKING:
    from edge.batches import Readings

NOW: Final = 1_760_000_000 * 10**9
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "ts",
        "t",
        "t0",
        "dt_ms",
        "tags",
        "v",
        "tag",
        "value",
        "asset",
        "quality",
        "unit",
        "units",
        "x",
    ]
)
STAMPS = st.sampled_from(
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01.²Z", 2**63, 1e300, -1]
)
NUMBERS = st.floats(allow_nan=True, allow_infinity=False)
TAGS = st.text(st.characters(codec="utf-8", categories=None), min_size=1, max_size=20)


def decode(body: object, *, asset: str = "r1") -> Readings:
    """Decode one object."""
    (readings,) = decode_readings(
        json.dumps(body).encode(), topic="plant/r1", asset=asset, received_ns=NOW
    )
    return readings


def refusal(body: object, *, asset: str = "r1") -> str:
    """Return the reason for which a body is refused."""
    with pytest.raises(WireError) as caught:
        decode(body, asset=asset)
    return caught.value.reason


def check(readings: Readings) -> None:
    """Assert what the rest of the gateway takes for granted."""
    assert readings.t_ns.dtype == np.int64
    assert readings.t_ns.ndim == 1
    assert readings.values.dtype == np.float64
    assert readings.values.shape == (len(readings.t_ns), len(readings.tags))
    assert len(set(readings.tags)) == len(readings.tags)
    assert all(readings.tags)
    assert ((readings.t_ns >= 0) & (readings.t_ns <= T_NS_MAX)).all()
    assert 0 < len(readings.asset) <= 64
    assert all(tag in readings.tags for tag, _, _ in readings.texts)


def feed(payload: bytes) -> None:
    """Decode anything: Readings that keep their promise, or a WireError."""
    for asset in ("r1", ""):
        try:
            found = decode_readings(payload, topic="plant/r1", asset=asset, received_ns=NOW)
        except WireError as error:
            assert (error.topic, bool(error.reason)) == ("plant/r1", True)  # noqa: PT017 - one of two
        else:
            for readings in found:
                check(readings)


@given(st.binary(max_size=200))
def test_any_bytes_are_readings_or_a_wire_error(payload: bytes) -> None:
    """Garbage raises WireError and nothing else."""
    feed(payload)


@given(JSON)
def test_any_json_is_readings_or_a_wire_error(body: object) -> None:
    """Neither does JSON of any shape."""
    feed(json.dumps(body).encode())


@given(st.dictionaries(KEYS, JSON | STAMPS) | st.lists(st.dictionaries(KEYS, JSON), max_size=3))
def test_any_use_of_our_keys_is_readings_or_a_wire_error(body: object) -> None:
    """Known keys with values of any type reach every branch of the decoder."""
    feed(json.dumps(body).encode())


@given(
    tags=st.lists(TAGS, min_size=1, max_size=5, unique=True),
    t_ns=st.lists(st.integers(0, T_NS_MAX), min_size=1, max_size=6),
    shape=st.sampled_from(SHAPES),
    draw=st.data(),
)
def test_rows_survive_the_wire_exactly(
    tags: list[str], t_ns: list[int], shape: str, draw: st.DataObject
) -> None:
    """Every value, bit for bit, and every nanosecond; NaN goes as null and comes back as NaN."""
    rows = [draw.draw(st.lists(NUMBERS, min_size=len(tags), max_size=len(tags))) for _ in t_ns]
    sent: dict[tuple[int, str], list[float]] = {}
    for payload in encode_rows(tags, t_ns, rows, shape=shape):
        assert b":NaN" not in payload
        for found in decode_readings(payload, topic="p", asset="r1", received_ns=0):
            check(found)
            for i, t in enumerate(found.t_ns.tolist()):
                for j, tag in enumerate(found.tags):
                    sent.setdefault((t, tag), []).append(float(found.values[i, j]))
    expected: dict[tuple[int, str], list[float]] = {}
    for t, row in zip(t_ns, rows, strict=True):
        for tag, value in zip(tags, row, strict=True):
            expected.setdefault((t, tag), []).append(value)
    assert {k: repr(v) for k, v in sent.items()} == {k: repr(v) for k, v in expected.items()}


@pytest.mark.parametrize("tags", [[*TIME_KEYS], ["unit", "seq"], ["tag", "value"], ["tags", "v"]])
@pytest.mark.parametrize("shape", SHAPES)
def test_tags_named_like_our_keys_survive(tags: list[str], shape: str) -> None:
    """A column called `t` is a column, in every shape."""
    found: dict[str, float] = {}
    for payload in encode_rows(tags, [NOW], [[float(i) for i in range(len(tags))]], shape=shape):
        for readings in decode_readings(payload, topic="p", asset="r1", received_ns=0):
            assert readings.t_ns.tolist() == [NOW]
            found |= dict(zip(readings.tags, readings.values[0].tolist(), strict=True))
    assert found == {tag: float(i) for i, tag in enumerate(tags)}


@pytest.mark.parametrize(
    ("stamp", "t_ns"),
    [
        (1_760_000_000, 1_760_000_000 * 10**9),
        (1_760_000_000_123, 1_760_000_000_123 * 10**6),
        (1_760_000_000_123_456, 1_760_000_000_123_456 * 10**3),
        (1_760_000_000_123_456_789, 1_760_000_000_123_456_789),
        (10**11 - 1, (10**11 - 1) * 10**9 if T_NS_MAX >= (10**11 - 1) * 10**9 else None),
        (10**11, 10**17),
        (10**14 - 1, None),
        (10**14, 10**17),
        (10**17, 10**17),
        (0, 0),
        (1_760_000_000.123, 1_760_000_000_123_000_000),
        (1_760_000_000_123.25, 1_760_000_000_123_250_000),
        (-1, None),
        (2**63, None),
        (True, None),
        (None, None),
        ([1], None),
        ("", None),
        ("yesterday", None),
        ("2026-03-02T06:10:00.123456789Z", 1_772_431_800_123_456_789),
        ("2026-03-02T06:10:00.1234567Z", 1_772_431_800_123_456_700),
        ("2026-03-02T06:10:00.12345678+00:00", 1_772_431_800_123_456_780),
        ("2026-03-02T06:10:00,123456789Z", 1_772_431_800_123_456_789),
        ("2026-03-02T07:10:00.123456789+01:00", 1_772_431_800_123_456_789),
        ("2026-03-02T06:10:00.5Z", 1_772_431_800_500_000_000),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
    ],
)
def test_times_keep_every_digit(stamp: object, t_ns: int | None) -> None:
    """The size of a number tells its unit, ISO keeps nine decimals, anything else is refused."""
    if t_ns is None:
        assert refusal({"ts": stamp, "x": 1}) == "bad_time"
    else:
        assert decode({"ts": stamp, "x": 1}).t_ns.tolist() == [t_ns]


def test_a_time_without_a_zone_is_refused_as_such() -> None:
    """Local time is ambiguous twice a year: the sender has to say."""
    assert refusal({"ts": "2026-03-02T06:10:00", "x": 1}) == "no_zone"
    assert refusal({"ts": "2026-03-02", "x": 1}) == "no_zone"


def test_without_a_time_the_arrival_counts() -> None:
    """Devices without a clock are taken at their arrival."""
    assert decode({"x": 1}).t_ns.tolist() == [NOW]


@given(st.integers(0, T_NS_MAX))
def test_every_time_has_a_number_or_text_of_its_own(t_ns: int) -> None:
    """What `time_number` writes is read back to the nanosecond."""
    assert decode({"ts": time_number(t_ns), "x": 1}).t_ns.tolist() == [t_ns]


@pytest.mark.parametrize(
    ("value", "kept"), [(True, 1.0), (False, 0.0), (None, math.nan), (7, 7.0), (-0.0, -0.0)]
)
def test_booleans_are_numbers_and_null_is_absent(value: object, kept: float) -> None:
    """Switches come as booleans; both wide and columnar take them."""
    assert repr(decode({"x": value}).values[0, 0].item()) == repr(kept)
    columns = decode({"tags": ["x"], "ts": [1_760_000_000], "v": [[value]]})
    assert repr(columns.values[0, 0].item()) == repr(kept)


def test_a_text_is_kept_beside_the_values() -> None:
    """Modes come as texts; their value is absent and the text is there with its time."""
    readings = decode({"ts": 1_760_000_000, "mode": "AUTO", "x": 2})
    assert readings.texts == (("mode", NOW, "AUTO"),)
    assert math.isnan(readings.values[0, 0])
    assert readings.values[0, 1] == 2.0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"x": {"y": 1}}, "wrong_type"),
        ({"x": [1]}, "wrong_type"),
        ({"x": "a" * 500}, "wrong_type"),
        ({"": 1}, "wrong_shape"),
        ({"a" * 500: 1}, "wrong_shape"),
        ({"tag": ["x"], "value": 1}, "wrong_shape"),
        ({"tag": {}, "value": 1}, "wrong_shape"),
        ({"tag": 3, "value": 1}, "wrong_shape"),
        ({"tags": ["x", "x"], "ts": [1], "v": [[1, 2]]}, "wrong_shape"),
        ({"tags": ["x"], "ts": [1, 2], "v": [[1]]}, "wrong_shape"),
        ({"tags": ["x"], "ts": [1], "v": [[1, 2]]}, "wrong_shape"),
        ({"tags": "x", "ts": [1], "v": [[1]]}, "wrong_shape"),
        ({"tags": ["x"], "ts": [1], "v": {}}, "wrong_shape"),
        ({"tags": ["x"], "ts": [1], "v": [["a" * 500]]}, "wrong_type"),
        ({"tags": ["x"], "ts": [1], "v": [[10**400]]}, "wrong_type"),
        ({"x": 10**400}, "wrong_type"),
        ({"x": 1, "quality": ["GOOD"]}, "wrong_type"),
        ({"tags": ["x"], "ts": [1], "v": [[[1]]]}, "wrong_type"),
        ({"tags": ["x"], "v": [[1], [2]]}, "bad_time"),
        ({"tags": ["x"], "t0": 1, "dt_ms": 0, "v": [[1]]}, "bad_time"),
        ({"tags": ["x"], "t0": 1, "dt_ms": True, "v": [[1]]}, "bad_time"),
        ({"tags": ["x"], "t0": 1, "dt_ms": 1e-9, "v": [[1]]}, "bad_time"),
        ({"tags": ["x"], "t0": 1, "dt_ms": 1e300, "v": []}, "bad_time"),
        ({"tags": ["x"], "t0": 1, "dt_ms": 1e300, "v": [[1]]}, "bad_time"),
        (3, "wrong_shape"),
        ([[]], "wrong_shape"),
    ],
)
def test_what_cannot_be_used_is_refused_by_reason(body: object, reason: str) -> None:
    """Nested values, names that are none, rows and times that do not fit."""
    assert refusal(body) == reason


def test_columns_by_start_and_step() -> None:
    """t0 and dt_ms give the times without drift."""
    body: dict[str, Any] = {"tags": ["a"], "t0": 1_760_000_000_000, "dt_ms": 0.1, "v": [[1]] * 50}
    assert decode(body).t_ns.tolist() == [NOW + i * 100_000 for i in range(50)]


def test_the_topic_names_the_asset_before_the_payload() -> None:
    """A payload cannot speak for another asset than its topic; without either it is refused."""
    assert decode({"asset": "r9", "x": 1}).asset == "r1"
    assert decode({"asset": "r9", "x": 1}, asset="").asset == "r9"
    assert refusal({"x": 1}, asset="") == "no_asset"
    assert refusal({"asset": "a/b", "x": 1}, asset="") == "no_asset"
    assert refusal({"asset": 3, "x": 1}, asset="") == "no_asset"


@pytest.mark.parametrize("quality", ["BAD", False, "UNCERTAIN", "BadCommunicationError"])
def test_values_of_bad_quality_are_absent_and_counted(quality: object) -> None:
    """What the sender itself doubts is not scored."""
    one = decode({"quality": quality, "x": 1, "y": None, "mode": "AUTO"})
    assert np.isnan(one.values).all()
    assert (one.texts, one.bad_quality) == ((), 2)
    body = {"quality": quality, "tags": ["x", "y"], "ts": [1, 2], "v": [[1, None], [2, 3]]}
    block = decode(body)
    assert np.isnan(block.values).all()
    assert block.bad_quality == 3


@pytest.mark.parametrize("quality", ["GOOD", True, 192, None])
def test_values_of_any_other_quality_are_taken(quality: object) -> None:
    """Numbers mean the opposite in different systems, so they do not decide."""
    one = decode({"quality": quality, "x": 1})
    assert one.values.tolist() == [[1.0]]
    assert one.bad_quality == 0


def test_only_one_key_is_the_time() -> None:
    """A temperature called `t` beside `ts` is a tag, not lost."""
    one = decode({"ts": 1_760_000_000, "t": 21.5, "time": "08:00"})
    assert one.t_ns.tolist() == [NOW]
    assert one.tags == ("t", "time")
    assert one.values[0, 0] == 21.5
    assert decode({"t": 21.5, "timestamp": 1_760_000_000}).t_ns.tolist() == [NOW]
    assert decode({"t": 1_760_000_000, "x": 1}).t_ns.tolist() == [NOW]


def test_a_text_in_a_column_is_kept_beside_the_values() -> None:
    """A recipe among the columns does not cost the numbers around it."""
    body = {
        "tags": ["x", "recipe"],
        "ts": [1_760_000_000, 1_760_000_001],
        "v": [[1, "A7"], [True, None]],
    }
    block = decode(body)
    assert block.texts == (("recipe", NOW, "A7"),)
    assert repr(block.values.tolist()) == repr([[1.0, math.nan], [1.0, math.nan]])


@given(
    st.lists(
        st.integers(0, T_NS_MAX) | st.integers(0, 10**12) | st.floats(0, 1e10) | st.just(-1),
        max_size=5,
    )
)
def test_times_of_a_block_are_those_of_its_rows(stamps: list[int | float]) -> None:
    """Stamps of mixed units, or one that is none: as if each row had come alone."""
    body = {"tags": ["x"], "ts": stamps, "v": [[1]] * len(stamps)}
    try:
        alone = [int(decode({"ts": stamp, "x": 1}).t_ns[0]) for stamp in stamps]
    except WireError:
        assert refusal(body) == "bad_time"
    else:
        assert decode(body).t_ns.tolist() == alone


def test_units_are_passed_on() -> None:
    """For all tags, or for the only one."""
    assert decode({"unit": "bar", "tag": "x", "value": 1}).units == {"x": "bar"}
    assert decode({"units": {"x": "bar"}, "x": 1, "y": 2}).units == {"x": "bar"}
    assert decode({"units": {"x": 3}, "x": 1}).units is None


def test_caps_hold_to_the_unit() -> None:
    """One byte, value or object more than the cap is refused as such."""
    pad = PAYLOAD_BYTES_MAX - len(b'{"x":1}')
    at_cap = b'{"x":1' + b" " * pad + b"}"
    assert len(decode_readings(at_cap, topic="p", asset="a", received_ns=0)) == 1
    with pytest.raises(WireError) as caught:
        decode_readings(at_cap + b" ", topic="p", asset="a", received_ns=0)
    assert caught.value.reason == "oversize"
    rows = [[1, 1]] * (VALUES_PER_MESSAGE_MAX // 2)
    body = {"tags": ["x", "y"], "t0": 1, "dt_ms": 1, "v": rows}
    assert decode(body).values.size == VALUES_PER_MESSAGE_MAX
    assert refusal(body | {"v": [*rows, [1, 1]]}) == "wrong_shape"
    with pytest.raises(WireError) as caught:
        decode([{"x": 1}] * (OBJECTS_PER_MESSAGE_MAX + 1))
    assert caught.value.reason == "oversize"


def test_a_list_of_objects_is_all_or_nothing() -> None:
    """One bad object refuses its message: half of one would be hard to find."""
    good = {"ts": 1_760_000_000, "x": 1}
    payload = json.dumps([good, good | {"x": 2}]).encode()
    found = decode_readings(payload, topic="p", asset="r1", received_ns=0)
    assert [readings.values[0, 0] for readings in found] == [1.0, 2.0]
    assert refusal([good, 3]) == "wrong_shape"
