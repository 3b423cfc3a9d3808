"""Blocks of fast waveforms: one message carries the samples of a second or so.

JSON, as vibration gateways and condition monitoring services exchange it:

    {"t": 1760000000123, "rate_hz": 12800, "values": [0.12, ...], "rpm": 1480.2, "unit": "m/s2"}

`values` may be called data, value or samples, or hold base64 of little endian samples of `dtype`;
instead of a rate the distance of two samples in seconds may be told (samplingInterval, spacing,
dt_s). A list holds one such object. Times may also be called timestamp or dateTime. Binary: samples
alone, float32 or int16, little endian, or after one line of JSON with the rest. Rate and unit that
are told must be the configured ones.
"""

from __future__ import annotations

import binascii
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.caps import BLOCK_SAMPLES_MAX, PAYLOAD_BYTES_MAX
from edge.errors import UNREADABLE, WireError
from edge.samples.waveform_settings import UNITS
from edge.wire.readings import TIME_KEYS, read_time

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edge.samples.waveform_settings import Waveform

    Samples = NDArray[Any]  # float64 of JSON, float32 or int16 as sent

VALUE_KEYS: Final = ("values", "data", "value", "samples")
RATE_KEYS: Final = ("rate_hz", "sample_rate", "sampleRate", "samplingRate", "fs")
STEP_KEYS: Final = ("samplingInterval", "spacing", "dt_s")
UNIT_KEYS: Final = ("unit", "amplitudeUnit")
STAMP_KEYS: Final = (*TIME_KEYS, "dateTime")
FLOAT32: Final = np.dtype("<f4")
INT16: Final = np.dtype("<i2")
HEADER_BYTES_MAX: Final = 4096
INT16_MAX: Final = 32_767
RATE_SHARE: Final = 1e-3  # crystals are off by a tenth of that; another rate is another spectrum
SPELLINGS: Final = {"m/s^2": "m/s2", "m/s²": "m/s2", "mm/s^2": "mm/s2", "G": "g"}
_DECODER: Final = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one message holds. values: (n,) float32 in m/s2. rpm: NaN: not told.

    begin_ns, end_ns: plant time of the first sample, and of the one that would come next.
    full: (n,) samples at the end of what the sensor can show. timed: the message told its time.
    """

    values: NDArray[np.float32]
    full: NDArray[np.bool_]
    begin_ns: int
    end_ns: int
    rpm: float
    timed: bool


def decode_block(payload: bytes, form: Waveform, *, topic: str, received_ns: int) -> Sent:
    """Read one message. Without a time in it the block ended when it came.

    Raises WireError, and only WireError, for anything a sender can do wrong.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        message = f"{len(payload)} B, more than {PAYLOAD_BYTES_MAX} B"
        raise WireError(message, reason="oversize", topic=topic)
    body, samples = _parts(payload, form, topic)
    raw = _samples(body, samples, form, topic)
    _check_rate(body, form, topic)
    _check_unit(body, form, topic)
    if not len(raw) or len(raw) % form.block or len(raw) > BLOCK_SAMPLES_MAX:
        message = f"{len(raw)} samples, expected blocks of {form.block}"
        raise WireError(message, reason="block_length", topic=topic)
    # float64 here: a large count times a small scale keeps its digits
    with np.errstate(over="ignore", invalid="ignore"):  # a sender's NaN may be a signalling one
        values = raw.astype(np.float64) * form.scale
    limit = form.full_scale * (1.0 - RATE_SHARE) if form.full_scale else math.inf
    with np.errstate(invalid="ignore"):
        full = np.abs(values) >= limit
    if raw.dtype == INT16:
        full |= np.abs(raw.astype(np.int32)) >= INT16_MAX
    stamp = next((body[key] for key in STAMP_KEYS if key in body), None)
    span_ns = round(len(raw) * 1e9 / form.rate_hz)
    end_ns = received_ns if stamp is None else read_time(stamp, topic=topic)
    if stamp is not None and form.stamp == "begin":
        end_ns += span_ns
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values * UNITS[form.unit]).astype(np.float32)
    return Sent(
        values=scaled,
        full=full,
        begin_ns=end_ns - span_ns,
        end_ns=end_ns,
        rpm=_number(body, ("rpm",), topic),
        timed=stamp is not None,
    )


