"""Blocks of fast waveforms on the wire: every form that gateways send, and everything else."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import WireError
from edge.samples.waveform_settings import Waveform
from edge.wire.waveform import decode_block, encode_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.wire.waveform import Sent

N: Final = 128
RATE: Final = 1024.0
BEGIN: Final = 1_760_000_000_123_000_000
SPAN: Final = N * 10**9 // 1024
NOW: Final = BEGIN + 10**9
PLAIN: Final = Waveform(tag="v", topic="p/v", rate_hz=RATE, block=N, rpm=1500.0)
WAVE: Final = (np.arange(N, dtype=np.float32) - 60.0) / 8.0


def _form(**changed: Any) -> Waveform:  # noqa: ANN401 - as its fields are
    return msgspec.structs.replace(PLAIN, **changed)


def _decode(payload: bytes, form: Waveform = PLAIN) -> Sent:
    return decode_block(payload, form, topic="p/v", received_ns=NOW)


def _json(values: object = WAVE.tolist(), **more: object) -> bytes:
    return msgspec.json.encode({"t": BEGIN, "values": values, **more})


BASE64: Final = base64.b64encode(WAVE.astype("<f4").tobytes()).decode()


@pytest.mark.parametrize(
    "payload",
    [
        _json(rate_hz=RATE),
        _json(sampleRate=1024, unit="m/s2"),
        msgspec.json.encode([{"timestamp": BEGIN // 1000, "spacing": 1 / RATE, "number": N,
                              "amplitudeUnit": "m/s^2", "data": WAVE.tolist()}]),
        msgspec.json.encode({"dateTime": "2025-10-09T08:53:20.123Z", "assetId": "A1000",
                             "samplingInterval": 0.0009765625, "value": WAVE.tolist()}),
        _json(values=BASE64, dtype="float32"),
    ],
)  # fmt: skip
def test_the_forms_in_which_gateways_send_blocks_say_the_same(payload: bytes) -> None:
    """Names differ; samples, begin and end do not."""
    sent = _decode(payload)
    assert np.array_equal(sent.values, WAVE)
    assert (sent.begin_ns, sent.end_ns) == (BEGIN, BEGIN + SPAN)
    assert sent.timed
    assert math.isnan(sent.rpm)
    assert not sent.full.any()


def test_binary_blocks_are_little_endian_with_or_without_a_line_of_json() -> None:
    """int16 counts are scaled; a block without any time ended when it came."""
    counts = np.arange(N, dtype="<i2") - 60
    raw = _decode(counts.tobytes(), _form(encoding="int16", scale=0.125))
    assert np.array_equal(raw.values, WAVE)
    assert (raw.begin_ns, raw.end_ns, raw.timed) == (NOW - SPAN, NOW, False)
    headed = encode_block(WAVE, t_ns=BEGIN, rate_hz=RATE, rpm=1480.5)
    sent = _decode(headed, _form(encoding="float32", header=True))
    assert np.array_equal(sent.values, WAVE)
    assert (sent.begin_ns, sent.rpm) == (BEGIN, 1480.5)
    late = _decode(headed, _form(encoding="float32", header=True, stamp="end"))
    assert late.end_ns == BEGIN


def test_units_of_acceleration_become_metres_and_axes_are_told_apart() -> None:
    """0.5 g is 4.903 m/s2; a key names the axis."""
    payload = msgspec.json.encode({"t": BEGIN, "x": [0.5] * N, "z": [-1.0] * N, "unit": "g"})
    assert _decode(payload, _form(key="x", unit="g")).values[0] == pytest.approx(4.903325)
    assert _decode(payload, _form(key="z", unit="g")).values[0] == pytest.approx(-9.80665)


def test_samples_at_full_scale_are_told() -> None:
    """At the ends of int16 by themselves; of floats where the range is configured."""
    counts = np.zeros(N, "<i2")
    counts[[3, 9]] = 32767, -32768
    full = _decode(counts.tobytes(), _form(encoding="int16")).full
    assert np.flatnonzero(full).tolist() == [3, 9]
    sent = _decode(_json(), _form(full_scale=7.5))
    assert np.array_equal(sent.full, np.abs(WAVE) >= 7.5)


@pytest.mark.parametrize(
    ("payload", "form", "reason"),
    [
        (b"{", PLAIN, "not_json"),
        (b"[]", PLAIN, "wrong_shape"),
        (_json(values=[1.0]), PLAIN, "block_length"),
        (_json(values=[]), PLAIN, "block_length"),
        (_json(values=["1"] * N), PLAIN, "wrong_shape"),
        (_json(values="%%"), PLAIN, "wrong_shape"),
        (msgspec.json.encode({"t": BEGIN}), PLAIN, "wrong_shape"),
        (_json(rate_hz=2048), PLAIN, "block_rate"),
        (_json(spacing=1.0), PLAIN, "block_rate"),
        (_json(dt_s=-1), PLAIN, "block_rate"),
        (_json(dt_s=0), PLAIN, "block_rate"),
        (_json(rate_hz="fast"), PLAIN, "wrong_type"),
        (_json(rpm=True), PLAIN, "wrong_type"),
        (_json(rpm=10**400), PLAIN, "wrong_type"),
        (_json(unit="mm/s"), PLAIN, "wrong_unit"),
        (_json(unit=7), PLAIN, "wrong_unit"),
        (msgspec.json.encode({"t": "soon", "values": WAVE.tolist()}), PLAIN, "bad_time"),
        (b"123", _form(encoding="int16"), "block_length"),
        (b"\x00" * 9000, _form(encoding="int16", header=True), "not_json"),
        (b" " * (2 << 20), PLAIN, "oversize"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(
    payload: bytes, form: Waveform, reason: str
) -> None:
    """A stable word to count, and the topic."""
    with pytest.raises(WireError, match="p/v") as found:
        _decode(payload, form)
    assert found.value.reason == reason


@given(
    payload=st.binary(max_size=600)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["t", "values", "rate_hz", "rpm", "unit", "x", "spacing", "dtype"]),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ).map(msgspec.json.encode),
    encoding=st.sampled_from(["json", "float32", "int16"]),
    header=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_block_or_a_wire_error(payload: bytes, encoding: str, header: bool) -> None:  # noqa: FBT001
    """And what is taken has whole blocks and an end after its begin."""
    form = _form(encoding=encoding, header=header, block=4)
    try:
        sent = _decode(payload, form)
    except WireError:
        return
    assert len(sent.values) % 4 == 0 < len(sent.values) == len(sent.full)
    assert sent.values.dtype == np.float32
    assert sent.begin_ns < sent.end_ns


@given(
    values=st.lists(st.floats(width=32, allow_infinity=True), min_size=N, max_size=N),
    t_ns=st.integers(10**18, 2 * 10**18),
    rpm=st.floats(0.0, 1e5),
)
@settings(max_examples=50, deadline=None)
def test_what_is_encoded_is_decoded_exactly(values: list[float], t_ns: int, rpm: float) -> None:
    """Samples, time and speed, NaN and infinity included."""
    block: NDArray[np.float32] = np.array(values, np.float32)
    payload = encode_block(block, t_ns=t_ns, rate_hz=RATE, rpm=rpm)
    sent = _decode(payload, _form(encoding="float32", header=True))
    assert np.array_equal(sent.values, block, equal_nan=True)
    assert (sent.begin_ns, sent.rpm) == (t_ns, rpm)
