"""A first mapping for a table that none fits: guessed from its columns, to be corrected.

Whatever was decided about a column that could mean two things is said in a comment beside it.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.caps import TAG_CHARS_MAX
from edge.configuration.tables import WHITESPACE, is_absent
from edge.recordings.columns import STAMPS_SAMPLED_MAX, SampledColumn, sample_column
from edge.samples.timestamps import (
    DATES,
    DATES_WITH_TIMES,
    ROWS_TELLING_MIN,
    SHARE_MOST,
    TIMES,
    clock_period,
    epoch_format,
    has_zone,
    is_clock,
    is_even,
    iso_reads,
    looks_like_stamp,
    share_of,
    speaks_of_time,
    stamp_formats,
)
from edge.wire.readings import RESERVED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from edge.configuration.tables import RawTable

RESERVED_TAGS: Final = RESERVED | {"t0", "dt_ms", "tag", "tags", "value", "v"}
"""Keys that mean something in a JSON payload: no channel or context tag may be called so."""

TEXTS_MAX: Final = 24  # a column of more different texts is a remark, not a state
STATES_MAX: Final = 12  # a number of more different values is hardly a state
_INDEX_NAME: Final = re.compile(
    r"(?:sample|row|record|scan|line|frame|seq|sequence)?[\s_:.-]*"
    r"(?:#|n|i|k|no|nr|num|number|id|idx|index|count|counter)?\.?|unnamed: 0|column 1",
    re.IGNORECASE,
)
_RUN_NAME: Final = re.compile(r"(?i:(?<![a-z])(?:run|state|status|mode))|(?:Run|State|Status|Mode)")
_TAG_NAMES: Final = frozenset(
    "tag tagname tag_name varname variable signal metric _field topic nodeid node_id".split()  # noqa: SIM905
)
_TAG_NAMES_BESIDE_VALUE: Final = _TAG_NAMES | frozenset(
    "name field sensor sensor_id channel parameter point item measurement series key".split()  # noqa: SIM905
)
_VALUE_NAMES: Final = frozenset({"value", "_value", "val", "varvalue", "wert", "reading", "v"})
_FAULT_NAMES: Final = frozenset({"anomaly", "is_anomaly", "label", "fault", "outlier"})
_MARK_NAMES: Final = frozenset({"changepoint", "change_point"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Time:
    """The section [time] of a draft, and columns that are clocks but not read."""

    lines: list[str]
    columns: tuple[str, ...] = ()
    spare: dict[str, str] = field(default_factory=dict)  # column -> why it is ignored


def draft_mapping(table: RawTable) -> str:
    """Return TOML of a mapping that reads `table`; "" where no column holds numbers to score."""
    columns = [
        sample_column(name, cells, table.decimal)
        for name, cells in zip(table.columns, table.cells, strict=True)
    ]
    time = _draft_time(columns)
    spare = dict(time.spare)
    left = {c.name: c for c in columns if c.name not in {*time.columns, *spare}}
    meanings = {name: _meaning(c) for name, c in left.items()}
    measured = [name for name, meaning in meanings.items() if meaning == "channel"]
    counting = {name: why for name in measured if (why := _counts_rows(left[name]))}
    if len(counting) < len(measured):  # else there is nothing but ramps: they are measurements
        spare |= counting
    channels, context, labels, ignored = [], [], [], []
    tags = _tags(table.columns)
    for name in table.columns:
        meaning = "" if name in spare else meanings.get(name, "")
        if name in time.columns:
            continue
        if meaning == "channel":
            named = "" if tags[name] == name else f"channel = {_quoted(tags[name])}, "
            channels += [*_run_hint(left[name]), f'{_quoted(name)} = {{ {named}unit = "" }}']
        elif meaning in {"fault", "mark"}:
            labels.append(f"{_quoted(name)} = {_quoted(meaning)}")
        elif meaning == "context":
            drafted = _draft_context(name, tags[name], left[name].cells)
            context += [*_run_hint(left[name]), f"{_quoted(name)} = {drafted}"]
        else:
            ignored.append(_quoted(name))
    if not channels:
        return ""
    lines = ['asset = "{stem}" # the file name; or a fixed id such as "press-07"']
    lines += _draft_layout(table, columns)
    lines += [f"# {_quoted(name)} {why}: ignored" for name, why in spare.items()]
    if ignored:
        lines.append(f"ignore = [{', '.join(ignored)}]")
    lines += ["", "[time]", *time.lines, "", "[channels] # put the units in", *channels]
    lines += ["", "[context] # not scored", *context] if context else []
    lines += ["", "[labels]", *labels] if labels else []
    return "\n".join(lines) + "\n"


def long_format(table: RawTable) -> str:
    """Return what is wrong with a table of the form (time, tag, value); "" for any other."""
    known = _TAG_NAMES_BESIDE_VALUE | _VALUE_NAMES
    if not any(name.strip().lower() in known for name in table.columns):
        return ""
    texts = {
        name: [str(cell).strip() for cell in cells]
        for name, cells in zip(table.columns, table.cells, strict=True)
    }
    named = {name: name.strip().lower() for name in texts}
    value = next((name for name in texts if named[name] in _VALUE_NAMES), None)
    known = _TAG_NAMES if value is None else _TAG_NAMES_BESIDE_VALUE
    several = [n for n in texts if n != value and 2 <= len(set(texts[n])) <= len(texts[n]) / 2]
    tag = next((name for name in several if named[name] in known), None)
    if tag is None and value is None:
        return ""
    columns = [sample_column(n, c, table.decimal) for n, c in zip(texts, table.cells, strict=True)]
    time = _draft_time(columns)
    spare = {*time.columns, *time.spare}
    measured = [c.name for c in columns if c.name not in spare and _meaning(c) == "channel"]
    measured = [n for n in measured if n != tag and len(set(texts[n])) > 1]
    if value is None:
        value = measured[0] if len(measured) == 1 else None
    elif tag is None and measured == [value] and time.columns:
        # A text beside each value, and moments that come again once for each of the texts.
        moments = list(zip(*(texts[column] for column in time.columns), strict=True))
        words = (c.name for c in columns if c.is_text and c.name in several and c.name not in spare)
        if len(set(moments)) <= 0.7 * len(moments):
            tag = next(
                (n for n in words if len(set(zip(moments, texts[n], strict=True))) == len(moments)),
                None,
            )
    if tag is None or value not in measured:
        return ""
    index = time.columns[0] if time.columns else "time"
    return (
        f"it is in long format: column {tag!r} names {len(set(texts[tag]))} signals, whose values "
        f"stand below each other in {value!r}. Give each signal its own column first, with pandas: "
        f"table.pivot_table(index={index!r}, columns={tag!r}, values={value!r})"
    )


def _draft_layout(table: RawTable, columns: Sequence[SampledColumn]) -> list[str]:
    lines = []
    if table.delimiter == "," and len(columns) == 2 and not table.header:
        whole = all("." not in text and not c.is_text for c in columns for text in c.texts)
        if whole:
            lines.append(
                '# one column of numbers such as 1,5? Then: delimiter = ";", decimal = ","'
            )
    if table.delimiter:
        shown = table.delimiter if table.delimiter != WHITESPACE else WHITESPACE
        lines += [f"delimiter = {_quoted(shown)}", f"decimal = {_quoted(table.decimal)}"]
    if not table.header:
        lines += ["header = false", f"column_count = {len(table.columns)}"]
    return lines


def _meaning(column: SampledColumn) -> str:
    """Guess what a column holds: channel, fault, mark, context or nothing ("")."""
    if column.is_text:
        texts = column.texts
        if 2 * sum(map(looks_like_stamp, texts)) > len(texts):
            return ""
        different = {str(cell).strip() for cell in column.cells if not is_absent(str(cell))}
        return "context" if len(different) <= TEXTS_MAX else ""
    finite = column.values[np.isfinite(column.values)]
    if not finite.size:
        return ""
    if set(np.unique(finite).tolist()) <= {0.0, 1.0}:
        if column.name.strip().lower() in _FAULT_NAMES:
            return "fault"
        if column.name.strip().lower() in _MARK_NAMES:
            return "mark"
    return "channel"


def _run_hint(column: SampledColumn) -> list[str]:
    """Say how a column could be the run state. It is never decided here: it switches scoring."""
    if not _RUN_NAME.search(column.name):
        return []
    name = _quoted(column.name)
    if column.is_text:
        return [f'# does {name} tell running? Add: role = "run", running = [its running states]']
    states = np.unique(column.values[np.isfinite(column.values)])
    if len(states) > STATES_MAX or not bool(np.all(states == np.rint(states))):
        return []
    moved = f'{name} = {{ role = "run", running = [1] }}'
    return [f"# does {name} tell running? Move it to [context]: {moved}"]


def _counts_rows(column: SampledColumn) -> str:
    """Tell why a column of numbers is a count of rows or a clock; "" if it may be measured."""
    steps = column.steps
    if len(steps) < 2:
        return ""
    if _INDEX_NAME.fullmatch(column.name.strip()) and share_of(steps > 0) >= SHARE_MOST:
        return "is called like a count of rows and rises like one"
    strict = bool((steps > 0).all() or (steps < 0).all())
    if len(steps) + 1 >= ROWS_TELLING_MIN and strict and is_even(steps):
        return f"moves by even steps of {float(np.median(steps)):.6g}, like a count or a clock"
    return ""


def _draft_context(column: str, tag: str, cells: Sequence[str] | np.ndarray) -> str:
    texts = list(dict.fromkeys(str(cell).strip().lower() for cell in cells))
    values = [
        f"{_quoted(text)} = {i}" for i, text in enumerate(t for t in texts if not is_absent(t))
    ]
    named = "" if tag == column else f"tag = {_quoted(tag)}, "
    return f"{{ {named}values = {{ {', '.join(values)} }} }}"


def _draft_time(columns: Sequence[SampledColumn]) -> _Time:
    """Find what tells the time: stamps, date and time, numbers since 1970, or an even clock."""
    clocks = {c.name: c for c in columns if not c.is_text and is_clock(c.name, c.values)}
    dates = {c.name: r for c in columns if c.is_text and (r := stamp_formats(c.texts, DATES))}
    times = {c.name: r for c in columns if c.is_text and (r := stamp_formats(c.texts, TIMES))}
    found = (
        _from_stamps(columns)
        or _from_pair(columns, dates, times)
        or _from_epochs(columns)
        or _from_dates(columns, dates)
        or _from_clocks(clocks)
        or _from_times(columns, times)
        or _Time(
            lines=["period_s = 1.0 # no time stamps found: say how many seconds rows are apart"]
        )
    )
    spare = {
        name: "advances like a clock"
        for name in clocks
        if name not in {*found.columns, *found.spare}
    }
    return _Time(lines=found.lines, columns=found.columns, spare=spare | found.spare)


def _from_stamps(columns: Sequence[SampledColumn]) -> _Time | None:
    """Take the column of date and time that says most."""
    candidates = sorted((c for c in columns if c.is_text), key=lambda c: -len(set(c.texts)))
    for column in candidates:
        if len(set(column.texts)) < min(2, len(column.sampled)):
            continue  # when a batch or a query began
        if iso_reads(column.texts):
            zoned = all(map(has_zone, column.texts))
            return _Time(columns=(column.name,), lines=_stamp_lines((column.name,), "iso", zoned))
        read = stamp_formats(column.texts, DATES_WITH_TIMES)
        if read:
            return _formatted((column.name,), read, column.texts[-1])
    return None


def _from_pair(
    columns: Sequence[SampledColumn],
    dates: dict[str, dict[str, list[datetime]]],
    times: dict[str, dict[str, list[datetime]]],
) -> _Time | None:
    if not (dates and times):
        return None
    pair = (next(iter(dates)), next(iter(times)))
    sampled = {c.name: c.sampled for c in columns}
    both = zip(sampled[pair[0]], sampled[pair[1]], strict=True)
    joined = [f"{date} {time}" for date, time in both if not (is_absent(date) or is_absent(time))]
    forms = [f"{date} {time}" for date in dates[pair[0]] for time in times[pair[1]]]
    read = stamp_formats(joined, forms)
    return _formatted(pair, read, joined[-1]) if read else None


def _from_dates(
    columns: Sequence[SampledColumn], dates: dict[str, dict[str, list[datetime]]]
) -> _Time | None:
    """Take dates without a time of day, where rows are days apart."""
    texts = {c.name: c.texts for c in columns}
    for name, read in dates.items():
        if 2 * len(set(texts[name])) > len(texts[name]):
            return _formatted((name,), read, texts[name][-1])
    return None


def _formatted(columns: tuple[str, ...], read: dict[str, list[datetime]], example: str) -> _Time:
    """Choose between formats that read the same cells: rows go one way, and not far."""
    nearest = sorted(read, key=lambda form: max(read[form]) - min(read[form]))
    straight = [form for form in nearest if _one_way(read[form])]
    chosen = (straight or nearest)[0]
    lines = _stamp_lines(columns, chosen, zoned=False)
    others = " or ".join(_quoted(form) for form in read if form != chosen)
    if others and len(straight) == 1:
        lines.insert(
            0, f"# {_quoted(example)} reads as {others} too, but then rows go back and forth"
        )
    elif others:
        doubt = f"# AMBIGUOUS: day and month of {_quoted(example)} cannot be told apart;"
        lines.insert(0, f"{doubt} it may be {others}")
    return _Time(columns=columns, lines=lines)


def _one_way(times: Sequence[datetime]) -> bool:
    pairs = list(itertools.pairwise(times))
    return all(a <= b for a, b in pairs) or all(a >= b for a, b in pairs)


def _stamp_lines(columns: tuple[str, ...], form: str, zoned: bool) -> list[str]:  # noqa: FBT001
    shown = ", ".join(map(_quoted, columns))
    lines = [
        f"column = {shown}" if len(columns) == 1 else f"column = [{shown}]",
        f"format = {_quoted(form)}",
    ]
    return (
        lines if zoned else [*lines, 'zone = "UTC" # where the clock stood, e.g. "Europe/Berlin"']
    )


def _from_epochs(columns: Sequence[SampledColumn]) -> _Time | None:
    """Take numbers since 1970: by name and size, else by size and even steps."""
    found = [
        (c, form) for c in columns if not c.is_text and (form := epoch_format(c.name, c.values))
    ]
    for column, form in sorted(found, key=lambda pair: not speaks_of_time(pair[0].name)):
        lines = _stamp_lines((column.name,), form, zoned=True)
        if not speaks_of_time(column.name):
            said = f"by their size numbers of {_quoted(column.name)} are times since 1970 ({form})"
            lines.insert(0, f"# {said}, and they advance")
        return _Time(columns=(column.name,), lines=lines)
    return None


def _from_clocks(clocks: dict[str, SampledColumn]) -> _Time | None:
    """Derive the period from a clock that counts from anywhere, and ignore its column."""
    for name, column in clocks.items():
        period_s, unit = clock_period(name, column.values)
        if period_s < 0:
            why = "falls from row to row: does the file run newest first? Then turn its rows round"
            return _Time(
                lines=[f"period_s = 1.0 # {_quoted(name)} runs backwards"], spare={name: why}
            )
        if not 1e-6 <= period_s <= 1e6:
            continue
        evenly = "evenly" if is_even(column.steps) else "unevenly: its middle step is taken"
        lines = [f"# {_quoted(name)} counts {unit} from row to row, {evenly}"]
        spare = {name: "is a clock, from which period_s was derived"}
        return _Time(lines=[*lines, f"period_s = {period_s!r}"], spare=spare)
    return None


def _from_times(
    columns: Sequence[SampledColumn], times: dict[str, dict[str, list[datetime]]]
) -> _Time | None:
    """Derive the period from times of day without a date."""
    for column in columns:
        if column.name not in times:
            continue
        first = [str(cell).strip() for cell in column.cells[:STAMPS_SAMPLED_MAX]]
        form = next(iter(times[column.name]))
        read = stamp_formats([text for text in first if not is_absent(text)], (form,)).get(form, [])
        day = timedelta(days=1)
        steps = [((b - a) % day).total_seconds() for a, b in itertools.pairwise(read)]
        period_s = float(np.median(steps)) if steps else 0.0
        if period_s > 0:
            said = (
                f"# {_quoted(column.name)} has no date: only the distance of rows is taken from it"
            )
            return _Time(lines=[said, f"period_s = {period_s!r}"])
    return None


def _tags(columns: Sequence[str]) -> dict[str, str]:
    """Return a tag for each column: its name without blanks around it, made free and unique."""
    tags: dict[str, str] = {}
    for column in columns:
        name = column.strip()[: TAG_CHARS_MAX - 8] or "channel"
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
