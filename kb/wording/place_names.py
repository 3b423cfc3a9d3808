"""Names of machines that orders give away: functional locations, other spellings of an id.

Exports hold ids as people typed them, and places in columns of their own. A place is a machine's
where every order that tells both agrees; one that is so learned shows how the places of its
sisters are written: `MS1-MILL2` of `m2` makes `MS1-MILL3` of `m3`, and `mill 3` too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from kb.reading.alias_tables import aliases_of
from kb.reading.document import Form
from kb.reading.front_matter import is_asset_id
from kb.wording.asset_names import asset_words, assets_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from kb.reading.document import Document
    from kb.reading.rows import Row
    from kb.wording.asset_names import AssetWords

_MACHINES: Final = frozenset({Form.SCOPE, Form.SENSOR, Form.ASSETS, Form.LIMIT})
_LOCATIONS: Final = ("functional_location", "location", "technischer platz", "funcloc")
_PLACE: Final = re.compile(r"(?P<before>(?:[A-Za-z0-9]+[-./ ])+)(?P<noun>[A-Za-z]+)0*(?P<n>\d+)")
MENTIONS_MIN: Final = 2
_NOUNS: Final = (
    "mill", "lathe", "grinder", "press", "pump", "robot", "oven", "furnace", "conveyor", "chiller",
    "compressor", "fan", "blower", "mixer", "reactor", "boiler", "turbine", "extruder", "crane",
    "saw", "drill", "welder", "loom", "filler", "packer", "dryer", "kiln", "crusher", "tank",
    "centrifuge", "presse", "fräse", "pumpe", "roboter", "ofen", "drehbank", "kompressor",
    "mischer",
)  # fmt: skip
_NUMBERED: Final = re.compile(r"(\D*?)0*(\d+)")


def names_of(
    documents: Iterable[Document], assets: Collection[str]
) -> tuple[set[str], dict[str, set[str]]]:
    """Ids without slips of known machines, and asset -> what else it is called."""
    documents = list(documents)
    kept, places = set(assets), dict[str, set[str]]()
    if known := machines_of(documents):
        places = places_of(documents, known)
        kept = without_slips(assets, known, places)
    aliases = aliases_of(documents, kept)
    for asset, names in places.items():
        aliases.setdefault(asset, set()).update(names)
    return kept, aliases


def machines_of(documents: Iterable[Document]) -> set[str]:
    """Ids that approved tables and manuals name: others may be slips and places of orders."""
    known: set[str] = set()
    for document in documents:
        known.update(document.assets or ())
        if document.form in _MACHINES:
            cells = (row.cells.get("asset", "") for row in document.rows)
            known.update(asset for asset in cells if is_asset_id(asset))
    return known


def places_of(documents: Iterable[Document], known: Collection[str]) -> dict[str, set[str]]:
    """Machine -> places and names that are learned of it; `known` as of `machines_of`."""
    documents = list(documents)
    words = asset_words(known)
    votes: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        if document.form is Form.ORDER:
            for row in document.rows:
                _vote(row, words, known, votes)
    sure = {place: next(iter(of)) for place, of in votes.items() if len(of) == 1}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for place, asset in sure.items():
        found[asset].add(place.lower())
    learned = {**_by_noun(documents, known), **_sisters(sure, known)}
    for name, asset in learned.items():
        if votes.get(name, {asset}) == {asset}:
            found[asset].add(name.lower())
    return dict(found)


def without_slips(
    assets: Collection[str], known: Collection[str], aliases: Mapping[str, Collection[str]]
) -> set[str]:
    """Ids without those that only are another spelling, or the place, of a known machine.

    Ids that differ in zeros before the number alone (`r01` beside a known `r1`) are left out too:
    a line that writes one of them so names no machine for sure.
    """
    words = asset_words(known, aliases)
    bare = {_unpadded(one) for one in known}
    return {
        one
        for one in assets
        if one in known or (words.get(one.lower(), one) not in known and _unpadded(one) not in bare)
    }


def _by_noun(documents: Iterable[Document], known: Collection[str]) -> dict[str, str]:
    """Names of machines with letters and a number by what manuals call such a machine: `mill 3`.

    Only where the letters begin that word, and no other machine's that the manuals speak of.
    """
    found: dict[str, str] = {}
    stems = {match[1].lower() for one in known if (match := _NUMBERED.fullmatch(one))}
    if len(stems) != 1 or not (stem := stems.pop()).isalpha():
        return found
    told = [text.text.lower() for text in documents if text.form is Form.MARKDOWN]
    nouns = [noun for noun in _NOUNS if noun.startswith(stem) and _spoken_of(noun, told)]
    if len(nouns) == 1:
        for one in known:
            number = re.sub(r"\D", "", one)
            found |= {f"{nouns[0]} {int(number)}": one, f"{nouns[0]}{int(number)}": one}
    return found


def _spoken_of(noun: str, texts: Iterable[str]) -> bool:
    """Whether texts, in small letters, say a word more than by chance."""
    word = re.compile(rf"\b{noun}s?\b")
    mentions = 0
    for text in texts:
        if noun in text:
            mentions += len(word.findall(text))
            if mentions >= MENTIONS_MIN:
                return True
    return False


def _unpadded(asset: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", asset.lower())


def _vote(
    row: Row, words: AssetWords, known: Collection[str], votes: defaultdict[str, set[str]]
) -> None:
    """Which machine a row gives for its place, if what it says of it agrees."""
    cell = row.cells.get("asset", "").strip()
    places = {text.strip() for name, text in row.cells.items() if name.casefold() in _LOCATIONS}
    asset = words.get(cell.lower(), "")
    if not asset:
        places.add(cell)
    places = {place for place in places if place not in known and _PLACE.fullmatch(place)}
    if not places:  # most rows have none, and reading their words takes long
        return
    told = {*assets_in(row.cells.get("description", ""), words), *([asset] if asset else ())}
    if len(told) == 1:
        for place in places:
            votes[place] |= told


def _sisters(sure: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """Places and names of the machines whose numbers stand where the learned ones have theirs."""
    made: defaultdict[str, set[str]] = defaultdict(set)
    numbers = {one: match for one in known if (match := _NUMBERED.fullmatch(one))}
    for place, asset in sure.items():
        match, own = _PLACE.fullmatch(place), numbers.get(asset)
        if match is None or own is None or own[2] != match["n"]:
            continue
        for other, number in numbers.items():
            if number[1] == own[1]:
                for head in (match["before"] + match["noun"], f"{match['noun']} ", match["noun"]):
                    made[f"{head}{number[2]}"].add(other)
    return {name: next(iter(of)) for name, of in made.items() if len(of) == 1}
