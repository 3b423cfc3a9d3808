"""Contributions: a channel's share of a score with what an engineer reads beside it.

Its value against its usual range, which way it has moved, and whether it stands still.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.alerts import movement
from edge.alerts.alerts import Contribution
from edge.samples.mode_rows import rows_at
from models.fitting.season import usual_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.samples.ring import History
    from edge.work.jobs import JobRun
    from models.bundles.bundle import AssetModel

# the engineering value shown is the mean of the newest samples of the event
VALUE_SAMPLES: Final = 30


def contributions_of(
    model: AssetModel,
    history: History,
    shares: NDArray[np.float64],
    *,
    span: tuple[int, int],
    runs: Sequence[JobRun],
    modes: NDArray[np.float64] | None = None,
) -> tuple[Contribution, ...]:
    """Shares (c,) with engineering values, largest first; a channel without a share is left out.

    history: the newest samples, times (n,), values (n, c), running (n,). span: begin of the event
    and now; a value is the mean of the newest samples between. runs: the asset's jobs, which
    disturb the level that a move is measured against. modes: (n,) of the samples, NaN: not told;
    None: never. What is within its usual range and beyond that of the hour is told by the latter,
    where the season judged the samples of the value: it knows nothing of a machine that stands.
    """
    begin_ns, t_ns = span
    times, values, running = history
    seen = times <= t_ns
    by_hour = rows_at(model, running, modes)[seen] == model.row_running
    times, values, running = times[seen], values[seen], running[seen]
    moved = movement.shifts(
        values[running],
        calm=undisturbed(times[running], runs),
        center=model.center,
        sigma=model.sigma,
    )
    still = movement.flat(values[running])
    event = times >= begin_ns
    newest = np.flatnonzero(running & event if (running & event).any() else event)[-VALUE_SAMPLES:]
    hour_low, hour_high = _of_the_hour(model, t_ns if by_hour[newest].all() else None)
    parts = []
    for i in np.argsort(-shares, kind="stable").tolist():
        if shares[i] <= 0.0:
            break
        column = values[newest, i]
        column = column[np.isfinite(column)]
        value = float(column.mean()) if len(column) else math.nan
        low, high = float(model.usual_low[i]), float(model.usual_high[i])
        hourly = low <= value <= high and bool(value < hour_low[i] or value > hour_high[i])
        if hourly:
            low, high = float(hour_low[i]), float(hour_high[i])
        parts.append(
            Contribution(
                channel=model.channels[i].name,
                unit=model.channels[i].unit,
                share=float(shares[i]),
                value=value,
                usual_low=low,
                usual_high=high,
                direction="high" if value > high else "low" if value < low else "within",
                shift=float(moved[i]),
                flat=bool(still[i]),
                hourly=hourly,
            )
        )
    return tuple(parts)


def _of_the_hour(
    model: AssetModel, t_ns: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Usual range of each channel (c,), (c,) at the hour of a time; NaN: it follows none.

    None: a time that is not judged by the hour.
    """
    if model.season is None or t_ns is None:
        return np.full(len(model.channels), np.nan), np.full(len(model.channels), np.nan)
    return usual_range(model.season, t_ns)


def undisturbed(times: NDArray[np.int64], runs: Sequence[JobRun]) -> NDArray[np.bool_]:
    """Which of the times (n,) lie in no job of the asset and not in the settling after one."""
    calm = np.ones(len(times), bool)
    for run in runs:
        if not run.fuse_end_ns:  # it never opened
            continue
        end_ns = times[-1] + 1 if run.live and len(times) else max(run.ended_ns, run.settle_end_ns)
        calm &= (times < run.job.opened_at_ns) | (times >= end_ns)
    return calm


def against_before(
    parts: Sequence[Contribution],
    run: JobRun,
    channels: Sequence[str],
    shift: NDArray[np.float64],
) -> tuple[Contribution, ...]:
    """The same with their moves over a job: by how much (c,), and by their levels which way."""
    moved = np.zeros(len(shift))
    if run.before is not None and run.after_sum is not None and run.after_count is not None:
        moved = run.after_sum / np.maximum(run.after_count, 1.0) - run.before
    told = []
    for part in parts:
        i = channels.index(part.channel)
        by = math.copysign(float(shift[i]), moved[i])
        told.append(msgspec.structs.replace(part, shift=by))
    return tuple(told)
