"""What an event looks like: failure modes of the tables and past events, ranked, with the reason.

A failure mode says which channels move, and which way. An event says how much each channel carries
of its score, and which way it has moved. The rank of a mode is what it explains:

    score = sum over its signs of share x agreement,  x (1 - absent - contradicted)

share         of the score that the sign's channel carries; the shares of an event sum to 1.
agreement     1 where the channel does what the sign says, 0 where it does the opposite, between by
              how sure its direction is; `any` agrees with whatever moves.
absent        ABSENT_COST x the part of its signs of which nothing is to be seen; one that is
              half to be seen costs half.
contradicted  OPPOSITE_COST x the part of its signs that go the other way, likewise.

A row may also list alternatives ("any one of these channels drifts"): with ALTERNATIVES_MIN signs
or more it is read that way too, by its best single sign, and the better reading counts.

The tables are data: what they say is ranked and quoted, and decides nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from edge.alerts.alerts import Contribution, PastEvent, Resemblance
from kb.retrieval.cite import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.alerts.alerts import AlertRecord, FaultClass
    from edge.state import AssetState
    from kb.records import FailureMode, Sign

MODES_MAX: Final = 3  # more is a list, not an answer
PAST_MAX: Final = 2
MODE_SCORE_MIN: Final = 0.2  # explains less than a fifth: it is something else
PAST_SCORE_MIN: Final = 0.6
REMEMBERED_MAX: Final = 50  # events of one asset
REMEMBERED_CHANNELS_MAX: Final = 4

ABSENT_COST: Final = 0.4
OPPOSITE_COST: Final = 0.6
MET_MIN: Final = 0.4  # of a sign that is listed as met, or as going the other way
ALTERNATIVES_MIN: Final = 4
SEEN_SHARE: Final = 0.1  # of the score; with so much a channel is seen to take part,
SEEN_SIGMAS: Final = 1.0  # or with a move of its own
ANY_AGREES: Final = 0.85  # a sign that fits everything says less than one that fits
SURE_SIGMAS: Final = 0.75  # a move of so many sigmas is rather a direction than chance
# of a channel that is off, whether it also stands still cannot be said in its first minute
STUCK_UNSEEN: Final = 0.45
DEAD: Final = frozenset({"stuck", "missing"})
NAME_CHARS_MAX: Final = 80
SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How far a mode explains an event, and by which of its signs. score: 0 to 1."""

    score: float
    explained: float  # share of the score that its agreeing signs carry
    met: tuple[str, ...]
    absent: tuple[str, ...]
    opposite: tuple[str, ...]


def modes(
    known: Iterable[FailureMode],
    parts: Sequence[Contribution],
    *,
    asset: str,
    channels: Iterable[str],
    now_ns: int,
    fault: FaultClass | None = None,
) -> tuple[Resemblance, ...]:
    """Failure modes that an event may be, best first, at most MODES_MAX.

    The one that the detector's head names, `fault`, comes first, whether a table has it or not.

    Rows of exactly this asset or of any, recorded by `now_ns`; of one id the newest record counts.
    channels: of the asset; a row that names none of them is of another kind of machine.
    """
    names = frozenset(channels)
    newest: dict[tuple[str, str], FailureMode] = {}
    for mode in known:
        if mode.asset not in ("", asset) or mode.recorded_at_ns > now_ns:
            continue
        key = (mode.mode_id, mode.asset)
        if key not in newest or newest[key].recorded_at_ns <= mode.recorded_at_ns:
            newest[key] = mode
    matched = [
        (match_mode(mode.signs, parts), mode)
        for mode in newest.values()
        if any(sign.channel in names for sign in mode.signs)
    ]
    ranked = sorted(
        ((match, mode) for match, mode in matched if match.score >= MODE_SCORE_MIN),
        key=lambda pair: (-pair[0].score, len(pair[1].signs), pair[1].mode_id, pair[1].asset),
    )
    if fault is None:
        return tuple(_resemblance(match, mode) for match, mode in ranked[:MODES_MAX])
    named = [pair for pair in matched if pair[1].mode_id.casefold() == fault.name.casefold()]
    named.sort(key=lambda pair: (pair[1].asset != asset, -pair[0].score))  # its own row before any
    others = [pair for pair in ranked if pair not in named[:1]]
    found = [_resemblance(match, mode) for match, mode in (*named[:1], *others)]
    first = found.pop(0) if named else None
    return (_classified(fault, first), *found[: MODES_MAX - 1])


