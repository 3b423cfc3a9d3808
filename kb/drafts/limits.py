"""Engineering limits that manuals state, in tables and in sentences, for an engineer to approve.

A number counts only with its unit and a channel that has that unit: nothing is converted, and
nothing is guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from kb.drafts.channel_names import BY_ALIAS, same_unit
from kb.drafts.rows import Source, TableRow, sentences, table_rows
from kb.reading.typed_tables import CONTRADICTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kb.drafts.channel_names import ChannelNames, KnownChannel, Named

COLUMNS: Final = (
    "asset", "channel", "unit", "low_low", "low", "high", "high_high", "approved_by", "approved_at",
    CONTRADICTS,
)  # fmt: skip
SIDES: Final = ("low_low", "low", "high", "high_high")
IN_PROSE: Final = 0.8  # of the surety of a table
CONTRADICTED: Final = 0.5  # another text states something else
_HEADS: Final = {
    "low_low": r"ll|low[ -]?low|lolo|trip low|low trip|min(?:imum)? trip|lower trip",
    "low": r"l|lo|low|low(?:er)?(?: alarm| limit)?|min|minimum|min\.|lower limit|alarm low",
    "high": r"h|hi|high|high(?:er)?(?: alarm| limit)?|max|maximum|max\.|upper(?: limit)?"
    r"|alarm high",
    "high_high": r"hh|high[ -]?high|hihi|trip high|high trip|max(?:imum)? trip|upper trip",
    "channel": r"channel|signal|sensor|measurement|measured value|parameter|quantity|tag|variable",
    "unit": r"units?|einheit|uom",
}
_HEADS_OF: Final = {
    name: re.compile(rf"(?:{words})", re.IGNORECASE) for name, words in _HEADS.items()
}
_BRACKET: Final = re.compile(r"\s*[\[(]([^\])]+)[\])]\s*$")
_VALUE: Final = r"[-\u2212]?\d+(?:[.,]\d+)?"
_UNIT: Final = (
    r"(?:°\s?C|degC|deg C|°\s?F|K|bar\(g\)|barg|bar|mbar|kPa|MPa|Pa|psi|l/min|l/h|lpm|m3/h|m³/h|"
    r"Nm³/h|mm/s|m/s|m/min|mm|µm|um|kW|W|kVA|kV|V|mA|A|Hz|rpm|1/min|Nm|kN|N|kg|%|percent|g|ppm)"
)
_THOUSANDS: Final = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?!\d)")
_AMOUNT: Final = rf"(?P<value>{_VALUE})\s?(?P<unit>{_UNIT})(?![\w/])"
_ANY: Final = re.compile(rf"(?<![\w.,-]){_AMOUNT}")
_CELL: Final = re.compile(rf"\s*(?:[<>]=?|[\u2264\u2265])?\s*({_VALUE})\s*({_UNIT})?\s*")
_NAME: Final = r"(?: (?:the )?[\w-]+){0,3}?"  # "maximum motor current: 32 A"
_MAY_NOT: Final = r"(?:(?:must|shall|may|should) (?:not|never)|never|do not|not to)"
_MUST: Final = r"(?:must|shall) (?:be|stay|remain)"
_TRIPS: Final = r"(?:trips?|shuts? (?:down|off)|stops?|interlock)"
_SAID: Final = {
    "high_high": (rf"{_TRIPS} (?:(?:above|over|at|if .{{1,30}}exceeds))", r"trip(?: limit)?:?"),
    "low_low": (rf"{_TRIPS} below",),
    "high": (
        rf"{_MAY_NOT}(?: let{_NAME})? (?:exceed|(?:rise|go) above)",
        rf"{_MAY_NOT} be (?:higher|more|greater) than",
        rf"{_MUST} below",
        r"no more than|not more than|at most",
        rf"(?<!trip )max(?:imum|\.)?{_NAME}(?: of| is|:)?",
        r"upper limit(?: of| is|:)?|high(?:er)? (?:alarm|limit)(?: at| of| is)?:?",
        r"alarms? (?:(?:is )?(?:raised|given) )?(?:above|over|(?:when|if) .{1,30}exceeds|at)",
        r"keep .{1,30}below",
    ),
    "low": (
        rf"{_MAY_NOT}(?: let{_NAME})? (?:fall|drop|be|go) (?:below|under|(?:less|lower) than)",
        rf"{_MUST} above",
        r"no less than|not less than|at least",
        rf"min(?:imum|\.)?{_NAME}(?: of| is|:)?",
        r"lower limit(?: of| is|:)?|low(?:er)? (?:alarm|limit)(?: at| of| is)?:?|alarms? below",
    ),
}
_PATTERNS: Final = tuple(
    (side, re.compile(rf"\b(?:{words})\s+(?:approx\.? )?{_AMOUNT}", re.IGNORECASE))
    for side, said in _SAID.items()
    for words in said
)
_RANGE: Final = re.compile(
    rf"\b(?:between|from|range|limits?|permissible|allowed|permitted)\b[^.]{{0,40}}?(?P<low>{_VALUE})"
    rf"\s?(?:{_UNIT})?\s?(?:to|and|-|\u2013)\s?(?P<high>{_VALUE})\s?(?P<unit>{_UNIT})(?![\w/])",
    re.IGNORECASE,
)
_AFTER: Final = {"alarm": "high", "trip": "high_high", "shutdown": "high_high"}
_MARKED: Final = re.compile(rf"{_AMOUNT}\s?\((?P<what>alarm|trip|shutdown)\)", re.IGNORECASE)
_MUST_BE: Final = re.compile(
    r"\b(?:keep|must|shall|limits?|permissible|allowed|permitted)\b", re.IGNORECASE
)
_LOW_ALARM: Final = re.compile(r"\b(?:low|falls?|drops?|loss|under)\b", re.IGNORECASE)
# of the time, of the work, of the weather, of an example: no limit of operation
_NOT_LIMITS: Final = re.compile(
    r"\b(?:torque|tighten\w*|ambient|storage|transport|example|e\.g\.|residual|accept\w*|thick\w*|"
    r"diameter|length|distance|clearance|supply voltage|cable|hose|weigh\w*|default\w*|test|"
    r"calibrat\w*|set ?point|resolution|accuracy|typical\w*|about|during|"
    r"start-?up|starting|peak|briefly)\b",
    re.IGNORECASE,
)


class ProposedLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one channel for an engineer to approve; None where the text states none."""

    assets: tuple[str, ...] | None  # of the document; None is site-wide
    channel: str
    unit: str
    low_low: float | None = None
    low: float | None = None
    high: float | None = None
    high_high: float | None = None
    citation: str
    quote: str
    confidence: float
    contradicts: tuple[str, ...] = ()  # what other texts state instead, each with its citation

    @property
    def values(self) -> tuple[float | None, ...]:
        """LL, L, H and HH."""
        return (self.low_low, self.low, self.high, self.high_high)

    @property
    def is_ordered(self) -> bool:
        """Whether there is a limit, and none lies on the wrong side of another."""
        given = [value for value in self.values if value is not None]
        apart = None in (self.low, self.high) or self.low != self.high
        return bool(given) and given == sorted(given) and apart

    def rows(self, assets: Sequence[str]) -> Iterator[dict[str, str]]:
        """Rows of the table, one for each asset: the document's own, else all of the plant."""
        limits = {
            side: "" if value is None else f"{value:g}"
            for side, value in zip(SIDES, self.values, strict=True)
        }
        for asset in self.assets if self.assets is not None else assets:
            yield {
                "asset": asset,
                "channel": self.channel,
                "unit": self.unit,
                **limits,
                "citation": self.citation,
                "quote": self.quote,
                "confidence": f"{self.confidence:.2f}",
                CONTRADICTS: "; ".join(self.contradicts),
            }

    def against(self, other: ProposedLimit) -> str:
        """What another text states that cannot hold beside this one, with its citation; "" if not.

        A text of no asset speaks of every one.
        """
        apart = not (
            self.assets is None
            or other.assets is None
            or set(self.assets).intersection(other.assets)
        )
        if apart or self.channel != other.channel:
            return ""
        sides = zip(SIDES, self.values, other.values, strict=True)
        told = [f"{s} {b:g}" for s, a, b in sides if a is not None and b is not None and a != b]
        return f"{', '.join(told)} in {other.citation}" if told else ""


