"""Recordings: tables with a mapping, and journals, as samples to fit and as messages to replay.

A table without time stamps begins on 2000-01-01 00:00 UTC and goes on at the mapping's period; a
replay moves it to now. Rows keep the order of the file, whatever their time stamps say: repeated
and backward ones are counted and named in `Table.notes`; a gateway that gets them counts them too.
Only a file that runs newest first as a whole is turned round, and its rows are counted from there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.caps import PAYLOAD_BYTES_MAX, VALUES_PER_MESSAGE_MAX
from edge.configuration.tables import read_raw
from edge.errors import RecordingError
from edge.labels.labels import label_truth, read_windows
from edge.recordings.columns import ColumnReader
from edge.recordings.mapping import ASSET_ID_EXPECTED, lies_on_side, match_mapping
from edge.records import MessageReceived
from edge.storage.journal import read_journal
from edge.wire.readings import SHAPES, encode_rows
from edge.wire.sparkplug_writing import encode_birth, encode_data
from edge.wire.topics import is_asset_id
from models.bundles.bundle import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.assessment.truth import Truth
    from edge.configuration.tables import RawTable
    from edge.recordings.mapping import Mapping
    from edge.storage.journal import Position

PERIOD_NS_DEFAULT: Final = 10**9  # of a table with one row, or with one and the same stamp
MILLISECOND_NS: Final = 1_000_000
REPLAYED: Final = (*SHAPES, "sparkplug")  # shapes of messages that rows become
SPARKPLUG_SEQUENCE: Final = 256  # messages, before their numbers begin anew
NAMES_SHOWN_MAX: Final = 8  # of columns, in a message
_ROWS: Final = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*")
JOURNAL_SUFFIX: Final = ".journal"
WINDOWS_LABEL: Final = "label_windows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as its mapping reads it: n samples of c channels of one asset."""

    path: Path
    sha256: str  # of the file
    mapping: Mapping | None  # None: read out of a journal
    asset: str
    channels: tuple[Channel, ...]
    t_ns: NDArray[np.int64]  # (n,) in the order of the file
    values: NDArray[np.float64]  # (n, c); NaN: absent, or not a number
    running: NDArray[np.bool_] | None  # (n,); None without a context column of the role run
    # (n,); None without a context column of the role mode; NaN: not told yet
    mode: NDArray[np.float64] | None = None
    context: dict[str, NDArray[np.float64]]  # tag -> (n,); NaN: absent, or a text without a number
    labels: dict[str, NDArray[np.float64]]  # column -> (n,); 0 or NaN: not labelled
    truth: Truth | None  # from the labels that are faults; None: there are none such
    period_ns: int
    has_time: bool
    alignment: str = "rows"  # or grid, where the tags of a journal come apart
    row_first: int = 0  # where this table's first row stands among the file's rows
    absent_cells: int = 0
    bad_cells: int = 0  # neither a number nor absent: NaN in values
    bad_times: int = 0  # rows left out because their time stamp cannot be read
    repeated_times: int = 0  # rows stamped like the row before
    backward_times: int = 0  # rows stamped before the row before
    notes: tuple[str, ...] = field(default=())  # what was found odd, one sentence each


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedMessage:
    """One MQTT message of a recording. `t_ns` is when it is sent, on the plant's clock."""

    t_ns: int
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    begin_ns: int | None = None  # time of the oldest row in it, where that is before t_ns


def parse_rows(text: str) -> tuple[int | None, int | None]:
    """Read a half-open range of rows, "a:b": "0:400", "400:", ":-100". Raises RecordingError."""
    found = _ROWS.fullmatch(text)
    if found is None:
        message = f"rows are {text!r}, expected a:b with b left out of them, such as 0:400 or 400:"
        raise RecordingError(message)
    first, end = found.groups()
    return (int(first) if first else None, int(end) if end else None)


def is_journal(path: Path) -> bool:
    """Tell whether `path` is a journal (a directory, or a *.journal segment), not a table."""
    return path.is_dir() or path.suffix == JOURNAL_SUFFIX


