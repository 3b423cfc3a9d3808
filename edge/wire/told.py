"""Values as their senders name them, before anybody knows which asset and tag they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from edge.caps import PAYLOAD_BYTES_MAX, SLOW_VALUES_MAX, TAG_CHARS_MAX
from edge.errors import UNREADABLE, WireError
from edge.wire.readings import read_time

if TYPE_CHECKING:
    from collections.abc import Mapping

_DECODER: Final = msgspec.json.Decoder()


class Told(NamedTuple):
    """One value.

    where: the parts of its name, by what they are called in `edge.wire.formats`. t_ns: None: the
    time of arrival counts. value: None: absent. text: of a value that is one. shift_ns: from the
    time of arrival, where that counts.
    """

    where: Mapping[str, str]
    t_ns: int | None
    value: float | None
    text: str | None = None
    good: bool = True
    unit: str = ""
    shift_ns: int = 0


class Message(NamedTuple):
    """What a reader of a format is given."""

    payload: bytes
    topic: str

    def error(self, message: str, reason: str = "wrong_shape") -> WireError:
        """Why it cannot be used."""
        return WireError(message, reason=reason, topic=self.topic)

    def json(self) -> Any:  # noqa: ANN401 - whatever a sender sends
        """The payload as JSON. Raises WireError."""
        self.check_size()
        try:
            return _DECODER.decode(self.payload)
        except UNREADABLE as error:
            raise self.error(f"not JSON: {error}", "not_json") from error

    def json_object(self) -> dict[str, Any]:
        """The payload as one JSON object. Raises WireError."""
        return self.as_object(self.json(), "the message")

    def check_size(self) -> None:
        """Raise WireError for more bytes than are read."""
        if len(self.payload) > PAYLOAD_BYTES_MAX:
            found = f"{len(self.payload)} B, more than {PAYLOAD_BYTES_MAX} B"
            raise self.error(found, "oversize")

    def as_object(self, found: object, what: str) -> dict[str, Any]:
        """What must be an object. Raises WireError."""
        if not isinstance(found, dict):
            raise self.error(f"{what} is a {type(found).__name__}, expected an object")
        return found

    def as_list(self, found: object, what: str) -> list[Any]:
        """What must be a list of not too many values. Raises WireError."""
        if not isinstance(found, list):
            raise self.error(f"{what} is a {type(found).__name__}, expected a list")
        if len(found) > SLOW_VALUES_MAX:
            expected = f"{len(found)} in {what}, more than {SLOW_VALUES_MAX}"
            raise self.error(expected, "oversize")
        return found

    def name(self, found: object, what: str) -> str:
        """A part of a name: a text, or a number as one. Raises WireError."""
        if isinstance(found, int) and not isinstance(found, bool):
            found = str(found)
        if isinstance(found, str) and 0 < len(found) <= TAG_CHARS_MAX:
            return found
        raise self.error(f"{what} is no name of 1 to {TAG_CHARS_MAX} characters")

    def time(self, stamp: object) -> int | None:
        """A time in ns; None: none is told. Raises WireError."""
        return None if stamp is None else read_time(stamp, topic=self.topic)

    def value(
        self, found: object, what: str, *, quoted: bool = False
    ) -> tuple[float | None, str | None]:
        """A value as a number, or as a text; NaN and infinity are absent.

        quoted: numbers may stand in quotes. Raises WireError.
        """
        if found is None or isinstance(found, float):
            return (found, None) if found is None or math.isfinite(found) else (None, None)
        if isinstance(found, int):  # and bool
            try:
                return float(found), None
            except OverflowError as error:
                raise self.error(f"{what} is too large", "wrong_type") from error
        if isinstance(found, str) and len(found) <= TAG_CHARS_MAX:
            number = as_number(found) if quoted else None
            return (None, found) if number is None else (number, None)
        raise self.error(f"{what} is a {type(found).__name__}", "wrong_type")


def as_number(text: str) -> float | None:
    """A number that stands in quotes; None: it is a text. No NaN, no infinity, no blanks inside."""
    try:
        found = float(text) if "_" not in text and text == text.strip() else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None
