"""Explanation: typed slots become sentences.

And every sentence about a text cites the span it quotes.

No text is generated: what a document says is quoted verbatim, with its hash; what was measured is
filled into fixed sentences. Documents are data; nothing in them can change a verdict.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from edge.alerts.alerts import AlertRecord, Contribution, Sentence
from edge.records import Track, Verdict
from edge.samples.limits import level_name
from edge.samples.sensor_faults import SENSOR_CLASSES
from kb.retrieval import lexical
from kb.retrieval.cite import holds, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.alerts.alerts import Resemblance
    from edge.records import Clause
    from edge.settings import AssetSettings
    from edge.work.jobs import JobRun
    from kb.records import Citation, Hit, Limit, Proposal

GUIDANCE: Final = frozenset({"procedure", "manual"})
RECORDS: Final = frozenset({"order", "log"})  # what was done and seen before
PASSAGES_MAX: Final = 3
STEPS_SHOWN_MAX: Final = 5
RECORDS_MAX: Final = 2
NAMED_SHARE_MIN: Final = 0.15  # of the score; a channel with less is not worth a sentence
ACTION_SCORE_MIN: Final = 0.4  # a mode that explains less must not say what to do first
WHERE_CHARS_MAX: Final = 120  # of a title, and of a section
DETAIL_CHARS_MAX: Final = 240
NOTHING: Final = "No relevant document."
FORGOTTEN: Final = Sentence(  # of an alert that a process before this one has said
    role="none", text="Nothing is known of it any more: what was said of it has not been kept."
)


def measured(record: AlertRecord, *, now_ns: int, state: str = "") -> tuple[Sentence, ...]:
    """What happened up to `now_ns`, in engineering values first and sigmas never.

    state: of operation, as `state_text` says it. Revision 1 can already say this.
    """
    told = [f"{record.klass} on {record.asset}"]
    if record.contributions:
        told = [f"{_named(part)}, {_lasting(record, now_ns)}" for part in record.contributions[:1]]
        others = (part for part in record.contributions[1:3] if part.share >= NAMED_SHARE_MIN)
        told += [_named(part) for part in others]
    if record.silence:
        told.append(f"Nothing comes since {clock_text(record.begin_ns)}: {record.silence}")
    if state:
        told.append(state)
    return tuple(Sentence(role="happened", text=f"{text}.") for text in told)


def _named(part: Contribution) -> str:
    """A channel with its share of the score, and its move where its value alone says nothing."""
    if part.direction in SENSOR_CLASSES:
        return describe(part)
    moved = ""
    if part.direction == "within" and abs(part.shift) >= 1.0:  # NaN is not
        moved = ", up" if part.shift > 0 else ", down"
        moved += " against its level before"
    return f"{describe(part)}{moved} ({part.share:.0%} of the score)"


def _lasting(record: AlertRecord, now_ns: int) -> str:
    """Since when, and for how long by now."""
    seconds = max(now_ns - record.begin_ns, 0) // 1_000_000_000
    lasted = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
    return f"since {clock_text(record.begin_ns)}, {lasted} by then"


def state_text(
    settings: AssetSettings, seen: Mapping[str, Sequence[tuple[int, float]]], *, t_ns: int
) -> str:
    """In which state of operation the asset was at `t_ns`, by its context tags; "" nobody said.

    seen: the newest (t_ns, value) of each context tag, oldest first.
    """
    told = []
    for tag in settings.context:
        past = [value for at_ns, value in seen.get(tag.tag, ()) if at_ns <= t_ns]
        if not past:
            continue
        value = past[-1]
        if tag.role == "run":
            told.append("running" if value in tag.running else "not running")
        elif tag.role == "witness":
            work = tag.kind or "work"
            told.append(f"{tag.tag} {number(value)} ({'' if value else 'no '}{work})")
        else:
            told.append(f"{tag.tag} {number(value)}")
    return f"State of {settings.id} then: {', '.join(told)}" if told else ""


def describe(part: Contribution) -> str:
    """One channel against its usual range, in its unit."""
    value = f"{part.channel} is {number(part.value)} {part.unit}".rstrip()
    usual = f"{number(part.usual_low)} to {number(part.usual_high)} {part.unit}".rstrip()
    if part.direction in SENSOR_CLASSES:
        return _sensor(part, usual)
    hour = " at this hour" if part.hourly else ""
    if part.direction == "high":
        return f"{value}, above its usual {usual}{hour}"
    if part.direction == "low":
        return f"{value}, below its usual {usual}{hour}"
    return f"{value}, within its usual {usual}, but it does not behave as usual"


def _sensor(part: Contribution, usual: str) -> str:
    """What is wrong with the sensor of a channel. usual: the range that it is told against."""
    name, shown = part.channel, f"{number(part.value)} {part.unit}".rstrip()
    since = f" since {clock_text(part.since_ns)}" if part.since_ns else ""
    partner = part.partner or "channels that measure the same"
    apart = f"{name} differs from {partner} by {shown}, usual {usual}"
    texts = {
        "stuck": f"{name} has been frozen at {shown}{since}",
        "missing": f"{name} sends no usable value",
        "stale": f"{name} repeats {shown}{since}, as all of its source does, while time stamps go"
        " on: the source may be frozen",
        "out_of_range": f"{name} shows {shown}, beyond what its instrument can measure, {usual}:"
        " wire or transmitter",
        "drift": f"{apart}, while the others agree: it drifts",
        "disagrees": f"{apart}: one of them is wrong",
        "noise_high": f"noise of {name} rose to {shown}, usual {usual}: wiring, screening or a"
        " dying transmitter",
        "noise_low": f"noise of {name} fell to {shown}, usual {usual}: the transmitter may be"
        " frozen, or its filter set otherwise",
    }
    return texts[part.direction]


def resembling(found: Sequence[Resemblance]) -> tuple[Sentence, ...]:
    """What it looks like, best first, and what the best failure mode's row says to do."""
    sentences = [_resembles(one, rank) for rank, one in enumerate(found, 1)]
    top = next((one for one in found if one.kind == "failure_mode"), None)
    source = (top.advice or top.citation) if top is not None else None
    if top is not None and source is not None and top.score >= ACTION_SCORE_MIN:
        action = _quoted(top.action, source) or (
            (plain(source.quote),) if source is top.advice else ()
        )
        if action:
            file = _short(source.doc_id)  # a screen may write "Check first, from" before it
            text = f"the failure mode {top.mode_id} in {file}: \u201c{action[0]}\u201d"
            sentences.append(
                Sentence(role="check_first", text=text, citation=source, quoted=action)
            )
    return tuple(sentences)


