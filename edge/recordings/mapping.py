"""Mappings: what the columns of a table mean. One strict TOML file each.

    name = "press"
    asset = "press-07"              # or "{stem}": the file's name without its ending
    delimiter = ";"                 # found out if left away, like decimal and header
    decimal = ","

    [time]                          # or rate_hz = 10, or period_s = 0.1: no time stamps
    column = "Timestamp"            # or several, joined by a blank: ["Date", "Time"]
    format = "iso"                  # or epoch_s, epoch_ms, epoch_us, epoch_ns, "%d.%m.%Y %H:%M:%S"
    zone = "Europe/Berlin"          # where stamps without a zone were written

    [channels]                      # column -> channel and unit
    "Hyd. pressure" = { channel = "pressure", unit = "bar" }
    "Temp 1" = { unit = "degC" }    # the channel is called like the column

    [context]                       # columns that are not scored
    State = { tag = "run_state", role = "run", running = [1], values = { stop = 0, run = 1 } }

    [labels]                        # "fault" rows are faults for a backtest; "mark" rows only marks
    anomaly = "fault"

    ignore = ["Comment"]            # (above the first [section])

A table without a header has columns "1", "2", ... and is matched by `column_count`; with
`transposed = true`, a file of `column_count` lines is taken to be stored lying on its side.
"""

from __future__ import annotations

import difflib
import math
import re
from importlib import resources
from typing import TYPE_CHECKING, Final

import msgspec

from edge.caps import ASSET_CHARS_MAX
from edge.configuration.tables import read_raw
from edge.errors import UNREADABLE, RecordingError
from edge.recordings.mapping_draft import RESERVED_TAGS, draft_mapping, long_format
from edge.samples.timestamps import EPOCH_SCALES_NS, zone_of
from edge.settings import AssetSettings, ContextTag
from edge.wire.topics import is_asset_id
from kb.records import WorkKind

if TYPE_CHECKING:
    from pathlib import Path

    from edge.configuration.tables import RawTable

