"""What is read of an export: tags, each with where it stands, and what cannot be one of ours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.caps import TAG_CHARS_MAX

if TYPE_CHECKING:
    from edge.discovery.findings import FoundSource

FILE_BYTES_MAX: Final = 64 << 20  # 100,000 tags have about 20 MB in either product
TAGS_MAX: Final = 100_000
LEVEL_MAX: Final = 1e15  # beyond it a float says less than its digits show


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A level that an export states of a tag. side: "low" or "high"; sure: 0 to 1."""

    side: str
    value: float
    why: str
    where: str
    sure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag that a gateway can take. name: as the export has it; where: a line or JSON path.

    binary, whole: a Boolean, an integer. period_ms 0: not told.
    """

    where: str
    name: str
    asset: str
    tag: str
    unit: str = ""
    binary: bool = False
    whole: bool = False
    period_ms: float = 0.0
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something that was not taken, or not as it stands, and why."""

    where: str
    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """All of an export: each of its tags is in `tags` or in `left_out`.

    remarks: of tags that are taken, what of them is not. notes: what a person should know.
    """

    product: str
    form: str
    tags: tuple[Tag, ...]
    left_out: tuple[Remark, ...]
    remarks: tuple[Remark, ...]
    sources: tuple[FoundSource, ...]
    notes: tuple[str, ...]


def fault_of(tag: str) -> str:
    """Why a name cannot be a tag in our tables; "": it can."""
    if not tag.strip():
        return "it has no name"
    if tag != tag.strip():
        return "its name begins or ends with a blank, which tables cut off"
    if ";" in tag:
        return "its name has a semicolon, at which lists are cut"
    if not tag.isprintable():
        return "its name has characters that cannot be printed"
    if len(tag) > TAG_CHARS_MAX:
        return f"its name has {len(tag)} characters, at most {TAG_CHARS_MAX} can be used"
    return ""


def unit_of(told: str) -> tuple[str, str]:
    """A unit that our tables can hold, "" of any other, and then why it cannot."""
    if not told.isprintable():
        return "", "its unit has characters that cannot be printed"
    if len(told) > TAG_CHARS_MAX:
        return "", f"its unit has {len(told)} characters, at most {TAG_CHARS_MAX} can be used"
    return told, ""


def number_of(value: object) -> float | None:
    """A finite number that a level can be; None: it is none. Truth values are no numbers."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) <= LEVEL_MAX else None
