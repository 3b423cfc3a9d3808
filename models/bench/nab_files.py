"""Folders of the shape of numenta/NAB: `data/**.csv`, windows and profiles as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from models.bench.columns import numbers, period_s, read_columns, times_s
from models.bench.judged import Series
from models.bench.nab import PROFILES, Profile, probation_rows
from models.errors import UNREADABLE, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bench.judged import Rows

WINDOWS: Final = "combined_windows.json"
PROFILE_FILE: Final = "profiles.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NabFile:
    """One file: its series, whose probation may be learned from, and its windows in rows."""

    series: Series
    windows: tuple[Rows, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NabCorpus:
    """A folder's files by name in order, its profiles, and what was left out, with the reason."""

    files: tuple[NabFile, ...]
    profiles: tuple[Profile, ...]
    notes: tuple[str, ...]


def load_nab(directory: Path) -> NabCorpus:
    """Read a folder. Raises ModelError, OSError."""
    data = directory / "data"
    paths = {p.relative_to(data).as_posix(): p for p in sorted(data.rglob("*.csv"))}
    if not paths:
        raise ModelError(f"{directory}: no data/**.csv; expected a folder of the shape of NAB")
    labels = _first(directory, WINDOWS, "labels")
    if labels is None:
        raise ModelError(f"{directory}: no {WINDOWS}, neither beside data/ nor in labels/")
    told = _decoded(labels, dict[str, list[tuple[str, str]]])
    notes = []
    absent = sorted(set(told) - set(paths))
    if absent:
        notes.append(f"{len(absent)} files with labels are not in data/, and do not count")
    unlabelled = sorted(set(paths) - set(told))
    if unlabelled:
        notes.append(f"not in {WINDOWS}, so left out: {', '.join(unlabelled)}")
    files = tuple(_file(name, paths[name], told[name], labels) for name in paths if name in told)
    if not files:
        raise ModelError(f"{labels}: names none of the files in data/; expected paths below data/")
    return NabCorpus(files=files, profiles=_profiles(directory), notes=tuple(notes))


def _first(directory: Path, name: str, below: str) -> Path | None:
    found = (p for p in (directory / name, directory / below / name) if p.is_file())
    return next(found, None)


def _decoded(path: Path, shape: Any) -> Any:  # noqa: ANN401 - what msgspec is asked for
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except UNREADABLE as error:
        raise ModelError(f"{path}: not of the shape of NAB's own: {error}") from error


def _file(name: str, path: Path, told: list[tuple[str, str]], labels: Path) -> NabFile:
    columns = read_columns(path, delimiter=",", wanted=("timestamp", "value"))
    t_s = times_s(columns["timestamp"], path)
    series = Series(
        name=name,
        values=numbers(columns, ("value",), path),
        channels=("value",),
        train_rows=probation_rows(len(t_s)),
        period_s=period_s(t_s, path),
    )
    limits = times_s([time for pair in told for time in pair], labels).reshape(-1, 2)
    windows = tuple(_rows(t_s, begin, end, f"{labels}, {name}") for begin, end in limits.tolist())
    return NabFile(series=series, windows=windows)


def _rows(t_s: NDArray[np.float64], begin: float, end: float, where: str) -> Rows:
    """Rows of a window with both limits inside; of a time that comes twice the first counts."""
    at_begin, at_end = np.flatnonzero(t_s == begin), np.flatnonzero(t_s == end)
    if not len(at_begin) or not len(at_end) or at_end[0] < at_begin[0]:
        raise ModelError(f"{where}: a window does not begin and end at the times of two rows")
    return int(at_begin[0]), int(at_end[0]) + 1


def _profiles(directory: Path) -> tuple[Profile, ...]:
    """Profiles of the folder, else the published ones. All three must be there."""
    path = _first(directory, PROFILE_FILE, "config")
    if path is None:
        return PROFILES
    told = _decoded(path, dict[str, dict[str, dict[str, float]]])
    found = []
    for known in PROFILES:
        cost = told.get(known.name, {}).get("CostMatrix", {})
        try:
            found.append(
                Profile(
                    name=known.name,
                    true_positive=cost["tpWeight"],
                    false_negative=cost["fnWeight"],
                    false_positive=cost["fpWeight"],
                )
            )
        except KeyError as error:
            raise ModelError(
                f"{path}: profile {known.name} has no {error} in its CostMatrix"
            ) from error
    return tuple(found)
