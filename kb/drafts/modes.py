"""Failure modes and alarm codes from the tables of manuals, for an engineer to approve."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from kb.drafts.rows import Source, TableRow, table_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kb.drafts.channel_names import ChannelNames, Named

COLUMNS: Final = ("mode", "asset", "channels", "cause", "action", "approved_by", "approved_at")
MODE_CHARS_MAX: Final = 80
TEXT_CHARS_MAX: Final = 400
BY_SYMPTOM: Final = 0.7  # of the surety of a column that names the channels
_HEADS: Final = {
    "code": r"(?:alarm|error|fault)?\s*(?:code|no\.?|number)|code",
    "mode": r"(?:failure |fault )?modes?|failures?|faults?|fault name|defects?",
    "symptom": r"symptoms?|problem|alarm|message|alarm text|error|effects?|how it shows",
    "channels": r"channels?|signals?|sensors?",
    "cause": r"(?:possible |probable |likely )?causes?|reason|mechanism",
    "action": r"(?:check first|check|action|remedy|solution|corrective action|what to do)s?",
}
_HEADS_OF: Final = {
    name: re.compile(rf"(?:{words})", re.IGNORECASE) for name, words in _HEADS.items()
}
# what a channel shows because somebody works on it is no fault
_NO_FAULT: Final = re.compile(
    r"\b(?:is normal|in work|air blasts|test arcs|new wire lot|as designed|expected)\b",
    re.IGNORECASE,
)


class ProposedMode(msgspec.Struct, frozen=True, kw_only=True):
    """One failure mode for an engineer to approve. `channels` may be empty for an alarm code."""

    mode: str
    assets: tuple[str, ...] | None
    channels: tuple[str, ...]
    cause: str
    action: str
    citation: str
    quote: str
    confidence: float

    def rows(self, assets: Sequence[str]) -> Iterator[dict[str, str]]:
        """Rows of the table; without an asset where the text is of any machine like it."""
        del assets  # a mode of no asset is of every one that has its channels
        for asset in self.assets if self.assets is not None else ("",):
            yield {
                "mode": self.mode,
                "asset": asset,
                "channels": ";".join(self.channels),
                "cause": self.cause,
                "action": self.action,
                "citation": self.citation,
                "quote": self.quote,
                "confidence": f"{self.confidence:.2f}",
            }


def proposed_modes(found: Iterable[Source], channels: ChannelNames) -> list[ProposedMode]:
    """Rows of tables of faults that name channels or a code; each mode and channels once."""
    best: dict[tuple[object, ...], ProposedMode] = {}
    for source in found:
        for row in table_rows(source):
            mode = _mode(source, row, channels)
            if mode is not None:
                best.setdefault((mode.mode.casefold(), mode.assets, mode.channels), mode)
    return list(best.values())


def _mode(source: Source, row: TableRow, channels: ChannelNames) -> ProposedMode | None:
    cells = {
        name: row.cells[head].strip(" `*")
        for name, words in reversed(_HEADS_OF.items())
        for head in row.cells
        if words.fullmatch(head.strip())
    }
    told = " ".join(cells.values())
    if not cells.get("action") or not (cells.get("cause") or cells.get("code")):
        return None
    if _NO_FAULT.search(told):
        return None
    named = _channels(cells, channels)
    if not named and not cells.get("code"):
        return None
    confidence = min((n.confidence for n in named), default=BY_SYMPTOM)
    return ProposedMode(
        mode=_name(cells),
        assets=source.document.assets,
        channels=tuple(n.channel.name for n in named),
        cause=cells.get("cause", "")[:TEXT_CHARS_MAX],
        action=cells["action"][:TEXT_CHARS_MAX],
        citation=source.citation(row.start, row.end),
        quote=source.quote(row.start, row.end),
        confidence=confidence if "channels" in cells else confidence * BY_SYMPTOM,
    )


def _channels(cells: dict[str, str], channels: ChannelNames) -> list[Named]:
    """Channels of the column that names them, all of its names known; else of the symptom."""
    if "channels" in cells:
        parts = [part for part in re.split(r"[;,/]", cells["channels"]) if part.strip()]
        found = [channels.only(part) for part in parts]
        return [one for one in found if one is not None] if all(found) else []
    return channels.inside(cells.get("symptom", "")) or channels.inside(cells.get("mode", ""))


def _name(cells: dict[str, str]) -> str:
    """What to call a mode: its code and message, its own column, its cause's head, its symptom.

    A cause is the name only where no column has one: "Pump worn: seal ring gone".
    """
    shown = cells.get("mode") or cells.get("symptom", "")
    if cells.get("code"):
        return ": ".join(p for p in (cells["code"], shown) if p)[:MODE_CHARS_MAX]
    head, colon, _ = cells.get("cause", "").partition(":")
    return (cells.get("mode") or (head if colon else shown or head))[:MODE_CHARS_MAX].strip()
