"""Shop-floor wording brought to words that a grammar can know: abbreviations, German, slips.

A slip of the keyboard is seen through only in words of five letters and more, only where one known
meaning is so near, and never in names of machines: those are exact.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from typing import Final

from kb.wording.shop_words import OTHERS, PHRASES, PLAIN, SAME, SLIPPED

LETTERS_MIN: Final = 5
LETTERS_OF_TWO_SLIPS: Final = 10
LETTERS_TO_CHANGE_ONE: Final = 7
STEM: Final = 4  # letters that the inflections of a word share

_PHRASES: Final = tuple((re.compile(pattern), same) for pattern, same in PHRASES)
_ABBREVIATED: Final = re.compile(
    r"(?<![\w-])(re-?cal|cal|calib|verif|func|funct|temp|insp|ref|approx|ca|std|sched|compl|comp|"
    r"repl|chg|maint|min|max|vib|vibr|pos|vs|hrs?)\.(?=\s|$)"
)
_JOINED: Final = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_]{3})")  # "TCP-Abgleich"
# German words of a thing and what is measured of it, or done to it: "Siebreinigung", "Motortemp."
_COMPOUND: Final = re.compile(
    r"(?<![\w@^'/-])(spindel|spindle|spitzen?|düsen?|duesen?|brenner|siebe?|filter|werkzeug|ventil|pumpen|"
    r"motor|gas|draht|strom|spannungs|druck|temperatur|durchfluss|kühlmittel|kuehlmittel|kss|späne|"
    r"spaene|wannen|taster|mess|sensor|achs|achsen|gelenk|öl|luft|wasser|platten|elektroden|kappen|"
    r"stromdüsen|kontaktdüsen|schutzgas|wicklungs|lager|saug|wendeplatten|probe|vorschub|"
    r"drahtvorschub)(wechsel|tausch|reinigung|kalibrierung|abgleich|prüfung|pruefung|test|kontrolle|"
    r"messung|temp|temperatur|fühler|fuehler|druck|durchfluss|fluss|menge|vorschub|messgerät|"
    r"messgeraet|wanne|last|sensor|taster|geber|schwingung|strom|spannung|justage)(?![^\W\d_])"
)
CUT_CHARS_MIN: Final = 4
_CUT: Final = re.compile(r"(?<![\w@^'/.-])[^\W\d_]{3,}\.(?=\s|$|,|\))")
_WORD: Final = re.compile(r"(?<![\w@^'/-])[^\W\d_]+(?:'[^\W\d_]+)?(?![\w'])")
_VOWELS: Final = re.compile(r"[aeiou]")
_DOUBLED: Final = re.compile(r"(.)\1")
SKELETON_MIN: Final = 3
_NOUNS: Final = ("calibration", "verification", "check", "test", "cleaning", "clean", "change")
_MEANING: Final = {
    **{word: word for word in PLAIN.split()},
    **{other: word for word, others in SAME.items() for other in [word, *others.split()]},
}


def worded(line: str) -> str:
    """A line in lower case with the words of `shop_words` in place of what means the same.

    Names that are marked (`@3`) and times (`^0`) stay as they are.
    """
    line = _JOINED.sub(" ", _COMPOUND.sub(r"\1 \2", line))
    line = _CUT.sub(lambda match: _completed(match[0]), _ABBREVIATED.sub(r"\1", line))
    line = _WORD.sub(lambda match: meant(match[0]), _phrased(line))
    return " ".join(_phrased(line).split())


def _phrased(line: str) -> str:
    for pattern, same in _PHRASES:
        line = pattern.sub(same, line)
    return line


@functools.lru_cache(maxsize=16_384)
def meant(word: str) -> str:
    """What a word in lower case means; itself where it is not known."""
    if word in _MEANING:
        return _MEANING[word]
    if word not in OTHERS and (known := _by_skeleton().get(word)):
        return _MEANING[known]
    if len(word) < LETTERS_MIN or word in OTHERS:
        return word
    near = [known for known in _nearby(word) if _is_slip(word, known)]
    if len({known[:STEM] for known in near}) != 1:
        return word
    return _MEANING[max(near, key=lambda known: (len(known), known))]


def _completed(cut: str) -> str:
    """A known word for one that is cut short by a dot; what has several meanings stays."""
    word = cut.rstrip(".")
    if word in _MEANING and any(known != word and known.startswith(word) for known in _MEANING):
        return word if _MEANING[word] != word else cut
    if len(word) < CUT_CHARS_MIN or word in OTHERS or meant(word) != word or word in _MEANING:
        return cut
    fits = [known for known in _MEANING if known.startswith(word)]
    if len({known[:STEM] for known in fits}) != 1:
        return cut
    meanings = {_MEANING[known] for known in fits}
    return next((one for one in _NOUNS if one in meanings), min(meanings))


@functools.cache
def _by_skeleton() -> dict[str, str]:
    """Known words by their consonants, as people write them in haste: "plnd", "vlv", "clnd"."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for known in _MEANING:
        short = _VOWELS.sub("", known)
        if len(known) >= CUT_CHARS_MIN and known.isascii() and len(short) >= SKELETON_MIN:
            for word in {short, _DOUBLED.sub(r"\1", short)} - {known}:
                found[word].add(known)
    return {
        word: min(of)
        for word, of in found.items()
        if len({_MEANING[known] for known in of}) == 1 and not _VOWELS.search(word)
    }


def _is_slip(word: str, known: str) -> bool:
    """Whether a word is a slip of a known one: the first letter is right, or stands second.

    In short words a changed letter mostly makes another word: "liter" is no liner.
    """
    if word[0] != known[0] and word[:2] != known[1::-1]:
        return False
    if len(known) < LETTERS_TO_CHANGE_ONE and len(word) == len(known):
        return sorted(word) == sorted(known) and _slips(word, known) <= 1
    return _slips(word, known) <= _allowed(known)


def _allowed(known: str) -> int:
    return 2 if len(known) >= LETTERS_OF_TWO_SLIPS else 1


def within_one_slip(word: str, known: str) -> bool:
    """Whether two words differ by one letter put in, left out, changed, or two swapped."""
    return abs(len(word) - len(known)) <= 1 and _slips(word, known) <= 1


def _slips(word: str, known: str) -> int:
    """Letters put in, left out or changed, and neighbours swapped, between two words."""
    rows = [list(range(len(known) + 1))]
    for i, letter in enumerate(word, 1):
        row = [i]
        for j, other in enumerate(known, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == known[j - 2] and word[i - 2] == other:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _shortened(word: str, letters: int) -> set[str]:
    """A word with up to so many letters left out."""
    found = {word}
    for _ in range(letters):
        found |= {w[:i] + w[i + 1 :] for w in found for i in range(len(w))}
    return found


@functools.cache
def _by_shortened() -> dict[str, frozenset[str]]:
    """Known words by what is left of them without a letter or two: what is near shares one."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for known in {*PLAIN.split(), *SLIPPED.split()}:
        if len(known) >= LETTERS_MIN:
            for short in _shortened(known, _allowed(known)):
                found[short].add(known)
    return {short: frozenset(words) for short, words in found.items()}


@functools.cache
def _longest() -> int:
    return max(map(len, _by_shortened()))


def _nearby(word: str) -> set[str]:
    index = _by_shortened()
    letters = 2 if len(word) >= LETTERS_OF_TWO_SLIPS - 2 else 1
    if len(word) > _longest() + letters:
        return set()  # of a long word there are very many shorter ones, and none is known
    return {known for short in _shortened(word, letters) for known in index.get(short, ())}
