"""docs/performance.md, written from one run of `andon bench speed`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from andon.speed_report import (
    COLUMNS,
    COMMAND,
    HOW,
    PEER_COLUMNS,
    curve_rows,
    machine,
    peer_rows,
    row,
    share_rows,
    told_of_peers,
)
from benchmarks.speed.meanings import WORDS, meaning_of
from benchmarks.speed.parts import IDS, PEER_IDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.speed.figure import Figure
    from benchmarks.speed.run import Run


def markdown(run: Run) -> str:
    """The whole page."""
    return "\n".join([*_head(run), *_figures(run), *_peers(run), *_costs(run), *_places(run)])


HEAD: Final = f"""\
# Performance

Written by `{COMMAND}`; the run is beside it as
`performance.json`. Not edited by hand.

```sh
andon bench speed             # the figures, on this machine, in some minutes
andon bench speed --peers     # river, pysad, PyOD, numalogic, stumpy and bytewax beside them
andon bench speed --json figures.json --html report.html   # with plots
andon bench speed --quick     # fewer rounds: rougher figures, sooner
```
"""
ENVIRONMENTS: Final = """\
- Peers are no dependencies: `--peers` makes an environment for each in the user's cache, once, \
with the versions named here."""
STREAM: Final = """\
All of them had the same recorded stream, 1,000 weld robots x 8 channels of our simulator, on the \
same core, in rounds of half a second in turn. Values are sensor values taken in a processor \
second. They do not compute the same: read the last column first."""
COMPARED: Final = """\
Windowed peers are to be compared with the autoencoder, which is windowed as they are, and those \
of single records with the default detector, which remembers what was before. Both keep up the \
windows or states of all assets themselves; peers get theirs cut beforehand."""


def _head(run: Run) -> list[str]:
    words = [f"- **{word}**: {meaning}." for word, meaning in WORDS]
    told = [machine(run), "", *(f"- {line}" for line in HOW), ENVIRONMENTS, ""]
    return [HEAD, *told, "What the words mean:", "", *words, ""]


def _figures(run: Run) -> list[str]:
    wanted = [f for f in run.figures if f.reached is not None]
    others = [f for f in run.figures if f.reached is None]
    missed = [f.id for f in wanted if not f.reached]
    lines = [
        "## What was asked for",
        "",
        f"{len(wanted) - len(missed)} of {len(wanted)} are reached in this run."
        + (f" Not reached: {_code(missed)}." if missed else ""),
        "",
        *_table(COLUMNS, [_cells(f) for f in wanted]),
        "",
        "What each means:",
        "",
        *(_meaning(f) for f in wanted),
        "",
    ]
    if absent := _absent(run):
        told = [f"- `{name}`: {why}" for name, why in absent.items()]
        lines += ["Not measured in this run:", "", *told, ""]
    if others:
        lines += ["## Limits, and other figures", ""]
        lines += [*_table(COLUMNS[:5], [_cells(f)[:5] for f in others]), ""]
        lines += [*(_meaning(f) for f in others if f.note or meaning_of(f.id)), ""]
    return lines


def _absent(run: Run) -> dict[str, str]:
    """What the page owes and the run has not: id or part -> why, also where nobody knows."""
    there = {figure.id for figure in run.figures} | (set() if run.peers else set(PEER_IDS))
    unknown = "this run was made without it"
    return run.not_measured | {
        one: unknown for one in IDS if one not in there and one not in run.not_measured
    }


def _code(ids: Sequence[str]) -> str:
    return ", ".join(f"`{one}`" for one in ids)


def _cells(figure: Figure) -> list[str]:
    id, *rest = row(figure)  # noqa: A001 - a figure's
    return [f"`{id}`", *rest]


def _meaning(figure: Figure) -> str:
    parts = meaning_of(figure.id), figure.note
    told = ". ".join(part[:1].upper() + part[1:] for part in parts if part)
    return f"- `{figure.id}`: {told}."


def _peers(run: Run) -> list[str]:
    lines = ["## Peers", ""]
    if run.peers is None:
        return [*lines, told_of_peers(run), ""]
    return [
        *lines,
        STREAM,
        "",
        *_table(PEER_COLUMNS, peer_rows(run)),
        "",
        COMPARED,
        "",
    ]


def _costs(run: Run) -> list[str]:
    lines = ["## What it costs by size", ""] if run.curves else []
    for curve in run.curves:
        lines += [f"**{curve.title}** ({curve.y_name})", ""]
        lines += [*_table([curve.x_name, *curve.series], curve_rows(curve)), ""]
    return lines


def _places(run: Run) -> list[str]:
    lines = ["## Where the time goes", ""] if run.shares else []
    for shares in run.shares:
        lines += [f"**{shares.title}**", ""]
        lines += [*_table(["part", f"of {shares.of}"], share_rows(shares)), ""]
    return lines


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |"

    return [line(columns), line(["---"] * len(columns)), *map(line, rows)]
