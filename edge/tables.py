"""Tables as files hold them: delimiter, decimal mark and header found out, cells still text.

What a column means is the mapping's business (edge.mapping); here a table is names and cells.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Cells = Sequence[str] | NDArray[np.float64] | NDArray[np.int64]

TABLE_BYTES_MAX: Final = (
    1 << 28
)  # read whole, in about ten times the memory; a million rows of 30 columns
SAMPLE_LINES_MAX: Final = 1_000  # lines looked at to find out delimiter and decimal mark
COLUMNS_MAX: Final = 4_096

DELIMITERS: Final = (";", "\t", "|", ",")
WHITESPACE: Final = "whitespace"  # as a delimiter: any run of blanks

_NUMBER: Final = re.compile(r"\s*[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?\s*")
_COMMA: Final = re.compile(r"\s*[+-]?\d*,\d+(?:[eE][+-]?\d+)?\s*")
_POINT: Final = re.compile(r"\s*[+-]?\d*\.\d+(?:[eE][+-]?\d+)?\s*")
_GROUPED: Final = re.compile(r"\s*[+-]?\d{1,3}(?:,\d{3})+\s*")  # 1,234 may be a thousand
_GROUPED_COMMA: Final = re.compile(r"\s*[+-]?\d{1,3}(?:\.\d{3})+(?:,\d*)?(?:[eE][+-]?\d+)?\s*")
_STAMP: Final = re.compile(r"\s*\d{1,4}[-/.:]\d{1,2}(?:[-/.:]\d{1,4})?(?:[T ].*|\.\d+)?\s*")
_WORDS: Final = {"true": 1.0, "false": 0.0}
_ABSENT: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "--", "#n/a"})


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
    sample = _sampled([line for line in lines if line.strip()])
    if not sample:
        message = f"{path}: the file is empty"
        raise RecordingError(message)
    delimiter = delimiter or sniff_delimiter(sample)
    sampled = list(_rows(sample, delimiter))
    decimal = decimal or sniff_decimal(sampled, delimiter)
    if header is None:
        header = not all(_looks_like_data(cell) for cell in sampled[0])
    if delimiter != WHITESPACE and '"' in text:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    else:
        rows = list(_rows(lines, delimiter))
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
        notes=notes + ragged,
    )


def sniff_delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that cuts these lines most evenly into cells that look like data.

    One of DELIMITERS, or WHITESPACE. A file of one column has any delimiter: "," is returned.
    """
    best, best_rank = ",", (0.0, 0.0, 1)
    for delimiter in (*DELIMITERS, WHITESPACE):
        rows = list(_rows(lines, delimiter))
        width, agreeing = Counter(map(len, rows)).most_common(1)[0]
        if width < 2:
            continue
        body = [cell for row in rows[1:] or rows for cell in row]
        usable = sum(map(_looks_like_data, body)) / max(len(body), 1)
        # Evenness first (in tenths, so that a torn last line does not decide), then content.
        rank = (round(agreeing / len(rows), 1), round(usable, 2), width)
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


def numbers(cells: Cells, *, decimal: str = ".") -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Read numbers: (n,) cells to (n,) float64, exact to the last bit of what is written.

    Absent cells (empty, "nan", "null", ...) are NaN. Returns also the indices of cells that are
    neither absent nor a finite number; these are NaN as well. True and False are 1 and 0.
    """
    if isinstance(cells, np.ndarray):
        values = cells.astype(np.float64)
        odd = np.flatnonzero(np.isinf(values))
        values[odd] = np.nan
        return values, odd
    fast = _all_numbers(cells, decimal)
    if fast is not None:
        return fast, np.empty(0, np.intp)
    read = [_number(cell, decimal) for cell in cells]
    odd = np.flatnonzero(np.fromiter((value is None for value in read), np.bool_, len(read)))
    values = np.array([np.nan if value is None else value for value in read], np.float64)
    return values, odd


def is_absent(cell: str) -> bool:
    """Tell whether a cell states no value."""
    return cell.strip().lower() in _ABSENT


def _all_numbers(cells: Sequence[str], decimal: str) -> NDArray[np.float64] | None:
    """Read a column in which every cell is a plain finite number; None if that is not so."""
    joined = "\x1f".join(cells)
    if "_" in joined:  # float() takes 1_000; a table does not mean it
        return None
    if decimal == ",":
        if "." in joined:
            return None
        replaced = joined.replace(",", ".").split("\x1f")
        if len(replaced) != len(cells):
            return None
        cells = replaced
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return values if bool(np.isfinite(values).all()) else None


def _number(cell: str, decimal: str) -> float | None:
    """Read one cell: a finite number, NaN for an absent one, None for anything else."""
    text = cell.strip()
    if text.lower() in _ABSENT:
        return np.nan
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if "_" in text:
        return None
    if decimal == ",":
        if "." in text:
            if not _GROUPED_COMMA.fullmatch(text):
                return None
            text = text.replace(".", "")
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


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


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    if delimiter == WHITESPACE:
        return [line.split() for line in lines]
    return list(csv.reader(lines, delimiter=delimiter))


def _looks_like_data(cell: str) -> bool:
    text = cell.strip()
    return (
        text.lower() in _ABSENT
        or text.lower() in _WORDS
        or bool(_NUMBER.fullmatch(text) or _STAMP.fullmatch(text))
    )


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
    seen: Counter[str] = Counter()
    unique = []
    for i, name in enumerate(names):
        named = name or f"column {i + 1}"
        seen[named] += 1
        unique.append(named if seen[named] == 1 else f"{named} ({seen[named]})")
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
    except (pa.ArrowException, OSError) as error:
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