def match_mode(signs: Sequence[Sign], parts: Sequence[Contribution]) -> Match:
    """How far the signs of one mode explain an event. Monotone in the share of a met sign."""
    of_channel = {part.channel: part for part in parts}
    met, absent, opposite, carried = [], [], [], []
    cost = 0.0
    for sign in signs:
        part = of_channel.get(sign.channel)
        shown = seen(sign, part) if part is not None else 0.0
        if shown >= MET_MIN:
            met.append(_said(sign))
        elif shown <= -MET_MIN:
            opposite.append(_said(sign))
        else:
            absent.append(_said(sign))
        against = max(-shown, 0.0)
        cost += (ABSENT_COST * (1 - max(shown, 0.0)) + against * (OPPOSITE_COST - ABSENT_COST)) / (
            len(signs)
        )
        carried.append(part.share * agreement(sign, part) if part is not None else 0.0)
    explained = min(sum(carried), 1.0)
    score = explained * (1.0 - cost)
    if len(signs) >= ALTERNATIVES_MIN:
        score = max(score, max(carried) * (1.0 - ABSENT_COST / 2))
    return Match(
        score=score,
        explained=explained,
        met=tuple(met),
        absent=tuple(absent),
        opposite=tuple(opposite),
    )


def seen(sign: Sign, part: Contribution) -> float:
    """How far a sign is to be seen: 1 it is, 0 nothing is, -1 the channel goes the other way."""
    if part.direction in DEAD or sign.direction in DEAD:
        return agreement(sign, part)
    moved = 0.0 if math.isnan(part.shift) else part.shift / SEEN_SIGMAS
    if part.direction in ("high", "low"):
        moved = 1.0 if part.direction == "high" else -1.0
    if sign.direction == "any":
        return min(max(abs(moved), part.share / SEEN_SHARE), 1.0)
    return max(-1.0, min(moved if sign.direction == "high" else -moved, 1.0))


def agreement(sign: Sign, part: Contribution) -> float:
    """How far a channel does what a sign says, 0 to 1."""
    wanted = sign.direction
    if wanted in DEAD:
        if part.direction in DEAD:
            return 1.0 if part.direction == wanted else 0.3
        if wanted == "missing":
            return 0.1 if math.isfinite(part.value) else 1.0
        return 1.0 if part.flat else STUCK_UNSEEN
    if wanted == "any":
        return ANY_AGREES if part.direction not in DEAD and not part.flat else ANY_AGREES / 2
    if part.direction in DEAD:
        return 0.3
    up = risen(part)
    return up if wanted == "high" else 1.0 - up


def risen(part: Contribution) -> float:
    """How sure it is that a channel has risen: 1 it has, 0 it has fallen, 0.5 nobody knows."""
    if part.direction in ("high", "low"):
        return 1.0 if part.direction == "high" else 0.0
    if math.isnan(part.shift):
        return 0.5
    return 0.5 + 0.5 * math.tanh(part.shift / SURE_SIGMAS)


def past_events(remembered: Iterable[PastEvent], record: AlertRecord) -> tuple[Resemblance, ...]:
    """Past events of the same asset that had this shape, most alike first, newer ones first.

    The score is the share of the two events that the same channels carry the same way.
    """
    found = []
    for past in remembered:
        if past.klass != record.klass or not past.contributions:
            continue
        if (past.alert_id, past.count) == (record.alert_id, record.count):
            continue
        score = alike(past.contributions, record.contributions)
        if score >= PAST_SCORE_MIN:
            found.append((score, past))
    found.sort(key=lambda pair: (-pair[0], -pair[1].begin_ns, pair[1].alert_id))
    return tuple(
        Resemblance(
            kind="past_event",
            mode_id=past.alert_id,
            name=past.klass,
            score=score,
            reason=_past_reason(past, score, record),
        )
        for score, past in found[:PAST_MAX]
    )


