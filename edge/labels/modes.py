"""Which failure mode people mean: their words against the ids and names of the tables."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from edge.assessment.label_words import MODE_ID, WORDS
from kb.reading.columns import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kb.records import FailureMode


class ModeNames:
    """Ids and names of the failure modes of a snapshot, and other codes that stand for them."""

    def __init__(
        self, known: Iterable[FailureMode] | None, codes: Mapping[str, str] | None = None
    ) -> None:
        """known: None where there is no snapshot: any id is one then. codes: theirs -> ours."""
        self._checked = known is not None
        self._codes = {key_of(theirs): ours for theirs, ours in (codes or {}).items()}
        self._phrases = {" ".join(theirs.casefold().split()): ours for theirs, ours in
                         (codes or {}).items()}  # fmt: skip
        self._ids: dict[str, dict[str, set[str]]] = {}  # key -> asset, "" any -> ids
        self._ours: set[str] = set()
        for mode in known or ():
            self._ours.add(mode.mode_id)
            for name in (mode.mode_id, mode.name):
                of_asset = self._ids.setdefault(key_of(name), {})
                of_asset.setdefault(mode.asset, set()).add(mode.mode_id)
                self._phrases.setdefault(_spaced(name), mode.mode_id)

    def label(self, said: str, asset: str) -> str:
        """The label that a cell means. Raises ValueError, saying why it means none."""
        word = said.strip()
        if word.casefold() in WORDS:
            return word.casefold()
        coded = self._codes.get(key_of(word))
        if coded is not None:
            return coded
        found = self._of(word, asset)
        if len(found) == 1:
            return next(iter(found))
        if found:
            raise ValueError(f"{said!r} may be {' or '.join(sorted(found))}; write the id")
        if self._checked:
            near = difflib.get_close_matches(word, [*WORDS, *sorted(self._ours)], n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"expected {', '.join(WORDS)}"
            raise ValueError(f"no failure mode {said!r} of {asset} in the snapshot; {hint}")
        if not MODE_ID.fullmatch(word):
            raise ValueError(f"{said!r} is no label: expected {', '.join(WORDS)}, or an id")
        return word

    def is_mode(self, label: str, asset: str) -> bool:
        """Whether a label is a failure mode that a snapshot or a table of codes knows."""
        coded = label not in WORDS and label in self._codes.values()
        return coded or bool(self._of(label, asset))

    def in_text(self, text: str, asset: str) -> str:
        """The one failure mode that a text names as whole words; "" none, or more than one."""
        said = f" {_spaced(text)} "
        found = {
            ours
            for phrase, ours in self._phrases.items()
            if phrase and f" {phrase} " in said and (ours in WORDS or self._is_of(ours, asset))
        }
        return next(iter(found)) if len(found) == 1 else ""

    def _of(self, word: str, asset: str) -> set[str]:
        of_asset = self._ids.get(key_of(word), {})
        return of_asset.get(asset) or of_asset.get("") or set()

    def _is_of(self, mode_id: str, asset: str) -> bool:
        return not self._checked or bool(self._of(mode_id, asset))


def _spaced(text: str) -> str:
    """Words in lower case with one blank between them; other signs are blanks too."""
    return " ".join(re.sub(r"[^\w]|_", " ", text.casefold()).split())
