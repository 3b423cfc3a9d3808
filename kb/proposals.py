"""Texts to proposals: orders, schedules and log lines, each with its verbatim quote.

A proposal annotates; only a witness makes a job of it. Free text is never approved, whatever it says.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from kb import orders
from kb.citations import cite
from kb.records import Proposal, WorkKind
from kb.talk import AssetNames, content_words, hear
from kb.times import to_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kb.documents import Document, Record, Sources
    from kb.talk import Talk


def read_proposals(
    sources: Sources,
    names: AssetNames,
    *,
    chunk_of: Callable[[Document, Record], int],
    recorded_ns: Callable[[Record], int],
) -> tuple[Proposal, ...]:
    """Every proposal of a tree, by the time it was known. Bad rows are refused in `sources`.

    names: the site's assets. chunk_of: id of the chunk that holds a record. recorded_ns: when it was known.
    """
    typed = [
        *orders.order_proposals(sources, chunk_of=chunk_of, recorded_ns=recorded_ns),
        *orders.schedule_proposals(sources, chunk_of=chunk_of, recorded_ns=recorded_ns),
    ]
    phrases = Phrases(sources, names, recorded_ns=recorded_ns)
    logged = [
        proposal
        for document in sources.documents
        if document.kind == "log"
        for record in document.records or ()
        for proposal in _log_proposals(document, record, names, phrases, chunk_of(document, record))
    ]
    return tuple(sorted([*typed, *logged], key=lambda p: (p.recorded_at_ns, p.proposal_id, p.asset)))


def assets_of(sources: Sources, extra: Iterable[str] = ()) -> AssetNames:
    """The exact ids that typed fields of the tree name; a log line may speak of these and no others."""
    ids = {asset for document in sources.documents for asset in document.assets}
    for document in sources.documents:
        ids.update(record.asset for record in document.records or () if record.asset)
    return AssetNames(ids | set(extra))


class Phrases:
    """The site's own words for its instruments, as orders and schedules describe them.

    "a/v meter cal" means arc_meter where every row known by then that is described so says so. Otherwise an
    instrument is named by all the words of its id. What is not certain is "", and "" has no scope.
    """

    def __init__(
        self, sources: Sources, names: AssetNames, *, recorded_ns: Callable[[Record], int]
    ) -> None:
        self._meant: dict[str, list[tuple[int, WorkKind, str]]] = defaultdict(list)
        self._instruments: dict[tuple[str, WorkKind], set[str]] = defaultdict(set)
        kinds = {kind.value: kind for kind in WorkKind}
        for document in sources.documents:
            for record in document.records or ():
                row = record.row
                kind = kinds.get(row.value("kind").strip().lower()) if row else None
                if row is None or kind is None or document.kind not in {"order", "schedule", "scope"}:
                    continue
                instrument = row.value("instrument")
                if document.kind == "scope":
                    self._instruments[record.asset, kind].add(instrument)
                    continue
                _, words = names.find(row.value("description").lower(), row.value("description"))
                if phrase := content_words(words):
                    self._meant[phrase].append((recorded_ns(record), kind, instrument))

    def kind(self, words: str, *, now_ns: int) -> WorkKind | None:
        """The kind of work that a phrase means, when all rows known by now agree."""
        kinds = {kind for at, kind, _ in self._meant.get(content_words(words), ()) if at <= now_ns}
        return kinds.pop() if len(kinds) == 1 else None

    def instrument(self, talk: Talk, *, now_ns: int) -> str:
        """The instrument that a clause means, "" when that is not certain."""
        meant = {
            instrument
            for at, kind, instrument in self._meant.get(content_words(talk.words), ())
            if at <= now_ns and kind == talk.kind
        }
        if len(meant) == 1:
            return meant.pop()
        words = set(content_words(talk.words).split())
        named = {
            instrument
            for instrument in self._instruments[talk.asset, talk.kind]
            if instrument and set(instrument.lower().replace("-", "_").split("_")) <= words
        }
        return named.pop() if len(named) == 1 else ""


def _log_proposals(
    document: Document, record: Record, names: AssetNames, phrases: Phrases, chunk: int
) -> list[Proposal]:
    entry = record.entry
    assert entry is not None
    said = document.text[entry.said : entry.end]
    talks = hear(
        said, entry.moment, names, kind_of=lambda words: phrases.kind(words, now_ns=entry.t_ns)
    )
    proposals = []
    for talk in talks:
        facts = (document.doc_id, entry.line, said, talk.asset, talk.kind)
        digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
        proposals.append(
            Proposal(
                proposal_id=f"log-{digest}",
                kind=talk.kind,
                asset=talk.asset,
                instrument=phrases.instrument(talk, now_ns=entry.t_ns),
                valid_from_ns=to_ns(talk.begin) if talk.begin else None,
                valid_to_ns=to_ns(talk.end) if talk.end else None,
                recorded_at_ns=entry.t_ns,
                source="log",
                approved=False,
                real_times=False,
                cancelled=talk.cancelled,
                confidence=round(talk.confidence, 2),
                citation=cite(document, chunk, entry.start, entry.end),
            )
        )
    return proposals