def beyond_limits(
    record: AlertRecord, limits: Mapping[str, Sequence[Limit]]
) -> tuple[Sentence, ...]:
    """Which of the event's channels are beyond an approved limit, with the row that says so."""
    told = []
    for part in record.contributions:
        rows = [row for row in limits.get(part.channel, ()) if row.unit in ("", part.unit)]
        beyond = level_name(rows, part.value)
        if beyond is None:
            continue
        name, level, limit = beyond
        text = f"{part.channel} is beyond its limit {name}, {number(level)} {part.unit}".rstrip()
        told.append(
            Sentence(
                role="happened",
                text=f"{text}.",
                citation=limit.citation,
                quoted=(part.channel,) if part.channel in limit.citation.quote else (),
            )
        )
    return tuple(told)


def _resembles(one: Resemblance, rank: int) -> Sentence:
    if one.citation is None:
        text = f"{rank}. Like {one.mode_id}: {one.reason}."
        return Sentence(role="resembles", text=text)
    quoted = _named_in(one, one.citation) or (plain(one.citation.quote),)
    cause = _quoted(one.cause, one.citation)
    told = f"{rank}. Like \u201c{quoted[0]}\u201d: {one.reason}"
    if cause and cause != quoted:
        quoted = (*quoted, *cause)
        told = f"{told}; cause: \u201c{cause[0]}\u201d"
    return Sentence(role="resembles", text=f"{told}.", citation=one.citation, quoted=quoted)


def _named_in(one: Resemblance, citation: Citation) -> tuple[str, ...]:
    """Its name as the quoted row has it; () where the row has neither name nor id."""
    return _quoted(one.name, citation) or _quoted(one.mode_id, citation)


def _quoted(words: str, citation: Citation) -> tuple[str, ...]:
    """Words that stand verbatim in the quote; () where they do not, or there are none."""
    said = plain(words)
    return (said,) if said and said in plain(citation.quote) else ()


def considered(
    record: AlertRecord, *, run: JobRun | None, proposals: Sequence[Proposal]
) -> tuple[Sentence, ...]:
    """Which work was considered, and which clause failed or held."""
    sentences = []
    decision = record.decision
    if run is not None and decision is not None:
        job = run.job
        opened = f"{job.kind} {_short(job.job_id)}"
        failed = [clause for clause in decision.clauses if clause.outcome is not True]
        if decision.verdict is Verdict.SUPPRESSED:
            text = f"Expected: {opened}, opened by {job.witness} ({_short(job.opened_by)})."
        else:
            why = "; ".join(clause_text(clause) for clause in failed) or "the job is over"
            text = f"Not expected from {opened}: {why}."
        sentences.append(Sentence(role="considered", text=text))
    elif not proposals:
        text = f"No job is open on {record.asset}, and no text suggests work at this time."
        sentences.append(Sentence(role="considered", text=text))
    sentences += [_proposed(proposal) for proposal in proposals]
    return tuple(sentences)


def clause_text(clause: Clause) -> str:
    """A clause that did not hold: its name, how it came out, and what it asks for."""
    outcome = "does not hold" if clause.outcome is False else "could not be judged"
    detail = plain(clause.detail, DETAIL_CHARS_MAX)
    return f"clause {clause.name} {outcome} ({detail})"


