"""Folders of the shape of the CNC mill data: `train.csv` with a row a run, `experiment_NN.csv`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bench.columns import numbers, read_columns
from models.bench.judged import Series
from models.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bench.judged import Rows

STAGE: Final = "Machining_Process"  # the operating mode, told by the machine; not a signal
PERIOD_S: Final = 0.1
GAP_ROWS: Final = 120  # blank rows between runs: 12 s, in which a slow average forgets
NO_MODE: Final = -1  # of a blank row
_CONDITIONS: Final = {"worn": True, "unworn": False}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """One machining run: values (n, c), the mode of each row (n,), whether the tool was worn."""

    name: str
    worn: bool
    values: NDArray[np.float64]
    mode: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """One series: the unworn runs but one, then that one and all worn runs, where they lie."""

    series: Series
    runs: tuple[tuple[str, Rows], ...]  # the runs to score


def load_cnc(directory: Path) -> tuple[tuple[Run, ...], tuple[str, ...], tuple[str, ...]]:
    """Runs of a folder in the order of train.csv, names of channels, and what was left out.

    Columns that are constant over all runs are left out. Raises ModelError, OSError.
    """
    table = directory / "train.csv"
    if not table.is_file():
        raise ModelError(f"{directory}: no train.csv; expected it beside experiment_NN.csv")
    columns = read_columns(table, delimiter=",", wanted=("No", "tool_condition"))
    conditions = dict(zip(columns["No"], columns["tool_condition"], strict=True))
    unknown = sorted(set(conditions.values()) - set(_CONDITIONS))
    if unknown:
        raise ModelError(f"{table}: tool_condition {', '.join(unknown)}; expected worn or unworn")
    paths = {no: directory / f"experiment_{no.strip().zfill(2)}.csv" for no in conditions}
    there = {no: path for no, path in paths.items() if path.is_file()}
    notes = []
    if len(there) < len(paths):
        absent = ", ".join(no for no in paths if no not in there)
        notes.append(f"without a file, so left out: runs {absent}")
    names: tuple[str, ...] = ()
    modes: dict[str, int] = {}
    runs = []
    for no, path in there.items():
        cells = read_columns(path, delimiter=",", wanted=(*names, STAGE))
        names = names or tuple(name for name in cells if name != STAGE)
        stages = [stage.strip().lower() for stage in cells[STAGE]]
        mode = np.array([modes.setdefault(stage, len(modes)) for stage in stages], np.int64)
        worn = _CONDITIONS[conditions[no]]
        runs.append(Run(name=path.stem, worn=worn, values=numbers(cells, names, path), mode=mode))
    if sum(run.worn for run in runs) < 1 or sum(not run.worn for run in runs) < 2:
        raise ModelError(f"{directory}: expected files of a worn and at least two unworn runs")
    every = np.vstack([run.values for run in runs])
    moves = np.nanmax(every, axis=0) > np.nanmin(every, axis=0)
    dull = [name for name, kept in zip(names, moves, strict=True) if not kept]
    if dull:
        notes.append(f"constant, so left out: {', '.join(dull)}")
    kept = tuple(name for name, keep in zip(names, moves, strict=True) if keep)
    slim = [
        Run(name=run.name, worn=run.worn, values=run.values[:, moves], mode=run.mode)
        for run in runs
    ]
    return tuple(slim), kept, tuple(notes)


def folds(runs: tuple[Run, ...], channels: tuple[str, ...]) -> tuple[Fold, ...]:
    """One fold for each unworn run left out of the fit, in order."""
    unworn = [run for run in runs if not run.worn]
    worn = [run for run in runs if run.worn]
    return tuple(
        _fold([run for run in unworn if run is not out], [out, *worn], channels) for out in unworn
    )


def _fold(fitted: list[Run], scored: list[Run], channels: tuple[str, ...]) -> Fold:
    """Runs end to end, with blank rows between them."""
    blank = np.full((GAP_ROWS, len(channels)), np.nan)
    nowhere = np.full(GAP_ROWS, NO_MODE, np.int64)
    values, modes, at, train_rows = [], [], 0, 0
    places: list[tuple[str, Rows]] = []
    for k, run in enumerate([*fitted, *scored]):
        values += [run.values, blank]
        modes += [run.mode, nowhere]
        if k >= len(fitted):
            places.append((run.name, (at, at + len(run.values))))
        at += len(run.values) + GAP_ROWS
        if k < len(fitted):
            train_rows = at
    series = Series(
        name=f"without {scored[0].name}",
        values=np.vstack(values),
        channels=channels,
        train_rows=train_rows,
        period_s=PERIOD_S,
        mode=np.concatenate(modes),
    )
    return Fold(series=series, runs=tuple(places))
