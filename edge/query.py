"""From an event to a retrieval query.

Asset, channels that carry the score, direction, and the words of the plant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kb.records import Query

if TYPE_CHECKING:
    from edge.alerts import AlertRecord

CHANNELS_MAX: Final = 3  # more channels blur the query; the first three carry nearly all of a score
SHARE_MIN: Final = 0.1  # a channel below a tenth of the score is a bystander
HITS_MAX: Final = 6

_WORDS: Final = {
    "high": "too high",
    "low": "too low",
    "within": "drifting",
    "stuck": "sensor frozen, dead sensor",
    "missing": "no signal, sensor lost",
}
_TERMS: Final = {
    "high": ("high",),
    "low": ("low", "loss"),
    "within": ("drift", "drifting"),
    "stuck": ("frozen", "stuck", "dead"),
    "missing": ("signal", "lost"),
}


def query_of(record: AlertRecord) -> Query:
    """What to ask the knowledge base about an alert. Deterministic."""
    top = [part for part in record.contributions if part.share >= SHARE_MIN][:CHANNELS_MAX]
    top = top or list(record.contributions[:1])
    phrases = [f"{part.channel} {_WORDS.get(part.direction, '')}".strip() for part in top]
    text = f"{record.klass}: {'; '.join(phrases)}; cause, what to check first"
    words = [word for part in top for word in part.channel.split()]
    words += [word for part in top[:1] for word in _TERMS.get(part.direction, ())]
    terms = tuple(dict.fromkeys(words))
    return Query(text=text, terms=terms, asset=record.asset, limit=HITS_MAX)
