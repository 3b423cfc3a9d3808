"""Explanation: typed slots become sentences.

And every sentence about a text cites the span it quotes.

No text is generated: what a document says is quoted verbatim, with its hash; what was measured is
filled into fixed sentences. Documents are data; nothing in them can change a verdict.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from edge.alerts import AlertRecord, Contribution, Sentence
from edge.records import Track, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.jobs import JobRun
    from kb.records import Hit, Proposal

GUIDANCE: Final = frozenset({"procedure", "manual"})
PASSAGES_MAX: Final = 3
NAMED_SHARE_MIN: Final = 0.15  # of the score; a channel with less is not worth a sentence


def measured(record: AlertRecord) -> tuple[Sentence, ...]:
    """What happened, in engineering values first and sigmas never.

    Revision 1 can already say this.
    """
    if not record.contributions:
        return (Sentence(role="happened", text=f"{record.klass} on {record.asset}."),)
    since = clock_text(record.begin_ns)
    told = [f"{describe(part)} since {since}" for part in record.contributions[:1]]
    told += [describe(part) for part in record.contributions[1:3] if part.share >= NAMED_SHARE_MIN]
    return tuple(Sentence(role="happened", text=f"{text}.") for text in told)


def describe(part: Contribution) -> str:
    """One channel against its usual range, in its unit."""
    value = f"{part.channel} is {number(part.value)} {part.unit}".rstrip()
    usual = f"{number(part.usual_low)} to {number(part.usual_high)} {part.unit}".rstrip()
    if part.direction == "stuck":
        return f"{part.channel} has been frozen at {number(part.value)} {part.unit}".rstrip()
    if part.direction == "missing":
        return f"{part.channel} sends no usable value"
    if part.direction == "high":
        return f"{value}, above its usual {usual}"
    if part.direction == "low":
        return f"{value}, below its usual {usual}"
    return f"{value}, within its usual {usual}, but it does not behave as usual"


def considered(
    record: AlertRecord, *, run: JobRun | None, proposals: Sequence[Proposal]
) -> tuple[Sentence, ...]:
    """Which work was considered, and which clause failed or held."""
    sentences = []
    decision = record.decision
    if run is not None and decision is not None:
        job = run.job
        failed = [clause for clause in decision.clauses if clause.outcome is not True]
        if decision.verdict is Verdict.SUPPRESSED:
            text = f"Expected: {job.kind} {job.job_id}, opened by {job.witness} ({job.opened_by})."
        else:
            why = "; ".join(clause.detail for clause in failed) or "the job is over"
            text = f"Not expected from {job.kind} {job.job_id}: {why}."
        sentences.append(Sentence(role="considered", text=text))
    sentences += [
        Sentence(
            role="considered",
            text=(
                f"Possibly {proposal.kind} of {proposal.asset}: the {proposal.source} says "
                f"\u201c{proposal.citation.quote}\u201d; confirm?"
            ),
            citation=proposal.citation,
        )
        for proposal in proposals
    ]
    return tuple(sentences)


def cited(hits: tuple[Hit, ...] | None, *, reason: str) -> tuple[Sentence, ...]:
    """What the documents say. `()` found nothing and None could not look are told apart."""
    if hits is None:
        return (Sentence(role="none", text=f"Documents could not be searched: {reason}."),)
    guidance = [hit for hit in hits if hit.kind in GUIDANCE]
    records = [hit for hit in hits if hit.kind not in GUIDANCE]
    sentences = [
        _passage(hit, role="check_first" if i == 0 else "passage")
        for i, hit in enumerate(guidance[:PASSAGES_MAX])
    ]
    sentences += [_passage(hit, role="passage") for hit in records[:1]]
    return tuple(sentences) or (Sentence(role="none", text="No relevant document."),)


def _passage(hit: Hit, *, role: str) -> Sentence:
    where = f"{hit.title}, {hit.section}" if hit.section else hit.title
    return Sentence(
        role=role, text=f"{where}: \u201c{hit.citation.quote}\u201d", citation=hit.citation
    )


def headline(record: AlertRecord) -> str:
    """The one line of a dashboard."""
    if record.track is Track.COMMS:
        return f"{record.asset} sends nothing since {clock_text(record.begin_ns)}"
    if not record.contributions:
        return f"{record.asset}: {record.klass}"
    text = f"{record.asset}: {describe(record.contributions[0])}"
    if record.suppressed:
        return f"Expected ({record.job_id}): {text}"
    return text


def number(value: float) -> str:
    """Four significant digits, as an operator reads them."""
    return f"{value:.4g}"


def clock_text(t_ns: int) -> str:
    """A plant time as UTC, to the second."""
    return f"{datetime.fromtimestamp(t_ns // 1_000_000_000, tz=UTC):%Y-%m-%d %H:%M:%SZ}"
