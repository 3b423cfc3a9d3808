"""Rows of a scope table that procedures suggest: what this work may disturb, and for how long.

A row needs a heading that names the work and a sentence that says which channels move. What a text
does not say stays empty, and the reader of the table asks for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from kb.drafts.rows import Source, sentences
from kb.records import WorkKind
from kb.wording.negation import plain
from kb.wording.shopfloor import kind_said

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kb.drafts.channel_names import ChannelNames, Named

COLUMNS: Final = (
    "kind", "asset", "instrument", "channels", "expected_effect",
    "duration_min_max", "settle_s", "approved_by", "approved_at",
)  # fmt: skip
MINUTES_MAX: Final = 240
SETTLE_S_MAX: Final = 900
_DOUBT: Final = 0.6  # for each of duration, settling and instrument that no text says
CONFIDENCE_MIN: Final = 0.3  # below, a text speaks of calibrations, and instructs nobody
_EXCUSED: Final = frozenset(
    {
        WorkKind.CALIBRATION,
        WorkKind.VERIFICATION,
        WorkKind.FUNCTION_TEST,
        WorkKind.REPLACEMENT,
        WorkKind.CLEANING,
    }
)
_COUNTED: Final = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBERS: Final = {word: number for number, word in enumerate(_COUNTED.split())} | {
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "a": 1,
    "an": 1,
    "half an": 0,
}
_NUMBER: Final = rf"(?:\d+(?:\.\d+)?|{'|'.join(_NUMBERS)})"
_UNITS: Final = r"(?:seconds?|secs?|s|minutes?|mins?|min|hours?|h)"
_INSTRUMENT: Final = re.compile(r"\bInstrument:\s*`?([A-Za-z][\w-]*)`?")
_MOVES: Final = re.compile(
    r"\b(?:disturb\w*|affect\w*|influenc\w*|shift\w*|steps?|held|strokes?|ramps?|moves?|spikes?|"
    r"(?:go|goes|going) (?:apart|through|to zero|high|low)|drops?|jumps?|freez\w*|frozen|bumps?|"
    r"set back|swings?|deviates?|fluctuat\w*|reads? (?:zero|high|low|wrong)|"
    r"(?:is|are) (?:forced|simulated|interrupted|driven))\b",
    re.IGNORECASE,
)
_STILL: Final = re.compile(
    r"\b(?:no|not|nothing|never|none|stays?|unchanged|unaffected|undisturbed|remains?|without|"
    r"cannot|if|when|unless|should|fault|alarm)\b",
    re.IGNORECASE,
)
_LASTS: Final = re.compile(
    rf"\b(?:duration|lasts?|takes?|for|within|up to|at most|allow)\b[^.\n]{{0,24}}?"
    rf"\b(?:{_NUMBER}\s*(?:to|-|\u2013)\s*)?(?P<n>{_NUMBER})\s*(?P<unit>{_UNITS})\b"
    r"(?!\s+(?:after|later))",
    re.IGNORECASE,
)
_SETTLES: Final = (
    re.compile(
        rf"\b(?P<n>{_NUMBER})\s+(?P<unit>{_UNITS})\s+(?:after\s+(?:the\s+)?(?:end|work|job|"
        r"completion|calibration|test|cleaning|change)|later)\b",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:settl\w+|back(?: to normal)?|recover\w*|stabili[sz]e\w*)\s+(?:with)?in\s+"
        rf"(?P<n>{_NUMBER})\s*(?P<unit>{_UNITS})\b",
        re.IGNORECASE,
    ),
)
_EFFECT: Final = re.compile(
    r"\bwithin (?P<n>half|one|two|\d+(?:\.\d+)?)(?: a| of a)? (?:spreads?|sigmas?|standard dev\w*)",
    re.IGNORECASE,
)
_EFFECTS: Final = {"half": 0.5, "one": 1.0, "two": 2.0}


class ProposedScope(msgspec.Struct, frozen=True, kw_only=True):
    """One row for an engineer to approve; None where the text does not say."""

    kind: WorkKind
    instrument: str
    assets: tuple[str, ...] | None  # of the document; None is site-wide
    channels: tuple[str, ...]
    effect_sigmas: float | None
    duration_min: float | None
    settle_s: float | None
    citation: str
    quote: str
    confidence: float

    def rows(self, assets: Sequence[str]) -> Iterator[dict[str, str]]:
        """Rows of the table, one for each asset: the document's own, else all of the plant."""
        for asset in self.assets if self.assets is not None else assets:
            yield {
                "kind": self.kind.value,
                "asset": asset,
                "instrument": self.instrument,
                "channels": ";".join(self.channels),
                "expected_effect": _written(self.effect_sigmas),
                "duration_min_max": _written(self.duration_min),
                "settle_s": _written(self.settle_s),
                "citation": self.citation,
                "quote": self.quote,
                "confidence": f"{self.confidence:.2f}",
            }


