"""The messy option of every cell: the same faults, fewer witnesses, papers as plants have them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import pytest

from kb.snapshots.build import build
from simulator.cells import CELLS, TYPES
from simulator.cells.slang import CAUSES, SLANG

if TYPE_CHECKING:
    from pathlib import Path

    from simulator.scenario import Scenario

SEEDS = range(4)


@cache
def _cell(name: str, seed: int, *, messy: bool) -> Scenario:
    return CELLS[name](seed=seed, messy=messy)


def _export(name: str, seed: int) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_cell(name, seed, messy=True).texts["export.csv"])))


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.not_counted
def test_a_messy_cell_has_the_faults_of_the_clean_one(name: str) -> None:
    """What breaks does not depend on how people write."""
    for seed in SEEDS:
        clean, messy = (_cell(name, seed, messy=m) for m in (False, True))
        assert clean.truth.faults == messy.truth.faults
        assert not clean.truth.causes
        assert not any(job.told for job in clean.truth.jobs)


@pytest.mark.parametrize("name", TYPES)
def test_few_jobs_are_witnessed_and_some_leave_no_trace(name: str) -> None:
    """Hardly a plant signal; told beforehand, at the begin, afterwards, late, or not at all."""
    jobs = [
        job
        for seed in SEEDS
        for job in _cell(name, seed, messy=True).truth.jobs
        if not job.cancelled
    ]
    witnesses = Counter(job.witness for job in jobs)
    assert witnesses[""] > 0.7 * len(jobs)
    assert witnesses["plant"] < 0.1 * len(jobs)
    told = Counter(way for job in jobs for way in job.told)
    assert set(told) == {"planned", "begun", "done", "late_order"}
    assert any(not job.told for job in jobs)


@pytest.mark.parametrize("name", TYPES)
def test_causes_are_apart_from_work_and_faults(name: str) -> None:
    """So that an alarm has one cause; all kinds occur, each on channels of the cell."""
    kinds = set()
    for seed in SEEDS:
        truth = _cell(name, seed, messy=True).truth
        kinds |= {cause.kind for cause in truth.causes}
        for cause in truth.causes:
            assert set(cause.channels) <= set(TYPES[name].channel_names)
            spans = [(j.begin_ns, j.end_ns) for j in truth.jobs if j.asset == cause.asset]
            spans += [(f.begin_ns, f.end_ns) for f in truth.faults if f.asset == cause.asset]
            assert all(cause.end_ns <= begin or end <= cause.begin_ns for begin, end in spans)
    assert kinds == {cause.name for cause in CAUSES[name]}


@pytest.mark.parametrize("name", TYPES)
def test_orders_have_the_defects_of_real_ones(name: str) -> None:
    """No channel, no kind; most durations equal, many finishes at one time, names that miss."""
    rows = [row for seed in SEEDS for row in _export(name, seed)]
    assert not {"channels", "kind", "instrument"} & set(rows[0])
    timed = [row for row in rows if row["actstart"]]
    minutes = Counter(
        datetime.fromisoformat(row["actfinish"]) - datetime.fromisoformat(row["actstart"])
        for row in timed
    )
    assert minutes.most_common(1)[0][1] > 0.4 * len(timed)
    clocks = Counter(row["actfinish"][11:16] for row in rows)
    assert clocks["13:30"] > 0.25 * len(rows)
    assets = {TYPES[name].asset(number) for number in range(1, 5)}
    wrong = [row for row in rows if row["assetnum"] not in assets]
    assert 0 < len(wrong) < 0.3 * len(rows)
    assert any(row["worktype"] == "CM" for row in rows)


@pytest.mark.parametrize("name", TYPES)
def test_late_orders_are_entered_after_the_work(name: str) -> None:
    """What an order says of a job was not known while the job went on."""
    for seed in SEEDS:
        truth = _cell(name, seed, messy=True).truth
        ends = sorted(job.end_ns for job in truth.jobs if "late_order" in job.told)
        entered = sorted(
            int(datetime.fromisoformat(row["changedate"]).timestamp()) * 10**9
            for row in _export(name, seed)
            if row["worktype"] != "CM" and row["reportdate"]
        )
        assert len(entered) == len(ends)
        assert all(late >= end + 600 * 10**9 for end, late in zip(ends, entered, strict=True))


def test_nobody_writes_alike() -> None:
    """Lines about work hardly repeat, over cells and seeds; each kind of work has own words."""
    lines = [
        line[17:]
        for name in TYPES
        for seed in SEEDS
        for path, text in _cell(name, seed, messy=True).texts.items()
        if path.endswith(".log")
        for line in text.splitlines()[1:]
        if not any(talk in line for talk in TYPES[name].small_talk)
    ]
    assert len(lines) > 150
    assert len(set(lines)) > 0.9 * len(lines)
    for name, cell in TYPES.items():
        assert set(SLANG[name]) == {work.key for work in cell.works}
        assert all(any(not word.startswith("~") for word in said) for said in SLANG[name].values())


@pytest.mark.parametrize("name", TYPES)
def test_the_papers_are_read_and_no_file_is_lost(name: str, tmp_path: Path) -> None:
    """Rows may be refused, each with its line; of files none is refused whole."""
    scenario = _cell(name, 3, messy=True)
    for path, text in scenario.texts.items():
        file = tmp_path / "kb" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    manifest = build(tmp_path / "kb", tmp_path / "snapshot", now_ns=scenario.begin_ns)
    whole = {found.path for found in manifest.quarantined if found.line == 0}
    assert whole <= {"export.csv"}  # orders that name no bounded work, told once for all
    assert manifest.counts.documents == len(scenario.texts)
