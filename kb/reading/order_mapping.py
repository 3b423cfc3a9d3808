"""Tables of other systems in our words: `mapping.toml` of a folder, `NAME.mapping.toml` of one.

    zone = "Europe/Berlin"      # of times that state none
    day_first = true            # 02.03.2026 is the second of March
    [columns]                   # theirs = ours
    "WO Number" = "order_id"
    [join]                      # ours = date column and time column
    start = ["Bas. start date", "Start time"]
    [status]                    # theirs = approved | proposed | done | cancelled | beside
    REL = "approved"
    [kind]                      # theirs = a kind of work; "" is none
    ZCAL = "calibration"

What a `[status]` does not name never approves; without one, the codes that we know by ourselves
count, as in a table without a mapping.
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import msgspec

from kb.reading.columns import STATUSES, key_of, named
from kb.reading.front_matter import SourceError
from kb.reading.stored import beside_bytes
from kb.records import WorkKind
from kb.times import local_ns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kb.reading.rows import Row

SUFFIX: Final = ".mapping.toml"
OF_FOLDER: Final = "mapping.toml"
STATES: Final = ("approved", "proposed", "done", "cancelled", "beside")
_OURS: Final = {"approved": "APPR", "proposed": "WAPPR", "done": "COMP", "cancelled": "CAN"}
_TIMES: Final = (
    "start", "end", "planned_start", "planned_end", "actual_start", "actual_end", "recorded_at",
    "changed_at", "reported_at", "approved_at",
)  # fmt: skip
_FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y%m%d %H%M%S", "%d.%m.%y %H:%M",
)  # fmt: skip
_DAY_FIRST: Final = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d-%m-%Y %H:%M")
_MONTH_FIRST: Final = ("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M %p")
_DATES: Final = ("%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d")


class OrderMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How another system writes what we ask for; see the module."""

    zone: str = ""
    day_first: bool | None = None  # None: dates with slashes are not read
    columns: dict[str, str] = {}
    join: dict[str, tuple[str, str]] = {}
    status: dict[str, str] = {}
    kind: dict[str, str] = {}

    def named(self, header: Sequence[str]) -> list[str]:
        """Our names of columns: as mapped, else by their usual other names."""
        parts = {part for both in self.join.values() for part in both}
        mapped = {key_of(part): part for part in parts}  # joined by the names that they have
        mapped |= {key_of(theirs): ours for theirs, ours in self.columns.items()}
        usual = named(header)
        found = [mapped.get(key_of(name), usual[i]) for i, name in enumerate(header)]
        taken = set(mapped.values())
        return [
            name if name not in taken or key_of(header[i]) in mapped else header[i]
            for i, name in enumerate(found)
        ]

    def row(self, row: Row) -> Row:
        """A row in our words. Raises SourceError."""
        cells = dict(row.cells)
        for ours, (day, hour) in self.join.items():
            cells[ours] = " ".join(p for p in (cells.get(day, ""), cells.get(hour, "")) if p)
        for name in _TIMES:
            if cells.get(name):
                try:
                    cells[name] = self._time(cells[name], ends=name.endswith("end"))
                except ValueError as error:
                    raise SourceError(row.line, f"{name}: {error}") from error
        if self.status and (told := [name for name in STATUSES if cells.get(name)]):
            said = " ".join(cells.pop(name) for name in told)
            cells["status"] = self._status(said)
        if self.kind and "kind" in cells:
            kinds = {theirs.casefold(): ours for theirs, ours in self.kind.items()}
            cells["kind"] = kinds.get(cells["kind"].casefold(), cells["kind"])
        return msgspec.structs.replace(row, cells=cells)

    def _status(self, said: str) -> str:
        """One of our codes; of several theirs, any that cancels or is not known decides."""
        states = {theirs.upper(): state for theirs, state in self.status.items()}
        whole = states.get(said.strip().upper())
        codes = re.split(r"[\s,;/|+]+", said.strip().upper())
        told = {whole} if whole else {states.get(code, "proposed") for code in codes if code}
        if "cancelled" in told:
            return _OURS["cancelled"]
        if told <= {"approved", "beside"} and "approved" in told:
            return _OURS["approved"]
        return _OURS["done"] if "done" in told and "proposed" not in told else _OURS["proposed"]

    def _time(self, said: str, *, ends: bool) -> str:
        """ISO 8601 with zone, or a date alone. Raises ValueError."""
        text = " ".join(said.replace("T", " ").split())
        try:
            at = datetime.fromisoformat(text)
            if at.tzinfo is not None:
                return at.isoformat()
        except ValueError:
            pass
        slashed = {True: _DAY_FIRST, False: _MONTH_FIRST, None: ()}[self.day_first]
        for form in _DATES:
            try:
                day = datetime.strptime(text, form)  # noqa: DTZ007 - a date has no zone
            except ValueError:
                continue
            return f"{day:%Y-%m-%d}"
        for form in (*_FORMATS, *slashed):
            try:
                wall = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is declared apart
            except ValueError:
                continue
            return self._zoned(wall, ends=ends)
        hint = "" if self.day_first is not None else "; with slashes, say day_first in the mapping"
        raise ValueError(f"{said!r} is no time that is read here{hint}")

    def _zoned(self, wall: datetime, *, ends: bool) -> str:
        if not self.zone:
            raise ValueError(f"{wall:%Y-%m-%d %H:%M} has no time zone; add `zone` to the mapping")
        zone = ZoneInfo(self.zone)
        t_ns = local_ns(wall, zone, first=ends)
        return datetime.fromtimestamp(t_ns // 1_000_000_000, UTC).astimezone(zone).isoformat()


def is_mapping(path: Path) -> bool:
    """Whether a file is a mapping and no document."""
    return path.name == OF_FOLDER or path.name.endswith(SUFFIX)


def mapping_of(path: Path) -> OrderMapping | None:
    """The mapping beside a table, else the one of its folder, else None. Raises SourceError."""
    for place in (path.with_name(f"{path.stem}{SUFFIX}"), path.with_name(OF_FOLDER)):
        stored = beside_bytes(place)
        if stored is not None:
            return _decoded(stored, place.name)
    return None


def _decoded(stored: bytes, name: str) -> OrderMapping:
    try:
        found = tomllib.loads(stored.decode())
        mapping = msgspec.convert(found, OrderMapping)
        if mapping.zone:
            ZoneInfo(mapping.zone)
    except (
        ValueError,
        KeyError,
        OSError,
        RecursionError,
    ) as error:  # what TOML, msgspec and zones say
        raise SourceError(0, f"{name}: {error}") from error
    for state in mapping.status.values():
        if state not in STATES:
            raise SourceError(0, f"{name}: status {state!r}, expected {', '.join(STATES)}")
    for kind in mapping.kind.values():
        if kind and kind not in set(WorkKind):
            raise SourceError(0, f"{name}: kind {kind!r}, expected {', '.join(WorkKind)}")
    return mapping
