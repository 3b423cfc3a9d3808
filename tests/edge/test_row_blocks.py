"""Binary blocks of rows: every number comes back to the bit, and nothing but a block is one."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.caps import TAG_CHARS_MAX, VALUES_PER_MESSAGE_MAX
from edge.errors import WireError
from edge.wire.block import encode_block
from edge.wire.readings import SHAPES, T_NS_MAX, decode_readings, encode_rows
from simulator.publish import shift_payload

NAMES: Final = st.lists(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=9),
    min_size=1,
    max_size=5,
    unique=True,
)
GOLDEN: Final = bytes.fromhex(
    "89414e42010002000300000008000000"  # float32, in steps: 2 tags, 3 rows
    "0000b0d4acc66c180065cd1d00000000"  # 1760000000 s, 0.5 s
    "5000c2b500000000"  # P, the micro sign, zeros
    "000000400000003f0000c07f000000c0000000000000803f"
)  # fmt: skip


def read(payload: bytes, *, asset: str = "r1") -> Any:  # noqa: ANN401
    """The one record of a message."""
    (found,) = decode_readings(payload, topic="plant/r1", asset=asset, received_ns=1)
    return found


@given(data=st.data(), tags=NAMES, exact=st.booleans())
def test_what_is_sent_is_what_is_read(data: st.DataObject, tags: list[str], *, exact: bool) -> None:
    """Names, times in any order, and all numbers that there are."""
    times = st.lists(st.integers(0, T_NS_MAX - 1), max_size=6)
    t_ns = np.array(data.draw(times), np.int64)
    kind = hnp.arrays(np.float64 if exact else np.float32, (len(t_ns), len(tags)))
    values = data.draw(kind)
    found = read(encode_block(tags, t_ns, values, exact=exact))
    assert found.tags == tuple(tags)
    assert found.t_ns.tolist() == t_ns.tolist()
    np.testing.assert_array_equal(found.values, values.astype(np.float64))
    assert found.values.dtype == np.float64
    assert found.values.flags.writeable


def test_a_block_of_always_the_same_bytes() -> None:
    """Gateways in the field go on sending what was documented once."""
    found = read(GOLDEN)
    assert found.tags == ("P", "\u00b5")
    assert found.t_ns.tolist() == [1_760_000_000 * 10**9 + i * 5 * 10**8 for i in range(3)]
    np.testing.assert_array_equal(found.values, [[2.0, 0.5], [np.nan, -2.0], [0.0, 1.0]])
    values = found.values.astype(np.float32)
    assert encode_block(found.tags, found.t_ns, values, exact=False) == GOLDEN


def test_every_shape_says_the_same() -> None:
    """Rows as JSON and as a block are the same readings."""
    tags, t_ns = ["a", "b"], [10**18, 10**18 + 7]
    rows = [[0.1, -2.5], [float("nan"), 1e300]]
    (columns,) = encode_rows(tags, t_ns, rows, shape="columnar")
    (block,) = encode_rows(tags, t_ns, rows, shape="block")
    assert "block" in SHAPES
    one, other = read(columns), read(block)
    assert one.t_ns.tolist() == other.t_ns.tolist()
    assert one.values.tobytes() == other.values.tobytes()


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("t_ns", [[5, 10, 15], [5, 6, 8]])
def test_a_recording_of_blocks_is_played_again_later(t_ns: list[int], *, exact: bool) -> None:
    """As what it was, with other times; what is no block stays as it is."""
    times, values = np.array(t_ns), np.array([[0.5], [np.nan], [-3.0]])
    payload = encode_block(["a"], times, values, exact=exact)
    assert shift_payload(payload, 7) == encode_block(["a"], times + 7, values, exact=exact)
    assert shift_payload(payload[:-1], 7) == payload[:-1]


def changed(at: int, part: bytes) -> bytes:
    """The golden block with other bytes somewhere."""
    return GOLDEN[:at] + part + GOLDEN[at + len(part) :]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (GOLDEN[:31], "wrong_shape"),
        (GOLDEN[:-1], "wrong_shape"),
        (GOLDEN + b"\0", "wrong_shape"),
        (changed(4, b"\2"), "wrong_shape"),
        (changed(5, b"\4"), "wrong_shape"),
        (changed(6, b"\0\0"), "wrong_shape"),
        (changed(8, b"\4"), "wrong_shape"),
        (changed(12, b"\4"), "wrong_shape"),
        (changed(32, b"P\0P\0"), "wrong_shape"),
        (changed(32, b"\0"), "wrong_shape"),
        (changed(39, b"x"), "wrong_shape"),
        (changed(34, b"\xff\xff"), "wrong_shape"),
        (changed(16, b"\xff" * 8), "bad_time"),
        (changed(16, b"\xff" * 7 + b"\x7f"), "bad_time"),
        (changed(24, bytes(8)), "bad_time"),
        (changed(24, b"\xff" * 7 + b"\x7f"), "bad_time"),
        (changed(8, b"\xff" * 4), "oversize"),
        (encode_block(["x" * (TAG_CHARS_MAX + 1)], np.array([1]), np.ones((1, 1))), "wrong_shape"),
        (encode_block(["a"], np.array([1, -1]), np.ones((2, 1))), "bad_time"),
        (encode_block(["a"], np.array([T_NS_MAX + 1, 1]), np.ones((2, 1))), "bad_time"),
    ],
)
def test_what_is_no_block_is_refused_as_a_whole(payload: bytes, reason: str) -> None:
    """By its reason, whatever is wrong."""
    with pytest.raises(WireError) as error:
        read(payload)
    assert error.value.reason == reason


def test_only_the_topic_says_whose_it_is() -> None:
    """Where it does not, nobody knows."""
    with pytest.raises(WireError) as error:
        read(GOLDEN, asset="")
    assert error.value.reason == "no_asset"


@given(
    rows=st.lists(
        st.lists(
            st.one_of(
                st.none(),
                st.floats(allow_nan=False, allow_infinity=False),
                st.integers(-(10**25), 10**25),
                st.sampled_from([True, "text", [], 10**400]),
            ),
            min_size=2,
            max_size=2,
        ),
        max_size=6,
    ),
    good=st.booleans(),
    more=st.sampled_from([{}, {}, {"units": {"a": "bar"}}, {"quality": "bad"}, {"units": 7}]),
)
def test_columns_are_read_as_value_by_value(
    rows: list[list[Any]], more: dict[str, Any], *, good: bool
) -> None:
    """The quick way through columns gives what a list of wide messages of the same rows gives."""
    if good:
        rows = [[0.5 if isinstance(v, str | list) else v for v in row] for row in rows]
    times = [1_760_000_000_000 + i for i in range(len(rows))]
    columns = {"tags": ["a", "b"], "ts": times, "v": rows, **more}
    wide = [
        {"ts": ts, "a": row[0], "b": row[1], **more} for ts, row in zip(times, rows, strict=True)
    ]
    told, expected = outcome(columns), outcome(wide)
    assert told == expected


def outcome(body: object) -> tuple[object, ...]:
    """What a message says, row by row; or why it is refused."""
    try:
        found = decode_readings(msgspec.json.encode(body), topic="t", asset="r1", received_ns=1)
    except WireError as error:
        return (error.reason,)
    return (
        [t for one in found for t in one.t_ns.tolist()],
        b"".join(one.values.tobytes() for one in found),
        [text for one in found for text in one.texts],
        sum(one.bad_quality for one in found),
        {str(one.units) for one in found} if any(len(one.t_ns) for one in found) else set(),
    )


def test_more_values_than_a_message_may_bring_are_too_many() -> None:
    """However few bytes each of them takes."""
    n = VALUES_PER_MESSAGE_MAX + 1
    payload = encode_block(["a"], np.arange(n), np.ones((n, 1)), exact=False)
    with pytest.raises(WireError) as error:
        read(payload)
    assert error.value.reason == "oversize"
