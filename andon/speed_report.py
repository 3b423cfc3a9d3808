"""What `andon bench speed` shows: tables on a terminal, a page with plots, a page of the docs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from andon.report import Page, Series
from benchmarks.speed.meanings import WORDS, name_of
from benchmarks.speed.parts import PEER_IDS

if TYPE_CHECKING:
    from benchmarks.speed.figure import Curve, Figure, Shares
    from benchmarks.speed.run import Run

COMMAND: Final = "andon bench speed --peers --docs docs/performance.md"
ABSENT: Final = "-"
HOW: Final = (
    (
        "Both sides of a ratio run in the same run, in turn, on one core, and are compared by"
        " processor seconds; each ratio is a median over rounds."
    ),
    (
        "Do not compare figures of two runs, or of two machines: on a machine that others use they"
        " move by a half, ratios by some percent."
    ),
    "A share of a core is of the whole gateway process, but for the parts that a row leaves out.",
    "Each part runs in a process of its own; what failed is named, and the rest is measured.",
)


def number(value: float) -> str:
    """Three figures, a million and more in words; a dash where there is none."""
    if not math.isfinite(value):
        return ABSENT
    if abs(value) >= 999_500:
        value, word = value / 1e6, " million"
    else:
        word = ""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}{word}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}{word}"


def asked(figure: Figure) -> str:
    """What it is to reach, and of what."""
    if figure.at_least is None and figure.at_most is None:
        return ABSENT
    of_ratio = not (figure.of_figure or math.isnan(figure.ratio))
    unit = "" if of_ratio else f" {figure.unit}"
    bounds = (("at least", figure.at_least), ("at most", figure.at_most))
    return " and ".join(f"{word} {number(to)}{unit}" for word, to in bounds if to is not None)


def reached(figure: Figure) -> str:
    """Whether it is reached, in a word."""
    return {None: ABSENT, True: "yes", False: "no"}[figure.reached]


MIN_WIDTHS: Final = {"figure": 15, "asked": 12}  # on a terminal: a number, and a word of its unit
COLUMNS: Final = ("id", "what", "figure", "ratio", "against", "asked", "reached")


def row(figure: Figure) -> list[str]:
    """A figure as a row under COLUMNS."""
    value = f"{number(figure.figure)} {figure.unit}"
    against = figure.against or ABSENT
    ratio = number(figure.ratio)
    return [figure.id, name_of(figure.id), value, ratio, against, asked(figure), reached(figure)]


def short_table(run: Run, *, wide: bool) -> Table:
    """The figures for a terminal. Ids and ratios stay whole; wide: with what a ratio is to."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name, stays in (("id", True), ("figure", False), ("ratio", True)):
        table.add_column(name, no_wrap=stays, min_width=MIN_WIDTHS.get(name))
    if wide:
        table.add_column("ratio to")
    narrow = MIN_WIDTHS["asked"]  # with 80 columns no more, or the last heading is cut
    table.add_column("asked", min_width=narrow, max_width=None if wide else narrow)
    table.add_column("reached", no_wrap=True)
    for figure in run.figures:
        cells = dict(zip(COLUMNS, row(figure), strict=True))
        cells["asked"] = cells["asked"].replace("at least", ">=").replace("at most", "<=")
        shown = ("id", "figure", "ratio", *(("against",) if wide else ()), "asked", "reached")
        table.add_row(*(Text(cells[name]) for name in shown))
    return table


PEER_COLUMNS: Final = (
    "peer", "version", "values/s", "default detector is faster by", "autoencoder is faster by",
    "MB", "computes",
)  # fmt: skip


def peer_rows(run: Run) -> list[list[str]]:
    """A row for each peer; one that did not run says why."""
    return [
        [
            peer.name,
            peer.version,
            number(peer.values_per_s),
            number(peer.times.get("default", math.nan)),
            number(peer.times.get("mlp", math.nan)),
            number(peer.rss_mb),
            f"not run: {peer.error}" if peer.error else peer.computes,
        ]
        for peer in run.peers or ()
    ]


def compared(run: Run) -> list[str]:
    """What the ratios are to, a sentence for each thing that stands beside figures."""
    beside: dict[str, list[str]] = {}
    for figure in run.figures:
        if figure.against:
            beside.setdefault(figure.against, []).append(figure.id)
    return [f"To {against}: the ratio of {', '.join(ids)}." for against, ids in beside.items()]


def peer_table(run: Run) -> Table:
    """The peers for a terminal, without what they compute."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in PEER_COLUMNS[:-1]:
        numbers = name not in {"peer", "version"}
        table.add_column(name, no_wrap=False, justify="right" if numbers else "left")
    for cells in peer_rows(run):
        table.add_row(*map(Text, cells[:-1]))
    return table


def machine(run: Run) -> str:
    """What it was measured on, in a sentence."""
    at = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in at.versions.items())
    quick = "; a quick run: rougher figures" if run.quick else ""
    return (
        f"{at.processor}, {at.cores} cores, {at.memory_gb:.0f} GB, {at.system}, Python {at.python},"
        f" {versions}. Load {at.load_begin:.1f} at the begin and {at.load_end:.1f} at the end;"
        f" {run.seconds:.0f} s{quick}."
    )


def told_of_peers(run: Run) -> str:
    """Which peers were not run, in a sentence; "" where nothing is to be said."""
    return "" if run.peers is not None else f"Not run without --peers: {', '.join(PEER_IDS)}."


def page(run: Run) -> Page:
    """The report with plots."""
    report = Page("How fast Andon is", lead=machine(run))
    report.bullets(HOW)
    report.heading("Words")
    report.bullets([f"{word}: {meaning}." for word, meaning in WORDS])
    report.heading("Figures")
    report.table(COLUMNS, [row(figure) for figure in run.figures])
    report.bullets([f"{figure.id}: {figure.note}" for figure in run.figures if figure.note])
    if run.not_measured:
        report.heading("Not measured")
        report.bullets([f"{name}: {why}" for name, why in run.not_measured.items()])
    report.heading("Peers")
    if run.peers is None:
        report.text(told_of_peers(run))
    else:
        report.table(PEER_COLUMNS, peer_rows(run))
    if run.curves:
        report.heading("Costs")
    for curve in run.curves:
        _plot(report, curve)
    if run.shares:
        report.heading("Where the time goes")
    for shares in run.shares:
        names = [name for name, _ in shares.parts]
        of = [round(100 * share, 1) for _, share in shares.parts]
        title = f"{shares.title}, % of {shares.of}"
        report.bars(names, [Series(name="%", values=of)], title=title)
    return report


def _plot(report: Page, curve: Curve) -> None:
    """Sizes double or grow tenfold, and so do costs: over logarithms."""
    report.lines(
        curve.x,
        [Series(name=name, values=values) for name, values in curve.series.items()],
        title=curve.title,
        x_name=curve.x_name,
        y_name=curve.y_name,
        decades=True,
    )
    report.table([curve.x_name, *curve.series], curve_rows(curve))


def curve_rows(curve: Curve) -> list[list[str]]:
    """A row for each x."""
    columns = list(curve.series.values())
    return [
        [_size(x), *(number(math.nan if of[i] is None else of[i]) for of in columns)]  # type: ignore[arg-type]
        for i, x in enumerate(curve.x)
    ]


def _size(x: float) -> str:
    """How many there are: whole, as they are counted."""
    return f"{int(x):,}" if x.is_integer() else number(x)


def share_rows(shares: Shares) -> list[list[str]]:
    """A row for each part, in percent."""
    return [[name, f"{100 * share:.1f} %"] for name, share in shares.parts]