def encode_block(
    values: NDArray[np.float32], *, t_ns: int, rate_hz: float, rpm: float = math.nan
) -> bytes:
    """One line of JSON and float32 samples (n,), as `decode_block` reads them with a header."""
    told: dict[str, Any] = {"ts": t_ns, "rate_hz": rate_hz}
    if math.isfinite(rpm):
        told["rpm"] = rpm
    return msgspec.json.encode(told) + b"\n" + values.astype("<f4").tobytes()


def _parts(payload: bytes, form: Waveform, topic: str) -> tuple[dict[str, Any], bytes]:
    """The JSON of a message and the bytes behind it."""
    head, samples = payload, b""
    if form.encoding != "json":
        if not form.header:
            return {}, payload
        head, line, samples = payload[:HEADER_BYTES_MAX].partition(b"\n")
        if not line:
            message = f"no line of JSON in the first {HEADER_BYTES_MAX} B; set header = false?"
            raise WireError(message, reason="not_json", topic=topic)
        samples = payload[len(head) + 1 :]
    try:
        body = _DECODER.decode(head)
    except UNREADABLE as error:
        raise WireError(f"not JSON: {error}", reason="not_json", topic=topic) from error
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        message = f"holds a {type(body).__name__}, expected one object"
        raise WireError(message, reason="wrong_shape", topic=topic)
    return body, samples


def _samples(body: dict[str, Any], samples: bytes, form: Waveform, topic: str) -> Samples:
    """Samples as they were sent (n,)."""
    if form.encoding != "json":
        return _binary(samples, form.encoding, topic)
    keys = (form.key,) if form.key else VALUE_KEYS
    held = next((body[key] for key in keys if key in body), None)
    if isinstance(held, str):
        try:
            decoded = binascii.a2b_base64(held, strict_mode=True)
        except (binascii.Error, ValueError) as error:
            raise WireError(f"no base64: {error}", reason="wrong_shape", topic=topic) from error
        return _binary(decoded, str(body.get("dtype", "float32")), topic)
    try:
        return np.array(msgspec.convert(held, list[float | None]), np.float64)
    except (msgspec.ValidationError, OverflowError) as error:
        message = f"no list of numbers under {' or '.join(keys)}: {error}"
        raise WireError(message, reason="wrong_shape", topic=topic) from error


def _binary(samples: bytes, encoding: str, topic: str) -> Samples:
    size = {"float32": FLOAT32.itemsize, "int16": INT16.itemsize}.get(encoding)
    if size is None or len(samples) % size:
        message = f"{len(samples)} B are no samples of {encoding}, expected float32 or int16"
        raise WireError(message, reason="block_length", topic=topic)
    return np.frombuffer(samples, INT16 if encoding == "int16" else FLOAT32)


def _check_rate(body: dict[str, Any], form: Waveform, topic: str) -> None:
    rate_hz, step_s = _number(body, RATE_KEYS, topic), _number(body, STEP_KEYS, topic)
    if step_s <= 0.0:
        message = f"samples {step_s:g} s apart, expected more than 0"
        raise WireError(message, reason="block_rate", topic=topic)
    if math.isnan(rate_hz):
        rate_hz = 1.0 / step_s  # NaN: neither was told
    if abs(rate_hz - form.rate_hz) > RATE_SHARE * form.rate_hz:
        message = f"{rate_hz:g} samples a second, configured are {form.rate_hz:g}"
        raise WireError(message, reason="block_rate", topic=topic)


def _check_unit(body: dict[str, Any], form: Waveform, topic: str) -> None:
    unit = next((body[key] for key in UNIT_KEYS if key in body), form.unit)
    if not isinstance(unit, str) or SPELLINGS.get(unit, unit) != form.unit:
        message = f"samples in {unit!r}, configured is {form.unit!r}"
        raise WireError(message, reason="wrong_unit", topic=topic)


def _number(body: dict[str, Any], keys: tuple[str, ...], topic: str) -> float:
    """The first of the keys that is there; NaN: none is."""
    key = next((key for key in keys if key in body), None)
    value = math.nan if key is None else body[key]
    try:
        number = float(value) if isinstance(value, int | float) else math.inf
    except OverflowError:
        number = math.inf
    if isinstance(value, bool) or math.isinf(number):
        raise WireError(f"{key} is no number", reason="wrong_type", topic=topic)
    return number
