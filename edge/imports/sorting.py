"""Sorting: tags of an export into assets with channels and context, and levels into limits.

Nothing has been heard of these tags, so a name decides little: no tag gets a role that could keep
an alert quiet, and no unit is guessed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from edge.discovery.guesses import role_of, unit_of
from edge.imports.tags import Export, Remark, Tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.imports.tags import Level

CITED_CHARS_MAX: Final = 500  # of where a limit comes from; a row may have 4,000
CELL_CHARS_MAX: Final = 100_000  # of names in a list; a reader of CSV takes cells of 131,072
_SIDES: Final = ("low_low", "low", "high", "high_high")


class Context(NamedTuple):
    """A tag that is not scored; why: what its name suggests, "" if nothing."""

    tag: Tag
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """An asset with what it sends."""

    id: str
    channels: tuple[Tag, ...]
    context: tuple[Context, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What is written. limits: rows of the table of limits, by its columns, nobody's approval."""

    export: Export
    assets: tuple[Asset, ...]
    limits: tuple[dict[str, str], ...]


def sorted_out(export: Export) -> Imported:
    """Sort the tags of an export; each stays in an asset, or is left out with its reason."""
    of: dict[str, list[Tag]] = defaultdict(list)
    for tag in export.tags:
        of[tag.asset].append(tag)
    assets: list[Asset] = []
    left_out, remarks = list(export.left_out), list(export.remarks)
    for asset, tags in of.items():
        context = [Context(tag, why) for tag in tags if (why := _state(tag)) is not None]
        kept = {one.tag.tag for one in context}
        channels = [tag for tag in tags if tag.tag not in kept]
        chars = 0
        for i, tag in enumerate(channels):
            chars += len(tag.tag) + 3
            if chars > CELL_CHARS_MAX:
                left_out += [_out(rest, f"{asset} has too many tags") for rest in channels[i:]]
                channels = channels[:i]
                break
        if not channels:
            left_out += [_out(tag, f"{asset} has no number to score") for tag in tags]
            continue
        remarks += [_out(tag, _unitless(tag)) for tag in channels if not tag.unit]
        remarks += [_out(one.tag, "a state has no limits") for one in context if one.tag.levels]
        assets.append(Asset(id=asset, channels=tuple(channels), context=tuple(context)))
    limits = []
    for one in assets:
        for tag in one.channels:
            row, faults = proposed(tag)
            remarks += faults
            limits += [row] if row else []
    taken = tuple(t for a in assets for t in (*a.channels, *(c.tag for c in a.context)))
    told = replace(export, tags=taken, left_out=tuple(left_out), remarks=tuple(remarks))
    return Imported(export=told, assets=tuple(assets), limits=tuple(limits))


def proposed(tag: Tag) -> tuple[dict[str, str] | None, list[Remark]]:
    """A row of limits that the levels of a tag propose, and what of them it does not.

    Setpoints of alarms go before a range. Of two on a side the outer one trips: low_low, high_high.
    """
    if not tag.levels:
        return None, []
    if not tag.unit:
        return None, [_out(tag, "its levels propose no limit: a number without a unit is none")]
    faults: list[Remark] = []
    chosen: dict[str, Level] = {}
    for side in ("low", "high"):
        told = [level for level in tag.levels if level.side == side]
        surest = max((level.sure for level in told), default=0.0)
        by_value = {level.value: level for level in reversed(told) if level.sure == surest}
        values = sorted(by_value, reverse=side == "low")  # from the inside outwards
        if values:
            chosen[side] = by_value[values[0]]
        if len(values) > 1:
            chosen[f"{side}_{side}"] = by_value[values[-1]]
        kept = list(chosen.values())
        faults += [
            Remark(where=one.where, name=tag.name, why=f"{one.why} proposes no limit: others do")
            for one in told
            if one not in kept
        ]
    given = [chosen[side].value for side in _SIDES if side in chosen]
    if given != sorted(set(given)):
        said = ", ".join(chosen[side].why for side in _SIDES if side in chosen)
        return None, [*faults, _out(tag, f"{said} propose no limit: low is not below high")]
    first = next(iter(chosen.values()))
    row = {
        "asset": tag.asset,
        "channel": tag.tag,
        "unit": tag.unit,
        **{side: _plain(level.value) for side, level in chosen.items()},
        "citation": _cut(first.where),
        "quote": _cut("; ".join(chosen[side].why for side in _SIDES if side in chosen)),
        "confidence": f"{min(level.sure for level in chosen.values()):.2f}",
    }
    return row, faults


def units_unknown(assets: Sequence[Asset]) -> int:
    """How many channels state no unit."""
    return sum(not tag.unit for asset in assets for tag in asset.channels)


def _state(tag: Tag) -> str | None:
    """What the name of a tag of state suggests, "" if nothing; None: it is a measurement."""
    if not tag.binary and not tag.whole:
        return None
    role = role_of(tag.tag, binary=tag.binary, state=True, beating=True)
    if role is None:
        return "" if tag.binary else None
    work = f", which may tell of {role.work.value}" if role.work else ""
    return f"{role.role}, {role.why}{work}"


def _unitless(tag: Tag) -> str:
    guess = unit_of(tag.tag)
    more = f"; guess: {guess.unit}, {guess.why}" if guess else ""
    return f"its unit is not known{more}"


def _out(tag: Tag, why: str) -> Remark:
    return Remark(where=tag.where, name=tag.name, why=why)


def _cut(text: str) -> str:
    """A text that fits in a cell, in UTF-8: a row that is too long is none, as half a character."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= CITED_CHARS_MAX else f"{text[: CITED_CHARS_MAX - 1]}…"


def _plain(value: float) -> str:
    """A number with all its digits and no exponent, as tables of limits have them."""
    return format(Decimal(repr(value)), "f")
