"""Texts of the weld cell: complete, parseable, honest about time."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import pytest

from kb.records import WorkKind
from simulator.cells.weld import simulate
from simulator.cells.weld_signals import CHANNEL_NAMES, CHANNELS
from simulator.faults import FaultKind
from simulator.jobs import EXPECTED_EFFECT, WORK_BY_KEY

if TYPE_CHECKING:
    from simulator.scenario import Scenario

SEEDS = range(10)
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d R\d+ .+,? op-\d\d")
KIND_OF_FOLDER = {"manuals": "manual", "procedures": "procedure", "policies": "policy"}


@cache
def _cell(seed: int) -> Scenario:
    return simulate(seed=seed)


def _table(cell: Scenario, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(cell.texts[name])))


def _ns(text: str) -> int:
    at = datetime.fromisoformat(text)
    assert at.tzinfo is not None
    return int(at.timestamp()) * 10**9


def test_manuals_have_front_matter_limits_and_troubleshooting() -> None:
    """Every document has an id of its own; every manual a limits table and what to check first."""
    texts = _cell(0).texts
    ids = set()
    for name, text in texts.items():
        if not name.endswith(".md"):
            continue
        fence, head, body = text.split("---\n", 2)
        front = dict(line.split(": ", 1) for line in head.splitlines())
        assert not fence
        assert set(front) == {"doc_id", "kind", "title", "revision", "effective_from"}
        assert front["kind"] == KIND_OF_FOLDER[name.split("/")[0]]
        assert body.startswith(f"# {front['title']}")
        assert _ns(front["effective_from"]) < _cell(0).begin_ns
        ids.add(front["doc_id"])
        assert "$" not in text
        if front["kind"] == "manual":
            assert "| channel | unit | LL | L | usual | H | HH |" in text
            assert "| symptom | channel | cause | check first |" in text
    assert len(ids) == sum(name.endswith(".md") for name in texts) >= 10


def test_manuals_know_every_channel_and_every_fault() -> None:
    """Each channel has limits in engineering units; each kind of fault is named as a cause."""
    texts = "\n".join(text for name, text in _cell(0).texts.items() if name.startswith("manuals/"))
    for channel in CHANNELS:
        row = re.search(
            rf"\| {re.escape(channel.name)} \| {re.escape(channel.unit)} \| ([\d.]+) \| ([\d.]+)"
            r" \| ([\d.]+) to ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|",
            texts,
        )
        assert row is not None
        low_low, low, usual_low, usual_high, high, high_high = map(float, row.groups())
        assert low_low < low < usual_low < channel.level < usual_high < high < high_high
    causes = {
        FaultKind.CONTACT_TIP_WEAR: "Contact tip worn out",
        FaultKind.GAS_FLOW_LOSS: "Gas flow loss",
        FaultKind.WIRE_FEED_SLIP: "Wire feed slip",
        FaultKind.DRIFTING_SENSOR: "Drifting sensor",
        FaultKind.DEAD_SENSOR: "Dead sensor",
    }
    assert set(causes) == set(FaultKind)
    assert all(cause in texts for cause in causes.values())


@pytest.mark.not_counted
def test_the_scope_table_covers_every_witnessed_job_by_exact_id() -> None:
    """A row for each kind of work, instrument and robot; approved by a role, before the shift."""
    for seed in SEEDS:
        cell = _cell(seed)
        rows = {(r["kind"], r["asset"], r["instrument"]): r for r in _table(cell, "scope.csv")}
        assert len(rows) == len(cell.assets) * len(WORK_BY_KEY)
        for row in rows.values():
            assert row["asset"] in cell.assets
            assert set(row["channels"].split(";")) <= set(CHANNEL_NAMES)
            assert float(row["expected_effect"]) == EXPECTED_EFFECT
            assert 120 <= int(row["settle_s"]) <= 300
            assert int(row["duration_min_max"]) == 60
            assert row["approved_by"] == "reliability engineer"
            assert _ns(row["approved_at"]) < cell.begin_ns
        for job in cell.truth.jobs:
            row = rows[job.kind, job.asset, job.instrument]
            assert tuple(row["channels"].split(";")) == job.channels


def test_only_order_witnessed_jobs_have_approved_orders_with_real_times() -> None:
    """An order opens a job only where it witnesses one.

    A called-off one was approved and then was not.
    """
    for seed in SEEDS:
        cell = _cell(seed)
        rows = _table(cell, "orders.csv")
        approved = {
            (r["asset"], _ns(r["start"]), _ns(r["end"])): r
            for r in rows
            if r["status"] == "APPR" and r["start"]
        }
        called_off = {r["order_id"]: r for r in rows if r["status"] == "CAN"}
        truth = {
            (j.asset, j.begin_ns, j.end_ns): j for j in cell.truth.jobs if j.witness == "order"
        }
        assert set(approved) == set(truth)
        for key, row in approved.items():
            job = truth[key]
            assert row["kind"] == job.kind
            assert _ns(row["recorded_at"]) < cell.begin_ns
            assert (row["order_id"] in called_off) == job.cancelled
            if job.cancelled:
                assert (
                    _ns(row["recorded_at"])
                    < _ns(called_off[row["order_id"]]["recorded_at"])
                    < job.begin_ns
                )
        assert all(row["kind"] in set(WorkKind) for row in rows)


def test_schedules_only_roughly_know_the_times() -> None:
    """The plan of the week names planned work and more that will not happen in this shift."""
    cell = _cell(3)
    rows = _table(cell, "schedule.csv")
    assert all(_ns(r["planned_start"]) < _ns(r["planned_end"]) for r in rows)
    assert all(_ns(r["recorded_at"]) < cell.begin_ns for r in rows)
    assert any(_ns(r["planned_start"]) > cell.truth.end_ns for r in rows)
    planned = {(r["asset"], r["kind"], r["instrument"]) for r in rows}
    witnessed = [j for j in cell.truth.jobs if j.witness in ("plant", "person")]
    assert {(j.asset, j.kind, j.instrument) for j in witnessed} <= planned


def test_logs_are_terse_stamped_lines_with_a_zone() -> None:
    """The first line declares the zone.

    Every other has minute, robot, words and badge, in order.
    """
    for seed in SEEDS:
        logs = {name: text for name, text in _cell(seed).texts.items() if name.endswith(".log")}
        assert logs
        for text in logs.values():
            first, *lines = text.splitlines()
            assert first == "# zone: Europe/Berlin"
            assert lines == sorted(lines, key=lambda line: line[:16])
            assert all(LINE.fullmatch(line) for line in lines)
            assert all(len(line) < 90 for line in lines)


def test_unwitnessed_work_leaves_at_most_a_late_word() -> None:
    """Work that nobody witnessed is logged only after it ended, and no order tells its time."""
    for seed in SEEDS:
        cell = _cell(seed)
        text = "".join(t for name, t in cell.texts.items() if name.endswith(".log"))
        for job in cell.truth.jobs:
            if job.witness or job.cancelled:
                continue
            words = WORK_BY_KEY[job.kind, job.instrument].words
            stamps = [
                _ns(line[:16] + "+01:00")
                for line in text.splitlines()
                if f" R{job.asset[1:]} " in line and any(word in line for word in words)
            ]
            assert stamps
            assert max(stamps) >= job.end_ns
