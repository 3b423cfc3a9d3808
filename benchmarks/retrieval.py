"""`python -m benchmarks.retrieval DATA_DIR`: retrieval on public sets, hybrid against its parts.

DATA_DIR has `text/maintnet`, `text/failuresensoriq` and `text/ur_docs`; what is missing is named.
Samples are drawn with a fixed seed, so that the same code gives the same figures in minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import itertools
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from kb.evaluation.evaluate import FIGURES, compared, evaluate, sampled
from kb.evaluation.gauges import Interval, interval
from kb.evaluation.judgements import Item, Judged, known_items
from kb.evaluation.trial import EVER_NS, WAYS, Trial
from kb.retrieval import lexical
from kb.retrieval.answer import ask

RECORDS_MAX: Final = 3_000  # of the logbook
QUERIES_MAX: Final = 300
ASKED_MAX: Final = 60  # questions of each folder that are answered or declined
SHORT_WORDS: Final = 3  # fewer words of a problem name no record
_SEED: Final = 11


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One set: how many questions, each figure by way, what the hybrid adds to each single."""

    name: str
    passages: int
    queries: int
    ways: dict[str, dict[str, Interval]]
    hybrid_minus: dict[str, dict[str, Interval]]


def main() -> int:
    """Measure what is there and print it; 2 when nothing is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("data", type=Path, help="directory with text/maintnet and the others")
    parser.add_argument(
        "folders", type=Path, nargs="*", help="other manuals: each is asked what the others say"
    )
    parser.add_argument("--json", action="store_true", help="JSON alone on stdout")
    given = parser.parse_args()
    console = Console(stderr=given.json)
    measures = {
        "maintnet": maintnet,
        "failuresensoriq": failuresensoriq,
        "failuresensoriq/": failuresensoriq_names,
        "ur_docs": ur_docs,
    }
    found = []
    for name, measure in measures.items():
        place = given.data / "text" / name.strip("/")
        if not place.is_dir():
            console.print(f"{name}: not there: {place}")
            continue
        console.print(f"{name} ...")
        found.append(measure(place))
    if not found:
        return 2
    folders = [p for p in (given.data / "text" / "ur_docs", *given.folders) if p.is_dir()]
    declined = abstention(folders) if len(folders) > 1 else None
    if given.json:
        body = {"sets": found, "abstention": declined}
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(body), indent=1) + b"\n")
    else:
        _show(found, declined, console)
    return 0


def maintnet(place: Path) -> Figures:
    """Problem -> action of an aircraft logbook: the records hold the actions alone.

    A problem is asked once; relevant are all records of the same problem, and all with the same
    action, since the logbook repeats itself.
    """
    with (place / "Aircraft_Annotation_DataFile.csv").open(encoding="utf-8-sig") as file:
        rows = [
            {k.upper(): (v or "").strip() for k, v in row.items()} for row in csv.DictReader(file)
        ]
    pairs = [(row["PROBLEM"], row["ACTION"]) for row in rows if row["PROBLEM"] and row["ACTION"]]
    chosen = sorted(np.random.default_rng(_SEED).permutation(len(pairs))[:RECORDS_MAX].tolist())
    actions: dict[str, int] = {}
    action_of: defaultdict[str, set[int]] = defaultdict(set)
    for i in chosen:
        problem, action = (" ".join(text.split()).lower() for text in pairs[i])
        action_of[problem].add(actions.setdefault(action, len(actions)))
    texts = {f"action-{n}": text for text, n in actions.items()}
    judged = [
        Judged(query=problem, grades={Item(f"action-{n}.txt"): 1.0 for n in numbers})
        for problem, numbers in sorted(action_of.items())
        if len(lexical.words_of([problem])) >= SHORT_WORDS
    ]
    return _measured("maintnet", texts, judged)


def failuresensoriq(place: Path, *, table: bool = True) -> Figures:
    """Two sensors -> failure modes of their kind of asset; the grade is how many of them it shows.

    Each failure mode of each kind of asset is a document. With `table` it names its sensors, as a
    plant's table of failure modes does; without, it is a name, and the model of sense has to guess.
    """
    asked = json.loads((place / "multi_answer.json").read_text("utf-8"))
    shows: defaultdict[tuple[str, str], set[str]] = defaultdict(set)  # asset, mode -> sensors
    modes_of: defaultdict[str, dict[str, set[str]]] = defaultdict(dict)  # asset -> sensor -> modes
    for one in asked:
        right = {name for name, holds in one["mc_targets"].items() if holds}
        if "failure_mode" in one:
            shows[one["asset_class"], one["failure_mode"]] |= right
        else:
            modes_of[one["asset_class"]][one["sensor"]] = right
            for mode in one["mc_targets"]:
                shows[one["asset_class"], mode] |= set()
    numbers = {key: n for n, key in enumerate(sorted(shows))}
    texts = {
        f"mode-{n}": f"{asset}: {mode}."
        + f" Shows in {', '.join(sorted(shows[asset, mode]))}."
        * (table and bool(shows[asset, mode]))
        for (asset, mode), n in numbers.items()
    }
    judged = []
    for asset, by_sensor in sorted(modes_of.items()):
        for one, other in itertools.combinations(sorted(by_sensor), 2):
            grades: dict[Item, float] = defaultdict(float)
            for mode in [*by_sensor[one], *by_sensor[other]]:
                grades[Item(f"mode-{numbers[asset, mode]}.txt")] += 1.0
            if grades:
                query = f"{asset}: {one} and {other} abnormal, failure mode"
                judged.append(Judged(query=query, grades=dict(grades)))
    name = "failuresensoriq" if table else "failuresensoriq, names alone"
    return _measured(name, texts, judged)


def failuresensoriq_names(place: Path) -> Figures:
    """The same, of documents that are names alone."""
    return failuresensoriq(place, table=False)


def ur_docs(place: Path) -> Figures:
    """Section titles of robot manuals, asked of their texts without titles."""
    run = evaluate(place)
    found = run.evaluation
    return Figures(
        name="ur_docs",
        passages=found.passages,
        queries=found.queries,
        ways=found.singles,
        hybrid_minus=found.hybrid_minus,
    )


class Declined(msgspec.Struct, frozen=True, kw_only=True):
    """Questions of a folder asked of it, and of the others: which are answered, which declined."""

    answerable: int
    answered: float  # share of them
    unanswerable: int
    declined: float  # share of them


def abstention(folders: list[Path]) -> Declined:
    """Ask each folder what it says and what the others say. Titles are not in the index."""
    answered: list[bool] = []
    declined: list[bool] = []
    with contextlib.ExitStack() as stack:
        trials = []
        for folder in folders:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            trials.append(stack.enter_context(Trial.of(folder, scratch, titles=False)))
        asked = [
            sampled([q for q in known_items(t.text_of()) if q.answerable], ASKED_MAX)
            for t in trials
        ]
        for k, trial in enumerate(trials):
            for n, questions in enumerate(asked):
                for one in questions:
                    said = bool(ask(trial.snapshot, one.query, now_ns=EVER_NS).sentences)
                    (answered if n == k else declined).append(said if n == k else not said)
    return Declined(
        answerable=len(answered),
        answered=float(np.mean(answered)),
        unanswerable=len(declined),
        declined=float(np.mean(declined)),
    )


def _measured(name: str, texts: dict[str, str], judged: list[Judged]) -> Figures:
    """Figures of documents of one passage each, by their file names."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "texts"
        folder.mkdir()
        for stem, text in texts.items():
            (folder / f"{stem}.txt").write_text(text + "\n", encoding="utf-8")
        with Trial.of(folder, Path(scratch), titles=True) as trial:
            judged = sampled(judged, QUERIES_MAX)
            table = compared(trial, judged)
    return Figures(
        name=name,
        passages=len(texts),
        queries=len(judged),
        ways={way: _intervals(figures) for way, figures in table.items()},
        hybrid_minus={
            way: _intervals(table["hybrid"] - table[way]) for way in WAYS if way != "hybrid"
        },
    )


def _intervals(figures: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Interval]:
    return {figure: interval(figures[:, k]) for k, figure in enumerate(FIGURES)}


def _show(found: list[Figures], declined: Declined | None, console: Console) -> None:
    table = Table("set", "questions", "way", *FIGURES, "hybrid adds, nDCG@10")
    for one in found:
        for way in WAYS:
            gain = one.hybrid_minus.get(way, {}).get("ndcg_at_10")
            table.add_row(
                one.name if way == WAYS[0] else "",
                str(one.queries) if way == WAYS[0] else "",
                way,
                *(f"{one.ways[way][figure].mean:.3f}" for figure in FIGURES),
                f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]" if gain else "",
            )
    console.print(table)
    if declined:
        console.print(
            f"asked what they say: {declined.answered:.3f} of {declined.answerable} answered;"
            f" what others say: {declined.declined:.3f} of {declined.unanswerable} declined"
        )


if __name__ == "__main__":
    sys.exit(main())
