"""What can be seen of files that are not read: bytes to text, and what may hide in the rest."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

import msgspec

from kb.reading.columns import ALIASES, key_of, named

if TYPE_CHECKING:
    from pathlib import Path

FILE_BYTES_MAX: Final = 8_000_000  # a year of logs of a line; larger ones are to be split
TABLES: Final = (".csv", ".jsonl", ".tsv")

# Files of tables that we cannot look into: each may call off any order.
SPREADSHEETS: Final = frozenset(
    {
        ".xls", ".xlsx", ".xlsm", ".xlsb", ".xlt", ".xltx", ".ods", ".numbers", ".mdb", ".accdb",
        ".dbf",
    }
)  # fmt: skip
# Files that hold no table of orders, however they are stored: pictures, pages, drawings, sound.
NO_TABLES: Final = frozenset(
    {
        ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".svg", ".heic", ".ico",
        ".pdf", ".ps", ".doc", ".docx", ".odt", ".rtf", ".ppt", ".pptx", ".odp", ".dwg", ".dxf",
        ".step", ".stp", ".stl", ".igs", ".mp3", ".mp4", ".wav", ".avi", ".mov", ".mkv", ".ttf",
        ".py", ".sh", ".js", ".css",
    }
)  # fmt: skip
COLUMNS_MIN: Final = 3  # names of columns by which a table is known; prose has no two of them
# What file managers leave behind in any folder.
LITTER: Final = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store"})
_LOCK: Final = "~$"  # an office program has the file of this name open; it holds a user's name
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WINDOWS: Final = "cp1252"  # what Western European exports without a mark are in
# UTF-8 beyond ASCII, and two bytes that hardly any word has and many a damaged file
_NOT_WINDOWS: Final = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xfe\xff]")
_BINARY: Final = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")
_SCOPE: Final = ("channels", "settles", "expectedeffect", "durationminmax")


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a table, or a whole file (line 0), that could not be read: it may say anything.

    `cells` are those of a row that were read. `unseen`: nobody knows what the file says; `beside`:
    nor of this one, but it concerns only the tables of its folder.
    """

    path: str
    line: int
    said: str  # as far as it can be seen
    order_id: str = ""  # the order that it is surely about
    cells: dict[str, str] = {}
    unseen: bool = False
    beside: bool = False
    text: bool = False  # prose: only lines that call something off count

    @property
    def folder(self) -> str:
        """Where the file lies."""
        return self.path.rpartition("/")[0]

    @property
    def place(self) -> str:
        """File, and line if it is one."""
        return f"{self.path}, line {self.line}" if self.line else self.path

    def may_be_scope(self) -> bool:
        """Whether a whole file speaks of what only scope tables speak of."""
        key = key_of(self.said)
        return any(word in key for word in _SCOPE)


def decoded(stored: bytes) -> str:
    """Text in UTF-8, in UTF-16 as Excel's "Unicode text" is, or in Windows-1252.

    The last only where nothing in it is UTF-8 beyond ASCII, and all of it is text: a file that
    somebody damaged is not read as if it were of another kind. Raises UnicodeDecodeError.
    """
    for mark, encoding in _BOMS:
        if stored.startswith(mark):
            return stored.decode(encoding)
    if wide := _unmarked_utf16(stored):
        return stored.decode(wide)
    try:
        return stored.decode("utf-8")
    except UnicodeDecodeError as error:
        if _NOT_WINDOWS.search(stored):
            raise
        try:
            said = stored.decode(WINDOWS)
        except UnicodeDecodeError:
            raise error from None
        if _BINARY.search(said) or "\x1a" in said:
            raise
        return said


def is_windows(stored: bytes) -> bool:
    """Whether bytes that can be decoded are neither UTF-8 nor UTF-16."""
    if any(stored.startswith(mark) for mark, _ in _BOMS) or _unmarked_utf16(stored):
        return False
    try:
        stored.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def glimpsed(path: Path, name: str, *, prose: bool) -> Unread | None:
    """What a file that cannot be read may say of orders; None when it cannot hold any."""
    suffix = path.suffix.lower()
    if path.name.startswith(_LOCK) or path.name.lower() in LITTER:
        return None
    blind = Unread(
        path=name,
        line=0,
        said="",
        unseen=suffix in TABLES or suffix in SPREADSHEETS,
        beside=suffix not in NO_TABLES and not prose,
    )
    try:
        with path.open("rb") as file:
            stored = file.read(FILE_BYTES_MAX + 1)
    except OSError:
        return blind
    said = _seen(stored, whole=not prose)
    if not said and stored:
        return blind if blind.unseen or blind.beside else None
    cut = len(stored) > FILE_BYTES_MAX
    return msgspec.structs.replace(
        blind,
        said=said,
        text=(prose or suffix in NO_TABLES) and not is_tabular(said),
        unseen=cut and blind.unseen,
        beside=cut and blind.beside,
    )


def is_tabular(text: str) -> bool:
    """Whether the first line of a text is the header of a table that we could know."""
    head = next((line for line in text.splitlines() if line.strip()), "")
    cells = re.split(r"[,;|\t]", head)
    return len(set(named(cells)) & set(ALIASES)) >= COLUMNS_MIN


def _seen(stored: bytes, *, whole: bool) -> str:
    """Text as far as it can be told from bytes; "" for what is none, unless a part will do."""
    try:
        said = decoded(stored)
    except UnicodeDecodeError:
        wide = stored.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        said = stored.decode("utf-16" if wide else "latin-1", errors="replace")
    if whole and _BINARY.search(said):
        return ""
    return _BINARY.sub(" ", said)


def _unmarked_utf16(stored: bytes) -> str:
    """Encoding of UTF-16 without a mark: every other byte of its head is zero; "" if it is not."""
    head = stored[:200]
    pairs = len(head) // 2
    if pairs < 4 or len(stored) % 2:  # too short to tell
        return ""
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        others = head[::2] if encoding == "utf-16-le" else head[1::2]
        if zeros.count(0) >= 0.9 * pairs and not others.count(0):
            return encoding
    return ""
