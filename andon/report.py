"""Reports as one HTML file: no scripts, nothing fetched, readable on a screen and on paper.

All text is escaped. `Page("Title").text("...").table(["a"], [[1]]).bars(...).write(path)`
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final, Self

from andon.charts import Series, bar_chart, line_chart, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Page", "Series", "shown"]

_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; color: #111; background: #fff; max-width: 60em;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 1.8em; }
table { border-collapse: collapse; margin: 1em 0; font-size: 0.93em; }
caption { text-align: left; font-weight: bold; padding-bottom: 0.3em; }
th, td { border-bottom: 1px solid #ccc; padding: 0.25em 0.7em; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
.whole { overflow-wrap: normal; }
th { border-bottom: 2px solid #333; } .number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
figure { margin: 1.2em 0; } svg { width: 100%; height: auto; }
.note { color: #444; font-size: 0.9em; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; }
  table, figure, tr { break-inside: avoid; } h2 { break-after: avoid; } }
"""
# A column may be as narrow as its longest word; of a longer one, as a hash is, it is narrower.
WORD_CHARS_MAX: Final = 16


class Page:
    """A report that grows from top to bottom; every method returns the page itself."""

    def __init__(self, title: str, *, lead: str = "") -> None:
        self.title = title
        self._parts: list[str] = []
        if lead:
            self.text(lead)

    def heading(self, said: str) -> Self:
        """Begin a section."""
        return self._add(f"<h2>{escape(said)}</h2>")

    def text(self, *paragraphs: str) -> Self:
        """Add paragraphs."""
        return self._add(*(f"<p>{escape(said)}</p>" for said in paragraphs))

    def note(self, said: str) -> Self:
        """Add a paragraph in small print."""
        return self._add(f'<p class="note">{escape(said)}</p>')

    def bullets(self, items: Sequence[str]) -> Self:
        """Add a list."""
        return self._add(f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>")

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = ""
    ) -> Self:
        """Add a table; numbers stand right, None and NaN are a dash.

        Raises ValueError when a row has not one cell for each column.
        """
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"a row of {len(row)} cells under {len(columns)} columns")
        numbers = [
            any(_is_number(row[k]) for row in rows)
            and all(_is_number(row[k]) or row[k] is None for row in rows)
            for k in range(len(columns))
        ]
        head = "".join(_cell("th", name, n) for name, n in zip(columns, numbers, strict=True))
        body = "".join(
            f"<tr>{''.join(_cell('td', c, n) for c, n in zip(row, numbers, strict=True))}</tr>"
            for row in rows
        )
        named = f"<caption>{escape(caption)}</caption>" if caption else ""
        return self._add(
            f"<table>{named}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def bars(self, categories: Sequence[str], series: Sequence[Series], *, title: str) -> Self:
        """Add grouped bars, with error bars where a series has intervals. Raises ValueError."""
        return self._add(f"<figure>{bar_chart(categories, series, title=title)}</figure>")

    def lines(
        self,
        x: Sequence[float],
        series: Sequence[Series],
        *,
        title: str,
        x_name: str = "",
        y_name: str = "",
        dots: bool = True,
        decades: bool = False,
    ) -> Self:
        """Add lines over `x`, as `line_chart` draws them. Raises ValueError."""
        names = {"title": title, "x_name": x_name, "y_name": y_name}
        chart = line_chart(x, series, **names, dots=dots, decades=decades)
        return self._add(f"<figure>{chart}</figure>")

    def html(self) -> str:
        """The whole file."""
        title = escape(self.title)
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
            '<meta name="viewport" content="width=device-width"/>'
            f"<title>{title}</title><style>{_STYLE}</style></head>\n"
            f"<body><h1>{title}</h1>\n" + "\n".join(self._parts) + "\n</body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Write the file, over one that is there. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")

    def _add(self, *parts: str) -> Self:
        self._parts += parts
        return self


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(tag: str, value: object, number: bool) -> str:  # noqa: FBT001 - private, read at the call
    text = shown(value)
    whole = all(len(word) <= WORD_CHARS_MAX for word in re.split(r"[\s_]", text))
    kind = ' class="number"' if number else ' class="whole"' if whole else ""
    return f"<{tag}{kind}>{escape(text).replace('_', '_<wbr/>')}</{tag}>"
