"""The evaluation of suppression: many scenarios and the adversarial suite, in several processes."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.assessment.job_alarms import about_a_fault
from simulator import adversary
from simulator.ablation import Ablated, ablate, clauses
from simulator.cells import CELLS
from simulator.operator import Habits
from simulator.suppression import KNOWN, Level, counted, explained, run_levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from simulator.adversary import Outcome
    from simulator.suppression import Trial

SHIFT_NS: Final = 8 * 3_600 * 1_000_000_000
PLANT_VARIANTS: Final = 256  # attacks on one plant
RULE_OF_THREE: Final = 3.0  # none of n: below 3/n with 95 % confidence


class EvaluationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. seeds: half-open. variants: of the adversarial suite, 0 for none."""

    cells: tuple[str, ...]
    seeds: tuple[int, int]
    messy: bool = False
    hours: float = 8.0
    variants: int = 0
    ablation: bool = False  # also the attacks with each clause of the rule left out
    habits: Habits = Habits()
    processes: int = 0  # 0: one a core


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one scenario gives to the sums."""

    cell: str
    seed: int
    counts: dict[str, int]
    ended: dict[str, dict[str, int]]  # by level
    simpler: dict[str, dict[str, int]]
    explanation: dict[str, int]
    heard: list[tuple[str, int, int, int]]  # (asset, shift, false alarms without, with)
    missed: list[str]  # ids of faults


def evaluate(
    request: EvaluationRequest, *, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Run everything and add it up; see `summed` for the keys.

    progress(what, done, total) is told of each part. Raises KeyError for a cell that is not known.
    """
    workers = request.processes or os.cpu_count() or 1
    tasks = [(cell, seed) for cell in request.cells for seed in range(*request.seeds)]
    pieces = list(_pieces(request.variants))
    parts: list[Part] = []
    outcomes: list[Outcome] = []
    without: dict[str, dict[str, int]] = {}
    names = clauses() if request.ablation else ()
    total = len(tasks) + len(pieces) + len(names)
    with ProcessPoolExecutor(workers) as pool:
        running: list[Future[Any]] = [
            *(pool.submit(_trial, request, cell, seed) for cell, seed in tasks),
            *(
                pool.submit(adversary.run, request.seeds[0] + i, numbers)
                for i, numbers in enumerate(pieces)
            ),
            *(pool.submit(ablate, request.seeds[0], name) for name in names),
        ]
        for done, future in enumerate(as_completed(running), 1):
            result = future.result()
            if isinstance(result, Part):
                parts.append(result)
                progress(f"{result.cell} {result.seed}", done, total)
            elif isinstance(result, Ablated):
                without[result.clause] = {"attacks": result.attacks, "wrong": result.wrong}
                progress(f"without {result.clause}", done, total)
            else:
                outcomes += result
                progress("attacks", done, total)
    parts.sort(key=lambda part: (part.cell, part.seed))
    ablation = {name: without[name] for name in names}
    return {**summed(parts, outcomes, request), "ablation": ablation}


def _pieces(variants: int) -> Iterator[range]:
    """Ranges of numbers, each with a plant of its own: the same on any number of processes."""
    for first in range(0, variants, PLANT_VARIANTS):
        yield range(first, min(first + PLANT_VARIANTS, variants))


def _trial(request: EvaluationRequest, cell: str, seed: int) -> Part:
    options = {"messy": True} if request.messy else {}
    scenario = CELLS[cell](seed=seed, hours=request.hours, **options)
    with tempfile.TemporaryDirectory(prefix=f"andon-{cell}-") as folder:
        trial = run_levels(
            scenario, Path(folder), cell=cell, messy=request.messy, habits=request.habits
        )
    return part_of(trial)


def part_of(trial: Trial) -> Part:
    """What a trial gives to the sums."""
    outcomes = trial.best.figures.faults
    return Part(
        cell=trial.cell,
        seed=trial.seed,
        counts=counted(trial),
        ended={
            level.value: {ended.value: n for ended, n in trial.runs[level].ended.items()}
            for level in KNOWN
        },
        simpler={name: msgspec.to_builtins(rule) for name, rule in trial.simpler.items()},
        explanation=explained(trial),
        heard=_heard(trial),
        missed=[outcome.fault_id for outcome in outcomes if outcome.outcome == "missed"],
    )


def _heard(trial: Trial) -> list[tuple[str, int, int, int]]:
    truth = trial.scenario.truth
    counts: dict[tuple[str, int], list[int]] = {}
    for k, level in enumerate((Level.NONE, Level.LOGS)):
        for episode in trial.runs[level].episodes:
            if episode.rang and not about_a_fault(episode, truth.faults):
                shift = (episode.rang_ns - truth.begin_ns) // SHIFT_NS
                counts.setdefault((episode.asset, shift), [0, 0])[k] += 1
    return [(asset, shift, a, b) for (asset, shift), (a, b) in sorted(counts.items())]


# --- sums ---


def summed(
    parts: list[Part], outcomes: list[Outcome], request: EvaluationRequest
) -> dict[str, Any]:
    """The result as it is printed: counts over all scenarios, then the same apart."""
    total = _added(part.counts for part in parts)
    attacks = [outcome for outcome in outcomes if not outcome.honest]
    honest = [outcome for outcome in outcomes if outcome.honest]
    suppressions, wrong = total["suppressions"], total["suppressions_wrong"]
    return {
        "cells": list(request.cells),
        "seeds": "{}:{}".format(*request.seeds),
        "messy": request.messy,
        **total,
        "suppression_precision": 1 - wrong / suppressions if suppressions else None,
        "faults_missed_share_max_95": RULE_OF_THREE / total["faults_total"]
        if total["faults_total"] and not total["faults_missed"]
        else None,
        "adversarial_total": len(attacks),
        "adversarial_wrong": sum(outcome.wrong for outcome in attacks),
        "adversarial_unheard": sum(not outcome.heard for outcome in attacks),
        "honest_total": len(honest),
        "honest_suppressed": sum(outcome.quiet for outcome in honest),
        "job_alarms": {
            level.value: _added(part.ended[level.value] for part in parts) for level in KNOWN
        },
        "baselines": {name: _added(part.simpler[name] for part in parts) for name in _names(parts)},
        "operator": msgspec.to_builtins(request.habits),
        "explanation": _added(part.explanation for part in parts),
        "by_cell": {
            cell: _added(part.counts for part in parts if part.cell == cell)
            for cell in request.cells
        },
        "by_shift": _grouped(parts, lambda _, shift: str(shift)),
        "by_asset": _grouped(parts, lambda asset, _: asset),
        "adversarial": adversary.by_family(outcomes),
        "adversarial_failures": [msgspec.to_builtins(o) for o in attacks if o.wrong],
        "missed": [
            f"{part.cell} {part.seed}: {', '.join(part.missed)}" for part in parts if part.missed
        ],
    }


def _names(parts: list[Part]) -> list[str]:
    return list(parts[0].simpler) if parts else []


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def _grouped(parts: list[Part], key: Callable[[str, int], str]) -> dict[str, dict[str, int]]:
    """False alarms without and with, by cell and what `key` makes of asset and shift."""
    groups: dict[str, dict[str, int]] = {}
    for part in parts:
        for asset, shift, without, with_ in part.heard:
            group = groups.setdefault(f"{part.cell} {key(asset, shift)}", {"without": 0, "with": 0})
            group["without"] += without
            group["with"] += with_
    return dict(sorted(groups.items()))
