"""The figures of the Skoltech Anomaly Benchmark, and what an operator would have heard.

Outlier detection as its leaderboard has it (github.com/waico/SKAB, metric "binary"): rows after the
training rows of all files in one pot, F1, false alarm rate and missing alarm rate. More than half
of those rows are anomalous, so flagging all of them scores F1 0.70: read F1 with the other two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.bench.judged import stretches
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.bench.judged import Judged

HOLE_STEPS: Final = (
    3.0  # usual steps; rows further apart have a hole between them, which is no time
)
HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SkabRows:
    """A judged file: what is true of its rows (n,) bool, and when they were, in s (n,) float64."""

    judged: Judged
    truth: NDArray[np.bool_]
    t_s: NDArray[np.float64]
    train_rows: int


class SkabScore(msgspec.Struct, frozen=True, kw_only=True):
    """Figures over test rows. NaN where there is nothing to divide by.

    f1: 0 to 1   far: percent of normal rows flagged   mar: percent of anomalous rows not flagged
    events: labelled stretches   found: an alarm was on during it   standing: of those found, by an
    alarm that began before them, which counts as a delay of 0 and as a false episode
    delay_median_rows: from its first row to the alarm's, of those found   false_episodes_per_hour:
    alarms that began outside labelled stretches, by hour of normal rows
    """

    f1: float
    far: float
    mar: float
    events_total: int
    events_found: int
    events_standing: int
    delay_median_rows: float
    false_episodes: int
    normal_hours: float
    false_episodes_per_hour: float


def score_skab(files: Sequence[SkabRows]) -> SkabScore:
    """Score judged files together. Raises ModelError for arrays of different lengths.

    An alarm that is on as the test rows begin begins with them.
    """
    hit = miss = false = right = 0
    delays: list[int] = []
    events = standing = false_episodes = 0
    hours = 0.0
    for file in files:
        n, first = len(file.truth), file.train_rows
        if len(file.judged.flags) != n or len(file.t_s) != n:
            raise ModelError(
                f"{n} labels for {len(file.judged.flags)} flags, {len(file.t_s)} times"
            )
        truth, flags = file.truth[first:], file.judged.flags[first:]
        hit += int((truth & flags).sum())
        miss += int((truth & ~flags).sum())
        false += int((~truth & flags).sum())
        right += int((~truth & ~flags).sum())
        alarms = [(max(a - first, 0), b - first) for a, b in file.judged.alarms if b > first]
        false_episodes += sum(not truth[a] for a, _ in alarms)
        for begin, end in stretches(truth):
            events += 1
            heard = [max(a, begin) for a, b in alarms if a < end and b > begin]
            delays += [min(heard) - begin] if heard else []
            standing += any(a < begin < b for a, b in alarms)
        hours += float(_durations_s(file.t_s[first:])[~truth].sum()) / HOUR_S
    return SkabScore(
        f1=_share(2 * hit, 2 * hit + miss + false),
        far=100.0 * _share(false, false + right),
        mar=100.0 * _share(miss, miss + hit),
        events_total=events,
        events_found=len(delays),
        events_standing=standing,
        delay_median_rows=float(np.median(delays)) if delays else math.nan,
        false_episodes=false_episodes,
        normal_hours=hours,
        false_episodes_per_hour=false_episodes / hours if hours else math.nan,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _durations_s(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """How long each row (n,) stands for: until the next one, as long as usual before a hole."""
    if len(t_s) < 2:
        return np.zeros(len(t_s))
    steps = np.diff(t_s)
    usual = float(np.median(steps))
    steps = np.where((steps < 0) | (steps > HOLE_STEPS * usual), usual, steps)
    return np.append(steps, usual)
