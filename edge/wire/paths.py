"""JSON of any other shape: a source says where in it the time, the values and their names are.

    [source.paths]                    {"site": "w1", "machine": {"id": "press7"},
    records = "data.points"            "data": {"at": 1760000000123, "points": [
    asset = "/machine.id"                  {"n": "force", "v": 3.1, "q": "GOOD"},
    time = "/data.at"                      {"n": "heat", "v": 54.2}]}}
    tag = "n"
    value = "v"
    quality = "q"

A path is keys with dots between them, a number is a place in a list; it begins at a record, or with
a slash at the message. `values` is the path of values by tag, instead of tag and value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.wire.quality_codes import da_good
from edge.wire.told import Told

if TYPE_CHECKING:
    from edge.wire.told import Message

_ABSENT: Final = object()


class Paths(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where in a message things are; "" it has none of it."""

    records: str = ""  # a list of records, or one; "": the message is the record
    time: str = ""
    asset: str = ""
    tag: str = ""
    value: str = ""
    values: str = ""  # an object of values by tag
    quality: str = ""
    unit: str = ""

    def fault(self) -> str:
        """What is wrong with them, "" nothing."""
        if self.values and (self.tag or self.value):
            return "paths name values, and tag or value too; name either"
        if not self.values and not (self.tag and self.value):
            return "paths name neither values, nor tag and value"
        paths = msgspec.structs.asdict(self).items()
        empty = [key for key, path in paths if path and "" in path.removeprefix("/").split(".")]
        return f"the path of {empty[0]} has an empty key" if empty else ""


def read_paths(message: Message, paths: Paths) -> list[Told]:
    """Values of a message, by paths. Raises WireError."""
    body = message.json()
    records = _at(body, body, paths.records) if paths.records else body
    if records is _ABSENT:
        raise message.error(f"nothing at {paths.records}, where its records should be")
    found: list[Told] = []
    for one in message.as_list(records, "the records") if isinstance(records, list) else [records]:
        _record(message, body, one, paths, found)
        message.as_list(found, "the records")
    return found


def _record(
    message: Message, body: object, record: object, paths: Paths, found: list[Told]
) -> None:
    def told(path: str) -> Any:  # noqa: ANN401 - whatever a sender sends
        found = _at(body, record, path) if path else None
        return None if found is _ABSENT else found

    where: dict[str, str] = {}
    if paths.asset:
        where["asset"] = message.name(told(paths.asset), f"the asset at {paths.asset}")
    t_ns, good = message.time(told(paths.time)), da_good(told(paths.quality))
    unit = told(paths.unit)
    unit = unit if isinstance(unit, str) else ""
    if paths.values:
        values = message.as_object(told(paths.values), f"what is at {paths.values}")
        message.as_list([*values], paths.values)
        named = [(message.name(tag, "a tag"), one) for tag, one in values.items()]
    else:
        named = [(message.name(told(paths.tag), f"the tag at {paths.tag}"), told(paths.value))]
    for tag, one in named:
        value, text = message.value(one, tag)
        found.append(Told({**where, "name": tag}, t_ns, value, text, good, unit))


def _at(body: object, record: object, path: str) -> object:
    """What is at a path; `_ABSENT` nothing."""
    here = body if path.startswith("/") else record
    for key in path.removeprefix("/").split("."):
        if isinstance(here, dict):
            here = here.get(key, _ABSENT)
        elif isinstance(here, list) and key.isascii() and key.isdigit() and int(key) < len(here):
            here = here[int(key)]
        else:
            return _ABSENT
    return here