def alike(a: Sequence[Contribution], b: Sequence[Contribution]) -> float:
    """The share of two events that the same channels carry the same way, 0 to 1; symmetric."""
    of_channel = {part.channel: part for part in b}
    total = 0.0
    for part in a:
        other = of_channel.get(part.channel)
        if other is not None:
            total += min(part.share, other.share) * _same_way(part, other)
    return min(total, 1.0)


def _same_way(a: Contribution, b: Contribution) -> float:
    if a.direction in DEAD or b.direction in DEAD:
        return float(a.direction == b.direction)
    return 1.0 - abs(risen(a) - risen(b))


def remember(record: AlertRecord, past: list[PastEvent]) -> list[PastEvent]:
    """The events of an asset with one more that is over; the oldest go."""
    event = PastEvent(
        alert_id=record.alert_id,
        count=record.count,
        begin_ns=record.begin_ns,
        klass=record.klass,
        contributions=record.contributions[:REMEMBERED_CHANNELS_MAX],
        label=record.label,
    )
    return [*past, event][-REMEMBERED_MAX:]


def labelled(state: AssetState, alert_id: str, label: str) -> bool:
    """Note what a person said of an alert, current or past; False: the asset has none of that id.

    It changes what later events are compared with, and nothing that is published of this one.
    """
    known = False
    for record in state.alerts.values():
        if record.alert_id == alert_id:
            record.label, known = label, True
    for i, past in enumerate(state.past):
        if past.alert_id == alert_id:
            state.past[i] = msgspec.structs.replace(past, label=label)
            known = True
    return known


def _resemblance(match: Match, mode: FailureMode) -> Resemblance:
    return Resemblance(
        kind="failure_mode",
        mode_id=plain(mode.mode_id, NAME_CHARS_MAX),
        name=plain(mode.name, NAME_CHARS_MAX),
        score=match.score,
        reason=_reason(match),
        cause=plain(mode.cause),
        action=plain(mode.action),
        citation=mode.citation,
        advice=mode.advice,
    )


def _classified(fault: FaultClass, row: Resemblance | None) -> Resemblance:
    """The failure mode that a head names, with its row of the tables where there is one."""
    said = f"classified from {fault.windows} labelled events, probability {fault.probability:.2f}"
    if row is None:
        name = plain(fault.name, NAME_CHARS_MAX)
        score = fault.probability
        return Resemblance(kind="failure_mode", mode_id=name, name=name, score=score, reason=said)
    score = max(row.score, fault.probability)
    return msgspec.structs.replace(row, score=score, reason=f"{said}; {row.reason}")


def _reason(match: Match) -> str:
    """Which of its signs match, in words of ours and names of the bundle's channels."""
    said = [f"{', '.join(match.met[:4])} fits" if match.met else "no sign fits well"]
    if match.absent:
        said.append(f"not seen: {', '.join(match.absent[:4])}")
    if match.opposite:
        said.append(f"goes the other way: {', '.join(match.opposite[:4])}")
    return f"{'; '.join(said)}; explains {match.explained:.0%} of the score"


def _said(sign: Sign) -> str:
    """A sign as its table has it; `any` says nothing but the channel."""
    channel = plain(sign.channel, NAME_CHARS_MAX)
    return channel if sign.direction == "any" else f"{channel} {sign.direction}"


def _past_reason(past: PastEvent, score: float, record: AlertRecord) -> str:
    ago_s = max(record.begin_ns - past.begin_ns, 0) // SECOND_NS
    ago = f"{ago_s // 86_400} d" if ago_s >= 2 * 86_400 else f"{ago_s // 60} min"
    named = ", ".join(part.channel for part in past.contributions[:2])
    said = f"an operator called it {past.label}" if past.label else "nobody has labelled it"
    return f"{score:.0%} alike in {named}, {ago} before; {said}"
