"""Which instrument a log line means: by its name, its channels, and what people call these.

An approved scope row tells which instruments there are for a kind of work on a machine, a table of
sensors what their channels are called. Where the words fit two instruments, or name a thing that
the one they fit does not have, none is meant.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from kb.records import WorkKind
from kb.wording.wording import worded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kb.reading.document import Document

SENSORS: Final = "sensor"  # forms of documents, by value: the reader of documents needs this module
SCOPES: Final = "scope"
_BETWEEN: Final = re.compile(r"[;|]")
_TOKEN: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_TAG: Final = re.compile(r"([a-z]{2,})-?(?:\d+|[a-z])")
# work that is done to a part: its channels are what it disturbs, not what it is of
_OF_PARTS: Final = frozenset({WorkKind.REPLACEMENT, WorkKind.CLEANING, WorkKind.PLANNED_STOP})
# words of many instruments, which tell none apart
_COMMON_WORDS: Final = (
    "meter sensor probe gauge instrument transmitter value signal rate usage reading deviation "
    "error channel line primary secondary consumed main mean total supply "
)
_COMMON: Final = frozenset(_COMMON_WORDS.split())
# a part or a device that stands for the instrument it belongs to
_IMPLIES: Final = {
    "nozzle": "torch",
    "insert": "tool",
    "cutter": "tool",
    "feeder": "feed",
    "ball": "axes",
    "ballbar": "axes",
    "basket": "strainer",
    "chip": "chip",
    "filter": "strainer",
}
# things beside the instruments of a table: with one of them the work is of something else
_OTHER_THINGS_WORDS: Final = (
    "analyser analyzer detector switch regulator hose hoses scale camera relay monitor "
    "controller bottle level cable plug light curtain door guard scanner gripper cabinet fan "
    "bearing seal gearbox hydraulic hydraulics lubrication conveyor table chuck tailstock "
    "turret magazine schlauch kabel waage kamera schalter regler waechter wächter analysator "
    "schutzgitter tuer tür lager dichtung getriebe weighing printer label torque wrench ph "
    "conductivity oxygen "
)
_OTHER_THINGS: Final = frozenset(_OTHER_THINGS_WORDS.split())
_FILLERS_WORDS: Final = (
    "a an the on of at for in by with and all both its after reference now today this morning "
    "min h hr hrs routine weekly monthly daily annual quick full only done good started ongoing "
    "planned tomorrow will later backrunning w auf bei der die das dem am zum mit und für fuer "
    "um ab uhr ca ok i we was is been did have has just got shift scheduled maintenance pm "
    "check "
)
_FILLERS: Final = frozenset(_FILLERS_WORDS.split())


class ScopeWords(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument of a machine for one kind of work, and the words that may mean it."""

    kind: str
    name: str
    own: tuple[str, ...]  # of its name
    more: tuple[str, ...] = ()  # of its channels and what they are called


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """The instruments of one machine; `words`: all that its channels and instruments are called."""

    rows: tuple[ScopeWords, ...]
    words: frozenset[str]


def gauges_of(documents: Iterable[Document]) -> dict[str, Gauges]:
    """Machine -> its instruments, from tables of scope and of sensors."""
    documents = list(documents)
    called: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    of_asset: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        if document.form != SENSORS:
            continue
        for row in document.rows:
            asset, channel = row.cells.get("asset", ""), row.cells.get("channel", "")
            names = [channel, *_BETWEEN.split(row.cells.get("aliases", ""))]
            words = {word for name in names for word in _tokens(name)}
            called[asset, channel] |= words
            of_asset[asset] |= words
    rows: defaultdict[str, list[ScopeWords]] = defaultdict(list)
    for document in documents:
        if document.form != SCOPES:
            continue
        for row in document.rows:
            cells = row.cells
            asset, kind = cells.get("asset", ""), cells.get("kind", "")
            channels = [name.strip() for name in _BETWEEN.split(cells.get("channels", ""))]
            more = {w for name in channels for w in called[asset, name] | _tokens(name)}
            own = _tokens(cells["instrument"].replace("_", " "))
            of_asset[asset] |= own | more
            if cells["instrument"]:
                kept = () if kind in _OF_PARTS else tuple(sorted(more))
                rows[asset].append(
                    ScopeWords(
                        kind=kind, name=cells["instrument"], own=tuple(sorted(own)), more=kept
                    )
                )
    return {
        asset: Gauges(rows=tuple(dict.fromkeys(found)), words=frozenset(of_asset[asset]))
        for asset, found in rows.items()
    }


def instrument_meant(text: str, kind: WorkKind, gauges: Gauges, *, rest: str) -> str:
    """The one instrument that a worded text means; "" when none or several may be meant.

    rest: the text without the words of its work, to see what else it names.
    """
    said = _tokens(text)
    said |= {_IMPLIES[word] for word in said if word in _IMPLIES}
    rows = [row for row in gauges.rows if row.kind == kind]
    if not rows or said & _OTHER_THINGS - gauges.words:
        return ""
    row = _named(said, rows) or _hinted(said, rows)
    if row is None and len(rows) == 1 and _tokens(rest) <= _FILLERS:
        row = rows[0]
    if row is None:
        return ""
    strangers = (said & gauges.words) - {*row.own, *row.more} - _COMMON - _FILLERS
    if kind in _OF_PARTS and set(row.own) <= said:
        strangers = frozenset()
    return "" if strangers else row.name


def _named(said: frozenset[str], rows: Sequence[ScopeWords]) -> ScopeWords | None:
    """The row whose whole name is said; of `spindle` and `spindle_temp` the one that says more."""
    fits = [row for row in rows if set(row.own) <= said]
    longest = [row for row in fits if all(set(other.own) <= set(row.own) for other in fits)]
    return longest[0] if len(longest) == 1 else None


def _hinted(said: frozenset[str], rows: Sequence[ScopeWords]) -> ScopeWords | None:
    """The one row that has a word which no other has."""
    found = []
    for row in rows:
        others = {word for other in rows if other is not row for word in (*other.own, *other.more)}
        if said & {*row.own, *row.more} - others - _COMMON - _FILLERS:
            found.append(row)
    return found[0] if len(found) == 1 else None


@functools.lru_cache(maxsize=4_096)  # tables name the same instruments of every machine
def _tokens(text: str) -> frozenset[str]:
    """Words of a text in their known meaning; of a tag "pt-1" its letters too."""
    found = set(_TOKEN.findall(re.sub(r"[@^][\d_]+", " ", worded(text.lower()))))
    for word in list(found):
        if "-" in word and (match := _TAG.fullmatch(word)):
            found.add(match[1])
        elif len(word) > 2 and word.endswith("s"):  # "PTs", "joints"
            found.add(word[:-1])
    return frozenset(found)
