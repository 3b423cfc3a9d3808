"""What a process uses, read from outside, and how fast its memory grows."""

from __future__ import annotations

import csv
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from andon.charts import Series
from andon.report import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_SHARE: Final = 0.25  # of all messages: caches fill, the ring and the page cache of SQLite too
POINTS_MAX: Final = 400  # of a plot
LAG_SHARE: Final = 0.1  # memory moves slowly: neighbouring samples say the same
CRITICAL: Final = 2.261  # of 95 % with so many lags: Kiefer and Vogelsang (2005), Bartlett weights
MB: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One look."""

    seconds: float
    messages: int
    rss_mb: float
    handles: int
    threads: int
    outbox_mb: float
    wal_mb: float
    journal_mb: float
    checkpoints_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """MB per million messages, with its 95 % interval; nan: too little was seen."""

    slope: float
    low: float
    high: float


def look(pid: int, state: Path, *, seconds: float, messages: int) -> Usage | None:
    """What a process and its files take now; None: it is gone."""
    proc = Path(f"/proc/{pid}")
    try:
        status = dict(
            line.split(":", 1) for line in (proc / "status").read_text("ascii").splitlines()
        )
        handles = len(list((proc / "fd").iterdir()))
    except (OSError, ValueError):
        return None
    return Usage(
        seconds=round(seconds, 1),
        messages=messages,
        rss_mb=int(status["VmRSS"].split()[0]) / 1000,
        handles=handles,
        threads=int(status["Threads"]),
        outbox_mb=_size_mb(state / "outbox.sqlite"),
        wal_mb=_size_mb(state / "outbox.sqlite-wal"),
        journal_mb=_size_mb(state / "journal"),
        checkpoints_mb=_size_mb(state / "checkpoints"),
    )


def _size_mb(path: Path) -> float:
    files = path.iterdir() if path.is_dir() else [path]
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except OSError:  # gone meanwhile
            continue
    return total / MB


def warm(looks: Sequence[Usage]) -> list[Usage]:
    """Those behind the warm-up."""
    last = looks[-1].messages if looks else 0
    return [one for one in looks if one.messages >= WARM_SHARE * last]


def slope_of(looks: Sequence[Usage]) -> Slope:
    """How memory grows with messages: least squares, the interval after Newey and West (1987).

    Neighbouring looks resemble each other, and an interval that took them for independent would be
    far too narrow.
    """
    x = np.array([one.messages / 1e6 for one in looks])
    y = np.array([one.rss_mb for one in looks])
    n = len(x)
    if n < 20 or x[-1] - x[0] <= 0:
        return Slope(slope=math.nan, low=math.nan, high=math.nan)
    design = np.column_stack([np.ones(n), x - x.mean()])  # (n, 2)
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ y
    scores = design * (y - design @ found)[:, None]  # (n, 2)
    middle = scores.T @ scores
    lags = max(1, int(LAG_SHARE * n))
    for lag in range(1, lags + 1):
        of_lag = scores[lag:].T @ scores[:-lag]
        middle += (1 - lag / (lags + 1)) * (of_lag + of_lag.T)
    error = math.sqrt(max(float((inverse @ middle @ inverse)[1, 1]), 0.0))
    slope = float(found[1])
    return Slope(slope=slope, low=slope - CRITICAL * error, high=slope + CRITICAL * error)


def write_table(path: Path, looks: Sequence[Usage]) -> None:
    """All looks as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Usage)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in looks)


def write_page(path: Path, looks: Sequence[Usage], lead: str) -> None:
    """All looks as plots in one HTML file."""
    shown = looks[:: max(1, len(looks) // POINTS_MAX)]
    x = [one.messages / 1e6 for one in shown]
    page = Page("Soak", lead=lead)
    plots = {
        "Memory, MB": ("rss_mb",),
        "Handles and threads": ("handles", "threads"),
        "Files, MB": ("outbox_mb", "wal_mb", "journal_mb", "checkpoints_mb"),
    }
    for title, names in plots.items():
        series = [
            Series(name=name, values=[float(getattr(one, name)) for one in shown]) for name in names
        ]
        page.lines(x, series, title=title, x_name="million messages", y_name="", dots=False)
    page.write(path)
