"""A log line cut into clauses: what each names, what work it is of, whether it is believed."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

import msgspec

from kb.records import WorkKind
from kb.wording.asset_names import marked
from kb.wording.doubt import doubted
from kb.wording.negation import negates, plain
from kb.wording.said_times import SaidTime, timed
from kb.wording.wording import worded
from kb.wording.work_kinds import kind_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kb.wording.asset_names import AssetWords

_RUN: Final = r"@[\d_]+(?:\s*(?:\+|&|/|,|\band\b|\bor\b|\bund\b)\s*@[\d_]+)*"
# "on R1, R2 and R3 at 3": names with commas between them, and nothing said of the last alone
_LIST: Final = re.compile(
    r"(@\d+)\s*,\s*(?=@\d+(?:\s*(?:,|\+|&|\band\b|\bund\b)\s*@\d+)*\s*(?:$|[.;)]|at\b|\^))"
)
_EXCLUDED: Final = re.compile(
    rf"\b(?:not|except|excl\w*|instead of|rather than|without)\s+(?:on\s+|for\s+|of\s+)?({_RUN})"
)

DONE: Final = re.compile(
    r"\b(?:done|calibrated|verified|cleaned|changed|checked|tested|did|good|asplanned|backrunning)\b"
    r"|(?<![\w.])i\.?o\.?(?!\w)"
)
BEGUN: Final = re.compile(r"\b(?:started|ongoing|calibrating|changing)\b")
NOW: Final = re.compile(r"\b(?:now|rn|currently|gerade)\b")
PLANNED: Final = re.compile(
    r"\b(?:planned|tomorrow|later|tonight|will|gonna|going to|to started)\b"
)
TOMORROW: Final = re.compile(r"\btomorrow\b")
MOVED: Final = re.compile(r"\bmoved (?=\^\d)")
# "handover:", "night shift:": who speaks, not what was done
_SPEAKER: Final = re.compile(r"\s*(?:hand-?over|note|info|fyi|update|n\.?b\.?)\s*[:-]\s")
# "tomorrow 6am, not 12": the time that it is not, and says nothing of the work
_OTHER_TIME: Final = re.compile(
    r"(\^\d+[^^]{0,12}?)[\s,]*\(?\s*\b(?:not|nicht|statt|instead of)\s+(?:at\s|um\s)?"
    r"(?:\^\d+|\d{1,2}|\d{4})\)?(?=\W*(?:$|[;,.!)]))"
)
# what stands before work and is of it: "kaya at @0 now, ...", "@0 planned ^0: ..."
_HEAD_WORDS: Final = re.compile(
    r"@\d+|\^\d+|[+&/@]|(?:on|at|for|an|auf|bei|in|the|der|die|das|dem|für|fuer|um|ab|h|hrs?|uhr|ca|"
    r"today|heute|gleich|here|is|are|ist|sind|am|from|von|noch|just|also|and|und|by|with|mit|team|"
    r"shift|board|note|info)"
)
HEAD_STRANGERS_MAX: Final = 2  # a name of a person

_CLAUSE: Final = re.compile(
    r"[;()]|,(?!\d)|\.\s|:\s|\s[-\u2013\u2014]+\s|\b(?:but|then|while|whereas|however|although|though|so|"
    r"because|aber|sondern|dann|daf[uü]r)\b"
)
_ANY_WORK: Final = re.compile(
    r"calib|kalib|check|test|verif|chang|clean|stop|spatter|reinig|putz|säuber|wechs|tausch|prüf|pruef|ball|\bnew\b|\brun\b|control|trial"
)
# "R1 cal done and R2 waiting": a new subject after "and"
_SUBJECT: Final = re.compile(
    r"(?:\band\b|\bund\b|[+&])\s*(?=@[\d_]+\s+(?!and\b|or\b|und\b|[+&/,])\w)"
)
ALSO: Final = re.compile(r"\b(?:too|also|as well|same|likewise|ditto|auch|ebenso)\b")


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One clause: its words, the assets that it names and leaves out, its kind of work."""

    text: str
    own: tuple[str, ...]
    left_out: tuple[str, ...]
    strange: bool  # names an id that nobody knows
    kind: WorkKind | None
    doubt: bool  # wishes, complaints, repairs, other days
    off: bool  # not done, called off, put off
    moved: bool  # to another time, which it says

    @property
    def only_names(self) -> bool:
        """Whether it says nothing beyond names."""
        rest = re.sub(r"@[\d_]+|[+&/]|\b(?:and|or|und)\b", " ", self.text)
        return bool(self.own or self.strange) and not rest.strip(" .:!-")