def _proposed(proposal: Proposal) -> Sentence:
    quote = plain(proposal.citation.quote)
    work = f"{proposal.kind} of {proposal.asset}"
    return Sentence(
        role="considered",
        text=f"Possibly {work}: the {proposal.source} says \u201c{quote}\u201d; confirm?",
        citation=proposal.citation,
        quoted=(quote,),
    )


def _short(text: str) -> str:
    return plain(text, WHERE_CHARS_MAX)


def cited(
    hits: tuple[Hit, ...] | None, *, reason: str, channels: Sequence[str] = ()
) -> tuple[Sentence, ...]:
    """What the documents say. `()` found nothing and None could not look are told apart.

    The best guidance comes first: its steps one by one, where the passage is a list of steps. One
    behind the best comes first only with steps, and where it speaks of the `channels` that carry
    the score. What was done or seen on the same asset before is a resemblance, the rest passages.
    """
    if hits is None:
        said = plain(reason, DETAIL_CHARS_MAX)
        return (Sentence(role="none", text=f"Documents could not be searched: {said}."),)
    guidance = [hit for hit in hits if hit.kind in GUIDANCE][:PASSAGES_MAX]
    records = [hit for hit in hits if hit.kind in RECORDS][:RECORDS_MAX]
    others = [hit for hit in hits if hit.kind not in GUIDANCE | RECORDS][:1]
    sentences: list[Sentence] = []
    if guidance:
        best, words = guidance[0], lexical.stems_of(" ".join(channels))
        able = (h for h in guidance if h.steps and (h is best or _speaks_of(h, words)))
        first = next(able, best)
        steps = first.steps[:STEPS_SHOWN_MAX] or (first.citation,)
        sentences += [_passage(first, step, role="check_first") for step in steps]
        # a row of which the advice was quoted also says for which symptom; a list has been said
        sentences += [
            _passage(hit, hit.citation, role="passage")
            for hit in guidance
            if hit is not first or (hit.steps and hit.citation.quote.startswith("|"))
        ]
    sentences += [_passage(hit, hit.citation, role="resembles") for hit in records]
    sentences += [_passage(hit, hit.citation, role="passage") for hit in others]
    return tuple(sentences) or (Sentence(role="none", text=NOTHING),)


def _speaks_of(hit: Hit, words: frozenset[str]) -> bool:
    return not words.isdisjoint(lexical.stems_of(hit.citation.quote))


def _passage(hit: Hit, citation: Citation, *, role: str) -> Sentence:
    quote = plain(citation.quote)
    section = hit.section
    if not quote.startswith("|"):  # names of columns belong to whole rows only
        section = " > ".join(name for name in section.split(" > ") if " | " not in name)
    where = ", ".join(plain(part, WHERE_CHARS_MAX) for part in (hit.title, section) if part)
    told = f"{where}: \u201c{quote}\u201d"
    if hit.kind in RECORDS:
        told = f"Past {hit.kind} of this asset, {told}"
    return Sentence(role=role, text=told, citation=citation, quoted=(quote,))


def from_documents(record: AlertRecord) -> tuple[Sentence, ...]:
    """Of an alert's sentences those that a search has brought: they stand when the verdict moves.

    What is measured, considered and ranked is said anew each time.
    """
    ranked = {cited for one in record.resembles for cited in (one.citation, one.advice)}
    return tuple(
        sentence
        for sentence in record.sentences
        if sentence.role in ("none", "passage", "check_first", "resembles")
        and sentence.citation not in ranked | {None}
    ) or tuple(sentence for sentence in record.sentences if sentence.role == "none")


def supported(sentence: Sentence) -> bool:
    """Whether a sentence says no more of a text than it cites: the claim, checked mechanically.

    Its citation is whole, and each of its quoted words stands in it and in the cited quote. A
    sentence without a citation repeats no text.
    """
    if sentence.citation is None:
        return not sentence.quoted
    quote = plain(sentence.citation.quote)
    said = all(words in quote and words in sentence.text for words in sentence.quoted)
    return bool(sentence.quoted) and said and holds(sentence.citation)


def headline(record: AlertRecord) -> str:
    """The one line of a dashboard."""
    if record.sentences == (FORGOTTEN,):
        return f"{record.asset}: {record.klass}. {FORGOTTEN.text}"
    if record.track is Track.COMMS:
        said = f": {record.silence}" if record.silence else ""
        return f"{record.asset} sends nothing since {clock_text(record.begin_ns)}{said}"
    if not record.contributions:
        return f"{record.asset}: {record.klass}"
    text = f"{record.asset}: {describe(record.contributions[0])}"
    if record.suppressed or record.excused_by:
        return f"Expected ({record.job_id}): {text}"
    return text


def number(value: float) -> str:
    """Four significant digits, as an operator reads them."""
    return f"{value:.4g}"


def clock_text(t_ns: int) -> str:
    """A plant time as UTC, to the second."""
    return f"{datetime.fromtimestamp(t_ns // 1_000_000_000, tz=UTC):%Y-%m-%d %H:%M:%SZ}"