NAMES_SHOWN_MAX: Final = 60  # of columns, in a message
ASSET_ID_EXPECTED: Final = (
    f"1 to {ASSET_CHARS_MAX} printable characters without / + # and without blanks at its ends"
)
EXAMPLE: Final = (
    'expected lines such as: asset = "line3"; time = { column = "ts" };'
    ' channels = { flow = { unit = "l/min" } }'
)
_ASSET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(?P<key>[^`]*)`")


class TimeColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where time comes from: columns with stamps, or else a fixed rate."""

    column: str | tuple[str, ...] = ()
    format: str = "iso"
    zone: str = ""  # of stamps that carry none; "" is: such stamps are an error
    rate_hz: float | None = None
    period_s: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that make up a time stamp; () where rows come at a fixed rate."""
        return (self.column,) if isinstance(self.column, str) else self.column

    @property
    def period_ns(self) -> int | None:
        """Nanoseconds between rows without time stamps; None where there are stamps."""
        if self.period_s is not None:
            return round(self.period_s * 1e9)
        return None if self.rate_hz is None else round(1e9 / self.rate_hz)


class ChannelColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column that holds a channel."""

    channel: str = ""  # "" is: called like the column
    unit: str = ""  # "" is: not known
    on_change: bool = False  # reported by exception: held while its source is alive


class ContextColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column that holds a context tag. Text becomes a number through `values`, in any case."""

    tag: str = ""  # "" is: called like the column
    role: str = "info"  # run | mode | witness | info
    running: tuple[float, ...] = (1.0,)
    values: dict[str, float] = {}
    kind: WorkKind | None = None
    instrument: str = ""


class LabelWindows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON file with the labelled stretches of many tables: key -> [[first, last], ...].

    `file` is relative to the table; in `key`, {folder} and {file} stand for the table's.
    """

    file: str
    key: str = "{folder}/{file}"


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the columns of a table mean."""

    name: str = ""
    about: str = ""
    asset: str
    delimiter: str = ""
    decimal: str = ""
    header: bool | None = None
    column_count: int | None = None
    transposed: bool = False
    ignore: tuple[str, ...] = ()
    time: TimeColumn
    channels: dict[str, ChannelColumn]
    context: dict[str, ContextColumn] = {}
    labels: dict[str, str] = {}
    label_windows: LabelWindows | None = None

    @property
    def columns(self) -> frozenset[str]:
        """All columns that the mapping names; a table that matches exactly has just these."""
        return frozenset(
            (*self.time.columns, *self.channels, *self.context, *self.labels, *self.ignore)
        )

    def asset_of(self, stem: str) -> str:
        """Return the asset's id for a table called `stem` (the file's name without its ending)."""
        return asset_id(self.asset.replace("{stem}", stem))

    def asset_settings(self, asset: str) -> AssetSettings:
        """Return what a gateway has to know to read this table's messages as `asset`."""
        named = {column: c.channel or column for column, c in self.channels.items()}
        return AssetSettings(
            id=asset,
            units={named[column]: c.unit for column, c in self.channels.items()},
            on_change=tuple(named[column] for column, c in self.channels.items() if c.on_change),
            context=tuple(
                ContextTag(
                    tag=c.tag or column,
                    role=c.role,
                    running=c.running,
                    kind=c.kind,
                    instrument=c.instrument,
                )
                for column, c in self.context.items()
            ),
        )


def asset_id(text: str) -> str:
    """Return `text` as a valid asset id: other characters than A-Z a-z 0-9 . _ - become "-"."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:ASSET_CHARS_MAX].rstrip("-._")
    return cleaned or "asset"


def load_mapping(path: Path) -> Mapping:
    """Read a mapping. Raises RecordingError that names the file, the key and what was expected."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot read mapping {path}: {error}"
        raise RecordingError(message) from error
    return parse_mapping(text, where=str(path), name=path.stem)


def parse_mapping(text: str, *, where: str, name: str = "") -> Mapping:
    """Read a mapping from its text; `where` and `name` are used in messages and as its name."""
    try:
        mapping = msgspec.toml.decode(text, type=Mapping)
    except msgspec.ValidationError as error:
        raise RecordingError(f"{where}: {error}{_nearest_key(str(error))}; {EXAMPLE}") from error
    except UNREADABLE as error:
        raise RecordingError(f"{where} is no TOML: {error}; {EXAMPLE}") from error
    if not mapping.name:
        mapping = msgspec.structs.replace(mapping, name=name)
    _check(mapping, where)
    return mapping


def shipped_mappings() -> tuple[Mapping, ...]:
    """Return the mappings that come with Andon, by name."""
    found = [
        parse_mapping(entry.read_text(encoding="utf-8"), where=entry.name, name=entry.name[:-5])
        for entry in resources.files("edge.recordings").joinpath("mappings").iterdir()
        if entry.name.endswith(".toml")
    ]
    return tuple(sorted(found, key=lambda mapping: mapping.name))


def find_mapping(path: Path) -> Mapping:
    """Return the shipped mapping that a table matches exactly; without a header, by column count.

    Raises RecordingError that lists the table's columns and shows a mapping to paste, or says why
    none could read it.
    """
    return match_mapping(read_raw(path))


def match_mapping(table: RawTable) -> Mapping:
    """Return the shipped mapping of a table that has been read; see find_mapping."""
    found = [mapping for mapping in shipped_mappings() if matches(mapping, table)]
    if len(found) == 1:
        return found[0]
    if table.header:
        more = len(table.columns) - NAMES_SHOWN_MAX
        shown = "columns " + ", ".join(map(repr, table.columns[:NAMES_SHOWN_MAX]))
        shown += f" and {more} more" if more > 0 else ""
    else:
        shown = f"{len(table.columns)} columns and no header"
    complaint = long_format(table)
    if complaint:
        message = f"{table.path} has {shown}; {complaint}"
        raise RecordingError(message)
    draft = draft_mapping(table)
    if not draft:
        message = f"{table.path} has {shown}; none of them holds numbers to score: it is "
        raise RecordingError(message + "no recording")
    known = ", ".join(mapping.name for mapping in found or shipped_mappings())
    fits = "several shipped mappings fit" if found else "no shipped mapping fits"
    message = (
        f"{table.path}: {fits} ({known}). It has {shown}.\n"
        "Put this in a file, correct it, and name it with --mapping FILE:\n\n"
        f"{draft}"
    )
    raise RecordingError(message)


def matches(mapping: Mapping, table: RawTable) -> bool:
    """Tell whether the table has exactly the mapping's columns; without a header, as many."""
    if mapping.column_count is None:
        return table.header and frozenset(table.columns) == mapping.columns
    return not table.header and (
        len(table.columns) == mapping.column_count or lies_on_side(mapping, table)
    )


def lies_on_side(mapping: Mapping, table: RawTable) -> bool:
    """Tell whether a table without a header is stored with a channel in each line."""
    return (
        mapping.transposed
        and not table.header
        and table.row_count == mapping.column_count
        and len(table.columns) != mapping.column_count
    )


def _nearest_key(complaint: str) -> str:
    """Return a hint for an unknown key: the nearest one there is."""
    found = _UNKNOWN_FIELD.search(complaint)
    if found is None:
        return ""
    structs = (Mapping, TimeColumn, ChannelColumn, ContextColumn, LabelWindows)
    known = [key for struct in structs for key in struct.__struct_fields__]
    nearest = difflib.get_close_matches(found["key"], known, n=1, cutoff=0.0)
    return f"; the nearest known key is {nearest[0]!r}"


def _check(mapping: Mapping, where: str) -> None:
    """Raise RecordingError for what types alone cannot say."""
    for complaint in (
        _time_complaint(mapping.time),
        _column_complaint(mapping),
        _tag_complaint(mapping),
        _value_complaint(mapping),
        _context_complaint(mapping),
    ):
        if complaint:
            raise RecordingError(f"{where}: {complaint}")
    if mapping.time.zone:
        zone_of(mapping.time.zone)


def _time_complaint(time: TimeColumn) -> str:
    given = [bool(time.columns), time.rate_hz is not None, time.period_s is not None]
    if sum(given) != 1:
        return "[time] needs exactly one of column, rate_hz and period_s"
    pace = time.rate_hz if time.rate_hz is not None else time.period_s
    if pace is not None and not (math.isfinite(pace) and 1e-6 <= pace <= 1e6):
        return f"[time] rate_hz or period_s is {pace}, expected 0.000001 to 1000000"
    if time.format != "iso" and time.format not in EPOCH_SCALES_NS and "%" not in time.format:
        expected = ", ".join(("iso", *EPOCH_SCALES_NS))
        return f"[time] format is {time.format!r}, expected {expected} or a pattern with %"
    return ""


def _column_complaint(mapping: Mapping) -> str:
    if not mapping.channels:
        return "[channels] names no column; a recording needs at least one channel"
    roles = (mapping.time.columns, mapping.channels, mapping.context, mapping.labels)
    listed = [column for role in (*roles, mapping.ignore) for column in role]
    twice = sorted({column for column in listed if listed.count(column) > 1})
    if twice:
        return f"column {twice[0]!r} is given two meanings"
    if mapping.column_count is None:
        return "transposed needs column_count" if mapping.transposed else ""
    if mapping.header:
        return "column_count is for tables without a header; leave it away, or header = true"
    known = {str(i + 1) for i in range(mapping.column_count)}
    beyond = [column for column in listed if column not in known]
    if beyond:
        return f"column {beyond[0]!r}: columns without a header are '1' to '{mapping.column_count}'"
    return ""


def _tag_complaint(mapping: Mapping) -> str:
    shown = mapping.asset.replace("{stem}", "x")
    if not (_ASSET.fullmatch(shown) and is_asset_id(shown)):
        expected = f"1 to {ASSET_CHARS_MAX} of A-Z a-z 0-9 . _ - and {{stem}}"
        return f"asset {mapping.asset!r} is no id, expected {expected}"
    tags = [c.channel or column for column, c in mapping.channels.items()]
    tags += [c.tag or column for column, c in mapping.context.items()]
    for tag in tags:
        if tag in RESERVED_TAGS:
            return f"{tag!r} is a key of the payload; give the column another channel or tag"
        if tags.count(tag) > 1:
            return f"two columns are called {tag!r}"
    return ""


def _value_complaint(mapping: Mapping) -> str:
    if mapping.delimiter not in {"", "whitespace"} and len(mapping.delimiter) != 1:
        return f"delimiter {mapping.delimiter!r} is not one character, nor 'whitespace'"
    if mapping.decimal not in {"", ".", ","}:
        return f"decimal is {mapping.decimal!r}, expected '.' or ','"
    for column, meaning in mapping.labels.items():
        if meaning not in {"fault", "mark"}:
            return f"label {column!r} is {meaning!r}, expected 'fault' or 'mark'"
    return ""


def _context_complaint(mapping: Mapping) -> str:
    for column, context in mapping.context.items():
        if context.role not in {"run", "mode", "witness", "info"}:
            return (
                f"context {column!r}: role is {context.role!r}, expected run, mode, witness or info"
            )
        if context.role == "witness" and context.kind is None:
            kinds = ", ".join(WorkKind)
            return f"context {column!r}: a witness needs kind, one of {kinds}"
    if sum(context.role == "run" for context in mapping.context.values()) > 1:
        return "more than one context column has the role run"
    if sum(context.role == "mode" for context in mapping.context.values()) > 1:
        return "more than one context column has the role mode"
    return ""
