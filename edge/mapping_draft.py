"""A first mapping for a table that none fits: guessed from its columns, to be corrected."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.tables import WHITESPACE, is_absent, numbers
from edge.wire.readings import RESERVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.tables import RawTable

RESERVED_TAGS: Final = RESERVED | {"t0", "dt_ms", "tag", "tags", "value", "v"}
"""Keys that mean something in a JSON payload: no channel or context tag may be called so."""

STAMPS_SAMPLED_MAX: Final = 1_000
TEXTS_MAX: Final = 24  # a column of more different texts is a remark, not a state

_DATES: Final = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%Y-%m-%d", "%d-%m-%Y")
_TIMES: Final = ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M", "%I:%M:%S %p")
_EPOCHS: Final = (("epoch_s", 1e8, 1e11), ("epoch_ms", 1e11, 1e14), ("epoch_us", 1e14, 1e17))
_TIME_NAME: Final = re.compile(r"time|stamp|date|epoch|^ts$|^t$", re.IGNORECASE)
_FAULT_NAMES: Final = frozenset({"anomaly", "is_anomaly", "label", "fault", "outlier"})
_MARK_NAMES: Final = frozenset({"changepoint", "change_point"})


def draft_mapping(table: RawTable) -> str:
    """Return TOML of a mapping that reads `table`; "" where no column holds numbers."""
    time_columns, time_lines = _draft_time(table)
    channels, context, labels, ignored = [], [], [], []
    tags = _tags(table.columns)
    for column, cells in zip(table.columns, table.cells, strict=True):
        if column in time_columns:
            continue
        meaning = _meaning(column, cells, table.decimal)
        if meaning == "channel":
            named = "" if tags[column] == column else f"channel = {_quoted(tags[column])}, "
            channels.append(f'{_quoted(column)} = {{ {named}unit = "" }}')
        elif meaning in {"fault", "mark"}:
            labels.append(f"{_quoted(column)} = {_quoted(meaning)}")
        elif meaning == "context":
            context.append(f"{_quoted(column)} = {_draft_context(column, tags[column], cells)}")
        else:
            ignored.append(_quoted(column))
    if not channels:
        return ""
    lines = ['asset = "{stem}" # the file name; or a fixed id such as "press-07"']
    lines += _draft_layout(table)
    if ignored:
        lines.append(f"ignore = [{', '.join(ignored)}]")
    lines += ["", "[time]", *time_lines, "", "[channels] # put the units in", *channels]
    lines += ["", "[context] # not scored", *context] if context else []
    lines += ["", "[labels]", *labels] if labels else []
    return "\n".join(lines) + "\n"


def _draft_layout(table: RawTable) -> list[str]:
    lines = []
    if table.delimiter:
        shown = table.delimiter if table.delimiter != WHITESPACE else WHITESPACE
        lines += [f"delimiter = {_quoted(shown)}", f"decimal = {_quoted(table.decimal)}"]
    if not table.header:
        lines += ["header = false", f"column_count = {len(table.columns)}"]
    return lines


def _meaning(column: str, cells: Sequence[str] | np.ndarray, decimal: str) -> str:
    """Guess what a column holds: channel, fault, mark, context or nothing ("")."""
    values, odd = numbers(cells, decimal=decimal)
    known = int(np.isfinite(values).sum())
    if odd.size > known:
        texts = {cell.strip() for cell in cells if not is_absent(str(cell))}
        return "context" if len(texts) <= TEXTS_MAX else ""
    if known == 0:
        return ""
    if set(np.unique(values[np.isfinite(values)]).tolist()) <= {0.0, 1.0}:
        if column.strip().lower() in _FAULT_NAMES:
            return "fault"
        if column.strip().lower() in _MARK_NAMES:
            return "mark"
    return "channel"


def _draft_context(column: str, tag: str, cells: Sequence[str] | np.ndarray) -> str:
    texts = list(dict.fromkeys(str(cell).strip().lower() for cell in cells))
    values = [
        f"{_quoted(text)} = {i}" for i, text in enumerate(t for t in texts if not is_absent(t))
    ]
    named = "" if tag == column else f"tag = {_quoted(tag)}, "
    return f"{{ {named}values = {{ {', '.join(values)} }} }}"


def _draft_time(table: RawTable) -> tuple[tuple[str, ...], list[str]]:
    """Find the column, or the date and time columns, of the time stamps: (columns, TOML lines)."""
    sampled = {
        column: [str(cell).strip() for cell in cells[:STAMPS_SAMPLED_MAX]]
        for column, cells in zip(table.columns, table.cells, strict=True)
    }
    sampled = {column: [c for c in cells if c] for column, cells in sampled.items()}
    for column, cells in sampled.items():
        form = _stamp_format(column, cells)
        if form:
            return (column,), _time_lines(_quoted(column), form, cells[0])
    dates = [(c, f) for c, cells in sampled.items() if (f := _first_format(cells, _DATES))]
    times = [(c, f) for c, cells in sampled.items() if (f := _first_format(cells, _TIMES))]
    if dates and times:
        (date, date_format), (time, time_format) = dates[0], times[0]
        columns = f"[{_quoted(date)}, {_quoted(time)}]"
        lines = _time_lines(columns, f"{date_format} {time_format}", sampled[date][0])
        return (date, time), lines
    return (), ["period_s = 1.0 # no time stamps found: say how many seconds rows are apart"]


def _time_lines(columns: str, form: str, example: str) -> list[str]:
    lines = [f"column = {columns}", f"format = {_quoted(form)}"]
    zoned = form.startswith("epoch") or (form == "iso" and _has_zone(example))
    return (
        lines if zoned else [*lines, 'zone = "UTC" # where the clock stood, e.g. "Europe/Berlin"']
    )


def _stamp_format(column: str, cells: Sequence[str]) -> str:
    """Return the format in which all `cells` are time stamps with a date; "" if they are none."""
    if not cells:
        return ""
    if all(len(cell) >= 16 and _is_iso(cell) for cell in cells):
        return "iso"
    if _TIME_NAME.search(column):
        values, odd = numbers([cell.replace(",", ".") for cell in cells])
        for name, low, high in _EPOCHS:
            if odd.size == 0 and bool(np.all((values >= low) & (values < high))):
                return name
    return _first_format(cells, tuple(f"{d} {t}" for d in _DATES for t in _TIMES))


def _first_format(cells: Sequence[str], forms: Sequence[str]) -> str:
    return next((form for form in forms if cells and _all_read(cells, form)), "")


def _all_read(cells: Sequence[str], form: str) -> bool:
    try:
        for cell in cells:
            datetime.strptime(cell, form)  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True


def _is_iso(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return False
    return True


def _has_zone(cell: str) -> bool:
    return datetime.fromisoformat(cell).tzinfo is not None


def _tags(columns: Sequence[str]) -> dict[str, str]:
    """Return a tag for each column: its name without blanks around it, made free and unique."""
    tags: dict[str, str] = {}
    for column in columns:
        name = column.strip() or "channel"
        tag = f"{name}_signal" if name in RESERVED_TAGS else name
        number = 1
        while tag in tags.values():
            number += 1
            tag = f"{name} {number}"
        tags[column] = tag
    return tags


def _quoted(text: str) -> str:
    """Return a TOML string. JSON's escapes are all valid in TOML."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
