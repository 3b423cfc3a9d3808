"""Influx line protocol, as Telegraf and others send it: a line a point, times in any unit.

    press,host=press7,line=l1 force=3.1,heat=54i,run=true,state="RUN" 1760000000000000000

Commas, blanks and equals signs of names are escaped with a backslash, as are quotes of texts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from edge.caps import SLOW_VALUES_MAX
from edge.wire.told import Told, as_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.wire.told import Message

_NAME: Final = r"(?:\\.|[^\\,= \n])+"
_TEXT: Final = r'"(?:\\.|[^"\\])*"'
_HEAD: Final = re.compile(rf"((?:\\.|[^\\, \n])+)((?:,{_NAME}={_NAME})*) +")
_TAG: Final = re.compile(rf",({_NAME})=({_NAME})")
_FIELD: Final = re.compile(rf"({_NAME})=({_TEXT}|[^\s,\"]+)(,|(?=\s|$))")
_STAMP: Final = re.compile(r"[ \t]*(-?\d{1,20})?[ \t\r]*(?:\n|$)")
_ESCAPED: Final = re.compile(r"\\([,= \\\"])")
_BOOLEANS: Final = {
    "t": 1.0, "T": 1.0, "true": 1.0, "True": 1.0, "TRUE": 1.0,
    "f": 0.0, "F": 0.0, "false": 0.0, "False": 0.0, "FALSE": 0.0,
}  # fmt: skip


def read_line_protocol(message: Message) -> list[Told]:
    """Fields of all lines. Raises WireError."""
    message.check_size()
    try:
        text = message.payload.decode()
    except UnicodeDecodeError as error:
        raise message.error(f"no line protocol: {error}", "not_line_protocol") from error
    found: list[Told] = []
    at = 0
    while at < len(text):
        if text[at] == "#":  # a comment
            end = text.find("\n", at)
            at = len(text) if end < 0 else end + 1
        elif text[at].isspace():
            at += 1
        else:
            at = _line(message, text, at, found)
        if len(found) > SLOW_VALUES_MAX:
            raise message.error(f"more than {SLOW_VALUES_MAX} fields", "oversize")
    if not found:
        raise message.error("no line with a field", "not_line_protocol")
    return found


def _line(message: Message, text: str, at: int, found: list[Told]) -> int:
    """Read the point that begins at a place; returns where it ends."""
    head = _HEAD.match(text, at)
    if head is None:
        raise _garbled(message, text, at)
    where = {_plain(key): _plain(value) for key, value in _TAG.findall(head[2])}
    where["measurement"] = message.name(_plain(head[1]), "a measurement")
    at = head.end()
    fields: list[tuple[str, str]] = []
    for name, field, end in _fields(text, at):
        fields.append((name, field))
        at = end
    stamp = _STAMP.match(text, at) if fields else None
    if stamp is None:
        raise _garbled(message, text, at)
    t_ns = message.time(int(stamp[1])) if stamp[1] else None
    for name, raw in fields:
        value, told = _value(message, raw)
        part = {**where, "name": message.name(_plain(name), "a field")}
        found.append(Told(part, t_ns, value, told))
    return stamp.end()


def _fields(text: str, at: int) -> Iterator[tuple[str, str, int]]:
    while (one := _FIELD.match(text, at)) is not None:
        at = one.end()
        yield one[1], one[2], at
        if not one[3]:
            return


def _value(message: Message, raw: str) -> tuple[float | None, str | None]:
    """A field's value: a float, a whole number with i or u behind it, a boolean, or a text."""
    if raw.startswith('"'):
        return message.value(_plain(raw[1:-1]), "a text")
    if raw in _BOOLEANS:
        return _BOOLEANS[raw], None
    whole = raw[:-1] if raw[-1] in "iu" else ""
    number = as_number(whole if whole.removeprefix("-").isdigit() else raw)
    if number is None:
        raise message.error(f"a field is {raw[:40]!r}, expected a number or a text", "wrong_type")
    return number, None


def _plain(name: str) -> str:
    return _ESCAPED.sub(r"\1", name) if "\\" in name else name


def _garbled(message: Message, text: str, at: int) -> Exception:
    found = text[at : at + 40]
    return message.error(f"no line protocol at character {at}: {found!r}", "not_line_protocol")
