"""How well a head names faults of gearboxes that nobody has labelled, and refuses unknown ones.

Machines of a training fleet give labelled minutes, at most five each; a head is fitted on them
through a real bundle in which every machine has its own detector, fitted on its own normal record.
It is asked, in the graph, about minutes of a test fleet of which no label was ever seen, and about
a fault that was left out of the labels. A machine is of one class, so groups are machines.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.fitting.fit import FitOptions, fit_asset
from models.heads.fit import calibration_error
from models.heads.heads import LabelledWindow, classify, train_head, with_heads
from models.heads.notes import NORMAL
from models.samples import TrainingSamples
from simulator.cells.gearbox_windows import (
    HEALTHY,
    KINDS,
    UNSEEN,
    WINDOWS_A_MACHINE,
    labelled_machine,
    row_channels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from models.bundles.bundle import AssetFit, Bundle
    from models.heads.heads import Classified

LABELS: Final = (20, 100)
LEFT_OUT: Final = (UNSEEN, *(k for k in KINDS if k not in (HEALTHY, UNSEEN)))
DRAWS_MAX: Final = 5  # of few labels, from machines that no other draw has
PERIOD_NS: Final = 10 * 10**9
OPTIONS: Final = FitOptions(detector="var", lags=1, alignment="rows")


class ClassTrial(msgspec.Struct, frozen=True, kw_only=True):
    """One head: labels a class, the fault left out of them; figures are shares of test windows.

    fault_right: of windows with a labelled fault, named and right. named_right: of those of them
    that got a fault's name, right. normal_right: of normal windows, called normal. abstained: of
    windows of labelled classes. unseen_abstained: of windows of the fault left out; unseen_silent:
    abstained or called normal, so that no wrong fault was named. calibration_error: of the most
    likely class, of labelled classes. seconds: of the fit with its cross-validation.
    """

    seed: int
    labels: int
    draw: int
    left_out: str
    fault_right: float
    named_right: float
    normal_right: float
    abstained: float
    unseen_abstained: float
    unseen_silent: float
    held_back_right: float  # what cross-validation on the training fleet said of all windows
    calibration_error: float
    seconds: float


class ClassFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Mean and worst of the trials of one size and one fault left out."""

    labels: int
    left_out: str
    trials: int
    fault_right: float
    fault_right_worst: float
    named_right: float
    named_right_worst: float
    normal_right: float
    unseen_abstained: float
    unseen_abstained_worst: float
    unseen_silent: float
    calibration_error: float
    seconds: float


