"""Labelled intervals: what somebody has said of a stretch of one asset, and what of it stands.

A label is a word or the id of a failure mode:

normal     nothing was wrong, and nobody worked on it
expected   an alert of work or of a way of running that was known
nuisance   an alert of nothing
sensor     the sensor was wrong and the process was not
real       something was wrong; which failure mode, nobody has said
an id      that failure mode

A file of labels is only ever added to. What a person says later of the same thing takes the place
of what he said before, and a label that is withdrawn no longer stands. Where two that stand speak
of the same time and cannot both be right, nobody guesses: both are listed, and neither is used.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VERSION: Final = 1
NORMAL: Final = "normal"
REAL: Final = "real"
QUIET: Final = ("expected", "nuisance")  # it rang, and should not have
WORDS: Final = (NORMAL, *QUIET, "sensor", REAL)
WITHDRAWN: Final = "withdrawn"  # in place of a label: the one that `reference` names stands no more
ID_CHARS: Final = 12
MODE_ID: Final = re.compile(r"\w[\w .:/+-]{0,79}")


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a file of labels: [begin_ns, end_ns) of an asset, plant time, int ns, UTC.

    reference: what it is about, as alert, order or row: a later word of the same person on it takes
    its place; "" nothing that has a name. said_by: "" nobody knows. recorded_at_ns: when it was
    said, 0 where that is not known. quote: the words it was read from; place: where they stand.
    """

    version: Literal[1] = VERSION
    asset: str
    begin_ns: int
    end_ns: int
    label: str
    source: Literal["feedback", "table", "order", "person"]
    reference: str = ""
    said_by: str = ""
    recorded_at_ns: int = 0
    quote: str = ""
    place: str = ""

    @property
    def label_id(self) -> str:
        """What names it: the begin of a hash of all that it says, wherever it was read."""
        said = msgspec.structs.replace(self, place="")
        encoded = msgspec.json.encode(said, order="deterministic")
        return hashlib.sha256(encoded).hexdigest()[:ID_CHARS]

    def line(self) -> str:
        """One line for whoever looks for it: its id, and what it says of which time."""
        begin, end = (
            datetime.fromtimestamp(t_ns // 1_000_000_000, UTC).isoformat(timespec="seconds")
            for t_ns in (self.begin_ns, self.end_ns)
        )
        by = self.said_by or "nobody who is named"
        return f"{self.label_id} {self.asset} {begin} to {end}: {self.label}, says {by}"

    @property
    def is_fault(self) -> bool:
        """Whether something was wrong, of the process or of a sensor: it has to ring."""
        return self.label != NORMAL and self.label not in QUIET

    @property
    def names_mode(self) -> bool:
        """Whether it says which failure mode it was."""
        return self.label not in WORDS


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """Two labels that stand, speak of the same time of one asset, and cannot both be right."""

    asset: str
    begin_ns: int  # of the time that they share
    end_ns: int
    first: Label
    second: Label

    def line(self) -> str:
        """One sentence for whoever has to settle it."""
        return f"{self.asset}: {_told(self.first)}, but {_told(self.second)}"


def standing(labels: Iterable[Label]) -> list[Label]:
    """The labels that still count, in the order of asset and time; of two that say the same, one.

    A later word of the same person on the same thing takes the place of the one before; of two that
    were said at the same time, or at none that is known, the later line.
    """
    newest: dict[object, Label] = {}
    gone: set[str] = set()
    for i, label in enumerate(labels):
        if label.label == WITHDRAWN:
            gone.add(label.reference)
            continue
        key: object = (label.asset, label.source, label.reference, label.said_by)
        if not label.reference:
            key = label.label_id
        before = newest.get(key, label)
        if before.recorded_at_ns <= label.recorded_at_ns:
            newest.pop(key, i)
            newest[key] = label
    left = [label for label in newest.values() if label.label_id not in gone]
    return sorted(left, key=lambda one: (one.asset, one.begin_ns, one.end_ns, one.label_id))


def agree(first: str, second: str) -> bool:
    """Whether two labels of one time can both be right; symmetric.

    `real` leaves open which failure mode it was, and an alert of nothing may fall into normal
    operation.
    """
    if first == second:
        return True
    both = {first, second}
    if both <= {*QUIET} or both == {NORMAL, "nuisance"}:
        return True
    return REAL in both and not both & {NORMAL, *QUIET, "sensor"}


def conflicts(stand: Sequence[Label]) -> list[Conflict]:
    """Every pair of labels that share a time and do not agree. stand: as `standing` gives them."""
    found = []
    open_now: list[Label] = []
    for label in stand:
        open_now = [
            one for one in open_now if one.asset == label.asset and one.end_ns > label.begin_ns
        ]
        found += [
            Conflict(
                asset=label.asset,
                begin_ns=label.begin_ns,
                end_ns=min(one.end_ns, label.end_ns),
                first=one,
                second=label,
            )
            for one in open_now
            if not agree(one.label, label.label)
        ]
        open_now.append(label)
    return found


def undisputed(labels: Iterable[Label]) -> tuple[list[Label], list[Conflict]]:
    """The labels that may be learned from, and the conflicts that keep the others out."""
    stand = standing(labels)
    found = conflicts(stand)
    disputed = {one.label_id for pair in found for one in (pair.first, pair.second)}
    return [label for label in stand if label.label_id not in disputed], found


def counts(labels: Iterable[Label]) -> dict[str, dict[str, int]]:
    """How many labels of each kind each asset has: label -> asset -> number, words first."""
    found: dict[str, dict[str, int]] = {}
    order = {word: i for i, word in enumerate(WORDS)}
    for label in sorted(labels, key=lambda one: (order.get(one.label, 99), one.label, one.asset)):
        of_label = found.setdefault(label.label, {})
        of_label[label.asset] = of_label.get(label.asset, 0) + 1
    return found


def _told(label: Label) -> str:
    by = label.said_by or "nobody who is named"
    seconds = (label.end_ns - label.begin_ns) / 1e9
    where = f" ({label.place})" if label.place else ""
    return f"{by} says {label.label} of {seconds:.0f} s{where} [{label.label_id}]"
