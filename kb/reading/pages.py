"""HTML and PDF into text with the headings, lists and tables that a reader sees.

The text is Markdown, so that passages are cut and cited as of any other document. What a reader
does not see (scripts, hidden elements, comments), or sees as deleted, is not in it: nothing may
hide in a quote.
"""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from kb.reading.front_matter import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bs4 import Tag

PAGES_MAX: Final = 3_000  # of a PDF
TEXT_CHARS_MAX: Final = 8_000_000
UNPACKED_BYTES_MAX: Final = 200_000_000  # of an office file: it is a zip, and may be a bomb
FURNITURE_PAGES_MIN: Final = 3  # fewer pages do not tell a running head from a text
FURNITURE_SHARE_MIN: Final = 0.6
FURNITURE_LINES: Final = 2  # at the top and bottom of a page
SCAN_CHARS_MAX: Final = 20  # of a whole PDF: pictures of pages

HTML_DEPTH_MAX: Final = 120  # pages that programs write have some forty levels

_HOLDS: Final = "\0holds"  # no attribute of a page: no parser lets it through
_UNSEEN: Final = ("script", "style", "template", "noscript", "head", "svg", "nav", "iframe")
_HIDDEN: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0(?![.\d])",
    re.IGNORECASE,
)
_BLOCKS: Final = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "dd", "div", "dl", "dt", "figure",
        "footer", "form", "header", "hr", "html", "main", "ol", "p", "section", "ul",
    }
)  # fmt: skip
_NUMBERED: Final = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+([A-Z\u00c0-\u00de][^.!?]{2,70})")
_UNDERLINE: Final = re.compile(r"([=\-~*#^])\1{2,}")
_HYPHEN: Final = re.compile(r"(\w)-\n([a-z\u00df-\u00ff])")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What a file shows: Markdown, its title and the language that it states, "" if none.

    `hidden` is what it holds and does not show; `notes` tell of all that was left out.
    """

    title: str
    text: str
    language: str = ""
    hidden: str = ""
    notes: tuple[str, ...] = ()


def html_page(stored: bytes) -> Page:
    """The visible text of an HTML file."""
    from bs4 import BeautifulSoup, Comment  # noqa: PLC0415 - only where there is HTML

    soup = BeautifulSoup(stored, "lxml")
    _refuse_deep(soup)
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    root = soup.find("html")
    language = str(root.get("lang") or "") if root is not None else ""
    for comment in soup.find_all(string=lambda part: isinstance(part, Comment)):
        comment.extract()
    for element in soup.find_all(_UNSEEN):
        element.decompose()
    for element in soup.find_all(_is_hidden):
        if not element.decomposed:
            element.decompose()
    deleted = soup.find_all("del")
    for element in deleted:
        element.extract()
    _mark_holders(soup)
    lines: list[str] = []
    _walk(soup, lines)
    said = f"{len(deleted)} deletions (del) are left out"
    return Page(
        title=title,
        text=tidied("\n".join(lines)),
        language=language.split("-")[0].lower(),
        notes=(said,) if deleted else (),
    )


def _is_hidden(element: Tag) -> bool:
    style = str(element.get("style") or "")
    aria = str(element.get("aria-hidden") or "").lower() == "true"
    return element.has_attr("hidden") or aria or bool(_HIDDEN.search(style))


def _walk(element: Tag, lines: list[str]) -> None:
    """Write the blocks below an element, one after another; text between them is a paragraph."""
    from bs4 import Tag as AnyTag  # noqa: PLC0415
    from bs4.element import NavigableString  # noqa: PLC0415

    loose: list[str] = []

    def flush() -> None:
        said = " ".join("".join(loose).split())
        loose.clear()
        if said:
            lines.extend((said, ""))

    for child in element.children:
        if isinstance(child, AnyTag):
            write = _BLOCK_WRITERS.get(child.name)
            if write is not None:
                flush()
                write(child, lines)
            elif child.name in _BLOCKS or child.has_attr(_HOLDS):
                flush()
                _walk(child, lines)
            else:
                loose.append(" " if child.name == "br" else child.get_text())
        elif type(child) is NavigableString:
            loose.append(str(child))
    flush()


def _refuse_deep(soup: Tag) -> None:
    """Refuse pages that are nested as nobody writes them: each level is walked through again."""
    depths = {id(soup): 0}
    for element in soup.descendants:
        depth = depths[id(element.parent)] + 1
        if depth > HTML_DEPTH_MAX:
            raise SourceError(0, f"elements are nested over {HTML_DEPTH_MAX} deep")
        depths[id(element)] = depth


def _mark_holders(soup: Tag) -> None:
    """Mark what has a block anywhere within it, once, so that nobody looks at each level."""
    for block in soup.find_all(_is_block):
        for parent in block.parents:
            if parent.has_attr(_HOLDS):
                break
            parent[_HOLDS] = ""


def _is_block(element: Tag) -> bool:
    return element.name in _BLOCKS or element.name in _BLOCK_WRITERS


def _heading(element: Tag, lines: list[str]) -> None:
    said = element.get_text(" ", strip=True)
    if said:
        lines.extend(("", f"{'#' * int(element.name[1])} {' '.join(said.split())}", ""))


def _item(element: Tag, lines: list[str]) -> None:
    inner: list[str] = []
    _walk(element, inner)
    said = [line for line in inner if line.strip()]
    mark = "1." if element.parent is not None and element.parent.name == "ol" else "-"
    if said:
        lines.append(f"{mark} {said[0]}")
        lines.extend(f"  {line}" for line in said[1:])


def _preformatted(element: Tag, lines: list[str]) -> None:
    said = element.get_text().replace("```", "'''").strip("\n")
    lines.extend(("```", said, "```", ""))


def _html_table(element: Tag, lines: list[str]) -> None:
    rows = [
        [" ".join(cell.get_text(" ", strip=True).split()) for cell in row.find_all(["td", "th"])]
        for row in element.find_all("tr")
    ]
    lines.extend(("", *table_lines(rows), ""))


_BLOCK_WRITERS: Final[dict[str, Callable[[Tag, list[str]], None]]] = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _heading),
    "li": _item,
    "pre": _preformatted,
    "table": _html_table,
}


def table_lines(rows: list[list[str]]) -> Iterator[str]:
    """A Markdown table of rows as wide as the widest; a bar within a cell becomes a slash."""
    rows = [row for row in rows if any(row)]
    width = max((len(row) for row in rows), default=0)
    for i, row in enumerate(rows):
        cells = [cell.replace("|", "/") for cell in (*row, *[""] * (width - len(row)))]
        yield f"| {' | '.join(cells)} |"
        if i == 0:
            yield "|" + "---|" * width


# --- PDF ---


def pdf_page(stored: bytes) -> Page:
    """The text of a PDF, a section a page. Raises SourceError."""
    from pypdf import PdfReader  # noqa: PLC0415 - only where there is a PDF

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what is wrong is told by us, once
    try:
        reader = PdfReader(io.BytesIO(stored))
        locked = reader.is_encrypted and not reader.decrypt("")
        count = 0 if locked else len(reader.pages)
        pages = [p.extract_text() or "" for p in reader.pages] if 0 < count <= PAGES_MAX else []
        title = str((reader.metadata.title if reader.metadata and not locked else "") or "")
    except Exception as error:  # the reader breaks in many ways on what is no PDF
        raise SourceError(0, f"cannot be read as PDF: {type(error).__name__}: {error}") from error
    if locked:
        raise SourceError(0, "encrypted; save it without a password")
    if count > PAGES_MAX:
        raise SourceError(0, f"{count} pages, at most {PAGES_MAX}; split it")
    if sum(len(page.strip()) for page in pages) <= SCAN_CHARS_MAX:
        raise SourceError(0, "no text in it, only pictures; recognise the text first (OCR)")
    lines: list[str] = []
    for number, page in enumerate(_without_furniture(pages), 1):
        lines += ["", f"## Page {number}", "", *_paged(page)]
    return Page(title=title.strip(), text=tidied("\n".join(lines)))


def _without_furniture(pages: list[str]) -> list[str]:
    """Pages without the lines that most of them begin or end with: running heads, page numbers."""
    split = [[line.strip() for line in page.splitlines() if line.strip()] for page in pages]
    if len(pages) < FURNITURE_PAGES_MIN:
        return ["\n".join(lines) for lines in split]
    ends = [{*lines[:FURNITURE_LINES], *lines[-FURNITURE_LINES:]} for lines in split]
    seen = Counter(key for lines in ends for key in {_blank_numbers(line) for line in lines})
    common = {key for key, n in seen.items() if n >= FURNITURE_SHARE_MIN * len(pages)}
    kept = []
    for lines in split:
        last = len(lines) - FURNITURE_LINES
        kept.append(
            "\n".join(
                line
                for i, line in enumerate(lines)
                if FURNITURE_LINES <= i < last or _blank_numbers(line) not in common
            )
        )
    return kept


def _blank_numbers(line: str) -> str:
    return re.sub(r"\d+", "0", line)


def _paged(page: str) -> Iterator[str]:
    """Lines of a page: words that were cut are joined, numbered titles are headings."""
    for line in _HYPHEN.sub(r"\1\2", page).splitlines():
        title = _NUMBERED.fullmatch(line.strip())
        if title:
            yield from ("", f"### {title[1]} {title[2].strip()}", "")
        else:
            yield line


def refuse_bomb(stored: bytes) -> None:
    """Refuse a zip that unpacks to more than anybody writes. Raises SourceError."""
    try:
        with zipfile.ZipFile(io.BytesIO(stored)) as packed:
            size = sum(item.file_size for item in packed.infolist())
    except (zipfile.BadZipFile, ValueError, RuntimeError) as error:  # also an unknown version
        raise SourceError(0, f"damaged: {error}") from error
    if size > UNPACKED_BYTES_MAX:
        raise SourceError(0, f"unpacks to {size} bytes, at most {UNPACKED_BYTES_MAX}")


def tidied(text: str) -> str:
    """At most one blank line in a row. Raises SourceError for a text that is too long."""
    if len(text) > TEXT_CHARS_MAX:
        raise SourceError(0, f"over {TEXT_CHARS_MAX} characters of text; split it")
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def first_heading(text: str) -> str:
    """Title of a text without one: its first line that looks like a heading."""
    lines = [line.strip() for line in text.splitlines()]
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("# "):
            return line[2:].strip()
        underlined = _UNDERLINE.fullmatch(below) and len(below) >= len(line) > 0
        if underlined and not _UNDERLINE.fullmatch(line):
            return line
    return ""
