"""A report as HTML: one file with everything in it, or a part of the operator page.

No script, nothing fetched, every text escaped. Within the page the style is a file of its own, as
its content policy has it.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, assert_never

from edge.reports.document import Bars, Figures, Heading, Moment, Table, Text

if TYPE_CHECKING:
    from edge.reports.document import Block, Document

WIDTH: Final = 720
HEIGHT: Final = 190
LEFT: Final = 40
BELOW: Final = 34
ABOVE: Final = 8

STYLE: Final = """
.report { font: 15px/1.45 system-ui, sans-serif; max-width: 62em; margin: 0 auto; padding: 1em; }
.report h1 { font-size: 1.5em; margin: 0; } .report h2 { font-size: 1.1em; margin: 1.6em 0 .3em; }
.report .lead { margin: .2em 0 1em; }
.report .small { font-size: .87em; opacity: .8; margin: .3em 0; }
.report .scrolls { overflow-x: auto; }
.report table { border-collapse: collapse; width: 100%; font-size: .92em; }
.report th, .report td { border-bottom: 1px solid #8888; padding: .25em .6em .25em 0;
  text-align: left; vertical-align: top; overflow-wrap: anywhere; }
.report th { border-bottom: 2px solid currentColor; overflow-wrap: normal; }
.report .number { text-align: right; font-variant-numeric: tabular-nums; }
.report .figures { display: flex; flex-wrap: wrap; gap: .6em 2.2em; margin: 1em 0; }
.report .figures b { display: block; font-size: 1.5em; font-variant-numeric: tabular-nums; }
.report svg { width: 100%; height: auto; } .report svg text { font: 11px system-ui, sans-serif;
  fill: currentColor; }
.report .top { stroke: #8886; }
.report .rang { fill: #5b6470; } .report .avoided { fill: none; stroke: #5b6470; }
.report footer { margin-top: 2em; font-size: .85em; opacity: .8; }
@media (prefers-color-scheme: dark) { .report .rang { fill: #aab4c0; }
  .report .avoided { stroke: #aab4c0; } }
@media print { .report { font-size: 10pt; max-width: none; padding: 0; color: #000; }
  .report tr, .report svg { break-inside: avoid; } .report h2 { break-after: avoid; } }
"""
_PAGE_STYLE: Final = """
:root { color-scheme: light dark; }
body { margin: 0; background: #fff; color: #1b1b1b; }
@media (prefers-color-scheme: dark) { body { background: #1d1f21; color: #dcdcd8; } }
@media print { body { background: #fff; color: #000; } }
"""


def html_file(document: Document) -> str:
    """One file for years: style and plots are in it."""
    return _whole(document, f"<style>{_PAGE_STYLE}{STYLE}</style>", "")


def html_page(document: Document, *, style: str, links: str = "") -> str:
    """A page of a server; style: where its style is. links: HTML that stands above."""
    return _whole(document, f'<link rel="stylesheet" href="{escape(style)}">', links)


def style_file() -> str:
    """What `html_page` is styled with."""
    return _PAGE_STYLE + STYLE


def fragment(document: Document) -> str:
    """The report by itself, for another page."""
    parts = [f"<h1>{escape(document.title)}</h1>", f'<p class="lead">{escape(document.lead)}</p>']
    parts += [_block(block) for block in document.blocks]
    parts.append(f"<footer>{escape(document.footer)}</footer>")
    inner = "\n".join(parts)
    return f'<article class="report" lang="{escape(document.language)}">\n{inner}\n</article>'


def _whole(document: Document, style: str, links: str) -> str:
    return f"""<!doctype html>
<html lang="{escape(document.language)}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(document.title)} \u2013 {escape(document.lead)}</title>
{style}</head>
<body>{links}
{fragment(document)}
</body></html>
"""


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h2>{escape(block.text)}</h2>"
        case Text():
            kind = ' class="small"' if block.small else ""
            return f"<p{kind}>{escape(block.text)}</p>"
        case Figures():
            items = (f"<div><b>{escape(n)}</b>{escape(what)}</div>" for n, what in block.items)
            return f'<div class="figures">{"".join(items)}</div>'
        case Table():
            return _table(block)
        case Bars():
            return _bars(block)
        case _:
            assert_never(block)


def _table(table: Table) -> str:
    if not table.rows:
        return f"<p>{escape(table.empty)}</p>"
    kinds = [' class="number"' if column.number else "" for column in table.columns]
    head = "".join(
        f'<th{kind} scope="col">{escape(column.name)}</th>'
        for kind, column in zip(kinds, table.columns, strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(f"<td{kind}>{_cell(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="scrolls"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _cell(text: str) -> str:
    """A text; of a time the pointer shows UTC."""
    if isinstance(text, Moment):
        return f'<span title="{escape(text.utc)}">{escape(text)}</span>'
    return escape(text)


def _bars(bars: Bars) -> str:
    """Bars as SVG; what was avoided stands as an empty frame on what rang."""
    top = max((a + b for a, b in zip(bars.lower, bars.upper, strict=True)), default=0.0)
    tick = nice(top)
    scale = (HEIGHT - ABOVE - BELOW) / tick
    step = (WIDTH - LEFT) / max(len(bars.labels), 1)
    base = HEIGHT - BELOW
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(bars.title)}">',
        f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH}" y2="{base}" stroke="currentColor"/>',
        f'<text x="{LEFT - 6}" y="{base}" text-anchor="end">0</text>',
        f'<text x="{LEFT - 6}" y="{ABOVE + 8}" text-anchor="end">{tick:g}</text>',
        f'<line class="top" x1="{LEFT}" y1="{ABOVE}" x2="{WIDTH}" y2="{ABOVE}"/>',
    ]
    every = max(1, -(-len(bars.labels) // 31))
    for i, label in enumerate(bars.labels):
        x, width = LEFT + i * step + 0.15 * step, 0.7 * step
        low, high = bars.lower[i] * scale, bars.upper[i] * scale
        said = f"{label}: {bars.lower[i]:g} {bars.names[0]}, {bars.upper[i]:g} {bars.names[1]}"
        parts.append(f"<g><title>{escape(said)}</title>")
        parts.append(_bar("rang", x, base - low, width, low))
        parts.append(_bar("avoided", x, base - low - high, width, high))
        if i % every == 0:
            parts.append(
                f'<text x="{x + width / 2:.1f}" y="{base + 13}" text-anchor="middle">'
                f"{escape(label)}</text>"
            )
        parts.append("</g>")
    y = HEIGHT - 5
    for i, (kind, name) in enumerate(zip(("rang", "avoided"), bars.names, strict=True)):
        x = LEFT + 110 * i
        parts.append(_bar(kind, x, y - 9, 10, 9))
        parts.append(f'<text x="{x + 15}" y="{y}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _bar(kind: str, x: float, y: float, width: float, height: float) -> str:
    if height <= 0:
        return ""
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    )


def nice(top: float) -> float:
    """The end of an axis: the smallest round number that is not below; at least 1."""
    size = 1.0
    while True:
        for factor in (1, 2, 3, 4, 5, 6, 8):
            if factor * size >= top:
                return factor * size
        size *= 10
