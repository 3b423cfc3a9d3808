"""Tables as files hold them: delimiter, decimal mark and header found out, cells still text.

What a column means is the mapping's business (edge.recordings.mapping); here a table is names and
cells.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from edge.errors import UNREADABLE, RecordingError
from edge.samples.timestamps import looks_like_stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Cells = Sequence[str] | NDArray[np.float64] | NDArray[np.int64]

TABLE_BYTES_MAX: Final = (
    1 << 28
)  # read whole, in about ten times the memory; a million rows of 30 columns
SAMPLE_LINES_MAX: Final = 1_000  # lines looked at to find out delimiter and decimal mark
COLUMNS_MAX: Final = 4_096
PREAMBLE_LINES_MAX: Final = 100  # loggers write a few dozen lines about themselves

DELIMITERS: Final = (";", "\t", "|", ",")
WHITESPACE: Final = "whitespace"  # as a delimiter: any run of blanks

_NUMBER: Final = re.compile(r"\s*[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?\s*")
_COMMA: Final = re.compile(r"\s*[+-]?\d*,\d+(?:[eE][+-]?\d+)?\s*")
_POINT: Final = re.compile(r"\s*[+-]?\d*\.\d+(?:[eE][+-]?\d+)?\s*")
_GROUPED: Final = re.compile(r"\s*[+-]?\d{1,3}(?:,\d{3})+\s*")  # 1,234 may be a thousand
_NUMBERS: Final = re.compile(rf"{_NUMBER.pattern}(?:\s{_NUMBER.pattern})+")  # cut at blanks
_SEPARATOR: Final = re.compile(r'"?sep=(?P<delimiter>[^"])"?[\s;,|]*', re.IGNORECASE)
_COMMENT: Final = re.compile(r"#+\s*(?=\D)|#+$")  # not "#1 Temp", which is a name
WORDS: Final = {"true": 1.0, "false": 0.0}
ABSENT: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "#n/a"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTable:
    """A table as its file holds it. Header-less columns are named "1", "2", ..."""

    path: Path
    sha256: str
    columns: tuple[str, ...]
    cells: tuple[Cells, ...]
    """A column each: text, or from Parquet float64 or int64 numbers."""
    row_count: int
    header: bool
    delimiter: str  # "" for Parquet
    decimal: str
    notes: tuple[str, ...] = field(default=())

    def transposed(self) -> RawTable:
        """Return the table with lines as columns. Only header-less text tables can be turned."""
        assert not self.header
        turned = tuple(map(list, zip(*self.cells, strict=True)))  # a row each
        columns = tuple(str(i + 1) for i in range(len(turned)))
        assert all(isinstance(row[0], str) for row in turned if row)
        return replace(self, columns=columns, cells=turned, row_count=len(self.columns))


def read_raw(
    path: Path, *, delimiter: str = "", decimal: str = "", header: bool | None = None
) -> RawTable:
    """Read a table. Whatever is not given ("" or None) is found out from the file.

    Raises RecordingError where the file is missing, empty, too large, ragged or not a table.
    """
    content = _content(path)
    sha256 = hashlib.sha256(content).hexdigest()
    if content[:4] == b"PAR1":
        return _read_parquet(path, content, sha256)
    text, notes = _decode(path, content)
    # Not splitlines(), which also cuts at form feeds; nor a pattern, which is five times slower.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    announced, comments, found = _take_announcements(lines)
    sample = _sampled([line for line in lines if line.strip()])
    if not sample:
        message = f"{path}: the file is empty"
        raise RecordingError(message)
    delimiter = delimiter or announced or sniff_delimiter(sample)
    sampled = _parsed(path, sample, delimiter)
    preamble = _preamble(sampled)
    sampled = sampled[preamble:]
    if header is not False and comments and not _has_header(sampled):
        named = _COMMENT.sub("", comments[-1], count=1)
        cut = _parsed(path, [named], delimiter)[0]
        if len(cut) == len(sampled[0]) and not any(map(_states, cut)):
            lines[next(i for i, line in enumerate(lines) if line.strip()) - 1] = named
            sampled, header, preamble = [cut, *sampled], True, 0
    decimal = decimal or sniff_decimal(sampled, delimiter)
    header = _has_header(sampled) if header is None else header
    if delimiter != WHITESPACE and '"' in text:
        # As one text, where a quoted cell may go over lines.
        source = io.StringIO("\n".join(lines) if found else text, newline="")
        rows = _parsed(path, source, delimiter)
    else:
        rows = _parsed(path, lines, delimiter)
    if preamble:
        found += (f"{preamble} lines before the table are left out",)
        filled = [i for i, row in enumerate(rows) if any(row)]
        rows[: filled[preamble]] = [[]] * filled[preamble]  # lines keep their numbers
    names, body, ragged = _shaped(path, rows, header=header)
    return RawTable(
        path=path,
        sha256=sha256,
        columns=names,
        cells=tuple(map(list, zip(*body, strict=True))) if body else tuple([] for _ in names),
        row_count=len(body),
        header=header,
        delimiter=delimiter,
        decimal=decimal,
        notes=(*notes, *found, *ragged),
    )


def sniff_delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that cuts these lines most evenly into cells that look like data.

    One of DELIMITERS, or WHITESPACE where none of them cuts header and body to one width. A file of
    one column has any delimiter: one that is in none of its lines is returned, "," if possible.
    """
    unused = (d for d in (",", *DELIMITERS) if not any(d in line for line in lines))
    best, best_rank = next(unused, ","), (False, 0.0, 0.0, 1)
    for delimiter in (*DELIMITERS, WHITESPACE):
        try:
            rows = _rows(lines, delimiter)
        except csv.Error:  # a whole line in one cell, say: another delimiter may do
            continue
        rows = rows[_preamble(rows) :]
        head, body = rows[0], rows[1:] or rows
        width, _ = Counter(map(len, body)).most_common(1)[0]
        if width < 2 or (delimiter == "," and width == 2 > len(head)):
            continue  # the latter is one column, and its decimal comma
        agreeing = sum(len(row) == width for row in rows) / len(rows)
        whole = (
            len(head) == width or _width(head) == Counter(map(_width, body)).most_common(1)[0][0]
        )
        # Blanks tie with no other delimiter: they also cut stamps, and texts such as "Part 7". But
        # a cell "5 2" in the first line shows that 1,5 2,5 was cut at its decimal commas.
        sound = whole and agreeing > 0.5 and not any(map(_NUMBERS.fullmatch, head))
        cells = [cell for row in body for cell in row]
        usable = sum(map(_looks_like_data, cells)) / max(len(cells), 1)
        # Evenness first (in tenths, so that a torn last line does not decide), then content.
        rank = (sound and delimiter != WHITESPACE, round(agreeing, 1), round(usable, 2), width)
        if rank > best_rank:
            best, best_rank = delimiter, rank
    return best


