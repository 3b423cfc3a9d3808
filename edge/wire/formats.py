"""Formats of plant payloads: which there are, what reads each, and how its names become ours.

`json` and `sparkplug` have readers of their own (`edge.wire.readings`, `edge.wire.sparkplug`) that
end in arrays without a step between. All others are read value by value (`edge.wire.told`): each
value has a name of several parts, and two templates say which of them are the asset and the tag.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.caps import TAG_CHARS_MAX
from edge.wire.line_protocol import read_line_protocol
from edge.wire.opcua import read_opcua
from edge.wire.plant_json import read_kepware, read_neuron, read_senml, read_telegraf
from edge.wire.scalar import read_scalar
from edge.wire.topics import is_asset_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.wire.told import Message, Told

JSON, SPARKPLUG, DATABUS, PATHS = "json", "sparkplug", "databus", "paths"
NAMES_MAX: Final = 1 << 16  # that one source remembers
_PART: Final = re.compile(r"\{(\w+)\}")


class Format(NamedTuple):
    """How values of a format are named.

    parts: of the name of a value, besides levels of the topic and, of Telegraf and line protocol,
    the keys of its tags. asset, tag: templates where a source has none; asset "" is told by the
    topic or the source.
    """

    parts: tuple[str, ...]
    asset: str = ""
    tag: str = "{name}"


NAMED: Final[dict[str, Format]] = {
    "raw": Format((), tag="{tag}"),
    "paths": Format(("asset", "name")),
    "kepware": Format(("id", "channel", "device", "name", "place", "leaf"), tag="{id}"),
    "databus": Format(("id", "connection", "name"), asset="{connection}"),
    "telegraf": Format(("measurement", "name")),
    "influx": Format(("measurement", "name")),
    "opcua": Format(("publisher", "writer", "node", "name")),
    "senml": Format(("id", "base", "name")),
    "neuron": Format(("node", "group", "name"), asset="{node}"),
}
FORMATS: Final = (JSON, SPARKPLUG, *NAMED)
OPEN: Final = frozenset({"telegraf", "influx"})  # whose names have parts of their sender's choice
# Those that need nothing but the message: databus has metadata, and paths have settings.
READERS: Final[dict[str, Callable[[Message], list[Told]]]] = {
    "raw": read_scalar,
    "kepware": read_kepware,
    "telegraf": read_telegraf,
    "influx": read_line_protocol,
    "opcua": read_opcua,
    "senml": read_senml,
    "neuron": read_neuron,
}


def parts_of(template: str) -> list[str]:
    """The parts that a template names."""
    return _PART.findall(template)


class Names:
    """Assets and tags of one source's values, each name put together once."""

    def __init__(self, format_: str, *, asset: str, tag: str) -> None:
        """Templates "" are those of the format."""
        told = NAMED[format_]
        self._asset, self._tag = asset or told.asset, tag or told.tag
        self._parts = list(dict.fromkeys(parts_of(self._asset) + parts_of(self._tag)))
        self._known: dict[tuple[str, ...], tuple[str, str] | None] = {}

    def of(self, where: Mapping[str, str], levels: Mapping[str, str]) -> tuple[str, str] | None:
        """Asset ("" it does not say) and tag of a value; None: its name lacks a part, or is none.

        levels: what the topic's levels are called; a part of the payload of the same name goes
        before them.
        """
        try:
            key = tuple([where[part] if part in where else levels[part] for part in self._parts])
        except KeyError:
            return None
        if key in self._known:
            return self._known[key]
        if len(self._known) >= NAMES_MAX:
            self._known.clear()
        parts = dict(zip(self._parts, key, strict=True))
        asset, tag = filled(self._asset, parts), filled(self._tag, parts)
        usable = (not asset or is_asset_id(asset)) and 0 < len(tag) <= TAG_CHARS_MAX
        self._known[key] = found = (asset, tag) if usable else None
        return found


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with its parts. Raises KeyError for one that is not there."""
    return _PART.sub(lambda one: parts[one[1]], template)
