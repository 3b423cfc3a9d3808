"""The rationalisation table as CSV, both ways: asset, track, channel, and what alerts mean.

As spreadsheets write it: with or without a byte order mark, cells apart by comma, semicolon or tab,
any end of line, line breaks inside of quotes. What is written has the mark, so that a spreadsheet
takes it for UTF-8.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.alerts.announce import severity_of
from edge.alerts.rationale import lacks, rationale
from edge.configuration.words import hint
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edge.settings import AssetSettings

TRACKS: Final = ("process", "sensor", "comms")
TEXTS: Final = ("cause", "consequence", "action")
COLUMNS: Final = ("asset", "track", "channel", "priority", "severity", *TEXTS, "respond_min")
DELIMITERS: Final = (",", ";", "\t")
PRIORITIES: Final = {"1": 900, "2": 700, "3": 500, "4": 200}  # the middle of each class
RESPOND_MIN_MAX: Final = 1_000_000
ROWS_MAX: Final = 200_000  # 20,000 assets, three tracks each, and some channels
CELL_CHARS_MAX: Final = 2_000
NAMED_BY: Final = "; [include] alarms names it: make it with andon alarms export, or import one"


class Line(NamedTuple):
    """A row of the table: whose it is, what it says, and where it stands."""

    asset: str
    said: dict[str, Any]  # keys of `Rationale`
    where: str


def read_table(path: Path, *, named_by: str = "") -> list[Line]:
    """The rows of a table. Raises ConfigError naming file, line and column."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}{named_by}") from error
    except ValueError as error:
        raise ConfigError(
            f"{path}: not UTF-8: {error}; let the spreadsheet save it as CSV UTF-8"
        ) from error
    try:
        return list(_lines(text, path))
    except csv.Error as error:
        raise ConfigError(f"{path}: not a CSV table: {error}") from error


