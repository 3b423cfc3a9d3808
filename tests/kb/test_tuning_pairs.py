"""Pairs of question and passage: read from files and snapshots, held back, put into batches."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.errors import KnowledgeError
from kb.retrieval.tuning_pairs import (
    Pair,
    batches,
    document_pairs,
    order_pairs,
    question_key,
    read_pairs,
    split,
)
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path

WORDS = st.sampled_from(["intake", "leaks", "Gasket", "torn", "#2", "R/H", "14", "replaced"])
TEXTS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
PAIRS = st.lists(st.builds(Pair, TEXTS, TEXTS), max_size=40)


def test_pairs_of_a_file_come_in_its_order(tmp_path: Path) -> None:
    """Blank lines are nothing; separators within a text are no ends of lines."""
    file = tmp_path / "pairs.jsonl"
    pairs = [Pair("intake leaks", "gasket\u2028replaced"), Pair("wire slips", "rolls changed")]
    lines = [json.dumps({"query": p.query, "passage": p.passage}) for p in pairs]
    file.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    assert read_pairs(file) == pairs


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"query": "intake leaks"}', "passage"),
        ('{"query": "intake leaks", "passage": 7}', "line 2"),
        ('{"query": "intake leaks", "passage": "gasket", "grade": 2}', "grade"),
        ('{"query": "intake leaks", "passage": " ok "}', "fewer than 3"),
        ('{"query": "intake leaks", "passage": "' + "x" * 4001 + '"}', "more than 4000"),
        ("intake leaks; gasket replaced", "expected"),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str, said: str) -> None:
    """File, line and what was expected; nothing is left out in silence."""
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"query": "wire slips", "passage": "rolls changed"}\n' + line)
    with pytest.raises(KnowledgeError, match="line 2") as caught:
        read_pairs(file)
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Missing, or not UTF-8."""
    (tmp_path / "latin.jsonl").write_bytes(b'{"query": "\xe4\xf6\xfc"}')
    for name in ("latin.jsonl", "missing.jsonl"):
        with pytest.raises(KnowledgeError, match="cannot be read"):
            read_pairs(tmp_path / name)


@given(PAIRS, PAIRS)
def test_no_question_is_both_learned_and_held_back(pairs: list[Pair], more: list[Pair]) -> None:
    """Whatever else comes: each pair has its side, and equal questions share it."""
    halves = split(pairs)
    assert set(halves.trained) | set(halves.held_back) == set(pairs)
    learned = {question_key(pair.query) for pair in halves.trained}
    assert not learned & {question_key(pair.query) for pair in halves.held_back}
    wider = split([*more, *pairs])
    assert set(halves.held_back) <= set(wider.held_back)
    assert set(halves.trained) <= set(wider.trained)


def test_about_a_fifth_is_held_back() -> None:
    """Of many questions; numbers alone make no other question."""
    names = [f"{a}{b} {c} leaks" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyz"]
    halves = split([Pair(name, "gasket replaced") for name in names])
    assert 0.15 < len(halves.held_back) / len(names) < 0.25
    same = split([Pair(f"#{n} INTAKE LEAKING{'.' * (n % 2)}", "replaced") for n in range(50)])
    assert not same.trained or not same.held_back


@given(PAIRS, st.integers(2, 8), st.integers(1, 3), st.integers(0, 12), st.integers(0, 3))
def test_no_batch_contradicts_itself(
    pairs: list[Pair], size: int, epochs: int, steps_max: int, seed: int
) -> None:
    """In a batch the passages of the others do not answer a question, so none may be equal."""
    found = batches(pairs, size=size, epochs=epochs, steps_max=steps_max, seed=seed)
    assert len(found) <= steps_max
    for batch in found:
        assert 2 <= len(batch) <= size
        assert len({question_key(pair.query) for pair in batch}) == len(batch)
        assert len({question_key(pair.passage) for pair in batch}) == len(batch)
    used = [pair for batch in found for pair in batch]
    assert all(used.count(pair) <= epochs * pairs.count(pair) for pair in set(used))
    again = batches(pairs, size=size, epochs=epochs, steps_max=steps_max, seed=seed)
    assert again == found


def test_every_pair_is_learned_once_an_epoch_and_seeds_differ() -> None:
    """Where nothing is equal, nothing is left out."""
    names = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    pairs = [Pair(f"{name} leaks", f"{name} replaced") for name in names]
    found = batches(pairs, size=32, epochs=2, steps_max=99, seed=1)
    assert [len(batch) for batch in found] == [32, 32, 32, 4] * 2
    assert {pair for batch in found[:4] for pair in batch} == set(pairs)
    assert found != batches(pairs, size=32, epochs=2, steps_max=99, seed=2)


ORDERS = """IDENT,PROBLEM,ACTION TAKEN,PART
1,"INTAKE LEAKING, #2",REPLACED GASKET,gasket
2,ROUGH RUNNING,,plug
3,MAG DROP,CLEANED PLUGS,plug
"""
MAPPING = '[columns]\nIDENT = "order_id"\nPROBLEM = "description"\n'
MANUAL = """# Gas supply

## Leak test of the hose package

Close the valve and watch the pressure for ten minutes. The hose package holds its pressure within
two per cent; a leak shows as a steady fall of the pressure over the whole test.

## Overview

This text is about the supply of gas, from the ring main to the nozzle, in the order of the parts
that it flows through on its way to the arc of the torch.
"""


@pytest.fixture
def opened(tmp_path: Path) -> Snapshot:
    """A snapshot of orders with problem and action, and of a manual."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "mapping.toml").write_text(MAPPING)
    (docs / "orders.csv").write_text(ORDERS)
    (docs / "gas.md").write_text(MANUAL)
    build(docs, tmp_path / "kb", now_ns=1_772_500_000_000_000_000)
    return Snapshot.open(tmp_path / "kb")


def test_orders_with_both_give_pairs(opened: Snapshot) -> None:
    """By known names of columns or named ones; an order without an action answers nothing."""
    with opened:
        assert order_pairs(opened) == [
            Pair("INTAKE LEAKING, #2", "REPLACED GASKET"),
            Pair("MAG DROP", "CLEANED PLUGS"),
        ]
        named = order_pairs(opened, problem="Action_Taken", action="part")
        assert named == [Pair("REPLACED GASKET", "gasket"), Pair("CLEANED PLUGS", "plug")]
        assert not order_pairs(opened, action="no such column")


def test_sections_give_their_title_with_their_text(opened: Snapshot) -> None:
    """The title is not in the passage: it would find itself. "Overview" asks for nothing."""
    with opened:
        (pair,) = document_pairs(opened)
    assert pair.query == "Leak test of the hose package"
    assert pair.passage.startswith("Close the valve")
    assert "Leak test of the hose package" not in pair.passage


def test_real_orders_are_enough_to_learn_from_and_to_judge_by(data_dir: Path) -> None:
    """Thousands of real problems with what was done about them; many repeat each other."""
    file = data_dir / "text" / "maintnet" / "Aircraft_Annotation_DataFile.csv"
    with file.open(encoding="utf-8-sig", newline="") as stream:
        pairs = [Pair(row["PROBLEM"], row["ACTION"]) for row in csv.DictReader(stream)]
    halves = split(pairs)
    assert len({pair.query for pair in halves.held_back}) > 500
    steps = batches(halves.trained, size=32, epochs=1, steps_max=1000, seed=7)
    assert sum(len(batch) for batch in steps) > len(halves.trained) / 2
