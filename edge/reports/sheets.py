"""Handover sheet and month report as documents: which words, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.reports.document import Bars, Column, Document, Figures, Heading, Text
from edge.reports.transitions import GROUP_ASSET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.reports.document import Local
    from edge.reports.handover import Handover, Line, Quiet, Work
    from edge.reports.month import Month, Position, Rules, Stood
    from edge.reports.words import Words


def handover_sheet(
    found: Handover, *, site: str, made_ms: int, words: Words, local: Local, unkept: str = ""
) -> Document:
    """The sheet of a shift."""
    made = words("made", t=local.whole(made_ms))
    lead = words(
        "shift", site=site, begin=local.whole(found.begin_ms), end=local.whole(found.end_ms)
    )
    sheet = Document(
        title=words("handover"), lead=lead, footer=f"{site} \u2013 {made}", language=words.language
    )
    _partial(sheet, found.begin_ms, found.since_ms, unkept, words, local)
    sheet.blocks.append(
        Figures(
            items=(
                (str(found.rang), words("rang_n")),
                (str(len(found.standing)), words("standing_n")),
                (str(found.avoided), words("avoided_n")),
                (str(len(found.blind)), words("blind_n")),
                (str(len(found.confirm)) if found.now_ms else "?", words("confirm_n")),
            )
        )
    )
    for name, lines in (("new", found.new), ("standing", found.standing)):
        sheet.blocks.append(Heading(text=words(name)))
        _lines(sheet, lines, words, local)
    sheet.blocks.append(Heading(text=words("suppressed")))
    _suppressed(sheet, found.suppressed, words, local)
    for name, lines, quiet in (
        ("shelved", found.shelved, found.silences),
        ("out_of_service", found.out_of_service, found.services),
    ):
        sheet.blocks.append(Heading(text=words(name)))
        _asked(sheet, found.now_ms, words, local)
        if lines:
            _lines(sheet, lines, words, local)
        if found.now_ms:
            _quiet(sheet, quiet, words, local)
    sheet.blocks.append(Heading(text=words("blind")))
    _asked(sheet, found.now_ms, words, local)
    if found.blind or found.now_ms:
        sheet.table(
            (Column(name=words("asset"), share=0.25), Column(name=words("why"), share=0.75)),
            [(one.asset, one.why or words("no_score")) for one in found.blind],
            words("none"),
        )
    for name, works in (("confirm", found.confirm), ("open_jobs", found.open_jobs)):
        sheet.blocks.append(Heading(text=words(name)))
        _asked(sheet, found.now_ms, words, local)
        if found.now_ms:
            _works(sheet, works, words, local)
    sheet.blocks += [
        Heading(text=words("notes")),
        Text(text=" "),
        Text(text=words("signature")),
    ]
    return sheet


def month_sheet(
    found: Month,
    *,
    site: str,
    made_ms: int,
    rules: Rules,
    words: Words,
    local: Local,
    unkept: str = "",
) -> Document:
    """The report of a month, or of another time."""
    made = words("made", t=local.whole(made_ms))
    lead = words(
        "span", site=site, begin=local.whole(found.begin_ms), end=local.whole(found.end_ms)
    )
    sheet = Document(
        title=words("month"), lead=lead, footer=f"{site} \u2013 {made}", language=words.language
    )
    _partial(sheet, found.begin_ms, found.since_ms, unkept, words, local)
    everywhere = found.everywhere
    sheet.blocks += [
        Figures(
            items=(
                (local.number(everywhere.per_day), words("per_day")),
                (str(everywhere.peak_10_min), words("peak")),
                (f"{local.number(100 * everywhere.flood_share, 2)} %", words("flood")),
                (str(found.avoided), words("avoided")),
                (local.span(found.ack_median_ms), words("ack_median")),
                (local.span(found.ack_p90_ms), words("ack_p90")),
            )
        ),
        Heading(text=words("days")),
        Bars(
            title=words("days"),
            labels=tuple(f"{local.at(day.begin_ms).day}" for day in found.days),
            lower=tuple(float(day.rings) for day in found.days),
            upper=tuple(float(day.avoided) for day in found.days),
            names=(words("bar_rang"), words("bar_avoided")),
        ),
        Heading(text=words("positions")),
    ]
    _positions(sheet, found, words, local)
    sheet.blocks.append(Heading(text=words("actors")))
    sheet.table(
        (
            Column(name=words("asset"), share=0.5),
            Column(name=words("track"), share=0.2),
            Column(name=words("rings"), share=0.15, number=True),
            Column(name=words("share"), share=0.15, number=True),
        ),
        [
            (
                one.asset,
                words.of("track", one.track),
                str(one.rings),
                f"{local.number(100 * one.share)} %",
            )
            for one in found.actors
        ],
        words("none"),
    )
    sheet.blocks.append(Heading(text=words("stale", span=local.span(rules.stale_ms))))
    _stood(sheet, found.stale, words, local)
    chatters = words("chattering", n=rules.chatter_rings, span=local.span(rules.chatter_ms))
    sheet.blocks.append(Heading(text=chatters))
    _stood(sheet, found.chattering, words, local)
    _answered(sheet, found, words, local)
    return sheet


def _partial(
    sheet: Document, begin_ms: int, since_ms: int, unkept: str, words: Words, local: Local
) -> None:
    if since_ms > begin_ms:
        sheet.blocks.append(Text(text=words("partial", t=local.whole(since_ms))))
    if unkept:
        sheet.blocks.append(Text(text=words("unkept", why=unkept), small=True))


def _asked(sheet: Document, now_ms: int, words: Words, local: Local) -> None:
    said = words("as_of", t=local.moment(now_ms)) if now_ms else words("not_asked")
    sheet.blocks.append(Text(text=said, small=True))


def _lines(sheet: Document, lines: Sequence[Line], words: Words, local: Local) -> None:
    sheet.table(
        (
            Column(name=words("asset"), share=0.16),
            Column(name=words("severity"), share=0.11),
            Column(name=words("since"), share=0.13),
            Column(name=words("state"), share=0.15),
            Column(name=words("rings"), share=0.08, number=True),
            Column(name=words("message"), share=0.37),
        ),
        [
            (
                _named(one.asset, one.track, words),
                words.of("severity", one.severity),
                local.moment(one.begin_ms),
                words.state(one.state),
                str(one.rings),
                one.message,
            )
            for one in lines
        ],
        words("none"),
    )


def _suppressed(sheet: Document, lines: Sequence[Line], words: Words, local: Local) -> None:
    sheet.table(
        (
            Column(name=words("asset"), share=0.16),
            Column(name=words("since"), share=0.13),
            Column(name=words("job"), share=0.2),
            Column(name=words("rings_again"), share=0.14),
            Column(name=words("message"), share=0.37),
        ),
        [
            (
                _named(one.asset, one.track, words),
                local.moment(one.begin_ms),
                one.job_id,
                local.moment(one.rings_again_ms),
                one.message,
            )
            for one in lines
        ],
        words("none"),
    )


def _quiet(sheet: Document, quiet: Sequence[Quiet], words: Words, local: Local) -> None:
    sheet.table(
        (
            Column(name=words("asset"), share=0.22),
            Column(name=words("by"), share=0.2),
            Column(name=words("until"), share=0.16),
            Column(name=words("reason"), share=0.42),
        ),
        [
            (
                _named(one.asset, one.track, words),
                one.operator if one.owner in ("", one.operator) else f"{one.operator}, {one.owner}",
                local.moment(one.end_ms),
                one.reason,
            )
            for one in quiet
        ],
        words("none"),
    )


def _works(sheet: Document, works: Sequence[Work], words: Words, local: Local) -> None:
    sheet.table(
        (
            Column(name=words("asset"), share=0.15),
            Column(name=words("what"), share=0.15),
            Column(name=words("instrument"), share=0.13),
            Column(name=words("since"), share=0.13),
            Column(name=words("until"), share=0.13),
            Column(name=words("quote"), share=0.31),
        ),
        [
            (
                one.asset,
                words.of("work", one.kind)
                + ("" if one.state == "proposed" else f", {words.of('job', one.state)}"),
                one.instrument,
                local.moment(one.begin_ms),
                local.moment(one.end_ms),
                one.quote,
            )
            for one in works
        ],
        words("none"),
    )


def _positions(sheet: Document, found: Month, words: Words, local: Local) -> None:
    def row(one: Position, name: str) -> tuple[str, ...]:
        return (
            name,
            str(one.rings),
            local.number(one.per_day),
            local.number(one.per_10_min, 2),
            str(one.peak_10_min),
            local.moment(one.peak_ms) if one.peak_ms else "",
            f"{local.number(100 * one.flood_share, 2)} %, {local.span(one.flood_min * 60_000)}",
        )

    sheet.table(
        (
            Column(name=words("position"), share=0.2),
            Column(name=words("rings"), share=0.1, number=True),
            Column(name=words("per_day"), share=0.12, number=True),
            Column(name=words("per_10"), share=0.13, number=True),
            Column(name=words("peak_10"), share=0.12, number=True),
            Column(name=words("peak_at"), share=0.15),
            Column(name=words("flood_time"), share=0.18, number=True),
        ),
        [row(one, one.name or words("unnamed")) for one in found.positions],
        words("none"),
    )
    sheet.blocks.append(Text(text=words("load_note"), small=True))


def _stood(sheet: Document, stood: Sequence[Stood], words: Words, local: Local) -> None:
    sheet.table(
        (
            Column(name=words("asset"), share=0.4),
            Column(name=words("since"), share=0.22),
            Column(name=words("lasted"), share=0.26),
            Column(name=words("rings"), share=0.12, number=True),
        ),
        [
            (
                _named(one.asset, one.track, words),
                local.moment(one.since_ms),
                local.span(one.lasted_ms) + ("" if one.over else f", {words('going_on')}"),
                str(one.rings),
            )
            for one in stood
        ],
        words("none"),
    )


def _answered(sheet: Document, found: Month, words: Words, local: Local) -> None:
    figures = [
        (words("events"), str(found.events)),
        (words("rang"), str(found.rang)),
        (words("avoided_f"), str(found.avoided)),
        (words("late_f"), str(found.late)),
        (words("acked_f"), str(found.acked)),
        (words("unacked_f"), str(found.unacked)),
        (words("median_f"), local.span(found.ack_median_ms)),
        (words("p90_f"), local.span(found.ack_p90_ms)),
    ]
    figures += [
        (words("feedback_f", label=label), str(count))
        for label, count in sorted(found.feedback.items())
    ]
    columns = (
        Column(name=words("figure"), share=0.75),
        Column(name=words("value"), share=0.25, number=True),
    )
    sheet.blocks.append(Heading(text=words("answered")))
    sheet.table(columns, figures, words("none"))
    if not found.feedback:
        sheet.blocks.append(Text(text=words("no_feedback"), small=True))
    sheet.blocks.append(Heading(text=words("priorities")))
    sheet.table(
        (
            Column(name=words("priority"), share=0.75),
            Column(name=words("rings"), share=0.25, number=True),
        ),
        [(str(p), str(count)) for p, count in found.priorities.items()],
        words("none"),
    )


def _named(asset: str, track: str, words: Words) -> str:
    if asset == GROUP_ASSET:
        return track
    return f"{asset} {words.of('track', track)}".strip()