def name_faults(
    seed: int,
    *,
    labels: Sequence[int] = LABELS,
    left_out: Sequence[str] = LEFT_OUT,
    test_machines: int = 20,
    processes: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[ClassTrial]:
    """Trials of one seed: every number of labels and every fault left out.

    labels: windows a class, multiples of five. test_machines: of each class, five windows each.
    processes: at a time; 0: one a core. The same seed gives the same figures, but for the seconds.
    """
    machines = max(labels) // WINDOWS_A_MACHINE
    jobs = [
        (seed, kind, number, fleet)
        for fleet, count in (("train", machines), ("test", test_machines))
        for kind in KINDS
        for number in range(count)
    ]
    found = _made(jobs, processes or os.cpu_count() or 1, progress)
    bundle = make_bundle([fit for fit, _ in found])
    windows = {
        fleet: [
            w for (_, _, _, f), (_, own) in zip(jobs, found, strict=True) if f == fleet for w in own
        ]
        for fleet in ("train", "test")
    }
    return [
        _trial(bundle, windows, seed=seed, labels=size, draw=draw, left_out=out)
        for size in labels
        for out in left_out
        for draw in range(min(max(labels) // size, DRAWS_MAX))
    ]


def figures(trials: Sequence[ClassTrial]) -> list[ClassFigures]:
    """Mean and worst of trials for each number of labels and fault left out, in their order."""
    keys = list(dict.fromkeys((t.labels, t.left_out) for t in trials))
    told = []
    for labels, left_out in keys:
        some = [t for t in trials if (t.labels, t.left_out) == (labels, left_out)]

        def each(name: str, some: list[ClassTrial] = some) -> list[float]:
            return [getattr(t, name) for t in some]

        told.append(
            ClassFigures(
                labels=labels,
                left_out=left_out,
                trials=len(some),
                fault_right=float(np.mean(each("fault_right"))),
                fault_right_worst=min(each("fault_right")),
                named_right=float(np.mean(each("named_right"))),
                named_right_worst=min(each("named_right")),
                normal_right=float(np.mean(each("normal_right"))),
                unseen_abstained=float(np.mean(each("unseen_abstained"))),
                unseen_abstained_worst=min(each("unseen_abstained")),
                unseen_silent=float(np.mean(each("unseen_silent"))),
                calibration_error=float(np.mean(each("calibration_error"))),
                seconds=max(each("seconds")),
            )
        )
    return told


def _made(
    jobs: list[tuple[int, str, int, str]],
    processes: int,
    progress: Callable[[str, int, int], None] | None,
) -> list[tuple[AssetFit, list[LabelledWindow]]]:
    """Machines with their fits and windows, in the order of the jobs."""
    made = []
    results: Iterable[tuple[AssetFit, list[LabelledWindow]]]
    if processes <= 1:
        results = map(_machine, jobs)
    else:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, mp_context=context)
        results = pool.map(_machine, jobs, chunksize=4)
    for done, one in enumerate(results, 1):
        made.append(one)
        if progress is not None:
            progress("machines", done, len(jobs))
    return made


def _machine(job: tuple[int, str, int, str]) -> tuple[AssetFit, list[LabelledWindow]]:
    """One machine: a detector of its usual record, and its labelled windows."""
    seed, kind, number, fleet = job
    machine = labelled_machine(seed, kind, number, fleet=fleet)
    channels = tuple(Channel(name=name, unit=unit) for name, unit in row_channels())
    samples = TrainingSamples(
        asset=machine.name,
        channels=channels,
        values=machine.usual,
        period_ns=PERIOD_NS,
        sha256=f"{seed:064x}",
    )
    label = NORMAL if kind == HEALTHY else kind
    windows = [
        LabelledWindow(values=w, begin=0, label=label, group=machine.name, asset=machine.name)
        for w in machine.windows
    ]
    return fit_asset(samples, OPTIONS), windows


def _trial(
    bundle: Bundle,
    windows: dict[str, list[LabelledWindow]],
    *,
    seed: int,
    labels: int,
    draw: int,
    left_out: str,
) -> ClassTrial:
    """One head, fitted and asked."""
    some = labels // WINDOWS_A_MACHINE
    chosen = {f"train-{k}-{i}" for k in KINDS for i in range(draw * some, (draw + 1) * some)}
    known = [w for w in windows["train"] if w.group in chosen and w.label != left_out]
    asset = known[0].asset
    start = time.perf_counter()
    head = train_head(bundle, asset, known, seed=seed)
    seconds = time.perf_counter() - start
    child = with_heads(bundle, {asset: head}, created_at_ns=0)
    asked = windows["test"]
    said = classify(child, asset, asked)
    truth = np.array([w.label for w in asked])
    named = np.array([one.label or "" for one in said])
    unseen, normal = truth == left_out, truth == NORMAL
    fault = ~unseen & ~normal
    got_fault = fault & (named != "") & (named != NORMAL)
    return ClassTrial(
        seed=seed,
        labels=labels,
        draw=draw,
        left_out=left_out,
        fault_right=float((named == truth)[fault].mean()),
        named_right=float((named == truth)[got_fault].mean()),
        normal_right=float((named == NORMAL)[normal].mean()),
        abstained=float((named == "")[~unseen].mean()),
        unseen_abstained=float((named == "")[unseen].mean()),
        unseen_silent=float(np.isin(named, ("", NORMAL))[unseen].mean()),
        held_back_right=head.metrics["accuracy"],
        calibration_error=_calibration_error(said, truth, ~unseen),
        seconds=seconds,
    )


def _calibration_error(said: Sequence[Classified], truth: np.ndarray, chosen: np.ndarray) -> float:
    """Expected calibration error of the most likely class, of the chosen windows (m,)."""
    likely = [max(one.probabilities, key=lambda n: one.probabilities[n]) for one in said]
    right = np.array(likely) == truth
    sure = np.array([one.probability for one in said])
    return calibration_error(sure[chosen], right[chosen])
