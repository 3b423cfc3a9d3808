"""Run a benchmark: load a folder, judge its files, score them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from models.bench.cnc import run_score, score_auc
from models.bench.cnc_files import folds, load_cnc
from models.bench.judged import at_threshold, stretches
from models.bench.nab import LOW_FN, LOW_FP, STANDARD, Scored, probation_rows, score_nab
from models.bench.nab_files import load_nab
from models.bench.own import own_detector
from models.bench.parallel import Answer, judge_all
from models.bench.results import (
    CncResult,
    CncRunResult,
    NabFileResult,
    NabResult,
    Outcome,
    Plot,
    SkabFileResult,
    SkabResult,
    TepFileResult,
    TepResult,
)
from models.bench.skab import SkabRows, score_skab
from models.bench.skab_files import load_skab
from models.bench.tep import FAULT_ROW, HIDDEN, score_tep
from models.bench.tep_files import NORMAL, load_tep
from models.bench.vus import score_vus_pr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bench.judged import Method, Rows, Series
    from models.bench.nab_files import NabFile
    from models.bench.tep_files import TepFile

    Judge = Callable[[list[Series]], list[Answer]]


def run_benchmark(
    name: str,
    directory: Path,
    *,
    method: Method = own_detector,
    threshold: float | None = None,
    processes: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Outcome:
    """Run the benchmark `name`, a key of BENCHMARKS, on a folder of its shape.

    threshold: for all files in place of the method's own, or of the one that NAB's rule picks
    processes: at a time; 0: one a core   progress: is told the file done, how many, of how many
    Raises ModelError for a folder of another shape, OSError.
    """

    def judged(series: list[Series]) -> list[Answer]:
        return judge_all(
            method, series, threshold=threshold, processes=processes, progress=progress
        )

    return BENCHMARKS[name](directory, judged, threshold)


def _skab(directory: Path, judged: Judge, _threshold: float | None) -> Outcome:
    files, notes = load_skab(directory)
    answers = judged([file.series for file in files])
    rows = [
        SkabRows(judged=a.judged, truth=f.truth, t_s=f.t_s, train_rows=f.series.train_rows)
        for f, a in zip(files, answers, strict=True)
    ]
    vus = [score_vus_pr(r.judged.scores[r.train_rows :], r.truth[r.train_rows :]) for r in rows]
    each = tuple(
        SkabFileResult(
            **_fields(score_skab([row])),
            name=file.series.name,
            vus_pr=volume,
            threshold=answer.judged.threshold,
            error=answer.error,
        )
        for file, answer, row, volume in zip(files, answers, rows, vus, strict=True)
    )
    total = SkabResult(**_fields(score_skab(rows)), vus_pr=_mean(vus), files=each, notes=notes)
    plots = tuple(
        Plot(name=f.series.name, judged=r.judged, truth=stretches(r.truth))
        for f, r in zip(files, rows, strict=True)
    )
    return Outcome(result=total, plots=plots)


def _nab(directory: Path, judged: Judge, threshold: float | None) -> Outcome:
    corpus = load_nab(directory)
    answers = judged([file.series for file in corpus.files])
    scored = [
        Scored(scores=a.judged.news, windows=f.windows)
        for f, a in zip(corpus.files, answers, strict=True)
    ]
    told = {p.name: score_nab(scored, p, threshold=threshold) for p in corpus.profiles}
    standard = told[STANDARD]
    each = tuple(
        _nab_file(file, answer, points, standard.threshold)
        for file, answer, points in zip(corpus.files, answers, standard.files, strict=True)
    )
    result = NabResult(
        standard=standard.score,
        low_fp=told[LOW_FP].score,
        low_fn=told[LOW_FN].score,
        threshold=standard.threshold,
        chosen=threshold is None,
        thresholds={name: score.threshold for name, score in told.items()},
        windows_total=sum(file.windows_total for file in each),
        windows_found=sum(file.windows_found for file in each),
        vus_pr=_mean([file.vus_pr for file in each]),
        files=each,
        notes=corpus.notes,
    )
    plots = tuple(
        Plot(
            name=f.series.name,
            judged=at_threshold(a.judged, standard.threshold),
            truth=f.windows,
        )
        for f, a in zip(corpus.files, answers, strict=True)
    )
    return Outcome(result=result, plots=plots)


def _nab_file(file: NabFile, answer: Answer, points: float, threshold: float) -> NabFileResult:
    first = probation_rows(len(file.series.values))
    flags = at_threshold(answer.judged, threshold).flags
    flags[:first] = False
    truth = _marked(file.windows, len(flags))
    return NabFileResult(
        name=file.series.name,
        points=points,
        windows_total=len(file.windows),
        windows_found=sum(bool(flags[a:b].any()) for a, b in file.windows),
        false_rows=int((flags & ~truth).sum()),
        vus_pr=score_vus_pr(answer.judged.scores[first:], truth[first:]),
        error=answer.error,
    )


def _tep(directory: Path, judged: Judge, _threshold: float | None) -> Outcome:
    files = load_tep(directory)
    answers = judged([file.series for file in files])
    pairs = list(zip(files, answers, strict=True))
    flags = {f.fault: a.judged.flags[f.first_row :] for f, a in pairs}
    score = score_tep({k: v for k, v in flags.items() if k != NORMAL}, flags[NORMAL])
    each = tuple(_tep_file(file, answer, flags[file.fault]) for file, answer in pairs)
    seen = [file.vus_pr for file in each if file.fault not in HIDDEN]
    total = TepResult(**_fields(score), vus_pr=_mean(seen), files=each)
    plots = tuple(
        Plot(
            name=f.series.name,
            judged=a.judged,
            truth=((f.first_row + FAULT_ROW, len(a.judged.flags)),) if f.fault != NORMAL else (),
            first_row=f.first_row,
        )
        for f, a in pairs
    )
    return Outcome(result=total, plots=plots)


def _tep_file(file: TepFile, answer: Answer, flags: NDArray[np.bool_]) -> TepFileResult:
    truth = np.arange(len(flags)) >= (FAULT_ROW if file.fault != NORMAL else len(flags))
    return TepFileResult(
        name=file.series.name,
        fault=file.fault,
        flagged=float(flags[FAULT_ROW if file.fault != NORMAL else 0 :].mean()),
        vus_pr=score_vus_pr(answer.judged.scores[file.first_row :], truth),
        threshold=answer.judged.threshold,
        error=answer.error,
    )


def _cnc(directory: Path, judged: Judge, _threshold: float | None) -> Outcome:
    runs, channels, notes = load_cnc(directory)
    parts = folds(runs, channels)
    answers = judged([part.series for part in parts])
    scores: dict[str, list[float]] = {run.name: [] for run in runs}
    flagged: dict[str, list[float]] = {run.name: [] for run in runs}
    for part, answer in zip(parts, answers, strict=True):
        for name, (begin, end) in part.runs:
            scores[name].append(run_score(answer.judged.scores[begin:end]))
            flagged[name].append(float(answer.judged.flags[begin:end].mean()))
    each = tuple(
        CncRunResult(
            name=run.name,
            worn=run.worn,
            score=_mean(scores[run.name]),
            flagged=_mean(flagged[run.name]),
        )
        for run in runs
    )
    auc = score_auc([r.score for r in each if r.worn], [r.score for r in each if not r.worn])
    errors = tuple(answer.error for answer in answers if answer.error)
    worn = {run.name for run in runs if run.worn}
    plots = tuple(
        Plot(
            name=part.series.name,
            judged=answer.judged,
            truth=tuple(rows for name, rows in part.runs if name in worn),
            first_row=part.series.train_rows,
        )
        for part, answer in zip(parts, answers, strict=True)
    )
    return Outcome(result=CncResult(auc=auc, files=each, errors=errors, notes=notes), plots=plots)


def _marked(ranges: tuple[Rows, ...], rows: int) -> NDArray[np.bool_]:
    """Which of `rows` rows lie in a range (n,)."""
    marked = np.zeros(rows, np.bool_)
    for begin, end in ranges:
        marked[begin:end] = True
    return marked


def _mean(values: list[float]) -> float:
    """Mean of what there is, NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _fields(score: msgspec.Struct) -> dict[str, Any]:
    """Fields of a score, to be told with others beside them."""
    return msgspec.structs.asdict(score)


BENCHMARKS: Final = {"skab": _skab, "nab": _nab, "tep": _tep, "cnc": _cnc}