def sniff_decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    """Return "," if numbers are written with a decimal comma, else ".".

    Where the comma is also the delimiter, quoted cells such as "1,234" may be thousands: at least
    one cell must not look grouped.
    """
    cells = [cell for row in rows for cell in row]
    commas = [cell for cell in cells if _COMMA.fullmatch(cell)]
    points = sum(1 for cell in cells if _POINT.fullmatch(cell))
    if delimiter == "," and all(_GROUPED.fullmatch(cell) for cell in commas):
        return "."
    return "," if len(commas) > points else "."


def is_absent(cell: str) -> bool:
    """Tell whether a cell states no value."""
    return cell.strip().lower() in ABSENT


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            message = f"{path} is a directory and not a journal; name a table or a journal"
            raise RecordingError(message)
        size = path.stat().st_size
        if size > TABLE_BYTES_MAX:
            message = f"{path} has {size} bytes, more than {TABLE_BYTES_MAX}; cut it into parts"
            raise RecordingError(message)
        return path.read_bytes()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise RecordingError(message) from error


def _decode(path: Path, content: bytes) -> tuple[str, tuple[str, ...]]:
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in content[:4096]:
        message = f"{path} is not a text table (it holds zero bytes), nor Parquet, nor a journal"
        raise RecordingError(message)
    try:
        return content.decode(encoding), ()
    except UnicodeDecodeError:
        return content.decode("latin-1"), ("text is not UTF-8; read as Latin-1",)