class _Work(msgspec.Struct):
    """One kind of work on one instrument in a text: its heading and the spans about it."""

    kind: WorkKind
    instrument: str
    section: str
    spans: list[tuple[int, int]]


def proposed_scopes(found: Iterable[Source], channels: ChannelNames) -> list[ProposedScope]:
    """What texts say that work disturbs; of two texts about the same work the surer one."""
    best: dict[tuple[object, ...], ProposedScope] = {}
    for source in found:
        for work in _works(source):
            scope = _scope(source, work, channels)
            if scope is None or scope.confidence < CONFIDENCE_MIN:
                continue
            key = (scope.kind, scope.instrument, scope.assets)
            if key not in best or best[key].confidence < scope.confidence:
                best[key] = scope
    return list(best.values())


def _works(source: Source) -> list[_Work]:
    """Work that the headings of a text name, each with what is said below them."""
    title = source.document.title
    works: list[_Work] = []
    for passage in source.passages:
        kind = _kind([title, *passage.section.split(" > ")])
        if kind is None or kind not in _EXCUSED:
            continue
        said = source.document.text[passage.start : passage.end]
        instrument = _INSTRUMENT.search(said)
        above = next((w for w in reversed(works) if _below(passage.section, w.section)), None)
        if above is None or (instrument and above.instrument not in ("", instrument[1])):
            works.append(_Work(kind=kind, instrument="", section=passage.section, spans=[]))
            above = works[-1]
        if instrument:
            above.instrument = instrument[1]
        above.spans.append((passage.start, passage.end))
    return works


def _below(section: str, other: str) -> bool:
    return section == other or not other or section.startswith(f"{other} > ")


def _kind(headings: Sequence[str]) -> WorkKind | None:
    """Kind of the innermost heading that names one."""
    return next((kind for h in reversed(headings) if h and (kind := kind_said(h))), None)


def _scope(source: Source, work: _Work, channels: ChannelNames) -> ProposedScope | None:
    text = source.document.text
    moved: list[tuple[int, int, list[Named]]] = []
    duration = settle = effect = None
    for span in work.spans:
        for start, end in sentences(source, *span):
            said = text[start:end]
            named = channels.inside(said)
            if named and _MOVES.search(said) and not _STILL.search(said):
                moved.append((start, end, named))
            duration = duration or _minutes(_LASTS.search(said))
            settle = settle or next(
                (m for pattern in _SETTLES if (m := _minutes(pattern.search(said)))), None
            )
            effect = effect or _sigmas(said)
    if not moved:
        return None
    names: dict[str, Named] = {}
    for one in sorted((n for _, _, all_ in moved for n in all_), key=lambda n: -n.confidence):
        names.setdefault(one.channel.name, one)
    surest = max(n.confidence for n in names.values())
    chosen = [n for n in names.values() if n.confidence == surest]
    confidence = surest
    for missing in (duration, settle):
        confidence *= 1.0 if missing else _DOUBT
    start, end = moved[0][0], moved[0][1]
    return ProposedScope(
        kind=work.kind,
        instrument=work.instrument,
        assets=source.document.assets,
        channels=tuple(n.channel.name for n in chosen),
        effect_sigmas=effect,
        duration_min=duration if duration and duration <= MINUTES_MAX else None,
        settle_s=settle * 60 if settle and settle * 60 <= SETTLE_S_MAX else None,
        citation=source.citation(start, end),
        quote=source.quote(start, end),
        confidence=confidence if work.instrument else confidence * _DOUBT,
    )


def _minutes(match: re.Match[str] | None) -> float | None:
    if match is None:
        return None
    said = match["n"].lower()
    number = _NUMBERS[said] if said in _NUMBERS else float(said)
    unit = match["unit"].lower()
    return number * (60 if unit.startswith("h") else 1 / 60 if unit.startswith("s") else 1)


def _sigmas(said: str) -> float | None:
    match = _EFFECT.search(plain(said))
    if match is None:
        return None
    return _EFFECTS.get(match["n"]) or float(match["n"])


def _written(number: float | None) -> str:
    return "" if number is None else f"{number:g}"
