"""Texts that name an order beside a word for calling it off: rows, log lines, lines of prose.

They withdraw an approval from when they were known, and never give one.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from kb.proposals.order_ids import key_of
from kb.reading.document import Form
from kb.wording.negation import calls_off

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kb.proposals.order_ids import OrderIds
    from kb.retrieval.passages import Extract


REMEMBERED: Final = 1_024  # texts of a document, the last ones


class Calling(msgspec.Struct, frozen=True, kw_only=True):
    """One text that may call off an order, known from a time on, ns."""

    path: str
    line: int
    known_ns: int
    order_id: str = ""  # of an order's row: the order that it is of

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.path}, line {self.line}"


class Saying(msgspec.Struct, frozen=True, kw_only=True):
    """A text that may call something off, whatever it names."""

    said: str
    calling: Calling


def sayings(extract: Extract) -> tuple[Saying, ...]:
    """Rows and lines of a document with a word for calling off; they depend on nothing else."""
    off = functools.lru_cache(REMEMBERED)(calls_off)  # occurrences of a series have one text
    found = (Saying(said=said, calling=calling) for said, calling in _sayings(extract))
    return tuple(saying for saying in found if off(saying.said))


def callings(found: Iterable[Saying], ids: OrderIds) -> dict[str, list[Calling]]:
    """Texts that may call off orders, by the key of the order.

    Rows of an order itself are left out: its status says what became of it.
    """
    about: defaultdict[str, list[Calling]] = defaultdict(list)
    for saying in found:
        for key in ids.named_in(saying.said):
            if key != key_of(saying.calling.order_id):
                about[key].append(saying.calling)
    return about


def _sayings(extract: Extract) -> Iterator[tuple[str, Calling]]:
    document = extract.document
    path = document.path
    if document.form in (Form.MARKDOWN, Form.RST, Form.TEXT):
        for number, line in enumerate(document.text.splitlines(), 1):
            yield line, Calling(path=path, line=number, known_ns=document.known_from_ns)
        return
    known = {passage.start: passage.known_from_ns for passage in extract.passages}
    for row in document.rows:
        said = document.text[row.start : row.end]
        order_id = row.cells.get("order_id", "") if document.form is Form.ORDER else ""
        known_ns = known.get(row.start, 0)  # of a row that cannot be read: always
        yield said, Calling(path=path, line=row.line, known_ns=known_ns, order_id=order_id)
