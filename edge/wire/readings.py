"""Plant payloads: generic JSON in three shapes, recognised by their keys, or a binary block.

    single    {"ts": 1760000000123, "asset": "r1", "tag": "Pressure", "value": 3.1}
    wide      {"ts": 1760000000123, "Pressure": 3.1, "Feed": 2.9, "run_state": 1}
    columnar  {"tags": ["Pressure", "Feed"], "ts": [1760000000000, 1760000001000],
               "v": [[3.1, 2.9], [3.2, 2.8]]}
              {"tags": [...], "t0": 1760000000000, "dt_ms": 1000, "v": [[...], ...]}

or binary, see `edge.wire.block`. Times are numbers, whose size tells seconds, milli-, micro- or
nanoseconds, or ISO 8601 with a zone; without one the time of arrival counts. null is absent, a text
is kept beside the values. `quality` false or beginning with "bad" or "uncertain" makes the values
of a message absent, and counted.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.batches import Readings
from edge.caps import (
    CLOCK_BYTES_MAX,
    OBJECTS_PER_MESSAGE_MAX,
    PAYLOAD_BYTES_MAX,
    SLOW_VALUES_MAX,
    TAG_CHARS_MAX,
    VALUES_PER_MESSAGE_MAX,
)
from edge.errors import UNREADABLE, WireError
from edge.wire.block import encode_block, is_block, read_block
from edge.wire.columns import read_columns
from edge.wire.stamps import nanoseconds_beyond, unit_ns_of
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from numpy.typing import NDArray

SHAPES: Final = ("single", "wide", "columnar", "block")
TIME_KEYS: Final = ("ts", "timestamp", "time", "t")  # the first that is there; others are tags
ASIDE: Final = frozenset({"asset", "quality", "unit", "units", "seq"})
RESERVED: Final = ASIDE.union(TIME_KEYS)
BAD: Final = ("bad", "uncertain")  # how the words of a doubtful quality begin, in any case
# Until the year 2255: seven years below the end of int64, so that sums with periods and waits stay
# inside.
T_NS_MIN: Final = 0
T_NS_MAX: Final = 9_000_000_000 * 10**9
_DECODER: Final = msgspec.json.Decoder()

Text = tuple[str, int, str]  # tag, t_ns, value


def decode_readings(
    payload: bytes, *, topic: str, asset: str, received_ns: int
) -> tuple[Readings, ...]:
    """Read one message. `asset` is what the topic says, "" if nothing.

    The payload may say it instead.

    Raises WireError, and only WireError, for anything a sender can do wrong.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise WireError(
            f"{len(payload)} B, more than {PAYLOAD_BYTES_MAX} B", reason="oversize", topic=topic
        )
    if is_block(payload):
        return (_Message(topic, asset, received_ns).block(payload),)
    if (columns := read_columns(payload)) is not None:
        return (_Message(topic, asset, received_ns).columns(*columns),)
    try:
        body = _DECODER.decode(payload)
    except UNREADABLE as error:
        raise WireError(f"not JSON: {error}", reason="not_json", topic=topic) from error
    bodies = body if isinstance(body, list) else [body]
    if len(bodies) > OBJECTS_PER_MESSAGE_MAX:
        message = f"{len(bodies)} objects, more than {OBJECTS_PER_MESSAGE_MAX}; send columns"
        raise WireError(message, reason="oversize", topic=topic)
    return tuple(_Message(topic, asset, received_ns).read(one) for one in bodies)


def decode_clock(payload: bytes, *, topic: str) -> int:
    """Plant time, ns, of a clock tag: an object with a time. Raises WireError."""
    if len(payload) > CLOCK_BYTES_MAX:
        message = f"{len(payload)} B, more than {CLOCK_BYTES_MAX} B"
        raise WireError(message, reason="oversize", topic=topic)
    try:
        body = _DECODER.decode(payload)
    except UNREADABLE as error:
        raise WireError(f"not JSON: {error}", reason="not_json", topic=topic) from error
    if not isinstance(body, dict) or "ts" not in body:
        raise WireError('no clock tag: expected {"ts": ...}', reason="bad_time", topic=topic)
    return _Message(topic, "", 0).t_ns(body["ts"])


def read_time(stamp: object, *, topic: str) -> int:
    """A time as int ns, as every payload may tell it. Raises WireError."""
    return _Message(topic, "", 0).t_ns(stamp)