def read_table(
    path: Path,
    *,
    mapping: Mapping | None = None,
    rows: tuple[int | None, int | None] | None = None,
    asset: str = "",
) -> Table:
    """Read a table.

    Without `mapping`, the shipped one that fits exactly. With one, columns that it does not name
    are left out, and noted. `rows` is half-open and counts data rows of the file, from the end
    where negative. `asset` overrides the mapping's. Raises RecordingError.
    """
    if asset and not is_asset_id(asset):
        message = f"asset {asset!r} cannot be an id: expected {ASSET_ID_EXPECTED}"
        raise RecordingError(message)
    raw, mapping = _read_mapped(path, mapping)
    reader = ColumnReader(raw, mapping)
    asset = asset or mapping.asset_of(path.stem)
    t_ns, ok = reader.t_ns, reader.ok
    reader.note_times()
    chosen = reader.rows(rows)
    values = np.stack([reader.numbers(column, chosen) for column in mapping.channels], axis=1)
    absent_cells = int(np.isnan(values).sum()) - reader.bad_cells
    bad_cells = reader.bad_cells
    context = {
        c.tag or column: reader.coded(column, c.values, chosen)
        for column, c in mapping.context.items()
    }
    labels = {column: reader.numbers(column, chosen) for column in mapping.labels}
    period_ns = mapping.time.period_ns or _median_period(t_ns[ok])
    t_ns = t_ns[chosen]
    windows = mapping.label_windows
    if windows is not None:
        labelled = read_windows(windows, table=path, t_ns=t_ns, zone=mapping.time.zone)
        labels |= {} if labelled is None else {WINDOWS_LABEL: labelled}
    repeated, backward = _odd_steps(t_ns, reader.notes)
    return Table(
        path=path,
        sha256=raw.sha256,
        mapping=mapping,
        asset=asset,
        channels=tuple(
            Channel(name=c.channel or column, unit=c.unit) for column, c in mapping.channels.items()
        ),
        t_ns=t_ns,
        values=values,
        running=_running(mapping, context),
        mode=_mode(mapping, context),
        context=context,
        labels=labels,
        truth=_truth(mapping, labels, asset=asset, path=path, t_ns=t_ns, period_ns=period_ns),
        period_ns=period_ns,
        has_time=mapping.time.period_ns is None,
        row_first=int(chosen[0]),
        absent_cells=absent_cells,
        bad_cells=bad_cells,
        bad_times=int((~ok).sum()),
        repeated_times=repeated,
        backward_times=backward,
        notes=tuple(reader.notes),
    )


def _read_mapped(path: Path, mapping: Mapping | None) -> tuple[RawTable, Mapping]:
    """Read the file as the mapping says, or find the mapping that fits it."""
    if mapping is None:
        raw = read_raw(path)
        mapping = match_mapping(raw)
    else:
        raw = read_raw(
            path, delimiter=mapping.delimiter, decimal=mapping.decimal, header=mapping.header
        )
    if lies_on_side(mapping, raw):
        raw = raw.transposed()
    if mapping.column_count is not None and len(raw.columns) != mapping.column_count:
        message = f"{path} has {len(raw.columns)} columns, mapping {mapping.name} expects "
        raise RecordingError(message + str(mapping.column_count))
    needed = mapping.columns - set(mapping.ignore)
    missing = sorted(needed - set(raw.columns))
    if missing:
        shown = ", ".join(map(repr, missing[:NAMES_SHOWN_MAX]))
        message = (
            f"{path} has no column {shown}, which mapping {mapping.name} names; "
            f"it has {', '.join(map(repr, raw.columns))}"
        )
        raise RecordingError(message)
    return raw, mapping


def _odd_steps(t_ns: NDArray[np.int64], notes: list[str]) -> tuple[int, int]:
    """Count rows that repeat a time stamp and rows that go back, and note them."""
    steps = np.diff(t_ns)
    repeated, backward = int((steps == 0).sum()), int((steps < 0).sum())
    if repeated or backward:
        notes.append(f"{repeated} rows repeat a time stamp, {backward} go back in time")
    return repeated, backward


def _running(mapping: Mapping, context: dict[str, NDArray[np.float64]]) -> NDArray[np.bool_] | None:
    """Return which rows are running, (n,); an absent state keeps the one before it.

    Before the first state a row counts as running, as it does in a gateway.
    """
    for column, c in mapping.context.items():
        if c.role != "run":
            continue
        state = context[c.tag or column]
        known = np.where(np.isnan(state), -1, np.arange(state.size))
        last = np.maximum.accumulate(known)
        running: NDArray[np.bool_] = np.isin(state[np.maximum(last, 0)], c.running) | (last < 0)
        return running
    return None