def _sampled(lines: Sequence[str]) -> list[str]:
    """Return the first lines and a regular choice of the rest: decimals may come late."""
    half = SAMPLE_LINES_MAX // 2
    rest = lines[half:]
    return [*lines[:half], *rest[:: max(1, -(-len(rest) // half))]]


def _rows(lines: Iterable[str], delimiter: str) -> list[list[str]]:
    if delimiter == WHITESPACE:
        return [line.split() for line in lines]
    return list(csv.reader(lines, delimiter=delimiter))


def _parsed(path: Path, lines: Iterable[str], delimiter: str) -> list[list[str]]:
    """Cut lines into cells. Raises RecordingError where that cannot be done."""
    try:
        return _rows(lines, delimiter)
    except csv.Error as error:
        message = f"{path}: {error}; is a quote left open, or the delimiter {delimiter!r} wrong?"
        raise RecordingError(message) from error


def _take_announcements(lines: list[str]) -> tuple[str, list[str], tuple[str, ...]]:
    """Blank the lines before a table that spreadsheets and loggers mark as not of it.

    Returns the delimiter of a line "sep=;" ("" without one), lines that begin with # and notes.
    """
    delimiter = ""
    comments: list[str] = []
    notes: list[str] = []
    for i, line in enumerate(lines):
        said = None if delimiter else _SEPARATOR.fullmatch(line)
        if said is not None and not comments:
            delimiter = said["delimiter"]
            notes.append(f"the first line says that the delimiter is {delimiter!r}")
        elif line.startswith("#"):
            comments.append(line)
        elif line.strip():
            break
        lines[i] = ""
    else:
        return delimiter, [], tuple(notes)
    if comments:
        notes.append(f"{len(comments)} lines before the table begin with #")
    return delimiter, comments, tuple(notes)


def _width(row: Sequence[str]) -> int:
    """Count the cells up to the last that is not blank."""
    return next((i for i in range(len(row), 0, -1) if row[i - 1].strip()), 0)


def _preamble(rows: Sequence[Sequence[str]]) -> int:
    """Count the rows before the table: narrower ones, ahead of a header or far narrower.

    A header with a name too few is none of them: it stays, and is an error.
    """
    width = Counter(map(_width, rows[len(rows) // 2 :])).most_common(1)[0][0]
    first = next((i for i, row in enumerate(rows) if _width(row) >= width), 0)
    if not 0 < first <= PREAMBLE_LINES_MAX or width < 2:
        return 0
    if all(2 * _width(row) < width and not any(map(_states, row)) for row in rows[:first]):
        return first
    return 0 if any(map(_states, rows[first])) else first


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row names the columns: it has no data where the others have some."""
    head, body = rows[0], rows[1:]
    if all(map(_looks_like_data, head)):
        return False
    for i, cell in enumerate(head):
        stated = sum(1 for row in body if i < len(row) and _states(row[i]))
        if 2 * stated > len(body) and not _looks_like_data(cell):
            return True
    return not any(map(_states, head))


def _states(cell: str) -> bool:
    """Tell whether a cell holds a number or a time stamp."""
    return bool(_NUMBER.fullmatch(cell) or looks_like_stamp(cell))


def _looks_like_data(cell: str) -> bool:
    text = cell.strip().lower()
    return text in ABSENT or text in WORDS or _states(cell)


def _shaped(
    path: Path, rows: list[list[str]], *, header: bool
) -> tuple[tuple[str, ...], list[list[str]], tuple[str, ...]]:
    """Cut rows to one width: (names, rows, notes). Blank lines and blank trailing columns go."""
    body = [(i + 1, row) for i, row in enumerate(rows) if any(row)]
    if not body:
        message = f"{path}: the file has no cells"
        raise RecordingError(message)
    names = body.pop(0)[1] if header else []
    width = len(names) or Counter(len(row) for _, row in body).most_common(1)[0][0]
    # Spreadsheets pad lines with delimiters: columns without a name and without a cell are none.
    while names and not names[width - 1].strip():
        if any(len(row) >= width and row[width - 1].strip() for _, row in body):
            break
        width -= 1
    if width > COLUMNS_MAX:
        message = f"{path}: {width} columns, at most {COLUMNS_MAX} can be read"
        raise RecordingError(message)
    shaped, short_count = [], 0
    for line, row in body:
        if len(row) != width:
            if any(cell.strip() for cell in row[width:]):
                message = (
                    f"{path}: line {line} has {len(row)} cells, expected {width}; "
                    "check delimiter and decimal in the mapping"
                )
                raise RecordingError(message)
            short_count += len(row) < width
            row = row[:width] + [""] * (width - len(row))  # noqa: PLW2901 - the padded row
        shaped.append(row)
    notes = (f"{short_count} lines have too few cells; the rest is absent",) if short_count else ()
    return _unique(names[:width], width), shaped, notes


def _unique(names: Sequence[str], width: int) -> tuple[str, ...]:
    if not names:
        return tuple(str(i + 1) for i in range(width))
    unique: dict[str, None] = {}
    for i, name in enumerate(names):
        named = first = name or f"column {i + 1}"
        number = 1
        while named in unique:
            number += 1
            named = f"{first} ({number})"
        unique[named] = None
    return tuple(unique)


def _read_parquet(path: Path, content: bytes, sha256: str) -> RawTable:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra; only boxes that read Parquet have it
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        message = f"{path} is Parquet; to read it: pip install 'andon[parquet]'"
        raise RecordingError(message) from error
    try:
        table = pq.read_table(io.BytesIO(content))
        cells = tuple(_parquet_cells(pa, column) for column in table.columns)
    except (pa.ArrowException, OSError, *UNREADABLE, MemoryError) as error:
        message = f"{path}: not readable as Parquet: {error}"
        raise RecordingError(message) from error
    return RawTable(
        path=path,
        sha256=sha256,
        columns=_unique(table.column_names, len(table.column_names)),
        cells=cells,
        row_count=table.num_rows,
        header=True,
        delimiter="",
        decimal=".",
    )


def _parquet_cells(pa: Any, column: Any) -> Cells:  # noqa: ANN401 - pyarrow has no types
    kind = column.type
    if pa.types.is_timestamp(kind):
        # As text, like in other tables: a stamp without a zone still needs the mapping's.
        whole = column.cast(pa.timestamp("ns", tz="UTC" if kind.tz else None))
        return [cell or "" for cell in whole.cast(pa.string()).to_pylist()]
    if pa.types.is_integer(kind) and column.null_count == 0:
        integers: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
        return integers
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
        return values
    return ["" if cell is None else str(cell) for cell in column.to_pylist()]
