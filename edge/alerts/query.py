"""From an event to a retrieval query.

Asset, channels that carry the score, which way they moved, and the words of the plant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.samples.sensor_faults import SENSOR_CLASSES
from kb.records import Query
from kb.retrieval.cite import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.alerts.alerts import AlertRecord, Contribution
    from kb.records import Sensor

CHANNELS_MAX: Final = 3  # more channels blur the query; the first three carry nearly all of a score
SHARE_MIN: Final = 0.02  # a channel with less of the score is a bystander
ALONE: Final = "one channel alone, the others unchanged"
MOVED_SIGMAS_MIN: Final = 1.0
MODE_SCORE_MIN: Final = 0.5  # of a failure mode whose words join the question
MODE_CHARS_MAX: Final = 80
ALIASES_MAX: Final = 2  # of a channel; the words that people use for it
ALIAS_CHARS_MAX: Final = 40
HITS_MAX: Final = 6

_WORDS: Final = {
    "high": "too high",
    "low": "too low",
    "zero": "reads zero, dead sensor",
    "stuck": "sensor frozen, dead sensor",
    "missing": "no signal, sensor lost",
    "odd": "drifts",
    "stale": "values frozen, time stamps go on, gateway or bus",
    "out_of_range": "out of range, sensor failure, broken wire",
    "drift": "sensor drifts from redundant sensors",
    "disagrees": "redundant sensors disagree",
    "noise_high": "noisy signal, wiring, screening",
    "noise_low": "signal without noise, sensor frozen",
}
_TERMS: Final = {
    "high": ("high",),
    "low": ("low",),
    "zero": ("zero", "dead"),
    "stuck": ("frozen", "stuck", "dead"),
    "missing": ("signal", "lost"),
    "odd": ("drifts",),
    "stale": ("frozen", "communication"),
    "out_of_range": ("range", "wire"),
    "drift": ("drift", "calibration"),
    "disagrees": ("drift", "calibration"),
    "noise_high": ("noise", "wiring"),
    "noise_low": ("frozen", "stuck"),
}


def query_of(record: AlertRecord, *, sensors: Sequence[Sensor] = ()) -> Query:
    """What to ask the knowledge base about an alert. Deterministic.

    sensors: rows of the sensor schemas, for what people call a channel.
    """
    top = [part for i, part in enumerate(record.contributions) if i == 0 or _named(part)]
    top = top[:CHANNELS_MAX]
    phrases = [f"{part.channel} {_WORDS[movement(part)]}" for part in top]
    words = [word for part in top for word in part.channel.split()]
    words += [word for part in top[:1] for word in _TERMS[movement(part)]]
    if len(top) == 1 and top[0].direction not in SENSOR_CLASSES:
        phrases.append(ALONE)
    aliases = [name for part in top for name in _aliases(record.asset, part.channel, sensors)]
    mode = _mode_words(record)
    said = "; ".join([*phrases, *mode, *aliases])
    text = f"{record.klass}: {said}; cause, what to check first"
    terms = tuple(dict.fromkeys(words))
    return Query(text=text, terms=terms, asset=record.asset, limit=HITS_MAX)


def movement(part: Contribution) -> str:
    """One word for what a channel does: high, low, zero, odd, or what is wrong with its sensor."""
    if part.direction in SENSOR_CLASSES:
        return part.direction
    if part.flat:
        return "zero" if part.value == 0.0 else "stuck"
    if part.direction in ("high", "low"):
        return part.direction
    if abs(part.shift) >= MOVED_SIGMAS_MIN:  # NaN is not
        return "high" if part.shift > 0 else "low"
    return "odd"


def _named(part: Contribution) -> bool:
    """Whether a channel behind the first belongs into the question: what has not moved blurs it."""
    return part.share >= SHARE_MIN and movement(part) != "odd"


def _aliases(asset: str, channel: str, sensors: Sequence[Sensor]) -> list[str]:
    """What people call a channel, of exactly this asset or of every one."""
    named = [s.aliases for s in sensors if s.channel == channel and s.asset in ("", asset)]
    flat = [plain(alias, ALIAS_CHARS_MAX) for aliases in named for alias in aliases]
    return [alias for alias in dict.fromkeys(flat) if alias][:ALIASES_MAX]


def _mode_words(record: AlertRecord) -> list[str]:
    """The name and cause of the failure mode that fits best, if it fits well."""
    modes = [one for one in record.resembles if one.kind == "failure_mode"]
    if not modes or modes[0].score < MODE_SCORE_MIN:
        return []
    return [plain(said, MODE_CHARS_MAX) for said in (modes[0].name, modes[0].cause) if said]