def proposed_limits(found: Iterable[Source], channels: ChannelNames) -> list[ProposedLimit]:
    """Limits that texts state; the same ones once, those that contradict each other all, so marked.

    A table says more than a sentence: where both speak of a channel, the sentence is left out,
    unless it contradicts the table.
    """
    stated: list[ProposedLimit] = []
    for source in found:
        stated += _of_tables(source, channels)
        stated += _of_sentences(source, channels)
    tables = [limit for limit in stated if limit.confidence > IN_PROSE]
    best: dict[tuple[object, ...], ProposedLimit] = {}
    for limit in stated:
        beside = [t for t in tables if (t.channel, t.assets) == (limit.channel, limit.assets)]
        told = beside and not any(limit.against(one) for one in tables)
        if limit.confidence <= IN_PROSE and told:
            continue
        key = (limit.channel, limit.assets, limit.values)
        if key not in best or best[key].confidence < limit.confidence:
            best[key] = limit
    return [_marked(limit, list(best.values())) for limit in best.values()]


def _marked(limit: ProposedLimit, others: Sequence[ProposedLimit]) -> ProposedLimit:
    """A limit with what contradicts it."""
    against = tuple(said for other in others if (said := limit.against(other)))
    if not against:
        return limit
    return msgspec.structs.replace(
        limit, confidence=limit.confidence * CONTRADICTED, contradicts=against
    )