def _lines(text: str, path: Path) -> Iterator[Line]:
    head = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = [name.strip().lower() for name in next(reader, [])]
    _check_columns(columns, path)
    seen: dict[tuple[str, str, str], int] = {}
    begins = reader.line_num + 1
    for cells in reader:
        line, begins = begins, reader.line_num + 1
        if not any(cell.strip() for cell in cells):  # spreadsheets leave such below a table
            continue
        where = f"{path}, line {line}"
        if len(cells) != len(columns):
            raise ConfigError(f"{where}: {len(cells)} cells, expected {len(columns)}")
        row = dict.fromkeys(COLUMNS, "")
        row |= {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
        key = row["asset"], row["track"].lower(), row["channel"]
        if key in seen:
            raise ConfigError(
                f"{where}: {' '.join(filter(None, key))} stands in line {seen[key]} too"
            )
        seen[key] = line
        if len(seen) > ROWS_MAX:
            raise ConfigError(f"{where}: more than {ROWS_MAX} rows")
        yield Line(row["asset"], _said(row, where), where)


def _check_columns(columns: Sequence[str], path: Path) -> None:
    for column in columns:
        if column not in COLUMNS:
            raise ConfigError(f"{path}: unknown column {column!r}{hint(column, COLUMNS)}")
        if columns.count(column) > 1:
            raise ConfigError(f"{path}: column {column!r} comes twice")
    for column in ("asset", "track"):
        if column not in columns:
            raise ConfigError(f"{path}: no column {column!r}; expected {', '.join(COLUMNS)}")


def _said(row: Mapping[str, str], where: str) -> dict[str, Any]:
    """One row as `Rationale` has it; raises ConfigError naming the column."""
    if not row["asset"]:
        raise ConfigError(f"{where}, column asset: it is empty")
    track = row["track"].lower()
    if track not in ("", *TRACKS):
        raise ConfigError(
            f"{where}, column track: {row['track']!r}, expected {', '.join(TRACKS)}, or nothing for"
            " all of them"
        )
    for name in (*TEXTS, "channel"):
        if len(row[name]) > CELL_CHARS_MAX:
            raise ConfigError(f"{where}, column {name}: more than {CELL_CHARS_MAX} characters")
    said: dict[str, Any] = {"track": track, "channel": row["channel"]}
    said |= {name: " ".join(row[name].split()) for name in TEXTS}
    said["respond_min"] = _number(row, "respond_min", where, 0, RESPOND_MIN_MAX)
    said["severity"] = _severity(row, where)
    return {name: value for name, value in said.items() if value not in ("", None)}


def _severity(row: Mapping[str, str], where: str) -> int | None:
    """By the number, else by the priority; where both stand there they have to agree."""
    severity = _number(row, "severity", where, 1, 1_000)
    priority = row["priority"]
    if not priority:
        return severity
    if priority not in PRIORITIES:
        raise ConfigError(
            f"{where}, column priority: {priority!r}, expected 1 (the highest) to 4, or nothing"
        )
    if severity is None:
        return PRIORITIES[priority]
    word, by_number = severity_of(severity)
    if str(by_number) != priority:
        raise ConfigError(
            f"{where}, column priority: {priority}, but a severity of {severity} is {word},"
            f" priority {by_number}; leave one of them out"
        )
    return severity


def _number(row: Mapping[str, str], name: str, where: str, low: int, high: int) -> int | None:
    text = row[name]
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or not low <= int(text[:20]) <= high:
        raise ConfigError(f"{where}, column {name}: {text!r:.40}, expected {low} to {high}")
    return int(text)


def rationalised(
    data: dict[str, Any], assets: dict[str, dict[str, Any]], path: Path, *, needed: bool = True
) -> None:
    """Add the rows of the table that [include] names to the assets of a file.

    needed False: a table that is not there yet has no rows. Raises ConfigError.
    """
    named = data.get("include", {}).get("alarms")
    if not isinstance(named, str) or not named:
        return
    table = path.parent / named
    if not needed and not table.exists():
        return
    for line in read_table(table, named_by=NAMED_BY):
        asset = assets.setdefault(line.asset, {"id": line.asset})
        rows = asset.setdefault("rationale", [])
        if not isinstance(rows, list):
            raise ConfigError(f"{path}: rationale of asset {line.asset!r} is no list of tables")
        rows.append(line.said)


def written_table(assets: Iterable[AssetSettings], *, delimiter: str = ",") -> str:
    """The table as it counts: a row for each track of each asset, and each channel with one."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for asset in assets:
        for track, channel in _places(asset):
            found = rationale(asset, track, channel)
            assert found.severity is not None
            _, priority = severity_of(found.severity)
            writer.writerow(
                [
                    *(asset.id, track, channel, priority, found.severity),
                    *(found.cause, found.consequence, found.action, found.respond_min),
                ]
            )
    return "\ufeff" + out.getvalue()


def _places(asset: AssetSettings) -> list[tuple[str, str]]:
    named = {
        (track, row.channel)
        for row in asset.rationale
        if row.channel
        for track in ([row.track] if row.track else TRACKS)
    }
    return sorted(
        {*((track, "") for track in TRACKS), *named}, key=lambda p: (TRACKS.index(p[0]), p[1])
    )


def lacking(assets: Iterable[AssetSettings]) -> dict[str, list[str]]:
    """By asset the tracks whose alerts stay the engineer's, with what they lack."""
    found: dict[str, list[str]] = {}
    for asset in assets:
        for track in TRACKS:
            if missing := lacks(rationale(asset, track)):
                found.setdefault(asset.id, []).append(f"{track} ({', '.join(missing)})")
    return found


def unknown_places(lines: Sequence[Line], channels: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What rows name that is not there. channels: of each asset that is."""
    for line in lines:
        if line.asset not in channels:
            known = hint(line.asset, sorted(channels))
            yield f"{line.where}, column asset: no asset {line.asset!r}{known}"
            continue
        channel = line.said.get("channel", "")
        if channel and channel not in channels[line.asset]:
            known = hint(channel, channels[line.asset])
            yield f"{line.where}, column channel: {line.asset} has no channel {channel!r}{known}"