def _mode(mapping: Mapping, context: dict[str, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """The operating mode of each row, (n,), NaN: not told yet; an absent one keeps that before."""
    for column, c in mapping.context.items():
        if c.role == "mode":
            state = context[c.tag or column]
            last = np.maximum.accumulate(np.where(np.isnan(state), 0, np.arange(state.size)))
            mode: NDArray[np.float64] = state[last]
            return mode
    return None


def _truth(
    mapping: Mapping,
    labels: dict[str, NDArray[np.float64]],
    *,
    asset: str,
    path: Path,
    t_ns: NDArray[np.int64],
    period_ns: int,
) -> Truth | None:
    faults = {
        column: values
        for column, values in labels.items()
        if mapping.labels.get(column, "fault") == "fault"
    }
    if not faults:
        return None
    return label_truth(faults, asset=asset, stem=path.stem, t_ns=t_ns, period_ns=period_ns)


def _median_period(t_ns: NDArray[np.int64]) -> int:
    """Return the median distance of rows that go forward in time."""
    steps = np.diff(t_ns)
    forward = steps[steps > 0]
    return int(np.median(forward)) if forward.size else PERIOD_NS_DEFAULT


def accepted_rows(table: Table) -> NDArray[np.intp]:
    """Return the indices (k,) of rows later than all before them: those that alignment keeps."""
    before = np.maximum.accumulate(np.concatenate(([np.iinfo(np.int64).min], table.t_ns[:-1])))
    return np.flatnonzero(table.t_ns > before)


def check_shape(shape: str, batch_rows: int) -> None:
    """Raise RecordingError unless `shape` is one of REPLAYED and a batch has at least a row."""
    if shape not in REPLAYED:
        message = f"shape is {shape!r}, expected one of {', '.join(REPLAYED)}"
        raise RecordingError(message)
    if batch_rows < 1:
        message = f"a batch has {batch_rows} rows, expected 1 or more"
        raise RecordingError(message)


def table_messages(
    table: Table,
    *,
    topic: str = "plant/{asset}",
    batch_rows: int = 1,
    shape: str = "wide",
    t0_ns: int | None = None,
) -> Iterator[TimedMessage]:
    """Yield the table as plant messages: every number exactly, null for NaN, never a label.

    `shape` is one of REPLAYED. "columnar" and "block" carry `batch_rows` rows a message; the others
    one row (or one value) a message, sent `batch_rows` rows at a time. A batch is sent at the time
    of its last row. `t0_ns` moves the first row there, and all others along. "sparkplug" begins
    with a birth, and has it and DDATA for the level + of `topic`. Raises RecordingError.
    """
    check_shape(shape, batch_rows)
    shift_ns = 0 if t0_ns is None else t0_ns - int(table.t_ns[0])
    where = topic.replace("{asset}", table.asset)
    tags = [channel.name for channel in table.channels] + list(table.context)
    if shape in ("columnar", "block") and batch_rows * len(tags) > VALUES_PER_MESSAGE_MAX:
        most = max(1, VALUES_PER_MESSAGE_MAX // len(tags))
        message = f"a batch of {batch_rows} rows has too many values, take at most {most} rows"
        raise RecordingError(message)
    values = np.column_stack([table.values, *table.context.values()])  # (n, c + context)
    if shape == "sparkplug":
        yield from _sparkplug_messages(where, tags, table.t_ns + shift_ns, values)
        return
    for first in range(0, table.t_ns.size, batch_rows):
        chosen = slice(first, first + batch_rows)
        t_ns = (table.t_ns[chosen] + shift_ns).tolist()
        for payload in encode_rows(tags, t_ns, values[chosen].tolist(), shape=shape):
            if len(payload) > PAYLOAD_BYTES_MAX:
                message = f"a payload has {len(payload)} bytes, a gateway takes {PAYLOAD_BYTES_MAX}"
                raise RecordingError(f"{message}; take fewer rows than {batch_rows} a batch")
            yield TimedMessage(t_ns=max(t_ns), topic=where, payload=payload, begin_ns=min(t_ns))


def _sparkplug_messages(
    where: str, tags: Sequence[str], t_ns: NDArray[np.int64], values: NDArray[np.float64]
) -> Iterator[TimedMessage]:
    """A birth, then a message a row of values (n, k). Raises RecordingError."""
    if "/+/" not in where:
        message = f"topic {where} has no level + for DBIRTH and DDATA"
        raise RecordingError(f"{message}, as spBv1.0/GROUP/+/NODE/{{asset}} has")
    if (t_ns % MILLISECOND_NS).any():
        raise RecordingError("Sparkplug B has times of whole milliseconds; this table has others")
    topic, t_ms = where.replace("/+/", "/DDATA/", 1), (t_ns // MILLISECOND_NS).tolist()
    birth = encode_birth(tags, t_ms=t_ms[0], seq=0)
    yield TimedMessage(t_ns=int(t_ns[0]), topic=where.replace("/+/", "/DBIRTH/", 1), payload=birth)
    for i, row in enumerate(values.tolist()):
        payload = encode_data(row, t_ms=t_ms[i], seq=(i + 1) % SPARKPLUG_SEQUENCE)
        yield TimedMessage(t_ns=int(t_ns[i]), topic=topic, payload=payload)


def journal_messages(path: Path, *, after: Position | None = None) -> Iterator[TimedMessage]:
    """Yield the messages of a journal as they came, at the times at which they came.

    after: only those behind it.
    """
    for entry in read_journal(path, after=after):
        stimulus = entry.stimulus
        if isinstance(stimulus, MessageReceived):
            yield TimedMessage(
                t_ns=stimulus.received_ns,
                topic=stimulus.topic,
                payload=stimulus.payload,
                qos=stimulus.qos,
                retain=stimulus.retain,
            )
