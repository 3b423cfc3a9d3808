"""Assets as a shift log writes them: "R1", "r 1", "Rob 1", "PRESS 07", "R1-R4", "#12", aliases.

Aliases are declared: other names of a machine, its functional location, tags of its sensors. The
letters of a name may hold a slip ("robto 12"), its number never.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from kb.wording.wording import within_one_slip

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

LETTERS_MIN: Final = 5  # a slip in a shorter name may be another one
RANGE_MAX: Final = 50  # "R1-R40" names so many, a longer one is no list of machines
_ROBOT: Final = ("r", "rb", "rob", "robot")  # a robot's letters, however long they are written
_PADDED: Final = re.compile(r"(.*?[a-z])([ _-]?)(0*)(\d+)")
_RANGE: Final = re.compile(
    r"(?<![\w-])([a-z][\w]*?[ _-]?)(\d{1,4})\s?(?:-|\u2013|to|bis|thru|through|\.{2,3})"
    r"\s?\1(\d{1,4})(?![\w-])"
)
_TOKEN: Final = re.compile(r"[\w][\w.:/-]*")
_HEADED: Final = re.compile(r"([^\W\d_]+)( ?)(\d+)")
_NAME: Final = re.compile(r"[\w][\w.:/-]*(?: \d+(?![\w.,:/-]*\d))?")


class AssetWords(dict[str, str]):
    """Known ids by how a line may write them. It is not changed once it is made."""

    @functools.cached_property
    def phrases(self) -> re.Pattern[str] | None:
        """Names that are not found as a word, or a word and a number: "#12", "hyd press 07"."""
        odd = [word for word in self if not _NAME.fullmatch(word)]
        if not odd:
            return None
        either = "|".join(re.escape(word) for word in sorted(odd, key=len, reverse=True))
        return re.compile(rf"(?<![\w-])(?:{either})(?![\w-])")

    @functools.cached_property
    def heads(self) -> dict[str, str]:
        """The letters of names that are a word and a number."""
        found = (match for word in self if (match := _HEADED.fullmatch(word)))
        return {match[1]: match[2] for match in found}

    def of_slip(self, name: str) -> str:
        """The one name of which this one is a slip in the letters; "" when there is none."""
        match = _HEADED.fullmatch(name)
        if match is None or match[1] in self.heads:
            return ""
        near = {
            f"{head}{match[2]}{match[3]}"
            for head in self.heads
            if max(len(head), len(match[1])) >= LETTERS_MIN
            and head[0] == match[1][0]
            and within_one_slip(match[1], head)
        }
        fits = [word for word in near if word in self]
        return fits[0] if len(fits) == 1 else ""

    @functools.cached_property
    def shapes(self) -> frozenset[str]:
        """What ids with numbers look like, with 0 for any number."""
        return frozenset(_shape(word) for word in self if re.search(r"\d", word))


def asset_words(
    ids: Iterable[str], aliases: Mapping[str, Collection[str]] | None = None
) -> AssetWords:
    """Known ids by how a line may write them; spellings that fit several ids are left out.

    aliases: asset -> what else it is called; an alias never stands for another's id.
    """
    own: defaultdict[str, set[str]] = defaultdict(set)
    more: defaultdict[str, set[str]] = defaultdict(set)
    for asset in set(ids):
        own[asset.lower()].add(asset)
        for word in _spellings(asset.lower()):
            more[word].add(asset)
    for asset, names in (aliases or {}).items():
        for name in names:
            alias = " ".join(name.lower().split())
            for word in {alias, *_spellings(alias)} - {""}:
                more[word].add(asset)
    words = {word: same for word, same in more.items() if word not in own} | own
    fits = {word: next(iter(same)) for word, same in sorted(words.items()) if len(same) == 1}
    return AssetWords(fits)


def assets_in(said: str, assets: AssetWords) -> list[str]:
    """Known assets that a line names as whole words, in order, each once."""
    _, found = marked(said.lower(), assets)
    return list(dict.fromkeys(found))


def marked(line: str, assets: AssetWords) -> tuple[str, list[str]]:
    """A line in lower case with "@3" for its fourth name and "@_" for what looks like one.

    The second value lists the assets by that number.
    """
    found: list[str] = []
    shapes = assets.shapes

    def mark(match: re.Match[str]) -> str:
        whole = match[0]
        rest = whole[len(whole.rstrip(".:/-")) :]
        tries = [whole[: len(whole) - len(rest)]]
        if " " in whole:
            tries.append(whole.partition(" ")[0].rstrip(".:/-"))
        for name in tries:
            if name in assets:
                found.append(assets[name])
                return f" @{len(found) - 1} {whole[len(name) :]}"
        if slip := assets.of_slip(tries[0]):
            found.append(assets[slip])
            return f" @{len(found) - 1} {rest}"
        head, blank, tail = whole.partition(" ")
        parts = re.split(r"([/:])", head)
        known = [part.rstrip(".-") in assets or _strange(part, shapes) for part in parts[::2]]
        if len(parts) > 1 and any(known):
            return "".join(_TOKEN.sub(mark, part) for part in parts) + blank + tail
        strange = _strange(tries[0], shapes) or _strange(tries[-1], shapes)
        return f" @_ {rest}" if strange else whole

    if assets.phrases:
        line = assets.phrases.sub(lambda m: f" {assets[m[0]].lower()} ", line)
    return _NAME.sub(mark, _RANGE.sub(lambda m: _listed(m, assets), line)), found


def _spellings(asset: str) -> set[str]:
    """Other ways to write an id that ends in a number; a hyphen is never put in or left out."""
    match = _PADDED.fullmatch(asset)
    if match is None:
        return set()
    letters, mark, zeros, number = match.groups()
    heads = _ROBOT if letters in _ROBOT else (letters,)
    marks = {mark, " ", ""} if mark else {"", " "}
    return {
        f"{head}{between}{digits}"
        for head in heads
        for between in marks
        for digits in {zeros + number, number}
    } - {asset}


def _listed(match: re.Match[str], assets: AssetWords) -> str:
    """The assets of a range that names its two ends, one by one."""
    letters, first, last = match.groups()
    if f"{letters}{first}" not in assets and f"{letters}{last}" not in assets:
        return match[0]
    numbers = range(int(first), int(last) + 1)
    if not 1 < len(numbers) <= RANGE_MAX:
        return match[0]
    names = (f"{letters}{number:0{len(first)}d}" for number in numbers)
    return " " + " + ".join(names) + " "


def _strange(word: str, shapes: frozenset[str]) -> bool:
    """Whether a word looks like an asset's id: R12 beside r1."""
    return _shape(word.rstrip(".:/-")) in shapes


def _shape(word: str) -> str:
    return re.sub(r"\d+", "0", word)
