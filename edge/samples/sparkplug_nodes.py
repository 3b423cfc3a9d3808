"""Sequence numbers of Sparkplug B: whether anything was missed of what a node and its devices said.

A node and its devices share one count from 0 to 255, which begins anew behind it. A birth of the
node says where the count stands; every other message but its death takes the next number. Where a
number is left out, messages were lost, a birth among them perhaps: then nobody knows whether an
alias still means what it did.

Only a node of which everything is subscribed can be counted: of a part of its messages a gap says
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.caps import SPARKPLUG_BIRTHS_MAX
from edge.samples.pending import count
from edge.wire.sparkplug import SEQUENCES
from edge.wire.topics import hears_all_of_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.settings import Source

UNKNOWN: Final = -1  # no message of it has come, or it is dead
SECOND_NS: Final = 1_000_000_000
ASK_AGAIN_NS: Final = 60 * SECOND_NS  # a node has a minute to be born again, then twice as long
ASK_AGAIN_NS_MAX: Final = 3_600 * SECOND_NS
TELL_AGAIN_NS: Final = SECOND_NS  # a node that counts wrongly has a gap at every message


class NodeCount(msgspec.Struct, kw_only=True):
    """What is remembered of a node."""

    due: int = UNKNOWN  # number that its next message has
    gaps: int = 0  # how often messages of it were missing
    asked: int = 0  # times that it was asked for its birth, since the last one
    ask_ns: int = 0  # not asked again before
    tell_ns: int = 0  # its gaps are not told again before, unless something of it is born


class Nodes:
    """The counts of all nodes. known: by node, changed in place; counts: likewise."""

    def __init__(
        self, known: dict[str, NodeCount], counts: dict[str, int], *, sources: Sequence[Source]
    ) -> None:
        self.known, self._counts, self._sources = known, counts, sources
        self._whole: dict[str, bool] = {}  # whether all of a node is heard

    def of(self, node: str) -> NodeCount | None:
        """The count of a node; None: it is not counted, as a part of it is heard at most."""
        found = self.known.get(node)
        if found is not None:
            return found
        if node not in self._whole:
            if len(self._whole) >= SPARKPLUG_BIRTHS_MAX:
                self._whole.clear()
            self._whole[node] = hears_all_of_node(node, self._sources)
        if not self._whole[node]:
            return None
        if len(self.known) >= SPARKPLUG_BIRTHS_MAX:
            del self.known[next(iter(self.known))]
        found = self.known[node] = NodeCount()
        return found

    def begins(self, node: str, seq: int | None) -> None:
        """A node was born: from here on it is counted."""
        found = self.of(node)
        if found is not None:
            found.due = UNKNOWN if seq is None else (seq + 1) % SEQUENCES
            found.asked = found.ask_ns = 0

    def ends(self, node: str) -> None:
        """A node died: what its next birth says is where the count goes on."""
        if node in self.known:
            self.known[node].due = UNKNOWN

    def born(self, node: str) -> None:
        """Something of a node was born, so that its next gap is news again."""
        if node in self.known:
            self.known[node].tell_ns = 0

    def misses(self, node: str, seq: int | None, *, now_ns: int) -> bool:
        """Take the number of a message; whether it is to be told that others are missing.

        All assets of the node are told, so that a gap right behind another, with no birth between
        them, is only counted.
        """
        found = self.of(node)
        if found is None or seq is None:
            return False
        missing = found.due not in (UNKNOWN, seq % SEQUENCES)
        found.due = (seq + 1) % SEQUENCES
        if not missing:
            return False
        found.gaps += 1
        count(self._counts, "sparkplug_gaps", 1)
        if 0 <= found.tell_ns - now_ns <= TELL_AGAIN_NS:
            return False
        found.tell_ns = now_ns + TELL_AGAIN_NS
        return True

    def may_ask(self, node: str, *, now_ns: int) -> bool:
        """Whether a node may be asked for its birth now; then it is not asked again for a while."""
        found = self.known.get(node)
        if found is None:
            if len(self.known) >= SPARKPLUG_BIRTHS_MAX:
                del self.known[next(iter(self.known))]
            found = self.known[node] = NodeCount()
        if now_ns < found.ask_ns:
            return False
        wait_ns = min(ASK_AGAIN_NS << min(found.asked, 6), ASK_AGAIN_NS_MAX)
        found.asked, found.ask_ns = found.asked + 1, now_ns + wait_ns
        count(self._counts, "sparkplug_rebirths_asked", 1)
        return True
