"""A report before it has a form: headings, texts, tables and bars, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

CELL_CHARS_MAX: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Begins a section."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A paragraph. small: a note."""

    text: str
    small: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Numbers that are read first: each with what it is."""

    items: tuple[tuple[str, str], ...]


class Moment(str):
    """A time as people here write it, which also knows what it is in UTC."""

    __slots__ = ("utc",)
    utc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """share: of the width; number: it stands on the right."""

    name: str
    share: float
    number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of texts. empty: what is said where there is none."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars side by side, a second number of each standing on the first."""

    title: str
    labels: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    names: tuple[str, str]


Block = Heading | Text | Figures | Table | Bars


@dataclass(slots=True, kw_only=True)
class Document:
    """A report. lead: one line below its title; footer: on each page."""

    title: str
    lead: str
    footer: str
    language: str
    blocks: list[Block] = field(default_factory=list)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]], empty: str) -> None:
        """Add a table; what is too long for a cell is cut, and says so."""
        self.blocks.append(
            Table(
                columns=tuple(columns),
                rows=tuple(tuple(_cut(cell) for cell in row) for row in rows),
                empty=empty,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Times as people here write them."""

    zone: ZoneInfo | None  # None: of this machine
    language: str

    def at(self, t_ms: int) -> datetime:
        """A time in the zone."""
        moment = datetime.fromtimestamp(t_ms / 1_000, tz=UTC)
        return moment.astimezone(self.zone)

    def moment(self, t_ms: int | None) -> str:
        """Day and time; "" for none."""
        if t_ms is None:
            return ""
        form = "%d.%m. %H:%M" if self.language == "de" else "%d %b %H:%M"
        found = Moment(self.at(t_ms).strftime(form))
        found.utc = f"{datetime.fromtimestamp(t_ms / 1_000, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"
        return found

    def whole(self, t_ms: int) -> str:
        """With the year, and how far from UTC that is."""
        form = "%d.%m.%Y %H:%M" if self.language == "de" else "%d %b %Y %H:%M"
        found = self.at(t_ms)
        offset = found.strftime("%z")
        return f"{found.strftime(form)} (UTC{offset[:3]}:{offset[3:]})"

    def number(self, value: float, digits: int = 1) -> str:
        """With the decimal sign of the language."""
        text = f"{value:,.{digits}f}"
        if self.language == "de":
            return text.translate(str.maketrans(",.", ".,"))
        return text

    def span(self, ms: int | None) -> str:
        """How long: seconds, minutes, hours or days, two of them at most; a dash for none."""
        if ms is None:
            return "\u2013"
        seconds = round(ms / 1_000)
        if seconds < 60:
            return f"{seconds} s"
        minutes, rest = divmod(seconds, 60)
        if minutes < 60:
            return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
        hours, minutes = divmod(minutes, 60)
        if hours < 48:
            return f"{hours} h {minutes} min" if minutes else f"{hours} h"
        days, hours = divmod(hours, 24)
        return f"{days} d {hours} h" if hours else f"{days} d"


def _cut(text: str) -> str:
    """A text on one line, without what nobody sees, and not without end."""
    if isinstance(text, Moment):
        return text
    seen = "".join(c if c.isprintable() else " " for c in text)
    return seen if len(seen) <= CELL_CHARS_MAX else seen[: CELL_CHARS_MAX - 1] + "\u2026"