def only_tags(readings: Readings, tags: Container[str]) -> Readings:
    """The same readings without other tags than these."""
    keep = [i for i, tag in enumerate(readings.tags) if tag in tags]
    units = readings.units
    return replace(
        readings,
        tags=tuple(readings.tags[i] for i in keep),
        values=readings.values[:, keep],
        texts=tuple(text for text in readings.texts if text[0] in tags),
        units=None if units is None else {tag: unit for tag, unit in units.items() if tag in tags},
    )


class _Message:
    """One JSON object of a message; keeps what every error has to name."""

    def __init__(self, topic: str, asset: str, received_ns: int) -> None:
        self._topic = topic
        self._asset = asset
        self._received_ns = received_ns

    def read(self, body: object) -> Readings:
        """One object of any of the three shapes."""
        if not isinstance(body, dict):
            raise self._error(f"holds a {type(body).__name__}, expected an object", "wrong_shape")
        asset = self._whose(body)
        if "v" in body and "tags" in body:
            return self._columnar(body, asset)
        time_key = next((key for key in TIME_KEYS if key in body), None)
        t_ns = self._received_ns if time_key is None else self.t_ns(body[time_key])
        if "tag" in body and "value" in body:
            self._check_tags([body["tag"]])
            items = {body["tag"]: body["value"]}
        else:
            items = {k: v for k, v in body.items() if k not in ASIDE and k != time_key}
            self._check_tags(items)
        tags = tuple(items)
        texts: list[Text] = []
        row = [self._number(value, tags[i], t_ns, texts) for i, value in enumerate(items.values())]
        return self._readings(
            body, asset, tags, np.array([t_ns], np.int64), np.array([row], np.float64), texts
        )

    def block(self, payload: bytes) -> Readings:
        """A binary block; only the topic says whose it is."""
        asset = self._whose({})
        found = read_block(payload, topic=self._topic, t_ns_min=T_NS_MIN, t_ns_max=T_NS_MAX)
        return Readings(asset=asset, tags=found.tags, t_ns=found.t_ns, values=found.values)

    def columns(self, body: dict[str, Any], values: NDArray[np.float64] | None) -> Readings:
        """Columns whose values (n, k) are read already; None: they cannot be."""
        asset, tags = self._whose(body), body["tags"]
        if values is None:
            return self._columnar(body, asset)
        self._check_columns(tags)
        return self._readings(body, asset, tuple(tags), self._times(body, len(values)), values, [])

    def _whose(self, body: dict[str, Any]) -> str:
        asset = self._asset or body.get("asset", "")
        if not isinstance(asset, str) or not is_asset_id(asset):
            raise self._error("neither topic nor payload names an asset", "no_asset")
        return asset

    def _check_columns(self, tags: list[Any]) -> None:
        self._check_tags(tags)
        if len(set(tags)) != len(tags):
            raise self._error("a tag comes twice", "wrong_shape")

    def _columnar(self, body: dict[str, Any], asset: str) -> Readings:
        tags, rows = body["tags"], body["v"]
        if not isinstance(tags, list):
            raise self._error("tags are not a list of names", "wrong_shape")
        self._check_columns(tags)
        if not isinstance(rows, list) or len(rows) * max(len(tags), 1) > VALUES_PER_MESSAGE_MAX:
            raise self._error(
                f"v is not a list of up to {VALUES_PER_MESSAGE_MAX} values", "wrong_shape"
            )
        if any(not isinstance(row, list) or len(row) != len(tags) for row in rows):
            raise self._error(f"a row of v does not hold {len(tags)} values", "wrong_shape")
        t_ns = self._times(body, len(rows))
        texts: list[Text] = []
        values = self._matrix(rows, tags, t_ns, texts).reshape(len(rows), len(tags))
        return self._readings(body, asset, tuple(tags), t_ns, values, texts)

    def _readings(
        self,
        body: dict[str, Any],
        asset: str,
        tags: tuple[str, ...],
        t_ns: NDArray[np.int64],
        values: NDArray[np.float64],
        texts: list[Text],
    ) -> Readings:
        """The record of a message; what its sender doubts is absent, and counted."""
        bad_quality = 0
        if self._is_bad(body):
            bad_quality = int((~np.isnan(values)).sum()) + len(texts)
            values, texts = np.full_like(values, np.nan), []
        return Readings(
            asset=asset,
            tags=tags,
            t_ns=t_ns,
            values=values,
            texts=tuple(texts),
            units=self._units(body, tags),
            bad_quality=bad_quality,
        )

    def _matrix(
        self, rows: list[Any], tags: list[str], t_ns: NDArray[np.int64], texts: list[Text]
    ) -> NDArray[np.float64]:
        """Values (n, k) of rows of the right length; texts go to `texts`."""
        try:
            # msgspec looks at each value in C; numpy alone would read "3.1" as a number
            numbers = msgspec.convert(rows, list[list[float | bool | None]])
            return np.array(numbers, np.float64)  # None becomes NaN, bool 0 or 1
        except (msgspec.ValidationError, OverflowError):
            self._check_slow(len(rows) * len(tags), "values, and not all of them numbers")
            values = [
                [self._number(value, tag, t, texts) for tag, value in zip(tags, row, strict=True)]
                for t, row in zip(t_ns.tolist(), rows, strict=True)
            ]
            return np.array(values, np.float64)

    def _number(self, value: object, tag: str, t_ns: int, texts: list[Text]) -> float:
        """One value; NaN for null and for a text, which goes to `texts`."""
        if isinstance(value, float):
            return value
        if value is None:
            return math.nan
        if isinstance(value, int):  # and bool
            try:
                return float(value)
            except OverflowError as error:
                raise self._error(f"{tag} is too large", "wrong_type") from error
        if isinstance(value, str) and len(value) <= TAG_CHARS_MAX:
            texts.append((tag, t_ns, value))
            return math.nan
        raise self._error(f"{tag} is a {type(value).__name__}", "wrong_type")

    def _times(self, body: dict[str, Any], n: int) -> NDArray[np.int64]:
        stamps = next((body[key] for key in TIME_KEYS if key in body), None)
        if isinstance(stamps, list | np.ndarray):
            if len(stamps) != n:
                raise self._error(f"{len(stamps)} times for {n} rows", "wrong_shape")
            return self._stamps(stamps)
        if "t0" in body and "dt_ms" in body:
            step = body["dt_ms"]
            if isinstance(step, bool) or not isinstance(step, int | float) or not step > 0:
                raise self._error("dt_ms is not a number above 0", "bad_time")
            begin_ns, step_ns = self.t_ns(body["t0"]), round(Decimal(repr(step)) * 10**6)
            if step_ns < 1 or begin_ns + step_ns * max(n, 1) > T_NS_MAX:
                raise self._error("dt_ms is below 1 ns, or leads out of range", "bad_time")
            return np.arange(begin_ns, begin_ns + step_ns * n, step_ns, dtype=np.int64)
        if n == 1 and stamps is not None:
            return np.array([self.t_ns(stamps)], np.int64)
        raise self._error("columnar rows need ts, or t0 and dt_ms", "bad_time")

    def _stamps(self, stamps: list[Any] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Times (n,) of their stamps; whole numbers of one unit, as they mostly are, at once."""
        whole = isinstance(stamps, np.ndarray) or set(map(type, stamps)) == {int}
        if whole and len(stamps):
            least, most = (
                (stamps.min(), stamps.max())
                if isinstance(stamps, np.ndarray)
                else (min(stamps), max(stamps))
            )
            low, high = int(least), int(most)
            unit_ns = unit_ns_of(low)
            if low >= T_NS_MIN and high * unit_ns <= T_NS_MAX and unit_ns == unit_ns_of(high):
                return np.asarray(stamps, np.int64) * unit_ns
        self._check_slow(len(stamps), "times that are no whole numbers of one unit")
        told = stamps.tolist() if isinstance(stamps, np.ndarray) else stamps
        return np.array([self.t_ns(stamp) for stamp in told], np.int64)

    def _check_slow(self, count: int, what: str) -> None:
        """Raise WireError for more than may be read one by one: all others would wait for it."""
        if count > SLOW_VALUES_MAX:
            raise self._error(f"{count} {what}; expected at most {SLOW_VALUES_MAX}", "oversize")

    def t_ns(self, stamp: object) -> int:
        """A time as int ns. Whole numbers keep every digit.

        Fractions go through their decimal digits.
        """
        if isinstance(stamp, bool):
            raise self._error("time is a boolean", "bad_time")
        if isinstance(stamp, int):
            return self._in_range(stamp * unit_ns_of(stamp))
        if isinstance(stamp, float) and np.isfinite(stamp):
            # a product of floats would be off by up to 128 ns of what the digits say
            return self._in_range(round(Decimal(repr(stamp)) * unit_ns_of(stamp)))
        if isinstance(stamp, str):
            return self._in_range(self._iso(stamp))
        raise self._error(f"time is {stamp!r}", "bad_time")

    def _iso(self, text: str) -> int:
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise self._error(f"time {text[:40]!r} has no zone", "no_zone")
            since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        except (ValueError, OverflowError) as error:  # the years 1 and 9999 may leave the calendar
            raise self._error(f"time is {text[:40]!r}, expected ISO 8601", "bad_time") from error
        whole_us = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
        return whole_us * 1000 + nanoseconds_beyond(text)

    def _in_range(self, t_ns: int) -> int:
        if T_NS_MIN <= t_ns <= T_NS_MAX:
            return t_ns
        raise self._error("time is out of range", "bad_time")

    def _units(self, body: dict[str, Any], tags: tuple[str, ...]) -> dict[str, str] | None:
        units = body.get("units")
        if isinstance(body.get("unit"), str) and len(tags) == 1:
            return {tags[0]: body["unit"]}
        if isinstance(units, dict) and all(isinstance(unit, str) for unit in units.values()):
            return units
        return None

    def _is_bad(self, body: dict[str, Any]) -> bool:
        quality = body.get("quality")
        if isinstance(quality, list | dict):
            raise self._error("quality is one word or boolean for a message", "wrong_type")
        return quality is False or (isinstance(quality, str) and quality.casefold().startswith(BAD))

    def _check_tags(self, tags: Iterable[object]) -> None:
        for tag in tags:
            if not isinstance(tag, str) or not 0 < len(tag) <= TAG_CHARS_MAX:
                raise self._error("a tag has no name, or one that is too long", "wrong_shape")

    def _error(self, message: str, reason: str) -> WireError:
        return WireError(message, reason=reason, topic=self._topic)


def encode_rows(
    tags: Sequence[str],
    t_ns: Sequence[int],
    rows: Sequence[Sequence[float]],
    *,
    shape: str,
    units: dict[str, str] | None = None,
) -> list[bytes]:
    """Rows (n, k) of times t_ns (n,) as payloads of one of SHAPES.

    Every number exactly, NaN is null.

    Tags that mean something else as keys ("t", "unit", ...) cannot go wide: such rows go as columns
    of one. units: by tag, stated in columns only.
    """
    stamps = [time_number(t) for t in t_ns]
    bodies: list[dict[str, Any]]
    if shape == "block" and not any("\0" in tag for tag in tags):  # it ends a name there
        return [encode_block(tags, np.array(t_ns, np.int64), np.array(rows, np.float64))]
    if shape in ("columnar", "block"):
        stated = {"units": units} if units else {}
        bodies = [{"tags": tags, "ts": stamps, "v": rows, **stated}]
    elif shape == "wide" and not _can_go_wide(tags):
        bodies = [
            {"tags": tags, "ts": [ts], "v": [row]} for ts, row in zip(stamps, rows, strict=True)
        ]
    elif shape == "wide":
        bodies = [
            {"ts": ts, **dict(zip(tags, row, strict=True))}
            for ts, row in zip(stamps, rows, strict=True)
        ]
    else:
        bodies = [
            {"ts": ts, "tag": tag, "value": value}
            for ts, row in zip(stamps, rows, strict=True)
            for tag, value in zip(tags, row, strict=True)
        ]
    return [msgspec.json.encode(body) for body in bodies]


def _can_go_wide(tags: Sequence[str]) -> bool:
    named = set(tags)
    return not (named & RESERVED or {"tag", "value"} <= named or {"tags", "v"} <= named)


def time_number(t_ns: int) -> int | str:
    """A time as the shortest number whose size tells its unit, or as ISO 8601 where none would."""
    for unit_ns in (10**6, 10**3, 1):
        number = t_ns // unit_ns
        if t_ns % unit_ns == 0 and unit_ns_of(number) == unit_ns:
            return number
    return f"{np.datetime64(t_ns, 'ns')}Z"