# --- tables ---


def _of_tables(source: Source, channels: ChannelNames) -> Iterator[ProposedLimit]:
    for row in table_rows(source):
        heads = _heads(row)
        if "channel" not in heads or not set(SIDES) & heads.keys():
            continue
        named = channels.only(row.cells[heads["channel"]])
        limit = _of_row(source, row, heads, named) if named else None
        if limit is not None and limit.is_ordered:
            yield limit


def _heads(row: TableRow) -> dict[str, str]:
    """Which columns of a table hold what."""
    found: dict[str, str] = {}
    for head in row.cells:
        bare = _BRACKET.sub("", head).strip()
        for name, words in _HEADS_OF.items():
            if words.fullmatch(bare):
                found.setdefault(name, head)
    return found


def _of_row(
    source: Source, row: TableRow, heads: dict[str, str], named: Named
) -> ProposedLimit | None:
    column = row.cells[heads["unit"]].strip() if "unit" in heads else ""
    values: dict[str, float] = {}
    units: set[str] = set()
    for side in SIDES:
        cell = _CELL.fullmatch(row.cells.get(heads.get(side, ""), ""))
        if cell is None:
            continue
        if _THOUSANDS.search(cell[1]):  # or decimals: who knows
            return None
        bracket = _BRACKET.search(heads[side])
        unit = cell[2] or (bracket[1].strip() if bracket else "") or column
        values[side] = _number(cell[1])
        units.add(unit)
    if len(units) != 1 or not (unit := units.pop()) or not _fits(named.channel, unit):
        return None
    return ProposedLimit(
        assets=source.document.assets,
        channel=named.channel.name,
        unit=named.channel.unit or unit,
        citation=source.citation(row.start, row.end),
        quote=source.quote(row.start, row.end),
        confidence=named.confidence,
        contradicts=(),
        **values,
    )


# --- sentences ---


def _of_sentences(source: Source, channels: ChannelNames) -> Iterator[ProposedLimit]:
    text = source.document.text
    for passage in source.passages:
        for start, end in sentences(source, passage.start, passage.end):
            said = text[start:end]
            if _NOT_LIMITS.search(said):
                continue
            named = channels.inside(said)
            values, units = _amounts(said)
            if len(named) != 1 or len(units) != 1 or named[0].confidence < BY_ALIAS:
                continue
            if not _fits(named[0].channel, next(iter(units))):
                continue
            limit = ProposedLimit(
                assets=source.document.assets,
                channel=named[0].channel.name,
                unit=named[0].channel.unit or next(iter(units)),
                citation=source.citation(start, end),
                quote=source.quote(start, end),
                confidence=named[0].confidence * IN_PROSE,
                contradicts=(),
                **values,
            )
            if limit.is_ordered:
                yield limit


def _amounts(said: str) -> tuple[dict[str, float], set[str]]:
    """Limits that a sentence states, by side, and the units that it states them in."""
    values: dict[str, float] = {}
    units: set[str] = set()
    taken: set[int] = set()
    if _THOUSANDS.search(said):  # or decimals: who knows
        return {}, set()
    span = _RANGE.search(said)
    if span is not None and _MUST_BE.search(said):
        values = {"low": _number(span["low"]), "high": _number(span["high"])}
        units, taken = {span["unit"]}, {span.start("low"), span.start("high")}
    for marked in _MARKED.finditer(said):
        values[_AFTER[marked["what"].lower()]] = _number(marked["value"])
        units.add(marked["unit"])
        taken.add(marked.start("value"))
    for side, pattern in _PATTERNS:
        for match in pattern.finditer(said):
            if match.start("value") in taken:
                continue
            taken.add(match.start("value"))
            at = side
            if match[0].lower().startswith("alarm") and _LOW_ALARM.search(said) and side == "high":
                at = "low"
            if at in values:
                return {}, set()  # two of a side: which of them?
            values[at] = _number(match["value"])
            units.add(match["unit"])
    told = {match.start("value") for match in _ANY.finditer(said)}
    if told - taken:  # a number that is not understood may change what the others mean
        return {}, set()
    return values, units


def _fits(channel: KnownChannel, unit: str) -> bool:
    return not channel.unit or same_unit(channel.unit, unit)


def _number(text: str) -> float:
    return float(text.replace(",", ".").replace("\u2212", "-"))
