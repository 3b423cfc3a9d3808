"""Labels of a table: which rows its makers say are faulty, as columns and as truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from edge.assessment.truth import Fault, Truth
from edge.errors import UNREADABLE, RecordingError
from edge.samples.timestamps import parse_times

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.recordings.mapping import LabelWindows


def read_windows(
    windows: LabelWindows, *, table: Path, t_ns: NDArray[np.int64], zone: str
) -> NDArray[np.float64] | None:
    """Return 1.0 for the rows that the labels file names for this table, else 0.0, (n,).

    t_ns: (n,); first and last time of a stretch both belong to it. None where the file does not
    exist or does not list the table. Raises RecordingError for a file that cannot be understood.
    """
    path = table.parent / windows.file
    try:
        there = path.is_file()
    except OSError as error:
        raise RecordingError(f"label windows {path}: {error.strerror}") from error
    if not there:
        return None
    key = windows.key.replace("{folder}", table.resolve().parent.name).replace("{file}", table.name)
    try:
        stretches = json.loads(path.read_text(encoding="utf-8")).get(key)
        if stretches is None:
            return None
        stamps = [str(stamp) for first, last in stretches for stamp in (first, last)]
    except (OSError, *UNREADABLE, AttributeError, TypeError) as error:
        message = f"label windows {path}: expected {{key: [[first, last], ...]}}: {error}"
        raise RecordingError(message) from error
    bounds, ok = parse_times(stamps, time_format="iso", zone=zone)
    if not ok.all():
        message = f"label windows {path}: {key}: a time stamp cannot be read"
        raise RecordingError(message)
    labelled = np.zeros(t_ns.shape, np.float64)
    for first, last in bounds.reshape(-1, 2).tolist():
        labelled[(t_ns >= first) & (t_ns <= last)] = 1.0
    return labelled


def label_truth(
    labels: dict[str, NDArray[np.float64]],
    *,
    asset: str,
    stem: str,
    t_ns: NDArray[np.int64],
    period_ns: int,
) -> Truth:
    """Return a fault for every unbroken run of labelled rows, by label column and then by time.

    labels: column -> (n,), labelled where > 0 (NaN is not); t_ns: (n,). A fault ends one period
    after its last row, or at the next row if that comes first: every row belongs to one side.
    """
    faults: list[Fault] = []
    for kind, column in labels.items():
        for first, last in runs(column > 0):
            end_ns = int(t_ns[last]) + period_ns
            if last + 1 < t_ns.size:
                end_ns = max(min(end_ns, int(t_ns[last + 1])), int(t_ns[last]))
            fault = Fault(
                fault_id=f"{stem}-{len(faults)}",
                kind=kind,
                asset=asset,
                channels=(),
                begin_ns=int(t_ns[first]),
                end_ns=end_ns,
            )
            faults.append(fault)
    end_ns = int(t_ns.max()) + period_ns
    return Truth(begin_ns=int(t_ns.min()), end_ns=end_ns, faults=tuple(faults))


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (first, last) index, both inside, of every unbroken run of True. mask: (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2).tolist()]
