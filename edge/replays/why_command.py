"""`andon why`: why there was no alert at a time, or which one, from the journal.

As lines with a small plot in the terminal, as JSON, and as one HTML file.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Final

import msgspec

from edge.alerts.explain import clock_text, number
from edge.errors import RecordingError
from edge.replays import why
from edge.replays.explain_command import watched
from edge.replays.rerun import Rerun
from edge.wire.readings import T_NS_MAX
from kb.retrieval.cite import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from edge.engine import Engine
    from edge.records import Effect
    from edge.replays.rerun import Kept
    from edge.replays.why import Look, Series, Why

SECOND_NS: Final = 1_000_000_000
STEP_NS: Final = SECOND_NS  # a look each second, where a recording has no ticks of its own
BLOCKS: Final = "▁▂▃▄▅▆▇█"
PLOT_COLUMNS: Final = 60
WIDTH, HEIGHT = 900, 240  # of the drawing in HTML
LINE_CHARS_MAX: Final = 600


def why_command(
    kept: Kept, *, asset: str, at_ns: int, as_json: bool, page: Path | None, console: Console
) -> None:
    """Answer for one asset and time (plant time, ns).

    Raises RecordingError for an asset or a time that the journal does not have.
    """
    rerun = Rerun(kept)
    try:
        answer = answered(rerun, asset=asset, at_ns=at_ns)
    finally:
        rerun.close()
    if page is not None:
        page.write_text(page_of(answer), encoding="utf-8")
    if as_json:
        console.file.write(msgspec.json.format(msgspec.json.encode(answer), indent=1).decode())
        console.file.write("\n")
        return
    for line in lines_of(answer):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def answered(rerun: Rerun, *, asset: str, at_ns: int) -> Why:
    """Replay until shortly after the time, and look. Raises RecordingError."""
    around_ns = why.AROUND_S * SECOND_NS
    looks: list[Look] = []
    bounds: list[int] = []  # oldest and newest time of a sample of the asset
    found, desk = rerun.asset(asset)

    def look(engine: Engine, _effects: tuple[Effect, ...]) -> bool:
        nonlocal found, desk
        found, desk = rerun.asset(asset)
        t_ns = found.state.last_t_ns
        if t_ns and not bounds:  # the engine may come from a checkpoint, with its history
            bounds[:] = [int(desk.ring.since(asset, 0)[0][0]), t_ns]
        if t_ns:
            bounds[1] = t_ns
        # what is silent is looked at by the clock, what speaks by its samples
        seen_ns = max(t_ns, engine.now_ns - why.NEAR_S * SECOND_NS)
        if seen_ns >= at_ns - around_ns:
            seen = looks[-1] if looks else None
            moved = seen is None or t_ns != seen.t_ns
            if moved or seen is None or engine.now_ns - seen.now_ns >= STEP_NS:
                looks.append(why.look_at(engine, found))
        return bool(bounds) and seen_ns >= at_ns + around_ns

    with watched(rerun, "replaying the journal") as progress:
        begin_ns = at_ns - 2 * around_ns
        rerun.run(look, begin_ns=begin_ns, step_ns=STEP_NS, asked_ns=at_ns, progress=progress)
    if not bounds or not bounds[0] <= at_ns <= max(bounds[1], rerun.engine.now_ns):
        raise _outside(asset, at_ns, _span(rerun.kept, asset))
    looks = looks or [why.look_at(rerun.engine, found)]
    series, nearest = why.rescored(
        found, desk, from_ns=at_ns - around_ns, until_ns=at_ns + around_ns
    )
    needed = desk.settings.engine.min_duration_samples
    scores = [score for _, score in why.near(series, at_ns)]
    return why.Why(
        asset=asset,
        at=clock_text(at_ns),
        at_ns=at_ns,
        threshold=found.model.threshold_on,
        score_max=max(scores, default=math.nan),
        findings=_in_hole(rerun, at_ns)
        + why.findings_of(
            looks, at_ns=at_ns, threshold=found.model.threshold_on, needed=needed, series=series
        ),
        nearest=nearest,
        alerts=looks[-1].alerts,
        series=series,
        notes=tuple(rerun.notes),
    )


def _in_hole(rerun: Rerun, at_ns: int) -> tuple[why.Finding, ...]:
    """First of all: at that time nothing was written, so what follows is of the time around it."""
    if rerun.kept.settings.clock != "wall":  # a hole is told in times of the wall clock
        return ()
    text = "The journal has a hole at that time: what came then was taken and is not in it."
    inside = any(hole.from_ns <= at_ns <= hole.to_ns for hole in rerun.holes)
    return (why.Finding(name="hole", text=text),) if inside else ()


def _span(kept: Kept, asset: str) -> list[int]:
    """Oldest and newest time of a sample of an asset in a journal; none where it has none."""
    bounds, newest_ns = list[int](), 0

    def spoke(_engine: Engine, _effects: tuple[Effect, ...]) -> bool:
        found, desk = rerun.asset(asset)
        if found.state.last_t_ns:  # several may have come with it
            bounds.append(int(desk.ring.since(asset, 0)[0][0]))
        return bool(bounds)

    def never(_engine: Engine, _effects: tuple[Effect, ...]) -> bool:
        return False

    for look, begin_ns in ((spoke, 0), (never, T_NS_MAX)):  # from its begin; from its last state
        rerun = Rerun(kept)
        try:
            rerun.run(look, begin_ns=begin_ns, step_ns=STEP_NS)
            newest_ns = rerun.asset(asset)[0].state.last_t_ns
        finally:
            rerun.close()
        if not bounds:
            return []
    return [bounds[0], newest_ns]


def _outside(asset: str, at_ns: int, bounds: list[int]) -> RecordingError:
    if not bounds:
        return RecordingError(f"the journal has no sample of {asset}")
    return RecordingError(
        f"{clock_text(at_ns)} is not in the journal: its first sample of {asset} is of"
        f" {clock_text(bounds[0])}, its newest sample of {asset} is of {clock_text(bounds[1])}"
    )


def lines_of(answer: Why) -> Iterator[str]:
    """The answer for a terminal."""
    yield f"{answer.asset} at {answer.at}"
    for finding in answer.findings:
        yield f"  - {plain(finding.text, LINE_CHARS_MAX)}"
    plotted = plot(answer.series, answer.threshold)
    if plotted:
        low, high = clock_text(answer.series.t_ns[0]), clock_text(answer.series.t_ns[-1])
        yield f"\nScore from {low} to {high}; full height is the threshold or more, a dot no score:"
        yield f"  {plotted}"
    if answer.nearest:
        rang = answer.score_max >= answer.threshold
        what = "Channels of" if rang else "Channels nearest to ringing, at"
        yield f"\n{what} the highest score within {why.NEAR_S} s of that time:"
        for one in answer.nearest:
            usual = f"{number(one.usual_low)} to {number(one.usual_high)} {one.unit}".rstrip()
            value = f"{number(one.value)} {one.unit}".rstrip()
            yield f"  - {one.channel}: {one.share:.0%} of the score, {value} (usual {usual})"
    for note in answer.notes:
        yield f"Note: {note}."


def plot(series: Series, threshold: float) -> str:
    """Scores as one line of blocks, each the highest of its stretch; a dot is not ready."""
    n = len(series.score)
    if not n:
        return ""
    columns = min(PLOT_COLUMNS, n)
    drawn = []
    for i in range(columns):
        part = [s for s in series.score[i * n // columns : (i + 1) * n // columns] if s == s]  # noqa: PLR0124 - NaN
        if not part:
            drawn.append("·")
            continue
        height = max(0.0, min(max(part) / threshold, 1.0))
        drawn.append(BLOCKS[min(int(height * (len(BLOCKS) - 1)), len(BLOCKS) - 1)])
    return "".join(drawn)


def page_of(answer: Why) -> str:
    """The answer as one HTML file without anything from elsewhere; all text is escaped."""
    told = "".join(
        f"<li>{html.escape(plain(f.text, LINE_CHARS_MAX))}</li>" for f in answer.findings
    )
    rows = "".join(
        f"<tr><td>{html.escape(one.channel)}</td><td>{one.share:.0%}</td>"
        f"<td>{number(one.value)} {html.escape(one.unit)}</td>"
        f"<td>{number(one.usual_low)} to {number(one.usual_high)}</td></tr>"
        for one in answer.nearest
    )
    title = html.escape(f"{answer.asset} at {answer.at}")
    notes = "".join(f"<p>{html.escape(note)}.</p>" for note in answer.notes)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:15px sans-serif;max-width:960px;margin:2em auto}"
        "td,th{padding:2px 12px;text-align:left}</style>"
        f"<h1>{title}</h1><ul>{told}</ul>{drawing(answer)}"
        "<table><tr><th>channel</th><th>share of the score</th><th>value</th><th>usual</th></tr>"
        f"{rows}</table>{notes}</html>\n"
    )


def drawing(answer: Why) -> str:
    """Score, threshold and the time asked about, as SVG."""
    series = answer.series
    ready = [(t, s) for t, s in zip(series.t_ns, series.score, strict=True) if not math.isnan(s)]
    if not ready:
        return "<p>No sample could be scored in this stretch.</p>"
    first, last = series.t_ns[0], max(series.t_ns[-1], series.t_ns[0] + 1)
    top = max(answer.threshold * 1.2, *(s for _, s in ready))

    def x(t_ns: int) -> float:
        return (t_ns - first) / (last - first) * WIDTH

    def y(score: float) -> float:
        return HEIGHT - score / top * HEIGHT

    line = " ".join(f"{x(t):.1f},{y(s):.1f}" for t, s in ready)
    level, at = y(answer.threshold), x(answer.at_ns)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img"'
        ' aria-label="score against threshold">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#f6f6f4"/>'
        f'<polyline points="{line}" fill="none" stroke="#24527a" stroke-width="1.5"/>'
        f'<line x1="0" x2="{WIDTH}" y1="{level:.1f}" y2="{level:.1f}" stroke="#b3261e"'
        ' stroke-dasharray="6 4"/>'
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{HEIGHT}" stroke="#888"/></svg>'
        f"<p>Score (line), threshold {number(answer.threshold)} (dashed), the time asked about"
        " (upright).</p>"
    )