def heads(clause: Clause) -> bool:
    """Whether a clause without work tells when, or that, the work after it is done.

    It holds a stage or a time, names, small words, and at most the name of a person.
    """
    if clause.kind is not None or clause.doubt or clause.off or clause.strange:
        return False
    rest = clause.text
    for words in (BEGUN, NOW, PLANNED):
        rest = words.sub(" ", rest)
    told = rest != clause.text or "^" in clause.text
    others = [word for word in rest.strip(" .:!-").split() if not _HEAD_WORDS.fullmatch(word)]
    return told and len(others) <= (HEAD_STRANGERS_MAX if rest != clause.text else 0)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line, cut into clauses. `subject`: the one asset that it names, else empty."""

    clauses: tuple[Clause, ...]
    times: tuple[SaidTime, ...]
    subject: tuple[str, ...]


@functools.lru_cache(maxsize=8_192)
def may_tell(said: str) -> bool:
    """Whether a line has a word without which no work is told; most lines have none."""
    return bool(_ANY_WORK.search(worded(plain(said))))


def read_line(said: str, assets: AssetWords) -> Line:
    """Clauses of a line: names marked as `@0`, times as `^0`, words in their known meaning."""
    text = re.sub(r"@(?=\S)", "@ ", _SPEAKER.sub("", plain(said), count=1)).replace("^", " ")
    line, named = marked(text, assets)
    line, times = timed(worded(line))
    line = _OTHER_TIME.sub(r"\1 ", line)
    line = _LIST.sub(r"\1 + ", line)
    parts = [
        piece
        for half in _CLAUSE.split(line)
        for part in _by_subject(half)
        for piece in _by_kind(part)
    ]
    one = len(set(named)) == 1 and "@_" not in line
    return Line(
        clauses=tuple(_clause(part, named) for part in parts if part.strip(" .:!-")),
        times=tuple(times),
        subject=(named[0],) if one else (),
    )


def _by_kind(part: str) -> list[str]:
    """A clause cut between two kinds of work: "tip changed + nozzle cleaned"."""
    for match in re.finditer(r"\s(?:and|und|[+&])\s", part):
        before, after = part[: match.start()], part[match.end() :]
        kinds = {kind_in(before), kind_in(after)}
        if len(kinds) > 1 and None not in kinds:
            return [before, *_by_kind(after)]
    return [part]


def _by_subject(part: str) -> list[str]:
    """A clause cut before each new subject; "R1 and R2 cal ok" and "cal on R1 and R2" are one."""
    pieces: list[str] = []
    begin = 0
    for match in _SUBJECT.finditer(part):
        before = part[begin : match.start()]
        told = re.sub(rf"{_RUN}|[+&]", " ", before).strip()
        if told and _is_new(told, part[match.end() :]):
            pieces.append(before)
            begin = match.end()
    return [*pieces, part[begin:]]


def _is_new(before: str, after: str) -> bool:
    """Whether a name after "and" begins a clause: it does not in "cal of R1 and R2 ok"."""
    if kind_in(after) is not None or negates(after) or doubted(after) or ALSO.search(after):
        return True
    stages = (DONE, BEGUN, PLANNED)
    said = [any(words.search(text) for words in stages) for text in (before, after)]
    return kind_in(before) is None or all(said)


def _clause(part: str, named: Sequence[str]) -> Clause:
    excluded = _EXCLUDED.search(part)
    left_out: tuple[str, ...] = ()
    if excluded and "@_" not in excluded[1]:
        left_out = _names(excluded[1], named)
        part = f"{part[: excluded.start()]} {part[excluded.end() :]}"
    rest = MOVED.sub(" ", part)  # a new time takes the old one back, not the work
    return Clause(
        text=part,
        own=_names(part, named),
        left_out=left_out,
        strange="@_" in part,
        kind=kind_in(part),
        doubt=doubted(rest),
        off=negates(rest),
        moved=rest != part,
    )


def _names(text: str, named: Sequence[str]) -> tuple[str, ...]:
    numbers = re.findall(r"@(\d+)", text)
    return tuple(dict.fromkeys(named[int(number)] for number in numbers))


def names_elsewhere(clause: Clause) -> bool:
    """Whether a clause names assets in two places: "R1 gas cal done on R2" may be of either."""
    return len(re.findall(_RUN, clause.text)) > 1
