"""A tuned text model: when it is adopted, what is said without the extra, and once for real."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

import andon
from kb.errors import KnowledgeError
from kb.evaluation.gauges import interval
from kb.retrieval import tune as tuning
from kb.retrieval.embed import Embedder, shipped_embedder
from kb.retrieval.tune import Judgement, Told, compare, searched, tune
from kb.retrieval.tuning_pairs import Pair, split

if TYPE_CHECKING:
    from pathlib import Path

    from kb.evaluation.gauges import Interval

PARTS = ("gasket", "rocker cover", "baffle seal", "spark plug", "oil line", "mount", "fuel servo",
         "intake tube", "exhaust stack", "cowl screw", "brake pad", "magneto", "dipstick",
         "starter", "alternator belt")  # fmt: skip
FAULTS = ("leaking", "torn", "loose", "cracked", "worn", "missing", "burnt", "noisy", "bent",
          "stuck", "frayed", "rusty")  # fmt: skip
PAIRS = [
    Pair(f"{part} found {fault} on run up", f"removed and replaced the {part}, was {fault}")
    for part in PARTS
    for fault in FAULTS
]
CODES = ("zor", "vex", "plin", "quam", "drub", "fet", "gorp", "hask", "jint", "kelb", "mord",
         "nusk", "ploy", "tarn", "wug")  # fmt: skip
NAN = float("nan")


def _judgement(dense: Interval, hybrid: Interval, strays: tuple[float, float]) -> Judgement:
    return Judgement(
        queries=100,
        passages=1000,
        before={"dense": 0.2, "hybrid": 0.3},
        after={"dense": 0.2, "hybrid": 0.3},
        gain={"dense": dense, "hybrid": hybrid},
        off_topic_before=strays[0],
        off_topic_after=strays[1],
    )


def test_only_a_gain_beyond_chance_is_adopted() -> None:
    """In every way of searching, and not by answering what nobody asked."""
    chance = np.random.default_rng(3)
    better = interval(chance.normal(0.10, 0.3, 400))
    by_chance = interval(chance.normal(0.01, 0.3, 400))
    worse = interval(chance.normal(-0.10, 0.3, 400))
    none = interval([])
    assert not _judgement(better, better, (0.1, 0.1)).objections
    assert not _judgement(better, better, (0.1, 0.0)).objections
    for dense, hybrid in (
        (better, by_chance),
        (by_chance, better),
        (better, worse),
        (worse, worse),
        (none, better),
        (interval([0.0] * 50), better),
    ):
        assert _judgement(dense, hybrid, (0.0, 0.0)).objections
    for strays in ((0.0, 0.1), (0.0, NAN), (NAN, 0.0)):
        assert _judgement(better, better, strays).objections


def test_a_model_is_not_better_than_itself(tmp_path: Path) -> None:
    """The comparison is paired and without chance: every difference is 0."""
    halves = split(PAIRS)
    model = shipped_embedder()
    told: list[str] = []
    found = compare(
        model,
        model,
        tuning._judgeable(halves),
        halves,
        scratch=tmp_path,
        tell=lambda what, _done, _total: told.append(what),
    )
    assert found.before == found.after
    assert all(gain.low == gain.mean == gain.high == 0.0 for gain in found.gain.values())
    assert found.objections
    assert found.before["dense"] > 0.3  # part and fault stand in question and answer
    assert set(told) == {"judging before", "judging after"}


def test_held_back_answers_are_all_searched() -> None:
    """Each once, with others; a place in the document says where each stands."""
    halves = split([*PAIRS, *PAIRS, Pair("another question", PAIRS[0].passage)])
    extract = searched(halves)
    texts = [extract.document.text[p.start : p.end] for p in extract.passages]
    assert texts == [p.body for p in extract.passages]
    assert len(set(texts)) == len(texts) == len({pair.passage for pair in PAIRS})


def _without(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    found = importlib.util.find_spec

    def spec(name: str) -> object:
        return None if name == missing else found("json" if name in tuning.LIBRARIES else name)

    monkeypatch.setattr(importlib.util, "find_spec", spec)


@pytest.mark.parametrize("missing", tuning.LIBRARIES)
def test_without_the_extra_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """The CPU build of torch first; else gigabytes come with it. Nothing is written."""
    _without(monkeypatch, missing)
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(pair) for pair in PAIRS))
    arguments = ["kb", "tune", "--pairs", str(file), "-o", str(tmp_path / "model")]
    done = CliRunner().invoke(andon.app, arguments)
    assert isinstance(done.exception, KnowledgeError)
    said = str(done.exception)
    assert missing in said
    assert said.index("torch==2.13.0") < said.index("andon[train]")
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_what_cannot_be_judged_or_would_be_overwritten_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is learned."""
    _without(monkeypatch, "nothing")
    with pytest.raises(KnowledgeError, match="there already"):
        tune(PAIRS, tmp_path, told=Told())
    with pytest.raises(KnowledgeError, match="questions can be held back"):
        tune(PAIRS[:20], tmp_path / "model", told=Told())
    done = CliRunner().invoke(andon.app, ["kb", "tune", "-o", str(tmp_path / "model")])
    assert done.exit_code == 2
    assert "--documents" in done.output


@pytest.mark.filterwarnings("default")  # of the libraries of the extra
def test_a_model_is_learned_judged_and_loaded(tmp_path: Path) -> None:
    """For real, on part names that stand for others: nothing but learning finds those."""
    for name in tuning.LIBRARIES:
        pytest.importorskip(name, reason="needs the extra `train`")
    codes = dict(zip(PARTS, CODES, strict=True))
    pairs = [
        Pair(f"{codes[part]} {place} {fault}", f"removed and replaced the {part}, {place} side")
        for part in PARTS
        for fault in FAULTS
        for place in ("left", "right")
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(pair) for pair in pairs))
    out = tmp_path / "model"
    arguments = ["kb", "tune", "--pairs", str(file), "-o", str(out), "--epochs", "3", "--json"]
    done = CliRunner().invoke(andon.app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert found["adopted"]
    assert found["judged"]["gain"]["dense"]["low"] > 0
    model = Embedder(out)
    assert model.sha256 != shipped_embedder().sha256
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert manifest["tuned"]["judged"] == found["judged"]
    assert str(tmp_path) not in json.dumps(manifest)
    near = model.embed("zor left leaking") @ model.embed("removed and replaced the gasket")
    far = model.embed("zor left leaking") @ model.embed("removed and replaced the magneto")
    assert near > far
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "pairs.jsonl"]


@pytest.mark.filterwarnings("default")  # likewise
def test_what_is_not_better_leaves_nothing_behind(tmp_path: Path) -> None:
    """Pairs that do not belong together teach nothing that holds for others."""
    for name in tuning.LIBRARIES:
        pytest.importorskip(name, reason="needs the extra `train`")
    passages = [pair.passage for pair in PAIRS]
    shuffled = [Pair(pair.query, passages[i * 77 % len(PAIRS)]) for i, pair in enumerate(PAIRS)]
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(pair) for pair in shuffled))
    arguments = ["kb", "tune", "--pairs", str(file), "-o", str(tmp_path / "model")]
    done = CliRunner().invoke(andon.app, [*arguments, "--steps-max", "2"])
    assert done.exit_code == 1, (done.output, done.exception)
    assert "not better" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]
